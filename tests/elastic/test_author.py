"""The stamp that Elasticsearch itself puts on every log entry: who wrote it, whatever the entry says."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dca.store.elastic import ElasticStore
from dca.store.port import LogQuery
from tests.contract import deeds
from tests.contract.deeds import ACTOR, PERMITTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elastic.server import BookServer

PASSWORD = "a-password"


@pytest.fixture
def scheduler(emptied_server: BookServer, prefix: str) -> Iterator[ElasticStore]:
    """Return the books as seen by a user with no more than the rights of a scheduler."""
    names = [f"{emptied_server.prefix}*"]
    role = {"indices": [{"names": names, "privileges": ["read", "index", "maintenance"]}]}
    emptied_server.must("PUT", f"/_security/role/{prefix}role", role)
    user = {"password": PASSWORD, "roles": [f"{prefix}role"]}
    emptied_server.must("PUT", f"/_security/user/{prefix}scheduler", user)
    address = emptied_server.address._replace(username=f"{prefix}scheduler", password=PASSWORD)
    with closing(ElasticStore(address, PERMITTED)) as store:
        yield store


def test_an_entry_is_stamped_with_its_author(emptied_server: BookServer, scheduler: ElasticStore, prefix: str) -> None:
    """Its actor is what dca says; the two are there to be held against each other."""
    scheduler.write(deeds.add_tenant("acme"))
    with emptied_server.store() as store:
        store.write(deeds.pay("acme", 1))
        authors = [entry.author for entry in store.entries("t:acme", 1, 10)]
        listed = [entry.author for entry in store.read(lambda reader: reader.log(LogQuery()))]
    assert authors == [f"{prefix}scheduler", "elastic"]
    assert listed == authors[::-1]
    stamp = emptied_server.source("log", "t:acme:1")["author"]
    assert (stamp["username"], stamp["realm"]["name"], stamp["authentication_type"]) == (
        f"{prefix}scheduler",
        "default_native",
        "REALM",
    )
    assert emptied_server.source("log", "t:acme:1")["actor"] == ACTOR


@pytest.mark.parametrize("how", ["", "&pipeline=_none"])
def test_the_stamp_cannot_be_forged(emptied_server: BookServer, scheduler: ElasticStore, prefix: str, how: str) -> None:
    """Neither by writing it oneself nor by asking for no pipeline."""
    scheduler.write(deeds.add_tenant("acme"))
    document = emptied_server.source("log", "t:acme:1")
    forged = {"username": "elastic", "realm": {"name": "reserved"}, "authentication_type": "API_KEY"}
    document |= {"seq": 2, "author": forged}
    path = f"/{emptied_server.prefix}log/_create/t%3Aacme%3A2?require_alias=true{how}"
    assert emptied_server.send("PUT", path, document, user=(f"{prefix}scheduler", PASSWORD)).status == 201
    stamp = emptied_server.source("log", "t:acme:2")["author"]
    assert (stamp["username"], stamp["realm"]["name"], stamp["authentication_type"]) == (
        f"{prefix}scheduler",
        "default_native",
        "REALM",
    )
    assert scheduler.entries("t:acme", 2, 1)[0].author == f"{prefix}scheduler"


def test_an_api_key_is_stamped_too(emptied_server: BookServer, prefix: str) -> None:
    """With its owner and its own name."""
    made = emptied_server.must("POST", "/_security/api_key", {"name": f"{prefix}key"})
    with emptied_server.store(username="", password="", api_key=made["encoded"]) as store:
        store.write(deeds.add_tenant("acme"))
        assert store.entries("t:acme", 1, 1)[0].author == store.actor() == "elastic"
    stamp = emptied_server.source("log", "t:acme:1")["author"]
    assert (stamp["api_key"]["name"], stamp["authentication_type"]) == (f"{prefix}key", "API_KEY")


def test_a_search_finds_entries_by_their_author(
    emptied_server: BookServer, scheduler: ElasticStore, prefix: str
) -> None:
    """As verify does, and whoever looks into the index with other programs."""
    scheduler.write(deeds.add_tenant("acme"))
    with emptied_server.store() as store:
        store.write(deeds.pay("acme", 1))
    emptied_server.must("POST", f"/{emptied_server.prefix}log/_refresh")
    for field, value in (("username", f"{prefix}scheduler"), ("realm.name", "default_native")):
        query = {"query": {"term": {f"author.{field}": value}}}
        found = emptied_server.must("POST", f"/{emptied_server.prefix}log/_search", query)
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["t:acme:1"]
