"""Folders in memory, and books on both kinds of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backups import versions
from tests.cli.shell import Shell, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.elastic.server import BookServer


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a new folder to work in."""
    with scratch() as place:
        yield place


@pytest.fixture
def sqlite(folder: Path) -> Shell:
    """Return a shell with books on SQLite that hold something of everything."""
    shell = Shell(folder)
    versions.fill(shell)
    return shell


@pytest.fixture
def distant(folder: Path, clean_server: BookServer) -> Shell:
    """Return a shell whose store is an Elasticsearch without books."""
    return Shell(folder, f"{clean_server.server.url}/{clean_server.prefix}")
