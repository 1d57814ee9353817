"""Writers who may not finish what others left: they go on beside it, and whoever may finishes it."""

from __future__ import annotations

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import acme, reader, writer

DENIED = ("association", "payment")


@pytest.mark.parametrize(
    "admin", [commands.pay("b", "acme", 5), commands.add_user("b", "p", "ann")], ids=["pays", "adds a user"]
)
def test_beside_an_administrator(admin: commands.Decide) -> None:
    """A hook that may only charge is never held up by an administrator who writes or crashes."""
    hook = writer("a", commands.charge("a", "p", 5), denied=DENIED)
    acme().explore(hook, writer("b", admin), luck=Luck(crashes=2))


@pytest.mark.parametrize("writes", [1, 2])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_after_an_administrator_crashed(writes: int, *, backwards: bool) -> None:
    """Hooks go on beside an unfinished entry; the head stays before it until somebody with rights has come."""
    stage = acme()
    stage.before(writer("b", commands.pay("b", "acme", 5)), writes=writes)
    hooks = [writer(name, commands.charge(name, "p", 5), denied=DENIED) for name in "ac"]
    stage.explore(*hooks, luck=Luck(crashes=1), backwards=backwards)


def test_a_writer_with_rights_finishes() -> None:
    """A hook, and somebody who may finish: in every order the head comes to the end, or stays where it must."""
    stage = acme()
    stage.before(writer("b", commands.add_user("b", "p", "ann")), writes=1)
    hook = writer("a", commands.charge("a", "p", 5), denied=DENIED)
    stage.explore(hook, writer("c", commands.charge("c", "q", 7)), luck=Luck(crashes=1))


@pytest.mark.torture
def test_a_reader_beside_those_with_and_without_rights() -> None:
    """A reader sees the unfinished entry, and what came after it, at every moment."""
    stage = acme()
    stage.before(writer("b", commands.add_user("b", "p", "ann")), writes=1)
    hook = writer("a", commands.charge("a", "p", 5), denied=DENIED)
    stage.explore(hook, writer("c", commands.charge("c", "q", 7)), reader("r", commands.balances("acme", "p")))


@pytest.mark.torture
def test_hooks_beside_an_administrator_in_every_way() -> None:
    """Two hooks and an administrator, two of whom may crash."""
    hooks = [writer(name, commands.charge(name, project, 5), denied=DENIED) for name, project in ("ap", "cq")]
    acme().explore(*hooks, writer("b", commands.pay("b", "acme", 5)), luck=Luck(crashes=2))
