"""Fixtures of the regression tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.shell import Shell, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Return a shell in a folder of its own, without books."""
    with scratch() as folder:
        yield Shell(folder)


@pytest.fixture
def books(shell: Shell) -> Shell:
    """Return a shell with a tenant that has money, and a rate of a dollar a second."""
    shell.ok("rate", "set", "--rate=3600")
    shell.ok("tenant", "add", "--tenant=acme")
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=1000000")
    return shell
