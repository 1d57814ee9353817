"""Imports, their dry runs and their undo: over the borders of batches, and when they break off."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from dca.commands import job
from dca.core.errors import BusyError
from dca.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.cli.shell import Shell

HEADER = "JobIDRaw|Cluster|User|Account|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes"


def record(number: int, account: str = "p", user: str = "ada", seconds: int = 10) -> str:
    """Return the record of a job."""
    submit = 1_740_000_000 + number
    times = f"{submit}|{submit + 1}|{submit + 1 + seconds}|{seconds}"
    return f"{number}|lab|{user}|{account}|COMPLETED|{times}|1|1"


def bring(shell: Shell, lines: list[str], *options: str, tenant: str = "acme") -> dict[str, Any]:
    """Import a log of some records."""
    (shell.folder / "log.txt").write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return shell.ok("job", "import", f"--tenant={tenant}", "--create-missing", "log.txt", *options)


def counts(answer: dict[str, Any]) -> dict[str, int]:
    """Return the numbers of an import's answer."""
    return {name: answer[name] for name in ("read", "charged", "known", "changed", "rejected", "total_cost")}


@pytest.mark.parametrize(
    "lines",
    [
        [record(number, f"p{number % 150}", f"u{number}") for number in range(1_100)],
        [record(number, f"p{number}", f"u{number}") for number in range(1_000)],
        [record(number % 950) for number in range(1_900)],
        [*(record(number) for number in range(950)), *(record(number, seconds=11) for number in range(30))],
    ],
    ids=["a full entry", "a project for each job", "each job twice", "some with other content"],
)
def test_a_dry_run_foresees_the_import(lines: list[str], books: Shell) -> None:
    """A dry run counts what the import then counts, also what its own earlier batches would have charged."""
    foreseen = bring(books, lines, "--dry-run")
    assert counts(foreseen) == counts(bring(books, lines))


def test_a_dry_run_keeps_tenants_apart(books: Shell) -> None:
    """The same job in projects of two tenants is two jobs, in a dry run as well."""
    books.ok("tenant", "add", "--tenant=other")
    books.ok("project", "add", "--project=q", "--tenant=other")
    lines = [*(record(number) for number in range(900)), *(record(number, "q") for number in range(900))]
    assert bring(books, lines, "--dry-run")["charged"] == bring(books, lines)["charged"] == 1_800


def test_undo_of_many_projects(books: Shell) -> None:
    """An import whose jobs are of hundreds of projects can be taken back: an entry holds their projects, too."""
    before = books.ok("tenant", "payment", "--tenant=acme", "--payment=1")["tenant"]
    brought = bring(books, [record(number, f"p{number % 400}") for number in range(1_000)])
    assert brought["charged"] == 1_000
    undone = books.ok("job", "undo", f"--batch={brought['batch']}", "-y")
    assert (undone["undone"], undone["cost"]) == (1_000, 10_000)
    after = books.ok("tenant", "payment", "--tenant=acme", "--payment=1")["tenant"]
    assert after["balance"] == before["balance"] + 1


def breaking(times: int) -> Callable[..., Any]:
    """Return a write of SQLite that is busy after some times."""
    write, left = SqliteStore.write, [times]

    def sometimes(store: SqliteStore, decide: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise BusyError("others were writing; try again.")
        return write(store, decide)

    return sometimes


def test_an_import_that_breaks_off_says_so(books: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends an import half-way, the answer tells what was charged, and in which batch."""
    monkeypatch.setattr(job, "AT_ONCE", 3)
    bring(books, [record(1)])
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "write", breaking(2))
        (books.folder / "log.txt").write_text("\n".join([HEADER, *map(record, range(2, 12)), ""]), encoding="utf-8")
        result = books.run("job", "import", "log.txt")
    assert result.status == BusyError.exit_status
    assert result.answer["charged"] == 6
    assert f"6 jobs were charged in batch {result.answer['batch']}" in result.answer["error"]
    assert books.ok("job", "import", "log.txt")["charged"] == 4


def test_an_undo_that_breaks_off_says_so(books: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo that ends half-way tells what it took back; repeated it does the rest."""
    monkeypatch.setattr(job, "UNDONE_AT_ONCE", 2)
    batch = bring(books, [record(number) for number in range(5)])["batch"]
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "write", breaking(1))
        result = books.run("job", "undo", f"--batch={batch}", "-y")
    assert (result.status, result.answer["undone"]) == (BusyError.exit_status, 2)
    again = books.ok("job", "undo", f"--batch={batch}", "-y")
    assert (again["undone"], again["known"]) == (3, 2)


def test_users_that_strict_books_cannot_have(books: Shell) -> None:
    """Users with a dash in strict books are one sentence with the remedy, not a rejected line each."""
    lines = [record(number, user=f"ada-{number}") for number in range(10)]
    (books.folder / "log.txt").write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    result = books.run("job", "import", "--tenant=acme", "--create-missing", "log.txt")
    assert result.status == 2
    assert "--names=extended" in result.answer["error"]
    assert not list(books.folder.glob("*.rejected"))


def test_an_import_leaves_no_hold_of_its_jobs_open(books: Shell) -> None:
    """A hold for another project of the tenant is given back, also where the job is known already."""
    for project in ("p", "q"):
        books.ok("project", "add", f"--project={project}", "--tenant=acme", "--balance=1000")
        books.ok("user", "add", f"--project={project}", "--user=ada")
    for number in (1, 2):
        job = f"lab/{number}/{1_740_000_000 + number}"
        books.ok("transaction", "reservebudget", "--project=p", "--estimate=7", f"--job={job}")
    answer = bring(books, [record(1, "q"), record(2, "p"), record(3, "p")])
    assert (answer["charged"], books.ok("transaction", "holds")["holds"]) == (3, [])
    figures = {name: books.ok("project", "show", f"--project={name}")["project"] for name in ("p", "q")}
    assert [(one["balance"], one["held"], one["holds_open"]) for one in figures.values()] == [(980, 0, 0), (990, 0, 0)]
    assert books.ok("transaction", "list", "--job=lab/1/1740000001")["transactions"][0]["released"] == 0
    assert books.ok("transaction", "list", "--job=lab/2/1740000002")["transactions"][0]["released"] == 7


def test_a_dry_run_writes_no_file(books: Shell) -> None:
    """It shows the first records that would be rejected, unless a file is named for them."""
    lines = [record(1), "2|lab|ada|p|COMPLETED|x|x|x|1|1|1"]
    answer = bring(books, lines, "--dry-run")
    assert [one["line"] for one in answer["rejected_records"]] == [3]
    assert not list(books.folder.glob("*.rejected"))
    assert bring(books, lines, "--dry-run", "--rejects=named.txt")["rejects"] == "named.txt"
    assert (books.folder / "named.txt").exists()


def test_what_is_rejected_is_added_to_the_file(books: Shell) -> None:
    """A second import with the same file for its rejects keeps what the first one wrote."""
    for number in (1, 2):
        bring(books, [f"{number}|lab|ada|p|COMPLETED|x|x|x|1|1|1"], "--rejects=kept.txt")
    lines = (books.folder / "kept.txt").read_text().splitlines()
    assert [line.split("\t")[-1][:2] for line in lines] == ["re", "1|", "2|"]


def test_rejects_of_a_log_that_is_no_file(books: Shell) -> None:
    """They go to the folder the import was run in."""
    fifo = books.folder / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_text(f"{HEADER}\n1|lab|ada|p|COMPLETED|x|x|x|1|1|1\n"))
    writer.start()
    answer = books.ok("job", "import", "--tenant=acme", "--create-missing", str(fifo))
    writer.join()
    assert (books.folder / answer["rejects"]).parent == books.folder


def test_a_job_that_ends_in_the_future_is_not_charged(books: Shell) -> None:
    """It cannot have ended: zone or clock are wrong."""
    ahead = int(time.time()) + 3600
    late = f"9|lab|ada|p|COMPLETED|{ahead - 20}|{ahead - 10}|{ahead}|10|1|1"
    assert counts(bring(books, [record(1), late]))["rejected"] == 1


def test_a_file_name_that_is_no_utf8(books: Shell) -> None:
    """It is refused before anything is booked: the answer could not be kept under a key."""
    result = books.run("job", "import", "--key=k", "log\udcff.txt")
    assert (result.status, result.answer["code"]) == (2, "usage")


def test_another_zone_or_cluster_once_jobs_are_booked(books: Shell) -> None:
    """Logs that tell neither would be charged again under other keys: setup says so."""
    assert "warning" not in books.ok("setup", "--timezone=Europe/Berlin", "--cluster=alps")
    bring(books, [record(1)])
    assert "warning" not in books.ok("setup", "--cluster=alps")
    answer = books.ok("setup", "--cluster=north")
    assert "--cluster=alps --timezone=Europe/Berlin" in answer["warning"]
    assert "warning" not in answer["site"]
