"""Where the stores of the histories lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def swift() -> Iterator[Path]:
    """Return an empty folder, in memory if possible: thousands of commits need not wait for a disk."""
    with scratch() as folder:
        yield folder
