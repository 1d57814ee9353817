"""What the histories found, and was mended: each defect as a few commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.shell import Shell
from tests.model.steps import COLUMNS, Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUN = Run(
    cluster="lab",
    job="1",
    account="p",
    user="anna",
    submit=1_700_000_000,
    start=1_700_000_000,
    elapsed=60,
    cores=1,
    nodes=1,
)
YEARS = 10**11


@pytest.fixture
def books(swift: Path) -> Shell:
    """Return books with a project that has money, and a user in it."""
    shell = Shell(swift)
    shell.ok("tenant", "add", "--tenant=acme", "--credit=100")
    shell.ok("project", "add", "--project=p", "--tenant=acme", "--credit=100")
    shell.ok("user", "add", "--project=p", "--user=anna")
    return shell


def bring(books: Shell, runs: Sequence[Run], *options: str) -> dict[str, Any]:
    """Import jobs."""
    log = books.folder / "log.txt"
    log.write_text("\n".join([COLUMNS, *(run.line for run in runs)]) + "\n", encoding="utf-8")
    return books.ok("job", "import", str(log), *options)


def test_a_hold_outlives_a_record_that_cannot_be_booked(books: Shell) -> None:
    """A job whose first record costs more than dca can hold keeps its hold for the record that can be booked."""
    books.ok("rate", "set", "--rate=3600")
    books.ok("transaction", "reservebudget", "--project=p", "--estimate=60", f"--job={RUN.key}")
    answer = bring(books, [RUN._replace(elapsed=8 * 10**9 + 1), RUN])
    assert (answer["charged"], answer["rejected"]) == (1, 1)
    assert books.ok("project", "show", "--project=p")["project"]["held"] == 0


@pytest.mark.parametrize(("cores", "charged"), [(10**8, 1), (10**8 + 1, 0), (10**9, 0)])
def test_a_job_of_more_seconds_than_there_are(books: Shell, cores: int, charged: int) -> None:
    """A job that costs nothing, but is beyond all measure, is rejected as it would be for a hook."""
    answer = bring(books, [RUN._replace(elapsed=10_000, cores=cores)])
    assert (answer["charged"], answer["rejected"]) == (charged, 1 - charged)


def test_a_job_that_ends_after_all_calendars(books: Shell) -> None:
    """A job that would end in the future, even after the year 9999, is refused, and not stumbled over."""
    charge = ("transaction", "charge", "--project=p", "--user=anna", "--start=2025-01-01")
    for seconds in (3 * YEARS, 2 * YEARS):
        result = books.run(*charge, f"--jobtime={seconds}")
        assert result.status == 2
        assert "future" in result.answer["error"]
    assert books.ok("transaction", "list")["transactions"] == []


def test_an_answer_with_many_hours_is_given_again(books: Shell) -> None:
    """A repeated key answers as the first time, also where the hours are more than an amount may be."""
    runs = [RUN._replace(job=str(number), elapsed=10_000, cores=10**8) for number in range(1, 31)]
    answer = bring(books, runs, "--key=k")
    assert answer["total_hours"] == pytest.approx(30 * 10**12 / 3600)
    assert bring(books, runs, "--key=k") == {**answer, "repeated": True}
