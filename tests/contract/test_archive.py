"""What lies in a store, as those see it who examine it: the same in every store, and rubbish for what it is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DamagedError
from dca.core.model import GLOBAL_STREAM
from dca.store.entry import document_digest, from_document
from dca.store.memory import MemoryStore
from dca.store.port import EMPTY_HEAD, Head, Place
from dca.store.schema import ASSOCIATION, CLAIM, HOLD, KINDS, PAYMENT, PROJECT, SITE, TENANT, TRANSACTION
from dca.store.sqlite import SqliteStore
from tests.contract import deeds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dca.store.elastic import ElasticStore
    from dca.store.port import Store
    from tests.elastic.server import BookServer

STREAMS = [GLOBAL_STREAM, "t:acme", "t:bolt"]


def begun(store: Store) -> MemoryStore:
    """Begin the same books in a store and in memory; return the latter."""
    model = MemoryStore()
    for deed in [*deeds.begin(), *deeds.powers()]:
        store.write(deed)
        model.write(deed)
    return model


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without what only some stores know."""
    return {name: value for name, value in document.items() if name != "author"}


def test_an_archive_shows_what_lies_in_a_store(store: Store) -> None:
    """Streams, documents, heads and records, in all stores alike."""
    model = begun(store)
    with store.archive() as archive, model.archive() as remembered:
        assert archive.streams() == STREAMS
        for stream in STREAMS:
            documents = whole(archive, stream)
            assert list(map(bare, documents)) == remembered.documents(stream, 1, 100)
            assert [document_digest(document) for document in documents] == [one["hash"] for one in documents]
            assert archive.last(stream) == len(documents)
            assert archive.head(stream) == from_document(documents[-1]).head
        for kind in KINDS:
            stored = {one.id: one for one in archive.stored(kind)}
            assert {one.id: one.record for one in stored.values()} == model.records[kind]
            assert archive.count(kind) == len(stored)
            assert not any(one.flaw for one in stored.values())
            ids = [*stored, "nothing"]
            assert archive.stored_by(kind, ids) == [stored.get(record_id) for record_id in ids]
        assert archive.beyond({stream: archive.last(stream) for stream in STREAMS}) == []


def whole(archive: Any, stream: str) -> list[dict[str, Any]]:
    """Return all documents of a stream."""
    found: list[dict[str, Any]] = []
    while some := archive.documents(stream, len(found) + 1, 5):
        found += some
    return found


def test_an_archive_of_empty_books(store: Store) -> None:
    """Nothing is there, and nothing is wrong with that."""
    with store.archive() as archive:
        assert archive.streams() in ([], [GLOBAL_STREAM])
        assert archive.documents("t:acme", 1, 10) == []
        assert (archive.last("t:acme"), archive.head("t:acme"), archive.beyond({})) == (0, EMPTY_HEAD, [])
        assert [archive.count(kind) for kind in KINDS] == [0] * len(KINDS)


def test_entries_outside_the_ends_are_named(store: Store) -> None:
    """Those of other streams, and those after an end."""
    begun(store)
    with store.archive() as archive:
        ends = {GLOBAL_STREAM: archive.last(GLOBAL_STREAM), "t:acme": archive.last("t:acme") - 2}
        places = archive.beyond(ends)
        last = archive.last("t:acme")
        bolt = [Place("t:bolt", seq, f"t:bolt:{seq}") for seq in range(1, archive.last("t:bolt") + 1)]
        assert sorted(places) == [*(Place("t:acme", seq, f"t:acme:{seq}") for seq in (last - 1, last)), *bolt]


def test_many_large_entries_come_in_parts(store: Store) -> None:
    """At least one at a time, whatever is asked for."""
    store.write(deeds.add_tenant("acme"))
    for _ in range(12):
        store.write(deeds.pay_many("acme", 900))
    with store.archive() as archive:
        found: list[Any] = []
        while some := archive.documents("t:acme", len(found) + 1, 1_000):
            found += some
        assert [one["seq"] for one in found] == list(range(1, 14))


# -- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with books that have begun."""
    path = tmp_path / "raw.db"
    with closing(SqliteStore(path)) as store:
        store.setup()
        begun(store)
    return path


def spoil(file: Path, *statements: str) -> None:
    """Change a file around dca's back."""
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("column", "rubbish"),
    [("changes", "'{'"), ("changes", "''"), ("projects", "'[1,'"), ("details", "CAST(x'ff41' AS TEXT)"),
     ("changes", "'" + "[" * 5_000 + "'"), ("changes", "'" + "9" * 5_000 + "'"), ("hash", "CAST(x'80' AS TEXT)")],
)  # fmt: skip
def test_rubbish_in_the_log_of_a_file(file: Path, column: str, rubbish: str) -> None:
    """Is returned, and has a digest that is not its hash."""
    spoil(file, f"UPDATE log SET \"{column}\" = {rubbish} WHERE stream = 't:acme' AND seq = 3")  # noqa: S608
    with closing(SqliteStore(file)) as store, store.archive() as archive:
        documents = archive.documents("t:acme", 1, 100)
        assert [one["seq"] for one in documents] == list(range(1, 12))
        assert document_digest(documents[2]) != documents[2]["hash"]


def test_rubbish_among_the_records_of_a_file(file: Path) -> None:
    """A record says what is wrong with it; the others are there."""
    spoil(
        file,
        "UPDATE project SET name = CAST(x'ff' AS TEXT) WHERE id = 'alpha'",
        "UPDATE tenant SET id = CAST(x'fe' AS TEXT) WHERE id = 'bolt'",
        "CREATE TABLE other AS SELECT * FROM payment",
        "DROP TABLE payment",
        "ALTER TABLE other RENAME TO payment",
        "UPDATE payment SET amount = 1.5 WHERE tenant = 'acme'",
        "UPDATE payment SET time = NULL WHERE tenant = 'bolt'",
        "DROP TABLE hold",
    )
    with closing(SqliteStore(file)) as store, store.archive() as archive:
        projects = {one.id: one for one in archive.stored(PROJECT)}
        assert sorted(projects) == ["alpha", "beta", "gamma"]
        assert projects["alpha"].record is not None
        assert projects["alpha"].record.name not in ("Alpha", "alpha")  # type: ignore[union-attr]
        assert "bolt" not in [one.id for one in archive.stored(TENANT)]
        assert [(one.record, "payment" in one.flaw) for one in archive.stored(PAYMENT)] == [(None, True)] * 2
        with pytest.raises(DamagedError):
            list(archive.stored(HOLD))
        with pytest.raises(DamagedError):
            archive.count(HOLD)


def test_a_head_that_is_none_in_a_file(file: Path) -> None:
    """Is told so."""
    spoil(file, "UPDATE head SET seq = 'many' WHERE stream = 't:acme'")
    with closing(SqliteStore(file)) as store, store.archive() as archive, pytest.raises(DamagedError):
        archive.head("t:acme")


def test_a_gap_in_a_file(file: Path) -> None:
    """What lies behind it is named."""
    spoil(file, "UPDATE log SET seq = 20 WHERE stream = 't:acme' AND seq = 4", "UPDATE log SET seq = -1 WHERE seq = 1")
    with closing(SqliteStore(file)) as store, store.archive() as archive:
        assert archive.documents("t:acme", 1, 10) == []
        assert len(archive.documents("t:acme", 2, 10)) == 2
        assert Place("t:acme", 20, "t:acme:20") in archive.beyond({"t:acme": 11})
        assert Place("t:acme", -1, "t:acme:-1") in archive.beyond({"t:acme": 20})


def test_a_file_holds_still_while_it_is_examined(file: Path) -> None:
    """A writer goes on, and what is examined stays as it was."""
    with closing(SqliteStore(file)) as store, store.archive() as archive:
        with closing(SqliteStore(file)) as other:
            other.write(deeds.pay("acme", 1))
        assert (archive.last("t:acme"), archive.head("t:acme").seq, archive.count(PAYMENT)) == (11, 11, 2)


# -- Elasticsearch ---------------------------------------------------------------------------------------------------


@pytest.fixture
def distant(emptied_server: BookServer) -> Iterator[ElasticStore]:
    """Return books that have begun."""
    with emptied_server.store() as store:
        begun(store)
        yield store


def test_versions_tell_which_entry_wrote_a_document(distant: ElasticStore) -> None:
    """A claim's is its generation."""
    with distant.archive() as archive:
        assert [one.version for one in archive.stored_by(PROJECT, ["alpha", "beta"]) if one] == [10, 11]
        assert [one.version for one in archive.stored(ASSOCIATION)] == [5, 6, 7]
        assert [one.version for one in archive.stored(CLAIM)] == [1, 1, 1]
        assert [one.version for one in archive.stored(TENANT)] == [archive.last("t:acme"), archive.last("t:bolt")]
        assert archive.signed


def test_rubbish_in_indices(emptied_server: BookServer, distant: ElasticStore) -> None:
    """Documents that lie where they do not belong, lack their names, or are nothing at all."""
    index = f"/{emptied_server.prefix}"
    log = [("t:acme:0", {"stream": "t:acme"}), ("t:acme:07", {}), ("nothing", {"stream": ["t:bolt", "x"], "seq": [7, 9]}),
           ("t:acme:99", {"stream": "t:bolt", "seq": 77}), ("t:acme:-1", {"seq": None}),
           (f"t:acme:{'9' * 30}", {"changes": "none"})]  # fmt: skip
    for record_id, document in log:
        emptied_server.create("log", record_id, document)
    for kind, record_id, document in (
        (TRANSACTION, "odd", {}),
        (TRANSACTION, "acme:9:0", {"id": "acme:10:0"}),
        (PROJECT, "other", {"id": "alpha"}),
        (TENANT, "acme", {"id": "acme", "head_seq": [1, 2]}),
        (SITE, "site", {"rate": None, "head_hash": None}),
    ):
        emptied_server.must("PUT", f"{index}{kind}/_doc/{record_id}", document)
    with distant.archive() as archive:
        assert {*STREAMS, "nothing"} - {*archive.streams()} <= {"nothing"}
        ends = {"g": 6, "t:acme": 11, "t:bolt": 5}
        assert sorted(place.id for place in archive.beyond(ends)) == sorted(record_id for record_id, _ in log)
        assert {one.id: bool(one.flaw) for one in archive.stored(TRANSACTION)}["odd"]
        assert [one.flaw != "" for one in archive.stored_by(TRANSACTION, ["acme:9:0", "odd"]) if one] == [True, True]
        assert [one.flaw != "" for one in archive.stored_by(PROJECT, ["other", "alpha"]) if one] == [True, False]
        for stream in ("t:acme", GLOBAL_STREAM):
            with pytest.raises(DamagedError):
                archive.head(stream)
        assert isinstance(archive.head("t:bolt"), Head)
        assert json.dumps(archive.documents("t:acme", 99, 5))
