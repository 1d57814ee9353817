"""Books in a file and on Elasticsearch, as somebody sees them who changes them around dca's back."""

from __future__ import annotations

import copy
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from dca.commands.table import PERMITTED
from dca.store import entry as entries
from dca.store.schema import FIELD_TYPES, LOG
from dca.store.scratch import RECORDS_MAX, States
from dca.store.verify import Inline, Verification

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dca.engine import Store
    from tests.elastic.server import BookServer

Document = dict[str, Any]


class Attacked(Protocol):
    """Books that are changed around dca's back; `head` is a record of its own, with the stream as its id."""

    store: Store

    def empty(self) -> None:
        """Leave nothing."""

    def entry(self, stream: str, seq: int) -> Document:
        """Return a log document."""

    def put_entry(self, stream: str, seq: int, document: Document) -> None:
        """Put a log document, in the place of another or not."""

    def drop_entry(self, stream: str, seq: int) -> None:
        """Take a log document away."""

    def record(self, kind: str, record_id: str) -> Document:
        """Return a record."""

    def put_record(self, kind: str, record_id: str, fields: Document, version: int = 0) -> None:
        """Put a record; on Elasticsearch with a version, if one is given."""

    def drop_record(self, kind: str, record_id: str) -> None:
        """Take a record away."""

    def put_head(self, stream: str, seq: int, digest: str, time: int) -> None:
        """Move the head of a stream."""


class AttackedFile:
    """Books in SQLite, changed by SQL."""

    def __init__(self, store: Store, path: Path) -> None:
        """Take the file."""
        self.store = store
        self.path = path

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def empty(self) -> None:
        """Begin with a new file."""
        self.store.wipe()
        self.store.setup()

    def entry(self, stream: str, seq: int) -> Document:
        """Return a log row as a document."""
        with self.store.archive() as archive:
            return dict(archive.documents(stream, seq, 1)[0])

    def put_entry(self, stream: str, seq: int, document: Document) -> None:
        """Put a row."""
        self.drop_entry(stream, seq)
        row = {**document, "stream": stream, "seq": seq}
        row["projects"], row["changes"] = json.dumps(row["projects"]), entries.canonical(row["changes"])
        names = ", ".join(f'"{name}"' for name in row)
        self.sql(f"INSERT INTO log ({names}) VALUES ({', '.join('?' * len(row))})", *row.values())  # noqa: S608

    def drop_entry(self, stream: str, seq: int) -> None:
        """Delete a row."""
        self.sql("DELETE FROM log WHERE stream = ? AND seq = ?", stream, seq)

    def record(self, kind: str, record_id: str) -> Document:
        """Return a row."""
        rows = self.sql(f'SELECT * FROM "{kind}" WHERE id = ?', record_id)  # noqa: S608
        return dict(zip(FIELD_TYPES[kind], rows[0], strict=True))

    def put_record(self, kind: str, record_id: str, fields: Document, version: int = 0) -> None:
        """Put a row."""
        del version
        self.drop_record(kind, record_id)
        row = {**fields, "id": record_id}
        values = [row[name] for name in FIELD_TYPES[kind]]
        self.sql(f'INSERT INTO "{kind}" VALUES ({", ".join("?" * len(values))})', *values)  # noqa: S608

    def drop_record(self, kind: str, record_id: str) -> None:
        """Delete a row."""
        self.sql(f'DELETE FROM "{kind}" WHERE id = ?', record_id)  # noqa: S608

    def put_head(self, stream: str, seq: int, digest: str, time: int) -> None:
        """Put a row."""
        self.sql("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)", stream, seq, digest, time)


class AttackedServer:
    """Books on Elasticsearch, changed by the administrator's raw requests."""

    def __init__(self, store: Store, server: BookServer) -> None:
        """Take the server."""
        self.store = store
        self.server = server

    def empty(self) -> None:
        """Delete all documents."""
        self.server.empty()

    def _path(self, kind: str, record_id: str) -> str:
        return f"/{self.server.prefix}{kind}/_doc/{record_id.replace(':', '%3A').replace('/', '%2F')}"

    def entry(self, stream: str, seq: int) -> Document:
        """Return a log document."""
        return dict(self.server.source(LOG, f"{stream}:{seq}"))

    def put_entry(self, stream: str, seq: int, document: Document) -> None:
        """Put a log document; its author is stamped by the server."""
        bare = {name: value for name, value in document.items() if name != "author"}
        self.server.must("PUT", self._path(LOG, f"{stream}:{seq}"), bare)

    def drop_entry(self, stream: str, seq: int) -> None:
        """Delete a log document."""
        self.server.must("DELETE", self._path(LOG, f"{stream}:{seq}"))

    def record(self, kind: str, record_id: str) -> Document:
        """Return a document."""
        return dict(self.server.source(kind, record_id))

    def put_record(self, kind: str, record_id: str, fields: Document, version: int = 0) -> None:
        """Put a document."""
        how = f"?version={version}&version_type=external_gte" if version else ""
        self.server.must("PUT", self._path(kind, record_id) + how, fields)

    def drop_record(self, kind: str, record_id: str) -> None:
        """Delete a document."""
        self.server.must("DELETE", self._path(kind, record_id))

    def put_head(self, stream: str, seq: int, digest: str, time: int) -> None:
        """Rewrite the document that carries the head, with the version that it would have."""
        kind, record_id = ("site", "site") if stream == "g" else ("tenant", stream.removeprefix("t:"))
        source = self.record(kind, record_id)
        version = self.server.must("GET", self._path(kind, record_id))["_version"]
        source |= {"head_seq": seq, "head_hash": digest, "head_time": time}
        self.put_record(kind, record_id, source, max(version, seq))


def hashed(document: Document) -> Document:
    """Give a document the hash that fits what it says."""
    return {**document, "hash": entries.document_digest(dict(document))}


def changed(document: Document, field: str, add: int, place: int = 0) -> Document:
    """Change an amount in a record that an entry brings."""
    document = {**document, "changes": copy.deepcopy(document["changes"])}
    document["changes"][place]["record"][field] += add
    return document


def verified(
    store: Store, heads: dict[str, tuple[int, str]] | None = None, records_max: int = RECORDS_MAX
) -> Verification:
    """Verify books; return what was found."""
    with store.archive() as archive:
        verification = Verification(archive, signed=archive.signed, heads=heads)
        verification.states = States(records_max)
        verification.whole(Inline(archive, PERMITTED), lambda done, total: None)
    return verification


def found(verification: Verification, *, but: Iterable[str] = ("author",)) -> list[tuple[str, str]]:
    """Return the kinds of damage that were found, each with its entry or record, but for some kinds.

    These tests write as somebody else than the one whom the server knows them as, which verify rightly tells.
    """
    return [
        (
            one["damage"],
            f"{one.get('stream', '')}:{one.get('seq', '')}" if "id" not in one else f"{one['kind']} {one['id']}",
        )
        for one in verification.findings.listed()
        if one["damage"] not in but
    ]


def heads_of(store: Store, streams: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return heads as a checkpoint keeps them."""
    with store.archive() as archive:
        return {stream: archive.head(stream)[:2] for stream in streams}
