"""The Gaia trace, 51,987 real jobs, from the log to the books and back: nothing lost, nothing double, all billed."""

import csv
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tests.cli.shell import Shell, scratch

GAIA = Path(__file__).resolve().parent / "data/gaia"
LOG = str(GAIA / "UniLu-Gaia-2014-2.swf.gz")
IMPORT = ("job", "import", "--input-format=swf", "--tenant=lux", "--create-missing")


def billed(path: Path) -> Counter[tuple[str, str, str]]:
    """Return the billed seconds of each project, user and month, counter-records taken off."""
    seconds: Counter[tuple[str, str, str]] = Counter()
    with closing(sqlite3.connect(path)) as books:
        for project, user, end, billed_seconds in books.execute(
            'SELECT project, user, "end", billed_seconds FROM "transaction"'
        ):
            seconds[project, user, f"{datetime.fromtimestamp(end / 1000, UTC):%Y-%m}"] += billed_seconds
    return seconds


def expected() -> dict[tuple[str, str, str], int]:
    """Return what another program found in the trace."""
    with (GAIA / "core-seconds.csv").open() as file:
        return {
            (row["project"], row["user"], row["month_end_utc"]): int(row["core_seconds"])
            for row in csv.DictReader(file)
        }


def test_the_trace_is_charged_once_and_can_be_taken_back() -> None:
    """Every core-second of the trace is on the right project, user and month; again changes nothing; undo restores."""
    with scratch() as folder:
        shell = Shell(folder)
        shell.ok("rate", "set", "--rate=0.05")
        shell.ok("tenant", "add", "--tenant=lux", "--credit=1000")
        shell.ok("tenant", "payment", "--tenant=lux", "--payment=50000")
        before = shell.ok("list")["list"][0]
        first = shell.ok(*IMPORT, LOG)
        assert (first["charged"], first["rejected"], first["skipped"]) == (51_987, 0, {"empty": 48})
        assert first["total_hours"] == 1938352.9164
        assert billed(shell.file) == expected()

        bill = shell.ok("bill", "generate", "--project=g8", "--time_period=2014-07-01,2014-07-31")
        july = sum(
            seconds for (project, _, month), seconds in expected().items() if (project, month) == ("g8", "2014-07")
        )
        assert bill["total_hours"] == round(july / 3600, 4)

        again = shell.ok(*IMPORT, LOG)
        assert (again["charged"], again["known"], again["changed"]) == (0, 51_987, 0)
        other = shell.ok(*IMPORT, "--unit=wall-hours", "--rejects=changed.txt", LOG)
        assert (other["charged"], other["known"] + other["changed"]) == (0, 51_987)

        undone = shell.ok("job", "undo", f"--batch={first['batch']}", "-y")
        assert (undone["undone"], undone["cost"]) == (51_987, first["total_cost"])
        assert shell.ok("job", "undo", f"--batch={first['batch']}", "-y")["undone"] == 0
        after = shell.ok("list")["list"][0]
        assert (after["balance"], after["credit"]) == (before["balance"], before["credit"])
        assert {project["balance"] for project in after["projects"]} == {0}

        assert shell.ok(*IMPORT, LOG)["charged"] == 51_987
        assert billed(shell.file) == expected()
