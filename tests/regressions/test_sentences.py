"""What once was a traceback, or an answer that misled."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.shell import Shell


@pytest.mark.parametrize("values", [[10**30, "x"], [-(10**30), "x"], [1, "\ud800"]], ids=["huge", "low", "half"])
def test_marks_that_no_store_can_hold(values: list[object], books: Shell) -> None:
    """A made-up mark of a page is refused, whatever stands in it."""
    mark = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    for words in (("transaction", "list"), ("transaction", "holds")):
        result = books.run(*words, f"--after={mark}")
        assert (result.status, result.answer["code"]) == (2, "usage")
    mark = base64.urlsafe_b64encode(json.dumps([*values, 1]).encode()).decode()
    assert books.run("log", "list", f"--after={mark}").status == 2


def test_a_dry_run_beside_an_impossible_file(shell: Shell) -> None:
    """A dry run on a file whose name is too long says so."""
    result = shell.run("rate", "set", "--rate=1", "--dry-run", environment={"DCA_STORE": f"sqlite:/tmp/{'x' * 300}"})
    assert (result.status, result.answer["code"]) == (3, "unreachable")


def test_a_setup_that_fails_leaves_no_config(shell: Shell) -> None:
    """A config must not keep the name of a store that could not be set up."""
    assert shell.run("setup", environment={"DCA_STORE": "sqlite:/proc/nowhere/books.db"}).status == 3
    assert not (shell.folder / ".dca" / "config").exists()


def test_diagnostics_that_cannot_be_written(shell: Shell) -> None:
    """A full disk below stderr keeps no command from its work."""
    result = shell.process("rate", "set", "--rate=1", before=("sh", "-c", '"$@" 2> /dev/full', "sh"))
    assert (result.status, result.answer["rate"]) == (0, 1)
