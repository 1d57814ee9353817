"""What a charge writes to the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.shell import Shell

CHARGE = ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=1")
FRAME_BYTES = 4_096 + 24
PAGES_MAX = 13
"""The log and a transaction with their indexes, tenant, project, head, and a page that fills up now and then."""


def test_a_charge_writes_few_pages(books: Shell) -> None:
    """A record in the place of an older one leaves the indexes as they are: three pages less to sync."""
    with contextlib.closing(sqlite3.connect(books.file)) as other:
        other.execute("SELECT count(*) FROM log").fetchone()  # whoever is last to close the file empties its log
        books.ok(*CHARGE)
        log = Path(f"{books.file}-wal")
        before = log.stat().st_size
        for _ in range(8):
            books.ok(*CHARGE)
        assert (log.stat().st_size - before) / FRAME_BYTES / 8 <= PAGES_MAX
