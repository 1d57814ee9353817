"""A folder to work in, in memory where the machine has such."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a new folder to work in."""
    with scratch() as place:
        yield place
