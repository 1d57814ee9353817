"""What makes empty stores for histories, each time one."""

from __future__ import annotations

from itertools import count, cycle
from typing import TYPE_CHECKING

from tests.model.side import Side, elastic_at, sqlite_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.elastic.server import BookServer


def sqlite_sides(folder: Path) -> Callable[[], Sequence[Side]]:
    """Return what makes an empty SQLite store, each time another."""
    numbers = count()
    return lambda: [Side("SQLite", sqlite_at(folder / f"{next(numbers)}.db"))]


def distant_sides(one: BookServer, other: BookServer) -> Callable[[], Sequence[Side]]:
    """Return what makes an empty Elasticsearch store, of two sets of indices by turns."""
    turns = cycle(((one, other), (other, one)))

    def sides() -> Sequence[Side]:
        ready, used = next(turns)
        store = elastic_at(ready.address)
        for server in (ready, used):
            if not server.is_forgetful():  # the history before has destroyed them
                with server.store() as maker:
                    maker.setup()
                server.forget_quickly()
        used.delete_all()
        ready.empty()
        return [Side("Elasticsearch", store)]

    return sides
