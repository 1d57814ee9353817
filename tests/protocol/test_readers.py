"""Readers at every point in between: they see a prefix of the log, whole, and all that was acknowledged before."""

from __future__ import annotations

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import acme, founder, reader, writer

BALANCES = commands.balances("acme", "p", "q")
FIGURES = commands.figures("acme", "p")
CHARGED = ("seed-charge", commands.charge("seed-charge", "p", 3))


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize(
    "question", [BALANCES, FIGURES, commands.everything("t:acme")], ids=["balances", "figures", "everything"]
)
def test_a_reader_beside_a_writer(question: commands.Question, *, backwards: bool) -> None:
    """Balance, sums and search agree with each other and with the log, while somebody writes, or crashes."""
    charge = commands.charge("a", "p", 5, "j1", key="k")
    acme(CHARGED).explore(writer("a", charge), reader("r", question), luck=Luck(crashes=1), backwards=backwards)


@pytest.mark.parametrize("question", [BALANCES, commands.everything("t:acme")], ids=["balances", "everything"])
def test_a_reader_beside_two_writers(question: commands.Question) -> None:
    """The same with two writers, one of whom may crash."""
    actors = [writer(name, commands.charge(name, project, 5)) for name, project in ("ap", "bq")]
    acme().explore(*actors, reader("r", question), luck=Luck(crashes=1, switches=2))


@pytest.mark.torture
@pytest.mark.parametrize("question", [BALANCES, commands.everything("t:acme")], ids=["balances", "everything"])
def test_a_reader_beside_two_writers_in_every_way(question: commands.Question) -> None:
    """The same in every interleaving, and both writers may crash."""
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    acme().explore(*actors, reader("r", question), luck=Luck(crashes=2))


def test_two_readers_beside_a_writer() -> None:
    """Each reader for itself sees all that was acknowledged before it began."""
    actors = [reader("r", BALANCES), reader("s", BALANCES)]
    acme().explore(writer("a", commands.charge("a", "p", 5)), *actors, luck=Luck(crashes=1))


def test_a_reader_after_a_crash() -> None:
    """What a crashed writer committed counts, whatever of it was written."""
    for writes in range(1, 5):
        stage = acme(CHARGED)
        stage.before(writer("a", commands.charge("a", "p", 5, "j1", key="k")), writes=writes)
        stage.explore(reader("r", BALANCES), writer("b", commands.charge("b", "p", 1)))


def test_a_reader_of_everything_beside_a_new_tenant() -> None:
    """A tenant, its payment and its project that appear while all is read are seen as far as their log goes."""
    seconds = ("a-pays", commands.pay("a-pays", "new", 9)), ("a", commands.add_project("a", "n", "new", 5))
    stage = acme(to_come=["new"])
    stage.explore(
        founder("a", "new", *seconds), reader("r", commands.everything("t:acme", "t:new")), luck=Luck(crashes=1)
    )
