"""Entries that no command writes: each pretends to be the next one of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core.model import Change, Claim, Project, Tenant, Transaction
from dca.core.money import MICRO
from dca.store import entry as entries
from dca.store.protocol import Create
from dca.store.schema import ASSOCIATION, CLAIM, LOG
from tests.protocol import commands
from tests.protocol.cast import Actor
from tests.protocol.stage import acme

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.protocol.commands import Decide
    from tests.protocol.stage import Stage

    Changes = tuple[Change, ...]
    Forge = Callable[[Changes], Changes]

FORGED = "forged"
JOB = "j1"
"""Key of a job that the books have charged already."""


def forger(document: dict[str, Any], stream: str = "t:acme") -> Actor:
    """Return somebody who writes a document to the log and nothing else."""

    def steps() -> Generator[Any, Any, None]:
        yield Create(LOG, f"{stream}:{document['seq']}", document)

    return Actor(FORGED, steps, may_crash=False)


def sealed(stage: Stage, decide: Decide, forge: Forge = lambda changes: changes) -> dict[str, Any]:
    """Return a command's next entry with other changes, its hash in order."""
    decision = decide(stage.books())
    assert decision.draft is not None
    draft = decision.draft._replace(commit=FORGED, changes=forge(decision.draft.changes))
    entry, _ = entries.seal(draft, stage.books().end(draft.stream))
    return entries.to_document(entry)


def resealed(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a document with other fields, its hash in order."""
    forged = {**document, **fields}
    return {**forged, "hash": entries.document_digest(forged)}


def _each(change: Callable[[Any, Any], tuple[Any, Any]]) -> Forge:
    """Return a forgery of every record with what it was."""
    return lambda changes: tuple(Change(kind, *change(record, was)) for kind, record, was in changes)


def _richer(record: Any, was: Any) -> tuple[Any, Any]:
    """Let a charged project have been richer by 1,000 dollars than it was."""
    if isinstance(record, Project):
        more = 1000 * MICRO
        return record._replace(balance=record.balance + more), was._replace(balance=was.balance + more)
    return record, was


def _better_off(record: Any, was: Any) -> tuple[Any, Any]:
    """Let the tenant pay a dollar less than its project is charged."""
    return (record._replace(balance=record.balance + MICRO), was) if isinstance(record, Tenant) else (record, was)


def _paying_less(record: Any, was: Any) -> tuple[Any, Any]:
    """Let a transaction cost nothing, whatever it took."""
    return (record._replace(cost=0), was) if isinstance(record, Transaction) else (record, was)


def _with_another_user(stage: Stage) -> Forge:
    """Add a user, which a charge may not."""
    decision = commands.add_user(FORGED, "p", "mallory")(stage.books())
    assert decision.draft is not None
    (change,) = decision.draft.changes
    assert change.kind == ASSOCIATION
    return lambda changes: (*changes, change)


def _of_another_tenant(record: Any, was: Any) -> tuple[Any, Any]:
    """Take the project r of the tenant other for one that acme has just added."""
    return (record._replace(id="r", name="r") if isinstance(record, Project) else record), was


def _of_the_same_job(record: Any, was: Any) -> tuple[Any, Any]:
    """Charge a job that is charged already."""
    return (record._replace(id=f"acme:j1:{JOB}", job=JOB) if isinstance(record, Transaction) else record), was


def _of_no_charge(record: Any, was: Any) -> tuple[Any, Any]:
    """Take back a charge that there never was."""
    if isinstance(record, Transaction):
        return record._replace(id=f"acme:u2:{JOB}", reverses=f"acme:j2:{JOB}"), was
    return record, was


def _of_twice_the_charge(record: Any, was: Any) -> tuple[Any, Any]:
    """Take back twice as much as was charged."""
    if not isinstance(record, Transaction):
        twice = {"balance": 2 * record.balance - was.balance}
        if isinstance(record, Tenant):
            twice["allocated_balance"] = 2 * record.allocated_balance - was.allocated_balance
        return record._replace(**twice), was
    doubled = ("runtime", "billed_seconds", "cost", "project_balance", "tenant_balance")
    return record._replace(**{name: 2 * getattr(record, name) for name in doubled}), was


def _gives_away(name: str, generation: int) -> Decide:
    """Give a project's name to the tenant other, whether or not there is the project."""
    was = Claim(name, "acme", 1)
    change = Change(CLAIM, Claim(name, "other", generation), was)
    return lambda books: commands.decision(books, "t:acme", "project release", FORGED, [change])


def forgeries(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return forged documents by what is wrong with them, for the books of `books`."""
    charge = commands.charge(FORGED, "p", 5)
    honest = sealed(stage, charge)
    undo = commands.take_back(FORGED, "p", JOB)
    return {
        "wrong sum": sealed(stage, charge, _each(_better_off)),
        "wrong cost": sealed(stage, charge, _each(_paying_less)),
        "wrong previous hash": resealed(honest, previous="0" * 64),
        "wrong hash": {**honest, "details": "changed afterwards"},
        "older than the entry before": resealed(honest, time=honest["time"] - 1),
        "a kind its command may not change": sealed(stage, charge, _with_another_user(stage)),
        "no known command": resealed(honest, action="steal"),
        "garbage fields": {"commit": FORGED, "seq": honest["seq"], "changes": 7},
        "garbage changes": resealed(honest, changes=[{"kind": "tenant", "record": {"id": "acme"}}]),
        "other stream": resealed(honest, stream="t:other"),
        "a name of the generation after next": sealed(stage, _gives_away("s", 3)),
        "records the books never had": sealed(stage, charge, _each(_richer)),
        "a job that is charged already": sealed(stage, charge, _each(_of_the_same_job)),
        "another tenant's project": sealed(stage, commands.add_project(FORGED, "s", "acme"), _each(_of_another_tenant)),
        "a name that is in use": sealed(stage, _gives_away("p", 2)),
        "an undo of nothing": sealed(stage, undo, _each(_of_no_charge)),
        "an undo of more than there was": sealed(stage, undo, _each(_of_twice_the_charge)),
    }


BY_THE_BOOKS = (
    "records the books never had",
    "a job that is charged already",
    "another tenant's project",
    "a name that is in use",
    "an undo of nothing",
    "an undo of more than there was",
)
"""What only the books can tell, since the entry is in order by itself."""


def books() -> Stage:
    """Return books in which the job is charged and another tenant has the project r."""
    charged = commands.charge("seed-job", "p", 3, JOB)
    other = commands.add_project("seed-r", "r", "other", 1)
    return acme(("seed-r", other), ("seed-job", charged), forged=[FORGED], tenants=["other"])
