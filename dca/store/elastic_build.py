"""Filling empty books in Elasticsearch: in indices that nobody else sees, which get their names when all is there."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.errors import DamagedError, DcaError, RefusedError, UnreachableError
from dca.core.model import DEFAULT_SITE, GLOBAL_STREAM, SITE_ID
from dca.store import elastic_search as searches
from dca.store.elastic_door import CONFLICT, FILLING, GOOD, MISSING, PASSING, PAUSE_SECONDS, PAUSE_SECONDS_MAX, Request
from dca.store.elastic_setup import ALREADY_THERE, IF_THERE, Indices, is_being_filled
from dca.store.entry import canonical
from dca.store.indices import HEAD_CARRIERS, NAMES, load
from dca.store.port import EMPTY_HEAD, Head
from dca.store.protocol import head_key, stream_of
from dca.store.schema import CLAIM, FIELD_TYPES, KINDS, LOG, SITE
from dca.store.sqlite_archive import SqliteArchive
from dca.store.sqlite_build import SqliteBuilder
from dca.store.sqlite_layout import ddl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dca.core.model import Change
    from dca.store.declaration import Bringing
    from dca.store.elastic_door import Door

BUILDING = "fill the books"
ATTEMPTS = 3
PAGE = 1_000
BATCH_BYTES = 4_000_000
BATCH_LINES = 2_000


class Line(NamedTuple):
    """A document to be written."""

    kind: str
    id: str
    source: Mapping[str, Any]
    version: int
    """0 for one that is appended."""


class Scratch(SqliteBuilder):
    """Books in a temporary file, which also know which entry wrote each record."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Begin with empty books."""
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in ddl():
            connection.execute(statement)
        connection.execute(
            "CREATE TABLE written (kind TEXT, id TEXT, seq INTEGER, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        connection.execute("BEGIN")
        super().__init__(connection)
        self.brought = 0
        """Last entry of the global stream that was not written here."""

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        """Write the records of an entry, and that it wrote them."""
        super().take(stream, seq, changes)
        rows = [(kind, record.id, seq) for kind, record, _ in changes if KINDS[kind].mutable]
        self._connection.executemany("INSERT OR REPLACE INTO written VALUES (?, ?, ?)", rows)

    def declare(self, bringing: Bringing, ends: Mapping[str, Head]) -> None:
        """Add the entries that say what was brought."""
        self.brought = ends.get(GLOBAL_STREAM, EMPTY_HEAD).seq
        super().declare(bringing, ends)

    def records(self, kind: str) -> Iterator[Line]:
        """Yield the records of a kind as documents."""
        fields = list(FIELD_TYPES[kind])
        columns = ", ".join(f"[{name}]" for name in fields)
        wrote = "ifnull((SELECT seq FROM written WHERE (written.kind, written.id) = (?, one.id)), 0)"
        sql = f'SELECT {columns}, {wrote} FROM "{kind}" AS one'
        for *values, seq in self._connection.execute(sql, (kind,)):
            record = KINDS[kind].record(*values)
            version = 0
            if KINDS[kind].mutable:
                version = getattr(record, "generation", seq) if kind == CLAIM else seq
            yield self._line(kind, record, version)
        if kind == SITE and self.before([(SITE, SITE_ID)]) == [None]:
            yield self._line(SITE, DEFAULT_SITE, 0)

    def _line(self, kind: str, record: Any, version: int) -> Line:
        head = None
        if kind in HEAD_CARRIERS:
            stream = stream_of(kind, record.id)
            row = self._connection.execute("SELECT seq, hash, time FROM head WHERE stream = ?", (stream,)).fetchone()
            assert head_key(stream) == (kind, record.id), record
            head = Head(*row)
            version = head.seq
        return Line(kind, record.id, searches.source_of(record, head), version)


class Construction:
    """The indices that are being filled, each under an alias that only this construction knows."""

    def __init__(self, door: Door, deadline: Callable[[], float], token: str) -> None:
        """Take the door, what says until when a request that begins now may take, and a name that nobody else has."""
        self._door = door
        self._deadline = deadline
        self._aliases = {name: f"{door.address.prefix}{name}{FILLING}{token}" for name in NAMES}
        self._signed = False

    def look(self) -> None:
        """Refuse books that hold anything, or cannot be made."""
        self._site().look()

    def begin(self) -> None:
        """Make the indices, in the place of empty ones."""
        self._signed = self._site().begin(self._aliases)

    def _site(self) -> _Site:
        return _Site(self._door, self._deadline(), BUILDING)

    def write(self, lines: Iterable[Line]) -> None:
        """Write documents in batches of a bearable size."""
        batch: list[str] = []
        size = 0
        for line in lines:
            action: dict[str, Any] = {"_index": self._aliases[line.kind], "_id": line.id}
            if line.version:
                action |= {"version": line.version, "version_type": "external_gte"}
            texts = [_dump({"index" if line.version else "create": action}), _dump(line.source)]
            batch += texts
            size += sum(map(len, texts))
            if size > BATCH_BYTES or len(batch) >= BATCH_LINES:
                self._send(batch)
                batch, size = [], 0
        if batch:
            self._send(batch)

    def _send(self, batch: list[str]) -> None:
        """Send documents until each is there: they are nobody else's, so that one that is there is one of these."""
        pause = PAUSE_SECONDS
        until = self._deadline()
        request = Request(BUILDING, "POST", "/_bulk?require_alias=true", batch)
        while batch:
            answer = self._door.reach(request, until=until)
            items = self._door.body_of(answer, request)["items"]
            again: list[str] = []
            for number, item in enumerate(items):
                (result,) = item.values()
                if result["status"] in PASSING:
                    again += batch[2 * number : 2 * number + 2]
                elif result["status"] not in GOOD and result["status"] != CONFLICT:
                    raise self._refused(result)
            if again and time.monotonic() + pause > until:
                raise UnreachableError(f"cannot {BUILDING}: {self._door.hosts} is overloaded; try again later.")
            if again:
                time.sleep(pause)
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
            batch = again
            request = request._replace(body=batch)

    def _refused(self, result: Mapping[str, Any]) -> DcaError:
        error = result.get("error", {})
        if result["status"] == MISSING:
            return UnreachableError(
                f"cannot {BUILDING}: somebody else began to fill, or destroyed, the books at {self._door.hosts}; try again."
            )
        reason = " ".join(str(error.get("reason", "")).split())[:300]
        return DamagedError(f"{self._door.hosts} does not take the document {result['_id']!r} ({reason}).")

    def finish(self, declaring: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Have the declaring entries stamped and written, and give the indices their names, all at once."""
        self._site().settle(self._aliases, signed=self._signed)
        for record_id, document in declaring:
            lines = searches.creation(record_id, canonical(document))
            request = Request(BUILDING, "PUT", f"/{self._aliases[LOG]}/_bulk?require_alias=true", lines)
            answer = self._door.reach(request, until=self._deadline(), fault=searches.created)
            if answer.status != CONFLICT:
                self._door.body_of(answer, request)
        self._site().open(self._aliases)

    def abandon(self) -> None:
        """Destroy what was made, as far as that can be done."""
        with suppress(DcaError):
            self._site().abandon(set(self._aliases.values()))


class _TakenError(UnreachableError):
    """An index that is to be made has come meanwhile."""


class _Site(Indices):
    """Steps of a construction on the indices."""

    def look(self) -> tuple[bool, dict[str, Any], dict[str, Any]]:
        """Refuse books that hold anything; return whether entries are stamped, and empty and unfinished indices."""
        self.check_version()
        signed = bool(self.user())
        present = self.present()
        begun = {index: state for index, state in present.items() if is_being_filled(state)}
        empty = {index: state for index, state in present.items() if index not in begun}
        self._check(empty, signed=signed)
        self._refuse_used(empty)
        return signed, empty, begun

    def begin(self, aliases: Mapping[str, str]) -> bool:
        """Make indices in the place of empty or unfinished ones; tell whether entries are to be stamped."""
        for further in reversed(range(ATTEMPTS)):
            try:
                return self._begin_anew(aliases)
            except _TakenError:  # the last requests of one that was killed are carried out after its end
                if not further:
                    raise
        raise AssertionError

    def _begin_anew(self, aliases: Mapping[str, str]) -> bool:
        signed, empty, begun = self.look()
        named = [(index, alias) for index, state in empty.items() for alias in state["aliases"]]
        self._change([{"remove": {"index": index, "alias": alias}} for index, alias in named])
        try:
            self._refuse_used(empty)  # nobody can have written any more since
        except DcaError:
            self._change([{"add": {"index": index, "alias": alias}} for index, alias in named])
            raise
        self._destroy([*empty, *begun])
        if signed:
            self._make_pipeline()
        with ThreadPoolExecutor(len(aliases)) as makers:
            list(makers.map(self._begin, aliases, aliases.values()))
        return signed

    def _begin(self, name: str, alias: str) -> None:
        wanted = load(name)
        settings = {"index": {**wanted["settings"]["index"], "refresh_interval": "-1"}}
        body = {"settings": settings, "mappings": wanted["mappings"], "aliases": {alias: {}}}
        request = Request(BUILDING, "PUT", f"/{self.names[name]}", body)
        answer = self._reach(request)
        if answer.kind == ALREADY_THERE:
            raise _TakenError(
                f"cannot {BUILDING}: somebody else has just begun to fill those at {self._host}; try again."
            )
        self._door.body_of(answer, request)

    def _refuse_used(self, indices: Iterable[str]) -> None:
        listed = ",".join(indices)
        if not listed:
            return
        self._ask("POST", f"/{listed}/_refresh")
        if self._ask("GET", f"/{listed}/_count")["count"]:
            under = f" under the prefix {self._prefix}" if self._prefix else ""
            raise RefusedError(f"there are books at {self._host} already{under}; name another store.")

    def _destroy(self, indices: Sequence[str]) -> None:
        if indices:
            self._ask("DELETE", f"/{','.join(indices)}{IF_THERE}")

    def _change(self, actions: Sequence[Mapping[str, Any]]) -> None:
        if actions:
            self._ask("POST", "/_aliases", {"actions": actions})

    def settle(self, aliases: Mapping[str, str], *, signed: bool) -> None:
        """Give the indices the settings of finished ones, and make all that was written visible and lasting."""
        listed = ",".join(aliases.values())
        self._ask("PUT", f"/{listed}/_settings", {"index": {"refresh_interval": None}})
        if signed:
            self._ask("PUT", f"/{aliases[LOG]}/_settings", {"index": {"final_pipeline": self.pipeline}})
        self._ask("POST", f"/{listed}/_refresh")

    def open(self, aliases: Mapping[str, str]) -> None:
        """Give the indices their names."""
        actions: list[dict[str, Any]] = []
        for name, alias in aliases.items():
            index = self.names[name]
            actions.append({"remove": {"index": index, "alias": alias, "must_exist": True}})
            actions.append({"add": {"index": index, "alias": self.aliases[name]}})
        try:
            self._change(actions)
        except UnreachableError:  # the answer may have been lost, and sent again it is refused
            if {alias for state in self.present().values() for alias in state["aliases"]} != {*self.aliases.values()}:
                raise

    def abandon(self, aliases: set[str]) -> None:
        """Destroy the indices that have these aliases."""
        self._destroy([index for index, state in self.present().items() if aliases & state["aliases"].keys()])


@contextmanager
def construction(door: Door, deadline: Callable[[], float], token: str) -> Iterator[Scratch]:
    """Open empty books: filled and judged in a temporary file, then carried over as a whole."""
    building = Construction(door, deadline, token)
    building.look()
    with TemporaryDirectory(prefix="dca-") as folder:
        try:
            with closing(sqlite3.connect(Path(folder) / "books.db", isolation_level=None)) as connection:
                scratch = Scratch(connection)
                yield scratch
                _carry(building, scratch, SqliteArchive(connection, _said))
        except sqlite3.Error as error:
            raise _said(error) from None


def _carry(building: Construction, scratch: Scratch, archive: SqliteArchive) -> None:
    try:
        building.begin()
        building.write(_logged(archive, {GLOBAL_STREAM: scratch.brought}))
        for kind in KINDS:
            building.write(scratch.records(kind))
        building.finish(_declaring(archive, scratch.brought))
    except BaseException:
        building.abandon()
        raise


def _logged(archive: SqliteArchive, ends: Mapping[str, int]) -> Iterator[Line]:
    for stream in archive.streams():
        end = ends.get(stream, archive.last(stream))
        first = 1
        while first <= end:
            page = archive.documents(stream, first, min(PAGE, end - first + 1))
            for seq, document in enumerate(page, first):
                yield Line(LOG, f"{stream}:{seq}", document, 0)
            first += len(page)


def _declaring(archive: SqliteArchive, brought: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for seq, document in enumerate(archive.documents(GLOBAL_STREAM, brought + 1, PAGE), brought + 1):
        yield f"{GLOBAL_STREAM}:{seq}", document


def _said(error: sqlite3.Error) -> DcaError:
    return UnreachableError(f"the temporary file cannot be used ({error}); nothing was changed: see TMPDIR.")


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
