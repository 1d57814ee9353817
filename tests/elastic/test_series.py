"""Many commits of one process, whose records are written while the next is decided, beside all that can go wrong."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from dca.bench import jobs
from dca.commands.job import AT_ONCE
from dca.core.errors import UnreachableError
from dca.core.model import booked_id
from dca.store.port import Query, Sums
from dca.store.schema import PAYMENT, TENANT
from tests.cli import checks
from tests.cli.shell import Shell
from tests.contract import deeds
from tests.elastic.proxy import FOR_EVER, Asked, Fault, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dca.store.elastic import ElasticStore
    from dca.store.port import Decision, Reader
    from tests.elastic.proxy import Proxy
    from tests.elastic.server import BookServer

LOG, BULK, GET = "log/_bulk", "/_bulk?require_alias=true&filter", "_mget"
ENTRIES, PAYMENTS = 6, 40


@pytest.fixture
def shaky(emptied_server: BookServer) -> Iterator[Proxy]:
    """Return a proxy without faults yet, in front of books with a tenant."""
    with emptied_server.store() as store:
        store.write(deeds.add_tenant("acme"))
    with proxy(emptied_server.server.host, emptied_server.server.port) as running:
        yield running


def pay_often(store: ElasticStore) -> None:
    """Commit entries of many payments, one after the other, as an import does."""
    with store.series():
        for _ in range(ENTRIES):
            store.write(deeds.pay_many("acme", PAYMENTS))


def check_books(server: BookServer, entries: int) -> None:
    """Hold figures, records, sums and head against what was committed."""
    with server.store() as store:
        assert len(store.entries("t:acme", 1, 100)) == entries + 1
        (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
        (row,) = store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))
        found = store.read(lambda reader: reader.find(Query(PAYMENT)))
    assert acme.balance == row.sums[0] == row.records == len(found) == entries * PAYMENTS


def turned_away(status: int, kind: str) -> Any:
    """Return the answer to a bulk request none of whose items was written."""
    error = {"type": kind, "reason": "try again"}
    return {"errors": True, "items": [{"create": {"status": status, "error": error}}] * PAYMENTS}


FAULTS = {
    "single items turned away": Fault(
        BULK, times=3, reaches=False, status=200, body=turned_away(429, "es_rejected_execution_exception"),
        when=lambda asked: asked.body.count(b"\n") == 2 * PAYMENTS,
    ),
    "whole bulks turned away": Fault(BULK, times=4, reaches=False, status=429),
    "a server that is not ready": Fault(BULK, times=4, reaches=False, status=503),
    "large bulks turned away always": Fault(
        BULK, times=FOR_EVER, reaches=False, status=429, when=lambda asked: asked.body.count(b"\n") > PAYMENTS
    ),
    "connections cut on the way there": Fault(BULK, times=3, reaches=False),
    "answers to bulks lost": Fault(BULK, times=3),
    "an answer to a create lost": Fault(LOG),
    "a create answered by a proxy": Fault(LOG, status=502, times=2),
    "creates turned away": Fault(LOG, reaches=False, status=429, times=2),
    "reads turned away": Fault(GET, reaches=False, status=429, times=2),
    "bulks sent twice": Fault(BULK, times=FOR_EVER, sent=2, truthful=True),
    "creates sent twice": Fault(LOG, times=FOR_EVER, sent=2, truthful=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_everything_counts_once(emptied_server: BookServer, shaky: Proxy, name: str) -> None:
    """Whatever is turned away, lost or sent twice, every payment is there once when the series ends."""
    fault = FAULTS[name]
    shaky.faults.append(fault)
    with emptied_server.store(shaky.url) as store:
        pay_often(store)
    assert shaky.faults[0].times < fault.times or fault.times == FOR_EVER, "the fault did not happen"
    source = emptied_server.source(TENANT, "acme")
    assert source["head_seq"] == ENTRIES + 1
    check_books(emptied_server, ENTRIES)


def test_bulks_get_smaller_and_grow_again(emptied_server: BookServer, shaky: Proxy) -> None:
    """What is sent at once is halved while the server turns it away, and doubled with every write that it takes."""
    shaky.faults.append(
        Fault(BULK, times=2, reaches=False, status=429, when=lambda asked: asked.body.count(b"\n") > PAYMENTS)
    )
    with emptied_server.store(shaky.url) as store:
        pay_often(store)
    sizes = [asked.body.count(b"\n") // 2 for asked in shaky.asked if BULK in asked.path]
    assert min(size for size in sizes if size > 1) <= PAYMENTS // 2
    assert sizes.count(PAYMENTS) >= 3


def test_records_that_cannot_be_written_end_the_series(emptied_server: BookServer, shaky: Proxy) -> None:
    """It says so, naming the entry; what was committed is finished by the next writer."""

    def holds_payments(asked: Asked) -> bool:
        return b'"create"' in asked.body

    shaky.faults.append(Fault(BULK, times=FOR_EVER, reaches=False, status=429, when=holds_payments))
    with emptied_server.store(shaky.url, wait_seconds=1) as store, pytest.raises(UnreachableError, match="entry 2 "):
        pay_often(store)
    assert emptied_server.source(TENANT, "acme")["head_seq"] == 1
    with emptied_server.store() as store:
        entries = len(store.entries("t:acme", 1, 100)) - 1
        assert 1 <= entries < ENTRIES
        store.write(deeds.pay_many("acme", PAYMENTS))
    assert emptied_server.source(TENANT, "acme")["head_seq"] == entries + 2
    check_books(emptied_server, entries + 1)


def test_a_head_never_passes_what_is_not_written(emptied_server: BookServer, shaky: Proxy) -> None:
    """Entries are written side by side; the head waits for the slowest of those before it."""
    slow = Fault(BULK, times=1, reaches=False, status=429, seconds=0.3, when=lambda asked: b":2:" in asked.body)
    shaky.faults.append(slow)
    with emptied_server.store(shaky.url) as store:
        pay_often(store)
    written: set[int] = set()
    for asked in shaky.asked:
        lines = [json.loads(line) for line in asked.body.splitlines()] if BULK in asked.path else []
        for source in lines[1::2]:
            if "head_seq" in source:
                assert set(range(2, source["head_seq"] + 1)) <= written, source
            elif "seq" in source:
                written.add(source["seq"])
    assert written == set(range(2, ENTRIES + 2))


def test_another_writer_in_the_middle(emptied_server: BookServer) -> None:
    """Its entry is read, and decided upon; nothing is lost of either."""
    with emptied_server.store() as store, emptied_server.store() as other:
        store.write(deeds.add_tenant("acme"))
        with store.series():
            for number in range(ENTRIES):
                store.write(deeds.pay_many("acme", PAYMENTS))
                if number % 2:
                    other.write(deeds.pay_many("acme", PAYMENTS))
        assert emptied_server.source(TENANT, "acme")["head_seq"] == ENTRIES + ENTRIES // 2 + 1
    check_books(emptied_server, ENTRIES + ENTRIES // 2)


def test_a_command_that_fails_in_the_middle(emptied_server: BookServer) -> None:
    """What was committed before it stays, and the next writer finishes it."""

    def breaks_off(store: ElasticStore) -> None:
        with store.series():
            store.write(deeds.pay_many("acme", PAYMENTS))
            raise ZeroDivisionError

    with emptied_server.store() as store:
        store.write(deeds.add_tenant("acme"))
        with pytest.raises(ZeroDivisionError):
            breaks_off(store)
        store.write(deeds.pay_many("acme", PAYMENTS))
    check_books(emptied_server, 2)


def lookups(asked: list[Asked], kind: str) -> list[list[str]]:
    """Return the ids of the records of a kind that each request for several documents named."""
    bodies = [json.loads(one.body)["docs"] for one in asked if GET in one.path]
    found = [[document["_id"] for document in docs if document["_index"].endswith(kind)] for docs in bodies]
    return [ids for ids in found if ids]


def test_one_lookup_for_each_commit(emptied_server: BookServer, shaky: Proxy) -> None:
    """The heads, the records and the place after the end are asked for in one request; no own entry is read back."""
    with emptied_server.store(shaky.url) as store:
        pay_often(store)
        asked = lookups(shaky.asked, "log")
    assert asked == [[f"t:acme:{seq}"] for seq in range(2, ENTRIES + 2)]
    assert ENTRIES <= shaky.count(GET) <= ENTRIES + 1


def test_one_lookup_for_each_portion_of_an_import(emptied_server: BookServer, shaky: Proxy, tmp_path: Path) -> None:
    """A portion of jobs is looked up by one request, also where the jobs before were known: with the counter-records."""
    secret = emptied_server.server.url.partition("://")[2].rpartition("@")[0]
    shell = Shell(tmp_path, f"{shaky.url.replace('//', f'//{secret}@')}/{emptied_server.prefix}")
    count = 2 * AT_ONCE + 1
    jobs.write(tmp_path / "log", count, "acme")
    words = ("job", "import", "--tenant=acme", "--create-missing", str(tmp_path / "log"))
    shaky.asked.clear()
    assert checks.success(shell.run(*words))["charged"] == count
    assert sorted(map(len, lookups(shaky.asked, "transaction"))) == [1, AT_ONCE, AT_ONCE]
    shaky.asked.clear()
    assert checks.success(shell.run(*words))["known"] == count
    assert sorted(map(len, lookups(shaky.asked, "transaction"))) == [2, *[AT_ONCE] * 4]


def test_records_that_are_read_early(emptied_server: BookServer) -> None:
    """What was looked for before others wrote it is found by the write that asks for it; heads go on meanwhile."""
    seen: list[bool] = []

    def look(reader: Reader, record_id: str) -> Decision:
        reader.need([(PAYMENT, record_id)])
        seen.append(reader.get(PAYMENT, [record_id])[0] is not None)
        return deeds.pay_many("acme", PAYMENTS)(reader)

    with emptied_server.store() as store, emptied_server.store() as other:
        store.write(deeds.add_tenant("acme"))
        with store.series():
            for seq in range(3, 3 * ENTRIES, 3):
                record_id = booked_id("t:acme", seq, 0)
                store.foresee("t:acme", partial(list, [(PAYMENT, record_id)]))
                store.foresee("t:acme", partial(list, [(PAYMENT, record_id), (PAYMENT, booked_id("t:acme", seq, 1))]))
                store.write(deeds.pay_many("acme", PAYMENTS))
                other.write(deeds.pay_many("acme", PAYMENTS))
                store.write(partial(look, record_id=record_id))
    assert seen == [True] * (ENTRIES - 1)
    assert emptied_server.source(TENANT, "acme")["head_seq"] == 3 * (ENTRIES - 1) + 1
    check_books(emptied_server, 3 * (ENTRIES - 1))
