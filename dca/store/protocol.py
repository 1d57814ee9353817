"""The commit protocol for stores that know single documents only: the log entry is the commit.

Everything here is a generator that yields operations on single documents (or searches) and is sent their results, so
that the Elasticsearch adapter and the exhaustive test drive the same code. The order of the operations is the protocol:

* reading: the head of a stream, then records, then the entries after the head until there is none, laid over them;
* writing: decide on such a view, create the entry after the last one, then the records, and the head last of all;
  a stream's second entry waits for the head of the first.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from dca.core.errors import BusyError, DamagedError, DcaError, DeniedError, OutcomeUnknownError
from dca.core.model import (
    DEFAULT_SITE,
    GLOBAL_STREAM,
    SITE_ID,
    TENANT_STREAM_PREFIX,
    Claim,
    Login,
    Project,
    Record,
    Role,
    Site,
    tenant_stream,
)
from dca.store import entry as entries
from dca.store.grounds import grounds as grounds_of
from dca.store.grounds import verdict
from dca.store.port import (
    EMPTY_HEAD,
    Decision,
    Draft,
    Entry,
    Head,
    LogQuery,
    Query,
    Reader,
    Sum,
    Sums,
    add_sums,
    records_of,
    select,
    total,
)
from dca.store.schema import CLAIM, KEY, KINDS, LOG, OF_SITE, PROJECT, SITE, TENANT

T = TypeVar("T")
Key = tuple[str, str]
"""Kind and id of a record."""

YOUNG_SECONDS = 0.05
"""How long an unfinished entry is left to its author."""
WALK_MAX = 256
LOOK_MAX = 16
"""Streams whose next entries are looked for together with records; of more, they are looked for once at the end."""
REMEMBERED_MAX = 100_000
FOR_EVER = 2**63

CREATED, EXISTS, TIMED_OUT, DENIED, FAILED = "created", "exists", "timed out", "denied", "failed"
DONE = "done"


class Found(NamedTuple):
    """A document as it was read: the record (in the log the raw entry), its version, and its head if it carries one."""

    record: Any
    version: int
    head: Head = EMPTY_HEAD


class Get(NamedTuple):
    """Read documents by id, in real time; the result lists Found or None for each."""

    keys: tuple[Key, ...]


class Create(NamedTuple):
    """Create one document, a record or an entry; the result is CREATED, EXISTS, TIMED_OUT or DENIED."""

    kind: str
    id: str
    document: Any
    text: str = ""
    """An entry as it is kept, in canonical JSON."""


class Item(NamedTuple):
    """One document to write: appended if version is 0, else put unless a newer version is there."""

    kind: str
    id: str
    record: Record
    version: int
    head: Head | None = None


class Write(NamedTuple):
    """Write several documents, each for itself; the result lists DONE, EXISTS, DENIED or FAILED for each."""

    items: tuple[Item, ...]


class Search(NamedTuple):
    """Refresh, then search; the result is a list of Found for a Query, of Sum for Sums, of raw entries for a LogQuery.

    `heads` are those known; entries of `Sums.stream` after its head are left out of sums.
    """

    request: Query | Sums | LogQuery
    heads: tuple[tuple[str, Head], ...] = ()


class Streams(NamedTuple):
    """Refresh, then read the documents that carry heads: all tenants and the site, as a list of (key, Found)."""


class Sleep(NamedTuple):
    """Wait that many seconds."""

    seconds: float


class Clock(NamedTuple):
    """Ask for the seconds left until the deadline of the command."""


Operation = Get | Create | Write | Search | Streams | Sleep | Clock
Steps = Generator[Operation, Any, T]


class Missing(Exception):  # noqa: N818 -- no error: the sign by which a view asks for what it has not read yet
    """A decision asked for something that its view does not hold yet."""

    def __init__(
        self,
        *,
        keys: Sequence[Key] = (),
        streams: Sequence[str] = (),
        routes: Sequence[str] = (),
        search: Query | Sums | LogQuery | None = None,
        everything: bool = False,
    ) -> None:
        """Say what is missing."""
        super().__init__()
        self.keys = keys
        self.streams = streams
        self.routes = routes
        self.search = search
        self.everything = everything


class Later(NamedTuple):
    """An entry after the head: its end, and the entry itself unless it is void."""

    end: Head
    entry: Entry | None
    head_record: Record | None
    """The tenant or site record as it stood after the entry."""


class Early(NamedTuple):
    """Records that were read before the write that will ask for them began."""

    stream: str
    head: Head
    """A head that the stream had already when their reading began."""
    keys: frozenset[Key]
    documents: Callable[[], Mapping[Key, Found | None]]
    """Returns what was read, once all of it is there; nothing where it could not be read."""


class Memory:
    """What a process remembers of the books between its commands: only what stays true.

    A head that was there once is a point up to which all records are written, however far the stream has grown; a
    project is its tenant's for ever; an entry does not change. So a view may begin with these and read all else after
    them. Whether they are of these very books, which somebody may have wiped or restored, is seen as it reads.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.heads: dict[str, Head] = {}
        self.routes: dict[str, str] = {}
        self.waiting: dict[str, list[Later]] = {}
        """Own entries that follow the remembered heads, whose records are still being written."""
        self.defers = False
        """Whether the driver writes the records of own entries later: those that wait."""
        self.early: list[Early] = []
        """What is being read early, in the order of the writes that will ask for it."""
        self._reached: dict[str, Head] = {}
        """Heads that streams have by now, where a view must begin at an older one: something was read early after that."""

    def clear(self) -> None:
        """Forget everything."""
        self.heads.clear()
        self.routes.clear()
        self.waiting.clear()
        self.early.clear()
        self._reached.clear()

    def reach(self, stream: str, head: Head) -> None:
        """Remember a head that the stream has, or had."""
        if stream not in self._reached:
            self._begin(stream, head)
        elif head.seq > self._reached[stream].seq:
            self._reached[stream] = head

    def _begin(self, stream: str, head: Head) -> None:
        """Let views begin at a head; own entries up to it wait no longer."""
        if head.seq > self.heads.get(stream, EMPTY_HEAD).seq:
            self.heads[stream] = head
        waiting = [one for one in self.waiting.pop(stream, ()) if one.end.seq > self.heads.get(stream, EMPTY_HEAD).seq]
        if waiting:
            self.waiting[stream] = waiting

    def reached(self, stream: str) -> Head:
        """Return the newest head that a stream is known to have."""
        return self._reached.get(stream) or self.heads.get(stream, EMPTY_HEAD)

    def foresee(self, stream: str, keys: Iterable[Key], documents: Callable[[], Mapping[Key, Found | None]]) -> None:
        """Take in records of a stream whose reading begins now, for a write to come; none that carries a head.

        Until that write is over, `settle` lets no view of the stream begin at a head that is newer than this reading.
        """
        if stream in self.heads:
            head = self._reached.setdefault(stream, self.heads[stream])
            self.early.append(Early(stream, head, frozenset(keys), documents))

    def settle(self) -> None:
        """Between two writes: let views begin at the newest heads again, but not after what is being read early."""
        for stream, head in list(self._reached.items()):
            held = next((one.head for one in self.early if one.stream == stream), None)
            if held is None:
                del self._reached[stream]
            self._begin(stream, held or head)

    def keep(self, view: "View") -> None:
        """Remember what a view has learned."""
        if len(self.heads) + len(self.routes) > REMEMBERED_MAX:
            self.clear()
        for stream, head in view.heads.items():
            self.reach(stream, head)
        for (kind, record_id), found in view.documents.items():
            if kind == PROJECT and found is not None:
                self.routes[record_id] = found.record.tenant

    def ends(self, stream: str) -> dict[int, str]:
        """Return the hashes of the remembered head and of the entries that wait, by sequence."""
        return {end.seq: end.hash for end in (self.heads[stream], *(one.end for one in self.waiting.get(stream, ())))}


def head_key(stream: str) -> Key:
    """Return the document that carries the head of a stream."""
    if stream == GLOBAL_STREAM:
        return (SITE, SITE_ID)
    return (TENANT, stream.removeprefix(TENANT_STREAM_PREFIX))


def stream_of(kind: str, record_id: str) -> str:
    """Return the stream that a record's id names; not for projects and claims, which are routed."""
    if kind in OF_SITE:
        return GLOBAL_STREAM
    if kind == KEY:
        return record_id.partition(":k:")[0]
    return tenant_stream(record_id.partition(":")[0])


def record_stream(record: Any) -> str:
    """Return the stream that a record belongs to."""
    if hasattr(record, "stream"):
        return str(record.stream)
    if isinstance(record, (Site, Role, Login)):
        return GLOBAL_STREAM
    return tenant_stream(record.tenant if hasattr(record, "tenant") else record.id)


def only_stream(query: Query) -> str:
    """Return the stream to which all that a search can find belongs; empty where there may be several."""
    if query.kind in OF_SITE:
        return GLOBAL_STREAM
    owner = "id" if query.kind == TENANT else "tenant"
    return next((tenant_stream(value) for field, op, value in query.where if (field, op) == (owner, "eq")), "")


class View:
    """The books as one command has read them so far: documents, and the later entries laid over them."""

    def __init__(self, memory: Memory | None = None) -> None:
        """Begin with nothing read, but perhaps with something remembered."""
        self.memory = memory if memory is not None else Memory()
        self.recalled: set[str] = set()
        """Streams whose heads are remembered and not confirmed yet."""
        self.recalled_routes: set[str] = set()
        """Projects of which it is remembered whose they are, and not confirmed yet."""
        self.heads: dict[str, Head] = {}
        self.ends: dict[str, Head] = {}
        self.later: dict[str, list[Later]] = {}
        self.documents: dict[Key, Found | None] = {}
        self.overlay: dict[Key, Record] = {}
        self.routes: dict[str, str] = {}
        self.ranks: dict[str, int] = {}
        """By which generation of its claim a project is routed; FOR_EVER once the project itself is known."""
        self.found: dict[Any, list[Any]] = {}
        self.everything = False
        self.current = False
        """Whether the log was walked to its end after the last document was read."""

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        """Return the records with these ids, or ask for them."""
        keys = [(kind, record_id) for record_id in ids]
        missing = [key for key in keys if key not in self.documents]
        if missing:
            raise Missing(keys=missing)
        if kind in (PROJECT, CLAIM):
            owners = {tenant_stream(self.routes[record_id]) for record_id in ids if self.routes[record_id]}
            if owners - self.heads.keys():
                for key in keys:
                    del self.documents[key]  # read before the head of its stream, which a claim has just gone over to
                raise Missing(keys=keys)
        return [self.record(key) for key in keys]

    def need(self, keys: Sequence[Key]) -> None:
        """Ask for all these records at once, where any is not read yet."""
        missing = [key for key in keys if key not in self.documents]
        if missing:
            raise Missing(keys=missing)

    def record(self, key: Key) -> Any:
        """Return a record that was read: the later entries' word goes first, unless it is about an earlier claim."""
        found = self.documents[key]
        later = self.overlay.get(key)
        if later is not None and not (
            found and isinstance(later, Claim) and found.record.generation > later.generation
        ):
            return later
        if found is None:
            return DEFAULT_SITE if key == (SITE, SITE_ID) else None
        return found.record

    def route(self, projects: Sequence[str]) -> list[str]:
        """Return the tenant of each project id, or ask for it."""
        missing = [project for project in projects if project not in self.routes]
        if missing:
            raise Missing(routes=missing)
        return [self.routes[project] for project in projects]

    def end(self, stream: str) -> Head:
        """Return the end of a stream as far as it is known, or ask for it."""
        if stream not in self.ends:
            raise Missing(streams=(stream,))
        return self.ends[stream]

    def find(self, query: Query) -> list[Any]:
        """Return what a search found, with the later entries laid over it, or ask for it."""
        self._need_streams(query)
        changed = {record_id: record for (kind, record_id), record in self.overlay.items() if kind == query.kind}
        wide = query._replace(limit=query.limit + len(changed))
        if wide not in self.found:
            wider = [
                known for known in self.found if isinstance(known, Query) and known._replace(limit=wide.limit) == wide
            ]
            wide = next((known for known in wider if known.limit >= wide.limit), wide)
        if wide not in self.found:
            raise Missing(search=wide)
        mutable = KINDS[query.kind].mutable
        records = [
            found.record
            for found in self.found[wide]
            if found.record.id not in changed and (mutable or found.record.seq <= self.heads[found.record.stream].seq)
        ]
        return select([*records, *changed.values()], query)

    def sums(self, request: Sums) -> list[Sum]:
        """Return what a summing search found, with the later entries added, or ask for it."""
        self.end(request.stream)
        if request not in self.found:
            raise Missing(search=request)
        later = [
            record
            for one in self.later.get(request.stream, ())
            if one.entry is not None
            for record in records_of(one.entry.changes, request.kind)
        ]
        return add_sums(self.found[request], total(later, request))

    def log(self, query: LogQuery) -> list[Entry]:
        """Return the entries that a search found, or ask for them."""
        if query not in self.found:
            raise Missing(search=query)
        return self.found[query]

    def _need_streams(self, query: Query) -> None:
        stream = only_stream(query)
        if stream:
            self.end(stream)
        elif not self.everything:
            raise Missing(everything=True)

    def learn(self, stream: str, found: Found | None) -> None:
        """Take in the document that carries a stream's head; searches over all streams did not know this one."""
        for request in [one for one in self.found if isinstance(one, Query) and not only_stream(one)]:
            del self.found[request]
        head = found.head if found else EMPTY_HEAD
        self.heads[stream] = head
        self.ends[stream] = head
        self.later[stream] = []
        self.documents[head_key(stream)] = found

    def is_headless(self, stream: str) -> bool:
        """Tell whether a stream has an entry that counts, and the document that carries its head is not there yet.

        No second one is written before it is there, so that one that was taken away is told from one that never was.
        """
        entry_counts = any(one.entry is not None for one in self.later[stream])
        return entry_counts and self.heads[stream] == EMPTY_HEAD

    def recall(self, streams: Iterable[str]) -> None:
        """Begin at the remembered heads of streams."""
        for stream in streams:
            if stream in self.memory.heads and stream not in self.heads:
                self.heads[stream] = self.ends[stream] = self.memory.heads[stream]
                self.later[stream] = []
                self.recalled.add(stream)

    def recall_routes(self, projects: Iterable[str]) -> None:
        """Take projects for those tenants' whose they are remembered to be."""
        for project in projects:
            if project in self.memory.routes and project not in self.routes:
                self.routes[project] = self.memory.routes[project]
                self.ranks[project] = FOR_EVER
                self.recalled_routes.add(project)

    def expected_end(self, stream: str) -> Head:
        """Return the end of a stream as far as it is known, own entries that wait after a remembered head included."""
        waiting = self.memory.waiting.get(stream) if stream in self.recalled else None
        return waiting[-1].end if waiting else self.ends[stream]

    def take_early(self, keys: Sequence[Key]) -> Mapping[Key, Found | None]:
        """Take what was read early of some records, once; it counts where this view begins at the head it was read after."""
        wanted = frozenset(keys) if self.memory.early else frozenset()
        for early in self.memory.early:
            if early.keys <= wanted:
                self.memory.early.remove(early)
                return early.documents() if self.heads.get(early.stream) == early.head else {}
        return {}

    def unconfirmed(self) -> list[Key]:
        """Return the documents that confirm what is remembered."""
        return [*map(head_key, sorted(self.recalled)), *((PROJECT, one) for one in sorted(self.recalled_routes))]

    def confirm(self, documents: Mapping[Key, Found | None]) -> bool:
        """Hold what is remembered against what was read just now; tell whether the rest of that may be taken in.

        A head that is newer than what is remembered takes its place, and what was read with it has to be read again
        after it. If the books are not those that are remembered, everything is forgotten.
        """
        heads = {stream: documents[head_key(stream)] for stream in self.recalled}
        owners = {project: documents[PROJECT, project] for project in self.recalled_routes}
        for project, owner in owners.items():
            if owner is None or owner.record.tenant != self.routes[project]:
                self.forget()
                return False
        newer = False
        for stream, found in heads.items():
            head, known = (found.head if found else EMPTY_HEAD), self.memory.ends(stream)
            if head.seq < min(known) or known.get(head.seq, head.hash) != head.hash:
                self.forget()
                return False
            if head.seq > max(known):
                self.learn(stream, found)
                newer = True
            else:
                self.documents[head_key(stream)] = found
                for one in self.memory.waiting.get(stream, ()):
                    assert one.entry is not None
                    self.lay_over(one.entry)
        self.recalled.clear()
        self.recalled_routes.clear()
        return not newer

    def forget(self) -> None:
        """Begin anew, with nothing remembered."""
        self.memory.clear()
        self.__init__(self.memory)  # type: ignore[misc]

    def is_newer(self, found: Found) -> bool:
        """Tell whether a document may be of an entry after the known end of its stream."""
        record = found.record
        if isinstance(record, Claim):
            return True
        end = self.ends.get(record_stream(record))
        return end is None or (record.seq if hasattr(record, "seq") else found.version) > end.seq

    def follow(self, record: Project | Claim) -> None:
        """Go to the tenant that a record names: a project names it for ever, a claim until its next generation.

        What was read while the project was thought to be another tenant's may be older than this one's head: forget it.
        """
        rank = record.generation if isinstance(record, Claim) else FOR_EVER
        if rank <= self.ranks.get(record.id, 0):
            return
        if self.routes.get(record.id) != record.tenant:
            for kind in (PROJECT, CLAIM):
                self.documents.pop((kind, record.id), None)
                self.overlay.pop((kind, record.id), None)
        self.ranks[record.id] = rank
        self.routes[record.id] = record.tenant

    def take(self, key: Key, found: Found | None) -> None:
        """Take in a document, unless it shows that its project is of a tenant whose head was not read before it."""
        if found is not None and isinstance(found.record, (Project, Claim)):
            self.follow(found.record)
            if tenant_stream(self.routes[found.record.id]) not in self.heads:
                return
        self.documents[key] = found

    def lay_over(self, entry: Entry) -> None:
        """Lay an entry's records over what was read."""
        overlay, documents = self.overlay, self.documents
        for kind, record, _ in entry.changes:
            if isinstance(record, (Project, Claim)):
                self.follow(record)
            if not isinstance(record, Claim):
                key = (kind, record.id)
                overlay[key] = record
                documents.setdefault(key, None)
            elif record.generation == self.ranks[record.id]:
                self.overlay[kind, record.id] = record  # but its document may be of a later generation: read it too
        self._add(entry.stream, entry.head, entry)

    def pass_over(self, stream: str, document: dict[str, Any]) -> None:
        """Take a void entry into the chain without carrying it out."""
        self._add(stream, entries.passed(self.ends[stream], document), None)

    def _add(self, stream: str, end: Head, entry: Entry | None) -> None:
        self.ends[stream] = end
        key = head_key(stream)
        record = self.record(key) if key in self.documents else None
        self.later[stream].append(Later(end, entry, record))


def _fetch(view: View, missing: Missing) -> Steps[None]:
    """Read what a view lacks, heads before records; a remembered head was read before them all."""
    view.current = False
    if missing.everything:
        view_of_all = yield Streams()
        for (kind, record_id), found in view_of_all:
            stream = GLOBAL_STREAM if kind == SITE else tenant_stream(record_id)
            if stream not in view.heads:
                view.learn(stream, found)
        view.everything = True
    projects = [record_id for kind, record_id in missing.keys if kind in (PROJECT, CLAIM)]
    yield from _route(view, [*missing.routes, *projects])
    streams = {*missing.streams}
    for kind, record_id in missing.keys:
        if kind in (PROJECT, CLAIM):
            if view.routes[record_id]:
                streams.add(tenant_stream(view.routes[record_id]))
        else:
            streams.add(stream_of(kind, record_id))
    view.recall(streams)
    yield from _read_heads(view, sorted(streams))
    yield from _read_records(view, missing.keys)
    if missing.search is not None:
        view.current = False
        yield from _look(view, missing.search)


def _read_records(view: View, wanted: Sequence[Key]) -> Steps[None]:
    """Read records and, in the same go, whether an entry follows the end of each stream.

    Several documents are read in no promised order, so that a record may be newer than the place after the end, found
    empty: then the log is walked again, as it is when the place is taken.
    """
    while wanted or view.recalled:
        keys = tuple(key for key in dict.fromkeys([*wanted, *view.unconfirmed()]) if key not in view.documents)
        if not keys:
            return
        streams = sorted(view.heads) if len(view.heads) <= LOOK_MAX else []
        early = view.take_early(keys)
        asked = tuple(key for key in keys if key not in early)
        found = yield Get((*asked, *((LOG, f"{stream}:{view.expected_end(stream).seq + 1}") for stream in streams)))
        documents = {**early, **dict(zip(asked, found, strict=False))}
        if view.confirm(documents):
            for key, document in documents.items():
                view.take(key, document)
            newer = any(document is not None and view.is_newer(document) for document in documents.values())
            view.current = bool(streams) and not newer and not any(found[len(asked) :])
            return
        if not view.heads:
            return  # all is forgotten: what is missing will be asked for again


def _look(view: View, request: Query | Sums | LogQuery) -> Steps[None]:
    """Search, and again where a tenant turned up whose head was not known: its records may be older than that head."""
    while True:
        found = yield Search(request, tuple(view.heads.items()))
        foreign = _foreign_streams(view, found)
        if not foreign:
            view.found[request] = found
            return
        yield from _read_heads(view, sorted(foreign))


def _foreign_streams(view: View, found: Sequence[Any]) -> set[str]:
    """Return the streams of records found whose heads are not known yet."""
    return {record_stream(one.record) for one in found if isinstance(one, Found)} - view.heads.keys()


def _read_heads(view: View, streams: Sequence[str]) -> Steps[None]:
    unknown = [stream for stream in streams if stream not in view.heads]
    if unknown:
        for stream, found in zip(unknown, (yield Get(tuple(map(head_key, unknown)))), strict=True):
            view.learn(stream, found)


def _route(view: View, projects: Sequence[str]) -> Steps[None]:
    """Find out which tenant each project belongs to: its record says so for ever, else the claim does."""
    view.recall_routes(projects)
    unknown = [project for project in dict.fromkeys(projects) if project not in view.routes]
    if not unknown:
        return
    for document in (yield Get(tuple((kind, project) for kind in (PROJECT, CLAIM) for project in unknown))):
        if document is not None:
            view.follow(document.record)
    view.routes.update((project, "") for project in unknown if project not in view.routes)


def _walk(view: View, permitted: entries.Permitted) -> Steps[bool]:
    """Read the entries after the ends of all streams until there is none; tell whether there were any."""
    grew = False
    open_streams = sorted(view.heads)
    width = 1
    while open_streams:
        keys = tuple(
            (LOG, f"{stream}:{view.ends[stream].seq + step}") for stream in open_streams for step in range(1, width + 1)
        )
        found = yield Get(keys)
        going_on = []
        for number, stream in enumerate(open_streams):
            documents = found[number * width : (number + 1) * width]
            for document in documents:
                if document is None:
                    break
                grew = True
                yield from _take(view, stream, document.record, permitted)
            else:
                going_on.append(stream)
        open_streams = going_on
        width = min(4 * width, WALK_MAX)
    view.current = True
    return grew


def _take(view: View, stream: str, document: dict[str, Any], permitted: entries.Permitted) -> Steps[None]:
    """Judge an entry after the end of its stream and lay it over the view, or pass over it if it is void."""
    entry, _ = entries.flaw(document, stream, view.ends[stream], permitted)
    if entry is not None and (yield from _stands(view, entry, permitted)):
        view.lay_over(entry)
    else:
        view.pass_over(stream, document)


def _stands(view: View, entry: Entry, permitted: entries.Permitted) -> Steps[bool]:
    """Tell whether an entry starts from the records that the books had before it.

    What earlier entries changed lies in the overlay, or was written before the head was read. A document that is newer
    than the entry does not tell what was there before; but the log tells how the document's writer judged the entry.
    """
    grounds = grounds_of(entry)
    unread = tuple(key for key in dict.fromkeys(ground.key for ground in grounds) if key not in view.documents)
    read = dict(zip(unread, (yield Get(unread)), strict=True)) if unread else {}
    newest = 0
    for ground in grounds:
        there = view.overlay.get(ground.key)
        found = read.get(ground.key) or view.documents.get(ground.key)
        if there is None and found is not None:
            there, mutable = found.record, KINDS[ground.key[0]].mutable
            since = found.version if mutable else there.seq
            if record_stream(there) == entry.stream and since >= entry.seq and ground.counter is None:
                if since == entry.seq:
                    continue  # carried out already, by somebody who judged it before
                if mutable:
                    newest = max(newest, since)
                    continue
        if not ground.holds(there, entry):
            return False
    return not newest or (yield from _judged(view, entry, newest, permitted))


def _judged(view: View, entry: Entry, newest: int, permitted: entries.Permitted) -> Steps[bool]:
    """Tell how an entry was judged by the writer of a later one."""
    found = yield Get(tuple((LOG, f"{entry.stream}:{seq}") for seq in range(entry.seq + 1, newest + 1)))
    if None not in found:
        judged = verdict(entry, view.ends[entry.stream], [one.record for one in found], permitted)
        if judged is not None:
            return judged
    raise DamagedError(
        f"a record says that entry {newest} of stream {entry.stream} wrote it, which the log does not bear out; "
        "find out who writes to this store beside dca."
    )


def _settled(view: View, question: Callable[[Reader], T], permitted: entries.Permitted) -> Steps[T]:
    """Answer a question from a view, reading what it asks for, until the answer holds for the whole log."""
    while True:
        refusal: Exception | None = None
        try:
            answer = question(view)
        except Missing as missing:
            yield from _fetch(view, missing)
            continue
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is told once it is known to be true
            refusal = error  # it may come from records of different moments; what the whole log says, counts
        if view.recalled_routes:
            yield from _read_records(view, view.unconfirmed())
            continue
        if not view.current and (yield from _walk(view, permitted)):
            continue
        if refusal is not None:
            raise refusal
        return answer


def read(question: Callable[[Reader], T], permitted: entries.Permitted, memory: Memory | None = None) -> Steps[T]:
    """Answer a question without writing anything."""
    view = View(memory)
    answer = yield from _settled(view, question, permitted)
    view.memory.keep(view)
    return answer


def write(
    decide: Callable[[Reader], Decision],
    permitted: entries.Permitted,
    jitter: Callable[[], float],
    memory: Memory | None = None,
) -> Steps[Decision]:
    """Decide and commit: whole or not at all, at the end of the stream's log, as often as others are first."""
    view = View(memory)
    attempt = 0
    while True:
        decision = yield from _settled(view, decide, permitted)
        view.memory.keep(view)
        draft = decision.draft
        if draft is None:
            return decision
        if (yield Clock()) <= 0:
            if not attempt:
                raise BusyError(
                    "the time to wait was over before the books were read; nothing was changed, wait longer."
                )
            raise BusyError("others were writing to these books all the time; nothing was changed, try again.")
        if view.is_headless(draft.stream) and (yield from _begin(draft.stream, view.later[draft.stream])):
            view = View(memory)
            continue
        if draft.claim is not None and not (yield from _claim(draft.claim)):
            view = View(memory)
            continue
        entry, changes = entries.seal(draft, view.end(draft.stream))
        flaw = entries.unfit(entry, permitted)
        assert not flaw, flaw
        if (yield from _commit(entry, entries.document_text(entry, changes))):
            view.lay_over(entry)
            if not _is_left(view, draft.stream):
                yield from _finish(view, draft.stream)
            return decision
        attempt += 1
        yield Sleep(jitter() * min(2**attempt, 32) / 1000)
        view.current = False
        if (yield from _came_through(view, draft, permitted)):
            yield from _finish(view, draft.stream)
            return decision


def _claim(claim: Claim) -> Steps[bool]:
    """Claim a project name that was free; tell whether it was. If not, the decision was made too early."""
    status = yield Create(CLAIM, claim.id, claim)
    while status == TIMED_OUT:
        if (yield Clock()) <= 0:
            raise BusyError("the store did not answer in time; nothing was changed, try again.")
        yield Sleep(YOUNG_SECONDS)
        status = yield Create(CLAIM, claim.id, claim)
    if status == DENIED:
        raise DeniedError("these credentials may not create projects; nothing was changed.")
    return bool(status == CREATED)


def _is_left(view: View, stream: str) -> bool:
    """Tell whether the records of the last entry are left to the driver: not where others' entries come before it."""
    memory = view.memory
    waiting = memory.waiting.get(stream, [])
    *before, own = view.later[stream]
    known = [memory.heads.get(stream, EMPTY_HEAD), *(one.end for one in waiting)]
    if not memory.defers or [view.heads[stream], *(one.end for one in before)] != known:
        return False
    memory.waiting[stream] = [*waiting, own]
    return True


def _commit(entry: Entry, text: str) -> Steps[bool]:
    """Create the entry; tell whether it is in the log. After a time-out the same create is sent until it is settled."""
    wish = Create(LOG, entry.id, entry, text)
    status = yield wish
    if status == CREATED:
        return True
    if status == DENIED:
        raise DeniedError("these credentials may not write to the log; nothing was changed.")
    try:
        return (yield from _settle(wish, status))
    except DcaError:
        raise OutcomeUnknownError(
            f"the store did not say in time whether entry {entry.seq} of stream {entry.stream} was written; "
            f"ask later: dca log list --commit={entry.commit}",
            stream=entry.stream,
            seq=entry.seq,
            commit=entry.commit,
        ) from None


def _settle(wish: Create, status: str) -> Steps[bool]:
    """Find out what became of a create that did not simply succeed; an error says that it cannot be told."""
    while status == TIMED_OUT:
        if (yield Clock()) <= 0:
            raise BusyError("no answer.")
        yield Sleep(YOUNG_SECONDS)
        status = yield wish
    if status == CREATED:
        return True
    if status == DENIED:
        raise DeniedError("no more.")
    (found,) = yield Get(((LOG, wish.id),))
    return found is not None and found.record.get("commit") == wish.document.commit


def _came_through(view: View, draft: Draft, permitted: entries.Permitted) -> Steps[bool]:
    """Walk on after losing a place in the log; tell whether the own entry is among those that came."""
    before = len(view.later[draft.stream])
    yield from _walk(view, permitted)
    came = view.later[draft.stream][before:]
    return any(one.entry is not None and one.entry.commit == draft.commit for one in came)


def items_of(entry: Entry) -> tuple[Item, ...]:
    """Return the documents that an entry brings, without the one that carries the head."""
    items = []
    for kind, record, _ in entry.changes:
        if (kind, record.id) == head_key(entry.stream):
            continue
        if isinstance(record, Claim):
            items.append(Item(kind, record.id, record, record.generation))
        else:
            items.append(Item(kind, record.id, record, entry.seq if KINDS[kind].mutable else 0))
    return tuple(items)


def _carry_out(entry: Entry | None) -> Steps[bool]:
    """Write an entry's documents; tell whether every one of them is there now."""
    items = items_of(entry) if entry is not None else ()
    if not items:
        return True
    done = yield Write(items)
    # Where a newer version stands the record was there already, or is needed no more; an appended one must be equal.
    doubtful = [item for item, status in zip(items, done, strict=True) if status == EXISTS and item.version == 0]
    if doubtful:
        found = yield Get(tuple((item.kind, item.id) for item in doubtful))
        if any(
            document is None or document.record != item.record for item, document in zip(doubtful, found, strict=True)
        ):
            return False
    return all(status in (DONE, EXISTS) for status in done)


def _finish(view: View, stream: str) -> Steps[None]:
    """Carry out the last entry of a stream, and those before it that their authors left, and move the head.

    The commit stands already, so nothing here fails the command: what cannot be written now, the next writer finishes.
    """
    *others, own = view.later[stream]
    with suppress(DcaError):
        complete = yield from _carry_out(own.entry)
        reached = view.heads[stream]
        if others:
            reached = yield from _help(stream, reached, others)
        if complete and reached.seq >= own.end.seq - 1 and (yield from _move_head(stream, own)):
            view.memory.reach(stream, own.end)


def carry_out(left: Later) -> Steps[bool]:
    """Write the records of an entry that was left; tell whether every one of them is there now."""
    return (yield from _carry_out(left.entry))


def move_head(stream: str, last: Later) -> Steps[bool]:
    """Move the head to the last of the entries that were left, once all of them are carried out."""
    return (yield from _move_head(stream, last))


def _help(stream: str, reached: Head, others: Sequence[Later]) -> Steps[Head]:
    """Give the authors of earlier entries a moment, then carry out what they left; return how far all is there."""
    last = others[-1].end.seq
    for _ in range(2):
        (found,) = yield Get((head_key(stream),))
        reached = found.head if found else reached
        if reached.seq >= last:
            return reached
        yield Sleep(YOUNG_SECONDS)
    final = None
    for one in others:
        if one.end.seq <= reached.seq:
            continue
        if not (yield from _carry_out(one.entry)):
            break
        final, reached = one, one.end
    if final is not None and reached.seq < last:
        yield from _move_head(stream, final)
    return reached


def _begin(stream: str, first: Sequence[Later]) -> Steps[bool]:
    """Write the first head of a stream, as far as its first entries can be carried out; tell whether that is permitted."""
    reached = yield from _help(stream, EMPTY_HEAD, first)
    return reached != first[-1].end or (yield from _put_head(stream, first[-1])) != DENIED


def _move_head(stream: str, last: Later) -> Steps[bool]:
    """Write the document that carries the head; tell whether it is there, or a newer one."""
    return (yield from _put_head(stream, last)) in (DONE, EXISTS)


def _put_head(stream: str, last: Later) -> Steps[str]:
    kind, record_id = head_key(stream)
    record = last.head_record
    if record is None:
        return FAILED  # only void entries so far: there is no record to carry the head
    (status,) = yield Write((Item(kind, record_id, record, last.end.seq, last.end),))
    return str(status)
