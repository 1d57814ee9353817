"""Books that have begun, in a file and on Elasticsearch, to be tampered with."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import PERMITTED, rows
from dca.store.elastic import ElasticStore
from dca.store.indices import NAMES
from dca.store.sqlite import SqliteStore
from tests.contract import deeds
from tests.verify.attacked import Attacked, AttackedFile, AttackedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dca.store.port import Store
    from tests.elastic.server import BookServer


def begin(store: Store) -> None:
    """Begin the books."""
    for deed in [*deeds.begin(), deeds.reserve("acme", "beta", 60, "main/7/700"), deeds.pay("bolt", 5, key="k1")]:
        store.write(deed)


@pytest.fixture(scope="session")
def begun_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with books that have begun."""
    path = tmp_path_factory.mktemp("begun") / "books.db"
    with closing(SqliteStore(path)) as store:
        store.setup()
        begin(store)
    return path


@pytest.fixture
def file_books(begun_file: Path, tmp_path: Path) -> Iterator[AttackedFile]:
    """Return books in a file."""
    path = tmp_path / "books.db"
    shutil.copy(begun_file, path)
    with closing(SqliteStore(path)) as store:
        yield AttackedFile(store, path)


@pytest.fixture(scope="session")
def begun_documents(lasting_server: BookServer) -> list[Any]:
    """Return the documents of books that have begun, as lines that put them back."""
    lasting_server.empty()
    with lasting_server.store() as store:
        begin(store)
    lasting_server.must("POST", f"/{lasting_server.prefix}*/_refresh")
    lines: list[Any] = []
    for name in NAMES:
        search = {"size": 1_000, "version": True}
        for hit in lasting_server.must("POST", f"/{lasting_server.prefix}{name}/_search", search)["hits"]["hits"]:
            target = {"_index": lasting_server.index(name), "_id": hit["_id"], "version": hit["_version"]}
            lines += [{"index": {**target, "version_type": "external"}}, hit["_source"]]
    return lines


@pytest.fixture
def server_books(emptied_server: BookServer, begun_documents: list[Any]) -> Iterator[AttackedServer]:
    """Return books on Elasticsearch."""
    emptied_server.empty()  # the books may just have been begun for the first time
    put = emptied_server.must("POST", "/_bulk?refresh=true", begun_documents)
    assert not put["errors"], put
    with closing(ElasticStore(emptied_server.address, PERMITTED, rows=rows())) as store:
        yield AttackedServer(store, emptied_server)


@pytest.fixture(params=["file_books", "server_books"])
def books(request: pytest.FixtureRequest) -> Attacked:
    """Return books in one store after the other."""
    found: Attacked = request.getfixturevalue(request.param)
    return found
