"""Fixtures of the tests of the command line."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cli import calls
from tests.cli.shell import Shell, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Model(NamedTuple):
    """Books made once, to be copied for each test."""

    folder: Path
    places: dict[str, str]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a new folder to work in."""
    with scratch() as place:
        yield place


@pytest.fixture
def shell(folder: Path) -> Shell:
    """Return a shell without books."""
    return Shell(folder)


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    """Make the books that the calls are for, once."""
    with scratch() as place:
        places = calls.make(Shell(place))
        yield Model(place, places)


@pytest.fixture(scope="session")
def open_model() -> Iterator[Model]:
    """Make the same books without a root, once."""
    with scratch() as place:
        places = calls.make(Shell(place), closed=False)
        yield Model(place, places)


def copied(model: Model, folder: Path) -> Shell:
    """Return a shell with a copy of books."""
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    (folder / ".dca" / "config").unlink()  # it names the first of all these books
    return Shell(folder)


@pytest.fixture
def books(model: Model, folder: Path) -> Shell:
    """Return a shell with the books that the calls are for."""
    return copied(model, folder)


@pytest.fixture
def open_books(open_model: Model, folder: Path) -> Shell:
    """Return a shell with the same books as long as they are open to whoever may open their file."""
    return copied(open_model, folder)
