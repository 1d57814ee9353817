"""Entries that no command writes: each pretends to be the next one of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core.model import Change, Project, Tenant, Transaction
from dca.core.money import MICRO
from dca.store import entry as entries
from dca.store.port import Entry
from dca.store.protocol import Create
from dca.store.schema import ASSOCIATION, LOG, PROJECT
from tests.protocol import commands
from tests.protocol.cast import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.protocol.commands import Decide
    from tests.protocol.stage import Stage

FORGED = "forged"
JOB = "j1"
"""Key of a job that the books have charged already."""

Changes = tuple[Change, ...]
Tamper = Callable[[dict[str, Any]], None] if TYPE_CHECKING else Any


def forger(document: dict[str, Any], stream: str = "t:acme") -> Actor:
    """Return somebody who writes a document to the log and nothing else."""

    def steps() -> Generator[Any, Any, None]:
        yield Create(LOG, f"{stream}:{document['seq']}", document)

    return Actor(FORGED, steps, may_crash=False)


def sealed(stage: Stage, decide: Decide, forge: Callable[[Changes], Changes] = lambda changes: changes) -> dict[str, Any]:
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


def _each(change: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Changes], Changes]:
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


def _another_user(stage: Stage) -> Callable[[Changes], Changes]:
    decision = commands.add_user(FORGED, "p", "mallory")(stage.books())
    assert decision.draft is not None
    (change,) = decision.draft.changes
    assert change.kind == ASSOCIATION
    return lambda changes: (*changes, change)


def _of_another_tenant(changes: Changes) -> Changes:
    """Take the project r of the tenant other for one that acme has just added."""
    return tuple(
        change._replace(record=change.record._replace(id="r", name="r")) if change.kind == PROJECT else change  # type: ignore[call-arg]
        for change in changes
    )


def forgeries(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return forged documents by what is wrong with them; the books must be those of `acme_with_job`."""
    charge = commands.charge(FORGED, "p", 5)
    honest = sealed(stage, charge)
    again = sealed(stage, commands.charge(FORGED, "p", 5, "other job"), lambda changes: tuple(map(_same_job, changes)))
    return {
        "wrong sum": sealed(stage, charge, _each(_better_off)),
        "wrong cost": sealed(stage, charge, _each(_paying_less)),
        "wrong previous hash": resealed(honest, previous="0" * 64),
        "wrong hash": {**honest, "details": "changed afterwards"},
        "older than the entry before": resealed(honest, time=honest["time"] - 1),
        "a kind its command may not change": sealed(stage, charge, _another_user(stage)),
        "no known command": resealed(honest, action="steal"),
        "records of the future": sealed(stage, charge, _each(_richer)),
        "a job that is charged already": again,
        "another tenant's project": sealed(stage, commands.add_project(FORGED, "s", "acme"), _of_another_tenant),
        "garbage fields": {"commit": FORGED, "seq": honest["seq"], "changes": 7},
        "garbage changes": resealed(honest, changes=[{"kind": "tenant", "record": {"id": "acme"}}]),
        "other stream": resealed(honest, stream="t:other"),
    }


def _same_job(change: Change) -> Change:
    record = change.record
    if isinstance(record, Transaction):
        return change._replace(record=record._replace(id=f"acme:j1:{JOB}", job=JOB))
    return change


__all__ = ["FORGED", "JOB", "Entry", "forgeries", "forger", "resealed", "sealed"]
