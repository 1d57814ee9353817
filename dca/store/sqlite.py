"""The books in one SQLite file: no server, every commit one durable transaction."""

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dca.core.clock import INSTANT_MAX
from dca.core.errors import BusyError, DamagedError, DcaError, NotFoundError, RefusedError, UnreachableError
from dca.core.model import DEFAULT_SITE, SITE_ID, Claim, Record
from dca.store.entry import canonical, list_text, parse_changes, seal
from dca.store.port import (
    EMPTY_HEAD,
    Archive,
    Condition,
    Decision,
    Draft,
    Entry,
    Head,
    LogQuery,
    Mend,
    Query,
    Reader,
    Sum,
    Sums,
    total,
)
from dca.store.schema import CLAIM, FIELD_TYPES, KINDS, PROJECT, SITE
from dca.store.sqlite_layout import (
    APPLICATION_ID,
    LAYOUT,
    LOG_FIELDS,
    PUT,
    PUT_HEAD,
    PUT_LOG,
    ddl,
    is_usable,
    layout_of,
    upgrade,
)

if TYPE_CHECKING:
    from dca.store.health import Finding
    from dca.store.sqlite_archive import SqliteArchive
    from dca.store.sqlite_build import SqliteBuilder

T = TypeVar("T")

HEADER_BYTES = 100
"""With fewer bytes a file is no database of SQLite."""
BUSY_SECONDS = 0.1
VARIABLES_MAX = 900
MANY = 32
"""Records that are read together rather than one by one."""
KNOWN_MAX = 5_000
"""Records of earlier writes that are kept in memory at most."""
NETWORK_FILE_SYSTEMS = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "pvfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "orangefs", "panfs",
}  # fmt: skip

_OPERATORS = {"eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_COLUMNS = {kind: ", ".join(f"[{name}]" for name in types) for kind, types in FIELD_TYPES.items()}
"""In brackets: a name in quotes that no column has is a text for SQLite, and damage would go unnoticed."""
_TYPES = {kind: tuple(types.values()) for kind, types in FIELD_TYPES.items()}
_LOG_TYPES = tuple(int if name in ("seq", "time", "schema") else str for name in LOG_FIELDS)
_LOG_COLUMNS = ", ".join(f"[{name}]" for name in LOG_FIELDS)
_LISTED_COLUMNS = _LOG_COLUMNS.replace("[changes]", "'[]'")
_SELECT_ONE = {kind: f'SELECT {columns} FROM "{kind}" WHERE id = ?' for kind, columns in _COLUMNS.items()}


class _NoBooksError(UnreachableError):
    """There is no file, or nothing in it yet."""


class SqliteStore:
    """Keep the books in a SQLite file; writers queue on a lock file beside it."""

    def __init__(
        self,
        path: Path,
        *,
        actor: str = "",
        wait_seconds: float = 30.0,
        network_allowed: bool = False,
        created: Callable[[Path], None] | None = None,
    ) -> None:
        """Name the file: opened when first used, made by the first write that needs no books; created is told then."""
        self.path = path
        self._actor = actor
        self._wait_seconds = wait_seconds
        self._network_allowed = network_allowed
        self._created = created
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] = (0, 0)
        """Device and inode of the file that is open."""
        self._reader: _SqliteReader | None = None
        """What the last write of this process knew of the books; still so unless another one has written since."""
        self._lock: int | None = None
        """The lock file, from the first write on."""

    def read(self, question: Callable[[Reader], T]) -> T:
        """Answer a question from one snapshot."""
        with self._guard():
            return self._patiently(lambda: self._read(question))

    def _read(self, question: Callable[[Reader], T]) -> T:
        connection = self._connection or self._open()
        connection.execute("BEGIN")
        try:
            return question(_SqliteReader(connection))
        finally:
            _end(connection, "ROLLBACK")

    def write(self, decide: Callable[[Reader], Decision]) -> Decision:
        """Decide and commit in one durable transaction."""
        with self._guard():
            while True:
                if self._connection is None:
                    self._rehearse(decide)
                    self._prepare()
                with self._queue():
                    if self._connection is None or self._identity() == self._opened:
                        return self._patiently(lambda: self._write(decide))
                self.close()  # somebody destroyed these books; what was written to them now would be lost

    def _rehearse(self, decide: Callable[[Reader], Decision]) -> None:
        """Where there are no books see that the decision can make some: not a hold or a charge, which need a project."""
        try:
            is_new = self.path.stat().st_size == 0
        except OSError as error:
            is_new = isinstance(error, FileNotFoundError)
        if is_new:
            try:
                decision = _on_empty_books(decide)
            except NotFoundError:
                raise self._no_books() from None
            if decision.draft is None:
                raise self._no_books()

    def _write(self, decide: Callable[[Reader], Decision]) -> Decision:
        connection = self._connection or self._open(create=True)
        connection.execute("BEGIN IMMEDIATE")
        try:
            reader, self._reader = self._present(connection), None
            decision = decide(reader)
            if decision.draft is not None:
                entry = _book(connection, decision.draft, reader.end(decision.draft.stream))
                connection.execute("COMMIT")
                reader.take(entry, decision.draft.claim)
            self._reader = reader
        finally:
            if connection.in_transaction:
                _end(connection, "ROLLBACK")
        return decision

    def _present(self, connection: sqlite3.Connection) -> "_SqliteReader":
        """Return a reader for the transaction that has begun: the one of the last write where nobody wrote since."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        known = self._reader
        return known if known is not None and known.is_of(version) else _SqliteReader(connection, version)

    def _patiently(self, work: Callable[[], T]) -> T:
        """Work while another program may have the file locked; SQLite itself would wait as well, but deaf to Ctrl-C."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= deadline:
                    raise

    def series(self) -> contextlib.AbstractContextManager[None]:
        """Let consecutive writes be faster: here they are as fast as they can be."""
        return contextlib.nullcontext()

    def foresee(self, stream: str, keys: Callable[[], Sequence[tuple[str, str]]]) -> None:
        """Let records be read before the write that will ask for them: here they are near enough."""

    def preview(self, question: Callable[[Reader], T]) -> T:
        """Answer a question as read does, and from empty books where there are none yet."""
        with contextlib.suppress(_NoBooksError):
            return self.read(question)
        return _on_empty_books(question)

    def setup(self) -> list[str]:
        """Make the file if there is none, and upgrade one of an older layout; return what was done."""
        with self._guard():
            new = not self.path.exists()
            self._prepare()
            with self._queue():
                connection = self._connection or self._open(create=True, older=True)
                done = self._patiently(lambda: _upgrade(connection))
            return [f"made the books {self.path}", *done] if new else done

    def actor(self) -> str:
        """Return the login of the caller."""
        return self._actor

    def guard(self) -> None:
        """Return that the books themselves say who may do what."""

    def examine(self, now: int) -> "Iterator[Finding]":
        """Yield what an examination finds, by a clock in milliseconds; DcaError if there is nothing to look at."""
        from dca.store import sqlite_health as health

        yield health.library()
        with self._guard():
            kind = _file_system(self.path.parent)
            remote = kind in NETWORK_FILE_SYSTEMS
            yield from health.of_the_disk(self.path, kind=kind, remote=remote, network_allowed=self._network_allowed)
            connection = self._connection or self._open()
            yield from health.of_the_file(self.path)
            yield from health.of_the_books(connection, self.path, now=now, seconds=self._wait_seconds)

    def wipe(self) -> None:
        """Destroy the books: delete the file."""
        with self._guard():
            if not self.path.exists():
                return
            if self.path.stat().st_size:
                self._open(create=True, older=True)  # refuses a file that is not ours
            self.close()
            with self._queue():
                for ending in ("", "-wal", "-shm"):
                    Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def entries(self, stream: str, first: int, limit: int) -> list[Entry]:
        """Return entries of a stream from a sequence on."""
        sql = f"SELECT {_LOG_COLUMNS} FROM log WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?"
        with self._guard():
            connection = self._connection or self._open()
            return [_entry(row) for row in connection.execute(sql, (stream, first, limit))]

    @contextlib.contextmanager
    def archive(self) -> Iterator["SqliteArchive"]:
        """Open what lies in the file: one snapshot, on a connection of its own."""
        from dca.store.sqlite_archive import SqliteArchive

        with self._guard(), contextlib.closing(self._connect()) as connection:
            self._patiently(lambda: connection.execute("BEGIN"))
            self._patiently(lambda: connection.execute("SELECT count(*) FROM sqlite_master").fetchone())
            yield SqliteArchive(connection, self._said)

    @contextlib.contextmanager
    def build(self) -> Iterator["SqliteBuilder"]:
        """Open empty books to be filled in one transaction, on a connection of its own."""
        from dca.store.sqlite_build import SqliteBuilder

        with self._guard():
            self._prepare()
            with self._queue(), contextlib.closing(self._connect(create=True, older=True)) as connection:
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
                upgrade(connection)
                builder = SqliteBuilder(connection)
                if not builder.is_empty():
                    raise RefusedError(f"there are books in {self.path} already; name another store.")
                yield builder
                connection.execute("COMMIT")

    def again(self) -> "Callable[[], SqliteStore]":
        """Return what opens the same file in another process."""
        return partial(SqliteStore, self.path, network_allowed=self._network_allowed)

    @contextlib.contextmanager
    def mending(self) -> Iterator["_Mending"]:
        """Open the file to put its records and heads right, in one transaction, on a connection of its own."""
        with self._guard():
            if not self.path.exists():
                raise self._no_books()
            with self._queue(), contextlib.closing(self._connect()) as connection:
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
                yield _Mending(connection, self._said)
                connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file, and the lock file beside it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._reader = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare(self) -> None:
        """See to it that the folder exists and that its file system can keep books."""
        folder = self.path.parent
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
        kind = _file_system(folder)
        if kind in NETWORK_FILE_SYSTEMS and not self._network_allowed:
            raise UnreachableError(
                f"{self.path} lies on a network file system ({kind}), where SQLite cannot keep books safely; choose a "
                "local disk, or set network_file_system = true in the config if all writers are on this machine."
            )

    def _open(self, *, create: bool = False, older: bool = False) -> sqlite3.Connection:
        self._connection = self._connect(create=create, older=older)
        self._opened = self._identity()
        return self._connection

    def _connect(self, *, create: bool = False, older: bool = False) -> sqlite3.Connection:
        if not self.path.exists():
            if not create:
                raise self._no_books()
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        mode = "rw" if writable else "ro"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            if self._check(connection, older=older):
                connection.execute("PRAGMA synchronous = FULL")
            elif create:
                self._make(connection)
            else:
                raise self._no_books()
        except BaseException:
            connection.close()
            raise
        return connection

    def _identity(self) -> tuple[int, int]:
        """Return device and inode of the file that the path names now; zeros if there is none."""
        try:
            there = os.stat(self.path)  # noqa: PTH116 -- before every commit, and this is three times as fast
        except FileNotFoundError:
            return (0, 0)
        return there.st_dev, there.st_ino

    def _no_books(self) -> UnreachableError:
        return _NoBooksError(
            f"there are no books at {self.path} yet; run dca setup, or name the right store in DCA_STORE or config."
        )

    def _make(self, connection: sqlite3.Connection) -> None:
        """Make the tables of new books."""
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in ddl():
            connection.execute(statement)
        connection.execute("COMMIT")
        if self._created is not None:
            self._created(self.path)

    def _check(self, connection: sqlite3.Connection, *, older: bool) -> bool:
        """Tell whether there are books in the file; an empty database is what a killed first command left."""
        connection.execute("BEGIN")  # all three of one moment: somebody may be making the books just now
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            layout = layout_of(connection)
            empty = not application and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        finally:
            _end(connection, "ROLLBACK")
        if empty:
            if 0 < self.path.stat().st_size < HEADER_BYTES:  # SQLite takes anything that short for nothing
                raise DamagedError(f"{self.path} is not a database; name the right file in DCA_STORE or the config.")
            return False
        if application != APPLICATION_ID:
            raise UnreachableError(
                f"{self.path} is a database of another program; name a file of its own for the books."
            )
        if layout > LAYOUT:
            raise UnreachableError(f"{self.path} was made by a newer dca (layout {layout}); install that version.")
        if layout < 1:
            raise DamagedError(f"{self.path} is damaged (layout {layout}); restore it from a backup.")
        if not older and not is_usable(layout):
            raise UnreachableError(f"{self.path} was made by an older dca (layout {layout}); upgrade it: dca setup.")
        return True

    def _lock_file(self) -> int:
        """Open the lock file, which is for the same people as the books."""
        handle = os.open(f"{self.path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        lock = os.fstat(handle)
        with contextlib.suppress(OSError):  # books that are still to be made; a group that is not ours
            books = self.path.stat()
            if lock.st_uid == os.geteuid() and (lock.st_mode, lock.st_gid) != (books.st_mode, books.st_gid):
                os.fchmod(handle, books.st_mode & 0o666)
                os.fchown(handle, -1, books.st_gid)
        return handle

    def _queue(self) -> "_Turn":
        """Wait for our turn among the writers: a busy time-out alone lets some of many starve."""
        if self._lock is None:
            self._lock = self._lock_file()
        return _Turn(self._lock, self.path, self._wait_seconds)

    def _guard(self) -> "_Guard":
        """Turn what the database or the file system says into a sentence."""
        return _Guard(self._say)

    def _say(self, error: BaseException) -> None:
        """Raise what is to be said of an error of the database or the file system."""
        if isinstance(error, sqlite3.Error):
            raise self._said(error) from None
        if isinstance(error, UnicodeDecodeError):
            raise DamagedError(f"{self.path} is damaged (text that is none); restore it from a backup.") from None
        if isinstance(error, OSError):
            raise self._cannot_use(error) from None

    def _said(self, error: sqlite3.Error) -> DcaError:
        code = _code(error)
        reason = "".join(character if character.isprintable() else "?" for character in str(error))
        if _is_busy(error):
            return BusyError(f"another program has {self.path} locked; nothing was changed, try again.")
        if code == sqlite3.SQLITE_FULL:
            return UnreachableError(f"the disk of {self.path} is full; nothing was changed: make room and try again.")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return UnreachableError(f"{self.path} or its folder is read-only for you; nothing was changed.")
        if code == sqlite3.SQLITE_CANTOPEN:
            return UnreachableError(f"{self.path} cannot be opened: check its folder and your rights on it.")
        if code == sqlite3.SQLITE_NOTADB:
            return DamagedError(f"{self.path} is not a database; name the right file in DCA_STORE or the config.")
        if "Could not decode to UTF-8" in reason:
            return DamagedError(f"{self.path} is damaged (text that is none); restore it from a backup.")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH):
            return DamagedError(f"{self.path} is damaged ({reason}); restore it from a backup.")
        if code == sqlite3.SQLITE_IOERR:
            return UnreachableError(f"the disk of {self.path} fails ({reason}); nothing was changed.")
        return UnreachableError(f"{self.path} cannot be used ({reason}).")

    def _cannot_use(self, error: OSError) -> DcaError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return UnreachableError(f"the disk of {self.path} is full; nothing was changed: make room and try again.")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return UnreachableError(
                f"{self.path} or its folder is not yours to use ({error.strerror}); nothing was changed."
            )
        return UnreachableError(f"{self.path} cannot be used ({error.strerror or error}).")


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _end(connection: sqlite3.Connection, how: str) -> None:
    with contextlib.suppress(sqlite3.Error):  # the transaction is over already when the database itself ended it
        connection.execute(how)


def _upgrade(connection: sqlite3.Connection) -> list[str]:
    """Take the steps to the present layout, if any are lacking, in one transaction."""
    if layout_of(connection) == LAYOUT:
        return []
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = upgrade(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            _end(connection, "ROLLBACK")
    return done


class _Guard:
    """Has something said about what goes wrong inside. A class, as the next one is: each charge enters it."""

    __slots__ = ("_say",)

    def __init__(self, say: Callable[[BaseException], None]) -> None:
        self._say = say

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._say(error)


class _Turn:
    """The turn of one writer: begins when the lock file is ours."""

    __slots__ = ("_lock", "_path", "_seconds")

    def __init__(self, lock: int, path: Path, seconds: float) -> None:
        self._lock, self._path, self._seconds = lock, path, seconds

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._seconds
        pause = 0.0002
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(
                        f"others were writing to {self._path} for {self._seconds:g} seconds; "
                        "nothing was changed, try again."
                    ) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
            else:
                return

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)


class _Mending:
    """A transaction in which records and heads are put right."""

    def __init__(self, connection: sqlite3.Connection, said: Callable[[sqlite3.Error], DcaError]) -> None:
        from dca.store.sqlite_archive import SqliteArchive

        self.archive: Archive = SqliteArchive(connection, said)
        self._connection = connection

    def apply(self, mends: Sequence[Mend]) -> None:
        for kind, record_id, record, _, head in mends:
            if head is not None:
                self._connection.execute(PUT_HEAD, (record_id, *head))
            else:
                self._connection.execute(f'DELETE FROM "{kind}" WHERE id = ?', (record_id,))
                if record is not None:
                    self._connection.execute(PUT[kind], tuple(record))

    def book(self, decide: Callable[[Reader], Decision]) -> None:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        reader = _SqliteReader(self._connection, version)
        draft = decide(reader).draft
        assert draft is not None
        _book(self._connection, draft, reader.end(draft.stream))


def _book(connection: sqlite3.Connection, draft: Draft, end: Head) -> Entry:
    entry, changes = seal(draft, end)
    row = (*entry[:8], list_text(entry.projects), entry.commit, entry.previous, entry.hash, entry.schema, changes)
    connection.execute(PUT_LOG, row)
    by_kind: dict[str, list[Record]] = {}
    if draft.claim is not None:
        by_kind[CLAIM] = [draft.claim]
    for kind, record, _ in entry.changes:
        by_kind.setdefault(kind, []).append(record)
    for kind, records in by_kind.items():
        rows = list(map(tuple, records))  # plain tuples are bound much faster than named ones
        if len(rows) == 1:
            connection.execute(PUT[kind], rows[0])
        else:
            connection.executemany(PUT[kind], rows)
    connection.execute(PUT_HEAD, (entry.stream, entry.seq, entry.hash, entry.time))
    return entry


def _damaged(what: str) -> DamagedError:
    return DamagedError(f"{what} holds what dca does not write there; restore the books from a backup.")


def _made(kind: str, row: Sequence[Any]) -> Record:
    """Make a record of a row; a damaged file has any value in any column."""
    if tuple(map(type, row)) != _TYPES[kind]:
        raise _damaged(f"a {kind}")
    return KINDS[kind].record._make(row)


def _entry(row: Sequence[Any]) -> Entry:
    if tuple(map(type, row)) != _LOG_TYPES:
        raise _damaged("an entry of the log")
    try:
        projects, changes = tuple(map(str, json.loads(row[8]))), json.loads(row[13])
    except (ValueError, TypeError):
        raise DamagedError(f"entry {row[1]} of stream {row[0]} is damaged.") from None
    fields = dict(zip(LOG_FIELDS, row, strict=True))
    return Entry(**{**fields, "projects": projects, "changes": parse_changes(changes)})


def _file_system(path: Path) -> str:
    """Return the kind of file system a folder lies on, where the machine tells."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    real = str(path.resolve())
    best = ("", "")
    for line in mounts.splitlines():
        _, mount, kind, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = mount in ("/", real) or real.startswith(mount + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def _conditions(where: Sequence[Condition]) -> tuple[str, list[Any]]:
    clauses: list[str] = ["1"]
    values: list[Any] = []
    for field, op, value in where:
        if field == "projects":
            clauses.append("instr(projects, ?) > 0")
            values.append(canonical(value))
        elif op == "in":
            clauses.append(f'"{field}" IN ({", ".join("?" * len(value))})')
            values.extend(value)
        else:
            clauses.append(f'"{field}" {_OPERATORS[op]} ?')
            values.append(value)
    return " AND ".join(clauses), values


def _page(order: Sequence[str], after: Sequence[Any] | None) -> tuple[str, list[Any]]:
    """Return the condition that only records after a given one meet."""
    if after is None:
        return "1", []
    clauses: list[str] = []
    values: list[Any] = []
    for number, name in enumerate(order):
        same = [f'"{earlier.lstrip("-")}" = ?' for earlier in order[:number]]
        clauses.append(" AND ".join([*same, f'"{name.lstrip("-")}" {"<" if name.startswith("-") else ">"} ?']))
        values.extend(after[: number + 1])
    return "(" + " OR ".join(f"({clause})" for clause in clauses) + ")", values


def _order(order: Sequence[str]) -> str:
    return ", ".join(f'"{name.lstrip("-")}"{" DESC" if name.startswith("-") else ""}' for name in order)


def _on_empty_books(question: Callable[[Reader], T]) -> T:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in ddl():
            connection.execute(statement)
        return question(_SqliteReader(connection))


class _SqliteReader:
    """The books as one transaction sees them."""

    def __init__(self, connection: sqlite3.Connection, version: int = 0) -> None:
        self._connection = connection
        self._version = version
        """Changes when another connection writes to the file; 0 where that does not matter."""
        self._known: dict[str, dict[str, Any]] = defaultdict(dict)
        self._known_count = 0
        self._ends: dict[str, Head] = {}

    def is_of(self, version: int) -> bool:
        """Tell whether what is known is so still, and no burden."""
        return version == self._version and self._known_count < KNOWN_MAX

    def take(self, entry: Entry, claim: Claim | None) -> None:
        """Know what an entry of our own, and the claim that came before it, have changed."""
        self._ends[entry.stream] = entry.head
        if claim is not None:
            self._known[CLAIM][claim.id] = claim
        for kind, record, _ in entry.changes:
            known = self._known[kind]
            self._known_count += record.id not in known
            known[record.id] = record

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        known = self._known[kind]
        try:
            return [known[record_id] for record_id in ids]
        except KeyError:
            self._look_up(kind, [record_id for record_id in ids if record_id not in known])
        return [known[record_id] for record_id in ids]

    def _look_up(self, kind: str, ids: Sequence[str]) -> None:
        """Read records that were not asked for before; each stays known as long as the transaction lasts."""
        known = self._known[kind]
        self._known_count += len(ids)
        if len(ids) == 1:
            row = self._connection.execute(_SELECT_ONE[kind], ids).fetchone()
            known[ids[0]] = _made(kind, row) if row else None
        else:
            known.update(dict.fromkeys(ids))
            for begin in range(0, len(ids), VARIABLES_MAX):
                some = ids[begin : begin + VARIABLES_MAX]
                sql = f'SELECT {_COLUMNS[kind]} FROM "{kind}" WHERE id IN ({", ".join("?" * len(some))})'
                known.update((row[0], _made(kind, row)) for row in self._connection.execute(sql, some))
        if kind == SITE and known.get(SITE_ID) is None:
            known[SITE_ID] = DEFAULT_SITE

    def need(self, keys: Sequence[tuple[str, str]]) -> None:
        if len(keys) < MANY:
            return
        by_kind: dict[str, list[str]] = defaultdict(list)
        for kind, record_id in keys:
            by_kind[kind].append(record_id)
        for kind, ids in by_kind.items():
            self.get(kind, ids)

    def route(self, projects: Sequence[str]) -> list[str]:
        found = self.get(PROJECT, projects)
        if None not in found:
            return [one.tenant for one in found]
        claimed = self.get(CLAIM, [name for name, one in zip(projects, found, strict=True) if one is None])
        claims = iter(claimed)
        return [getattr(one or next(claims), "tenant", "") for one in found]

    def find(self, query: Query) -> list[Any]:
        where, values = _conditions(query.where)
        page, page_values = _page(query.order, query.after)
        sql = (
            f'SELECT {_COLUMNS[query.kind]} FROM "{query.kind}" WHERE {where} AND {page} '
            f"ORDER BY {_order(query.order)} LIMIT ?"
        )
        return [_made(query.kind, row) for row in self._connection.execute(sql, [*values, *page_values, query.limit])]

    def sums(self, request: Sums) -> list[Sum]:
        if not request.days:
            return self._sums(request, 0, ())
        field = request.day_field
        begin = max((one.value for one in request.where if one[:2] == (field, "ge")), default=0)
        end = min((one.value for one in request.where if one[:2] == (field, "lt")), default=INSTANT_MAX)
        rows: list[Sum] = []
        for number, day in enumerate(request.days):  # one range each: of two SQLite might walk through the wider one
            within = (Condition(field, "ge", max(begin, day.begin)), Condition(field, "lt", min(end, day.end)))
            rows += self._sums(request, number, within)
        return rows

    def _sums(self, request: Sums, day: int, within: tuple[Condition, ...]) -> list[Sum]:
        """Return the sums of one day; all fields that are asked for stand in an index."""
        narrowed = [one for one in request.where if not within or one[:2] not in {bound[:2] for bound in within}]
        where, values = _conditions((Condition("stream", "eq", request.stream), *narrowed, *within))
        group = [f"[{name}]" for name in request.group]
        every = " + ".join(f"[{name}]" for name in request.fields)  # a value that is missing makes no smaller sum
        columns = ", ".join([*group, *(f"sum([{name}])" for name in request.fields), f"count({every})", "count(*)"])
        order = f" GROUP BY {', '.join(group)} ORDER BY {', '.join(group)}" if group else ""
        sql = f'SELECT {columns} FROM "{request.kind}" WHERE {where}{order}'
        try:
            rows = self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "integer overflow" not in str(error):
                raise
            found = self.find(Query(request.kind, (*request.where, *within), limit=-1))
            return [row._replace(day=day) for row in total(found, request._replace(days=()))]
        rows = [row for row in rows if row[-1]]
        types = (*(FIELD_TYPES[request.kind][name] for name in request.group), *[int] * len(request.fields))
        if any(tuple(map(type, row[:-2])) != types or row[-2] != row[-1] for row in rows):
            raise _damaged(f"a {request.kind}")
        width = len(group)
        return [Sum(day, tuple(row[:width]), tuple(row[width:-2]), row[-1]) for row in rows]

    def log(self, query: LogQuery) -> list[Entry]:
        where, values = _conditions(query.where)
        order = ("-time", "stream", "-seq")
        page, page_values = _page(order, query.after)
        sql = f"SELECT {_LISTED_COLUMNS} FROM log WHERE {where} AND {page} ORDER BY {_order(order)} LIMIT ?"
        return [_entry(row) for row in self._connection.execute(sql, [*values, *page_values, query.limit])]

    def end(self, stream: str) -> Head:
        end = self._ends.get(stream)
        if end is None:
            row = self._connection.execute("SELECT seq, hash, time FROM head WHERE stream = ?", (stream,)).fetchone()
            if row and tuple(map(type, row)) != (int, str, int):
                raise _damaged("the head of a stream")
            end = self._ends[stream] = Head(*row) if row else EMPTY_HEAD
        return end
