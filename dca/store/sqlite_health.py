"""An examination of books in a SQLite file: it only reads, and needs no more rights than that."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing
from typing import TYPE_CHECKING

from dca.store.health import FAILED, NOTE, WARNING, Finding, amount, clocks, ok, space
from dca.store.sqlite_layout import LAYOUT, ddl, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IN_MEMORY = ("tmpfs", "ramfs")
WAL_LARGE = 256 << 20
FULL = 2
"""PRAGMA synchronous: every commit is on the disk when it is acknowledged."""
MENDED = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""Where SQLite no longer has the WAL-reset race: from the first on, and from the others on within their series."""
STEPS = 100_000
"""Steps of SQLite's machine between two looks at the clock."""


def library() -> Finding:
    """Judge SQLite's library."""
    version = sqlite3.sqlite_version_info
    mended = version >= MENDED[0] or any(version[:2] == one[:2] and version >= one for one in MENDED[1:])
    if mended:
        return ok("library", f"SQLite {sqlite3.sqlite_version}")
    return Finding(
        "library",
        NOTE,
        f"SQLite {sqlite3.sqlite_version} has a very rare race (sqlite.org/wal.html#walresetbug)",
        "update it to 3.51.3 (3.50.7, 3.44.6) or newer when you can",
    )


def of_the_disk(path: Path, *, kind: str, remote: bool, network_allowed: bool) -> Iterator[Finding]:
    """Judge the file system that the books are, or will be, on: there need be no books yet."""
    if remote:
        state = WARNING if network_allowed else FAILED
        yield Finding(
            "file_system",
            state,
            f"a network file system ({kind})",
            "keep the books on a local disk: WAL is unsafe here",
        )
    elif kind in IN_MEMORY:
        yield Finding(
            "file_system", WARNING, f"in memory ({kind}): gone when the machine stops", "keep the books on a disk"
        )
    else:
        yield ok("file_system", f"{kind or 'of unknown kind'}, local")
    folder = next(one for one in (path.parent, *path.parents) if one.exists())
    room = os.statvfs(folder)
    size = path.stat().st_size if path.exists() else 0
    free = room.f_bavail * room.f_frsize
    yield space("disk", f"on the file system of {folder}; the books have {amount(size)}", free=free, needed=2 * size)


def of_the_file(path: Path) -> Iterator[Finding]:
    """Judge who may read and write the books."""
    mode = stat.S_IMODE(path.stat().st_mode)
    found = f"{path} has mode {mode:04o}"
    if mode & stat.S_IWOTH:
        yield Finding("file_mode", FAILED, f"{found}: everybody may write the books", f"chmod o-rwx {path}")
    elif mode & stat.S_IROTH:
        yield Finding("file_mode", WARNING, f"{found}: everybody may read the books", f"chmod o-rwx {path}")
    else:
        yield ok("file_mode", found)
    missing = [what for what, place in (("file", path), ("folder", path.parent)) if not os.access(place, os.W_OK)]
    if missing:
        yield Finding(
            "rights",
            NOTE,
            f"you may read the books and not change them (the {' and the '.join(missing)} cannot be written)",
            "whoever books needs write permission on the file, its folder and the lock file",
        )
    else:
        yield ok("rights", "you may read and write the books")


def of_the_books(connection: sqlite3.Connection, path: Path, *, now: int, seconds: float) -> Iterator[Finding]:
    """Judge what is in the file, through a connection opened as for every command."""
    yield _layout(connection)
    yield from _durability(connection, path)
    yield _heads(connection)
    (last,) = connection.execute("SELECT max(time) FROM head").fetchone()
    if last is None:
        yield Finding("clock", NOTE, "no entry to compare the own clock with yet")
    else:
        behind = max(0, last - now)
        found = ok("clock", "no entry is later than our own clock")
        yield clocks("clock", "the newest entry", behind) if behind else found
    yield _integrity(connection, seconds)


def _tables(connection: sqlite3.Connection) -> dict[str, list[tuple[str, ...]]]:
    """Return the columns of each table, and the columns of each index, by name."""
    found = {}
    query = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite_%'"
    for kind, name in connection.execute(query).fetchall():
        if kind == "table":
            rows = connection.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (name,))
        else:
            rows = connection.execute("SELECT name FROM pragma_index_info(?)", (name,))
        found[f"{kind} {name}"] = [tuple(map(str, row)) for row in rows]
    return found


def _layout(connection: sqlite3.Connection) -> Finding:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for statement in ddl():
            model.execute(statement)
        wanted = _tables(model)
    layout = layout_of(connection)
    present = _tables(connection)
    wrong = [name for name in wanted if present.get(name) != wanted[name]]
    if layout < LAYOUT:
        return Finding(
            "layout", NOTE, f"layout {layout}, which dca can work on; it makes {LAYOUT} today", "run dca setup"
        )
    if wrong:
        what = "is missing" if wrong[0] not in present else "is not as dca made it"
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return Finding("layout", FAILED, f"{wrong[0]} {what}{more}", "restore the books from a backup")
    further = sorted(present.keys() - wanted.keys())
    if further:
        return Finding("layout", NOTE, f"layout {layout}; {further[0]} is not of dca", "keep other tables elsewhere")
    return ok("layout", f"layout {layout}, every table and index as dca makes them")


def _durability(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    found = f"journal {journal}, synchronous {('off', 'normal', 'full', 'extra')[synchronous]}"
    if synchronous < FULL:
        yield Finding(
            "durability", FAILED, found, "a power failure can lose commits: report this, dca sets full itself"
        )
    elif journal != "wal":
        yield Finding(
            "durability",
            WARNING,
            found,
            f"readers and writers block each other: sqlite3 {path} 'PRAGMA journal_mode=wal'",
        )
    else:
        yield ok("durability", f"{found}: a commit is on the disk when it is acknowledged")
    wal = path.with_name(f"{path.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > WAL_LARGE:
        yield Finding(
            "wal",
            WARNING,
            f"the write-ahead log has {amount(size)}",
            "look for a program that reads the books for hours",
        )


def _heads(connection: sqlite3.Connection) -> Finding:
    """See that each stream ends where its head says; on SQLite both are of one transaction."""
    wrong = connection.execute(
        "SELECT stream FROM head WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.stream = head.stream AND log.seq = head.seq"
        " AND log.hash = head.hash) OR EXISTS (SELECT 1 FROM log WHERE log.stream = head.stream AND log.seq = head.seq + 1)"
    ).fetchall()
    (count,) = connection.execute("SELECT count(*) FROM head").fetchone()
    if wrong:
        found = f"{len(wrong)} of {count} streams do not end where their head says, the first is {wrong[0][0]}"
        return Finding("heads", FAILED, found, "run dca log verify")
    return ok("heads", f"{count} streams end where their heads say")


def _integrity(connection: sqlite3.Connection, seconds: float) -> Finding:
    """Let SQLite check the pages of the file, for as long as the command may take."""
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        answers = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return Finding(
            "integrity", NOTE, f"not all pages were checked in {seconds:g} s", "raise --wait to check them all"
        )
    finally:
        connection.set_progress_handler(None, 0)
    if answers != ["ok"]:
        return Finding(
            "integrity", FAILED, answers[0].splitlines()[-1], "stop writing and restore the books from a backup"
        )
    return ok("integrity", "quick_check finds nothing wrong")
