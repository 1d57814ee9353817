"""Fixtures of the tests of the transcripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import scratch


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a new folder to work in."""
    with scratch() as place:
        yield place
