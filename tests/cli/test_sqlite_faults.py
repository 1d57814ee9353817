"""A SQLite file that is damaged, strange, read-only, locked, or on a full disk: a sentence, the right exit status, no loss."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli import checks
from tests.cli.shell import as_somebody, room

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.shell import Result, Shell

READING = (
    ("list", "--all"),
    ("log", "list"),
    ("transaction", "list"),
    ("transaction", "holds"),
    ("rate", "get", "--history"),
    ("project", "show", "--project=rockets"),
    ("bill", "generate", "--project=rockets", "--time_period=2025-01-01,2025-12-31"),
)
CHANGING = (
    ("tenant", "payment", "--tenant=acme", "--payment=1"),
    ("transaction", "reservebudget", "--project=rockets", "--estimate=1"),
    ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=1", "--estimate=10"),
    ("rate", "set", "--rate=1"),
    ("setup", "--cluster=other"),
)
ALL = (*READING, *CHANGING)


def other_program(shell: Shell) -> None:
    """Put a database of another program in the place of the books."""
    with contextlib.closing(sqlite3.connect(shell.file)) as connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
        connection.commit()


def tool(shell: Shell, *statements: str) -> None:
    """Do to the books what another tool might."""
    with contextlib.closing(sqlite3.connect(shell.file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


STRANGE: dict[str, Callable[[Shell], object]] = {
    "text": lambda shell: shell.file.write_text("these are no books\n" * 300, encoding="utf-8"),
    "short text": lambda shell: shell.file.write_text("x", encoding="utf-8"),
    "zeros": lambda shell: shell.file.write_bytes(bytes(8192)),
    "noise": lambda shell: shell.file.write_bytes(random.Random(1).randbytes(8192)),
    "header only": lambda shell: shell.file.write_bytes(b"SQLite format 3\0" + bytes(84)),
    "another program": other_program,
    "folder": lambda shell: shell.file.mkdir(),
    "loop": lambda shell: shell.file.symlink_to(shell.file),
}
"""What may stand where books should be."""


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_no_books_at_all(strange: str, words: tuple[str, ...], shell: Shell) -> None:
    """What is not dca's is left as it is, and every command says so."""
    STRANGE[strange](shell)
    before = shell.file.read_bytes() if shell.file.is_file() else b""
    answer = checks.failure(shell.run(*words), 3)
    assert str(shell.file) in answer["error"]
    assert (shell.file.read_bytes() if shell.file.is_file() else b"") == before


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_books_of_a_newer_dca(words: tuple[str, ...], books: Shell) -> None:
    """Books of a newer dca are neither read nor written."""
    tool(books, "PRAGMA user_version = 999")
    before = books.state()
    assert "newer dca" in checks.failure(books.run(*words), 3)["error"]
    assert books.state() == before


@pytest.mark.parametrize("words", [words for words in CHANGING if words[0] not in ("rate", "setup")], ids=" ".join)
def test_books_that_are_gone(words: tuple[str, ...], books: Shell) -> None:
    """What needs a tenant or project makes no empty books where the file is gone, or its disk is not mounted."""
    away = books.file.rename(books.folder / "elsewhere.db")
    before = sorted(books.folder.iterdir())
    for more in ((), ("--key=k1",)):
        assert "no books" in checks.failure(books.run(*words, *more), 3)["error"]
    (books.folder / "line").write_text('{"project":"rockets","user":"ada","jobtime":1}\n', encoding="utf-8")
    assert "no books" in checks.failure(books.run("transaction", "charge", "--file=line"), 3)["error"]
    (books.folder / "line").unlink()
    assert sorted(books.folder.iterdir()) == before
    away.rename(books.file)
    books.ok(*words)


def test_empty_file(shell: Shell) -> None:
    """An empty file, or a database with nothing in it, is no books yet: reading says so, writing makes them."""
    shell.ok("setup", "--cluster=lab")
    backup = shell.folder / "books.backup"
    shell.ok("backup", str(backup))
    shell.ok("setup", "--wipe", "-y")
    shell.file.unlink()
    makers: tuple[Callable[[], object], ...] = (
        shell.file.touch,
        lambda: tool(shell, "PRAGMA journal_mode = WAL", "VACUUM"),
    )
    for make in makers:
        make()
        assert "no books" in checks.failure(shell.run("list"), 3)["error"]
        assert shell.ok("tenant", "add", "--tenant=acme", "--dry-run")
        assert shell.ok("restore", str(backup))
        assert shell.ok("tenant", "add", "--tenant=acme")
        shell.ok("setup", "--wipe", "-y")
        for ending in ("", "-wal", "-shm"):
            shell.file.with_name(f"{shell.file.name}{ending}").unlink(missing_ok=True)


@pytest.mark.parametrize("table", ["tenant", "project", "hold", "transaction", "log", "head", "site", "association"])
def test_missing_tables(table: str, books: Shell) -> None:
    """Books that lack a table are damaged, and are said to be so by each command that needs it."""
    tool(books, f'DROP TABLE "{table}"')
    statuses = set()
    for words in ALL:
        result = books.run(*words)
        statuses.add(result.status)
        if result.status:
            assert checks.failure(result, 3)["code"] == "damaged"
    assert 3 in statuses


def told(result: Result) -> None:
    """Check that a run on damaged books ended well or in a sentence, not in a traceback."""
    if result.status == 0:
        checks.success(result)
    else:
        checks.failure(result, 1, 2, 3)


@pytest.mark.parametrize("seed", range(40))
def test_overwritten_bytes(seed: int, books: Shell) -> None:
    """Bytes overwritten anywhere in the file: a sentence or an answer, whatever they hit."""
    chance = random.Random(seed)
    tool(books, "PRAGMA wal_checkpoint(TRUNCATE)")
    good = books.file.read_bytes()
    for words in chance.sample(ALL, k=5):
        damaged = bytearray(good)
        for _ in range(chance.choice((1, 20, 2_000))):
            damaged[chance.randrange(100, len(good))] = chance.randrange(256)
        for ending in ("-wal", "-shm"):
            books.file.with_name(books.file.name + ending).unlink(missing_ok=True)
        books.file.write_bytes(damaged)
        told(books.run(*words))


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.9, 0.999])
def test_cut_off_file(part: float, books: Shell) -> None:
    """A file that was cut off, as by a copy that failed: a sentence or an answer."""
    tool(books, "PRAGMA wal_checkpoint(TRUNCATE)")
    good = books.file.read_bytes()
    for words in ALL:
        for ending in ("-wal", "-shm"):
            books.file.with_name(books.file.name + ending).unlink(missing_ok=True)
        books.file.write_bytes(good[: int(len(good) * part)])
        told(books.run(*words))


SPOILT = {
    "text of bytes": "UPDATE tenant SET name = CAST(X'ff00fe' AS TEXT)",
    "negative holds": "UPDATE project SET requested = -5, holds_open = -1",
    "requested too small": "UPDATE project SET requested = 0",
    "no tenant": "DELETE FROM tenant",
    "no project": "DELETE FROM project",
    "no site": "DELETE FROM site",
    "no hold": "DELETE FROM hold",
    "no user": "DELETE FROM association",
    "huge balance": "UPDATE tenant SET balance = 9223372036854775807",
    "unknown zone": "UPDATE site SET zone = 'Mars/Olympus'",
    "unknown rule": "UPDATE site SET names = 'whatever'",
    "strange state": "UPDATE project SET state = 'asleep'",
    "changes are no JSON": "UPDATE log SET changes = 'x'",
    "changes of something": """UPDATE log SET changes = '[{"kind":"x","record":{}}]'""",
    "projects are no JSON": "UPDATE log SET projects = '{'",
    "far future": "UPDATE head SET time = 253402300799999",
    "negative time": "UPDATE log SET time = -1",
    "end beyond all time": 'UPDATE "transaction" SET "end" = 9223372036854775807',
    "head went back": "UPDATE head SET seq = 0",
    "no head": "DELETE FROM head",
    "key answer no JSON": "INSERT INTO \"key\" VALUES ('t:acme:k:a', 't:acme', 1, 'a', 'b', 'c', 1)",
}
"""What a careless hand with a SQL shell might do."""


@pytest.mark.parametrize("how", SPOILT)
def test_changed_by_hand(how: str, books: Shell) -> None:
    """Records that were changed by hand: a sentence or an answer."""
    tool(books, SPOILT[how])
    for words in ALL:
        told(books.run(*words))


WRONG = ("NULL", "1.5", "X'ff00'", "CAST(X'ff00' AS TEXT)")
LISTED = {
    "tenant": ("list", "--all"),
    "project": ("list", "--all"),
    "association": ("list", "--all"),
    "rate": ("rate", "get", "--history"),
    "hold": ("transaction", "holds"),
    "transaction": ("transaction", "list"),
    "log": ("log", "list"),
    "site": ("rate", "get"),
    "head": ("rate", "set", "--rate=2"),
}
"""A command that reads every field of a kind."""


@pytest.mark.parametrize("kind", LISTED)
def test_wrong_types(kind: str, books: Shell) -> None:
    """A value of another type in any column, as one damaged byte makes it: said to be damage, whichever it is."""
    tool(
        books,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(replace(sql, ' STRICT', ''), ' NOT NULL', '')",
        "UPDATE sqlite_master SET sql = replace(replace(sql, 'INTEGER', ''), 'TEXT', '')",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    good = books.file.read_bytes()
    with contextlib.closing(sqlite3.connect(books.file)) as connection:
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{kind}")') if not row[5]]
    for number, column in enumerate(columns):
        if (kind, column) == ("log", "changes"):
            continue  # not read by a list
        value = WRONG[number % len(WRONG)]
        books.file.write_bytes(good)
        row = "stream = 'g'" if kind == "head" else f'rowid = (SELECT max(rowid) FROM "{kind}")'  # noqa: S608 -- our own words
        tool(books, f'UPDATE "{kind}" SET "{column}" = {value} WHERE {row}')  # noqa: S608 -- our own words
        result = books.run(*LISTED[kind])
        told(result)
        if column != "state":  # by which a list is made
            assert checks.failure(result, 3)["code"] == "damaged", (column, value)
        if (kind, column) == ("transaction", "cost"):
            bill = ("bill", "generate", "--project=rockets", "--time_period=2020-01-01,2099-12-31")
            assert checks.failure(books.run(*bill), 3)["code"] == "damaged"


def test_changed_tables(books: Shell) -> None:
    """A table with other columns is damage."""
    tool(books, "ALTER TABLE tenant RENAME COLUMN balance TO saldo")
    for words in ALL:
        told(books.run(*words))
    assert "damaged" in checks.failure(books.run("list"), 3)["error"]


def test_full_disk(books: Shell) -> None:
    """On a full disk a change fails whole, whatever was written of it; with room again it succeeds."""
    tool(books, "PRAGMA wal_checkpoint(TRUNCATE)")
    books.ok("setup")
    before = books.state()
    failed = 0
    for amount in (0, 1, 32, 4_096, 4_152, 8_000, 16_000, 20_000):
        for words in CHANGING:
            with room(amount):
                result = books.run(*words)
            if result.status:
                answer = checks.failure(result, 3)
                assert "nothing was changed" in answer["error"] or "cannot be" in answer["error"], answer
                assert books.state() == before
                failed += 1
            before = books.state()
    assert failed > 10
    books.ok("tenant", "payment", "--tenant=acme", "--payment=1")


def test_full_disk_at_the_beginning(shell: Shell) -> None:
    """New books that find no room leave nothing that later commands stumble over."""
    for amount in (0, 1, 512, 4_096, 8_192, 20_000, 40_000):
        with room(amount):
            result = shell.run("tenant", "add", "--tenant=acme")
        if result.status:
            checks.failure(result, 3)
        else:
            break
    result = shell.run("tenant", "add", "--tenant=beta")
    checks.success(result)


def test_read_only_for_others(open_books: Shell) -> None:
    """Who may read the file, and not write it, can read the books, change nothing, and is told so."""
    tool(open_books, "PRAGMA wal_checkpoint(TRUNCATE)")
    before = open_books.state()
    open_books.folder.chmod(0o555)
    for path in open_books.folder.iterdir():
        if path.is_file():
            path.chmod(0o444)
    try:
        for words in CHANGING:
            answer = checks.failure(as_somebody(open_books, *words), 3)
            assert str(open_books.file) in answer["error"]
        checks.success(as_somebody(open_books, *READING[0]))
    finally:
        open_books.folder.chmod(0o755)
        for path in open_books.folder.iterdir():
            if path.is_file():
                path.chmod(0o644)
    assert open_books.state() == before


def test_private_file(books: Shell) -> None:
    """New books are their owner's alone: others can neither read nor write them."""
    assert books.file.stat().st_mode & 0o077 == 0
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    books.folder.chmod(0o755)
    for words in (READING[0], CHANGING[0]):
        checks.failure(as_somebody(books, *words), 3)


def test_folder_that_cannot_be_made(shell: Shell) -> None:
    """Books whose folder cannot be made are told with the path."""
    (shell.folder / "file").touch()
    for place in ("/proc/nowhere/books.db", f"{shell.folder}/file/books.db"):
        answer = checks.failure(shell.run("rate", "set", "--rate=1", environment={"DCA_STORE": f"sqlite:{place}"}), 3)
        assert place in answer["error"]
        checks.failure(shell.run("list", environment={"DCA_STORE": f"sqlite:{place}"}), 3)


@pytest.mark.parametrize("wait", ["0", "0.2", "1"])
@pytest.mark.parametrize("words", CHANGING, ids=" ".join)
def test_locked_by_another_program(wait: str, words: tuple[str, ...], books: Shell) -> None:
    """While another program has the file locked a change waits as long as it may, then is busy: exit status 5."""
    if wait == "1" and words != CHANGING[0]:
        return
    before = books.state()
    with contextlib.closing(sqlite3.connect(books.file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        begin = time.monotonic()
        answer = checks.failure(books.run(*words, f"--wait={wait}"), 5)
        assert answer["code"] == "busy"
        assert float(wait) <= time.monotonic() - begin < float(wait) + 2
        checks.success(books.run("list"))
    assert books.state() == before
    books.ok(*words)


@pytest.mark.parametrize("wait", ["0", "0.3"])
def test_many_writers_before_us(wait: str, books: Shell) -> None:
    """While others queue before us a change waits as long as it may, then is busy."""
    before = books.state()
    with open(f"{books.file}.lock", "w", encoding="utf-8") as queue:  # noqa: PTH123 -- as plain as what it imitates
        fcntl.flock(queue, fcntl.LOCK_EX)
        begin = time.monotonic()
        answer = checks.failure(books.run(*CHANGING[0], f"--wait={wait}"), 5)
        assert "try again" in answer["error"]
        assert float(wait) <= time.monotonic() - begin < float(wait) + 1
        checks.success(books.run("list"))
    assert books.state() == before
    books.ok(*CHANGING[0])


def test_lock_file_that_cannot_be_written(books: Shell) -> None:
    """A folder where the lock file should be is told, not stumbled over."""
    path = books.file.with_name(f"{books.file.name}.lock")
    path.unlink(missing_ok=True)
    path.mkdir()
    checks.failure(books.run(*CHANGING[0]), 3)
    checks.success(books.run("list"))
