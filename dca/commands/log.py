"""The log: who changed what, when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.commands.transaction import mark, unmark
from dca.core import clock
from dca.core.names import folded
from dca.store.port import Condition, Entry, LogQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Name, Size, Text


def show(
    book: Book,
    tenant: Name | None = None,
    project: Name | None = None,
    actor: Text | None = None,
    category: Text | None = None,
    action: Text | None = None,
    commit: Text | None = None,
    time_period: Text | None = None,
    limit: Size = 100,
    after: Text | None = None,
) -> dict[str, Any]:
    """List the log, the newest entry first; `next` is the mark for --after that brings the next page."""
    given = {"actor": actor, "category": category, "action": action, "commit": commit}
    where = [Condition(name, "eq", value) for name, value in given.items() if value is not None]
    if tenant is not None:
        where.append(Condition("tenant", "eq", book.tenant(tenant).id))
    if project is not None:
        record = book.accounts(project).project
        where += [Condition("tenant", "eq", record.tenant), Condition("projects", "eq", folded(project))]
    if time_period is not None:
        period = book.period(time_period)
        where += [Condition("time", "ge", period.begin), Condition("time", "lt", period.end)]
    found = book.reader.log(LogQuery(tuple(where), limit, unmark(after, "isi")))
    return {"log": [line(entry) for entry in found], **mark(found, ("-time", "stream", "-seq"), limit)}


def line(entry: Entry) -> dict[str, Any]:
    """Return an entry without what it changes."""
    return {
        "time": clock.iso(entry.time),
        "actor": entry.actor,
        **({"author": entry.author} if entry.author else {}),
        "category": entry.category,
        "action": entry.action,
        "details": entry.details,
        "tenant": entry.tenant,
        "projects": list(entry.projects),
        "stream": entry.stream,
        "seq": entry.seq,
        "commit": entry.commit,
        "hash": entry.hash,
    }


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each entry, without what only programs need."""
    wanted = ("time", "stream", "seq", "actor", "category", "action", "details")
    return [{name: line[name] for name in wanted} for line in answer["log"]]
