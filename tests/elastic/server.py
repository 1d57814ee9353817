"""A real Elasticsearch as a test sees it: raw requests around dca's back, and books on it that are quickly emptied."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from dca.commands.table import rows
from dca.store.elastic import Address, ElasticStore
from dca.store.indices import NAMES
from tests.contract.deeds import PERMITTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.elasticsearch_server.server import Server

FORGETTING_SECONDS = 0.3
"""Deleted documents keep their versions as long as the server's coarse clock does not move on."""


class Said(NamedTuple):
    """What the server said."""

    status: int
    body: Any


class BookServer:
    """A server to keep books on, and to send raw requests to, as its administrator or as somebody else."""

    def __init__(self, server: Server, prefix: str) -> None:
        """Take the server, and what all names begin with that are used on it."""
        self.server = server
        self.prefix = prefix
        self.address = Address.parse([server.url], prefix=prefix)

    @contextmanager
    def store(
        self, *hosts: str, wait_seconds: float = 30.0, guarded: bool = False, **changes: Any
    ) -> Iterator[ElasticStore]:
        """Return the books, by way of other hosts or by an address with some changes; guarded, they know the commands."""
        address = self.address._replace(hosts=hosts or self.address.hosts, **changes)
        store = ElasticStore(address, PERMITTED, rows=rows() if guarded else None, wait_seconds=wait_seconds)
        try:
            yield store
        finally:
            store.close()

    def send(self, method: str, path: str, body: Any = None, *, user: tuple[str, str] | None = None) -> Said:
        """Send a raw request; a list is sent as lines."""
        connection = HTTPConnection(self.server.host, self.server.port, timeout=60)
        name, password = user or (self.server.username, self.server.password)
        headers = {"content-type": "application/json"}
        headers["authorization"] = "Basic " + b64encode(f"{name}:{password}".encode()).decode()
        text = "".join(json.dumps(line) + "\n" for line in body) if isinstance(body, list) else json.dumps(body)
        try:
            connection.request(method, path, None if body is None else text, headers)
            answer = connection.getresponse()
            return Said(answer.status, json.loads(answer.read() or b"null"))
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Send a raw request that succeeds, and return what was said."""
        said = self.send(method, path, body)
        assert said.status < 300, (method, path, said)
        return said.body

    def index(self, name: str) -> str:
        """Return the name of an index."""
        return f"{self.prefix}{name}-v1"

    def source(self, kind: str, record_id: str) -> Any:
        """Return a document as it lies there; None if there is none."""
        return self.send("GET", f"/{self.prefix}{kind}/_doc/{quote(record_id, safe='')}").body.get("_source")

    def create(self, kind: str, record_id: str, document: Any, how: str = "") -> Said:
        """Create a document around dca's back."""
        return self.send("PUT", f"/{self.prefix}{kind}/_create/{quote(record_id, safe='')}{how}", document)

    def create_alone(self, kind: str, record_id: str, document: Any, how: str = "", **by: Any) -> int:
        """Create a document as users may who have only the right to create; return the status of that."""
        lines = [{"create": {"_id": record_id}}, document]
        said = self.send("POST", f"/{self.prefix}{kind}/_bulk{how}", lines, **by)
        return int(said.body["items"][0]["create"]["status"]) if said.status == 200 else said.status

    def forget_quickly(self) -> None:
        """Let deleted documents leave no trace, so that the books can be emptied and used again."""
        self.must("PUT", f"/{self._all()}/_settings", {"index.gc_deletes": "0s"})

    def empty(self) -> None:
        """Delete all documents of the books."""
        if self.delete_all():
            time.sleep(FORGETTING_SECONDS)
            self.refresh()

    def delete_all(self) -> bool:
        """Delete all documents of the books, which are forgotten by a refresh after a moment; tell whether there were any."""
        self.refresh()
        deleted = False
        while hits := self._some_documents():
            lines = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits]
            assert not self.must("POST", "/_bulk?refresh=true", lines)["errors"]
            deleted = True
        return deleted

    def refresh(self) -> None:
        """Let searches find what was written until now, and what was deleted be forgotten."""
        self.must("POST", f"/{self._all()}/_refresh")

    def is_forgetful(self) -> bool:
        """Tell whether the books are there and let deleted documents leave no trace."""
        said = self.send("GET", f"/{self.index('log')}/_settings/index.gc_deletes")
        return said.status == 200 and bool(said.body.get(self.index("log"), {}).get("settings"))

    def _some_documents(self) -> Sequence[Any]:
        found = self.must("POST", f"/{self._all()}/_search", {"size": 10_000, "_source": False})
        hits: Sequence[Any] = found["hits"]["hits"]
        return hits

    def _all(self) -> str:
        return ",".join(map(self.index, NAMES))
