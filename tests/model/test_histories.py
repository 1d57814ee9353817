"""Random histories agree on all stores, and with a second writing of the rules.

A history that fails prints its seed; DCA_MODEL_SEED=<seed> runs that one alone. DCA_MODEL_HISTORIES=<n> sets how many run.
"""

from __future__ import annotations

import os
from itertools import count
from random import SystemRandom
from typing import TYPE_CHECKING

import pytest

from tests.model.history import Hall
from tests.model.side import Side, elastic_at, sqlite_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.elastic.server import BookServer

SEED = os.environ.get("DCA_MODEL_SEED", "")
HISTORIES = int(os.environ.get("DCA_MODEL_HISTORIES", "300"))
BLOCK = 10
DISTANT_HISTORIES = 16
DISTANT_LENGTH = 60
FRESH_SEEDS_FROM = 1_000_000
REFUSED_MOST = 0.45
JUDGED_LEAST = 0.6


def sqlite_sides(folder: Path) -> Callable[[], Sequence[Side]]:
    """Return what makes an empty SQLite store, each time another."""
    numbers = count()
    return lambda: [Side("SQLite", sqlite_at(folder / f"{next(numbers)}.db"))]


def seeds_of(block: int) -> list[int]:
    """Return the seeds of a block: those of every second block are the same in all runs, the others new in each."""
    if SEED:
        return [int(SEED)] if block == 0 else []
    if block % 2 == 0:
        return list(range(block * BLOCK, (block + 1) * BLOCK))
    return [SystemRandom().randrange(FRESH_SEEDS_FROM, 10**9) for _ in range(BLOCK)]


@pytest.mark.parametrize("block", range(1 if SEED else max(1, HISTORIES // BLOCK)))
def test_memory_sqlite_and_the_rules_agree(block: int, swift: Path) -> None:
    """Answers, errors, records, log and money are the same; most steps do something, and the rules foretell most."""
    hall = Hall(swift, sqlite_sides(swift))
    for seed in seeds_of(block):
        hall.try_history(seed)
    if not SEED:
        assert hall.refused < REFUSED_MOST * hall.steps, "most steps should be possible"
        assert hall.judged > JUDGED_LEAST * hall.steps, "the rules should foretell most steps"


@pytest.mark.parametrize("seed", [int(SEED)] if SEED else range(DISTANT_HISTORIES))
def test_elasticsearch_agrees_too(seed: int, swift: Path, lasting_server: BookServer) -> None:
    """On a real Elasticsearch the same histories, cut short, have the same answers, errors, records and log."""

    def others() -> Sequence[Side]:
        store = elastic_at(lasting_server.address)
        store.setup()  # the history before may have destroyed them
        lasting_server.forget_quickly()
        lasting_server.empty()
        return [Side("Elasticsearch", store)]

    try:
        Hall(swift, others, length=None if SEED else DISTANT_LENGTH).try_history(seed)
    finally:
        for side in others():
            side.store.close()
