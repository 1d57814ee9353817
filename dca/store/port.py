"""The store port: what every store can do, and what it promises.

The contract, tested on every adapter by one suite:

* A write calls the decision with a reader of the books as they are, possibly several times; what it decides is
  committed whole or not at all, as the next entry of one stream, and only if nothing it read of it has changed since.
* A read sees, for each stream, all that was acknowledged before it began, and a prefix of that stream's entries.
* A decision must depend on nothing but its reader, and must not change anything itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter, eq, ge, gt, itemgetter, le, lt
from typing import Any, NamedTuple, Protocol, TypeVar

from dca.core.clock import Day
from dca.core.model import Change, Claim, Record

T = TypeVar("T")


class Head(NamedTuple):
    """The end of a stream as far as it is known: sequence, hash and time of its last entry."""

    seq: int
    hash: str
    time: int


EMPTY_HEAD = Head(0, "", 0)


class Entry(NamedTuple):
    """A log entry: one commit of one stream."""

    stream: str
    seq: int
    time: int
    actor: str
    category: str
    action: str
    details: str
    tenant: str
    """Id of the tenant, or empty in the global stream."""
    projects: tuple[str, ...]
    """Ids of the projects concerned."""
    commit: str
    previous: str
    hash: str
    schema: int
    changes: tuple[Change, ...]
    author: str = ""
    """Who the store itself says wrote it, where it can."""

    @property
    def id(self) -> str:
        """Return the entry's id."""
        return f"{self.stream}:{self.seq}"

    @property
    def head(self) -> Head:
        """Return the head of a stream that ends with this entry."""
        return Head(self.seq, self.hash, self.time)


class Draft(NamedTuple):
    """What a decision wants to commit."""

    stream: str
    actor: str
    category: str
    action: str
    details: str
    tenant: str
    projects: tuple[str, ...]
    commit: str
    """Drawn once per command and kept over all attempts."""
    time: int
    changes: tuple[Change, ...]
    claim: Claim | None = None
    """A project name that must be claimed before the entry is written."""


class Decision(NamedTuple):
    """What a decision answers, and what it wants to commit, if anything."""

    answer: Any
    draft: Draft | None


class Condition(NamedTuple):
    """A condition on one field: eq, in, lt, le, gt or ge a value."""

    field: str
    op: str
    value: Any


class Query(NamedTuple):
    """A search: records of a kind that meet all conditions, in an order that ends with the id.

    order holds field names, a leading '-' for descending; after holds the order fields of the last record seen.
    """

    kind: str
    where: tuple[Condition, ...] = ()
    order: tuple[str, ...] = ("id",)
    limit: int = 10_000
    after: tuple[Any, ...] | None = None


class Sums(NamedTuple):
    """A summing search over one stream: fields summed for each group, and for each day that `day_field` falls in."""

    kind: str
    stream: str
    where: tuple[Condition, ...]
    group: tuple[str, ...]
    fields: tuple[str, ...]
    day_field: str = ""
    days: tuple[Day, ...] = ()


class Sum(NamedTuple):
    """One row of a summing search: number of the day (0 without days), values of the group, sums, records counted."""

    day: int
    group: tuple[Any, ...]
    sums: tuple[int, ...]
    records: int


class LogQuery(NamedTuple):
    """A search of log entries, newest first; after is the (time, stream, seq) of the last one seen."""

    where: tuple[Condition, ...] = ()
    limit: int = 100
    after: tuple[int, str, int] | None = None


class Reader(Protocol):
    """The books as a decision or a question sees them."""

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        """Return the records with these ids, in this order; None for one that does not exist."""

    def need(self, keys: Sequence[tuple[str, str]]) -> None:
        """Say which records, by kind and id, will be asked for, so that a distant store brings them at once."""

    def route(self, projects: Sequence[str]) -> list[str]:
        """Return the id of the tenant that each project id belongs to, or may belong to; empty for an unknown one."""

    def find(self, query: Query) -> list[Any]:
        """Return the records a search finds."""

    def sums(self, request: Sums) -> list[Sum]:
        """Return the sums of a summing search, in the order of day and group."""

    def log(self, query: LogQuery) -> list[Entry]:
        """Return the log entries a search finds, without what they change: that may be 2 MB each."""

    def end(self, stream: str) -> Head:
        """Return the end of a stream."""


class Store(Protocol):
    """A place where books are kept."""

    def read(self, question: Callable[[Reader], T]) -> T:
        """Answer a question from one consistent view of the books."""

    def write(self, decide: Callable[[Reader], Decision]) -> Decision:
        """Decide and commit."""

    def entries(self, stream: str, first: int, limit: int) -> list[Entry]:
        """Return entries of a stream from a sequence on, in order."""

    def archive(self) -> AbstractContextManager["Archive"]:
        """Open what the store holds as it lies there, for those who examine, copy or mend it."""

    def close(self) -> None:
        """Let go of files and connections."""


class Stored(NamedTuple):
    """A record as it lies in a store, or why it cannot be read as one."""

    id: str
    """Under which it lies."""
    record: Record | None
    flaw: str
    """Why it is no record; empty if it is one."""
    version: int
    """Sequence of the entry that wrote it, where the store keeps that (generation of a claim); 0 where it does not."""
    head: Head | None = None
    """The head of its stream, where the record carries it in this store and it can be read as one."""


class Place(NamedTuple):
    """Where a log entry lies; the sequence is 0 where its id names none."""

    stream: str
    seq: int
    id: str


class Archive(Protocol):
    """What lies in a store, raw: nothing is judged, and rubbish is returned as what it is instead of breaking off.

    SQLite and memory hold still while an archive is open: all that it returns is of one moment. In Elasticsearch, what is
    in the log stays there; heads and records may be newer than what was read before them.
    A part that cannot be read at all is a DamagedError.
    """

    @property
    def whole(self) -> bool:
        """Tell whether an entry, its records and the head are written at once; else they may follow the entry later."""

    @property
    def signed(self) -> bool:
        """Tell whether the store stamps each new entry with its author."""

    def streams(self) -> list[str]:
        """Return all streams that have a log entry or a head, sorted."""

    def last(self, stream: str) -> int:
        """Return the highest sequence that an entry of a stream has; 0 if there is none."""

    def documents(self, stream: str, first: int, limit: int) -> list[dict[str, Any]]:
        """Return log documents of a stream from a sequence on, in order, up to the first that is missing.

        There may be fewer than `limit`, since they may be large; none means that there is none with the first sequence.
        """

    def beyond(self, ends: Mapping[str, int]) -> list[Place]:
        """Return the places of all entries that lie outside the sequences 1 to the end given for their stream."""

    def head(self, stream: str) -> Head:
        """Return the head of a stream as it is stored."""

    def count(self, kind: str) -> int:
        """Return how many records of a kind there are."""

    def stored(self, kind: str) -> Iterator[Stored]:
        """Yield every record of a kind, in no particular order."""

    def stored_by(self, kind: str, ids: Sequence[str]) -> list[Stored | None]:
        """Return the records of a kind with these ids, in this order; None where there is none."""


class Mend(NamedTuple):
    """What the log says of a record, or of the head of a stream, that is to stand in the store."""

    kind: str
    id: str
    record: Record | None
    """None: no entry brought it, and it is to be removed; or the head of a stream that no record carries."""
    version: int
    """Sequence of the entry that brought it (generation of a claim); 0 for records that are never changed."""
    head: Head | None = None
    """The head of the stream that is to be moved; the id is the stream then."""


class Mending(Protocol):
    """A store whose records and heads are put right; the log is only read, but for the entry that tells of it."""

    @property
    def archive(self) -> Archive:
        """What lies in the store: of this moment, where the store can hold still."""

    def apply(self, mends: Sequence[Mend]) -> None:
        """Put records right; one that a writer has just put there anew stays."""

    def book(self, decide: Callable[[Reader], Decision]) -> None:
        """Commit an entry that tells of it."""


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": eq,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
    "in": lambda value, values: value in values,
}


def matches(record: Any, where: Iterable[Condition]) -> bool:
    """Tell whether a record (or entry) meets all conditions; a field that is a tuple meets eq if it holds the value."""
    for field, op, wanted in where:
        value = getattr(record, field)
        if isinstance(value, tuple):
            if wanted not in value:
                return False
        elif not _COMPARE[op](value, wanted):
            return False
    return True


def ordered(records: Iterable[Any], order: Sequence[str]) -> list[Any]:
    """Return records in an order of fields, a leading '-' meaning descending."""
    result = list(records)
    for name in reversed(order):
        result.sort(key=attrgetter(name.lstrip("-")), reverse=name.startswith("-"))
    return result


def is_after(record: Any, order: Sequence[str], after: Sequence[Any]) -> bool:
    """Tell whether a record comes strictly after the one with these order fields."""
    for name, bound in zip(order, after, strict=True):
        value = getattr(record, name.lstrip("-"))
        if value != bound:
            return bool(value < bound) if name.startswith("-") else bool(value > bound)
    return False


def select(records: Iterable[Any], query: Query) -> list[Any]:
    """Answer a search from records in memory: the meaning of a query, for every store."""
    found = (record for record in records if matches(record, query.where))
    if query.after is not None:
        found = (record for record in found if is_after(record, query.order, query.after))
    return ordered(found, query.order)[: query.limit]


def total(records: Iterable[Any], request: Sums) -> list[Sum]:
    """Answer a summing search from records in memory: the meaning of one, for every store."""
    rows: dict[tuple[int, tuple[Any, ...]], list[int]] = {}
    for record in records:
        if record.stream != request.stream or not matches(record, request.where):
            continue
        day = day_number(record, request)
        if day is None:
            continue
        row = rows.setdefault(
            (day, tuple(getattr(record, name) for name in request.group)), [0] * len(request.fields) + [0]
        )
        for position, name in enumerate(request.fields):
            row[position] += getattr(record, name)
        row[-1] += 1
    return [Sum(day, group, tuple(row[:-1]), row[-1]) for (day, group), row in sorted(rows.items(), key=itemgetter(0))]


def day_number(record: Any, request: Sums) -> int | None:
    """Return the number of the day a record falls in; None outside all days; 0 where no days are asked for."""
    if not request.days:
        return 0
    instant = getattr(record, request.day_field)
    return next((number for number, day in enumerate(request.days) if day.begin <= instant < day.end), None)


def add_sums(rows: Iterable[Sum], further: Iterable[Sum]) -> list[Sum]:
    """Add the rows of two summing searches of the same shape."""
    added: dict[tuple[int, tuple[Any, ...]], Sum] = {(row.day, row.group): row for row in rows}
    for row in further:
        old = added.get((row.day, row.group))
        if old is not None:
            sums = tuple(a + b for a, b in zip(old.sums, row.sums, strict=True))
            row = Sum(row.day, row.group, sums, old.records + row.records)  # noqa: PLW2901 -- the sum takes the row's place
        added[row.day, row.group] = row
    return [added[key] for key in sorted(added)]


def records_of(changes: Iterable[Change], kind: str) -> list[Record]:
    """Return the records of a kind among changes."""
    return [change.record for change in changes if change.kind == kind]
