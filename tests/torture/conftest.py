"""Where the short form of the harness takes place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elastic.server import BookServer


@pytest.fixture(scope="session")
def near() -> Iterator[Site]:
    """Return a site for rounds on SQLite."""
    with Site() as site:
        yield site


@pytest.fixture(scope="session")
def distant(near: Site, two_lasting_servers: tuple[BookServer, BookServer]) -> Iterator[Site]:
    """Return a site for rounds on Elasticsearch."""
    with Site(near.nursery, two_lasting_servers) as site:
        yield site
