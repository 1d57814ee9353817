"""A process on SQLite that ends between any two operations leaves whole books, and what it did is done or not."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from dca.core.errors import UnreachableError
from tests.cli.shell import Shell, scratch
from tests.concurrency.ledgers import course, essence, job_key, log_of, opened, whole_books
from tests.concurrency.nursery import INTERRUPT, KILL, STATEMENT, Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.concurrency.nursery import Ended, Nursery
    from tests.model.invariants import Books

INTERRUPTED = 130
OPERATIONS_MAX = 400
PORTION = 4
"""Jobs that an import books at once here, so that it needs several entries."""


class Scene(NamedTuple):
    """Books, and a command that is to be ended everywhere."""

    prepare: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    """The command; sent again it is done once, by one of its keys or by its nature."""
    operations_min: int
    """How many operations it has at the least; fewer would say that they are not counted."""


RESERVE = ("transaction", "reservebudget", "--project=p", "--estimate=1000", f"--job={job_key(1)}")
SCENES = {
    "reserve": Scene((), RESERVE, 15),
    "charge with its hold": Scene(
        (RESERVE,),
        ("transaction", "charge", "--project=p", "--user=anna", "--jobtime=500", "--start=1700000000", RESERVE[-1]),
        15,
    ),
    "charge with a key": Scene(
        (),
        ("transaction", "charge", "--project=p", "--user=anna", "--jobtime=500", "--start=1700000000", "--key=k"),
        15,
    ),
    "payment": Scene((), ("tenant", "payment", "--tenant=acme", "--payment=5", "--reference=r"), 12),
    "project add": Scene((), ("project", "add", "--project=q", "--tenant=acme", "--balance=5", "--key=k"), 15),
    "import": Scene((RESERVE,), ("job", "import", "jobs.txt", "--cluster=lab"), 40),
    "import that makes projects": Scene(
        (), ("job", "import", "others.txt", "--cluster=lab", "--tenant=acme", "--create-missing"), 40
    ),
}


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder in memory."""
    with scratch() as folder:
        yield folder


def stage(folder: Path, scene: Scene) -> Shell:
    """Prepare the books of a scene, and logs to import."""
    folder.mkdir()
    shell = opened(Shell(folder))
    for words in scene.prepare:
        shell.ok(*words)
    (folder / "jobs.txt").write_text(log_of(jobs=10))
    (folder / "others.txt").write_text(log_of(jobs=5, account="new") + log_of(jobs=5).partition("\n")[2])
    return shell


def copied(shell: Shell, folder: Path) -> Shell:
    """Return a copy of books with all that lies beside them."""
    shutil.copytree(shell.folder, folder)
    return Shell(folder)


def fates(how: str) -> Iterator[Fate]:
    """Return the fates to end at the first operation, at the second, and so on."""
    return (Fate(STATEMENT, number, how) for number in range(1, OPERATIONS_MAX))


def ended_anywhere(
    original: Shell, place: Path, run: Callable[[Shell, Fate], Ended], how: str
) -> Iterator[tuple[Shell, Ended]]:
    """Run something on copies of books, ending it at each of its operations; stop when it comes to its own end."""
    wanted = -signal.SIGKILL if how == KILL else INTERRUPTED
    for fate in fates(how):
        shell = copied(original, place / f"{how}-{fate.at}")
        ended = run(shell, fate)
        said = [line for line in ended.err.splitlines() if not line.startswith("dca: made new books")]
        if ended.status == 0:
            assert not said, ended
            return
        assert ended.status == wanted, ended
        assert not ended.out, ended
        assert len(said) == (how == INTERRUPT), ended
        assert all(line.startswith("interrupted; ") for line in said), ended
        yield shell, ended
        shutil.rmtree(shell.folder)
    pytest.fail("it does not come to an end")


@pytest.mark.parametrize(
    ("name", "how"),
    [*((name, KILL) for name in SCENES), *((name, INTERRUPT) for name in ("charge with its hold", "import"))],
)
def test_a_command_ends_anywhere(name: str, how: str, place: Path, nursery: Nursery) -> None:
    """The books are whole, the command is done or not (an import: up to an entry), and sent again it is done once."""
    scene = SCENES[name]
    original = stage(place / "original", scene)
    begin = course(whole_books(original))
    undisturbed = copied(original, place / "undisturbed")
    assert nursery.dca(undisturbed, *scene.words, portion=PORTION).status == 0
    wanted = whole_books(undisturbed)
    end = course(wanted)
    seen = set()
    operations = 0
    for shell, _ in ended_anywhere(
        original, place, lambda shell, fate: nursery.dca(shell, *scene.words, fate=fate, portion=PORTION), how
    ):
        operations += 1
        here = course(whole_books(shell))
        assert len(here) >= len(begin)
        assert here == end[: len(here)], f"ended at operation {operations} it has done something else"
        seen.add(len(here))
        again = nursery.dca(shell, *scene.words, portion=PORTION)
        assert (again.status, again.err) == (0, ""), again
        assert_same(whole_books(shell), wanted)
    assert operations >= scene.operations_min
    assert seen == set(range(len(begin), len(end) + 1)), "every entry was the last one once"


def assert_same(books: Books, wanted: Books) -> None:
    """Check that books are those of a run that nobody ended."""
    assert course(books) == course(wanted)
    assert essence(books) == essence(wanted)


@pytest.mark.parametrize("how", [KILL, INTERRUPT])
@pytest.mark.parametrize(
    "words",
    [("setup", "--timezone=Europe/Berlin"), ("tenant", "add", "--tenant=acme", "--key=k")],
    ids=["setup", "first command"],
)
def test_the_making_of_the_books_ends_anywhere(words: tuple[str, ...], how: str, place: Path, nursery: Nursery) -> None:
    """Readers find books or none, never something strange, and the next command makes them, or finds them whole."""
    (place / "empty").mkdir()
    operations, found = 0, set()

    def run(shell: Shell, fate: Fate) -> Ended:
        return nursery.dca(shell, *words, fate=fate)

    for shell, _ in ended_anywhere(Shell(place / "empty"), place, run, how):
        operations += 1
        asked = nursery.dca(shell, "rate", "get")
        assert asked.status == 0 or (asked.status == 3 and "no books" in asked.answer["error"]), asked
        found.add(asked.status)
        again = nursery.dca(shell, *words)
        assert again.status == 0, again
        opened(shell) if words[0] == "setup" else shell.ok("setup", "--timezone=Europe/Berlin")
        books = whole_books(shell)
        assert books.records["site"]["site"].zone == "Europe/Berlin"
        assert list(books.records["tenant"]) == ["acme"]
    assert operations > 30
    assert found == {0, 3}


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM log").fetchone()
print("reading", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def reader_of(file: Path) -> Iterator[None]:
    """Let a process read the books, one that is killed in the end as well: it brings nothing into order."""
    command = [sys.executable, "-S", "-c", READER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        yield
        process.kill()


@pytest.mark.parametrize(("how", "watched"), [(KILL, False), (KILL, True), (INTERRUPT, False)])
def test_wiping_ends_anywhere(how: str, place: Path, nursery: Nursery, *, watched: bool) -> None:
    """The old books are whole or gone, and new ones hold nothing of them.

    While somebody reads them, what was written last lies in a file beside the books, and has to go with them.
    """
    original = stage(place / "original", SCENES["import"])
    words, found = ("setup", "--wipe", "-y"), set()

    def pay(shell: Shell) -> None:
        assert nursery.dca(shell, "tenant", "payment", "--tenant=acme", "--payment=3").status == 0

    def run(shell: Shell, fate: Fate) -> Ended:
        if not watched:
            return nursery.dca(shell, *words, fate=fate)
        with reader_of(shell.file):
            pay(shell)
            return nursery.dca(shell, *words, fate=fate)

    paid = copied(original, place / "paid")
    if watched:
        pay(paid)
    before = essence(whole_books(paid))
    for shell, _ in ended_anywhere(original, place, run, how):
        try:
            left = essence(whole_books(shell))
        except UnreachableError as error:
            assert "no books" in error.sentence
            left = {}
        assert left == before or not any(left.values())
        found.add(bool(left.get("tenant")))
        again = nursery.dca(shell, *words)
        assert again.status == 0, again
        books = whole_books(shell)
        assert not any(books.records.values())
        assert not books.log
        opened(shell)
        assert len(whole_books(shell).log["t:acme"]) == 4
    assert found == {True, False}


def test_killed_at_any_moment(place: Path, nursery: Nursery) -> None:
    """An import that is killed by the clock, in the middle of whatever it does, leaves a whole number of entries."""
    chance = random.Random(7)
    shell = opened(Shell(place))
    log = place / "many.txt"
    log.write_text(log_of(jobs=1500, seconds=1))
    words = ("job", "import", str(log), "--cluster=lab")
    interrupted = 0
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-m", "dca", *words, "-m"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place,
            env=shell.outside(),
        ) as process:
            time.sleep(chance.uniform(0.05, 0.6))
            process.kill()
            process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        whole_books(shell)
    assert interrupted
    assert nursery.dca(shell, *words).status == 0
    assert len(whole_books(shell).records["transaction"]) == 1500


def entries_of(shell: Shell) -> int:
    """Count the entries of imports, without waiting for anybody."""
    with contextlib.closing(sqlite3.connect(shell.file)) as connection:
        found: tuple[int] = connection.execute("SELECT count(*) FROM log WHERE category = 'job'").fetchone()
        return found[0]


def test_ctrl_c_during_an_import(place: Path) -> None:
    """Exit status 130, one line, no traceback; what was booked stays, and the same log brings the rest."""
    shell = opened(Shell(place))
    log = place / "many.txt"
    log.write_text(log_of(jobs=20_000, seconds=1))
    words = ("job", "import", str(log), "--cluster=lab")
    with subprocess.Popen(
        [sys.executable, "-m", "dca", *words, "-m"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env=shell.outside(),
    ) as process:
        while not entries_of(shell):
            assert process.poll() is None, "the log is too short for this test"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == INTERRUPTED
    assert not out
    assert err.startswith("interrupted; ")
    assert err.count("\n") == 1
    booked = len(whole_books(shell).records["transaction"])
    assert 0 < booked < 20_000
    answer = shell.ok(*words)
    assert (answer["known"], answer["charged"]) == (booked, 20_000 - booked)
    assert len(whole_books(shell).records["transaction"]) == 20_000


def test_ctrl_c_at_any_moment(place: Path) -> None:
    """No traceback comes from dca whenever Ctrl-C is pressed, and what is sent again is done once."""
    chance, times = random.Random(3), 20
    shell = opened(Shell(place))
    payments = [
        ("tenant", "payment", "--tenant=acme", "--payment=1", f"--reference={number}") for number in range(times)
    ]
    statuses = []
    for words in payments:
        with subprocess.Popen(
            [sys.executable, "-m", "dca", *words, "-m"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place,
            env=shell.outside(),
        ) as process:
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        # Python itself, while it starts, still shows a traceback, and ends by the signal or with 1.
        assert process.returncode in (0, INTERRUPTED, -signal.SIGINT, 1), err
        assert "/dca/" not in err, err
        statuses.append(process.returncode)
    assert INTERRUPTED in statuses
    assert statuses.count(0) <= len(whole_books(shell).records["payment"]) - 1 <= times
    for words in payments:
        shell.ok(*words)
    assert len(whole_books(shell).records["payment"]) == times + 1
