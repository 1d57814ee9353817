"""The fixtures `clean_server`, with no books on it, and `emptied_server`, with books that are set up and empty."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.elastic.server import BookServer
from tests.elasticsearch_server.cleaning import clean_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elasticsearch_server.server import Server


@contextmanager
def lasting(elasticsearch: Server, name: str) -> Iterator[BookServer]:
    """Lend books whose indices can be emptied and used again: making them takes a second or more."""
    prefix = f"{name}-{os.getpid()}-"
    clean_up(elasticsearch, prefix)
    server = BookServer(elasticsearch, prefix)
    with server.store() as store:
        store.setup()
    server.forget_quickly()
    yield server
    clean_up(elasticsearch, prefix)


@pytest.fixture(scope="session")
def lasting_server(elasticsearch: Server) -> Iterator[BookServer]:
    """Return a server with indices that last over all tests."""
    with lasting(elasticsearch, "lasting") as server:
        yield server


@pytest.fixture(scope="session")
def two_lasting_servers(elasticsearch: Server) -> Iterator[tuple[BookServer, BookServer]]:
    """Return two of them, to be used by turns: what the one has to forget takes its time, and the other is ready."""
    with lasting(elasticsearch, "first") as first, lasting(elasticsearch, "second") as second:
        yield first, second


@pytest.fixture
def emptied_server(lasting_server: BookServer) -> BookServer:
    """Return a server with empty books."""
    lasting_server.empty()
    return lasting_server


@pytest.fixture
def clean_server(elasticsearch: Server, prefix: str) -> BookServer:
    """Return a server without books."""
    return BookServer(elasticsearch, prefix)
