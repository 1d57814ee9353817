"""Backup files: the log of the books line by line, packed with gzip, in a form that shows every damage.

Each line is a JSON object in ASCII. The first says what the file is: {"dca": "backup", "format": 1, "schema": ..,
"time": .., "store": .., "signed": ..}. {"stream": NAME} begins a stream, and {"entry": DOCUMENT} lines follow it, in order
and without a gap from sequence 1 on, each exactly as it lies in the log, whatever that is. Then come {"claim": RECORD}
lines, which say whose each project name is. The last line, {"end": {"entries": .., "claims": .., "streams": {NAME:
[SEQUENCE, DIGEST, HEAD]}, "sha256": ..}}, counts them, names the last entry of each stream with the digest of its content
and the hash that the stream's head has for it, and holds the SHA-256 of all bytes before it, unpacked. Writing
and reading take the same memory for any number of lines.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, cast

from dca.core.errors import DamagedError, RefusedError, UnreachableError, UsageError
from dca.store.entry import document_digest
from dca.store.schema import CLAIM, VERSION, from_dict

if TYPE_CHECKING:
    from dca.core.model import Claim

FORMAT = 1
LINE_BYTES_MAX = 1 << 28
"""A log entry is at most 2 MB; what a store of documents may hold beside dca's entries is not larger than this."""
LEVEL = 4
GZIP = 31
"""Tells zlib to pack as gzip does."""

Progress = Callable[[int, int], None]
"""Is told how many of how many bytes are done."""
_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Start(NamedTuple):
    """What a backup is of: version of its records, when and of which store it was made, and whether authors are stamped."""

    schema: int
    time: int
    store: str
    signed: bool


class Tip(NamedTuple):
    """The last entry of a stream."""

    seq: int
    digest: str
    """Of its content: its hash, unless it is void."""
    head: str
    """What the head says of it, which tells how it was judged; empty where the head had not come so far."""


class End(NamedTuple):
    """What a backup holds."""

    entries: int
    claims: int
    streams: dict[str, Tip]
    sha256: str
    """Of the lines before the last one, unpacked."""


class Logged(NamedTuple):
    """An entry of the log as it was stored, and where."""

    stream: str
    seq: int
    document: dict[str, Any]


class Writer:
    """Write the lines of a backup to a file that is open."""

    def __init__(self, file: BinaryIO, start: Start) -> None:
        """Write the first line."""
        self._file = file
        self._packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        self._digest = sha256()
        self._streams: dict[str, Tip] = {}
        self._entries = self._claims = 0
        self._line({"dca": "backup", "format": FORMAT, **start._asdict()})

    def stream(self, name: str, documents: Iterable[dict[str, Any]], head: str) -> None:
        """Write the entries of a stream, from the first on; head is what its head says of the last."""
        assert name not in self._streams, name
        self._line({"stream": name})
        seq, last = 0, None
        for seq, last in enumerate(documents, 1):  # noqa: B007 -- the last ones are looked at afterwards
            self._line({"entry": last})
        self._entries += seq
        self._streams[name] = Tip(seq, document_digest(last) if last is not None else "", head)

    def claim(self, claim: Claim) -> None:
        """Write whose a project name is; after all streams."""
        self._line({"claim": claim._asdict()})
        self._claims += 1

    def close(self) -> End:
        """Write the last line and return what it says."""
        end = End(self._entries, self._claims, self._streams, self._digest.hexdigest())
        self._line({"end": end._asdict()})
        self._file.write(self._packing.flush())
        return end

    def _line(self, content: dict[str, Any]) -> None:
        line = f"{_dump(content)}\n".encode()
        self._digest.update(line)
        self._file.write(self._packing.compress(line))


class Backup:
    """A backup file that is read from its beginning to its end."""

    def __init__(self, path: Path, progress: Progress = lambda done, total: None) -> None:
        """Open a file and read what it says it is; progress is told how many of its bytes are read."""
        self.path = path
        self.end: End | None = None
        """What the file holds, as soon as all of it was read and found whole."""
        self._progress = progress
        self._digest = sha256()
        self._streams: dict[str, Tip] = {}
        self._last: dict[str, Any] | None = None
        self._entries = self._claims = 0
        try:
            if path.exists() and not path.is_file():
                raise UsageError(f"{printed(path)} is no file; name a backup that dca has made.")
            self._raw: IO[bytes] = path.open("rb")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file can have that name"
            raise UsageError(f"the backup {printed(path)} cannot be read: {reason}.") from None
        self._size = path.stat().st_size
        self._packed = gzip.GzipFile("", "rb", fileobj=cast("BinaryIO", self._raw))
        try:
            self.start = self._begin()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the backup itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._packed.close()
        self._raw.close()

    def lines(self) -> Iterator[Logged | Claim]:
        """Yield the entries of each stream, then the claims; DamagedError as soon as the file shows a damage.

        Only when all was taken is it known that nothing is missing and nothing was changed.
        """
        stream = ""
        while True:
            line, content = self._next()
            match content:
                case {"entry": dict(document)} if stream and not self._claims:
                    seq = self._streams[stream].seq + 1
                    self._streams[stream], self._last = Tip(seq, "", ""), document
                    self._entries += 1
                    yield Logged(stream, seq, document)
                case {"stream": str(name)} if name and name not in self._streams and not self._claims:
                    self._leave(stream)
                    stream = name
                    self._streams[stream] = Tip(0, "", "")
                case {"claim": dict(record)}:
                    self._claims += 1
                    yield cast("Claim", self._record(record))
                case {"end": dict(told)}:
                    self._leave(stream)
                    self.end = self._finished(told)
                    return
                case _:
                    raise self._damaged("it holds a line that no backup has")
            self._digest.update(line)

    def _leave(self, stream: str) -> None:
        if stream and self._last is not None:
            self._streams[stream] = self._streams[stream]._replace(digest=document_digest(self._last))
        self._last = None

    def _begin(self) -> Start:
        try:
            line = self._packed.readline(LINE_BYTES_MAX)
            content = json.loads(line)
            what, number, schema = content["dca"], content["format"], content["schema"]
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise UsageError(f"the backup {self._name} cannot be read: {error.strerror}.") from None
            raise self._foreign() from None
        if what != "backup" or type(number) is not int or type(schema) is not int:
            raise self._foreign()
        if number > FORMAT or schema > VERSION:
            raise UnreachableError(
                f"the backup {self._name} was made by a newer dca (format {number}, schema {schema}); install that version."
            )
        match content:
            case {"time": int(time), "store": str(store), "signed": bool(signed)} if number >= 1 and schema >= 1:
                self._digest.update(line)
                return Start(schema, time, store, signed)
        raise self._damaged("its first line is not what dca writes")

    def _next(self) -> tuple[bytes, Any]:
        try:
            line = self._packed.readline(LINE_BYTES_MAX)
            self._progress(self._raw.tell(), self._size)
            return line, json.loads(line)
        except EOFError:
            raise self._damaged("it is cut short") from None
        except (gzip.BadGzipFile, zlib.error):
            raise self._damaged("it cannot be unpacked") from None
        except OSError as error:
            raise UsageError(f"the backup {self._name} cannot be read: {error.strerror or error}.") from None
        except (ValueError, RecursionError):
            raise self._damaged("it holds a line that is no JSON" if line else "its end is missing") from None

    def _record(self, fields: dict[str, Any]) -> Any:
        try:
            return from_dict(CLAIM, fields)
        except DamagedError as error:
            raise self._damaged(error.sentence.removesuffix(".")) from None

    def _finished(self, told: dict[str, Any]) -> End:
        """Compare what the last line tells with what was read, and see to it that nothing follows."""
        ends = _of(told, "streams").items()
        heads = {name: tip[-1] for name, tip in ends if isinstance(tip, list) and len(tip) == len(Tip._fields)}
        for name, tip in self._streams.items():
            self._streams[name] = tip._replace(head=str(heads.get(name, "")))
        end = End(self._entries, self._claims, self._streams, self._digest.hexdigest())
        read = json.loads(_dump(end._asdict()))
        if told != read:
            wrong = [name for name, value in read.items() if told.get(name) != value]
            raise self._damaged(f"its last line tells another {wrong[0] if wrong else 'form'} than was read")
        try:
            further = self._packed.read(1)
        except (EOFError, OSError, zlib.error):
            raise self._damaged("its checksum is wrong, or something follows its end") from None
        if further:
            raise self._damaged("something follows its end")
        self._progress(self._size, self._size)
        return end

    @property
    def _name(self) -> str:
        return printed(self.path)

    def _foreign(self) -> DamagedError:
        return DamagedError(
            f"{self._name} is no backup of dca, or is damaged at its very beginning; name another file."
        )

    def _damaged(self, reason: str) -> DamagedError:
        return DamagedError(f"the backup {self._name} is damaged: {reason}; use another one.")


def printed(path: Path) -> str:
    """Return a path as it may stand in a message."""
    return "".join(character if character.isprintable() else "?" for character in str(path))


def whole(path: Path, progress: Progress = lambda done, total: None) -> tuple[Start, End]:
    """Read a whole backup and return what it says it is and what it holds; DamagedError if it is not whole."""
    with Backup(path, progress) as backup:
        for _ in backup.lines():
            pass
        assert backup.end is not None
        return backup.start, backup.end


def _of(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


class _Digested:
    """A file that is written, with its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


class Written(NamedTuple):
    """What became of a backup."""

    end: End
    size: int
    sha256: str
    """Of the file, as sha256sum tells it."""


def write(path: Path, start: Start, fill: Callable[[Writer], None], *, overwrite: bool = False) -> Written:
    """Make a backup file that only its owner may read: whole, on the disk and under its name, or not at all."""
    path = _target(path, overwrite=overwrite)
    part = ""
    try:
        handle, part = tempfile.mkstemp(prefix=".dca-backup-", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            digested = _Digested(file)
            writer = Writer(cast("BinaryIO", digested), start)
            fill(writer)
            end = writer.close()
            file.flush()
            os.fsync(file.fileno())
        _name(part, path, overwrite=overwrite)
        _sync(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from None
    finally:
        if part:
            Path(part).unlink(missing_ok=True)
    return Written(end, digested.size, digested.digest.hexdigest())


def _target(path: Path, *, overwrite: bool) -> Path:
    """Return where a backup really goes; refuse at once what it must not replace."""
    try:
        path = path.resolve()
        if path.exists() and not path.is_file():
            raise UsageError(f"{printed(path)} is no file; name a new file for the backup.")
        if path.exists() and not overwrite:
            raise _exists(path)
        if path.exists() and path.stat().st_size and not _is_backup(path):
            raise UsageError(f"{printed(path)} is no backup of dca and is not replaced; name another file.")
    except (OSError, RuntimeError, ValueError) as error:
        raise _unwritten(path, error) from None
    return path


def _is_backup(path: Path) -> bool:
    try:
        Backup(path).close()
    except UnreachableError:  # of a newer dca
        return True
    except (DamagedError, UsageError):
        return False
    return True


def _name(part: str, path: Path, *, overwrite: bool) -> None:
    """Give a file that is complete its name; unless told, never in the place of one that has come meanwhile."""
    if not overwrite:
        try:
            os.link(part, path)
        except FileExistsError:
            raise _exists(path) from None
        except OSError:  # a file system without links
            if path.exists():
                raise _exists(path) from None
        else:
            return
    Path(part).replace(path)


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):  # a file system where folders cannot be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exists(path: Path) -> RefusedError:
    return RefusedError(f"{printed(path)} exists already; name a new file, or replace it with --overwrite.")


def _unwritten(path: Path, error: Exception) -> UnreachableError | UsageError:
    where = printed(path)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UnreachableError(f"the disk of {where} is full; no backup was written: make room and try again.")
    reason = getattr(error, "strerror", None) or "no file can have that name"
    return UsageError(f"the backup {where} cannot be written: {reason}.")
