"""Processes that remember what they read and wrote before, beside others: it is never older than it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import Stage, acme, deferrer, early_charges, lasting, reader, worker, writer

if TYPE_CHECKING:
    from tests.protocol.commands import Decide

BALANCES = commands.balances("acme", "p", "q")


def charges(name: str, *projects: str) -> list[tuple[str, Decide]]:
    """Return charges of one author, one after the other."""
    return [
        (f"{name}{number}", commands.charge(f"{name}{number}", project, 5)) for number, project in enumerate(projects)
    ]


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("other", ["charges", "adds a user", "pays"])
def test_a_lasting_writer_beside_another(other: str, *, backwards: bool) -> None:
    """The second command begins at the head that the first one left, which may be the last or not."""
    decide = {
        "charges": commands.charge("b", "p", 3),
        "adds a user": commands.add_user("b", "p", "ann"),
        "pays": commands.pay("b", "acme", 9),
    }[other]
    actors = lasting(*charges("a", "p", "p")), writer("b", decide)
    acme().explore(*actors, luck=Luck(crashes=1), backwards=backwards)


def test_a_lasting_writer_whose_records_are_not_written() -> None:
    """A head that was not acknowledged is not remembered, nor one before which something is missing."""
    acme().explore(lasting(*charges("a", "p", "q")), luck=Luck(failures=2))
    actors = lasting(*charges("a", "p", "p")), writer("b", commands.charge("b", "q", 3))
    acme().explore(*actors, luck=Luck(failures=1, switches=2))


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("writes", [1, 3, 9])
def test_an_old_memory(writes: int, *, backwards: bool) -> None:
    """Others have gone on since, or crashed on the way: a reader sees it all, a writer begins after it."""
    stage = acme()
    memory = stage.memory(BALANCES)
    stage.before(writer("b", commands.charge("b", "p", 7)), writes=writes)
    actors = lasting(*charges("a", "p"), memory=memory), reader("r", BALANCES, memory=memory)
    stage.explore(*actors, luck=Luck(crashes=1), backwards=backwards)


def test_a_memory_of_other_books() -> None:
    """Books that were wiped, or came back from a backup, are read anew."""
    older, newer = acme(to_come=["other"]), acme(*charges("x", "p", "q"))
    memory = newer.memory(BALANCES)
    older.explore(lasting(*charges("a", "p"), memory=memory), reader("r", BALANCES, memory=memory))
    memory = Stage("acme", "other", seeds=[("seed-p", commands.add_project("seed-p", "p", "other", 5))]).memory(
        commands.balances("other", "p")
    )
    older.explore(lasting(*charges("c", "p"), memory=memory))


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_records_that_are_written_later(*, backwards: bool) -> None:
    """An author goes on to decide while others of its process write the records, at any moment, and another writes."""
    stage = acme()
    seq = stage.next_seq("t:acme")
    actors = deferrer(*charges("a", "p", "p")), worker("w", "t:acme", seq, 2), reader("r", commands.figures("acme"))
    stage.explore(*actors, luck=Luck(crashes=1), backwards=backwards)


def test_records_that_are_written_later_beside_a_writer() -> None:
    """Somebody else's entry comes in between."""
    stage = acme()
    seq = stage.next_seq("t:acme")
    actors = deferrer(*charges("a", "p", "p")), worker("w", "t:acme", seq, 1), writer("b", commands.charge("b", "q", 3))
    stage.explore(*actors, luck=Luck(crashes=1, switches=3))


@pytest.mark.parametrize("other", ["j0", "j1", ""])
def test_records_that_are_read_early(other: str) -> None:
    """What a command will ask for is read before the one that precedes it; somebody else charges one of the jobs."""
    stage = acme()
    stage.explore(early_charges(stage), writer("b", commands.charge("b", "q", 3, other)))


def test_records_that_are_read_early_and_written_later() -> None:
    """The records of the first command may be written when those of the second were read, or not yet."""
    stage = acme()
    seq = stage.next_seq("t:acme")
    actors = early_charges(stage), worker("w", "t:acme", seq, 2), writer("b", commands.charge("b", "q", 3, "j1"))
    stage.explore(*actors, luck=Luck(switches=2))


@pytest.mark.torture
def test_records_that_are_read_early_and_written_later_in_more_ways() -> None:
    """The same, with more turns, and a crash."""
    stage = acme()
    seq = stage.next_seq("t:acme")
    actors = early_charges(stage), worker("w", "t:acme", seq, 2), writer("b", commands.charge("b", "q", 3, "j1"))
    stage.explore(*actors, luck=Luck(crashes=1, switches=4))


@pytest.mark.torture
def test_records_that_are_written_later_beside_a_writer_in_every_way() -> None:
    """The same in every interleaving."""
    stage = acme()
    seq = stage.next_seq("t:acme")
    actors = deferrer(*charges("a", "p", "p")), worker("w", "t:acme", seq, 2), writer("b", commands.charge("b", "q", 3))
    stage.explore(*actors, luck=Luck(crashes=1))
