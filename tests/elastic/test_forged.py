"""Entries that dca did not write: they are void for everybody, and the stream goes on behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DamagedError
from dca.store import entry as entries
from dca.store.memory import MemoryStore
from dca.store.port import Head, LogQuery, Query
from dca.store.schema import PAYMENT, TENANT
from tests.contract import deeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dca.store.elastic import ElasticStore
    from tests.elastic.server import BookServer

LAST = 11
"""Sequence of the last entry of acme in the books that begin."""
Document = dict[str, Any]


@pytest.fixture
def store(emptied_server: BookServer) -> Iterator[ElasticStore]:
    """Return books that have begun."""
    with emptied_server.store() as store:
        for deed in deeds.begin():
            store.write(deed)
        yield store


def remembered() -> MemoryStore:
    """Return the same books in memory."""
    model = MemoryStore()
    for deed in deeds.begin():
        model.write(deed)
    return model


def proper(store: ElasticStore) -> Document:
    """Return the document that a payment would be, as the next entry of acme's stream."""
    draft = store.read(deeds.pay("acme", 1_000)).draft
    assert draft is not None
    return entries.to_document(entries.seal(draft, end(store))[0])


def end(store: ElasticStore) -> Head:
    """Return the end of acme's stream."""
    return store.read(lambda reader: reader.end("t:acme"))


def hashed(document: Document) -> Document:
    """Give a document the hash that fits what it says."""
    return {**document, "hash": entries.document_digest(document)}


def richer(document: Document) -> Document:
    """Give the tenant more than it paid."""
    document["changes"][0]["record"]["balance"] += 1_000_000
    return hashed(document)


def stale(document: Document) -> Document:
    """Begin with another balance than the books have."""
    for side in ("was", "record"):
        document["changes"][0][side]["balance"] += 1_000_000
    return hashed(document)


def of_another_kind(document: Document) -> Document:
    """Change what the command may not change."""
    document["changes"][1] = {"kind": "key", "record": {"id": "t:acme:k:x"}}
    return hashed(document)


FORGERIES: dict[str, Callable[[Document], Document]] = {
    "nothing but a place": lambda _: {"stream": "t:acme", "seq": LAST + 1},
    "nothing at all": lambda _: {},
    "a wrong hash": lambda document: {**document, "details": "something else"},
    "another previous": lambda document: hashed({**document, "previous": "0" * 64}),
    "another stream": lambda document: hashed({**document, "stream": "t:bolt"}),
    "a time before the last": lambda document: hashed({**document, "time": 1}),
    "a command that is none": lambda document: hashed({**document, "action": "gift"}),
    "arithmetic that is wrong": richer,
    "a start from other books": stale,
    "a record of another kind": of_another_kind,
    "changes that are none": lambda document: hashed({**document, "changes": [{"kind": "tenant"}, 7, "x"]}),
    "times in words": lambda document: hashed({**document, "projects": "alpha"}),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_entry_is_void(emptied_server: BookServer, store: ElasticStore, what: str) -> None:
    """Readers do not see it, writers pass over it, and the log lists it as what it is."""
    model = remembered()
    forged, last = FORGERIES[what](proper(store)), end(store)
    said = emptied_server.create("log", f"t:acme:{LAST + 1}", forged)
    assert said.status == 201, said
    before = model.read(deeds.everything)
    assert store.read(deeds.everything) == before | {"ends": [LAST + 1, before["ends"][1]]}
    _check_listings(store, emptied_server)
    decision = store.write(deeds.pay("acme", 5))
    model.write(deeds.pay("acme", 5))
    assert decision.answer == model.records[TENANT]["acme"]
    payments = {
        one.amount: one.seq for one in store.read(lambda reader: reader.find(Query(PAYMENT))) if one.tenant == "acme"
    }
    assert payments == {900_000_000: 2, 5: LAST + 2}
    source = emptied_server.source(TENANT, "acme")
    assert (source["head_seq"], source["balance"]) == (LAST + 2, decision.answer.balance)
    following = store.entries("t:acme", LAST + 2, 1)[0]
    assert following.previous == entries.passed(last, emptied_server.source("log", f"t:acme:{LAST + 1}")).hash
    assert store.write(deeds.pay("acme", 5)).answer.balance == decision.answer.balance + 5


def _check_listings(store: ElasticStore, server: BookServer) -> None:
    """See that the forged entry is listed, without breaking the listing."""
    listed = store.read(lambda reader: reader.log(LogQuery()))
    assert len(listed) == 18 - 1
    forged = store.entries("t:acme", LAST + 1, 1)[0]
    if forged.action == "unreadable":
        assert forged.details.startswith(f"document t:acme:{LAST + 1}: ")
        assert forged.hash == entries.document_digest(server.source("log", f"t:acme:{LAST + 1}"))
    assert forged.author == "elastic" or forged.action == "unreadable"


def test_several_forged_entries_in_a_row(emptied_server: BookServer, store: ElasticStore) -> None:
    """The next writer passes over all of them."""
    model = remembered()
    for number in range(1, 6):
        emptied_server.create("log", f"t:acme:{LAST + number}", {"stream": "t:acme", "seq": LAST + number})
    assert store.read(deeds.everything) | {"ends": []} == model.read(deeds.everything) | {"ends": []}
    decision = store.write(deeds.pay("acme", 5))
    assert decision.draft is not None
    assert store.entries("t:acme", LAST + 6, 1)[0].commit == decision.draft.commit


def test_an_entry_that_dca_could_have_written_counts(emptied_server: BookServer, store: ElasticStore) -> None:
    """Whoever may write the log may do what its commands do; the stamp tells who it was."""
    model = remembered()
    emptied_server.create("log", f"t:acme:{LAST + 1}", proper(store))
    (acme,) = store.read(lambda reader: reader.get(TENANT, ["acme"]))
    assert acme.balance == model.records[TENANT]["acme"].balance + 1_000  # type: ignore[union-attr]


def test_a_field_that_the_log_does_not_have_is_turned_away(emptied_server: BookServer) -> None:
    """By Elasticsearch itself, as is a number in words."""
    said = emptied_server.create("log", "t:acme:1", {"stream": "t:acme", "seq": 1, "colour": "red"})
    assert (said.status, said.body["error"]["type"]) == (400, "strict_dynamic_mapping_exception")
    said = emptied_server.create("log", "t:acme:1", {"stream": "t:acme", "seq": "1"})
    assert said.status == 400


def test_a_stream_that_begins_with_a_forged_entry(emptied_server: BookServer, store: ElasticStore) -> None:
    """A tenant can still be added under that name."""
    emptied_server.create("log", "t:delta:1", {"stream": "t:delta", "seq": 1})
    assert "delta" not in [tenant.id for tenant in store.read(lambda reader: reader.find(Query(TENANT)))]
    store.write(deeds.add_tenant("delta"))
    assert store.write(deeds.pay("delta", 3)).answer.balance == 3
    assert "delta" in [tenant.id for tenant in store.read(lambda reader: reader.find(Query(TENANT)))]


@pytest.mark.parametrize(
    "damage", [{"balance": "many"}, {"balance": None}, {"id": "bolt"}, {"head_seq": None}, {"head_hash": None}]
)
def test_a_damaged_record_is_told(emptied_server: BookServer, store: ElasticStore, damage: Document) -> None:
    """It is not taken for a record with other figures."""
    source = emptied_server.source(TENANT, "acme") | damage
    said = emptied_server.send("PUT", f"/{emptied_server.prefix}tenant/_doc/acme", source)
    if said.status < 300:
        with pytest.raises(DamagedError, match="tenant"):
            store.read(lambda reader: reader.get(TENANT, ["acme"]))
    else:
        assert damage == {"balance": "many"}
