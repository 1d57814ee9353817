"""The judged walk over a stream: which entries count, which are void, and what is wrong with the log itself."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from dca.core.clock import INSTANT_MAX
from dca.core.errors import DamagedError
from dca.core.model import Change, Record
from dca.store import entry as entries
from dca.store.grounds import grounds as grounds_of
from dca.store.port import EMPTY_HEAD, Entry, Head

Key = tuple[str, str]
"""Kind and id of a record."""

UNREADABLE, CHAIN, HASH, UNFIT, VOID = "unreadable", "chain", "hash", "unfit", "void"
"""What can be wrong with an entry."""


class Books(Protocol):
    """What the books hold at one point of a walk."""

    def before(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        """Return the records with these keys; None for one that there is not."""

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        """Carry out the changes of an entry."""


class Remembered:
    """Books in a dictionary."""

    def __init__(self) -> None:
        """Begin with empty books."""
        self.records: dict[Key, Record] = {}

    def before(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        """Return records."""
        return [self.records.get(key) for key in keys]

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        """Keep what an entry brings."""
        del stream, seq
        self.records.update(((kind, record.id), record) for kind, record, _ in changes)


class Examined(NamedTuple):
    """A document of the log, and what can be said of it without knowing what came before."""

    document: dict[str, Any]
    entry: Entry | None
    """What it says, fit or not; None where it cannot be read as an entry."""
    damage: str
    """Kind of damage: UNREADABLE, HASH or UNFIT; empty if there is none."""
    reason: str
    digest: str
    """Of the document."""
    further: Any = None
    """What else was found out about it, by and for those who ask for the walk."""


class Judged(NamedTuple):
    """A document of the log, and what came of it."""

    document: dict[str, Any]
    entry: Entry | None
    """The entry, if it counts; None where everyone passes over it."""
    damage: str
    """Kind of damage; empty if there is none. With VOID nothing but this entry is wrong: it never counted."""
    reason: str
    """What is wrong; empty if nothing is."""
    end: Head
    """The end of the stream after it."""
    further: Any = None


def examine(document: dict[str, Any], permitted: entries.Permitted) -> Examined:
    """Judge a document by itself: it must read as an entry, have the hash of what it says, and do what its command may."""
    digest = entries.document_digest(document)
    try:
        entry = entries.from_document(document)
    except DamagedError as error:
        return Examined(document, None, UNREADABLE, error.sentence, digest)
    if digest != entry.hash:
        return Examined(document, entry, HASH, "its hash is wrong", digest)
    reason = entries.unfit(entry, permitted)
    return Examined(document, entry, UNFIT if reason else "", reason, digest)


def walk(
    stream: str,
    documents: Iterable[Examined],
    books: Books,
    *,
    end: Head = EMPTY_HEAD,
    head: Head = EMPTY_HEAD,
) -> Iterator[Judged]:
    """Judge the documents of a stream that follow an end, in order, and carry out those that count.

    Each entry names the end that its writer saw: by that the next one tells how the one before it was judged when it was
    written, and the head does so for the last. An entry that was good then and is not now was changed afterwards: it is
    damage, but what follows is judged as if it counted, so that only what is wrong is named.
    """
    before = end
    waiting: Examined | None = None
    for examined in documents:
        if waiting is not None:
            judged = _judged(stream, before, waiting, books, _text(examined.document, "previous"))
            yield judged
            before = judged.end
        waiting = examined
    if waiting is not None:
        last = head.hash if head.seq == before.seq + 1 else ""
        yield _judged(stream, before, waiting, books, last)


def _judged(stream: str, before: Head, examined: Examined, books: Books, taken: str) -> Judged:
    """Judge a document; `taken` is the end after it that the next writer saw, empty where nobody tells."""
    document, entry, damage, reason, digest, further = examined
    if not damage and entry is not None:
        damage, reason = _misfit(stream, before, entry, books)
    passed = entries.passed_digest(before, digest)
    if taken == passed.hash and not damage:
        damage, reason = CHAIN, "it is in order, and yet the one after it passed over it"
        return Judged(document, None, damage, reason, passed, further)
    if damage and taken in ("", passed.hash):
        return Judged(document, None, VOID, reason, passed, further)
    time = before.time
    if entry is not None:
        books.take(stream, before.seq + 1, entry.changes)
        time = entry.time if before.time <= entry.time <= INSTANT_MAX else before.time
    return Judged(document, entry, damage, reason, Head(before.seq + 1, _text(document, "hash"), time), further)


def _misfit(stream: str, before: Head, entry: Entry, books: Books) -> tuple[str, str]:
    """Return what is wrong with an entry in its place."""
    if (entry.stream, entry.seq) != (stream, before.seq + 1):
        return CHAIN, f"it lies at another place than its own, {entry.id}"
    if entry.previous != before.hash:
        return CHAIN, "it does not follow the entry before it"
    if not before.time <= entry.time <= INSTANT_MAX:
        return UNFIT, "it is older than the entry before it, or of no year there is"
    grounds = grounds_of(entry)
    there = books.before([ground.key for ground in grounds])
    for ground, record in zip(grounds, there, strict=True):
        if not ground.holds(record, entry):
            return UNFIT, f"the {ground.key[0]} {ground.key[1]} was not before it what it says"
    return "", ""


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
