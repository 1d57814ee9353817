"""Where the stores of the histories lie."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.elasticsearch_server.cleaning import clean_up
from tests.model.distant import Distant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elasticsearch_server import Server

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
def distant(elasticsearch: Server) -> Iterator[Distant]:
    """Return indices that last over all histories, since making them takes seconds."""
    prefix = f"model-{secrets.token_hex(4)}-"
    distant = Distant(elasticsearch.url, prefix)
    yield distant
    distant.close()
    clean_up(elasticsearch, prefix)
