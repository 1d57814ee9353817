"""Filling empty books in a SQLite file, within one transaction."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from dca.core.errors import DamagedError
from dca.core.model import GLOBAL_STREAM, Claim, Record
from dca.store.declaration import draft, parts
from dca.store.entry import canonical, document_digest, seal, to_document
from dca.store.port import EMPTY_HEAD
from dca.store.schema import CLAIM, FIELD_TYPES, KINDS
from dca.store.sqlite_layout import LOG_FIELDS, PUT, PUT_HEAD, PUT_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dca.core.model import Change
    from dca.store.declaration import Bringing
    from dca.store.port import Head

VARIABLES_MAX = 900
CACHE_KIB = 65_536
INTEGER_MAX = 2**63
_INTEGERS = ("seq", "time", "schema")
_JSON = ("projects", "changes")


class SqliteBuilder:
    """A connection with a transaction that was begun on it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection."""
        self._connection = connection
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def is_empty(self) -> bool:
        """Tell whether nothing was ever written to these books."""
        tables = ("log", "head", *KINDS)
        return not any(self._connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() for table in tables)

    def before(self, keys: Sequence[tuple[str, str]]) -> list[Record | None]:
        """Return records."""
        wanted: dict[str, list[str]] = {}
        for kind, record_id in keys:
            wanted.setdefault(kind, []).append(record_id)
        found: dict[tuple[str, str], Record] = {}
        for kind, ids in wanted.items():
            record = KINDS[kind].record
            columns = ", ".join(f"[{name}]" for name in FIELD_TYPES[kind])
            for begin in range(0, len(ids), VARIABLES_MAX):
                some = ids[begin : begin + VARIABLES_MAX]
                sql = f'SELECT {columns} FROM "{kind}" WHERE id IN ({", ".join("?" * len(some))})'
                found.update(((kind, row[0]), record(*row)) for row in self._connection.execute(sql, some))
        return [found.get(key) for key in keys]

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        """Write the records of an entry."""
        del stream, seq
        rows: dict[str, list[Record]] = {}
        for kind, record, _ in changes:
            if isinstance(record, Claim):
                self.claim(record)
            else:
                rows.setdefault(kind, []).append(record)
        try:
            for kind, records in rows.items():
                self._connection.executemany(PUT[kind], map(tuple, records))
        except sqlite3.IntegrityError as error:
            raise DamagedError(f"the log brings a record twice ({error}); dca log verify says what is wrong.") from None

    def enter(self, stream: str, seq: int, document: dict[str, Any], *, void: bool) -> None:
        """Write an entry; what the columns of the log cannot hold goes beside them."""
        del void
        row = row_of(document)
        author = document.get("author")
        if row is None or row[:2] != (stream, seq):
            unreadable = (
                "",
                "log",
                "unreadable",
                "an entry that is none",
                "",
                "[]",
                "",
                "",
                document_digest(document),
                0,
            )
            self._connection.execute(PUT_LOG, (stream, seq, 0, *unreadable, "[]"))
            self._beside(stream, seq, "", json.dumps(document))
            return
        self._connection.execute(PUT_LOG, row)
        if author is not None:
            self._beside(stream, seq, json.dumps(author), "")

    def _beside(self, stream: str, seq: int, author: str, document: str) -> None:
        self._connection.execute("INSERT INTO brought VALUES (?, ?, ?, ?)", (stream, seq, author, document))

    def claim(self, claim: Claim) -> None:
        """Write a claim, unless there is a newer one."""
        (there,) = self.before([(CLAIM, claim.id)])
        if not isinstance(there, Claim) or there.generation < claim.generation:
            self._connection.execute(PUT[CLAIM], claim)

    def unclaimed(self) -> str:
        """Return a project without its claim."""
        sql = (
            "SELECT id FROM project WHERE tenant IS NOT (SELECT tenant FROM claim WHERE claim.id = project.id) LIMIT 1"
        )
        row = self._connection.execute(sql).fetchone()
        return str(row[0]) if row else ""

    def head(self, stream: str, head: Head) -> None:
        """Write a head."""
        self._connection.execute(PUT_HEAD, (stream, *head))

    def declare(self, bringing: Bringing, ends: Mapping[str, Head]) -> None:
        """Add the entries that say what was brought."""
        end = ends.get(GLOBAL_STREAM, EMPTY_HEAD)
        for streams in parts(ends):
            entry, _ = seal(draft(bringing, ends, streams, end), end)
            self.take(entry.stream, entry.seq, entry.changes)
            self.enter(entry.stream, entry.seq, to_document(entry), void=False)
            end = entry.head
            self.head(GLOBAL_STREAM, end)


def row_of(document: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return a document as a row of the log; None where a row cannot hold it as it is."""
    if document.keys() - {"author"} != set(LOG_FIELDS):
        return None
    row: list[str | int] = []
    for name in LOG_FIELDS:
        value = document[name]
        if name in _JSON:
            value = canonical(value)
        elif type(value) is not (int if name in _INTEGERS else str):
            return None
        row.append(value)
    if not all(-INTEGER_MAX <= value < INTEGER_MAX for value in row if isinstance(value, int)):
        return None
    try:
        "".join(value for value in row if isinstance(value, str)).encode()
    except UnicodeEncodeError:
        return None
    return tuple(row)
