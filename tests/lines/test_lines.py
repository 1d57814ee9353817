"""Lines do what the single commands do, whatever stands in them, however they come, and whenever the process ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import pytest

from dca import lines
from dca.commands.table import BY_WORDS
from dca.core.errors import DcaError
from dca.core.model import Hold, Record
from dca.core.names import CHANGES_MAX, ENTRY_BYTES_MAX
from dca.engine import Surroundings, run
from dca.envelope import failure, render, success
from dca.store.entry import changes_text
from dca.store.memory import MemoryStore
from dca.store.schema import KEY, KINDS, LOG
from tests.cli.shell import Shell, scratch
from tests.model.side import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = 1_764_000_000_000
HOLD, CHARGE = "transaction reservebudget", "transaction charge"
PROJECTS = {"rockets": "acme", "kites": "acme", "nuts": "bolt"}


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Return a shell with small books."""
    with scratch() as folder:
        made = Shell(folder)
        for words in beginning():
            made.ok(*words.split())
        yield made


def beginning() -> list[str]:
    """Return the commands that make small books."""
    return [
        "rate set --rate=3600",
        "tenant add --tenant=acme --credit=1000",
        "tenant add --tenant=bolt --credit=500",
        *(f"project add --project={name} --tenant={owner} --credit=200" for name, owner in PROJECTS.items()),
        *(f"user add --project={name} --user=ada" for name in PROJECTS),
        "user add --project=rockets --user=Bob",
    ]


def around(store: MemoryStore) -> Surroundings:
    """Return what commands work with, at a time that stands still."""
    return Surroundings(
        store=store,
        place="memory",
        settings=SETTINGS,
        now=lambda: NOW,
        draw=lambda: os.urandom(12).hex(),
        confirm=lambda question: None,
        progress=lambda done, total: None,
        write_config=lambda: None,
    )


def begun() -> MemoryStore:
    """Return small books in memory."""
    store = MemoryStore()
    for words in beginning():
        command, *options = words.split(" --")
        run(around(store), BY_WORDS[command], dict(f"--{option}".split("=", 1) for option in options))
    return store


def sent(shell: Shell, words: str, *sent_lines: Any, status: int = 0) -> list[dict[str, Any]]:
    """Send lines, as objects or as they are, and return the answers."""
    data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in sent_lines)
    result = shell.run(*words.split(), "--file=-", stdin=data)
    assert result.status == status, result
    return [json.loads(line) for line in result.out.splitlines()]


def drawn(rng: random.Random, words: str) -> dict[str, Any]:
    """Draw what a line says: mostly sense, known jobs and keys among it."""
    line: dict[str, Any] = {"project": rng.choice([*PROJECTS, "Rockets", "rockets", "nobody"])}
    if words == CHARGE or rng.random() < 0.5:
        line["user"] = rng.choice(["ada", "ada", "bob", "eve"])
    line["estimate" if words == HOLD else "jobtime"] = rng.choice([0, 1, 5, 30, "7", "x", 10**13])
    if words == CHARGE and rng.random() < 0.7:
        line["estimate"] = rng.choice([1, 5, 30])
    if words == CHARGE and rng.random() < 0.5:
        line["start"] = rng.choice([1_750_000_000, "2025-06-01 12:00", "2027-01-01"])
    for name, chance, values in (
        ("cores", 0.3, [1, 2, None]),
        ("job", 0.4, [f"lab/{number}/1" for number in range(8)]),
        ("key", 0.2, [f"key{number}" for number in range(6)]),
    ):
        if rng.random() < chance:
            line[name] = rng.choice(values)
    return line


def one_by_one(store: MemoryStore, words: str, listed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Do what the lines say by single commands; return the answers."""
    answers = []
    for line in listed:
        given = {f"--{name}": str(value) for name, value in line.items() if name != "key" and value is not None}
        try:
            answer = success(run(around(store), BY_WORDS[words], given, key=line.get("key")))
        except DcaError as error:
            answer = failure(error)
        answers.append(json.loads(render(answer)))
    return answers


def together(store: MemoryStore, words: str, listed: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Do what the lines of a file say; return the answers."""
    file = folder / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in listed), encoding="utf-8")
    written: list[str] = []
    lines.run_lines(around(store), BY_WORDS[words], str(file), written.append, dry_run=False)
    return [json.loads(line) for text in written for line in text.split("\n")]


PLACES = ("id", "stream", "seq", "hold", "transaction", "answer", "charged")
"""Where a record without a name of its own was booked, which differs."""


def told(answer: Any) -> Any:
    """Return an answer without its line and without places."""
    if not isinstance(answer, dict):
        return None if answer is None else str(answer)
    return {
        name: told(value) for name, value in answer.items() if name not in ("line", *PLACES) or isinstance(value, dict)
    }


def kept(store: MemoryStore) -> Counter[str]:
    """Return what the books hold, without places, and without users of holds of which it does not matter which is settled."""
    return Counter(
        repr((kind, [(name, value) for name, value in record._asdict().items() if name not in passed_over(record)]))
        for kind in KINDS
        if kind not in (KEY, LOG)
        for record in store.records[kind].values()
    )


def passed_over(record: Record) -> tuple[str, ...]:
    """Return the fields of a record that may differ."""
    return (*PLACES, "user") if isinstance(record, Hold) and not record.job else PLACES


@pytest.mark.parametrize("seed", range(40))
def test_lines_do_what_single_commands_do(seed: int, tmp_path: Path) -> None:
    """The same answers and the same books, but for where in the log it stands."""
    rng = random.Random(seed)
    single, whole = begun(), begun()
    for _ in range(3):
        for words in (HOLD, CHARGE):
            listed = [drawn(rng, words) for _ in range(rng.choice([1, 3, 40]))]
            apart, grouped = one_by_one(single, words, listed), together(whole, words, listed, tmp_path)
            assert [answer["line"] for answer in grouped] == list(range(1, len(listed) + 1))
            for line, one, other in zip(listed, apart, grouped, strict=True):
                assert told(other) == told(one), (seed, line)
            assert kept(whole) == kept(single), seed
    for stream in single.streams:
        assert len(whole.streams[stream]) <= len(single.streams[stream])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\x00", "no JSON"),
        (b"null", "no JSON object"),
        (b'"x"', "no JSON object"),
        (b"[" * 60_000, "no JSON"),
        (b"9" * 60_000, "no JSON"),
        (b"\xff{}", "UTF-8"),
        (b'{"project":"' + b"x" * 70_000 + b'"}', "longer than"),
        (b'{"project":"rockets","project":"kites","estimate":1}', "twice"),
        (b"{}", "needs the field project"),
        ({"project": "rockets"}, "needs the field estimate"),
        ({"project": "rockets", "estimate": None}, "needs the field estimate"),
        ({"project": "rockets", "estimate": 1, "file": "x"}, "'file' is not known"),
        ({"project": "rockets", "estimate": 1, "": "x"}, "'' is not known"),
        ({"project": 7, "estimate": 1}, "field project does not hold a text"),
        ({"project": "rockets", "estimate": True}, "field estimate does not hold"),
        ({"project": "rockets", "estimate": 1.5}, "field estimate does not hold"),
        ({"project": "rockets", "estimate": [1]}, "field estimate does not hold"),
        ({"project": "rockets", "estimate": {"a": 1}}, "field estimate does not hold"),
        ({"project": "rockets", "estimate": -1}, "not a whole number"),
        ({"project": "rockets", "estimate": 1, "job": "a b"}, "is not a key"),
        ({"project": "rockets", "estimate": 1, "key": 5}, "field key does not hold a text"),
        ({"project": "rockets", "estimate": 1, "key": "a b"}, "is not a key"),
        (b'{"project":"\\ud800","estimate":1}', "is not a name"),
        (b'{"project":"rockets","estimate":1,"user":"\\ud800"}', "is not a name"),
        (b'{"project":"rockets","estimate":NaN}', "field estimate does not hold"),
    ],
)
def test_lines_that_are_wrong(line: Any, reason: str, shell: Shell) -> None:
    """Each is answered with its number and a sentence, and the lines around it are done."""
    good = {"project": "rockets", "estimate": 1}
    first, bad, last = sent(shell, HOLD, good, line, good, status=1)
    assert (first["status"], bad["status"], last["status"]) == ("success", "failed", "success")
    assert (first["line"], bad["line"], last["line"]) == (1, 2, 3)
    assert reason in bad["error"]
    assert len(bad["error"]) < 700
    assert last["project"]["holds_open"] == 2


def test_a_start_that_is_no_text(shell: Shell) -> None:
    """Halves of characters are refused as on the command line."""
    (answer,) = sent(shell, CHARGE, b'{"project":"rockets","user":"ada","jobtime":1,"start":"\\ud800"}', status=1)
    assert "not valid UTF-8" in answer["error"]


def test_nothing_and_marks(shell: Shell) -> None:
    """No line is no answer; a byte order mark, blanks and Windows' line ends are no harm."""
    assert sent(shell, HOLD, b"") == []
    answers = sent(
        shell, HOLD, b'\xef\xbb\xbf{"project":"rockets","estimate":1}\r', b' {"project":"kites","estimate":1} '
    )
    assert [answer["status"] for answer in answers] == ["success", "success"]


def test_the_largest_lines_fit(tmp_path: Path) -> None:
    """However long names and keys are, entries stay within their limits, and nothing is refused for its size."""
    store = MemoryStore()
    long = {name: name[0] * 64 for name in ("tenant", "project", "user")}
    for words, given in (
        ("setup", {"--names": "extended"}),
        ("rate set", {"--rate": "8000000"}),
        ("tenant add", {"--tenant": long["tenant"], "--credit": "8000000000"}),
        ("project add", {"--project": long["project"], "--tenant": long["tenant"], "--credit": "8000000000"}),
        ("user add", {"--project": long["project"], "--user": long["user"]}),
    ):
        run(around(store), BY_WORDS[words], given)
    place = {"project": long["project"], "user": long["user"]}
    for words, more in ((HOLD, {"estimate": 100}), (CHARGE, {"jobtime": 100, "cores": 1, "estimate": 100})):
        listed = [{**place, **more, "job": f'{n:"<200}', "key": f'{words[12]}{n:"<199}'} for n in range(700)]
        answers = together(store, words, listed, tmp_path)
        assert {answer["status"] for answer in answers} == {"success"}, answers[0]
        assert len(answers) == 700
    for entry in store.streams[f"t:{long['tenant']}"]:
        assert len(entry.changes) <= CHANGES_MAX
        assert len(changes_text(entry.changes)) <= ENTRY_BYTES_MAX


def test_a_dry_run_sees_what_it_would_change(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second hold is refused for the sake of the first; nothing is changed; and there is an end to it."""
    before = shell.state()
    result = shell.run(*HOLD.split(), "--file=-", "--dry-run", stdin=b'{"project":"rockets","estimate":150}\n' * 3)
    assert [json.loads(line)["status"] for line in result.out.splitlines()] == ["success", "failed", "failed"]
    monkeypatch.setattr(lines, "WINDOW", 2)
    result = shell.run(*HOLD.split(), "--file=-", "--dry-run", stdin=b"{}\n" * 3)
    assert (result.status, result.answer["error"]) == (2, "a dry run takes at most 2 lines.")
    assert shell.state() == before


def started(shell: Shell, words: str) -> subprocess.Popen[bytes]:
    """Start a process that takes lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "dca", *words.split(), "--file=-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=shell.folder,
        env=shell.outside(),
    )


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return an end of a process's pipe."""
    assert stream is not None
    return stream


def test_a_line_does_not_wait_for_others(shell: Shell) -> None:
    """While input pauses, what came is committed and answered."""
    with started(shell, HOLD) as process:
        for number in range(1, 4):
            pipe(process.stdin).write(b'{"project":"rockets","estimate":1}\n')
            pipe(process.stdin).flush()
            assert json.loads(pipe(process.stdout).readline())["project"]["holds_open"] == number
        pipe(process.stdin).write(b'{"project":"rockets",')
        pipe(process.stdin).flush()
        pipe(process.stdin).write(b'"estimate":1}')
        pipe(process.stdin).close()
        assert json.loads(pipe(process.stdout).readline())["project"]["holds_open"] == 4
        assert process.wait() == 0


def charges(count: int) -> list[dict[str, Any]]:
    """Return lines that charge jobs with keys of their own, for projects in turn."""
    names = list(PROJECTS)
    return [
        {"project": names[n % 3], "user": "ada", "jobtime": 1, "start": 1_750_000_000, "job": f"lab/{n}/1"}
        for n in range(count)
    ]


@pytest.mark.parametrize("after", [0, 1, 40, 200])
def test_killed_in_the_middle(after: int, shell: Shell) -> None:
    """What was answered is there; sent again, everything is there once, and what was there is known."""
    listed = charges(600)
    data = b"".join(json.dumps(line).encode() + b"\n" for line in listed)
    with started(shell, CHARGE) as process:
        if os.fork() == 0:  # writes until the reader is gone
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            for begin in range(0, len(data), 4096):
                pipe(process.stdin).write(data[begin : begin + 4096])
                pipe(process.stdin).flush()
            os._exit(0)
        answered = [json.loads(pipe(process.stdout).readline()) for _ in range(after)]
        process.kill()
        os.wait()
    present = {one["job"] for one in shell.ok("transaction", "list", "--limit=10000")["transactions"]}
    assert present >= {answer["transaction"]["job"] for answer in answered}
    answers = sent(shell, CHARGE, *listed)
    assert {answer["transaction"]["job"] for answer in answers if answer.get("repeated")} == present
    check_whole(shell, 600)


def check_whole(shell: Shell, count: int) -> None:
    """Check that that many dollars were charged, each once."""
    found = shell.ok("transaction", "list", "--limit=10000")["transactions"]
    assert len(found) == len({one["job"] for one in found}) == count
    assert sum(one["cost"] for one in found) == count
    tenants = {one["name"]: one["balance"] + one["credit"] for one in shell.ok("list")["list"]}
    assert sum(tenants.values()) == 1500 - count


def test_two_processes_with_the_same_lines(shell: Shell) -> None:
    """Each line is answered to both with success, and charged once."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in charges(300))
    back = b"".join(reversed(data.splitlines(keepends=True)))
    both = [started(shell, CHARGE) for _ in range(2)]
    for process, some in zip(both, (data, back), strict=True):
        pipe(process.stdin).write(some)
        pipe(process.stdin).close()
    answers = [json.loads(line) for process in both for line in pipe(process.stdout).read().splitlines()]
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        pipe(process.stdout).close()
        pipe(process.stderr).close()
    assert sum(bool(answer.get("repeated")) for answer in answers) == 300
    check_whole(shell, 300)


def test_a_store_that_fails_ends_it(shell: Shell) -> None:
    """The lines of that group are told so, the rest is not answered, and the exit status says what it was."""
    shell.file.write_bytes(b"garbage" * 100)
    answers = sent(shell, HOLD, {"project": "rockets", "estimate": 1}, status=3)
    assert answers[-1]["code"] == "damaged"
