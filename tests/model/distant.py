"""Books on an Elasticsearch that are emptied quickly, to be used again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dca.store.elastic import Address
from dca.store.elastic_door import Door
from dca.store.indices import NAMES
from tests.model.side import elastic_at

if TYPE_CHECKING:
    from tests.model.side import Elastic

SECONDS = 60
PAGE = 10_000
FORGETTING_SECONDS = 0.3
"""Deleted documents keep their versions as long as the server's coarse clock does not move on."""


class Distant:
    """Indices of one prefix on a server."""

    def __init__(self, url: str, prefix: str) -> None:
        """Take the server's URL, with user and password."""
        self.address = Address.parse([url], prefix=prefix)
        self._door = Door(self.address)
        self._names = ",".join(f"{prefix}{name}" for name in NAMES)

    def emptied(self) -> Elastic:
        """Return a store whose indices are there and hold nothing."""
        store = elastic_at(self.address)
        store.setup()
        self.call("PUT", f"/{self._names}/_settings", {"index.gc_deletes": "0s"})
        deleted = 0
        while hits := self._some():
            lines = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits]
            assert not self.call("POST", "/_bulk", lines)["errors"]
            deleted += len(hits)
        if deleted:
            time.sleep(FORGETTING_SECONDS)
            self.call("POST", f"/{self._names}/_refresh")
        return store

    def _some(self) -> list[Any]:
        self.call("POST", f"/{self._names}/_refresh")
        found = self.call("POST", f"/{self._names}/_search", {"size": PAGE, "_source": False})
        hits: list[Any] = found["hits"]["hits"]
        return hits

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a raw request that succeeds, and return what was said."""
        return self._door.ask("prepare a test", method, path, body, until=time.monotonic() + SECONDS)

    def close(self) -> None:
        """Close all connections."""
        self._door.close()
