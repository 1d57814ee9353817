"""The fixtures `clean_server`, with no books on it, and `emptied_server`, with books that are set up and empty."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.elastic.server import BookServer
from tests.elasticsearch_server.cleaning import clean_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elasticsearch_server.server import Server


@pytest.fixture(scope="session")
def lasting_server(elasticsearch: Server) -> Iterator[BookServer]:
    """Return a server with indices that last over all tests: making them takes a second or more."""
    prefix = f"lasting-{os.getpid()}-"
    clean_up(elasticsearch, prefix)
    server = BookServer(elasticsearch, prefix)
    with server.store() as store:
        store.setup()
    server.forget_quickly()
    yield server
    clean_up(elasticsearch, prefix)


@pytest.fixture
def emptied_server(lasting_server: BookServer) -> BookServer:
    """Return a server with empty books."""
    lasting_server.empty()
    return lasting_server


@pytest.fixture
def clean_server(elasticsearch: Server, prefix: str) -> BookServer:
    """Return a server without books."""
    return BookServer(elasticsearch, prefix)
