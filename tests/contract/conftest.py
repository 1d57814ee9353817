"""Empty books in each of the stores."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dca.store.memory import MemoryStore
from dca.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dca.store.port import Store


@pytest.fixture(params=["memory", "sqlite", "elasticsearch"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return empty books, one store after the other."""
    with ExitStack() as stack:
        store: Store = MemoryStore()
        if request.param == "sqlite":
            store = SqliteStore(tmp_path / "books.db")
            store.setup()
        elif request.param == "elasticsearch":
            store = stack.enter_context(request.getfixturevalue("emptied_server").store())
        stack.callback(store.close)
        yield store
