"""Bills after an undo, and jobs that a hook charged before the log came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.regressions.test_imports import bring, record

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_an_undone_import_leaves_no_line_on_the_bill(books: Shell) -> None:
    """After an undo the bill reads as if the jobs had not come in: no line of nothing for their users."""
    bill = ("bill", "generate", "--project=p", "--time_period=2025-01-01,2025-12-31")
    batch = bring(books, [record(1, user="ada"), record(2, user="bob")])["batch"]
    assert len(books.ok(*bill)["bill"][0]["activity"]) == 2
    books.ok("job", "undo", f"--batch={batch}", "-y")
    bring(books, [record(2, user="bob")])
    answer = books.ok(*bill)
    assert [line["user"] for day in answer["bill"] for line in day["activity"]] == ["bob"]
    assert answer["total_cost"] == 10


def test_a_job_that_a_hook_charged_for_another_user_is_known(books: Shell) -> None:
    """A job that is charged already is known, also where the log names a user who was never in the project."""
    books.ok("project", "add", "--project=q", "--tenant=acme")
    books.ok("user", "add", "--project=q", "--user=ada")
    books.ok("transaction", "charge", "--project=q", "--user=ada", "--jobtime=10", "--job=lab/1/1740000001")
    books.ok("project", "add", "--project=p", "--tenant=acme")
    (books.folder / "log.txt").write_text(
        "JobIDRaw|Cluster|User|Account|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes\n"
        + record(1, user="eve")
        + "\n",
        encoding="utf-8",
    )
    for options in ((), ("--tenant=acme", "--create-missing")):
        answer = books.ok("job", "import", "log.txt", *options)
        assert (answer["known"], answer["charged"], answer["rejected"]) == (1, 0, 0)
    assert books.ok("list", "--project=p")["list"][0]["projects"][0]["users"] == []
