"""The nursery, and a shell whose folder is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import Shell, scratch
from tests.concurrency.ledgers import distant_shell
from tests.concurrency.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.elastic.server import BookServer


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Return what brings up processes."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Return a shell with a folder of its own, and no books in it yet."""
    with scratch() as folder:
        yield Shell(folder)


@pytest.fixture
def distant(emptied_server: BookServer, tmp_path: Path) -> Shell:
    """Return a shell whose books are on Elasticsearch, set up and empty."""
    return distant_shell(tmp_path, emptied_server)
