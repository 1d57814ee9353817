"""The moment that --as-of names: clocks, zones, and what lies before and ahead of the books."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import BY_WORDS
from dca.config import Settings
from dca.core.clock import HOUR, iso
from dca.core.errors import DcaError, NotFoundError, UsageError
from dca.engine import Surroundings, run
from dca.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_774_746_000_000
"""2026-03-29 01:00:00 UTC, the moment at which the clocks of Berlin go from 2 to 3."""
SETTINGS = Settings("", "", "", "", "", "", "", "", network_file_system=False, source="")
AHEAD = 300_000


class Site:
    """Books in memory, and a clock that can be set."""

    def __init__(self) -> None:
        """Begin with a site in Berlin."""
        self.store = MemoryStore()
        self.now = NOW - 48 * HOUR
        self.numbers = count()
        self.dca("setup", {"--timezone": "Europe/Berlin"})

    def dca(self, words: str, options: Mapping[str, str | bool]) -> dict[str, Any]:
        """Run a command."""
        around = Surroundings(
            store=self.store,
            place="the books",
            settings=SETTINGS,
            now=lambda: self.now,
            draw=lambda: str(next(self.numbers)),
            confirm=lambda _: None,
            progress=lambda _, __: None,
            write_config=lambda: None,
        )
        return run(around, BY_WORDS[words], options)

    def paid(self, as_of: str) -> str:
        """Return what the tenant had at a moment, or the code of the error."""
        try:
            (tenant,) = self.dca("list", {"--as-of": as_of})["list"]
        except DcaError as error:
            return error.code
        return str(tenant["balance"])


@pytest.fixture
def site() -> Site:
    """Return books with a payment of a dollar in every hour around the change of clocks, the last one hour ago."""
    site = Site()
    for hour in range(-4, 4):
        site.now = NOW + hour * HOUR
        if hour == -4:
            site.dca("tenant add", {"--tenant": "acme"})
        site.dca("tenant payment", {"--tenant": "acme", "--payment": "1"})
    site.now += HOUR
    return site


@pytest.mark.parametrize(
    ("as_of", "paid"),
    [
        ("2026-03-28 21:59:59", "not_found"),
        ("2026-03-28 22:00:00", "1"),
        ("2026-03-29", "3"),
        ("2026-03-29 01:59:59", "4"),
        ("2026-03-29 02:00:00", "usage"),
        ("2026-03-29 02:59:59", "usage"),
        ("2026-03-29 03:00", "5"),
        ("2026-03-29 03:59:59", "5"),
        ("2026-03-29 04:00:00", "6"),
        ("2026-03-29T02:00:00Z", "6"),
        ("2026-03-29T01:59:59.999Z", "5"),
        ("2026-03-29T04:00:00.000+02:00", "6"),
        (str(NOW // 1000), "5"),
        (str(NOW // 1000 - 1), "4"),
        (f" {NOW // 1000} ", "5"),
        (f"{NOW // 1000}.5", "usage"),
        ("2011-01-01", "not_found"),
    ],
)
def test_moments(as_of: str, paid: str, site: Site) -> None:
    """In the site's zone, in another, in epoch seconds; an entry counts from its millisecond on."""
    assert site.paid(as_of) == paid


def test_the_present_reaches_a_little_ahead(site: Site) -> None:
    """Clocks differ; what lies further ahead is refused, and the answer says what was understood."""
    assert site.dca("list", {"--as-of": iso(site.now)}) == {**site.dca("list", {}), "as_of": iso(site.now)}
    for ahead in (1, AHEAD):
        assert site.dca("list", {"--as-of": iso(site.now + ahead)})["as_of"] == iso(site.now)
    with pytest.raises(UsageError, match="lies in the future"):
        site.dca("list", {"--as-of": iso(site.now + AHEAD + 1)})
    with pytest.raises(UsageError, match="lies in the future"):
        site.dca("log show", {"--as-of": iso(site.now + AHEAD + 1)})


def test_entries_from_a_clock_ahead_of_ours(site: Site) -> None:
    """They are in the present books, so they are in those of now; a moment before them does not show them."""
    ours = site.now
    site.now += 60_000
    site.dca("tenant payment", {"--tenant": "acme", "--payment": "1"})
    site.now = ours
    assert site.dca("list", {})["list"] == site.dca("list", {"--as-of": iso(ours)})["list"]
    assert site.paid(iso(ours)) == "9"
    assert site.paid(iso(ours - 1)) == "8"
    site.dca("tenant payment", {"--tenant": "acme", "--payment": "1"})  # its time is that of the entry before it
    assert site.paid(iso(ours - 1)) == "8"


def test_the_zone_is_the_present_one(site: Site) -> None:
    """Of two zones that a site had, a time is read in the one it has now."""
    assert site.paid("2026-03-29 05:00:00") == "7"
    site.dca("setup", {"--timezone": "UTC"})
    assert site.paid("2026-03-29 03:00:00") == "7"
    shown = site.dca("log show", {"--as-of": "2026-03-29 03:00:00", "--kind": "site"})
    assert shown["records"][0]["zone"] == "Europe/Berlin"


def test_what_is_not_there_yet(site: Site) -> None:
    """The sentence says of which moment it speaks."""
    site.dca("project add", {"--project": "late", "--tenant": "acme"})
    for words, options in (("list", {"--project": "late"}), ("project show", {"--project": "late"})):
        with pytest.raises(NotFoundError) as told:
            site.dca(words, {**options, "--as-of": "2026-03-29"})
        assert told.value.sentence.startswith("as of 2026-03-28T23:00:00Z: there is no project 'late'")
    assert site.dca("rate get", {"--as-of": "2011-01-01"})["rate"].micro == 0
