"""What lies in a SQLite file, raw, whatever somebody may have put there; read within one snapshot."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from dca.core.errors import DamagedError, DcaError
from dca.core.names import shown
from dca.store.entry import Document
from dca.store.port import EMPTY_HEAD, Head, Place, Stored
from dca.store.schema import FIELD_TYPES, KINDS, read_record
from dca.store.sqlite_layout import LOG_FIELDS

T = TypeVar("T")

VARIABLES_MAX = 900
PAGE = 1_000
PAGE_BYTES = 4_000_000
"""Documents returned at once have about so many characters, or are one."""
STRANGE = "Could not decode to UTF-8"

_LOG_COLUMNS = ", ".join(f"[{name}]" for name in LOG_FIELDS)
_CHANGES = LOG_FIELDS.index("changes")
_BROUGHT = "ifnull(author, ''), ifnull(document, '') FROM log LEFT JOIN brought"
_COLUMNS = {kind: ", ".join(f"[{name}]" for name in types) for kind, types in FIELD_TYPES.items()}
_TYPES = {kind: tuple(types.values()) for kind, types in FIELD_TYPES.items()}


class SqliteArchive:
    """A connection with a snapshot that was begun on it."""

    whole = True
    signed = False

    def __init__(self, connection: sqlite3.Connection, said: Callable[[sqlite3.Error], DcaError]) -> None:
        """Take the connection, and what turns its errors into ours."""
        self._connection = connection
        self._said = said
        beside = self._rows("SELECT count(*) FROM sqlite_master WHERE name = 'brought'")[0][0]
        self._beside = f", {_BROUGHT} USING (stream, seq)" if beside else " FROM log"

    def streams(self) -> list[str]:
        """Return all streams."""
        rows = self._rows("SELECT stream FROM log UNION SELECT stream FROM head")
        return sorted(str(stream) for (stream,) in rows)

    def last(self, stream: str) -> int:
        """Return the highest sequence of a stream."""
        rows = self._rows("SELECT seq FROM log WHERE stream = ? ORDER BY seq DESC LIMIT 1", stream)
        return int(rows[0][0]) if rows else 0

    def documents(self, stream: str, first: int, limit: int) -> list[dict[str, Any]]:
        """Return log rows as documents; texts that are no JSON stay as they are."""
        sql = f"SELECT {_LOG_COLUMNS}{self._beside} WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?"

        def listed(rows: Iterable[Any]) -> list[dict[str, Any]]:
            documents: list[dict[str, Any]] = []
            size = 0
            for row in rows:
                if row[1] != first + len(documents) or size > PAGE_BYTES:
                    break
                documents.append(document_of(row))
                size += len(row[_CHANGES]) if isinstance(row[_CHANGES], (str, bytes)) else 0
            return documents

        return self._fetch(listed, sql, stream, first, limit)

    def beyond(self, ends: Mapping[str, int]) -> list[Place]:
        """Return the places of rows outside the ends."""
        found = []
        for stream, least, most, rows in self._rows("SELECT stream, min(seq), max(seq), count(*) FROM log GROUP BY 1"):
            end = ends.get(stream, 0)
            if (least, most, rows) != (1, end, end):
                sql = "SELECT seq FROM log WHERE stream = ? AND (seq < 1 OR seq > ?) ORDER BY seq"
                rows_there = self._rows(sql, stream, end)
                found += [
                    Place(str(stream), seq if type(seq) is int else 0, f"{stream}:{seq}") for (seq,) in rows_there
                ]
        return found

    def head(self, stream: str) -> Head:
        """Return the head of a stream."""
        rows = self._rows("SELECT seq, hash, time FROM head WHERE stream = ?", stream)
        if not rows:
            return EMPTY_HEAD
        if [*map(type, rows[0])] != [int, str, int]:
            raise DamagedError(f"the head of stream {shown(stream)} is damaged.")
        return Head(*rows[0])

    def count(self, kind: str) -> int:
        """Return how many rows a kind has."""
        return int(self._rows(f'SELECT count(*) FROM "{kind}"')[0][0])

    def stored(self, kind: str) -> Iterator[Stored]:
        """Yield all rows of a kind."""
        sql = f'SELECT rowid, {_COLUMNS[kind]} FROM "{kind}" WHERE rowid > ? ORDER BY rowid LIMIT ?'
        last = -(2**63)
        while rows := self._rows(sql, last, PAGE):
            for row in rows:
                yield stored_of(kind, row[1:])
            last = rows[-1][0]

    def stored_by(self, kind: str, ids: Sequence[str]) -> list[Stored | None]:
        """Return rows by id."""
        found: dict[str, Stored] = {}
        for begin in range(0, len(ids), VARIABLES_MAX):
            some = ids[begin : begin + VARIABLES_MAX]
            sql = f'SELECT {_COLUMNS[kind]} FROM "{kind}" WHERE id IN ({", ".join("?" * len(some))})'
            found.update((row[0], stored_of(kind, row)) for row in self._rows(sql, *some))
        return [found.get(record_id) for record_id in ids]

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._fetch(list, sql, *values)

    def _fetch(self, taken: Callable[[Iterable[Any]], list[T]], sql: str, *values: Any) -> list[T]:
        """Return what is taken of rows; bytes in a text that are none become characters that nobody can have written."""
        try:
            try:
                return taken(self._connection.execute(sql, values))
            except sqlite3.OperationalError as error:
                if STRANGE not in str(error):
                    raise
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            try:
                return taken(self._connection.execute(sql, values))
            finally:
                self._connection.text_factory = str
        except sqlite3.Error as error:
            raise self._said(error) from None
        except UnicodeEncodeError:
            raise DamagedError("the file holds a name that is no text.") from None


def document_of(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of the log as a document."""
    *_, author, whole = (*row, "", "") if len(row) == len(LOG_FIELDS) else row
    document: dict[str, Any] = {
        name: value if type(value) is not bytes else f"bytes {value.hex()}"
        for name, value in zip(LOG_FIELDS, row, strict=False)
    }
    if whole:
        return _of_json(whole, document)
    if author:
        document["author"] = _of_json(author, {})
    for name in ("projects", "changes"):
        try:
            document[name] = json.loads(document[name])
        except (ValueError, TypeError, RecursionError):
            continue
    changes = row[_CHANGES]
    return Document(document, changes) if isinstance(changes, str) else document


def _of_json(text: str, otherwise: dict[str, Any]) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
    return value if isinstance(value, dict) else otherwise


def stored_of(kind: str, row: Sequence[Any]) -> Stored:
    """Return a row of a kind of record."""
    types = FIELD_TYPES[kind]
    if tuple(map(type, row)) == _TYPES[kind]:
        return Stored(row[0], KINDS[kind].record(*row), "", 0)
    _, flaw = read_record(kind, str(row[0]), dict(zip(types, row, strict=True)))
    return Stored(str(row[0]), None, flaw, 0)
