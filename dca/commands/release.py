"""Giving holds back without a charge."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dca.book import in_tenant
from dca.commands import figures
from dca.core import clock, ledger
from dca.core.errors import DcaError, NotFoundError, RefusedError
from dca.core.model import OPEN, RELEASED, Hold, hold_id, tenant_stream
from dca.core.money import Decimal
from dca.core.names import EXTENDED, folded, is_name, shown
from dca.store.port import Condition, Query
from dca.store.schema import HOLD, PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dca.book import Book
    from dca.commands.arguments import Days, Flag, JobKey, Name, Text
    from dca.engine import Session

WORDS = "transaction release"
AT_ONCE = 400


def release(
    session: Session,
    hold: Text | None = None,
    project: Name | None = None,
    job: JobKey = "",
    older_than: Days | None = None,
    tenant: Name | None = None,
    *,
    all_: Flag = False,
) -> dict[str, Any]:
    """Give a hold back: by its id, or by its project and job key.

    With --all --older-than=<days> every hold made that long ago is given back: what dead nodes left behind.
    """
    if all_:
        assert older_than is not None
        return _release_old(session, older_than, tenant)
    record_id = hold if hold is not None else session.ask(lambda book: hold_id(book.owner(project or ""), job))
    owner = record_id.partition(":")[0]
    missing = NotFoundError(f"there is no hold {shown(hold or job)}; dca transaction holds shows the open ones.")
    if not is_name(owner, EXTENDED):
        raise missing

    def work(book: Book) -> dict[str, Any]:
        record: Hold | None = book.get(HOLD, record_id)
        if record is None or (project is not None and record.project != folded(project)):
            raise missing
        if record.state != OPEN:
            raise RefusedError(f"hold {record.id} is {record.state} already.")
        closed = give_back(book, [record])
        return {"hold": figures.hold(closed[0], book.names_of(PROJECT, [record.project]))}

    return session.decide_once(WORDS, work, stream=tenant_stream(owner), details=f"hold {record_id}")


def _release_old(session: Session, days: int, tenant: str | None) -> dict[str, Any]:
    before = session.now - days * clock.DAY

    def old(book: Book) -> list[Hold]:
        where = [Condition("state", "eq", OPEN), Condition("opened", "le", before)]
        if tenant is not None:
            where.append(in_tenant(book.tenant(tenant).id))
        return list(book.all(Query(HOLD, tuple(where), ("opened", "id"))))

    found = sorted(session.ask(old), key=lambda record: record.tenant)
    released: list[Hold] = []
    try:
        for owner, group in groupby(found, key=lambda record: record.tenant):
            ids = [record.id for record in group]
            for begin in range(0, len(ids), AT_ONCE):
                work = partial(_close_open, ids=ids[begin : begin + AT_ONCE])
                details = f"all holds older than {days} days"
                released += session.decide(WORDS, work, stream=tenant_stream(owner), details=details)
    except DcaError as error:
        if released and not session.dry_run:
            error.broke_off(f"{len(released)} holds were given back, repeat it for the rest", released=len(released))
        raise
    names = session.ask(lambda book: book.names_of(PROJECT, [record.project for record in released]))
    return {
        "released": len(released),
        "amount": Decimal(sum(record.amount for record in released)),
        "holds": [figures.hold(record, names) for record in released],
    }


def _close_open(book: Book, ids: Sequence[str]) -> list[Hold]:
    records = [record for record in book.reader.get(HOLD, ids) if record is not None and record.state == OPEN]
    return give_back(book, records)


def give_back(book: Book, records: Sequence[Hold]) -> list[Hold]:
    """Give open holds back without a charge; return them closed."""
    closed = []
    for record in records:
        accounts, after = ledger.close(book.accounts(record.project), record, state=RELEASED, now=book.now)
        book.put_accounts(accounts)
        book.put(after)
        closed.append(after)
    return closed
