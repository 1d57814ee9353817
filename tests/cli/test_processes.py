"""dca in processes of its own: closed and full streams, signals, locales, and several at once."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli import checks
from tests.cli.calls import JOBS

if TYPE_CHECKING:
    from tests.cli.shell import Shell

AT_ONCE = 6
DCA = (sys.executable, "-m", "dca")


def redirected(shell: Shell, *words: str, by: str) -> subprocess.CompletedProcess[bytes]:
    """Run dca under a shell that redirects its streams."""
    command = ["sh", "-c", f'exec "$@" {by}', "sh", *DCA, *words]
    return subprocess.run(command, check=False, capture_output=True, cwd=shell.folder, env=shell.outside(), timeout=60)


def test_success_and_failure(shell: Shell) -> None:
    """Statuses and streams of a real process are those of the tests within one."""
    assert checks.failure(shell.process("list"), 3)["code"] == "unreachable"
    result = shell.process("tenant", "add", "--tenant=acme", "-m")
    checks.success(result)
    assert result.err == f"dca: made new books: {shell.file}\n"
    assert checks.failure(shell.process("tenant", "add", "--tenant=acme"), 1)["code"] == "refused"
    assert checks.failure(shell.process("tenant", "ad"), 2)["code"] == "usage"
    assert shell.process("list", "--format=csv").out.splitlines()[1].startswith("acme,0,0")


def test_closed_input(books: Shell) -> None:
    """With standard input closed a question is not answered, and an import from it is wrong usage."""
    done = redirected(books, "tenant", "disable", "--tenant=idle", by="<&-")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "aborted")
    done = redirected(books, "job", "import", "-", by="<&-")
    assert done.returncode == 2
    assert "input" in json.loads(done.stdout)["error"]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("source", ["/dev/null", "/dev/zero"])
def test_strange_input(source: str, books: Shell) -> None:
    """An empty input is no log, and neither is one without end."""
    done = redirected(books, "job", "import", "-", by=f"< {source}")
    assert done.returncode == 2
    checks.sentence(json.loads(done.stdout)["error"])
    assert b"Traceback" not in done.stderr


def test_import_from_a_pipe(books: Shell) -> None:
    """A log may come through a pipe."""
    result = books.process("job", "import", "-", "--cluster=alps", stdin=JOBS.replace("|lab|", "||").encode())
    assert checks.success(result)["charged"] == 1


@pytest.mark.parametrize("by", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output(by: str, books: Shell) -> None:
    """With its streams closed a command does its work without a traceback, and writes into no file of the books."""
    done = redirected(books, "tenant", "payment", "--tenant=acme", "--payment=1", by=by)
    assert done.returncode == 0, done
    assert b"Traceback" not in done.stderr
    assert books.ok("list", "--tenant=acme")["list"][0]["balance"] == 976
    books.ok("log", "list")


def test_full_output(books: Shell) -> None:
    """An answer that cannot be written is no success, and no traceback."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110 -- a device
        pytest.skip("this machine has no /dev/full")
    done = redirected(books, "log", "list", by="> /dev/full")
    assert done.returncode not in (0, 1), done
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr


def test_reader_that_goes_away(books: Shell) -> None:
    """A reader that closes the pipe early, as head does, gets no traceback from us."""
    command = ["sh", "-c", '"$@"; echo $? >&2', "sh", *DCA, "log", "list"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=books.folder, env=books.outside()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read().decode()
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert err.strip() != "0", "an answer that nobody got is no success"


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}])
def test_locales(locale: dict[str, str], shell: Shell) -> None:
    """Whatever the locale, answers are UTF-8, and what is said beside them does not fail."""
    shell.ok("tenant", "add", "--tenant=acme")
    reference = "Rechnung 7, Köln — 東京"
    words = ("tenant", "payment", "--tenant=acme", "--payment=1", f"--reference={reference}")
    result = shell.process(*words, environment=locale)
    assert checks.success(result)["payment"]["reference"] == reference
    assert checks.failure(shell.process("list", "--tenant=Köln", environment=locale), 1)["error"].count("Köln") == 1
    store = f"sqlite:{shell.folder}/Bücher/日.db"
    result = shell.process("rate", "set", "--rate=1", environment={"DCA_STORE": store, **locale})
    checks.success(result)
    assert "made new books" in result.err
    result = shell.process("list", "--tenant=x", "--format=table", environment={"DCA_STORE": store, **locale})
    assert result.status == 1


def test_words_that_are_no_text(books: Shell) -> None:
    """Bytes that are no UTF-8, in any place of the command line: a sentence, not a traceback."""
    for words in ([b"\xff"], [b"tenant", b"\xff"], [b"list", b"--ten\xff=x"], [b"list", b"--tenant=\xff"], [b"list", b"\xff"],
                  [b"log", b"list", b"--actor=\xff"], [b"help", b"\xff"], [b"job", b"import", b"\xff.txt"]):  # fmt: skip
        done = subprocess.run(
            [*DCA, *words], check=False, capture_output=True, cwd=books.folder, env=books.outside(), timeout=60
        )
        assert done.returncode in (1, 2), done
        checks.sentence(json.loads(done.stdout)["error"])
        assert not done.stderr, done


def test_interrupt(books: Shell) -> None:
    """Ctrl-C while it waits: exit status 130, one line, nothing changed."""
    before = books.state()
    queue = books.file.with_name(f"{books.file.name}.lock")
    queue.unlink(missing_ok=True)
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of one who ignores it ignores it, too
    try:
        with contextlib.closing(sqlite3.connect(books.file, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            with subprocess.Popen(
                [*DCA, "tenant", "payment", "--tenant=acme", "--payment=1", "--wait=50"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=books.folder, env=books.outside(),
            ) as process:  # fmt: skip
                while not queue.exists() and process.poll() is None:
                    time.sleep(0.01)
                time.sleep(0.1)  # it has passed the queue and waits for the file
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
    finally:
        signal.signal(signal.SIGINT, ours)
    assert process.returncode == 130, (out, err)
    assert err.startswith(b"interrupted")
    assert b"Traceback" not in err
    assert books.state() == before


@pytest.mark.parametrize("exists", [True, False])
def test_several_at_once(shell: Shell, *, exists: bool) -> None:
    """Several processes at once: each change is made once, also where all of them are the first."""
    if exists:
        shell.ok("setup")
    names = [f"tenant{number}" for number in range(AT_ONCE)]
    commands = [[*DCA, "tenant", "add", f"--tenant={name}", "-m"] for name in names]
    commands += [[*DCA, "rate", "set", "--rate=1", "--key=once", "-m"] for _ in range(AT_ONCE)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=shell.folder, env=shell.outside())
        for command in commands
    ]
    results = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert [status for _, status in results] == [0] * len(commands), results
    made = [err for (_, err), _ in results if b"made new books" in err]
    assert len(made) == (0 if exists else 1)
    assert sorted(one["name"] for one in shell.ok("list")["list"]) == names
    assert len(shell.ok("log", "list", "--category=rate")["log"]) == 1
    repeated = [json.loads(out).get("repeated", False) for (out, _), _ in results[AT_ONCE:]]
    assert sorted(repeated) == [False] + [True] * (AT_ONCE - 1)


def test_two_who_want_the_last_of_it(books: Shell) -> None:
    """Of several holds that together are more than a project has, exactly as many are made as it can pay for."""
    books.ok("rate", "set", "--rate=3600")
    words = ("transaction", "reservebudget", "--project=kites", "--estimate=40", "-m")
    running = [
        subprocess.Popen(
            [*DCA, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=books.folder, env=books.outside()
        )
        for _ in range(4)
    ]
    results = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert sorted(status for _, status in results) == [0, 0, 1, 1]
    assert books.ok("project", "show", "--project=kites")["project"]["free"] == 20


def test_at_a_terminal(books: Shell) -> None:
    """At a terminal an import shows how far it is and a question is answered there; the answer stays on standard output."""
    log = JOBS.replace("|lab|", "|alps|") + "".join(f"{number}.batch|x\n" for number in range(200_000))
    (books.folder / "long.txt").write_text(log, encoding="utf-8")
    ours, theirs = pty.openpty()
    calls = (("job", "import", "long.txt", "--rejects=rejected"), ("tenant", "disable", "--tenant=idle"))
    try:
        for words in calls:
            os.write(ours, b"y\n")
            done = subprocess.run(
                [*DCA, *words],
                check=False,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=theirs,
                cwd=books.folder,
                env=books.outside(),
                timeout=60,
            )
            assert done.returncode == 0, done
            assert json.loads(done.stdout)["status"] == "success"
        said = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "100 %" in said
    assert "Disable tenant idle" in said


def test_in_a_folder_that_is_gone(books: Shell) -> None:
    """In a deleted folder what has a whole path works, and what has none is told."""
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    for store, status in ((books.store, 0), ("sqlite:here.db", 2)):
        result = books.process("list", before=("sh", "-c", script, "sh"), environment={"DCA_STORE": store})
        assert result.status == status, result
        assert result.answer["status"] == ("failed" if status else "success")


@pytest.mark.parametrize(("into", "status"), [("/dev/full", 6), ("&-", 0)])
def test_the_version_without_a_place_for_it(into: str, status: int, books: Shell) -> None:
    """It ends as other commands do when nothing can be written."""
    result = books.process("--version", before=("sh", "-c", f'exec "$@" >{into}', "sh"))
    assert (result.status, "Traceback" in result.err) == (status, False), result


@pytest.mark.parametrize("words", [("--version", "-m"), ("-m", "--version")])
def test_the_version_on_one_line(words: tuple[str, str], books: Shell) -> None:
    """It is one line anyway."""
    assert books.run(*words).out == books.run("--version").out


@pytest.mark.parametrize("stdin", [None, b"", b"n", b"n\n", b"y\n"])
def test_a_question_has_its_own_line(stdin: bytes | None, books: Shell) -> None:
    """Where nobody types the end of it, dca ends it: what follows on a screen does not hang on to the question."""
    result = books.run("project", "disable", "--project=rockets", stdin=stdin)
    assert result.err == "Disable project rockets, for ever? [y/N] \n"
