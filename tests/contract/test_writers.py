"""Several writers at once: every acknowledged change counts exactly once, on every store."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dca.core.errors import RefusedError
from dca.store.elastic import Address, ElasticStore
from dca.store.memory import MemoryStore
from dca.store.port import EMPTY_HEAD, Decision, Query, Reader
from dca.store.schema import PAYMENT, PROJECT, TENANT
from dca.store.sqlite import SqliteStore
from tests.contract import deeds
from tests.contract.deeds import PERMITTED

if TYPE_CHECKING:
    from dca.store.port import Store
    from tests.elastic.server import BookServer

WRITERS = 4
PAYMENTS = 6
WAIT_SECONDS = 120.0

Place = MemoryStore | Path | Address
"""Where the books are, in a form that can be sent to another process."""


def opened(place: Place) -> Store:
    """Open the books at a place."""
    if isinstance(place, MemoryStore):
        return place
    if isinstance(place, Path):
        return SqliteStore(place, wait_seconds=WAIT_SECONDS)
    return ElasticStore(place, PERMITTED, wait_seconds=WAIT_SECONDS)


def executor(place: Place) -> Executor:
    """Return what runs writers at once: processes where the books are a file."""
    if isinstance(place, Path):
        return ProcessPoolExecutor(WRITERS, multiprocessing.get_context("spawn"))
    return ThreadPoolExecutor(WRITERS)


@pytest.fixture(params=["memory", "sqlite", "elasticsearch"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place with empty books, one kind of store after the other."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return tmp_path / "books.db"
    server: BookServer = request.getfixturevalue("emptied_server")
    return server.address


def pay_often(place: Place, tenant: str, number: int) -> list[int]:
    """Pay several times; return the sequences at which it was booked."""
    store = opened(place)
    booked = []
    for step in range(PAYMENTS):
        decision = store.write(replace(deeds.pay(tenant, 10**step), commit=f"{number}/{step}"))
        assert decision.draft is not None
        booked.append(decision.draft.changes[1].record.seq)  # type: ignore[union-attr]
    if not isinstance(place, MemoryStore):
        store.close()
    return booked


def test_writers_to_one_tenant_do_not_lose_each_others_changes(place: Place) -> None:
    """Each entry is one of theirs, in one unbroken chain."""
    store = opened(place)
    store.write(deeds.add_tenant("acme"))
    with executor(place) as writers:
        booked = list(writers.map(pay_often, [place] * WRITERS, ["acme"] * WRITERS, range(WRITERS)))
    assert sorted(seq for seqs in booked for seq in seqs) == list(range(2, 2 + WRITERS * PAYMENTS))
    assert all(seqs == sorted(seqs) for seqs in booked)
    (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
    assert acme.balance == WRITERS * sum(10**step for step in range(PAYMENTS))
    assert len(store.read(lambda reader: reader.find(Query(PAYMENT)))) == WRITERS * PAYMENTS
    entries = store.entries("t:acme", 1, 1000)
    previous = [EMPTY_HEAD.hash, *(entry.hash for entry in entries)]
    assert [entry.previous for entry in entries] == previous[:-1]
    commits = [entry.commit for entry in entries[1:]]
    assert sorted(commits) == sorted(f"{number}/{step}" for number in range(WRITERS) for step in range(PAYMENTS))


def test_writers_to_several_tenants_get_along(place: Place) -> None:
    """Each tenant has a stream of its own."""
    store = opened(place)
    tenants = [f"tenant{number}" for number in range(WRITERS)]
    for tenant in tenants:
        store.write(deeds.add_tenant(tenant))
    with executor(place) as writers:
        booked = list(writers.map(pay_often, [place] * WRITERS, tenants, range(WRITERS)))
    assert booked == [list(range(2, 2 + PAYMENTS))] * WRITERS
    balances = {tenant.balance for tenant in store.read(lambda reader: reader.find(Query(TENANT)))}
    assert balances == {sum(10**step for step in range(PAYMENTS))}


def add_project(place: Place, tenant: str) -> str:
    """Add the same project for a tenant; return what came of it."""
    store = opened(place)
    try:
        store.write(deeds.add_project(tenant, "alpha"))
    except RefusedError as error:
        return error.sentence
    return tenant


def test_a_project_name_goes_to_one_of_those_who_want_it(place: Place) -> None:
    """The others are told."""
    store = opened(place)
    tenants = [f"tenant{number}" for number in range(WRITERS)]
    for tenant in tenants:
        store.write(deeds.add_tenant(tenant))
    with executor(place) as writers:
        answers = list(writers.map(add_project, [place] * WRITERS, tenants))
    (winner,) = [answer for answer in answers if answer in tenants]
    assert sorted(answers) == sorted([winner] + ["project alpha exists already."] * (WRITERS - 1))
    (project,) = store.read(lambda reader: reader.find(Query(PROJECT)))
    assert project.tenant == winner
    assert store.read(lambda reader: reader.route(["alpha"])) == [winner]


def test_readers_never_see_half_a_change(place: Place) -> None:
    """While two writers charge the same tenant."""
    store = opened(place)
    for deed in deeds.begin():
        store.write(deed)

    def charge_often(tenant: str, project: str) -> None:
        mine = opened(place)
        for _ in range(PAYMENTS):
            mine.write(deeds.charge(tenant, project, "ann", 36))

    with ThreadPoolExecutor(2) as writers:
        running = [writers.submit(charge_often, "acme", "alpha"), writers.submit(charge_often, "acme", "beta")]
        while not all(one.done() for one in running):
            _check_consistent(opened(place))
        for one in running:
            one.result()
    _check_consistent(store)


def _check_consistent(store: Store) -> None:
    """See that the parts of the books that one reader sees fit together."""
    seen = store.read(deeds.everything)
    payments, costs = seen["sums"][:2]
    acme, projects = seen["tenants"][0], seen["projects"]
    spent = sum(one.tenant_balance for one in seen["transaction"] if one.tenant == "acme")
    assert seen["tenants got"][0] == acme
    assert seen["projects got"][:3] == projects
    assert sum(row.sums[0] for row in costs) == sum(one.cost for one in seen["transaction"] if one.tenant == "acme")
    assert acme.balance == sum(row.sums[0] for row in payments) - spent
    assert acme.allocated_balance == sum(max(0, one.balance) for one in projects if one.tenant == "acme")
    assert len([one for one in seen["transaction"] if one.tenant == "acme"]) == seen["ends"][0] - 8
    store.close()


def test_a_decision_is_made_again_when_others_were_first(place: Place) -> None:
    """The decision sees, in the end, the books just before its own entry."""
    store = opened(place)
    store.write(deeds.add_tenant("acme"))
    other = opened(place)
    seen = []
    deed = deeds.pay("acme", 5)

    def slow(reader: Reader) -> Decision:
        decision = deed(reader)
        assert decision.draft is not None
        seen.append(reader.get(TENANT, ["acme"])[0].balance)
        if not isinstance(place, Path) and seen.count(0) == 1 and len(seen) == 1:
            other.write(deeds.pay("acme", 100))
            decision = deed(reader) if isinstance(place, MemoryStore) else decision
        return decision

    answer = store.write(slow).answer
    (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
    assert answer == acme
    assert acme.balance == (5 if isinstance(place, Path) else 105)
    assert len(store.entries("t:acme", 1, 100)) == (2 if isinstance(place, Path) else 3)
