"""Random histories without kills, as in `make test`, on Elasticsearch now and then at their full length as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.history import Hall
from tests.model.sides import distant_sides, sqlite_sides
from tests.torture.site import SQLITE

if TYPE_CHECKING:
    from tests.torture.figures import Figures
    from tests.torture.site import Site

AT_ONCE = {SQLITE: 50}
DISTANT_AT_ONCE = 5
DISTANT_LENGTH = 40
SEEDS_APART = 1_000


def histories(store: str, seed: int, site: Site, figures: Figures) -> None:
    """Play some histories; one that fails is cut down, and its own seed is told."""
    with site.folder() as folder:
        hall = Hall(folder, sqlite_sides(folder) if store == SQLITE else distant_sides(*site.servers))
        for number in range(AT_ONCE.get(store, DISTANT_AT_ONCE)):
            hall.length = DISTANT_LENGTH if number and store != SQLITE else None
            report = hall.report_of(seed * SEEDS_APART + number)
            assert not report, report
            figures.add(f"{store}: random histories")
        figures.add(f"{store}: steps of random histories", hall.steps)
