"""More records than Elasticsearch returns, groups or gets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.core.clock import Day
from dca.core.names import CHANGES_MAX
from dca.store import elastic_search as searches
from dca.store.memory import MemoryStore
from dca.store.port import Condition, Head, Query, Sum, Sums
from dca.store.schema import PAYMENT, TENANT
from tests.contract import deeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dca.store.elastic import ElasticStore
    from dca.store.port import Reader
    from tests.elastic.server import BookServer

ENTRIES = 12
EACH = CHANGES_MAX - 1
PAYMENTS = ENTRIES * EACH
"""More than a page of 10,000."""


@pytest.fixture(scope="module")
def books(lasting_server: BookServer) -> Iterator[tuple[ElasticStore, MemoryStore]]:
    """Return large books, and the same in memory."""
    lasting_server.empty()
    model = MemoryStore()
    with lasting_server.store(wait_seconds=120) as store:
        for deed in [deeds.add_tenant("acme"), *(deeds.pay_many("acme", EACH) for _ in range(ENTRIES))]:
            store.write(deed)
            model.write(deed)
        yield store, model


def same(books: tuple[ElasticStore, MemoryStore], question: Callable[[Reader], Any]) -> Any:
    """Ask both, see that they say the same, and return it."""
    store, model = books
    answer = store.read(question)
    assert answer == model.read(question)
    return answer


def test_more_than_a_page(books: tuple[ElasticStore, MemoryStore]) -> None:
    """From one point in time, in any order, from any mark."""
    found = same(books, lambda reader: reader.find(Query(PAYMENT, order=("-reference", "id"), limit=20_000)))
    assert len(found) == PAYMENTS
    assert len(same(books, lambda reader: reader.find(Query(PAYMENT, limit=10_000)))) == 10_000
    assert len(same(books, lambda reader: reader.find(Query(PAYMENT, limit=10_001)))) == 10_001
    after = Query(PAYMENT, order=("-amount", "id"), limit=20_000, after=(1, "acme:10:5"))
    assert len(same(books, lambda reader: reader.find(after))) > 10_000


def test_more_ids_than_are_read_at_once(books: tuple[ElasticStore, MemoryStore]) -> None:
    """In the order asked for."""
    ids = [f"acme:{2 + number % ENTRIES}:{number}" for number in range(2_500)]
    found = same(books, lambda reader: reader.get(PAYMENT, ids))
    assert sum(record is not None for record in found) == EACH


def test_more_values_than_a_condition_takes_at_once(books: tuple[ElasticStore, MemoryStore]) -> None:
    """They are asked for in parts."""
    wanted = tuple(f"{number}/{one}" for number in range(70) for one in range(EACH))
    query = Query(PAYMENT, (Condition("reference", "in", wanted),), limit=20_000)
    assert len(wanted) > searches.TERMS_MAX
    assert len(same(books, lambda reader: reader.find(query))) == PAYMENTS


def test_more_groups_than_a_page(books: tuple[ElasticStore, MemoryStore]) -> None:
    """All of them are added up."""
    rows = same(books, lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), ("reference",), ("amount", "seq"))))
    assert len(rows) == PAYMENTS > 2 * searches.GROUPS_MAX


def test_entries_are_read_from_any_place(books: tuple[ElasticStore, MemoryStore]) -> None:
    """Up to the last."""
    store, model = books
    for first, limit in ((1, 1000), (3, 2), (13, 5), (14, 5)):
        listed = [entry._replace(author="") for entry in store.entries("t:acme", first, limit)]
        assert listed == model.entries("t:acme", first, limit)


def test_more_tenants_than_a_page(lasting_server: BookServer) -> None:
    """All of them are there when all are asked for, whether or not their records were written."""
    lasting_server.empty()
    with lasting_server.store() as store:
        store.write(deeds.add_tenant("acme"))
        index, source = f"{lasting_server.prefix}tenant", lasting_server.source(TENANT, "acme")
        lines: list[Any] = []
        for number in range(10_050):
            lines += [{"index": {"_index": index, "_id": f"t{number}", "version": 1, "version_type": "external_gte"}}]
            lines += [{**source, "id": f"t{number}", "name": f"t{number}"}]
        assert not lasting_server.must("POST", "/_bulk", lines)["errors"]
        found = store.read(lambda reader: reader.find(Query(TENANT, limit=20_000)))
        assert len(found) == 10_051
    lasting_server.empty()


# -- in words ------------------------------------------------------------------------------------------------------

REQUEST = Sums(PAYMENT, "t:acme", (), ("reference",), ("amount",), "time")


def test_days_of_one_length_are_one_search() -> None:
    """Where the clocks are set forward or back a new one begins, as it does for the parts of days at the ends."""
    hour = 3_600_000
    lengths = [5 * hour, 24 * hour, 24 * hour, 23 * hour, 24 * hour, 24 * hour, 25 * hour, 24 * hour, hour]
    days, begin = [], 7
    for length in lengths:
        days.append(Day("", begin, begin + length))
        begin += length
    found = searches.runs(REQUEST._replace(days=tuple(days)))
    assert [(run.first, (run.end - run.begin) // run.length) for run in found] == [
        (0, 1),
        (1, 2),
        (3, 1),
        (4, 2),
        (6, 1),
        (7, 1),
        (8, 1),
    ]


@pytest.mark.parametrize(
    ("least", "most", "total", "count", "exact"),
    [
        (1.0, 5.0, 2.0**53 - 1, 2**52, True),
        (1.0, 5.0, 2.0**53, 2**52, False),
        (-5.0, 0.0, -(2.0**53) + 1, 2**52, True),
        (-5.0, 0.0, -(2.0**53), 2**52, False),
        (-5.0, 5.0, 0.0, 2**50, True),
        (-8e15, 8e15, 0.0, 2, False),
        (-1.0, 8e15, 8e15, 2, False),
    ],
)
def test_sums_that_a_double_may_have_rounded_are_told(
    least: float,
    most: float,
    total: float,
    count: int,
    exact: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    """They are added up anew, in whole numbers."""
    stats = {"count": count, "min": least, "max": most, "sum": total}
    bucket = {"key": {"by0": "x"}, "doc_count": count, "of0": stats}
    rows = searches.sum_rows(REQUEST, None, {"aggregations": {"rows": {"buckets": [bucket]}}})
    assert rows == ([Sum(0, ("x",), (int(total),), count)] if exact else None)


@pytest.mark.parametrize(
    ("least", "total", "exact"),
    [(0.0, 2.0**53 - 1, True), (0.0, 2.0**53, False), (-1.0, 5.0, False), (None, 0.0, True)],
)
def test_sums_without_limits_of_their_own_need_numbers_of_one_sign(
    least: float | None,
    total: float,
    exact: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    """Otherwise they are asked for again with the least and the largest number of each row."""
    bucket = {"key": {"by0": "x"}, "doc_count": 3, "of0": {"value": total}}
    rows = searches.sum_rows(
        REQUEST, None, {"aggregations": {"rows": {"buckets": [bucket]}, "least0": {"value": least}}}
    )
    assert rows == ([Sum(0, ("x",), (int(total),), 3)] if exact else None)


def test_records_after_the_head_are_left_out() -> None:
    """They are added from the log."""
    clauses = searches.sums_filter(REQUEST, Head(7, "", 0))
    assert {"range": {"seq": {"lte": 7}}} in clauses
    assert {"term": {"stream": "t:acme"}} in clauses
