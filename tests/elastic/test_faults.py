"""Requests and answers that get lost, overloaded servers, items that fail: every change counts exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import BusyError, DeniedError, OutcomeUnknownError, UnreachableError
from dca.store.port import Condition, LogQuery, Query, Sums
from dca.store.schema import PAYMENT, TENANT
from tests.contract import deeds
from tests.elastic.proxy import FOR_EVER, Asked, Fault, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dca.store.elastic import ElasticStore
    from tests.elastic.proxy import Proxy
    from tests.elastic.server import BookServer

LOG, BULK, GET, SEARCH, REFRESH = "log/_bulk", "/_bulk?require_alias=true&filter", "_mget", "_search", "_refresh"
CLAIM = "claim/_bulk"


@pytest.fixture
def shaky(emptied_server: BookServer) -> Iterator[Proxy]:
    """Return a proxy without faults yet, in front of books with a tenant."""
    with emptied_server.store() as store:
        store.write(deeds.add_tenant("acme"))
        store.write(deeds.pay("acme", 100))
    with proxy(emptied_server.server.host, emptied_server.server.port) as running:
        yield running


@pytest.fixture
def store(emptied_server: BookServer, shaky: Proxy) -> Iterator[ElasticStore]:
    """Return the books as seen through the proxy, by somebody who waits five seconds."""
    with emptied_server.store(shaky.url, wait_seconds=5) as store:
        yield store


@pytest.fixture
def straight(emptied_server: BookServer) -> Iterator[ElasticStore]:
    """Return the books as seen without the proxy."""
    with emptied_server.store() as store:
        yield store


def balance(store: ElasticStore) -> int:
    """Return what is there of the tenant's money, after checking that three ways of asking agree."""
    (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
    payments = store.read(lambda reader: reader.find(Query(PAYMENT)))
    (row,) = store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))
    assert acme.balance == sum(payment.amount for payment in payments) == row.sums[0]
    booked: int = acme.balance
    return booked


LOST = [
    Fault(LOG),
    Fault(LOG, reaches=False),
    Fault(LOG, times=2),
    Fault(LOG, status=503),
    Fault(LOG, status=503, reaches=False),
    Fault(LOG, status=502),
    Fault(LOG, status=504, times=3),
    Fault(LOG, status=429, reaches=False, times=3),
    Fault(LOG, seconds=4),
    Fault(BULK),
    Fault(BULK, times=3),
    Fault(BULK, reaches=False),
    Fault(BULK, status=503),
    Fault(BULK, status=429, reaches=False, times=2),
    Fault(GET),
    Fault(GET, status=503, times=3),
    Fault(GET, status=429, times=3),
    Fault(GET, status=200, body={"docs": [{"error": {"type": "no_shard_available_action_exception"}}]}, times=2),
]


def named(fault: Fault) -> str:
    """Return what a fault is, as the name of a test."""
    answer = f"answered {fault.status}" if fault.status else "not answered"
    return f"{fault.part_of_path} {'written' if fault.reaches else 'lost'} {answer} {fault.times} times"


@pytest.mark.parametrize("fault", LOST, ids=named)
def test_what_gets_lost_is_sent_again_and_counts_once(
    shaky: Proxy, store: ElasticStore, straight: ElasticStore, fault: Fault
) -> None:
    """Whether the server got it or not."""
    shaky.faults.append(fault)
    decision = store.write(deeds.pay("acme", 5))
    assert decision.answer.balance == 105
    assert shaky.faults[0].times == 0, "the fault did not happen"
    assert balance(straight) == 105
    assert len(straight.entries("t:acme", 1, 100)) == 3
    assert straight.write(deeds.pay("acme", 1)).answer.balance == 106


def test_a_claim_whose_answer_got_lost_is_the_own_one(
    shaky: Proxy, store: ElasticStore, straight: ElasticStore
) -> None:
    """The create that is sent again finds the claim, which names the own tenant."""
    shaky.faults.append(Fault(CLAIM, times=2))
    store.write(deeds.add_project("acme", "alpha"))
    assert straight.read(lambda reader: reader.route(["alpha"])) == ["acme"]
    assert shaky.count(CLAIM) == 3


def test_the_outcome_is_unknown_when_the_answer_never_comes(
    emptied_server: BookServer, shaky: Proxy, straight: ElasticStore
) -> None:
    """The error names what to ask for later; here it was written."""
    shaky.faults += [Fault(LOG), Fault(LOG, reaches=False, times=FOR_EVER)]
    deed = deeds.pay("acme", 5)
    with emptied_server.store(shaky.url, wait_seconds=2) as store, pytest.raises(OutcomeUnknownError) as error:
        store.write(deed)
    assert error.value.facts == {"stream": "t:acme", "seq": 3, "commit": deed.commit}
    assert f"--commit={deed.commit}" in error.value.sentence
    query = LogQuery((Condition("commit", "eq", deed.commit),))
    assert [entry.seq for entry in straight.read(lambda reader: reader.log(query))] == [3]
    assert balance(straight) == 105


def test_the_outcome_is_unknown_when_it_cannot_be_read_back(
    emptied_server: BookServer, shaky: Proxy, straight: ElasticStore
) -> None:
    """The second create says that the entry is there already, and nobody can say whose it is."""

    def asks_for_the_entry(asked: Asked) -> bool:
        return b"t:acme:3" in asked.body and any(LOG in before.path for before in shaky.asked)

    shaky.faults += [Fault(LOG), Fault(GET, reaches=False, times=FOR_EVER, when=asks_for_the_entry)]
    with emptied_server.store(shaky.url, wait_seconds=2) as store, pytest.raises(OutcomeUnknownError):
        store.write(deeds.pay("acme", 5))
    assert balance(straight) == 105


def test_an_overloaded_server_changes_nothing(emptied_server: BookServer, shaky: Proxy, straight: ElasticStore) -> None:
    """A server that turns a document away has not written it, so that the answer is not unknown."""
    shaky.faults.append(Fault(LOG, status=429, reaches=False, times=FOR_EVER))
    with emptied_server.store(shaky.url, wait_seconds=1) as store, pytest.raises(BusyError, match="overloaded"):
        store.write(deeds.pay("acme", 5))
    assert balance(straight) == 100


def test_a_blocked_index_changes_nothing(emptied_server: BookServer) -> None:
    """As when the disks are full: it is no question of permission, and waiting does not help."""
    with emptied_server.store() as store:
        store.write(deeds.add_tenant("acme"))
        emptied_server.must("PUT", f"/{emptied_server.index('log')}/_settings", {"index.blocks.write": True})
        try:
            with pytest.raises(UnreachableError, match=r"blocked it .* disks are full"):
                store.write(deeds.pay("acme", 5))
        finally:
            emptied_server.must("PUT", f"/{emptied_server.index('log')}/_settings", {"index.blocks.write": None})
        assert len(store.entries("t:acme", 1, 10)) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "security_exception"), (400, "document_parsing_exception"), (500, "io_exception"), (404, "no_index")],
)
def test_an_item_that_fails_stays_for_the_next_writer(
    shaky: Proxy, store: ElasticStore, straight: ElasticStore, status: int, kind: str
) -> None:
    """The bulk request is answered with 200; the head must not move past an entry whose records are not all there."""
    answer = {"errors": True, "items": [{"create": {"status": status, "error": {"type": kind}}}]}
    shaky.faults.append(Fault(BULK, status=200, body=answer, reaches=False))
    assert store.write(deeds.pay("acme", 5)).answer.balance == 105
    assert shaky.count(BULK) == 1
    assert balance(straight) == 105
    assert straight.write(deeds.pay("acme", 1)).answer.balance == 106
    assert balance(straight) == 106


def test_overloaded_items_are_sent_again_in_smaller_batches(
    shaky: Proxy, store: ElasticStore, straight: ElasticStore
) -> None:
    """Only those that were turned away, and half as many at once."""

    def whole(asked: Asked) -> bool:
        return BULK in asked.path and asked.body.count(b"\n") > 2 * 2

    shaky.faults.append(Fault(BULK, status=429, reaches=False, times=FOR_EVER, when=whole))
    store.write(deeds.add_project("acme", "alpha"))
    store.write(deeds.set_rate(3_600_000))
    store.write(deeds.reserve("acme", "alpha", 0, "main/1/1"))
    store.write(deeds.charge("acme", "alpha", "ann", 5, job="main/1/1"))
    batches = [asked.body.count(b"\n") // 2 for asked in shaky.asked if BULK in asked.path]
    assert batches[-5:] == [3, 1, 1, 1, 1]
    assert straight.read(lambda reader: reader.find(Query(PAYMENT)))[0].amount == 100
    assert straight.read(lambda reader: reader.get(TENANT, ["acme"]))[0].balance == 100 - 5_000


def test_a_document_that_never_fits_ends_in_time(shaky: Proxy, store: ElasticStore, straight: ElasticStore) -> None:
    """The command has succeeded, since its entry is written; it does not try for ever."""
    shaky.faults.append(Fault(BULK, status=413, reaches=False, times=FOR_EVER))
    assert store.write(deeds.pay("acme", 5)).answer.balance == 105
    assert shaky.count(BULK) == 1
    assert balance(straight) == 105


def test_a_command_that_may_not_write_the_log_is_denied(shaky: Proxy, store: ElasticStore) -> None:
    """And has changed nothing."""
    shaky.faults.append(
        Fault(LOG, status=403, body={"error": {"type": "security_exception", "reason": "no"}}, reaches=False)
    )
    with pytest.raises(DeniedError, match="may not write to the log; nothing was changed"):
        store.write(deeds.pay("acme", 5))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (SEARCH, {"timed_out": True, "_shards": {"failed": 0}, "hits": {"hits": []}}),
        (SEARCH, {"timed_out": False, "_shards": {"failed": 1}, "hits": {"hits": []}}),
        (REFRESH, {"_shards": {"failed": 1}}),
    ],
)
def test_part_of_an_answer_is_none(shaky: Proxy, store: ElasticStore, path: str, answer: Any) -> None:
    """A bill from some of the shards would be too small."""
    shaky.faults.append(Fault(path, status=200, body=answer))
    with pytest.raises(UnreachableError, match="some shards failed"):
        store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))


@pytest.mark.parametrize("path", [GET, SEARCH, REFRESH])
def test_readers_wait_no_longer_than_they_may(emptied_server: BookServer, shaky: Proxy, path: str) -> None:
    """And do not ask without a pause."""
    shaky.faults.append(Fault(path, status=503, times=FOR_EVER))
    with emptied_server.store(shaky.url, wait_seconds=1) as store, pytest.raises(UnreachableError, match="not ready"):
        store.read(lambda reader: reader.find(Query(PAYMENT, (Condition("tenant", "eq", "acme"),))))
    assert 3 < shaky.count(path) < 12
