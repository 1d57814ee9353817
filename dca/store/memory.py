"""The books in memory: the simplest store, and the one that the others must equal."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from dca.core.errors import RefusedError
from dca.core.model import DEFAULT_SITE, GLOBAL_STREAM, SITE_ID, Change, Claim, Record
from dca.store.declaration import Bringing, draft, parts
from dca.store.entry import from_document, seal, to_document
from dca.store.health import Finding
from dca.store.port import (
    EMPTY_HEAD,
    Archive,
    Decision,
    Entry,
    Head,
    LogQuery,
    Mend,
    Place,
    Query,
    Reader,
    Stored,
    Sum,
    Sums,
    is_after,
    matches,
    ordered,
    select,
    total,
)
from dca.store.schema import CLAIM, KINDS, PROJECT, SITE

T = TypeVar("T")


class MemoryStore:
    """Keep the books in dictionaries; everything happens under one lock."""

    def __init__(self) -> None:
        """Begin with empty books."""
        self.records: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self.streams: dict[str, list[Entry]] = {}
        self._lock = threading.RLock()

    def read(self, question: Callable[[Reader], T]) -> T:
        """Answer a question."""
        with self._lock:
            return question(self)

    def write(self, decide: Callable[[Reader], Decision]) -> Decision:
        """Decide and commit."""
        with self._lock:
            decision = decide(self)
            if decision.draft is not None:
                entry, _ = seal(decision.draft, self.end(decision.draft.stream))
                self.streams.setdefault(entry.stream, []).append(entry)
                if decision.draft.claim is not None:
                    self.records[CLAIM][decision.draft.claim.id] = decision.draft.claim
                for kind, record, _ in entry.changes:
                    assert KINDS[kind].mutable or record.id not in self.records[kind], record
                    self.records[kind][record.id] = record
            return decision

    def entries(self, stream: str, first: int, limit: int) -> list[Entry]:
        """Return entries of a stream from a sequence on."""
        return self.streams.get(stream, [])[first - 1 : first - 1 + limit]

    @contextmanager
    def archive(self) -> Iterator["_MemoryArchive"]:
        """Hold the books still."""
        with self._lock:
            yield _MemoryArchive(self)

    @contextmanager
    def build(self) -> Iterator["_MemoryBuilder"]:
        """Fill other books, and take them over when they are complete."""
        with self._lock:
            if self.streams:
                raise RefusedError("there are books in memory already.")
            builder = _MemoryBuilder()
            yield builder
            self.records, self.streams = builder.store.records, builder.store.streams

    def again(self) -> None:
        """Nobody else can open it."""
        return

    @contextmanager
    def mending(self) -> Iterator["_MemoryMending"]:
        """Hold the books still, and let their records be put right."""
        with self._lock:
            yield _MemoryMending(self)

    def series(self) -> AbstractContextManager[None]:
        """Let consecutive writes be faster: here they are as fast as they can be."""
        return nullcontext()

    def foresee(self, stream: str, keys: Callable[[], Sequence[tuple[str, str]]]) -> None:
        """Let records be read before the write that will ask for them: here they are near enough."""

    def preview(self, question: Callable[[Reader], T]) -> T:
        """Answer a question."""
        return self.read(question)

    def setup(self) -> list[str]:
        """Nothing to make."""
        return []

    def wipe(self) -> None:
        """Destroy the books."""
        self.__init__()  # type: ignore[misc]

    def examine(self, now: int) -> list[Finding]:
        """Nothing can be wrong."""
        del now
        return []

    def actor(self) -> str:
        """Return the caller."""
        return "memory"

    def guard(self) -> None:
        """Return that the books themselves say who may do what."""

    def close(self) -> None:
        """Nothing to let go of."""

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        """Return records by id."""
        if kind == SITE:
            return [self.records[SITE].get(SITE_ID, DEFAULT_SITE) for _ in ids]
        return [self.records[kind].get(record_id) for record_id in ids]

    def need(self, keys: Sequence[tuple[str, str]]) -> None:
        """Nothing is far away."""

    def route(self, projects: Sequence[str]) -> list[str]:
        """Return the tenant of each project."""
        return [
            getattr(self.records[PROJECT].get(project) or self.records[CLAIM].get(project), "tenant", "")
            for project in projects
        ]

    def find(self, query: Query) -> list[Any]:
        """Return what a search finds."""
        return select(self.records[query.kind].values(), query)

    def sums(self, request: Sums) -> list[Sum]:
        """Return what a summing search finds."""
        return total(self.records[request.kind].values(), request)

    def log(self, query: LogQuery) -> list[Entry]:
        """Return the log entries a search finds, newest first."""
        order = ("-time", "stream", "-seq")
        entries = (entry._replace(changes=()) for stream in self.streams.values() for entry in stream)
        found = [entry for entry in entries if matches(entry, query.where)]
        if query.after is not None:
            found = [entry for entry in found if is_after(entry, order, query.after)]
        return ordered(found, order)[: query.limit]

    def end(self, stream: str) -> Head:
        """Return the end of a stream."""
        entries = self.streams.get(stream)
        return entries[-1].head if entries else EMPTY_HEAD


class _MemoryMending:
    """The books in memory, which have no heads of their own."""

    def __init__(self, store: MemoryStore) -> None:
        self.archive: Archive = _MemoryArchive(store)
        self._store = store

    def apply(self, mends: Sequence[Mend]) -> None:
        for kind, record_id, record, _, head in mends:
            if record is not None:
                self._store.records[kind][record_id] = record
            elif head is None:
                self._store.records[kind].pop(record_id, None)

    def book(self, decide: Callable[[Reader], Decision]) -> None:
        self._store.write(decide)


class _MemoryArchive:
    """The books in memory as an archive."""

    whole = True
    signed = False

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def streams(self) -> list[str]:
        return sorted(stream for stream, entries in self._store.streams.items() if entries)

    def last(self, stream: str) -> int:
        return self._store.end(stream).seq

    def documents(self, stream: str, first: int, limit: int) -> list[dict[str, Any]]:
        return list(map(to_document, self._store.entries(stream, first, limit)))

    def beyond(self, ends: Mapping[str, int]) -> list[Place]:
        return [
            Place(entry.stream, entry.seq, entry.id)
            for entries in self._store.streams.values()
            for entry in entries
            if entry.seq > ends.get(entry.stream, 0)
        ]

    def head(self, stream: str) -> Head:
        return self._store.end(stream)

    def count(self, kind: str) -> int:
        return len(self._store.records[kind])

    def stored(self, kind: str) -> Iterator[Stored]:
        return (Stored(record_id, record, "", 0) for record_id, record in self._store.records[kind].items())

    def stored_by(self, kind: str, ids: Sequence[str]) -> list[Stored | None]:
        records = self._store.records[kind]
        return [Stored(one, records[one], "", 0) if one in records else None for one in ids]


class _MemoryBuilder:
    """Books in memory that are being filled; void entries cannot be kept there."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def before(self, keys: Sequence[tuple[str, str]]) -> list[Record | None]:
        return [self.store.records[kind].get(record_id) for kind, record_id in keys]

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        del stream, seq
        for kind, record, _ in changes:
            self.store.records[kind][record.id] = record

    def enter(self, stream: str, seq: int, document: dict[str, Any], *, void: bool) -> None:
        del seq
        assert not void, document
        self.store.streams.setdefault(stream, []).append(from_document(document))

    def claim(self, claim: Claim) -> None:
        there = self.store.records[CLAIM].get(claim.id)
        if not isinstance(there, Claim) or there.generation < claim.generation:
            self.store.records[CLAIM][claim.id] = claim

    def unclaimed(self) -> str:
        claims = self.store.records[CLAIM]
        return next((one for one in self.store.records[PROJECT] if one not in claims), "")

    def head(self, stream: str, head: Head) -> None:
        assert self.store.end(stream) == head, head

    def declare(self, bringing: Bringing, ends: Mapping[str, Head]) -> None:
        for streams in parts(ends):
            declaring = draft(bringing, ends, streams, self.store.end(GLOBAL_STREAM))
            self.store.write(lambda _: Decision(None, declaring))  # noqa: B023 -- called at once
