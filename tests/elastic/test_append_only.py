"""Append-only, enforced by Elasticsearch itself: what a raw client gets with all the rights of the greatest role below root.

docs/security.md points to these tests.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

from dca.core.errors import DamagedError
from dca.store.elastic import ElasticStore
from dca.store.guard import DIRECT, Guarded
from dca.store.health import FAILED
from dca.store.indices import NAMES
from tests.contract import deeds
from tests.contract.deeds import PERMITTED
from tests.elastic.fixtures import lasting
from tests.elastic.guarded import PASSWORD, ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elastic.server import BookServer, Said
    from tests.elasticsearch_server.server import Server

APPENDED = ("log", "transaction", "payment", "rate", "key")
"""Kinds of records that are only ever added."""
GREATEST = Guarded("greatest", 99, tuple(ROWS), "", DIRECT)
REFUSED = 403
NOT_INSTALLED = ("no handler found", "Incorrect HTTP method")
"""What a server without the module reindex says to requests by query; the one for tests may have none."""
FORGED = {
    "username": "elastic",
    "realm": {"name": "reserved", "type": "reserved"},
    "authentication_type": "API_KEY",
    "api_key": {"id": "forged", "name": "forged"},
}


class Client(NamedTuple):
    """Somebody with the direct rights of every command below root, who uses curl on books with something of every kind."""

    server: BookServer
    login: str

    def ask(self, method: str, path: str, body: Any = None) -> Said:
        """Send a request; {p} stands for the prefix of the books."""
        return self.server.send(method, path.format(p=self.server.prefix), body, user=(self.login, PASSWORD))

    def some(self, kind: str) -> Any:
        """Return a document of a kind, with its version, as the administrator sees it."""
        body = {"size": 1, "version": True, "seq_no_primary_term": True, "sort": [{"_doc": "asc"}]}
        hits = self.server.must("POST", f"/{self.server.prefix}{kind}/_search", body)["hits"]["hits"]
        return hits[0]

    def all_of(self, kind: str) -> Any:
        """Return all documents of a kind, with their versions."""
        self.server.refresh()
        body = {"size": 1000, "version": True, "seq_no_primary_term": True}
        hits = self.server.must("POST", f"/{self.server.prefix}{kind}/_search", body)["hits"]["hits"]
        return sorted(hits, key=lambda hit: str(hit["_id"]))


@pytest.fixture(scope="module")
def client(elasticsearch: Server) -> Iterator[Client]:
    """Return the client; the books are the same for all tests, which leave them as they are."""
    with lasting(elasticsearch, "append") as server, server.store(guarded=True) as store:
        for deed in deeds.begin():
            store.write(deed)
        store.write(deeds.pay("acme", 1, key="x"))
        guard = store.guard()
        guard.register()
        guard.put_role(GREATEST)
        guard.put_account(f"{server.prefix}greatest", ["greatest"], PASSWORD)
        server.must("PUT", f"/_ingest/pipeline/{server.prefix}other", {"processors": []})
        yield Client(server, f"{server.prefix}greatest")


ATTACKS: dict[str, tuple[str, str, Any]] = {
    "update": ("POST", "/{p}KIND/_update/ID", {"doc": {"seq": 999}}),
    "upsert": ("POST", "/{p}KIND/_update/ID", {"doc": {"seq": 999}, "doc_as_upsert": True}),
    "overwrite": ("PUT", "/{p}KIND/_doc/ID", "SOURCE"),
    "overwrite with a newer version": ("PUT", "/{p}KIND/_doc/ID?version=9999&version_type=external", "SOURCE"),
    "overwrite in the index behind the alias": ("PUT", "/{p}KIND-v1/_doc/ID", "SOURCE"),
    "delete": ("DELETE", "/{p}KIND/_doc/ID", None),
    "delete in the index behind the alias": ("DELETE", "/{p}KIND-v1/_doc/ID", None),
    "update by query": ("POST", "/{p}KIND/_update_by_query?refresh=true", None),
    "delete by query": ("POST", "/{p}KIND/_delete_by_query?refresh=true", {"query": {"match_all": {}}}),
    "reindex": ("POST", "/_reindex", {"source": {"index": "{p}KIND"}, "dest": {"index": "{p}KIND"}}),
    "delete the index": ("DELETE", "/{p}KIND-v1", None),
    "close the index": ("POST", "/{p}KIND/_close", None),
    "other settings": ("PUT", "/{p}KIND/_settings", {"index.final_pipeline": "_none"}),
    "other mappings": ("PUT", "/{p}KIND/_mapping", {"properties": {"colour": {"type": "keyword"}}}),
    "a field in the place of another": ("PUT", "/{p}KIND/_mapping", {"runtime": {"seq": {"type": "long"}}}),
    "another alias": ("PUT", "/{p}KIND-v1/_alias/{p}other", None),
    "roll over": ("POST", "/{p}KIND/_rollover", None),
}


def filled(body: Any, client: Client, document: Any) -> Any:
    """Return a body with what stands for something in its place."""
    if body == "SOURCE":
        return document["_source"]
    if isinstance(body, dict):
        return {name: filled(value, client, document) for name, value in body.items()}
    if isinstance(body, str):
        return body.format(p=client.server.prefix).replace("KIND", document["kind"])
    return body


@pytest.mark.parametrize("kind", APPENDED)
def test_what_was_appended_cannot_be_changed(client: Client, kind: str) -> None:
    """Not by any request that changes, replaces or removes a document, or what holds it."""
    before = client.all_of(kind)
    assert before, f"the books have no {kind}"
    document = {**before[0], "kind": kind}
    for name, (method, path, body) in ATTACKS.items():
        sent = path.replace("KIND", kind).replace("ID", quote(document["_id"], safe=""))
        said = client.ask(method, sent, filled(body, client, document))
        refused = said.status == REFUSED or any(text in str(said.body) for text in NOT_INSTALLED)
        assert refused, (name, said)
    assert (
        client.ask("PUT", f"/{{p}}{kind}/_create/{quote(document['_id'], safe='')}", document["_source"]).status == 409
    )
    assert client.all_of(kind) == before


MAPPINGS: tuple[dict[str, Any], ...] = (
    {"dynamic": "true"},
    {"_meta": {"dca": {"kind": "other"}}},
    {"properties": {"stream": {"type": "keyword", "ignore_above": 1}}},
    {"properties": {"stream": {"type": "keyword", "copy_to": "actor"}}},
    {"properties": {"author": {"type": "object", "dynamic": "strict"}}},
)
"""What would hide entries from searches, or have every new one refused."""


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_is_said_about_fields(client: Client, kind: str) -> None:
    """Of no index can the mapping be changed, in the least."""
    for index in (f"{client.server.prefix}{kind}", client.server.index(kind)):
        for body in MAPPINGS:
            said = client.ask("PUT", f"/{index}/_mapping", body)
            assert said.status == REFUSED, (body, said)


def test_what_is_said_about_the_log_is_noticed(client: Client) -> None:
    """By setup and doctor: a role made by hand may have the right to change mappings."""
    path = f"/{client.server.prefix}log/_mapping"
    client.server.must("PUT", path, {"dynamic": "true"})
    try:
        with client.server.store() as store:
            with pytest.raises(DamagedError, match=r"log-v1 at .* is not as dca made it: dynamic"):
                store.setup()
            found = {one.name: one for one in store.examine(0)}
        assert found["mappings"].state == FAILED
    finally:
        client.server.must("PUT", path, {"dynamic": "strict"})


@pytest.mark.parametrize("kind", APPENDED)
def test_what_was_appended_cannot_be_changed_in_bulk(client: Client, kind: str) -> None:
    """Each item is refused by itself."""
    before = client.all_of(kind)
    for index in (f"{client.server.prefix}{kind}", client.server.index(kind)):
        target = {"_index": index, "_id": before[0]["_id"]}
        lines = [
            {"index": target},
            before[0]["_source"],
            {"index": {**target, "version": 9999, "version_type": "external_gte"}},
            before[0]["_source"],
            {"update": target},
            {"doc": {"seq": 999}},
            {"delete": target},
        ]
        said = client.ask("POST", "/_bulk?refresh=true", lines)
        statuses = [next(iter(item.values()))["status"] for item in said.body["items"]] if said.status == 200 else [403]
        assert {*statuses} == {REFUSED}, said
    assert client.all_of(kind) == before


def test_what_the_log_passes_through_cannot_be_changed(client: Client) -> None:
    """Neither the pipeline that stamps authors, nor roles, users, privileges or keys."""
    astray: Any = {"remove": {"index": client.server.index("log"), "alias": f"{client.server.prefix}log"}}
    attacks: tuple[tuple[str, str, Any], ...] = (
        ("PUT", "/_ingest/pipeline/{p}dca-author", {"processors": []}),
        ("DELETE", "/_ingest/pipeline/{p}dca-author", None),
        ("PUT", "/_security/role/{p}mine", {"cluster": ["all"]}),
        ("PUT", "/_security/user/{p}mine", {"password": PASSWORD, "roles": ["superuser"]}),
        ("PUT", "/_security/privilege", {f"dca-{client.server.prefix}": {"list": {"actions": ["command:*"]}}}),
        ("POST", "/_security/api_key", {"name": "mine"}),
        ("POST", "/_aliases", {"actions": [astray]}),
    )  # fmt: skip
    for method, path, body in attacks:
        assert client.ask(method, path, body).status == REFUSED, (method, path)


@pytest.mark.parametrize("how", ["", "?pipeline=_none", "?pipeline={p}other"])
@pytest.mark.parametrize("given", [FORGED, [FORGED], "elastic"], ids=["object", "list", "text"])
def test_the_author_cannot_be_forged(client: Client, how: str, given: Any) -> None:
    """Whatever the entry says, and whatever pipeline is asked for: user, realm and kind of credentials are stamped."""
    number = 1_000 + len(client.all_of("log"))
    entry = {**client.some("log")["_source"], "seq": number, "author": given}
    assert client.ask("PUT", f"/{{p}}log/_create/x%3A{number}{how}", entry).status == 201
    stamp = client.server.source("log", f"x:{number}")["author"]
    assert (stamp["username"], stamp["realm"], stamp["authentication_type"]) == (
        client.login,
        {"name": "default_native", "type": "native"},
        "REALM",
    )


def books(store: ElasticStore) -> dict[str, Any]:
    """Return all that the books say, but for the ends of streams, which a void entry moves."""
    return {name: value for name, value in store.read(deeds.everything).items() if name != "ends"}


def test_a_second_author_makes_no_entry(client: Client) -> None:
    """A field author.username beside the stamp would be found by a search for it: such an entry is void."""
    with closing(ElasticStore(client.server.address, PERMITTED)) as store:
        before = books(store)
        draft = store.read(deeds.pay("acme", 1_000)).draft
        assert draft is not None
        end = store.read(lambda reader: reader.end("t:acme"))
        from dca.store import entry as entries

        document = {**entries.to_document(entries.seal(draft, end)[0]), "author.username": "elastic"}
        document["hash"] = entries.document_digest(document)
        assert client.ask("PUT", f"/{{p}}log/_create/t%3Aacme%3A{end.seq + 1}", document).status == 201
        assert books(store) == before
