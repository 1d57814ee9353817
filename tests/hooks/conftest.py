"""Fixtures: `bare`, a site whose books are still to be made, and `site`, one with money."""

from collections.abc import Iterator

import pytest

from tests.cli.shell import scratch
from tests.hooks.site import Site


@pytest.fixture
def bare() -> Iterator[Site]:
    """Lend a site without books."""
    with scratch() as folder:
        yield Site(folder)


@pytest.fixture
def site(bare: Site) -> Site:
    """Lend a site with a project that has money."""
    bare.open_books()
    return bare
