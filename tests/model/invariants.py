"""What must hold of any books after any command, found from the store alone: log, records and their sums."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from dca.commands.table import PERMITTED
from dca.core.model import DEFAULT_SITE, SITE_ID
from dca.store.entry import flaw, to_document
from dca.store.port import EMPTY_HEAD, Head, Query
from dca.store.schema import KINDS, SITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dca.core.model import Payment, Record, Transaction
    from dca.store.port import Entry, Reader, Store

PAGE = 500


class Books(NamedTuple):
    """Everything that a store holds: records by kind and id, and the entries of each stream."""

    records: dict[str, dict[str, Any]]
    log: dict[str, list[Entry]]


def books_of(store: Store) -> Books:
    """Read everything through the port; the author, which only some stores know, is left out."""

    def question(reader: Reader) -> dict[str, dict[str, Any]]:
        return {kind: {record.id: record for record in _all(reader, kind)} for kind in KINDS}

    records = store.read(question)
    streams = ["g", *(f"t:{tenant}" for tenant in records["tenant"])]
    return Books(records, {stream: entries for stream in streams if (entries := _entries(store, stream))})


def _all(reader: Reader, kind: str) -> list[Record]:
    found: list[Any] = []
    while True:
        page = reader.find(Query(kind, limit=PAGE, after=(found[-1].id,) if found else None))
        found += page
        if len(page) < PAGE:
            return found


def _entries(store: Store, stream: str) -> list[Entry]:
    found: list[Entry] = []
    while True:
        page = store.entries(stream, len(found) + 1, PAGE)
        found += [entry._replace(author="") for entry in page]
        if len(page) < PAGE:
            return found


def check(books: Books) -> None:
    """Assert every invariant."""
    check_log(books)
    check_money(books)


def check_log(books: Books) -> None:
    """Assert that the log is unbroken, that each entry is fit, and that it alone brings about the records."""
    replayed: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for stream, entries in books.log.items():
        end: Head = EMPTY_HEAD
        for entry in entries:
            judged, reason = flaw(to_document(entry), stream, end, PERMITTED)
            assert not reason, f"entry {entry.id} ({entry.category} {entry.action}) is unfit: {reason}"
            assert judged == entry, f"entry {entry.id} reads back as another"
            _replay(replayed, entry)
            end = entry.head
    replayed["claim"] = books.records["claim"]  # written beside the log
    for kind, records in books.records.items():
        assert replayed[kind] == records, f"the log does not bring about the records of kind {kind}"
    for project in books.records["project"].values():
        claim = books.records["claim"].get(project.id)
        assert claim is not None, f"project {project.id} has no claim"
        assert claim.tenant == project.tenant, f"project {project.id} is claimed by {claim.tenant}"


def _replay(replayed: dict[str, dict[str, Any]], entry: Entry) -> None:
    for kind, record, was in entry.changes:
        before = replayed[kind].get(record.id)
        if kind == SITE and before is None:
            before = DEFAULT_SITE
        assert was == before or kind == "claim", (
            f"entry {entry.id} starts from another {kind} {record.id} than there was"
        )
        replayed[kind][record.id] = record


def check_money(books: Books) -> None:
    """Assert that no money comes from nowhere or goes nowhere, and that sums kept are the sums of what they sum."""
    records = books.records
    for tenant in records["tenant"].values():
        projects = [one for one in records["project"].values() if one.tenant == tenant.id]
        charged = [one for one in records["transaction"].values() if one.tenant == tenant.id]
        paid = sum(one.amount for one in records["payment"].values() if one.tenant == tenant.id)
        spent = sum(one.tenant_balance for one in charged)
        assert tenant.balance == paid - spent, f"tenant {tenant.id}: {paid} paid, {spent} spent, {tenant.balance} left"
        enabled = [one for one in projects if one.state == "enabled"]
        assert tenant.allocated_balance == sum(max(0, one.balance) for one in enabled), tenant
        assert tenant.allocated_credit == sum(max(0, one.credit) for one in enabled), tenant
        assert tenant.holds_open == sum(one.holds_open for one in projects), tenant
        assert min([tenant.credit, *(one.credit for one in projects)]) >= 0, f"a credit of {tenant.id} is negative"
    for project in records["project"].values():
        held = [one for one in records["hold"].values() if one.project == project.id and one.state == "open"]
        assert project.requested == sum(one.amount for one in held), (
            f"project {project.id} does not hold its open holds"
        )
        assert project.holds_open == len(held), project
        assert project.state == "enabled" or not held, f"project {project.id} is disabled with open holds"
    _check_earmarks(books)
    _check_jobs(records["transaction"].values())


def _check_earmarks(books: Books) -> None:
    """Assert that what projects have is what was moved to them, less what their jobs cost."""
    moved: Counter[str] = Counter()
    for entry in (entry for stream in books.log.values() for entry in stream):
        moves = (entry.category, entry.action) in {("project", "add"), ("project", "movebudget")}
        for kind, record, was in entry.changes:
            if kind == "project" and moves:
                moved[record.id] += _worth(record) - (_worth(was) if was is not None else 0)
    for project in books.records["project"].values():
        cost = sum(one.cost for one in books.records["transaction"].values() if one.project == project.id)
        assert _worth(project) == moved[project.id] - cost, f"project {project.id} has what nobody gave it"


def _worth(project: Any) -> int:
    return int(project.balance + project.credit)


def _check_jobs(transactions: Iterable[Transaction]) -> None:
    """Assert that no job is charged twice, and that every settled hold and every charge taken back is so once."""
    standing: Counter[tuple[str, str]] = Counter()
    once: Counter[str] = Counter()
    for one in transactions:
        if one.job:
            standing[one.tenant, one.job] += -1 if one.reverses else 1
        once.update(name for name in (one.hold, one.reverses) if name)
    assert not [key for key, times in standing.items() if times not in (0, 1)], "a job is charged twice"
    assert not [name for name, times in once.items() if times > 1], "a hold or a charge was closed twice"


class Line(NamedTuple):
    """One line of a bill."""

    date: str
    user: str
    seconds: int
    cost: int


class Bill(NamedTuple):
    """What a bill must say, amounts in micro-dollars."""

    lines: list[Line]
    begin_balance: int
    payments: int
    end_balance: int


def bill_of(records: Mapping[str, Mapping[str, Any]], project: str, period: str, now: int) -> Bill:
    """Make a bill from all records there are, day by day as a calendar on the wall counts them."""
    zone = ZoneInfo(records["site"].get(SITE_ID, DEFAULT_SITE).zone)
    account = records["project"][project.lower()]
    tenant = records["tenant"][account.tenant]
    charged = [one for one in records["transaction"].values() if one.tenant == tenant.id]
    paid = [one for one in records["payment"].values() if one.tenant == tenant.id]

    def date(instant: int) -> str:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).astimezone(zone).date().isoformat()

    def place(instant: int) -> int:
        """Tell whether an instant lies before (-1), in (0) or after (1) the period."""
        if period in LENGTHS:
            begin = now - LENGTHS[period] * 86_400_000
            return -1 if instant < begin else int(instant >= now)
        first, last = period.split(",")
        return -1 if date(instant) < first else int(date(instant) > last)

    def balance_after(*places: int) -> int:
        """Return the balance now, without what happened at these places."""
        later_costs = sum(one.tenant_balance for one in charged if place(one.end) in places)
        later_payments = sum(one.amount for one in paid if place(one.time) in places)
        return int(tenant.balance + later_costs - later_payments)

    sums: dict[tuple[str, str], list[int]] = {}
    for one in charged:
        if one.project == account.id and place(one.end) == 0:
            line = sums.setdefault((date(one.end), one.user), [0, 0])
            line[0] += one.billed_seconds
            line[1] += one.cost
    lines = [Line(*who, *numbers) for who, numbers in sorted(sums.items()) if any(numbers)]
    return Bill(lines, balance_after(0, 1), _sum(one for one in paid if place(one.time) == 0), balance_after(1))


def _sum(payments: Iterable[Payment]) -> int:
    return sum(one.amount for one in payments)


LENGTHS = {"last_day": 1, "last_week": 7, "last_month": 30}
