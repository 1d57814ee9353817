"""What lies in the indices of an Elasticsearch cluster, raw, whatever somebody may have put there."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dca.core.errors import DamagedError, DcaError, DeniedError, UnreachableError
from dca.core.model import GLOBAL_STREAM, TENANT_STREAM_PREFIX
from dca.core.names import shown
from dca.store import elastic_search as searches
from dca.store.elastic_door import Request
from dca.store.indices import HEAD_CARRIERS
from dca.store.port import EMPTY_HEAD, Head, Place, Stored
from dca.store.protocol import head_key
from dca.store.schema import LOG, TENANT, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dca.store.elastic_door import Door
    from dca.store.protocol import Key

PAGE = 1_000
IDS_PAGE = 10_000
GROUPS_PAGE = 5_000
DOCUMENTS_MIN, DOCUMENTS_MAX = 4, 1_000
PAGE_BYTES = 4_000_000
"""Documents are asked for in such numbers that they have about so many characters."""
DIGITS_MAX = 18
POINT_IN_TIME = "1m"
NO_PIPELINE = "_none"
READING = "read the books"
HEAD_FIELDS = ("head_seq", "head_hash", "head_time")


class ElasticArchive:
    """The indices with a prefix; single documents are read in real time, everything else by searches after a refresh."""

    whole = False

    def __init__(self, door: Door, prefix: str, deadline: Callable[[], float]) -> None:
        """Take the door, and what says until when a request that begins now may take."""
        self._door = door
        self._prefix = prefix
        self._deadline = deadline
        self._width = DOCUMENTS_MIN

    @cached_property
    def _absent(self) -> frozenset[str]:
        """Kinds of records without an index in books in use: there is nothing, and the log tells what there was, if anything."""
        try:
            absent = self._door.absent(self._deadline())
        except DeniedError:  # whoever may read the books need not see their indices
            absent = None
        return (
            frozenset((*absent.lost, *absent.unmade)) if absent is not None and LOG not in absent.lost else frozenset()
        )

    def streams(self) -> list[str]:
        """Return all streams: those that documents name, those that ids of nameless ones do, and all tenants'."""
        self._refresh([LOG, TENANT])
        found = {*self._named(), GLOBAL_STREAM}
        nameless = {"query": {"bool": {"must_not": {"exists": {"field": "stream"}}}}, "_source": False}
        found |= {place_of(hit["_id"]).stream for hit in self._scan(LOG, nameless, IDS_PAGE)}
        tenants = self._scan(TENANT, {"query": {"match_all": {}}, "_source": False}, IDS_PAGE)
        found |= {TENANT_STREAM_PREFIX + hit["_id"] for hit in tenants}
        return sorted(found)

    def _named(self) -> Iterator[str]:
        after: dict[str, Any] = {}
        while True:
            grouping = {"size": GROUPS_PAGE, "sources": [{"stream": {"terms": {"field": "stream"}}}], **after}
            body = {"size": 0, "track_total_hits": False, "aggs": {"streams": {"composite": grouping}}}
            rows = self._searched(f"/{self._alias(LOG)}", body)["aggregations"]["streams"]
            yield from (bucket["key"]["stream"] for bucket in rows["buckets"])
            if "after_key" not in rows:
                return
            after = {"after": rows["after_key"]}

    def last(self, stream: str) -> int:
        """Return the highest sequence among the documents that name a stream."""
        self._refresh([LOG])
        body = {
            "size": 1,
            "query": {"term": {"stream": stream}},
            "sort": [{"seq": "desc"}],
            "_source": False,
            "track_total_hits": False,
        }
        hits = self._searched(f"/{self._alias(LOG)}", body)["hits"]["hits"]
        return place_of(hits[0]["_id"]).seq if hits else 0

    def documents(self, stream: str, first: int, limit: int) -> list[dict[str, Any]]:
        """Return log documents, read in real time."""
        width = min(limit, self._width)
        found = self._get([(LOG, f"{stream}:{seq}") for seq in range(first, first + width)])
        listed = []
        for document in found:
            if document is None:
                break
            listed.append(document["_source"])
        if len(listed) == width == self._width:
            size = max(len(json.dumps(listed[-1])), len(json.dumps(listed[0])))
            self._width = min(max(DOCUMENTS_MIN, PAGE_BYTES // size), DOCUMENTS_MAX, 4 * self._width)
        return listed

    def beyond(self, ends: Mapping[str, int]) -> list[Place]:
        """Return the places of documents outside the ends; the ids decide."""
        self._refresh([LOG])
        if self.count(LOG) == sum(ends.values()):
            return []  # all those are there, each under an id of its own
        places = (
            place_of(hit["_id"]) for hit in self._scan(LOG, {"query": {"match_all": {}}, "_source": False}, IDS_PAGE)
        )
        return sorted(place for place in places if not 1 <= place.seq <= ends.get(place.stream, 0))

    def head(self, stream: str) -> Head:
        """Return the head of a stream, from the document that carries it."""
        (document,) = self._get([head_key(stream)])
        return head_of(document["_source"], stream) if document is not None else EMPTY_HEAD

    def count(self, kind: str) -> int:
        """Return how many documents an index has."""
        if kind in self._absent:
            return 0
        self._refresh([kind])
        request = Request(READING, "GET", f"/{self._alias(kind)}/_count")
        return int(self._whole(self._door.ask(request, until=self._deadline()), request)["count"])

    def stored(self, kind: str) -> Iterator[Stored]:
        """Yield all documents of a kind."""
        self._refresh([kind])
        body = {"query": {"match_all": {}}, "version": True}
        return (stored_of(kind, hit) for hit in self._scan(kind, body, PAGE))

    def stored_by(self, kind: str, ids: Sequence[str]) -> list[Stored | None]:
        """Return documents by id, read in real time."""
        found: list[Stored | None] = []
        for begin in range(0, len(ids), PAGE):
            some = self._get([(kind, record_id) for record_id in ids[begin : begin + PAGE]])
            found += [stored_of(kind, document) if document is not None else None for document in some]
        return found

    @property
    def signed(self) -> bool:
        """Tell whether new log entries are stamped with their authors."""
        path = f"/{self._alias(LOG)}/_settings/index.final_pipeline?flat_settings=true"
        return signed_of(self._door.ask(Request(READING, "GET", path), until=self._deadline()))

    # -- requests ------------------------------------------------------------------------------------------------

    def _alias(self, kind: str) -> str:
        return f"{self._prefix}{kind}"

    def _get(self, keys: Sequence[Key]) -> list[Any]:
        body = {"docs": [{"_index": self._alias(kind), "_id": record_id} for kind, record_id in keys]}
        if not keys or not all(record_id and kind not in self._absent for kind, record_id in keys):
            return [None for _ in keys]  # nothing lies under no id
        request = Request(READING, "POST", "/_mget", body)
        answer = self._door.ask(request, until=self._deadline(), fault=searches.fault)
        return [document if document["found"] else None for document in answer["docs"]]

    def _refresh(self, kinds: Sequence[str]) -> None:
        there = [self._alias(kind) for kind in kinds if kind not in self._absent]
        if not there:
            return
        request = Request("refresh the search", "POST", f"/{','.join(there)}/_refresh")
        self._whole(self._door.ask(request, until=self._deadline()), request)

    def _searched(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        partial = "" if "pit" in body else "?allow_partial_search_results=false"
        request = Request("search", "POST", f"{path}/_search{partial}", body)
        return self._whole(self._door.ask(request, until=self._deadline()), request)

    def _whole(self, answer: dict[str, Any], request: Request) -> dict[str, Any]:
        if answer["_shards"]["failed"] or answer.get("timed_out"):
            raise UnreachableError(f"cannot {request.doing}: some shards failed; look at their health and try again.")
        return answer

    def _scan(self, kind: str, body: dict[str, Any], size: int) -> Iterator[Any]:
        """Yield all hits of a search, from one point in time, in no particular order."""
        if kind in self._absent:
            return
        path = f"/{self._alias(kind)}/_pit?keep_alive={POINT_IN_TIME}&allow_partial_search_results=false"
        point = self._door.ask(Request("search", "POST", path), until=self._deadline())["id"]
        sort = [{"_shard_doc": "asc"}]
        asked = {**body, "size": size, "sort": sort, "track_total_hits": False}
        try:
            while True:
                asked["pit"] = {"id": point, "keep_alive": POINT_IN_TIME}
                answer = self._searched("", asked)
                point = answer.get("pit_id", point)
                hits = answer["hits"]["hits"]
                yield from hits
                if len(hits) < size:
                    return
                asked["search_after"] = hits[-1]["sort"]
        finally:
            self._let_go(point)

    def _let_go(self, point: str) -> None:
        try:
            self._door.call(Request("search", "DELETE", "/_pit", {"id": point}), seconds=1.0)
        except DcaError:
            return  # it ends by itself


def place_of(record_id: str) -> Place:
    """Return where an id of the log says that the entry lies."""
    stream, _, seq = record_id.rpartition(":")
    if seq.isascii() and seq.isdecimal() and not seq.startswith("0") and len(seq) <= DIGITS_MAX:
        return Place(stream, int(seq), record_id)
    return Place(stream, 0, record_id)


def head_of(source: Mapping[str, Any], stream: str) -> Head:
    """Return the head that a document carries."""
    head = Head(*(source.get(name, nothing) for name, nothing in zip(HEAD_FIELDS, EMPTY_HEAD, strict=True)))
    if not is_head(head):
        raise DamagedError(f"the head of stream {shown(stream)} is damaged.")
    return head


def is_head(head: Head) -> bool:
    """Tell whether what a document carries can be a head."""
    return [*map(type, head)] == [int, str, int]


def stored_of(kind: str, document: Mapping[str, Any]) -> Stored:
    """Return what lies in a document of a kind of record."""
    source = dict(document["_source"])
    head = None
    if kind in HEAD_CARRIERS:
        carried = Head(*(source.pop(name, nothing) for name, nothing in zip(HEAD_FIELDS, EMPTY_HEAD, strict=True)))
        head = carried if is_head(carried) else None
    record, flaw = read_record(kind, document["_id"], source)
    return Stored(document["_id"], record, flaw, document.get("_version", 0), head)


def signed_of(settings: Mapping[str, Any]) -> bool:
    """Tell from the settings of the log's index whether its entries are stamped with their authors."""
    return any(index["settings"].get("index.final_pipeline", NO_PIPELINE) != NO_PIPELINE for index in settings.values())
