"""Keeps books as the present version of dca writes them: python -m tests.backups.versions.

Run it when the layout of SQLite files, the schema of records or the format of backups has got a new version, and commit what
it makes in tests/data/versions; files of earlier versions stay as they are. The tests go through all of them.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca.store import export, sqlite_layout
from dca.store.schema import VERSION
from tests.cli import calls
from tests.cli.shell import Shell, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = Path(__file__).parent.parent / "data" / "versions"
PAGE_BYTES = 512
"""The least SQLite knows: the files are small."""

FURTHER = (
    ("tenant", "payment", "--tenant=acme", "--payment=5", "--key=monday"),
    ("project", "disable", "--project=unused", "-y"),
    ("user", "delete", "--project=rockets", "--user=bob"),
    ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=7", "--estimate=20", "--start=1740830400"),
    ("transaction", "release", "--hold=acme:8:0"),
    ("job", "undo", "-y", f"--batch={calls.BATCH}"),
)
"""What is done to the books beyond what the tests of single commands need: every kind of record is there, and every state."""
QUESTIONS = (
    ("list", "--all"),
    ("rate", "get", "--history"),
    ("transaction", "holds"),
    ("transaction", "list"),
    ("bill", "generate", "--project=rockets", f"--time_period={calls.PERIOD}"),
    ("log", "list"),
)


def answers(shell: Shell) -> dict[str, Any]:
    """Return what books answer to all questions."""
    return {" ".join(words): shell.ok(*words) for words in QUESTIONS}


def fill(shell: Shell) -> None:
    """Do what is to be kept."""
    places = calls.make(shell, closed=False)  # they are opened by other logins
    for words in FURTHER:
        shell.ok(*(places[calls.BATCH].join(word.split(calls.BATCH)) for word in words))


def kept(shell: Shell) -> Iterator[tuple[str, bytes]]:
    """Yield the files to keep, by their names."""
    name = f"layout-{sqlite_layout.LAYOUT}"
    small = shell.folder / "small.db"
    with contextlib.closing(sqlite3.connect(shell.file)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("VACUUM INTO ?", (str(small),))
    with contextlib.closing(sqlite3.connect(small)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    shell.ok("backup", "kept.backup")
    yield f"format-{export.FORMAT}-schema-{VERSION}.gz", (shell.folder / "kept.backup").read_bytes()
    yield f"format-{export.FORMAT}-schema-{VERSION}.json", f"{json.dumps(answers(shell), indent=1)}\n".encode()
    yield f"{name}.db.gz", gzip.compress(small.read_bytes(), mtime=0)
    yield f"{name}.json", f"{json.dumps(answers(shell), indent=1)}\n".encode()


def main() -> None:
    """Make what is not there yet."""
    VERSIONS.mkdir(exist_ok=True)
    with scratch() as folder:
        shell = Shell(folder)
        fill(shell)
        for name, content in kept(shell):
            if not (VERSIONS / name).exists():
                (VERSIONS / name).write_bytes(content)


if __name__ == "__main__":
    main()
