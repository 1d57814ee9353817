"""The harness in its short form: a small round of each kind, half of them with seeds that are new in each run.

`make torture` plays large ones for as long as one likes.
"""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING

import pytest

from tests.torture.crash import crash
from tests.torture.figures import Figures
from tests.torture.race import Manner, race
from tests.torture.site import ELASTICSEARCH, SQLITE

if TYPE_CHECKING:
    from tests.torture.site import Site

SEEDS = (1, SystemRandom().randrange(1, 10**8))


@pytest.fixture(params=SEEDS, ids=("fixed", "fresh"))
def seed(request: pytest.FixtureRequest) -> int:
    """Return a seed; a failed test shows it among its arguments."""
    found: int = request.param
    return found


@pytest.fixture
def figures() -> Figures:
    """Return what counts."""
    return Figures()


def test_killed_and_sent_again(seed: int, near: Site, figures: Figures) -> None:
    """On SQLite, commands that are killed anywhere are done or not, and sent again they are done once."""
    crash(SQLITE, seed, near, figures, steps=25)
    assert figures.counts["SQLite: kills"] > 3


def test_killed_and_sent_again_elasticsearch(seed: int, distant: Site, figures: Figures) -> None:
    """On Elasticsearch, too."""
    crash(ELASTICSEARCH, seed, distant, figures, steps=16)
    assert figures.counts["Elasticsearch: kills"] > 0


def test_the_history_of_many_writers(seed: int, near: Site, figures: Figures) -> None:
    """64 writers on SQLite, some of them killed: there is an order of all they did that explains every answer."""
    race(SQLITE, seed, near, figures, Manner(writers=64, commands=2, tenants=1))
    assert figures.counts["SQLite: answers explained"] > 64


def test_the_history_of_many_writers_elasticsearch(seed: int, distant: Site, figures: Figures) -> None:
    """On Elasticsearch, too."""
    race(ELASTICSEARCH, seed, distant, figures, Manner(writers=12, commands=3, tenants=2))
    assert figures.counts["Elasticsearch: answers explained"] > 12
