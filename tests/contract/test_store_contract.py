"""What every store promises, tried on each of them; the store in memory is the one the others must equal."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.clock import DAY, HOUR, Period, days
from dca.core.errors import RefusedError
from dca.core.model import DEFAULT_SITE, GLOBAL_STREAM, SITE_ID, Claim, Tenant
from dca.core.names import CHANGES_MAX
from dca.store.entry import canonical, fields_of
from dca.store.memory import MemoryStore
from dca.store.port import EMPTY_HEAD, Condition, Decision, Entry, Head, LogQuery, Query, Reader, Sums
from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    HOLD,
    KEY,
    LOGIN,
    PAYMENT,
    PROJECT,
    RATE,
    ROLE,
    SITE,
    TENANT,
    TRANSACTION,
)
from tests.contract import deeds
from tests.contract.deeds import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from dca.store.port import Store

LARGE = 8_000_000_000_000_000
"""The largest amount, micro-dollars; three of them are more than a double can tell apart from their neighbours."""


def begun(store: Store) -> MemoryStore:
    """Carry out the same deeds on a store and in memory; return the latter."""
    model = MemoryStore()
    for deed in [*deeds.begin(), *deeds.powers()]:
        store.write(deed)
        model.write(deed)
    return model


def found(store: Store, query: Query) -> list[Any]:
    """Return what a search finds."""
    return store.read(lambda reader: reader.find(query))


def ids(store: Store, kind: str, *where: tuple[str, str, Any], **how: Any) -> list[str]:
    """Return the ids that a search finds."""
    return [record.id for record in found(store, Query(kind, tuple(Condition(*one) for one in where), **how))]


def test_new_books_are_empty(store: Store) -> None:
    """Every way of asking has an answer."""

    def look(reader: Reader) -> list[Any]:
        return [
            reader.get(TENANT, ["acme"]),
            reader.get(SITE, [SITE_ID]),
            reader.find(Query(TENANT)),
            reader.find(Query(RATE)),
            reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))),
            reader.log(LogQuery()),
            reader.route(["alpha"]),
            reader.end("t:acme"),
        ]

    assert store.read(look) == [[None], [DEFAULT_SITE], [], [], [], [], [""], EMPTY_HEAD]
    assert store.entries("t:acme", 1, 10) == []


def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    """As often as it is asked for."""
    store.write(deeds.add_tenant("Acme", credit=7))
    acme = Tenant("acme", "Acme", 0, 7, 0, 0, 0, "enabled", NOW)
    assert store.read(lambda reader: reader.get(TENANT, ["bolt", "acme", "acme"])) == [None, acme, acme]


def test_all_stores_see_the_same_books(store: Store) -> None:
    """In one view, asked in every way."""
    model = begun(store)
    assert store.read(deeds.everything) == model.read(deeds.everything)


def test_get_keeps_the_order_asked_for_and_knows_nothing_of_other_ids(store: Store) -> None:
    """Whatever an id looks like."""
    begun(store)
    wanted = ["beta", "nothing", "alpha", "g", "a:b/c?d#e", "x" * 300]
    records = store.read(lambda reader: reader.get(PROJECT, wanted))
    assert [record and record.id for record in records] == ["beta", None, "alpha", None, None, None]


def test_need_and_route(store: Store) -> None:
    """Asking ahead changes no answer."""
    begun(store)

    def look(reader: Reader) -> list[Any]:
        reader.need([(PROJECT, "alpha"), (TENANT, "acme"), (SITE, SITE_ID), (ASSOCIATION, "acme:alpha:bob")])
        (user,) = reader.get(ASSOCIATION, ["acme:alpha:bob"])
        return [user.name, reader.route(["gamma", "nothing", "alpha"])]

    assert store.read(look) == ["bob", ["bolt", "", "acme"]]


def test_a_claimed_name_leads_to_its_tenant(store: Store) -> None:
    """Before there is a project of that name."""
    store.write(deeds.add_tenant("acme"))
    store.write(deeds.claim_name("acme", "omega"))
    assert store.read(lambda reader: reader.route(["omega"])) == ["acme"]
    assert store.read(lambda reader: reader.get(CLAIM, ["omega"])) == [Claim("omega", "acme", 1)]


def test_search_by_each_comparison(store: Store) -> None:
    """On numbers, texts and instants."""
    begun(store)
    assert ids(store, PROJECT, ("tenant", "eq", "acme")) == ["alpha", "beta"]
    assert ids(store, PROJECT, ("id", "in", ("gamma", "alpha", "none"))) == ["alpha", "gamma"]
    assert ids(store, PROJECT, ("id", "in", ())) == []
    assert ids(store, PROJECT, ("id", "gt", "alpha"), ("id", "le", "beta")) == ["beta"]
    assert ids(store, PROJECT, ("id", "ge", "alpha"), ("id", "lt", "beta")) == ["alpha"]
    ends = [("end", "ge", NOW - 3 * HOUR), ("end", "lt", NOW - HOUR)]
    assert [record.end for record in found(store, Query(TRANSACTION, tuple(Condition(*one) for one in ends)))] == [
        NOW - 3 * HOUR,
        NOW - 2 * HOUR,
    ]
    assert ids(store, TRANSACTION, ("job", "eq", "main/1/100"), ("user", "eq", "ann")) == ["acme:9:0"]
    assert ids(store, PAYMENT, ("reference", "eq", "Überweisung 上海 ✓")) == ["acme:2:0"]
    assert ids(store, HOLD, ("state", "eq", "open")) == []


def test_search_in_an_order_and_page_by_page(store: Store) -> None:
    """The last record of a page is the mark for the next."""
    begun(store)
    order = ("-tenant", "user", "id")
    whole = found(store, Query(TRANSACTION, order=order))
    assert [(record.tenant, record.user) for record in whole] == [
        ("bolt", "carl"),
        ("acme", "ann"),
        ("acme", "bob"),
        ("acme", "bob"),
    ]
    after: tuple[Any, ...] | None = None
    paged: list[Any] = []
    while page := found(store, Query(TRANSACTION, order=order, limit=1, after=after)):
        paged += page
        after = tuple(getattr(page[-1], name.lstrip("-")) for name in order)
    assert paged == whole


def test_a_search_sees_what_was_acknowledged_before_it(store: Store) -> None:
    """At once, also where the store's own searches lag behind."""
    store.write(deeds.add_tenant("acme"))
    for number in range(1, 6):
        store.write(deeds.pay("acme", number))
        amounts = [payment.amount for payment in found(store, Query(PAYMENT, order=("amount", "id")))]
        assert amounts == list(range(1, number + 1))
        (acme,) = found(store, Query(TENANT, (Condition("balance", "gt", 0),)))
        assert acme.balance == sum(amounts)
        sums = store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))
        assert [(row.sums, row.records) for row in sums] == [((acme.balance,), number)]


def test_sums_by_group_and_day(store: Store) -> None:
    """By texts, numbers and instants, or not at all."""
    model = begun(store)
    period = Period(NOW - 3 * DAY + 12_345, NOW + DAY)
    requests = [
        Sums(TRANSACTION, "t:acme", (), ("project", "user"), ("cost", "billed_seconds", "late")),
        Sums(TRANSACTION, "t:acme", (), ("job",), ("cost",)),
        Sums(TRANSACTION, "t:acme", (), ("late", "start"), ("cost",)),
        Sums(TRANSACTION, "t:acme", (Condition("user", "eq", "bob"),), (), ("cost",)),
        Sums(TRANSACTION, "t:acme", (Condition("user", "eq", "nobody"),), (), ("cost",)),
        Sums(TRANSACTION, "t:nothing", (), (), ("cost",)),
        *(
            Sums(TRANSACTION, "t:acme", (), group, ("cost",), "end", tuple(days(period, zone)))
            for zone in ("UTC", "Asia/Kathmandu", "America/St_Johns")
            for group in ((), ("user",))
        ),
    ]
    for request in requests:
        assert store.read(lambda reader, asked=request: reader.sums(asked)) == model.read(  # type: ignore[misc]
            lambda reader, asked=request: reader.sums(asked)  # type: ignore[misc]
        )


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Africa/Casablanca", "Pacific/Apia"])
def test_sums_over_days_of_every_length(store: Store, zone: str) -> None:
    """Days of 23, 24 and 25 hours, a day that never was, and a period that begins and ends within a day."""
    model = MemoryStore()
    period = Period(1_293_000_000_123, 1_293_000_000_123 + 500 * DAY)
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    calendar = tuple(days(period, zone))
    moments = [moment for day in chance.sample(calendar, 12) for moment in (day.begin, day.end - 1)]
    moments += [chance.randrange(period.begin - DAY, period.end + DAY) for _ in range(6)]
    books = [deeds.set_rate(1), deeds.add_tenant("acme"), deeds.add_project("acme", "alpha")]
    books += [deeds.charge("acme", "alpha", "ann", 3_600 * n, end=moment) for n, moment in enumerate(moments)]
    for deed in books:
        store.write(deed)
        model.write(deed)
    request = Sums(TRANSACTION, "t:acme", (), ("user",), ("cost", "billed_seconds"), "end", calendar)
    assert store.read(lambda reader: reader.sums(request)) == model.read(lambda reader: reader.sums(request))


def test_amounts_and_sums_are_exact_however_large(store: Store) -> None:
    """Beyond what a double tells apart."""
    store.write(deeds.set_rate(LARGE))
    store.write(deeds.add_tenant("acme"))
    store.write(deeds.pay("acme", 1))
    for project in ("alpha", "beta", "gamma"):
        store.write(deeds.add_project("acme", project))
        store.write(deeds.pay("acme", LARGE - 1))
        store.write(deeds.charge("acme", project, "ann", 3_600))
    (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
    assert acme.balance == -2
    amounts = sorted(payment.amount for payment in found(store, Query(PAYMENT)))
    assert amounts == [1, LARGE - 1, LARGE - 1, LARGE - 1]
    assert ids(store, PAYMENT, ("amount", "ge", LARGE - 1)) == ids(store, PAYMENT, ("amount", "eq", LARGE - 1))
    assert ids(store, PAYMENT, ("amount", "gt", LARGE - 1)) == []
    (paid,) = store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))
    assert paid.sums == (3 * LARGE - 2,)
    (cost,) = store.read(lambda reader: reader.sums(Sums(TRANSACTION, "t:acme", (), ("user",), ("cost",))))
    assert cost == (0, ("ann",), (3 * LARGE,), 3)


def test_random_searches_find_what_memory_finds(store: Store) -> None:
    """In any order, from any mark."""
    model = begun(store)
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    for _ in range(60):
        query = _any_query(chance, model)
        assert found(store, query) == found(model, query), query


def _any_query(chance: random.Random, model: MemoryStore) -> Query:
    kind = chance.choice([TENANT, PROJECT, ASSOCIATION, HOLD, TRANSACTION, PAYMENT, RATE, ROLE, LOGIN])
    records = list(model.records[kind].values())
    where = []
    for field in chance.sample(records[0]._fields, chance.randrange(3)):
        values = [getattr(record, field) for record in records]
        op = chance.choice(["eq", "in", "lt", "le", "gt", "ge"])
        value = chance.choice(values)
        where.append(Condition(field, op, tuple(chance.sample(values, len(values) // 2)) if op == "in" else value))
    order = [*chance.sample([field for field in records[0]._fields if field != "id"], chance.randrange(3)), "id"]
    signed = tuple(chance.choice(["", "-"]) + field for field in order)
    after = None
    if chance.random() < 0.5:
        mark = chance.choice(records)
        after = tuple(getattr(mark, field) for field in order)
    return Query(kind, tuple(where), signed, chance.choice([1, 2, 10_000, 20_000]), after)


# -- the log -------------------------------------------------------------------------------------------------------


def test_entries_are_a_chain_of_hashes(store: Store) -> None:
    """Each names the one before it, and its own hash fits."""
    begun(store)
    for stream in (GLOBAL_STREAM, "t:acme", "t:bolt"):
        entries = store.entries(stream, 1, 100)
        head = store.read(lambda reader, asked=stream: reader.end(asked))  # type: ignore[misc]
        assert entries[-1].head == head
        end = EMPTY_HEAD
        for entry in entries:
            assert (entry.stream, entry.seq, entry.previous) == (stream, end.seq + 1, end.hash)
            assert entry.time >= end.time
            assert entry.hash == _hash(entry, end)
            end = entry.head


def _hash(entry: Entry, end: Head) -> str:
    changes = [
        {
            "kind": kind,
            "record": record._asdict(),
            **({"was": was._asdict()} if was is not None else {}),
        }
        for kind, record, was in entry.changes
    ]
    whole = canonical({**fields_of(entry, end, entry.time), "changes": changes})
    return sha256(whole.encode()).hexdigest()


def test_entries_are_the_same_on_all_stores(store: Store) -> None:
    """From any place on."""
    model = begun(store)
    for stream in (GLOBAL_STREAM, "t:acme", "t:bolt"):
        assert [entry._replace(author="") for entry in store.entries(stream, 1, 100)] == model.entries(stream, 1, 100)
    assert [entry.seq for entry in store.entries("t:acme", 3, 2)] == [3, 4]
    assert store.entries("t:acme", 100, 2) == []


def listed(store: Store, *where: tuple[str, str, Any], **how: Any) -> list[Entry]:
    """Return log entries, without the author that only some stores know."""
    query = LogQuery(tuple(Condition(*one) for one in where), **how)
    return [entry._replace(author="") for entry in store.read(lambda reader: reader.log(query))]


def test_the_log_is_listed_newest_first_page_by_page(store: Store) -> None:
    """Of entries of one instant, by stream and the latest first."""
    model = begun(store)
    whole = listed(store)
    assert whole == listed(model)
    assert [(entry.stream, entry.seq) for entry in whole[5:8]] == [("g", 1), ("t:acme", 11), ("t:acme", 10)]
    after: tuple[int, str, int] | None = None
    paged: list[Entry] = []
    while page := listed(store, limit=4, after=after):
        paged += page
        after = (page[-1].time, page[-1].stream, page[-1].seq)
    assert paged == whole


def test_the_log_is_searched(store: Store) -> None:
    """By each field that a command can ask for."""
    model = begun(store)
    for where in (
        [("tenant", "eq", "acme")],
        [("projects", "eq", "alpha")],
        [("projects", "eq", "alph")],
        [("actor", "eq", deeds.ACTOR), ("category", "eq", "tenant"), ("action", "eq", "payment")],
        [("actor", "eq", "nobody")],
        [("time", "ge", NOW), ("time", "lt", NOW + 1)],
        [("time", "gt", NOW)],
        [("commit", "eq", model.entries("t:acme", 2, 1)[0].commit)],
        [("stream", "eq", "t:acme"), ("seq", "le", 3)],
    ):
        assert listed(store, *where) == listed(model, *where), where
    assert "上海" in listed(store, ("action", "eq", "payment"), ("tenant", "eq", "acme"))[0].details


# -- writing -------------------------------------------------------------------------------------------------------


def refused(store: Store, deed: Callable[[Reader], Decision], because: str) -> None:
    """Try a deed that is refused, and see that it changed nothing."""
    before = store.read(deeds.everything), listed(store)
    with pytest.raises(RefusedError, match=because):
        store.write(deed)
    assert (store.read(deeds.everything), listed(store)) == before


def test_a_refused_decision_changes_nothing(store: Store) -> None:
    """Neither records nor log."""
    begun(store)
    refused(store, deeds.add_tenant("ACME"), "exists already")
    refused(store, deeds.add_project("bolt", "ALPHA"), "exists already")
    refused(store, deeds.add_project("acme", "delta", LARGE), "at most")
    refused(store, deeds.reserve("acme", "alpha", 10**9, "main/2/200"), "is needed for")


def test_a_decision_that_draws_up_nothing_writes_nothing(store: Store) -> None:
    """It is answered all the same."""
    begun(store)
    before = store.read(deeds.everything), listed(store)
    assert store.write(lambda reader: Decision(reader.end("t:acme").seq, None)).answer == 11
    assert (store.read(deeds.everything), listed(store)) == before


def test_the_answer_of_a_decision_is_given_back(store: Store) -> None:
    """The one that was committed."""
    store.write(deeds.add_tenant("acme"))
    assert store.write(deeds.pay("acme", 5)).answer.balance == 5


def test_a_repeated_key_is_found_at_once(store: Store) -> None:
    """The first answer is given, and nothing is booked twice."""
    store.write(deeds.add_tenant("acme"))
    store.write(deeds.pay("acme", 5, key="only/once"))
    assert store.write(deeds.pay("acme", 5, key="only/once")).answer == "paid 5"
    assert store.read(lambda reader: reader.get(TENANT, ["acme"]))[0].balance == 5
    (kept,) = store.read(lambda reader: reader.get(KEY, ["t:acme:k:only/once"]))
    assert (kept.seq, kept.answer) == (2, "paid 5")


def test_a_commit_brings_all_its_records(store: Store) -> None:
    """One reader sees them all."""
    begun(store)
    transaction = store.write(deeds.charge("acme", "alpha", "ann", 36)).answer

    def look(reader: Reader) -> list[Any]:
        return [
            *reader.get(TRANSACTION, [transaction.id]),
            reader.get(PROJECT, ["alpha"])[0].balance,
            reader.get(TENANT, ["acme"])[0].balance,
            reader.end("t:acme").seq,
        ]

    cost = 3_600_000 + 10_000 + 36_000
    assert store.read(look) == [transaction, 300_000_000 - cost, 900_000_000 + 50 - cost - 1_800_000 - 50, 12]


def test_an_entry_that_is_too_large_is_refused(store: Store) -> None:
    """Before anything is written."""
    begun(store)
    refused(store, deeds.pay_many("acme", CHANGES_MAX), "at most 1000")


def test_a_large_entry_is_written_whole(store: Store) -> None:
    """As many records as an entry can change."""
    store.write(deeds.add_tenant("acme"))
    store.write(deeds.pay_many("acme", CHANGES_MAX - 1))
    (row,) = store.read(lambda reader: reader.sums(Sums(PAYMENT, "t:acme", (), (), ("amount",))))
    assert (row.sums, row.records) == ((CHANGES_MAX - 1,), CHANGES_MAX - 1)
    assert len(found(store, Query(PAYMENT))) == CHANGES_MAX - 1
    assert store.write(deeds.pay("acme", 1)).answer.balance == CHANGES_MAX


def test_a_name_that_was_claimed_and_never_used_goes_to_another_tenant(store: Store) -> None:
    """By an entry of its owner's, and then it can come back in the same way."""
    store.write(deeds.add_tenant("acme"))
    store.write(deeds.add_tenant("bolt"))
    store.write(deeds.claim_name("acme", "omega"))
    refused(store, deeds.add_project("bolt", "omega"), "exists already")
    store.write(deeds.release_name("acme", "omega", "bolt"))
    assert store.read(lambda reader: reader.get(CLAIM, ["omega"])) == [Claim("omega", "bolt", 2)]
    refused(store, deeds.add_project("acme", "omega"), "exists already")
    store.write(deeds.add_project("bolt", "omega"))
    assert store.read(lambda reader: reader.route(["omega"])) == ["bolt"]
    refused(store, deeds.release_name("bolt", "omega", "acme"), "not free")
