"""The kinds of rounds that the harness plays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tests.torture import hooks
from tests.torture.crash import crash
from tests.torture.histories import histories
from tests.torture.lines import lines
from tests.torture.race import race
from tests.torture.site import ELASTICSEARCH, SQLITE
from tests.torture.trouble import faulty, nodes
from tests.torture.world import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.figures import Figures
    from tests.torture.site import Site


class Kind(NamedTuple):
    """A kind of rounds: its name, how much of the time of its lane it gets, and what plays a round of it."""

    name: str
    share: float
    play: Callable[[int, Site, Figures], None]

    @property
    def distant(self) -> bool:
        """Tell whether it needs an Elasticsearch; those that do not are played beside those that do."""
        return not self.name.endswith("-sqlite")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("crash-sqlite", 2, partial(crash, SQLITE)),
        Kind("crash-elasticsearch", 3, partial(crash, ELASTICSEARCH)),
        Kind("lines-sqlite", 0.5, partial(lines, SQLITE)),
        Kind("lines-elasticsearch", 0.5, partial(lines, ELASTICSEARCH)),
        Kind("race-sqlite", 1, partial(race, SQLITE)),
        Kind("race-elasticsearch", 2, partial(race, ELASTICSEARCH)),
        Kind("world", 0.5, world),
        Kind("hooks", 1, hooks.play),
        Kind("proxy", 1, faulty),
        Kind("nodes", 3, nodes),
        Kind("histories-sqlite", 4, partial(histories, SQLITE)),
        Kind("histories-elasticsearch", 5, partial(histories, ELASTICSEARCH)),
    )
}
