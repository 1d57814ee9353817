"""Jobs to measure with: as sacct would list them, and the same ones in every run."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

YEAR = 2024
DAY_SECONDS = 86_400
LAST_SECONDS = 360 * DAY_SECONDS
"""All jobs end in the one year, whatever their number."""
USERS = 50
COLUMNS = ("JobIDRaw", "Cluster", "User", "Account", "Partition", "State", "Submit", "Start", "End", "ElapsedRaw", "AllocCPUS",
           "NNodes", "JobName")  # fmt: skip
STATES = ("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED by 1000")
CORES = (1, 1, 2, 4, 8, 16, 32, 64, 128)


def user(number: int) -> str:
    """Return the login of one of the users."""
    return f"user{number % USERS:02d}"


@cache
def _day(number: int) -> str:
    return (date(YEAR, 1, 1) + timedelta(days=number)).isoformat()


def _time(seconds: int) -> str:
    """Return a moment of the year as sacct writes it."""
    day, rest = divmod(seconds, DAY_SECONDS)
    return f"{_day(day)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def lines(count: int, account: str) -> Iterator[str]:
    """Yield a log of sacct -P: its header, and a line for each of so many jobs of an account."""
    yield "|".join(COLUMNS) + "\n"
    for number in range(count):
        mixed = (number * 2_654_435_761) >> 7  # spreads users, cores and times without chance
        elapsed = 30 + mixed % 86_000
        submitted = number * LAST_SECONDS // count
        started = submitted + mixed % 3_000
        times = map(_time, (submitted, started, started + elapsed))
        cores = CORES[mixed % len(CORES)]
        yield "|".join((
            str(1_000_000 + number), "bench", user(mixed), account, "batch", STATES[mixed % len(STATES)], *times,
            str(elapsed), str(cores), str(1 + cores // 64), f"job{number}",
        )) + "\n"  # fmt: skip


def write(path: Path, count: int, account: str) -> None:
    """Write such a log."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines(count, account))
