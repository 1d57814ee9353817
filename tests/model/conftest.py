"""Where the stores of the histories lie."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.elastic.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elasticsearch_server import Server as Running

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- each test makes a folder of its own in it


@pytest.fixture
def swift(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder in memory, where the machine has one: thousands of commits need not wait for a disk."""
    if not (SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="dca-model-", dir=SHARED_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def distant(elasticsearch: Running) -> Iterator[Server]:
    """Return a server with indices that last over all histories: making them takes a second."""
    server = Server(elasticsearch.url, f"model-{os.getpid()}-")
    server.wipe()
    yield server
    server.wipe()
