"""Making, checking and destroying the indices: nothing of others is touched, and nothing of ours is made by halves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DamagedError, DcaError, RefusedError, UnreachableError
from dca.store import indices
from dca.store.elastic_setup import PIPELINE
from dca.store.indices import NAMES
from dca.store.port import Condition, Query
from dca.store.schema import FIELD_TYPES, KINDS, LOG, PAYMENT, TENANT, TRANSACTION
from tests.contract import deeds
from tests.elastic.proxy import FOR_EVER, Fault, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dca.store.elastic import ElasticStore
    from dca.store.port import Reader
    from tests.elastic.server import BookServer

FILES = Path(indices.__file__).parents[2] / "setup_indices"


@pytest.fixture
def store(clean_server: BookServer) -> Iterator[ElasticStore]:
    """Return books that are not set up yet."""
    with clean_server.store() as store:
        yield store


def present(server: BookServer) -> Any:
    """Return all there is under the prefix: indices with their aliases, settings and mappings, and pipelines."""
    found = server.must("GET", f"/{server.prefix}*?flat_settings=true&expand_wildcards=all")
    pipelines = server.send("GET", f"/_ingest/pipeline/{server.prefix}*").body
    return found, pipelines


def refused(server: BookServer, store: ElasticStore, *words: str, error: type[DcaError] = RefusedError) -> None:
    """See that setup says why not, and leaves everything as it is."""
    before = present(server)
    with pytest.raises(error) as raised:
        store.setup()
    assert present(server) == before
    for word in words:
        assert word in raised.value.sentence


# -- the files -----------------------------------------------------------------------------------------------------


def test_files_are_as_the_record_kinds_make_them() -> None:
    """Write them anew with python -m dca.reference --write where this fails."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FILES.iterdir()} == {
        f"{name}.json": indices.index_file(name) for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_files_have_a_place_for_each_field(name: str) -> None:
    """Of the right type; and none for anything else."""
    loaded = indices.load(name)
    assert loaded["mappings"]["dynamic"] == "strict"
    assert loaded["settings"]["index"]["translog"]["durability"] == "request"
    if name != LOG:
        of_head = {"head_seq", "head_hash", "head_time"} if name in indices.HEAD_CARRIERS else set()
        assert loaded["mappings"]["properties"].keys() - of_head == FIELD_TYPES[name].keys()
        types = {"long", "date"}
        for field, kind in FIELD_TYPES[name].items():
            mapped = loaded["mappings"]["properties"][field]["type"]
            assert (mapped in types) == (kind is int), field
            assert (mapped == "date") == (field in KINDS[name].dates), field


# -- making --------------------------------------------------------------------------------------------------------


def test_setup_makes_everything_once(clean_server: BookServer, store: ElasticStore) -> None:
    """And changes nothing when it is run again."""
    done = store.setup()
    assert len(done) == 1 + len(NAMES)
    assert f"created the index {clean_server.index(TENANT)} with the alias {clean_server.prefix}tenant" in done
    before = present(clean_server)
    found, pipelines = before
    assert found.keys() == {clean_server.index(name) for name in NAMES}
    for name in NAMES:
        state = found[clean_server.index(name)]
        assert state["aliases"].keys() == {f"{clean_server.prefix}{name}"}
        pipeline = f"{clean_server.prefix}dca-author" if name == LOG else "_none"
        assert state["settings"]["index.final_pipeline"] == pipeline
    assert pipelines.keys() == {f"{clean_server.prefix}dca-author"}
    assert store.setup() == []
    assert present(clean_server) == before
    store.write(deeds.add_tenant("acme"))
    assert store.setup() == []
    assert len(store.read(lambda reader: reader.find(Query(TENANT)))) == 1


def test_setup_goes_on_where_it_was_stopped(clean_server: BookServer, store: ElasticStore) -> None:
    """It makes what is missing."""
    store.setup()
    clean_server.must("DELETE", f"/{clean_server.index('hold')},{clean_server.index(LOG)}")
    clean_server.must("DELETE", f"/_ingest/pipeline/{clean_server.prefix}dca-author")
    clean_server.must("DELETE", f"/{clean_server.index(TENANT)}/_alias/{clean_server.prefix}tenant")
    done = store.setup()
    assert len(done) == 4
    assert f"gave the index {clean_server.index(TENANT)} its alias {clean_server.prefix}tenant back" in done
    assert store.setup() == []
    store.write(deeds.add_tenant("acme"))


def test_older_indices_are_closed_for_further_fields(clean_server: BookServer, store: ElasticStore) -> None:
    """Whoever may create a document there could add some."""
    store.setup()
    index = clean_server.index(TENANT)
    clean_server.must("PUT", f"/{index}/_settings", {"index.mapping.total_fields.limit": None})
    assert store.setup() == [f"nobody adds fields to the index {index} from now on"]
    said = clean_server.send("PUT", f"/{index}/_mapping", {"runtime": {"balance": {"type": "long"}}})
    assert (said.status, "Limit of total fields" in str(said.body)) == (400, True)


def test_two_may_set_up_at_once(clean_server: BookServer, store: ElasticStore) -> None:
    """Together they make everything, each thing once."""
    with clean_server.store() as other, ThreadPoolExecutor(2) as people:
        done = [line for lines in people.map(lambda one: one.setup(), (store, other)) for line in lines]
    created = [line for line in done if line.startswith("created the index")]
    assert len(set(created)) == len(created) == len(NAMES)
    assert store.setup() == []


def test_books_beside_books(clean_server: BookServer, store: ElasticStore) -> None:
    """Several books share a cluster, told apart by their prefixes."""
    with clean_server.store(prefix=f"{clean_server.prefix}b-") as other:
        store.setup()
        other.setup()
        store.write(deeds.add_tenant("acme"))
        assert other.read(lambda reader: reader.find(Query(TENANT))) == []
        other.write(deeds.add_tenant("bolt"))
        other.wipe()
        assert [tenant.id for tenant in store.read(lambda reader: reader.find(Query(TENANT)))] == ["acme"]
        assert store.setup() == []


# -- refusing ------------------------------------------------------------------------------------------------------


def test_an_index_of_others_with_the_name_of_an_alias(clean_server: BookServer, store: ElasticStore) -> None:
    """It stays."""
    clean_server.must("PUT", f"/{clean_server.prefix}payment")
    refused(
        clean_server, store, f"the index {clean_server.prefix}payment ", "nothing was changed", "a prefix of its own"
    )


def test_an_alias_of_others(clean_server: BookServer, store: ElasticStore) -> None:
    """It stays."""
    other = f"{clean_server.prefix}other"
    clean_server.must("PUT", f"/{other}", {"aliases": {f"{clean_server.prefix}log": {}}})
    refused(clean_server, store, f"the index {other} ", f"has the name {clean_server.prefix}log")


def test_an_alias_of_ours_on_another_index_of_ours(clean_server: BookServer, store: ElasticStore) -> None:
    """Writes would go astray."""
    store.setup()
    alias = f"{clean_server.prefix}hold"
    clean_server.must("PUT", f"/{clean_server.index('rate')}/_alias/{alias}")
    refused(clean_server, store, f"the alias {alias} ", f"leads to {clean_server.index('rate')}")


def test_an_index_of_others_with_the_name_of_an_index(clean_server: BookServer, store: ElasticStore) -> None:
    """It stays."""
    clean_server.must("PUT", f"/{clean_server.index('key')}")
    refused(clean_server, store, f"the index {clean_server.index('key')} ", "was not made by dca")


def test_another_mapping(clean_server: BookServer, store: ElasticStore) -> None:
    """The sentence names index and field."""
    store.setup()
    wider = {"index.mapping.total_fields.limit": 100}
    clean_server.must("PUT", f"/{clean_server.index('project')}/_settings", wider)
    extra = {"properties": {"colour": {"type": "keyword"}}}
    clean_server.must("PUT", f"/{clean_server.index('project')}/_mapping", extra)
    refused(clean_server, store, clean_server.index("project"), "colour differs", error=DamagedError)


def test_commits_that_the_disk_may_lose(clean_server: BookServer, store: ElasticStore) -> None:
    """The sentence says what to set."""
    store.setup()
    setting = {"index.translog.durability": "async"}
    clean_server.must("PUT", f"/{clean_server.index(LOG)}/_settings", setting)
    refused(clean_server, store, clean_server.index(LOG), "durability = async", "set it to request")


def test_pipelines_that_change_the_books(clean_server: BookServer, store: ElasticStore) -> None:
    """At the beginning or at the end."""
    store.setup()
    mine = f"{clean_server.prefix}mine"
    clean_server.must("PUT", f"/_ingest/pipeline/{mine}", PIPELINE)
    for name, setting in (("tenant", "default_pipeline"), ("payment", "final_pipeline"), (LOG, "final_pipeline")):
        path = f"/{clean_server.index(name)}/_settings"
        before = clean_server.must("GET", f"{path}?flat_settings=true")[clean_server.index(name)]["settings"]
        clean_server.must("PUT", path, {f"index.{setting}": mine})
        refused(clean_server, store, clean_server.index(name), setting, "remove it")
        clean_server.must("PUT", path, {f"index.{setting}": before[f"index.{setting}"]})
    assert store.setup() == []


def test_a_pipeline_of_others(clean_server: BookServer, store: ElasticStore) -> None:
    """It stays."""
    name = f"{clean_server.prefix}dca-author"
    clean_server.must("PUT", f"/_ingest/pipeline/{name}", {"processors": []})
    refused(clean_server, store, f"the ingest pipeline {name} ", "was not made by dca")


def test_a_server_that_is_too_old(clean_server: BookServer) -> None:
    """The sentence names both versions."""
    answer = {"version": {"number": "7.17.28"}}
    server = clean_server.server
    with (
        proxy(server.host, server.port, Fault("/", status=200, body=answer)) as old,
        clean_server.store(old.url) as store,
    ):
        refused(clean_server, store, "runs Elasticsearch 7.17.28; dca needs 8.19 or newer", error=UnreachableError)


def test_an_administrator_without_the_privileges(clean_server: BookServer) -> None:
    """Nothing is made by halves."""
    role = {"cluster": ["monitor"], "indices": [{"names": [f"{clean_server.prefix}*"], "privileges": ["read"]}]}
    clean_server.must("PUT", f"/_security/role/{clean_server.prefix}role", role)
    user = {"password": "a-password", "roles": [f"{clean_server.prefix}role"]}
    clean_server.must("PUT", f"/_security/user/{clean_server.prefix}user", user)
    name = f"{clean_server.prefix}user"
    with (
        clean_server.store(username=name, password="a-password") as store,
        pytest.raises(DcaError, match=f"{name} may not set up the books"),
    ):
        store.setup()
    assert present(clean_server)[0] == {}


# -- security switched off, and other circumstances ----------------------------------------------------------------


def test_security_that_is_switched_off(clean_server: BookServer, store: ElasticStore) -> None:
    """The log is left unsigned, which setup says each time; signed books are never made unsigned."""
    server = clean_server.server
    no_such_page = {"error": "no handler found for uri [/_security/_authenticate] and method [GET]"}
    off = Fault("_authenticate", status=400, body=no_such_page, times=FOR_EVER)
    with proxy(server.host, server.port, off) as insecure, clean_server.store(insecure.url) as unsigned:
        assert unsigned.actor() == ""
        done = unsigned.setup()
        assert len(done) == len(NAMES) + 1
        assert "log entries are unsigned" in done[-1]
        assert unsigned.setup() == done[-1:]
        unsigned.write(deeds.add_tenant("acme"))
        assert unsigned.entries("t:acme", 1, 1)[0].author == ""
        assert present(clean_server)[1] == {}
        assert len(store.setup()) == 2
        store.write(deeds.pay("acme", 1))
        assert store.entries("t:acme", 2, 1)[0].author == "elastic"
        refused(clean_server, unsigned, "security of Elasticsearch was switched off; switch it on again")


def test_a_log_without_a_second_copy(clean_server: BookServer) -> None:
    """It is told each time."""
    server = clean_server.server
    nodes = Fault("_cluster/health", status=200, body={"number_of_data_nodes": 3}, times=FOR_EVER)
    with proxy(server.host, server.port, nodes) as large, clean_server.store(large.url) as store:
        done = store.setup()
        assert "has no replica although there are 3 data nodes" in done[-1]
        assert store.setup() == done[-1:]


def test_a_caller_is_known_by_the_name_that_elasticsearch_has(clean_server: BookServer, store: ElasticStore) -> None:
    """With an API key, by that of its owner."""
    assert store.actor() == "elastic"
    made = clean_server.must("POST", "/_security/api_key", {"name": f"{clean_server.prefix}key"})
    for key in (made["encoded"], f"{made['id']}:{made['api_key']}"):
        with clean_server.store(username="", password="", api_key=key) as other:
            assert other.actor() == "elastic"


# -- losing --------------------------------------------------------------------------------------------------------


def test_no_empty_index_in_the_place_of_a_lost_one(clean_server: BookServer, store: ElasticStore) -> None:
    """It would charge a job twice, or begin a log with entry 3; the sentences name it, and what helps."""
    store.setup()
    for deed in deeds.begin():
        store.write(deed)
    clean_server.must("DELETE", f"/{clean_server.prefix}*/_alias/{clean_server.prefix}payment")
    with pytest.raises(UnreachableError, match=r"an alias .* is missing; run dca setup"):
        store.read(lambda reader: reader.get(PAYMENT, ["x"]))
    store.setup()
    lost = clean_server.index(TRANSACTION)
    clean_server.must("DELETE", f"/{lost}")
    questions = (Query(TRANSACTION), Query(TRANSACTION, (Condition("tenant", "eq", "acme"),)))
    for question in (*(lambda reader, query=query: reader.find(query) for query in questions), get_transaction):
        with pytest.raises(DamagedError, match=rf"the index {lost} is missing .* dca backup"):
            store.read(question)
        with pytest.raises(DamagedError, match=rf"the index {lost} is missing .* dca backup"):
            store.preview(question)
    refused(clean_server, store, f"the index {lost} is missing", "dca backup", error=DamagedError)
    clean_server.must("DELETE", f"/{clean_server.index(LOG)}")
    both = f"the indices {lost}, {clean_server.index(LOG)} are missing"
    with pytest.raises(DamagedError, match=rf"{both} .* restore the books from a backup"):
        store.write(deeds.pay("acme", 1))
    refused(clean_server, store, both, "restore the books from a backup", error=DamagedError)
    store.wipe()
    store.setup()


def get_transaction(reader: Reader) -> Any:
    """Ask for one transaction, as a charge with a key does."""
    return reader.get(TRANSACTION, ["acme:1"])


# -- destroying ----------------------------------------------------------------------------------------------------


def test_wipe_leaves_nothing_of_ours_and_all_of_others(clean_server: BookServer, store: ElasticStore) -> None:
    """And new books begin empty."""
    store.setup()
    store.write(deeds.add_tenant("acme"))
    clean_server.must("PUT", f"/{clean_server.prefix}tenants")
    clean_server.must("PUT", f"/_ingest/pipeline/{clean_server.prefix}other", {"processors": []})
    store.wipe()
    found, pipelines = present(clean_server)
    assert found.keys() == {f"{clean_server.prefix}tenants"}
    assert pipelines.keys() == {f"{clean_server.prefix}other"}
    store.wipe()
    store.setup()
    assert store.read(lambda reader: reader.find(Query(TENANT))) == []


def test_wipe_refuses_what_is_not_ours(clean_server: BookServer, store: ElasticStore) -> None:
    """And then destroys nothing."""
    clean_server.must("PUT", f"/{clean_server.index('site')}")
    before = present(clean_server)
    with pytest.raises(RefusedError, match="was not made by dca; nothing was destroyed"):
        store.wipe()
    assert present(clean_server) == before
