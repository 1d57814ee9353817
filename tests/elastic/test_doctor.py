"""The doctor on Elasticsearch: whatever is wrong is found, and who may not look is told which privilege is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.store.elastic_rights import role_body
from dca.store.elastic_setup import PIPELINE
from dca.store.guard import application_of
from dca.store.indices import NAMES
from dca.store.schema import KINDS, LOG, TENANT
from tests.contract import deeds
from tests.elastic.guarded import ROOT, ROWS
from tests.elastic.proxy import FOR_EVER, Fault, proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dca.store.elastic import ElasticStore
    from dca.store.health import Finding
    from tests.elastic.server import BookServer

NOW = 1_740_830_400_000
PASSWORD = "a-password-of-tests"


@pytest.fixture
def store(emptied_server: BookServer) -> Iterator[ElasticStore]:
    """Return books that hold a tenant."""
    with emptied_server.store() as store:
        store.write(deeds.add_tenant("acme"))
        yield store


def examine(store: ElasticStore) -> dict[str, Finding]:
    """Return what an examination finds, by name."""
    listed = [one for one in store.examine(NOW) if one.name != "clock"]
    named = {one.name: one for one in listed}
    assert len(named) == len(listed)
    return named


def failed(store: ElasticStore) -> list[str]:
    """Return the names of what does harm."""
    return [name for name, one in examine(store).items() if one.state == "failed"]


def test_what_is_wrong_is_found(clean_server: BookServer) -> None:
    """One thing after the other is broken and put right again; each is found, and nothing else."""
    server, log, tenant = clean_server, clean_server.index(LOG), clean_server.index(TENANT)
    alias, pipeline = f"{server.prefix}{TENANT}", f"/_ingest/pipeline/{server.prefix}dca-author"

    def settings(index: str, **values: object) -> Callable[[], Any]:
        return lambda: server.must("PUT", f"/{index}/_settings", {"index": values})

    def aliases(*actions: Any) -> Callable[[], Any]:
        return lambda: server.must("POST", "/_aliases", {"actions": list(actions)})

    add, remove = {"add": {"index": tenant, "alias": alias}}, {"remove": {"index": tenant, "alias": alias}}
    filtered = {"add": {**add["add"], "filter": {"term": {"id": "acme"}}}}
    elsewhere = {"add": {"index": server.index("rate"), "alias": f"{server.prefix}hold"}}
    less = {"set_security_user": {"field": "author", "properties": ["realm"]}}
    other, silent = {"processors": [less]}, {**PIPELINE, "on_failure": [less]}
    cases: tuple[tuple[Callable[[], Any], Callable[[], Any], list[str]], ...] = (
        (lambda: None, lambda: None, []),
        (settings(log, **{"translog.durability": "async"}), settings(log, **{"translog.durability": "request"}), ["durability"]),
        (settings(tenant, default_pipeline="other"), settings(tenant, default_pipeline="_none"), ["durability"]),
        (settings(tenant, **{"blocks.read_only_allow_delete": True}),
         settings(tenant, **{"blocks.read_only_allow_delete": None}), ["indices"]),
        (aliases(remove, filtered), aliases(remove, add), ["indices"]),
        (aliases(remove), aliases(add), ["indices", "heads"]),
        (aliases(elsewhere), aliases({"remove": elsewhere["add"]}), ["indices"]),
        (lambda: server.must("PUT", pipeline, other), lambda: server.must("PUT", pipeline, PIPELINE), ["pipeline"]),
        (lambda: server.must("PUT", pipeline, silent), lambda: server.must("PUT", pipeline, PIPELINE), ["pipeline"]),
        (lambda: server.must("PUT", f"/{tenant}/_mapping", {"dynamic": "true"}),
         lambda: None, ["mappings"]),
    )  # fmt: skip
    with clean_server.store() as store:
        store.setup()
        store.write(deeds.add_tenant("acme"))
        for spoil, mend, names in cases:
            spoil()
            assert failed(store) == names
            mend()
        server.must("DELETE", f"/{server.index('hold')}")
        assert failed(store) == ["indices", "mappings"]


def test_states_that_are_no_failure(emptied_server: BookServer, store: ElasticStore) -> None:
    """An entry behind whose head it stands, authors that are not stamped, copies that nobody has."""
    states = {name: one.state for name, one in examine(store).items() if name != "disk"}
    assert {name for name, state in states.items() if state != "ok"} == {"replicas"}
    entry = emptied_server.source(LOG, "t:acme:1")
    entry.pop("author")
    assert emptied_server.create(LOG, "t:acme:2", {**entry, "seq": 2}).status == 201
    found = examine(store)["heads"]
    assert (found.state, "t:acme" in found.found) == ("note", True)
    path, stamping = f"/{emptied_server.index(LOG)}/_settings", f"{emptied_server.prefix}dca-author"
    emptied_server.must("PUT", path, {"index.final_pipeline": "_none"})
    try:
        assert examine(store)["author"].state == "warning"
    finally:
        emptied_server.must("PUT", path, {"index.final_pipeline": stamping})


@pytest.mark.usefixtures("store")
def test_who_may_not_look(emptied_server: BookServer) -> None:
    """A scheduler's user without the privileges to look around: notes name what is missing, and nothing fails."""
    name = f"{emptied_server.prefix}user"
    mutable = [f"{emptied_server.prefix}{kind}" for kind in NAMES if kind in KINDS and KINDS[kind].mutable]
    everything = [f"{emptied_server.prefix}{kind}" for kind in NAMES]
    reading = {"names": everything, "privileges": ["read", "maintenance"]}
    booking = [
        {"names": everything, "privileges": ["create_doc", "view_index_metadata"]},
        {"names": mutable, "privileges": ["index"]},
    ]
    try:
        emptied_server.must("PUT", f"/_security/role/{name}", {"indices": [reading]})
        emptied_server.must("PUT", f"/_security/user/{name}", {"password": PASSWORD, "roles": [name]})
        with emptied_server.store(username=name, password=PASSWORD) as user:
            lines = examine(user)
            assert lines["privileges"].state == "note"
            assert "view_index_metadata" in lines["privileges"].found
            for missing in ("disk", "indices", "pipeline"):
                assert lines[missing].state == "note"
                assert "privileges" in lines[missing].found
            assert lines["shards"].state == lines["heads"].state == "ok"
            emptied_server.must("PUT", f"/_security/role/{name}", {"indices": [reading, *booking]})
            lines = examine(user)
            assert lines["privileges"].state == "ok"
            assert "dca setup would need" in lines["privileges"].found
            assert lines["mappings"].state == lines["durability"].state == "ok"
            emptied_server.must(
                "PUT",
                f"/_security/role/{name}",
                {"indices": [reading, {**booking[0], "privileges": ["view_index_metadata"]}]},
            )
            lines = examine(user)
            assert lines["privileges"].state == "note"
            assert "not do everything: index on" in lines["privileges"].found
            emptied_server.must(
                "PUT", f"/_security/role/{name}", {"indices": [{**reading, "privileges": ["maintenance"]}]}
            )
            assert examine(user)["privileges"].state == "failed"
            body = role_body(ROOT, application_of(emptied_server.prefix), emptied_server.prefix, ROWS)
            emptied_server.must("PUT", f"/_security/role/{name}", body)
            assert examine(user)["privileges"].found == "the caller may read, change and set up"
    finally:
        emptied_server.send("DELETE", f"/_security/user/{name}")
        emptied_server.send("DELETE", f"/_security/role/{name}")


@pytest.mark.usefixtures("store")
def test_what_only_other_servers_have(emptied_server: BookServer) -> None:
    """Full disks, red clusters, wrong clocks, several data nodes, no security: what such a server would answer."""
    server = emptied_server.server
    node = {"name": "n1", "roles": ["data"], "os": {"timestamp": NOW + 400_000}}

    def disk(percent: int) -> Any:
        total = {"total_in_bytes": 100, "available_in_bytes": 100 - percent}
        return {"nodes": {"1": {**node, "fs": {"total": total}}}}

    health = {"number_of_nodes": 3, "number_of_data_nodes": 3, "unassigned_shards": 2}
    off = {"error": {"type": "illegal_argument_exception", "reason": "no handler found"}}
    answers: tuple[tuple[str, int, Any, str, str], ...] = (
        ("/_nodes/stats/fs", 200, disk(96), "disk", "failed"),
        ("/_nodes/stats/fs", 200, disk(91), "disk", "warning"),
        ("/_nodes/stats/fs", 200, disk(86), "disk", "note"),
        ("/_nodes/stats/os", 200, {"nodes": {"1": node}}, "clock", "failed"),
        ("/_cluster/health", 200, {**health, "status": "red"}, "cluster", "failed"),
        ("/_cluster/health", 200, {**health, "status": "yellow"}, "cluster", "warning"),
        ("/_cluster/health", 200, {**health, "status": "green"}, "replicas", "warning"),
        ("/_security/_authenticate", 400, off, "security", "warning"),
        (
            "_search?size=0",
            200,
            {"_shards": {"total": 3, "successful": 2, "failed": 1}, "hits": {"total": {"value": 1}}},
            "shards",
            "failed",
        ),
    )
    for part, status, body, name, state in answers:
        with (
            proxy(server.host, server.port, Fault(part, status=status, body=body, times=FOR_EVER)) as between,
            emptied_server.store(between.url) as other,
        ):
            lines = {one.name: one for one in other.examine(NOW)}
            assert lines[name].state == state, (part, lines[name])


@pytest.mark.usefixtures("store")
def test_hosts(emptied_server: BookServer) -> None:
    """A host that does not answer is named: a command would go on to the next one and say nothing."""
    good, bad = emptied_server.address.hosts[0], "http://127.0.0.1:9"
    with emptied_server.store(good, bad) as both:
        line = examine(both)["hosts"]
        assert (line.state, bad in line.found) == ("warning", True)
