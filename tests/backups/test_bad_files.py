"""What may stand where a backup should be, or where one should go: one sentence each, and nothing is changed."""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.cli import checks
from tests.cli.shell import Shell, as_somebody, room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def cut(path: Path) -> None:
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[:-20])


def flipped(path: Path) -> None:
    """Turn a bit round in a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def folder_in_its_place(path: Path) -> None:
    """Put a folder where the file was."""
    path.unlink()
    path.mkdir()


STRANGE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "missing": (lambda path: path.unlink(), 2, "No such file"),
    "folder": (folder_in_its_place, 2, "is no file"),
    "empty": (lambda path: path.write_bytes(b""), 3, "is no backup of dca"),
    "text": (lambda path: path.write_text("stream\n"), 3, "is no backup of dca"),
    "foreign": (lambda path: path.write_bytes(gzip.compress(b"JobID|State\n")), 3, "is no backup of dca"),
    "cut short": (cut, 3, "is damaged"),
    "bit flipped": (flipped, 3, "is damaged"),
    "newer": (
        lambda path: path.write_bytes(gzip.compress(b'{"dca":"backup","format":2,"schema":1}\n')),
        3,
        "was made by a newer dca",
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_no_backup(strange: str, sqlite: Shell) -> None:
    """What is no backup is told by its name, by each command that reads one."""
    sqlite.ok("backup", "a.backup")
    spoil, status, reason = STRANGE[strange]
    spoil(sqlite.folder / "a.backup")
    other = Shell(sqlite.folder, f"sqlite:{sqlite.folder / 'other.db'}")
    for words in (("backup", "check"), ("restore",), ("restore", "--dry-run"), ("log", "verify", "--file")):
        call = [*words, "a.backup"] if words[-1] != "--file" else [*words[:-1], "--file=a.backup"]
        error = checks.failure(other.run(*call), status)["error"]
        assert reason in error
        assert "a.backup" in error
    assert not other.file.exists()


@pytest.mark.parametrize("name", ["", "-", ".", "nowhere/a.backup", "x" * 300, "/dev/full", "/dev/null", "books.db/x"])
def test_no_place_for_a_backup(name: str, sqlite: Shell) -> None:
    """What is no place for a file is told, and stays what it is."""
    before = sorted(sqlite.folder.iterdir())
    for words in (("backup",), ("backup", "--overwrite")):
        checks.failure(sqlite.run(*words, name), 2)
    assert sorted(sqlite.folder.iterdir()) == before


def test_never_over_the_books(sqlite: Shell) -> None:
    """The books themselves, and whatever else is no backup, are not replaced by one."""
    before = sqlite.state()
    (sqlite.folder / "empty").touch()
    for name in ("books.db", "jobs.txt"):
        checks.failure(sqlite.run("backup", name), 1)
        assert "is no backup" in checks.failure(sqlite.run("backup", "--overwrite", name), 2)["error"]
    assert sqlite.state() == before
    sqlite.ok("backup", "--overwrite", "empty")
    sqlite.ok("backup", "--overwrite", "empty")


def test_full_disk(sqlite: Shell) -> None:
    """Where there is no room nothing is left of the backup, and the one before stays."""
    sqlite.ok("backup", "a.backup")
    kept = (sqlite.folder / "a.backup").read_bytes()
    with contextlib.closing(sqlite3.connect(sqlite.file)) as connection:
        connection.execute("SELECT count(*) FROM log")  # the files beside the books are there, and need no room
        before = sorted(sqlite.folder.iterdir())
        with room(1000):
            for words in (("backup", "b.backup"), ("backup", "--overwrite", "a.backup")):
                assert "cannot be written" in checks.failure(sqlite.run(*words), 2)["error"]
        assert sorted(sqlite.folder.iterdir()) == before
    assert (sqlite.folder / "a.backup").read_bytes() == kept


def test_other_people(sqlite: Shell) -> None:
    """Others read neither books nor backups, and where they may not write they cannot put any."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    sqlite.ok("backup", "a.backup")
    sqlite.folder.chmod(0o755)
    checks.failure(as_somebody(sqlite, "backup", "check", "a.backup"), 2)
    checks.failure(as_somebody(sqlite, "backup", "b.backup"), 3)
    (sqlite.folder / "a.backup").chmod(0o644)
    other = {"DCA_STORE": f"sqlite:{sqlite.folder}/other.db"}
    checks.failure(as_somebody(sqlite, "restore", "a.backup", environment=other), 3)
    assert checks.success(as_somebody(sqlite, "backup", "check", "a.backup"))
