"""The books as they stood at an earlier moment: the present ones, with all that was written since taken back.

The time of an entry is never before that of the entry it follows, so the books at a moment are the first so many entries
of each stream. The later ones are read backwards from the end; what a record was before the first of them that changed
it, is what it was. How many of them there are is what an answer costs, and it keeps no more than it may have to show.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from dca.core.errors import DamagedError
from dca.core.model import DEFAULT_SITE, GLOBAL_STREAM, Record, tenant_stream
from dca.store import entry as entries
from dca.store.port import EMPTY_HEAD, Condition, Entry, Head, LogQuery, Query, Reader, Store, Sum, Sums, select
from dca.store.protocol import only_stream, record_stream
from dca.store.schema import CLAIM, HOLD, KINDS, SITE, TENANT, from_dict

T = TypeVar("T")
Document = dict[str, Any]
Documents = Callable[[str, int, int], Sequence[Document]]
"""Reads entries as they lie in the log: of a stream, from a sequence on, at most so many, and at least one if it is there."""

Before = dict[str, dict[str, Document | None]]
"""Records as they were, by kind and id; None where there was none yet."""

BLOCK = 500
"""Entries read at once, at most."""
BLOCK_CHANGES = 2_000
"""Changes that the entries read at once may hold, as far as the ones before them tell."""
PAGE = 5_000


class Link(NamedTuple):
    """An entry of a stream, as those who wrote behind it judged it."""

    seq: int
    document: Document
    passed: Head | None = None
    """If it is void: the end of the stream before it."""


def chain(documents: Documents, stream: str, end: Head) -> Iterator[Link]:
    """Yield the entries of a stream backwards from an end, each as it was judged by all who wrote behind it.

    An end names the hash of its entry, an entry the hash of the end before it; so the hashes alone tell which entries are
    void, and whether any was changed, without doing their arithmetic again. What does not fit is a DamagedError.
    """
    wanted = end.hash
    void: list[tuple[int, Document, str]] = []
    for seq, document in _backwards(documents, stream, end.seq):
        digest = entries.document_digest(document)
        if digest == document.get("hash"):
            ends = _behind(Head(seq, digest, document.get("time", 0)), [one[2] for one in reversed(void)])
            if ends[-1].hash == wanted:
                yield from _void(void, ends)
                yield Link(seq, document)
                void, wanted = [], document["previous"]
                continue
        void.append((seq, document, digest))
    ends = _behind(EMPTY_HEAD, [one[2] for one in reversed(void)])
    if ends[-1].hash != wanted:
        raise _broken(stream, void[0][0] if void else 1)
    yield from _void(void, ends)


def _behind(end: Head, digests: Iterable[str]) -> list[Head]:
    """Return an end, and those that follow it if the entries with these digests are void."""
    ends = [end]
    for digest in digests:
        ends.append(entries.passed_digest(ends[-1], digest))
    return ends


def _void(void: Sequence[tuple[int, Document, str]], ends: Sequence[Head]) -> Iterator[Link]:
    for (seq, document, _), before in zip(void, reversed(ends[:-1]), strict=True):
        yield Link(seq, document, before)


def _backwards(documents: Documents, stream: str, last: int) -> Iterator[tuple[int, Document]]:
    """Yield the entries of a stream from a sequence down to the first, in blocks that do not take much memory."""
    size = 1
    while last > 0:
        first = max(1, last - size + 1)
        block: list[Document] = []
        while first + len(block) <= last:
            some = documents(stream, first + len(block), last + 1 - first - len(block))
            if not some:
                raise DamagedError(
                    f"entry {first + len(block)} of stream {stream} is missing; dca log verify tells more."
                )
            block += some
        yield from zip(range(last, first - 1, -1), reversed(block), strict=True)
        changes = max(len(one["changes"]) if isinstance(one.get("changes"), list) else 0 for one in block)
        size = max(1, min(BLOCK, 4 * size, BLOCK_CHANGES // max(1, changes)))
        last = first - 1


def _broken(stream: str, seq: int) -> DamagedError:
    return DamagedError(
        f"entry {seq} of stream {stream} is not what was written, or what follows it is not; dca log verify tells more."
    )


class Unwound(NamedTuple):
    """A stream taken back to a moment."""

    end: Head
    """Its present end."""
    cut: Head
    """Its end at that moment."""
    before: dict[str, dict[str, Record | None]]
    """Records that were changed in between, as they were before that, by kind and id."""


class Behind(Exception):  # noqa: N818 -- no error: the sign that streams have to be taken back first
    """A question about the past concerns streams that have gone on since."""

    def __init__(self, ends: dict[str, Head]) -> None:
        """Name the streams, and where they end."""
        super().__init__()
        self.ends = ends


class Past:
    """The way back to a moment, for the record kinds that a question reads."""

    def __init__(self, store: Store, moment: int, kinds: Collection[str]) -> None:
        """Take the store, the moment, and the kinds."""
        self.store = store
        self.moment = moment
        self.kinds = {kind for kind in kinds if kind in KINDS and KINDS[kind].mutable} - {CLAIM}
        self.streams: dict[str, Unwound] = {}

    def ask(self, question: Callable[[Reader], T]) -> T:
        """Answer a question from the books as they stood.

        The log is read between two views of the present, not within one, so that however long it takes no view gets old.
        """
        while True:
            try:
                return self.store.read(lambda present: question(_PastReader(self, present)))
            except Behind as behind:
                self.take_back(behind.ends)

    def take_back(self, ends: Mapping[str, Head]) -> None:
        """Take streams back from their present ends, or from there to where they were taken back from before."""
        with self.store.archive() as archive:
            for stream, end in ends.items():
                self.streams[stream] = self._unwound(archive.documents, stream, end)

    def _unwound(self, documents: Documents, stream: str, end: Head) -> Unwound:
        known = self.streams.get(stream)
        if known is not None and known.end.seq > end.seq:
            known = None
        before: Before = {kind: {} for kind in self.kinds}
        cut = EMPTY_HEAD
        for seq, document, passed in chain(documents, stream, end):
            if known is not None and seq <= known.end.seq:
                cut = known.cut
                break
            if passed is not None:
                continue
            if document["time"] <= self.moment:
                cut = Head(seq, document["hash"], document["time"])
                break
            self._undo(before, document)
        records = {
            kind: {name: None if was is None else from_dict(kind, was) for name, was in found.items()}
            for kind, found in before.items()
        }
        if known is not None:
            for kind, earlier in known.before.items():
                records[kind].update(earlier)
        return Unwound(end, cut, records)

    def _undo(self, before: Before, document: Document) -> None:
        """Note what an entry's records were before it; most of them are noted again, so only the last are made records."""
        for change in document["changes"]:
            kind, was = change["kind"], change.get("was")
            if kind not in self.kinds:
                continue
            if kind == HOLD and (was is None or was["opened"] > self.moment):
                continue  # it was made later, which it says itself: there may be very many of these
            before[kind][change["record"]["id"]] = was


class _PastReader:
    """The books as they stood, seen from a view of the present."""

    def __init__(self, past: Past, present: Reader) -> None:
        self._past = past
        self._present = present
        self._moment = past.moment
        self._until = Condition("time", "le", past.moment)
        self._all: list[str] = []

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        """Return records by id; what is not in the present books never was in any."""
        found = self._present.get(kind, ids)
        if kind == CLAIM:
            return found
        if not KINDS[kind].mutable:
            return [one if one is not None and one.time <= self._moment else None for one in found]
        before = self._before(kind, sorted({record_stream(one) for one in found if one is not None}))
        listed = [before.get(one.id, one) if one is not None else None for one in found]
        if kind == SITE:
            return [one or DEFAULT_SITE for one in listed]
        return [None if kind == HOLD and one is not None and one.opened > self._moment else one for one in listed]

    def need(self, keys: Sequence[tuple[str, str]]) -> None:
        self._present.need(keys)

    def route(self, projects: Sequence[str]) -> list[str]:
        """Return the tenants of projects, which never change."""
        return self._present.route(projects)

    def find(self, query: Query) -> list[Any]:
        if not KINDS[query.kind].mutable:
            return self._present.find(query._replace(where=(*query.where, self._until)))
        only = only_stream(query)
        before = self._before(query.kind, [only] if only else self._streams())
        there = query.where
        if query.kind == HOLD:
            there = (*there, Condition("opened", "le", self._moment))
        wide = query._replace(where=there, limit=query.limit + len(before))
        records = [one for one in self._present.find(wide) if one.id not in before]
        return select([*records, *(one for one in before.values() if one is not None)], query)

    def sums(self, request: Sums) -> list[Sum]:
        return self._present.sums(request._replace(where=(*request.where, self._until)))

    def log(self, query: LogQuery) -> list[Entry]:
        return self._present.log(query._replace(where=(*query.where, self._until)))

    def end(self, stream: str) -> Head:
        return self._unwound([stream])[0].cut

    def _streams(self) -> list[str]:
        """Return all streams there are."""
        if not self._all:
            self._all = [GLOBAL_STREAM]
            query = Query(TENANT, limit=PAGE)
            while len(page := self._present.find(query)) == PAGE:
                self._all += [tenant_stream(one.id) for one in page]
                query = query._replace(after=(page[-1].id,))
            self._all += [tenant_stream(one.id) for one in page]
        return self._all

    def _before(self, kind: str, streams: Sequence[str]) -> dict[str, Record | None]:
        """Return the records of a kind that have changed since, as they were."""
        assert kind in self._past.kinds, kind
        found: dict[str, Record | None] = {}
        for unwound in self._unwound(streams):
            found.update(unwound.before.get(kind, {}))
        return found

    def _unwound(self, streams: Sequence[str]) -> list[Unwound]:
        """Return streams taken back; one that went on meanwhile by the little that it went."""
        ends = {stream: self._present.end(stream) for stream in streams}
        known = self._past.streams
        known.update((stream, Unwound(end, end, {})) for stream, end in ends.items() if end.time <= self._moment)
        behind = {stream: end for stream, end in ends.items() if stream not in known}
        if behind:
            raise Behind(behind)
        further = {stream: end for stream, end in ends.items() if known[stream].end != end}
        if further:
            self._past.take_back(further)
        return [known[stream] for stream in streams]
