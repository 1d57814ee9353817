"""The harness in its short form: a small round of each kind, half of them with seeds that are new in each run.

`make torture` plays large ones for as long as one likes.
"""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING

import pytest

from tests.torture.crash import crash
from tests.torture.figures import Figures
from tests.torture.hooks import hooks
from tests.torture.lines import lines
from tests.torture.race import Manner, race
from tests.torture.site import ELASTICSEARCH, SQLITE
from tests.torture.trouble import faulty
from tests.torture.world import blocked, clocks, disks

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
    assert figures.counts["SQLite: kills"] > 0


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


def test_lines_and_whole_books(near: Site, figures: Figures) -> None:
    """Batches, backups, restores and copies that are killed on the way are taken up again."""
    lines(SQLITE, SEEDS[1], near, figures, jobs=8)
    done = [figures.counts[f"SQLite: {what}"] for what in ("lines of batches", "backups", "restores", "copies")]
    assert done == [16, 1, 1, 1]


def test_a_faulty_network(distant: Site, figures: Figures) -> None:
    """Behind a proxy that loses, repeats and breaks off, writers get true answers."""
    faulty(SEEDS[1], distant, figures, writers=8)
    assert figures.counts["Elasticsearch behind a faulty proxy: answers explained"] > 8


def test_slurm_hooks(near: Site, figures: Figures) -> None:
    """Jobs whose hooks run at once, and are killed now and then, are charged once."""
    hooks(SQLITE, SEEDS[1], near, figures, jobs=6)
    assert figures.counts["hooks on SQLite: jobs"] == 6


def test_disks(near: Site, figures: Figures) -> None:
    """A full disk, and a file system that turns read-only, are said in a sentence, and nothing is lost."""
    disks(SEEDS[1], near, figures)
    if figures.notes:
        pytest.skip(next(iter(figures.notes)))


def test_blocked_indices(distant: Site, figures: Figures) -> None:
    """Indices that Elasticsearch blocks, since its disks are full, are said in a sentence, and nothing is lost."""
    blocked(distant, figures)


@pytest.mark.parametrize("store", [SQLITE, ELASTICSEARCH])
def test_clocks_set_back(store: str, distant: Site, figures: Figures) -> None:
    """Time never goes back in the log, and a clock far behind is refused with both times."""
    clocks(store, SEEDS[1], distant, figures)
