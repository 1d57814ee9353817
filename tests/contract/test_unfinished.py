"""A writer that stops after each single operation: everybody sees all of its change or nothing, the next one ends it.

The store in memory says what "all" and "nothing" look like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DcaError, RefusedError
from dca.core.model import GLOBAL_STREAM
from dca.store import protocol
from dca.store.memory import MemoryStore
from dca.store.port import LogQuery, Query
from dca.store.protocol import Create, Write
from dca.store.schema import CLAIM, KINDS, LOG, PROJECT, SITE, TENANT
from tests.contract import deeds
from tests.contract.deeds import PERMITTED, Deed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dca.store.elastic import ElasticStore
    from dca.store.port import Store
    from dca.store.protocol import Operation
    from tests.elastic.server import BookServer

WANTED: dict[str, Callable[[], Deed]] = {
    "rate set": lambda: deeds.set_rate(7_200_000),
    "tenant add": lambda: deeds.add_tenant("Delta"),
    "tenant payment": lambda: deeds.pay("acme", 77, key="bank/1"),
    "project add": lambda: deeds.add_project("acme", "Delta", 5),
    "user add": lambda: deeds.add_user("acme", "alpha", "dora"),
    "transaction reservebudget": lambda: deeds.reserve("acme", "alpha", 60, "main/2/200"),
    "transaction charge": lambda: deeds.charge("acme", "alpha", "bob", 60, job="main/9/900"),
}


def stop_after(store: ElasticStore, deed: Deed, operations: int) -> list[Operation]:
    """Begin to write, and stop after so many operations; return those that were carried out."""
    steps = protocol.write(deed, PERMITTED, lambda: 0.0)
    done: list[Operation] = []
    until = store.deadline()
    try:
        operation = next(steps)
        while len(done) < operations:
            result = store.perform(operation, until)
            done.append(operation)
            operation = steps.send(result)
    except StopIteration:
        pass
    steps.close()
    return done


def stop_at_create(store: ElasticStore, deed: Deed) -> None:
    """Begin to write, and stop after the first document was created."""
    done: list[Operation] = []
    while not (done and isinstance(done[-1], Create)):
        done = stop_after(store, deed, len(done) + 1)


@pytest.fixture
def server(lasting_server: BookServer) -> BookServer:
    """Return the server that the books are on."""
    return lasting_server


@pytest.fixture
def store(server: BookServer) -> Iterator[ElasticStore]:
    """Return the books."""
    with server.store() as store:
        yield store


def prepare(server: BookServer, store: ElasticStore) -> None:
    """Begin the books anew, with a hold that is still open."""
    server.empty()
    for deed in [*deeds.begin(), deeds.reserve("acme", "alpha", 600, "main/9/900")]:
        store.write(deed)


def remembered(*further: Deed) -> MemoryStore:
    """Return the same books in memory, with further deeds done."""
    model = MemoryStore()
    for deed in [*deeds.begin(), deeds.reserve("acme", "alpha", 600, "main/9/900"), *further]:
        model.write(deed)
    return model


def seen(store: Store) -> Any:
    """Return the books as readers see them who ask all in one, or one thing each."""
    tenants = ["acme", "bolt", "delta"]
    return [
        store.read(deeds.everything),
        store.read(lambda reader: reader.get(TENANT, tenants)),
        store.read(lambda reader: reader.find(Query(TENANT))),
        store.read(lambda reader: reader.find(Query(PROJECT))),
        store.read(lambda reader: reader.get(PROJECT, ["alpha", "delta"])),
        store.read(lambda reader: reader.get(SITE, ["site"])),
        [len(store.entries(stream, 1, 100)) for stream in (GLOBAL_STREAM, *(f"t:{tenant}" for tenant in tenants))],
        [(entry.stream, entry.seq) for entry in store.read(lambda reader: reader.log(LogQuery()))],
    ]


@pytest.mark.parametrize("words", WANTED)
def test_a_writer_that_stops(server: BookServer, store: ElasticStore, words: str) -> None:
    """After each operation: readers, then the writer of another change to the same stream, then the bare documents.

    Only operations that write are worth stopping after, since the others leave nothing behind.
    """
    deed = WANTED[words]()
    further = deeds.set_rate(1) if deed.stream == GLOBAL_STREAM else deeds.pay(deed.stream.removeprefix("t:"), 3)
    nothing, whole = seen(remembered()), seen(remembered(deed))
    prepare(server, store)
    operations = stop_after(store, deed, 1000)
    stops = [number for number, one in enumerate(operations, 1) if isinstance(one, (Create, Write))]
    assert len(stops) == {"tenant add": 2, "project add": 4}.get(words, 3)
    for number in stops:
        prepare(server, store)
        done = stop_after(store, deed, number)
        committed = any(isinstance(one, Create) and one.kind == LOG for one in done)
        assert seen(store) == (whole if committed else nothing), done
        if committed or words != "tenant add":
            store.write(further)
            model = remembered(deed, further) if committed else remembered(further)
            assert seen(store) == seen(model), done
            check_projections(server, model)


def check_projections(server: BookServer, model: MemoryStore) -> None:
    """See that the documents themselves are complete, without any help from the log."""
    server.must("POST", f"/{server.prefix}*/_refresh")
    for kind in KINDS:
        found = server.must("POST", f"/{server.prefix}{kind}/_search", {"size": 1000})
        sources = {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}
        heads = {record_id: source.pop("head_seq") for record_id, source in sources.items() if "head_seq" in source}
        for source in sources.values():
            source.pop("head_hash", None), source.pop("head_time", None)
        wanted = {record_id: record._asdict() for record_id, record in model.records[kind].items()}
        assert kind == CLAIM or sources == wanted, kind
        if kind == TENANT:
            assert heads == {tenant: model.end(f"t:{tenant}").seq for tenant in wanted}
        if kind == SITE:
            assert list(heads.values()) == [model.end(GLOBAL_STREAM).seq]


def test_a_claim_that_was_left_is_idle(server: BookServer, store: ElasticStore) -> None:
    """Its own tenant uses it; another may have it after an entry of the owner's has given it away."""
    prepare(server, store)
    stop_at_create(store, deeds.add_project("acme", "omega"))
    assert seen(store) == seen(remembered())
    with pytest.raises(RefusedError):
        store.write(deeds.add_project("bolt", "omega"))
    store.write(deeds.release_name("acme", "omega", "bolt"))
    store.write(deeds.add_project("bolt", "omega"))
    assert store.read(lambda reader: reader.route(["omega"])) == ["bolt"]
    assert server.source(CLAIM, "omega") == {"id": "omega", "tenant": "bolt", "generation": 2}


def test_its_own_tenant_uses_a_claim_that_was_left(server: BookServer, store: ElasticStore) -> None:
    """As if nothing had happened."""
    prepare(server, store)
    stop_at_create(store, deeds.add_project("acme", "omega"))
    deed = deeds.add_project("acme", "omega")
    store.write(deed)
    assert seen(store) == seen(remembered(deed))


@pytest.mark.parametrize("operations", [3, 4, 5, 6, 7])
def test_a_name_given_away_by_a_writer_that_stops(server: BookServer, store: ElasticStore, operations: int) -> None:
    """Whether or not the claim was rewritten, the entry counts."""
    prepare(server, store)
    stop_at_create(store, deeds.add_project("acme", "omega"))
    done = stop_after(store, deeds.release_name("acme", "omega", "bolt"), operations)
    given = any(isinstance(one, Create) for one in done)
    winner, loser = ("bolt", "acme") if given else ("acme", "bolt")
    with pytest.raises(RefusedError):
        store.write(deeds.add_project(loser, "omega"))
    store.write(deeds.add_project(winner, "omega"))
    assert store.read(lambda reader: reader.route(["omega"])) == [winner]
    store.write(deeds.pay("acme", 1))
    assert store.read(lambda reader: reader.get(PROJECT, ["omega"]))[0].tenant == winner
    tenants = {one.id: one.balance for one in store.read(lambda reader: reader.find(Query(TENANT)))}
    assert tenants["acme"] == remembered(deeds.pay("acme", 1)).records[TENANT]["acme"].balance  # type: ignore[union-attr]


def test_two_that_stop_one_after_the_other(server: BookServer, store: ElasticStore) -> None:
    """The next writer ends both, in their order."""
    first, second, third = deeds.pay("acme", 1), deeds.add_user("acme", "beta", "eve"), deeds.pay("acme", 2)
    prepare(server, store)
    for deed in (first, second):
        stop_at_create(store, deed)
    assert seen(store) == seen(remembered(first, second))
    store.write(third)
    model = remembered(first, second, third)
    assert seen(store) == seen(model)
    check_projections(server, model)


def test_what_fails_after_the_commit_does_not_fail_the_command(server: BookServer, store: ElasticStore) -> None:
    """The entry is written, so the change stands; the records follow with the next writer."""
    prepare(server, store)
    deed = deeds.pay("acme", 77)

    def failing(operation: Operation, until: float) -> Any:
        if isinstance(operation, Write):
            raise DcaError("the network is gone.")
        return store.perform(operation, until)

    decision = store.drive(protocol.write(deed, PERMITTED, lambda: 0.0), failing)
    assert decision.draft is not None
    assert seen(store) == seen(remembered(deed))
    further = deeds.pay("acme", 1)
    store.write(further)
    check_projections(server, remembered(deed, further))
