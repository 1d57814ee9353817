"""What measured figures are held against: the same rows or documents, written and read with nothing around them."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dca.core.errors import UnreachableError
from dca.store.entry import canonical, to_document
from dca.store.schema import LOG, TRANSACTION
from dca.store.sqlite_layout import PUT, PUT_HEAD, PUT_LOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dca.store.elastic_door import Door
    from dca.store.port import Entry

BULK = 500
THREADS = 4
"""As many documents a request, and requests at once, as the parallel bulk of the official client sends by itself."""
SECONDS = 120.0
PAGE = 50
"""Log entries read at once; one may be 2 MB."""


class Work(NamedTuple):
    """What some commits wrote, ready to be written again."""

    commits: tuple[Any, ...]
    documents: tuple[dict[str, Any], ...]
    """The log entries, as they are hashed."""


class Floor(Protocol):
    """A floor of one kind of store."""

    one: str
    """What one commit is held against."""
    many: str
    """What a batch is held against."""
    whole: str
    """What an import is held against."""
    bill: str
    """What a bill is held against."""
    read: str
    """What a proof is held against."""

    def work(self, entries: Iterable[Entry]) -> Work:
        """Return what some commits wrote."""

    def write_one_by_one(self, work: Work) -> None:
        """Write it, each commit by itself."""

    def write_batch(self, work: Work) -> None:
        """Write it as the batches it came in."""

    def write_import(self, work: Work, log: Path) -> None:
        """Read a log, and write what its import wrote."""

    def add_up(self, project: str) -> None:
        """Add up the cost of all transactions of a project."""

    def scan(self) -> None:
        """Read the whole log."""

    def close(self) -> None:
        """Let go of files and connections, and remove what was made."""


class SqliteFloor:
    """Plain durable inserts of the same rows into tables of the same layout."""

    one = "one durable SQLite transaction with the same rows"
    many = "executemany of the same rows, with canonical JSON and SHA-256 of the same bytes"
    whole = f"reading the lines, {many}"
    bill = "SELECT sum(cost) over the same rows"
    read = "reading the log and SHA-256 of the same bytes"

    def __init__(self, books: Path, file: Path) -> None:
        """Make a file with the tables of the books, beside them."""
        self._books = sqlite3.connect(f"{books.as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._floor = sqlite3.connect(file, isolation_level=None)
        self._floor.execute("PRAGMA journal_mode = WAL")
        self._floor.execute("PRAGMA synchronous = FULL")
        made = self._books.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        for (statement,) in made.fetchall():
            self._floor.execute(statement)

    def work(self, entries: Iterable[Entry]) -> Work:
        """Return the rows of some commits."""
        commits, documents = [], []
        for entry in entries:
            rows: dict[str, list[tuple[Any, ...]]] = {}
            for kind, record, _ in entry.changes:
                rows.setdefault(PUT[kind], []).append(tuple(record))
            for statement, table, where, values in (
                (PUT_LOG, "log", "stream = ? AND seq = ?", (entry.stream, entry.seq)),
                (PUT_HEAD, "head", "stream = ?", (entry.stream,)),
            ):
                row = self._books.execute(f"SELECT * FROM {table} WHERE {where}", values).fetchone()
                rows[statement] = [row]
            commits.append(list(rows.items()))
            documents.append(to_document(entry))
        return Work(tuple(commits), tuple(documents))

    def write_one_by_one(self, work: Work) -> None:
        """Write each commit as one durable transaction."""
        for commit in work.commits:
            self._floor.execute("BEGIN IMMEDIATE")
            for statement, rows in commit:
                self._floor.executemany(statement, rows)
            self._floor.execute("COMMIT")

    def write_batch(self, work: Work) -> None:
        """Write each commit as one durable transaction, and hash what it says."""
        for document in work.documents:
            sha256(canonical(document).encode()).hexdigest()
        self.write_one_by_one(work)

    def write_import(self, work: Work, log: Path) -> None:
        """Read the lines as well."""
        with log.open(encoding="utf-8") as file:
            for line in file:
                line.rstrip("\n").split("|")
        self.write_batch(work)

    def add_up(self, project: str) -> None:
        """Add up one column of one project."""
        self._books.execute('SELECT sum(cost) FROM "transaction" WHERE project = ?', (project,)).fetchone()

    def scan(self) -> None:
        """Read every entry and hash what it changed."""
        for (changes,) in self._books.execute("SELECT changes FROM log"):
            sha256(changes if isinstance(changes, bytes) else changes.encode()).hexdigest()

    def close(self) -> None:
        """Close both files."""
        self._floor.close()
        self._books.close()


class ElasticFloor:
    """Plain creates and bulks of the same documents into indices of the same mappings, by the same connections."""

    one = "one create of the same log entry, by the same client"
    many = "one bulk of the same transactions"
    whole = f"a parallel bulk of the same transactions ({THREADS} at once, {BULK} each)"
    bill = "one search that adds up the same transactions"
    read = "reading the same log entries page by page"

    def __init__(self, door: Door, prefix: str) -> None:
        """Make two indices beside the scratch books'."""
        from dca.store.indices import load

        self._door = door
        self._alias = f"{prefix}{TRANSACTION}"
        self._log = f"{prefix}{LOG}"
        self._names = {name: f"{prefix}floor-{name}" for name in (LOG, TRANSACTION)}
        for name, index in self._names.items():
            self._ask("PUT", f"/{index}", load(name))

    def work(self, entries: Iterable[Entry]) -> Work:
        """Return the transactions of some commits, and their entries."""
        commits, documents = [], []
        for entry in entries:
            records = [change.record._asdict() for change in entry.changes if change.kind == TRANSACTION]
            commits.append(
                [json.dumps(part) for record in records for part in ({"create": {"_id": record["id"]}}, record)]
            )
            documents.append(to_document(entry))
        return Work(tuple(commits), tuple(documents))

    def write_one_by_one(self, work: Work) -> None:
        """Create each log entry."""
        from urllib.parse import quote

        for document in work.documents:
            name = quote(f"{document['stream']}:{document['seq']}", safe="")
            self._ask("PUT", f"/{self._names[LOG]}/_create/{name}", document)

    def write_batch(self, work: Work) -> None:
        """Send the transactions of each commit as one bulk."""
        for lines in work.commits:
            self._bulk(lines)

    def write_import(self, work: Work, log: Path) -> None:
        """Send all transactions in bulks, several at once."""
        from concurrent.futures import ThreadPoolExecutor

        del log
        lines = [line for commit in work.commits for line in commit]
        with ThreadPoolExecutor(THREADS) as senders:
            list(senders.map(self._bulk, (lines[n : n + 2 * BULK] for n in range(0, len(lines), 2 * BULK))))

    def add_up(self, project: str) -> None:
        """Add up one field of one project."""
        body = {"size": 0, "query": {"term": {"project": project}}, "aggs": {"cost": {"sum": {"field": "cost"}}}}
        self._ask("POST", f"/{self._alias}/_search?request_cache=false", body)

    def scan(self) -> None:
        """Read every entry from one point in time."""
        point = {"id": self._ask("POST", f"/{self._log}/_pit?keep_alive=1m", None)["id"], "keep_alive": "1m"}
        body: dict[str, Any] = {"size": PAGE, "pit": point, "sort": ["_shard_doc"], "track_total_hits": False}
        while hits := self._ask("POST", "/_search", body)["hits"]["hits"]:
            body["search_after"] = hits[-1]["sort"]
        self._ask("DELETE", "/_pit", {"id": point["id"]})

    def close(self) -> None:
        """Delete both indices."""
        self._ask("DELETE", f"/{','.join(self._names.values())}?ignore_unavailable=true", None)

    def _bulk(self, lines: Sequence[str]) -> None:
        answer = self._ask("POST", f"/{self._names[TRANSACTION]}/_bulk", list(lines))
        if answer["errors"]:
            raise UnreachableError(f"cannot measure: {self._door.hosts} refused a bulk of plain documents; try again.")

    def _ask(self, method: str, path: str, body: Any) -> Any:
        from dca.store.elastic_door import Request

        request = Request("measure", method, path, body)
        return self._door.body_of(self._door.call(request, seconds=SECONDS), request)
