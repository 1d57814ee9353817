"""Searches in Elasticsearch's words, and its answers in ours; nothing here speaks to a server."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from dca.core.errors import DamagedError
from dca.store import entry as entries
from dca.store.elastic_door import GOOD, MISSING, NO_INDEX, NOT_PERMITTED, NOT_READY, Answer, Lines
from dca.store.indices import HEAD_CARRIERS
from dca.store.port import EMPTY_HEAD, Condition, Entry, Head, LogQuery, Query, Sum, Sums
from dca.store.protocol import Found, Item, Key
from dca.store.schema import LOG, from_dict

TERMS_MAX = 65_536
"""Values that one condition may list."""
GROUPS_MAX = 5_000
"""Groups of a summing search on one page."""
ROWS_MAX = 50_000
"""Rows on one page: groups times days; a server counts no more than 65,536 unless it is told to."""
EXACT = 2**53
"""Elasticsearch adds in doubles, which are exact below this."""

LASTING = frozenset((NO_INDEX, NOT_PERMITTED))
"""What is wrong with a document and stays so."""

_RANGES = {"lt": "lt", "le": "lte", "gt": "gt", "ge": "gte"}
_LOG_SORT: list[dict[str, Any]] = [
    {"time": {"order": "desc", "missing": 0}},
    {"stream": {"order": "asc", "missing": ""}},
    {"seq": {"order": "desc", "missing": 0}},
]


def clause(condition: Condition) -> dict[str, Any]:
    """Return a condition as a filter."""
    field, op, value = condition
    if op == "eq":
        return {"term": {field: value}}
    if op == "in":
        values = list(value)
        parts = [{"terms": {field: values[n : n + TERMS_MAX]}} for n in range(0, len(values), TERMS_MAX)]
        return {"bool": {"should": parts}} if parts else {"match_none": {}}
    return {"range": {field: {_RANGES[op]: value}}}


def _all_of(clauses: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"filter": list(clauses)}}


def query_body(query: Query) -> dict[str, Any]:
    """Return the body of a search for records."""
    body: dict[str, Any] = {
        "query": _all_of(map(clause, query.where)),
        "sort": [{name.lstrip("-"): "desc" if name.startswith("-") else "asc"} for name in query.order],
        "version": True,
    }
    if query.after is not None:
        body["search_after"] = list(query.after)
    return body


def log_body(query: LogQuery) -> dict[str, Any]:
    """Return the body of a search for log entries, newest first, without what they change."""
    body: dict[str, Any] = {
        "query": _all_of(map(clause, query.where)),
        "sort": _LOG_SORT,
        "_source": {"excludes": ["changes"]},
    }
    if query.after is not None:
        body["search_after"] = list(query.after)
    return body


def get_body(keys: Iterable[Key], prefix: str) -> bytes:
    """Return the body of a request for documents by id; written out here in half the time of a JSON encoder."""
    docs = ",".join(f'{{"_index":"{prefix}{kind}","_id":{encode_basestring(record_id)}}}' for kind, record_id in keys)
    return f'{{"docs":[{docs}]}}'.encode("utf-8", "surrogatepass")


def fault(answer: Answer) -> Answer:
    """Return what is wrong with one of many documents that were read together, if anything is."""
    for document in answer.body["docs"] if answer.status in GOOD else ():
        if "error" in document:
            wrong = Answer(NOT_READY, document, answer.host)
            return wrong if wrong.kind not in LASTING else wrong._replace(status=MISSING)
    return answer


def found(kind: str, document: Mapping[str, Any]) -> Found:
    """Read a document as it was stored: in the log the raw entry, else the record and the head that it carries."""
    source: dict[str, Any] = document["_source"]
    version = document.get("_version", 0)
    if kind == LOG:
        return Found(source, version)
    head = EMPTY_HEAD
    if kind in HEAD_CARRIERS:
        head = Head(source.pop("head_seq", 0), source.pop("head_hash", ""), source.pop("head_time", 0))
        if [*map(type, head)] != [int, str, int]:
            raise DamagedError(f"the head of {kind} {document['_id']} is damaged.")
    record = from_dict(kind, source)
    if record.id != document["_id"]:
        raise DamagedError(f"the {kind} {document['_id']} holds the record of another, {record.id}.")
    return Found(record, version, head)


def source_of(record: Any, head: Head | None) -> dict[str, Any]:
    """Return what is stored of a record, with the head that it carries."""
    source: dict[str, Any] = record._asdict()
    if head is not None:
        source |= {"head_seq": head.seq, "head_hash": head.hash, "head_time": head.time}
    return source


def bulk_lines(item: Item, index: str) -> bytes:
    """Return the two lines of a bulk request that write a document: the record, with the head if it carries one."""
    target = f'"_id":{encode_basestring(item.id)},"_index":"{index}"'
    if item.version:
        action = f'{{"index":{{{target},"version":{item.version},"version_type":"external_gte"}}}}'
    else:
        action = f'{{"create":{{{target}}}}}'
    source = entries.record_text(item.kind, item.record)
    if item.head is not None:
        head = {"head_seq": item.head.seq, "head_hash": item.head.hash, "head_time": item.head.time}
        source = f"{source[:-1]},{entries.canonical(head)[1:]}"
    return f"{action}\n{source}\n".encode("utf-8", "surrogatepass")


def creation(record_id: str, document: str) -> Lines:
    """Return the bulk request that creates one document, if there is none.

    A request for that document alone needs a right which no role can be given without also letting it change mappings.
    """
    text = f"{entries.canonical({'create': {'_id': record_id}})}\n{document}\n"
    return Lines(text.encode("utf-8", "surrogatepass"))


def created(answer: Answer) -> Answer:
    """Return what a bulk request of one document answers, as if that had been asked for alone."""
    items = answer.body.get("items") if answer.status in GOOD and isinstance(answer.body, dict) else None
    if not items:
        return answer
    (result,) = items[0].values()
    return answer._replace(status=result["status"], body=result)


def readable(document: Mapping[str, Any], record_id: str, place: Sequence[Any] = (0, "", 0)) -> Entry:
    """Read an entry as it lies in the log; one that is none is shown as what it is, with its digest for a hash.

    place is time, stream and sequence under which it was found, if it names none of its own.
    """
    try:
        return entries.from_document({"changes": [], **document})
    except DamagedError as error:
        time, stream, seq = place
        return Entry(
            stream=str(stream),
            seq=int(seq),
            time=int(time),
            actor="",
            category="log",
            action="unreadable",
            details=f"document {record_id}: {error.sentence}",
            tenant="",
            projects=(),
            commit="",
            previous="",
            hash=entries.document_digest(dict(document)),
            schema=0,
            changes=(),
        )


class Run(NamedTuple):
    """Days of equal length that follow each other without a gap, which one summing search can tell apart."""

    first: int
    """Number of the first day."""
    begin: int
    end: int
    length: int


def runs(request: Sums) -> list[Run]:
    """Cut the days of a summing search into runs; days are as the request says, in whatever zone they were made."""
    found_runs: list[Run] = []
    for number, day in enumerate(request.days):
        length = day.end - day.begin
        last = found_runs[-1] if found_runs else None
        if last is not None and last.end == day.begin and last.length == length:
            found_runs[-1] = last._replace(end=day.end)
        elif length > 0:
            found_runs.append(Run(number, day.begin, day.end, length))
    return found_runs


def sums_filter(request: Sums, head: Head) -> list[dict[str, Any]]:
    """Return the filters of a summing search: no record of an entry after the head, which is added from the log."""
    return [
        {"term": {"stream": request.stream}},
        {"range": {"seq": {"lte": head.seq}}},
        *map(clause, request.where),
    ]


def sums_body(
    request: Sums, head: Head, run: Run | None, after: Mapping[str, Any] | None, *, careful: bool = False
) -> dict[str, Any]:
    """Return the body of a summing search over one run of days, or over all time.

    Groups hold days, not days groups: so each page is worked out in one go over the records, and ten thousands of rows
    come in half the time. Carefully, each row tells its least and largest number, which takes longer again.
    """
    filters = sums_filter(request, head)
    metric = "stats" if careful else "sum"
    rows: dict[str, Any] = {
        "aggs": {f"of{number}": {metric: {"field": name}} for number, name in enumerate(request.fields)}
    }
    if run is not None:
        filters.append({"range": {request.day_field: {"gte": run.begin, "lt": run.end}}})
        days = {
            "field": request.day_field,
            "fixed_interval": f"{run.length}ms",
            "offset": f"{run.begin % run.length}ms",
        }
        rows = {"aggs": {"days": {"date_histogram": {**days, "min_doc_count": 1}, **rows}}}
    if request.group:
        sources = [{f"by{number}": {"terms": {"field": name}}} for number, name in enumerate(request.group)]
        rows["composite"] = {"size": groups_at_once(run), "sources": sources, **({"after": after} if after else {})}
    else:
        rows["filter"] = {"match_all": {}}
    least = {f"least{number}": {"min": {"field": name}} for number, name in enumerate(request.fields)}
    return {
        "size": 0,
        "query": _all_of(filters),
        "track_total_hits": False,
        "aggs": {"rows": rows, **({} if careful else least)},
    }


def groups_at_once(run: Run | None) -> int:
    """Return how many groups are asked for on one page."""
    days = (run.end - run.begin) // run.length if run is not None else 1
    return max(1, min(GROUPS_MAX, ROWS_MAX // days))


def sum_rows(request: Sums, run: Run | None, answer: Mapping[str, Any]) -> list[Sum] | None:
    """Read the rows of a summing search; None where a sum may have been too large for a double to be exact."""
    found = answer["aggregations"]
    listed = []
    for group in found["rows"].get("buckets", [found["rows"]]):
        key = group.get("key", {})
        values = tuple(key[f"by{number}"] for number in range(len(request.group)))
        for row in group["days"]["buckets"] if run is not None else [group]:
            if not row["doc_count"]:
                continue
            metrics = [row[f"of{number}"] for number in range(len(request.fields))]
            if not all(_exact(one, found.get(f"least{number}")) for number, one in enumerate(metrics)):
                return None
            day = run.first + (row["key"] - run.begin) // run.length if run is not None else 0
            sums = tuple(int(one["sum"] if "sum" in one else one["value"]) for one in metrics)
            listed.append(Sum(day, values, sums, row["doc_count"]))
    return listed


def _exact(metric: Mapping[str, Any], least_of_all: Mapping[str, Any] | None) -> bool:
    """Tell whether no sum on the way could have passed what a double keeps exactly.

    Numbers of one sign only ever move away from zero, so that their sum was never larger on the way than in the end.
    """
    if "sum" not in metric:
        assert least_of_all is not None, metric
        return least_of_all["value"] is None or bool(least_of_all["value"] >= 0 and metric["value"] < EXACT)
    least, most = metric["min"], metric["max"]
    if least is None:
        return True
    if least >= 0 or most <= 0:
        return bool(abs(metric["sum"]) < EXACT)
    return bool(metric["count"] * max(-least, most) < EXACT)


def first_entries(stream_ids: Iterable[str]) -> Iterator[str]:
    """Return the streams whose first entries have these ids."""
    for record_id in stream_ids:
        stream, _, seq = record_id.rpartition(":")
        if stream and seq == "1":
            yield stream
