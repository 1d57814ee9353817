"""The log as history: one entry with all it changed, or all records as they stood at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands import figures
from dca.commands.arguments import KINDS
from dca.commands.log import line
from dca.commands.table import PERMITTED
from dca.commands.transaction import mark, unmark
from dca.core.errors import DamagedError, NotFoundError, UsageError
from dca.core.names import folded, shown
from dca.store import entry as entries
from dca.store.past import chain
from dca.store.port import Condition, LogQuery, Query
from dca.store.schema import OF_SITE, PAYMENT, PROJECT, SITE, TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Kind, Name, Sequence, Size, Text
    from dca.core.model import Record
    from dca.engine import Session
    from dca.store.past import Link

ALL = KINDS
"""In the order in which they are shown."""
OF_TENANT = tuple(kind for kind in ALL if kind not in OF_SITE)
OF_PROJECT = tuple(kind for kind in OF_TENANT if kind != PAYMENT)
FOUND_MAX = 100


def show(
    session: Session,
    stream: Text = "",
    seq: Sequence = 0,
    commit: Text | None = None,
    as_of: Text | None = None,
    kind: Kind | None = None,
    tenant: Name | None = None,
    project: Name | None = None,
    limit: Size = 100,
    after: Text | None = None,
) -> dict[str, Any]:
    """Show one entry of the log whole, or all records as they stood at a moment.

    With --stream and --seq, or --commit, as log list tells them: who wrote the entry, its place in the chain, each record
    that it changed, before and after, and, should it be void, why. With --as-of: the records after all entries up to that
    moment, page by page.
    """
    if as_of is not None:
        return session.ask_as_of(as_of, lambda book: _records(book, kind, tenant, project, limit, _unmark(after)))
    if commit is not None:
        return _of_commit(session, commit)
    return _entry(session, folded(stream), seq)


# -- one entry ---------------------------------------------------------------------------------------------------


def _of_commit(session: Session, commit: str) -> dict[str, Any]:
    """Show the entry of a commit: of several that say so the one that is not void."""
    where = (Condition("commit", "eq", commit),)
    found = session.ask(lambda book: book.reader.log(LogQuery(where, FOUND_MAX)))
    answer: dict[str, Any] = {}
    for one in found:
        answer = _entry(session, one.stream, one.seq)
        if not answer["entry"]["void"]:
            break
    if not answer:
        raise NotFoundError(f"there is no entry with commit {shown(commit)}; dca log list shows the entries.")
    return answer


def _entry(session: Session, stream: str, seq: int) -> dict[str, Any]:
    end = session.ask(lambda book: book.reader.end(stream))
    if not end.seq:
        raise NotFoundError(f"there is no stream {shown(stream)}; dca log list shows the entries and their streams.")
    if seq > end.seq:
        raise NotFoundError(f"stream {stream} has no entry {seq}; its last one is {end.seq}.")
    with session.store.archive() as archive:
        link = next(one for one in chain(archive.documents, stream, end) if one.seq == seq)
    why = _why_void(link, stream)
    try:
        entry = entries.from_document(link.document)
    except DamagedError:
        unreadable = {"stream": stream, "seq": seq, "void": True, "why": why}
        return {"entry": {**unreadable, "document": entries.canonical(link.document)}, "changes": []}
    shown_entry = {
        **line(entry),
        "previous": entry.previous,
        "schema": entry.schema,
        "void": bool(why),
        **({"why": why} if why else {}),
    }
    return {"entry": shown_entry, "changes": list(map(figures.change, entry.changes))}


def _why_void(link: Link, stream: str) -> str:
    """Return why an entry is void; empty if it is not."""
    if link.passed is None:
        return ""
    _, why = entries.flaw(link.document, stream, link.passed, PERMITTED)
    return why or "it does not start from the books as they were before it"


# -- the books at a moment ---------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """A record with its place among all."""

    kind: str
    id: str
    record: Record


def _records(
    book: Book, kind: str | None, tenant: str | None, project: str | None, limit: int, after: tuple[str, str] | None
) -> dict[str, Any]:
    """Return the records of a page, in the order of kinds and ids."""
    owner, conditions = None, []
    kinds: tuple[str, ...] = ALL
    if tenant is not None:
        owner, kinds = book.tenant(tenant).id, OF_TENANT
    if project is not None:
        record = book.accounts(project).project
        if owner not in (None, record.tenant):
            raise NotFoundError(f"project {record.name} does not belong to tenant {owner}.")
        owner, kinds = record.tenant, OF_PROJECT
        conditions.append(Condition("project", "eq", record.id))
    found: list[Shown] = []
    for one in kinds:
        if kind not in (None, one) or (after is not None and ALL.index(one) < ALL.index(after[0])):
            continue
        beyond = (after[1],) if after is not None and after[0] == one else None
        query = Query(one, _conditions(one, owner, conditions), limit=limit - len(found), after=beyond)
        found += [Shown(one, each.id, each) for each in (_find(book, query) if query.limit else ())]
    return {
        "records": [{"kind": one.kind, **figures.fields(one.kind, one.record)} for one in found],
        **mark(found, ("kind", "id"), limit),
    }


def _conditions(kind: str, owner: str | None, of_project: list[Condition]) -> tuple[Condition, ...]:
    """Return the conditions that records of a kind belong to a tenant and to a project."""
    if owner is None:
        return ()
    if kind == TENANT:
        return (Condition("id", "eq", owner),)
    named = [one._replace(field="id") for one in of_project] if kind == PROJECT else of_project
    return (Condition("tenant", "eq", owner), *named)


def _find(book: Book, query: Query) -> list[Any]:
    if query.kind != SITE:
        return book.reader.find(query)
    return [] if query.after else [book.site()]  # which is there before anybody has set it


def _unmark(text: str | None) -> tuple[str, str] | None:
    """Read the mark of a page: kind and id of the last record that was shown."""
    mark_of_page = unmark(text, "ss")
    if mark_of_page is None:
        return None
    kind, record_id = mark_of_page
    if kind not in ALL:
        raise UsageError(f"--after {shown(text)} is no mark of a page; take `next` of the page before.")
    return kind, record_id


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each record, or for each change of the entry; records of several kinds share few columns."""
    records = answer.get("records", answer.get("changes", ()))
    if "records" not in answer or len({record["kind"] for record in records}) == 1:
        return list(records)
    return [
        {
            "kind": record["kind"],
            "id": record["id"],
            "record": {name: value for name, value in record.items() if name not in ("kind", "id")},
        }
        for record in records
    ]
