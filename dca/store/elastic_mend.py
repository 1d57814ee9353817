"""Putting documents right that are not what the log says, while others write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core.errors import DamagedError, DeniedError
from dca.store import elastic_search as searches
from dca.store.elastic_door import CONFLICT, FORBIDDEN, GOOD, MISSING, Request
from dca.store.protocol import head_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dca.store.elastic_archive import ElasticArchive
    from dca.store.elastic_door import Door
    from dca.store.port import Decision, Mend, Reader

AT_ONCE = 500
MENDING = "put records right"
SETTLED = {*GOOD, CONFLICT, MISSING}
"""What becomes of a document that is right afterwards: written, overtaken by a newer one, or gone already."""


class ElasticMending:
    """The indices; a document is written with the version of the entry that brought it, so that no newer one is lost."""

    def __init__(
        self,
        archive: ElasticArchive,
        door: Door,
        deadline: Callable[[], float],
        write: Callable[[Callable[[Reader], Decision]], Decision],
    ) -> None:
        """Take what reads, what sends, and what commits."""
        self.archive = archive
        self._door, self._deadline, self._write = door, deadline, write

    def apply(self, mends: Sequence[Mend]) -> None:
        """Write or delete documents."""
        for begin in range(0, len(mends), AT_ONCE):
            self._bulk(mends[begin : begin + AT_ONCE])

    def book(self, decide: Callable[[Reader], Decision]) -> None:
        """Commit an entry."""
        self._write(decide)

    def _bulk(self, mends: Sequence[Mend]) -> None:
        lines: list[Any] = []
        for mend in mends:
            kind, record_id = head_key(mend.id) if mend.head is not None else (mend.kind, mend.id)
            target: dict[str, Any] = {"_index": f"{self._door.address.prefix}{kind}", "_id": record_id}
            if mend.record is None:
                lines.append({"delete": target})
                continue
            if mend.version:
                target |= {"version": mend.version, "version_type": "external_gte"}
            lines += [{"index": target}, searches.source_of(mend.record, mend.head)]
        request = Request(MENDING, "POST", "/_bulk?require_alias=true", lines)
        answer = self._door.ask(request, until=self._deadline())
        for item in answer["items"]:
            (result,) = item.values()
            if result["status"] == FORBIDDEN:
                raise DeniedError(f"you may not {MENDING} in the index {result['_index']}; what was done stays.")
            if result["status"] not in SETTLED:
                reason = result.get("error", {}).get("reason", "no reason given")
                raise DamagedError(f"{result['_id']} cannot be put right: {reason}; what was done stays.")
