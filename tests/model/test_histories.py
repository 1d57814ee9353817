"""Random histories agree on all stores, and with a second writing of the rules.

A history that fails prints its seed; DCA_MODEL_SEED=<seed> runs that one alone. DCA_MODEL_HISTORIES=<n> sets how many run
on SQLite, DCA_MODEL_DISTANT_HISTORIES=<n> on Elasticsearch.
"""

from __future__ import annotations

import os
from random import SystemRandom
from typing import TYPE_CHECKING

import pytest

from tests.model.history import Hall
from tests.model.sides import distant_sides, sqlite_sides

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elastic.server import BookServer

SEED = os.environ.get("DCA_MODEL_SEED", "")
HISTORIES = int(os.environ.get("DCA_MODEL_HISTORIES", "1000"))
DISTANT_HISTORIES = int(os.environ.get("DCA_MODEL_DISTANT_HISTORIES", "100"))
BLOCK = 20
DISTANT_BLOCK = 5
DISTANT_LENGTH = 40
FRESH_SEEDS_FROM = 1_000_000
REFUSED_MOST = 0.45
JUDGED_LEAST = 0.6


def seeds_of(block: int, size: int) -> list[int]:
    """Return the seeds of a block: those of every second block are the same in all runs, the others new in each."""
    if SEED:
        return [int(SEED)] if block == 0 else []
    if block % 2 == 0:
        return list(range(block * size, (block + 1) * size))
    return [SystemRandom().randrange(FRESH_SEEDS_FROM, 10**9) for _ in range(size)]


@pytest.mark.parametrize("block", range(1 if SEED else max(1, HISTORIES // BLOCK)))
def test_memory_sqlite_and_the_rules_agree(block: int, swift: Path) -> None:
    """Answers, errors, records, log and money are the same; most steps do something, and the rules foretell most."""
    hall = Hall(swift, sqlite_sides(swift))
    for seed in seeds_of(block, BLOCK):
        hall.try_history(seed)
    if not SEED:
        assert hall.refused < REFUSED_MOST * hall.steps, "most steps should be possible"
        assert hall.judged > JUDGED_LEAST * hall.steps, "the rules should foretell most steps"
        assert hall.moments > BLOCK, "most histories should look back at what was"


@pytest.mark.parametrize("block", range(1 if SEED else max(1, DISTANT_HISTORIES // DISTANT_BLOCK)))
def test_elasticsearch_agrees_too(block: int, swift: Path, two_lasting_servers: tuple[BookServer, BookServer]) -> None:
    """On a real Elasticsearch the same histories, cut short, have the same answers, errors, records and log."""
    hall = Hall(swift, distant_sides(*two_lasting_servers), length=None if SEED else DISTANT_LENGTH)
    for seed in seeds_of(block, DISTANT_BLOCK):
        hall.try_history(seed)
