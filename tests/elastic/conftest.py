"""Fixtures of permissions: the guard of empty books, and the same as others see it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.elastic.guarded import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dca.store.elastic_guard import ElasticGuard
    from tests.elastic.guarded import AsUser
    from tests.elastic.server import BookServer


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder."""
    with tempfile.TemporaryDirectory(prefix="dca-test-") as made:
        yield Path(made)


@pytest.fixture
def guard(emptied_server: BookServer) -> Iterator[ElasticGuard]:
    """Return the guard of empty books, asked by the superuser."""
    with emptied_server.store(guarded=True) as store:
        store.guard().register()
        yield store.guard()


@pytest.fixture
def ann(prefix: str) -> str:
    """Return a login that is taken away after the test."""
    return f"{prefix}ann"


@pytest.fixture
def as_user(emptied_server: BookServer) -> Iterator[AsUser]:
    """Return a function that returns the guard as somebody else asks it."""
    with ExitStack() as stack:

        def ask(login: str = "", **address: str) -> ElasticGuard:
            credentials = {"username": login, "password": PASSWORD if login else "", **address}
            return stack.enter_context(emptied_server.store(guarded=True, wait_seconds=5, **credentials)).guard()

        yield ask
