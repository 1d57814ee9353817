"""Books that are destroyed while somebody else has them open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dca.store.sqlite import SqliteStore
from tests.contract.deeds import add_tenant, pay

if TYPE_CHECKING:
    from pathlib import Path


def test_who_has_destroyed_books_open_writes_to_the_new_ones(tmp_path: Path) -> None:
    """What is acknowledged after a wipe is in the new books, not in the file that is gone."""
    path = tmp_path / "books.db"
    lasting, other = SqliteStore(path), SqliteStore(path)
    lasting.write(add_tenant("acme"))
    other.wipe()
    other.setup()
    lasting.write(add_tenant("acme"))
    lasting.write(pay("acme", 5))
    assert len(other.entries("t:acme", 1, 10)) == 2
    lasting.close()
    other.close()
