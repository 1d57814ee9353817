"""The books in Elasticsearch: this drives the commit protocol, one operation on single documents after the other."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from dca.core.errors import DcaError, UnreachableError
from dca.core.model import GLOBAL_STREAM, TENANT_STREAM_PREFIX, tenant_stream
from dca.store import elastic_search as searches
from dca.store import entry as entries
from dca.store import protocol
from dca.store.elastic_door import (
    ATTEMPT_SECONDS_MIN,
    CONFLICT,
    FORBIDDEN,
    NOT_PERMITTED,
    OVERLOADED,
    PASSING,
    PAUSE_SECONDS,
    PAUSE_SECONDS_MAX,
    TOO_LARGE,
    Address,
    Answer,
    Door,
    Lines,
    NoAnswerError,
    NoBooksError,
    Request,
)
from dca.store.port import EMPTY_HEAD, LogQuery, Query, total
from dca.store.protocol import (
    CREATED,
    DENIED,
    DONE,
    EXISTS,
    FAILED,
    TIMED_OUT,
    Clock,
    Create,
    Found,
    Get,
    Item,
    Search,
    Sleep,
    Streams,
    Write,
    head_key,
)
from dca.store.schema import LOG, SITE, TENANT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dca.store.elastic_archive import ElasticArchive
    from dca.store.elastic_build import Scratch
    from dca.store.elastic_guard import ElasticGuard
    from dca.store.elastic_mend import ElasticMending
    from dca.store.elastic_series import Series
    from dca.store.elastic_setup import Indices
    from dca.store.entry import Permitted
    from dca.store.guard import Rows
    from dca.store.health import Finding
    from dca.store.port import Decision, Entry, Head, Reader, Sum, Sums
    from dca.store.protocol import Key, Operation, Steps

__all__ = ["Address", "ElasticStore"]

T = TypeVar("T")

PAGE = 10_000
"""Hits that Elasticsearch returns at once."""
GETS_MAX = 2_500
BULK_ITEMS_MAX = 1_000
BULK_BYTES_MAX = 4 * 2**20
"""What is written at once, at most."""
ENTRIES_MAX = 100
"""Entries read at once; one may be 2 MB."""
WRITE_SECONDS_MIN = 3.0
"""How long records are still written, at least, when the entry took nearly all the time there was."""
ATTEMPTS = 3
"""A write gets this part of the time that is left; then it is sent again, perhaps to another host."""
POINT_IN_TIME = "1m"
DISK_FULL = "cluster_block_exception"


class ElasticStore:
    """Keep the books in the indices of an Elasticsearch cluster; several stores and processes may write at once."""

    def __init__(
        self, address: Address, permitted: Permitted, *, rows: Rows | None = None, wait_seconds: float = 30.0
    ) -> None:
        """Take the address, which record kinds each command may change, and the commands; nothing is sent yet."""
        self._door = Door(address)
        self._prefix = address.prefix
        self._permitted = permitted
        self._rows: Rows = rows or {}
        self._guard: ElasticGuard | None = None
        self._wait_seconds = wait_seconds
        self._memory = protocol.Memory()
        self._actor: str | None = None
        self._series: Series | None = None
        self._bulk_items = BULK_ITEMS_MAX

    def read(self, question: Callable[[Reader], T]) -> T:
        """Answer a question."""
        return self.drive(protocol.read(question, self._permitted, self._memory))

    def write(self, decide: Callable[[Reader], Decision]) -> Decision:
        """Decide and commit."""
        decision = self.drive(protocol.write(decide, self._permitted, random.random, self._memory))
        if self._series is not None:
            self._series.go_on()
        return decision

    @contextmanager
    def series(self) -> Iterator[None]:
        """Let consecutive writes be faster: the records of an entry are written while the next one is decided."""
        from dca.store.elastic_series import Series

        if self._series is not None:
            yield
            return
        self._series = Series(self._memory, self.drive, self.deadline, lambda keys: self._get(keys, self.deadline()))
        try:
            yield
            self._series.finish()
        finally:
            self._series.close()
            self._series = None

    def foresee(self, stream: str, keys: Callable[[], Sequence[Key]]) -> None:
        """Begin to read records of a stream, none that carries a head, that the next writes of a series will ask for."""
        if self._series is not None:
            self._series.foresee(stream, keys())

    def preview(self, question: Callable[[Reader], T]) -> T:
        """Answer a question as read does, and from empty books where there are none yet."""
        try:
            return self.read(question)
        except NoBooksError:
            self._memory.clear()
            return self.drive(protocol.read(question, self._permitted), _found_nothing)

    def entries(self, stream: str, first: int, limit: int) -> list[Entry]:
        """Return entries of a stream from a sequence on, void and unreadable ones too."""
        until = self.deadline()
        listed: list[Entry] = []
        for begin in range(first, first + limit, ENTRIES_MAX):
            sequence = range(begin, min(begin + ENTRIES_MAX, first + limit))
            documents = self._get([(LOG, f"{stream}:{seq}") for seq in sequence], until)
            for seq, document in zip(sequence, documents, strict=True):
                if document is None:
                    return listed
                listed.append(searches.readable(document.record, f"{stream}:{seq}", (0, stream, seq)))
        return listed

    @contextmanager
    def archive(self) -> Iterator[ElasticArchive]:
        """Open what lies in the indices; it goes on changing where others write."""
        from dca.store.elastic_archive import ElasticArchive

        yield ElasticArchive(self._door, self._prefix, self.deadline)

    @contextmanager
    def build(self) -> Iterator[Scratch]:
        """Open empty books to be filled, in indices that nobody sees before all is done."""
        from dca.store.elastic_build import construction

        with construction(self._door, self.deadline, f"{random.getrandbits(64):016x}") as scratch:
            yield scratch

    def again(self) -> Callable[[], ElasticStore]:
        """Return what opens the same indices in another process."""
        return partial(
            ElasticStore, self._door.unlocked(), self._permitted, rows=self._rows, wait_seconds=self._wait_seconds
        )

    @contextmanager
    def mending(self) -> Iterator[ElasticMending]:
        """Open the indices to put their records and heads right, while others write."""
        from dca.store.elastic_mend import ElasticMending

        with self.archive() as archive:
            yield ElasticMending(archive, self._door, self.deadline, self.write)

    @property
    def door(self) -> Door:
        """Return the connections, for those who measure what they can do."""
        return self._door

    def close(self) -> None:
        """Close all connections."""
        self._door.close()

    def guard(self) -> ElasticGuard:
        """Return what Elasticsearch says of roles and users."""
        from dca.store.elastic_guard import ElasticGuard

        if self._guard is None:
            self._guard = ElasticGuard(self._door, self._rows, self.deadline)
        return self._guard

    def setup(self) -> list[str]:
        """Make the indices, or those that are missing; return what was done."""
        self._memory.clear()
        return self._indices().setup(self.guard().register)

    def wipe(self) -> None:
        """Destroy the books: delete the indices that are ours, and the roles, which are for these books only."""
        self._memory.clear()
        self._indices().wipe()
        self.guard().unregister()

    def actor(self) -> str:
        """Return who the caller is for Elasticsearch, which says it with his permissions; empty with its security off."""
        if self._actor is None:
            told = self._guard.login if self._guard is not None else None
            self._actor = told if told is not None else self._indices().user()
        return self._actor

    def examine(self, now: int) -> Iterator[Finding]:
        """Yield what an examination finds, by a clock in milliseconds; DcaError if there is nothing to look at."""
        from dca.store.elastic_health import Examination

        yield from Examination(self._door, self.deadline(), now=now).findings(self._unfinished)

    def _unfinished(self) -> tuple[int, list[str]]:
        """Return how many streams there are, and which have an entry that is later than their head."""
        until = self.deadline()
        heads = {
            GLOBAL_STREAM if kind == SITE else tenant_stream(record_id): document.head.seq if document else 0
            for (kind, record_id), document in self._streams(until)
        }
        following = self._get([(LOG, f"{stream}:{seq + 1}") for stream, seq in heads.items()], until)
        return len(heads), [stream for stream, entry in zip(heads, following, strict=True) if entry is not None]

    def _indices(self) -> Indices:
        from dca.store.elastic_setup import Indices

        return Indices(self._door, self.deadline())

    # -- the protocol --------------------------------------------------------------------------------------------

    def deadline(self) -> float:
        """Return until when, on the monotonic clock, a command that begins now may take."""
        return time.monotonic() + self._wait_seconds

    def drive(self, steps: Steps[T], perform: Callable[[Operation, float], Any] | None = None) -> T:
        """Carry out the operations that a run of the protocol asks for, one after the other, and return its result."""
        until = self.deadline()
        perform = perform or self.perform
        try:
            operation = next(steps)
            while True:
                try:
                    result = perform(operation, until)
                except DcaError as error:
                    operation = steps.throw(error)
                else:
                    operation = steps.send(result)
        except StopIteration as stop:
            answer: T = stop.value
            return answer

    def perform(self, operation: Operation, until: float) -> Any:
        """Carry out one operation of the protocol, by a deadline."""
        match operation:
            case Get(keys):
                return self._get(keys, until)
            case Create():
                return self._create(operation, until)
            case Write(items):
                return self._write(items, until)
            case Search(request, heads):
                return self._search(request, dict(heads), until)
            case Streams():
                return self._streams(until)
            case Sleep(seconds):
                time.sleep(max(0.0, min(seconds, until - time.monotonic())))
                return None
            case Clock():
                return until - time.monotonic()

    def _alias(self, kind: str) -> str:
        return f"{self._prefix}{kind}"

    # -- single documents ----------------------------------------------------------------------------------------

    def _get(self, keys: Sequence[Key], until: float) -> list[Found | None]:
        found: list[Found | None] = []
        for begin in range(0, len(keys), GETS_MAX):
            some = keys[begin : begin + GETS_MAX]
            request = Request("read the books", "POST", "/_mget", searches.get_body(some, self._prefix))
            answer = self._door.ask(request, until=until, fault=searches.fault)
            for (kind, _), document in zip(some, answer["docs"], strict=True):
                found.append(searches.found(kind, document) if document["found"] else None)
        return found

    def _create(self, operation: Create, until: float) -> str:
        doing = "write to the log" if operation.kind == LOG else f"write a {operation.kind}"
        document = searches.creation(operation.id, operation.text or entries.canonical(operation.document._asdict()))
        path = f"/{self._alias(operation.kind)}/_bulk?require_alias=true"
        pause = PAUSE_SECONDS
        while True:
            seconds = max(ATTEMPT_SECONDS_MIN, (until - time.monotonic()) / ATTEMPTS)
            request = Request(doing, "PUT", f"{path}&timeout={seconds:.0f}s", document)
            try:
                answer = searches.created(self._door.call(request, seconds=seconds))
            except NoAnswerError:
                return TIMED_OUT
            if answer.status != OVERLOADED or answer.kind == DISK_FULL or time.monotonic() + pause > until:
                break
            time.sleep(pause)  # an overloaded server turns a document away before it does anything with it
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
        return self._created(answer, request)

    def _created(self, answer: Answer, request: Request) -> str:
        if answer.status == CONFLICT:
            return EXISTS
        if answer.status in PASSING and answer.status != OVERLOADED:
            return TIMED_OUT
        if answer.kind == NOT_PERMITTED:
            return DENIED
        body = self._door.body_of(answer, request)
        return CREATED if "result" in body else TIMED_OUT

    def _write(self, items: Sequence[Item], until: float) -> list[str]:
        """Write documents that the log has already: nothing that goes wrong here is an error, only not done.

        Where the server turns some away, what is sent at once is halved; after a write without that it is doubled.
        """
        until = max(until, time.monotonic() + WRITE_SECONDS_MIN)
        statuses = [FAILED] * len(items)
        lines = [searches.bulk_lines(item, self._alias(item.kind)) for item in items]
        waiting, size = list(range(len(items))), self._bulk_items
        pause = 0.0
        while waiting and time.monotonic() < until:
            batch, later = _portion(waiting, lines, size)
            try:
                results = self._bulk([lines[number] for number in batch], until)
            except DcaError:
                return statuses
            again = []
            for number, status in zip(batch, results, strict=True):
                if status in PASSING or (status == TOO_LARGE and len(batch) > 1):
                    again.append(number)
                else:
                    statuses[number] = _written(items[number], status)
            if again:
                size, pause = max(1, len(batch) // 2), min(2 * pause + PAUSE_SECONDS, PAUSE_SECONDS_MAX)
                time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 -- jitter is no secret
            waiting = again + later
        self._bulk_items = size if pause else min(2 * size, BULK_ITEMS_MAX)
        return statuses

    def _bulk(self, lines: Sequence[bytes], until: float) -> list[int]:
        """Send documents together; return the HTTP status of each."""
        path = "/_bulk?require_alias=true&filter_path=items.*.status,error"
        request = Request("write records", "POST", path, Lines(b"".join(lines)))
        try:
            answer = self._door.call(request, seconds=(until - time.monotonic()) / ATTEMPTS)
        except NoAnswerError:
            return [OVERLOADED] * len(lines)
        if "items" not in (answer.body or ()):
            return [answer.status] * len(lines)
        return [next(iter(result.values()))["status"] for result in answer.body["items"]]

    # -- searches ------------------------------------------------------------------------------------------------

    def _search(self, request: Query | Sums | LogQuery, heads: dict[str, Head], until: float) -> list[Any]:
        if isinstance(request, LogQuery):
            self._refresh([LOG], until)
            hits = self._hits(LOG, searches.log_body(request), request.limit, until)
            return [searches.readable(hit["_source"], hit["_id"], hit["sort"]) for hit in hits]
        self._refresh([request.kind], until)
        if isinstance(request, Query):
            hits = self._hits(request.kind, searches.query_body(request), request.limit, until)
            return [searches.found(request.kind, hit) for hit in hits]
        return self._sums(request, heads.get(request.stream, EMPTY_HEAD), until)

    def _streams(self, until: float) -> list[tuple[Key, Found | None]]:
        """Read all documents that carry heads, and which streams the log has begun without one being written yet."""
        self._refresh([TENANT, LOG], until)
        everything = {"query": {"match_all": {}}, "sort": [{"id": "asc"}], "version": True}
        streams: dict[Key, Found | None] = dict.fromkeys([head_key(GLOBAL_STREAM)])
        begun = {"query": {"term": {"seq": 1}}, "sort": [{"stream": "asc"}], "_source": False}
        for stream in searches.first_entries(hit["_id"] for hit in self._hits(LOG, begun, None, until)):
            if stream.startswith(TENANT_STREAM_PREFIX):
                streams[head_key(stream)] = None
        for hit in self._hits(TENANT, everything, None, until):
            streams[TENANT, hit["_id"]] = searches.found(TENANT, hit)
        streams[head_key(GLOBAL_STREAM)] = self._get([head_key(GLOBAL_STREAM)], until)[0]
        return list(streams.items())

    def _refresh(self, kinds: Sequence[str], until: float) -> None:
        """Make everything that was written until now visible to searches."""
        request = Request("refresh the search", "POST", f"/{','.join(map(self._alias, kinds))}/_refresh")
        _whole(self._door.ask(request, until=until), request)

    def _hits(self, kind: str, body: dict[str, Any], limit: int | None, until: float) -> Iterable[Any]:
        """Return what a search hits; more than a page is read from one point in time."""
        size = PAGE if limit is None else min(PAGE, limit)
        hits = self._page(f"/{self._alias(kind)}", {**body, "size": size}, until)
        if len(hits) < PAGE or limit == PAGE:
            return hits
        return self._pages(kind, body, limit, until)

    def _pages(self, kind: str, body: dict[str, Any], limit: int | None, until: float) -> Iterator[Any]:
        path = f"/{self._alias(kind)}/_pit?keep_alive={POINT_IN_TIME}&allow_partial_search_results=false"
        opened = self._door.ask(Request("search", "POST", path), until=until)
        point = {"id": opened["id"], "keep_alive": POINT_IN_TIME}
        try:
            while limit is None or limit > 0:
                size = PAGE if limit is None else min(PAGE, limit)
                hits = self._page("", {**body, "size": size, "pit": point}, until)
                yield from hits
                if len(hits) < size:
                    return
                limit = None if limit is None else limit - size
                body = {**body, "search_after": hits[-1]["sort"]}
        finally:
            self._let_go(point["id"], until)

    def _let_go(self, point: str, until: float) -> None:
        try:
            self._door.call(Request("search", "DELETE", "/_pit", {"id": point}), seconds=until - time.monotonic())
        except DcaError:
            return  # it ends by itself

    def _page(self, path: str, body: dict[str, Any], until: float) -> list[Any]:
        answer = self._searched(path, {"track_total_hits": False, **body}, until)
        hits: list[Any] = answer["hits"]["hits"]
        return hits

    def _searched(self, path: str, body: dict[str, Any], until: float) -> dict[str, Any]:
        partial = "" if "pit" in body else "?allow_partial_search_results=false"
        request = Request("search", "POST", f"{path}/_search{partial}", body)
        return _whole(self._door.ask(request, until=until), request)

    def _sums(self, request: Sums, head: Head, until: float) -> list[Sum]:
        if not head.seq:
            return []
        for careful in (False, True):
            rows = self._summed(request, head, until, careful=careful)
            if rows is not None:
                return sorted(rows)
        return self._added(request, head, until)

    def _summed(self, request: Sums, head: Head, until: float, *, careful: bool) -> list[Sum] | None:
        """Return the rows of a summing search, page by page; None where they may not be exact."""
        rows: list[Sum] = []
        for run in searches.runs(request) if request.days else [None]:
            after = None
            while True:
                body = searches.sums_body(request, head, run, after, careful=careful)
                answer = self._searched(f"/{self._alias(request.kind)}", body, until)
                page = searches.sum_rows(request, run, answer)
                if page is None:
                    return None
                rows += page
                found = answer["aggregations"]["rows"]
                after = found.get("after_key")
                if after is None or len(found["buckets"]) < searches.groups_at_once(run):
                    break
        return rows

    def _added(self, request: Sums, head: Head, until: float) -> list[Sum]:
        """Add up a summing search in whole numbers, record by record."""
        body = {"query": {"bool": {"filter": searches.sums_filter(request, head)}}, "sort": [{"id": "asc"}]}
        hits = self._hits(request.kind, body, None, until)
        return total((searches.found(request.kind, hit).record for hit in hits), request)


def _found_nothing(operation: Operation, until: float) -> list[Any]:
    """Answer an operation of a reader as empty books would; until is of no matter."""
    del until
    return [None] * len(operation.keys) if isinstance(operation, Get) else []


def _portion(waiting: list[int], lines: Sequence[bytes], size: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the documents that are sent at once, and of those that come after them."""
    end = total_bytes = 0
    for number in waiting[:size]:
        total_bytes += len(lines[number])
        if end and total_bytes > BULK_BYTES_MAX:
            break
        end += 1
    return waiting[:end], waiting[end:]


def _written(item: Item, status: int) -> str:
    """Return what the HTTP status of one document among several means."""
    if status == FORBIDDEN:
        return DENIED
    if status == CONFLICT:
        return DONE if item.version else EXISTS
    return DONE if status in (200, 201) else FAILED


def _whole(answer: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return an answer in which no part failed: an answer from some of the shards is none."""
    if answer["_shards"]["failed"] or answer.get("timed_out"):
        raise UnreachableError(f"cannot {request.doing}: some shards failed; look at their health and try again.")
    return answer
