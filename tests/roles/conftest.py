"""The fixture `peopled`: books with real users, made once for all tests, each of which uses tenants of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.roles import people

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elasticsearch_server.server import Server
    from tests.roles.people import Site


@pytest.fixture(scope="session")
def peopled(elasticsearch: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Make the books."""
    with people.site(tmp_path_factory.mktemp("peopled"), elasticsearch, "peopled") as made:
        yield made
