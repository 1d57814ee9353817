"""The judged walk over a stream: which entries count, which are void, and what is wrong with the log itself."""

from collections import deque
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


LOOK_MAX = 1_000
"""So many later documents are asked how an entry was judged."""
ENDS_MAX = 64


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
    head: Head | None = None,
) -> Iterator[Judged]:
    """Judge the documents of a stream that follow an end, in order, and carry out those that count.

    Everybody judges alike, so that what is judged here is what was judged when it was written, unless a document was changed
    afterwards. That those show who wrote later, and the head: each names the end that its writer saw. An entry that was good
    then and is not now is damage, but what follows is judged as if it counted, so that only what is wrong is named.
    Without a head (None) it is not known how far the log was carried out; with one, nobody vouches for what lies behind it.
    """
    before = end
    coming = _Coming(documents)
    while (examined := coming.take()) is not None:
        judged = _judged(stream, before, examined, books, coming, head)
        yield judged
        before = judged.end


class _Coming:
    """The documents to come, of which some can be looked at before it is their turn."""

    def __init__(self, documents: Iterable[Examined]) -> None:
        self._rest = iter(documents)
        self._waiting: deque[Examined] = deque()

    def take(self) -> Examined | None:
        return self._waiting.popleft() if self._waiting else next(self._rest, None)

    def look(self, number: int) -> Examined | None:
        while len(self._waiting) <= number:
            following = next(self._rest, None)
            if following is None:
                return None
            self._waiting.append(following)
        return self._waiting[number]


def _judged(  # noqa: PLR0917 -- all of different types
    stream: str, before: Head, examined: Examined, books: Books, coming: _Coming, head: Head | None
) -> Judged:
    document, entry, damage, reason, digest, further = examined
    if not damage and entry is not None:
        damage, reason = _misfit(stream, before, entry, books)
    passed = entries.passed_digest(before, digest)
    own = Head(before.seq + 1, _text(document, "hash"), before.time)
    counted = _counted(own, passed, coming, head, doubted=bool(damage))
    if counted is False and not damage:
        damage, reason = CHAIN, "it is in order, and yet the one after it passed over it"
        return Judged(document, None, damage, reason, passed, further)
    if damage and not counted:
        return Judged(document, None, VOID, reason, passed, further)
    time = before.time
    if entry is not None:
        books.take(stream, before.seq + 1, entry.changes)
        time = entry.time if before.time <= entry.time <= INSTANT_MAX else before.time
    return Judged(document, entry, damage, reason, own._replace(time=time), further)


def _counted(own: Head, passed: Head, coming: _Coming, head: Head | None, *, doubted: bool) -> bool | None:
    """Tell from the head, or from what comes later, whether an entry counted for its contemporaries; None if nothing tells.

    What comes next alone does not tell: it may be forged itself, behind either end. So both ends are followed on, over
    entries that count and such that are void, to the head, or to the last document that follows one of them and not the
    other: that of a writer who judged as everybody does.
    """
    if head is not None and head.seq < own.seq:
        return None
    following = coming.look(0)
    at_head = head is not None and head.seq == own.seq
    if not doubted and not at_head and (following is None or _text(following.document, "previous") != passed.hash):
        return None
    good, void, told, linked, before = [own.hash], [passed.hash], None, False, ""
    for number in range(LOOK_MAX):
        seq = own.seq + number
        if head is not None and head.seq == seq:
            if (head.hash in good) != (head.hash in void):
                return head.hash in good
            return doubted or None if told is None else told
        following = coming.look(number)
        if following is None:
            break
        previous = _text(following.document, "previous")
        if (previous in good) != (previous in void):
            told = previous in good
        linked = linked or (number > 0 and previous == before)
        before = _text(following.document, "hash")
        good, void = (_after(ends, following, seq) for ends in (good, void))
    return (linked and doubted) or None if told is None else told


def _after(ends: Sequence[str], document: Examined, seq: int) -> list[str]:
    """Return the ends after a document that follows one of some ends, or is void behind them."""
    counting = [_text(document.document, "hash")] if _text(document.document, "previous") in ends else []
    return [*counting, *(entries.passed_digest(Head(seq, end, 0), document.digest).hash for end in ends)][:ENDS_MAX]


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
