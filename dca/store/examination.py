"""What can be said of log entries one by one, beside the walk: the part of a verification that several processes share."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from dca.core import fitness
from dca.core.model import Payment, Record, Transaction
from dca.store.damage import ALTERED, MISSING
from dca.store.declaration import brought
from dca.store.entry import Permitted
from dca.store.port import Archive, Entry, Stored
from dca.store.replay import UNFIT, Examined, examine
from dca.store.schema import KINDS, TRANSACTION

PAGE = 128
"""Entries that are read and examined together."""
APPENDED = frozenset(name for name, kind in KINDS.items() if not kind.mutable)

Key = tuple[str, str]


class Wrong(NamedTuple):
    """An appended record that is not in the store as its entry brought it."""

    damage: str
    kind: str
    id: str
    sentence: str
    record: Record
    """As the entry brought it."""


class Brought(NamedTuple):
    """What an entry brings beside mutable records: appended records, and money."""

    changes: int
    """How many records it brings in all."""
    appended: dict[str, int]
    """How many records of each appended kind it brings that are in the store, right or wrong."""
    wrong: tuple[Wrong, ...]
    payments: int
    paid: int
    spent: tuple[int, int]
    """What its transactions take from the tenant's balance, and from its credit."""
    costs: dict[str, int]
    """What its transactions cost each project."""
    declared: dict[str, int]
    """Up to which entry it says that each stream was brought from elsewhere."""


def of_stream(archive: Archive, permitted: Permitted, stream: str, first: int, limit: int) -> Iterator[Examined]:
    """Yield a stream's entries from a sequence on, examined, up to a number of them or the first that is missing."""
    while limit > 0:
        documents = archive.documents(stream, first, min(limit, PAGE))
        if not documents:
            return
        yield from compared(archive, [examine(document, permitted) for document in documents])
        first += len(documents)
        limit -= len(documents)


def alone(documents: Iterable[dict[str, Any]], permitted: Permitted) -> Iterator[Examined]:
    """Yield entries, examined, of which there is nothing but the log."""
    for document in documents:
        examined = examine(document, permitted)
        yield examined._replace(further=_brought(examined.entry, {}, ()))


def compared(archive: Archive, page: Sequence[Examined]) -> Iterator[Examined]:
    """Hold the appended records of entries against those in the store; yield the entries without them."""
    wanted: dict[str, list[str]] = {}
    for examined in page:
        for kind, record, _ in examined.entry.changes if examined.entry is not None else ():
            if kind in APPENDED:
                wanted.setdefault(kind, []).append(record.id)
                if isinstance(record, Transaction) and record.reverses:
                    wanted[kind].append(record.reverses)
    there = {
        (kind, record_id): stored
        for kind, ids in wanted.items()
        for record_id, stored in zip(ids, archive.stored_by(kind, ids), strict=True)
        if stored is not None
    }
    for examined in page:
        yield _compare(archive, examined, there)


def _compare(archive: Archive, examined: Examined, there: dict[Key, Stored]) -> Examined:
    document = {name: value for name, value in examined.document.items() if name != "changes"}
    entry = examined.entry
    if entry is None:
        return examined._replace(document=document, further=_brought(None, {}, ()))
    found: dict[str, int] = {}
    wrong: list[Wrong] = []
    damage, reason = examined.damage, examined.reason
    for kind, record, _ in entry.changes:
        if kind not in APPENDED:
            continue
        stored = there.get((kind, record.id))
        if stored is None:
            wrong.append(Wrong(MISSING, kind, record.id, f"the {kind} {record.id} is not there", record))
            continue
        if stored.record == record:
            found[kind] = found.get(kind, 0) + 1
        elif brought_before(archive, kind, stored, entry.seq):
            damage, reason = damage or UNFIT, reason or f"the {kind} {record.id} was there before it"
        else:
            found[kind] = found.get(kind, 0) + 1
            wrong.append(Wrong(ALTERED, kind, record.id, difference(kind, record, stored), record))
        if isinstance(record, Transaction) and record.reverses and not _takes_back(archive, record, there):
            damage, reason = damage or UNFIT, reason or f"it does not take back the transaction {record.reverses}"
    light = entry._replace(changes=tuple(change for change in entry.changes if change.kind not in APPENDED))
    further = _brought(entry, found, tuple(wrong))
    return Examined(document, light, damage, reason, examined.digest, further)


def _brought(entry: Entry | None, found: dict[str, int], wrong: tuple[Wrong, ...]) -> Brought:
    changes = entry.changes if entry is not None else ()
    payments = paid = from_balance = from_credit = 0
    costs: dict[str, int] = {}
    entries = [entry] if entry is not None else []
    for _, record, _ in changes:
        if isinstance(record, Transaction):
            from_balance += record.tenant_balance
            from_credit += record.tenant_credit
            costs[record.project] = costs.get(record.project, 0) + record.cost
        elif isinstance(record, Payment):
            payments += 1
            paid += record.amount
    return Brought(len(changes), found, wrong, payments, paid, (from_balance, from_credit), costs, brought(entries))


def logged(archive: Archive, stream: str, seq: int, kind: str, record_id: str) -> Any:
    """Return the record that the log says an entry brought; None if it does not."""
    documents = archive.documents(stream, seq, 1) if seq > 0 else []
    entry = examine(documents[0], {}).entry if documents else None
    brought = (change.record for change in entry.changes if entry is not None) if entry is not None else ()
    return next((record for record in brought if record.id == record_id and type(record) is KINDS[kind].record), None)


def brought_before(archive: Archive, kind: str, stored: Stored, seq: int) -> bool:
    """Tell whether a record in the store is one that an earlier entry brought."""
    record: Any = stored.record
    if record is None or record.seq >= seq:
        return False
    return bool(logged(archive, record.stream, record.seq, kind, record.id) == record)


def _takes_back(archive: Archive, counter: Transaction, there: dict[Key, Stored]) -> bool:
    """Tell whether a counter-record takes back what it names; one that is not in the store as it was is not told here."""
    stored = there.get((TRANSACTION, counter.reverses))
    charged: Any = stored.record if stored is not None else None
    if charged is None or (charged.seq < counter.seq and fitness.takes_back(counter, charged)):
        return True
    charged = logged(archive, charged.stream, charged.seq, TRANSACTION, counter.reverses)
    return charged is None or (charged.seq < counter.seq and fitness.takes_back(counter, charged))


def difference(kind: str, wanted: Any, stored: Stored) -> str:
    """Return in what a stored record is not what the log says."""
    if stored.record is None:
        return f"the {kind} {wanted.id} cannot be read: {stored.flaw.rstrip('.')}"
    theirs, ours = stored.record._asdict(), wanted._asdict()
    fields = ", ".join(name for name, value in ours.items() if theirs.get(name) != value)
    return f"the {kind} {wanted.id} is not what the log says: {fields}"
