"""The fixtures `elasticsearch` and `prefix`, and one server for all workers where pytest-xdist runs the tests."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.elasticsearch_server import VARIABLE, MissingServerError, Server, running
from tests.elasticsearch_server.cleaning import clean_up


def pytest_configure(config: pytest.Config) -> None:
    """Start the server before the workers of a distributed run: they inherit its name, and none has to own it."""
    is_worker = hasattr(config, "workerinput")
    if is_worker or config.getoption("dist", "no") == "no" or config.option.collectonly:
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        os.environ[VARIABLE] = stack.enter_context(running()).url
    except MissingServerError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Server]:
    """Lend a real Elasticsearch, started by the first test that asks; without one the test fails and says why."""
    problem = ""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(running())
        except MissingServerError as error:
            problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture
def prefix(elasticsearch: Server) -> Iterator[str]:
    """Give the test a prefix for all its names on the server, and delete afterwards what has it."""
    unique = f"t{secrets.token_hex(4)}-"
    yield unique
    clean_up(elasticsearch, unique)
