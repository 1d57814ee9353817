"""Jobs to measure with: as sacct would list them, and the same ones in every run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

YEAR = 2024
FIRST = datetime(YEAR, 1, 1, tzinfo=UTC)
LAST_SECONDS = 360 * 86_400
"""All jobs end in the one year, whatever their number."""
USERS = 50
COLUMNS = ("JobIDRaw", "Cluster", "User", "Account", "Partition", "State", "Submit", "Start", "End", "ElapsedRaw", "AllocCPUS",
           "NNodes", "JobName")  # fmt: skip
STATES = ("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED by 1000")
CORES = (1, 1, 2, 4, 8, 16, 32, 64, 128)


def user(number: int) -> str:
    """Return the login of one of the users."""
    return f"user{number % USERS:02d}"


def lines(count: int, account: str) -> Iterator[str]:
    """Yield a log of sacct -P: its header, and a line for each of so many jobs of an account."""
    yield "|".join(COLUMNS) + "\n"
    for number in range(count):
        mixed = (number * 2_654_435_761) >> 7  # spreads users, cores and times without chance
        elapsed = 30 + mixed % 86_000
        submitted = FIRST + timedelta(seconds=number * LAST_SECONDS // count)
        started = submitted + timedelta(seconds=mixed % 3_000)
        times = (f"{one:%Y-%m-%dT%H:%M:%S}" for one in (submitted, started, started + timedelta(seconds=elapsed)))
        cores = CORES[mixed % len(CORES)]
        yield "|".join((
            str(1_000_000 + number), "bench", user(mixed), account, "batch", STATES[mixed % len(STATES)], *times,
            str(elapsed), str(cores), str(1 + cores // 64), f"job{number}",
        )) + "\n"  # fmt: skip


def write(path: Path, count: int, account: str) -> None:
    """Write such a log."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines(count, account))
