"""Answers that are lost, effects that come late or never, a store that cannot be reached, and time that runs out."""

from __future__ import annotations

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import acme, reader, writer

UNKNOWN = ("outcome_unknown", "busy")


def test_a_lost_answer() -> None:
    """Creates whose answers are lost land at any later step, or never; each is acknowledged once and booked once."""
    acme().explore(writer("a", commands.charge("a", "p", 5)), luck=Luck(timeouts=3))


def test_lost_answers_beside_another_writer() -> None:
    """The same while another writes, and one may crash."""
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    acme().explore(*actors, luck=Luck(timeouts=1, crashes=1))


def test_time_runs_out() -> None:
    """Whose time runs out is told that nothing was changed, or, after an answer was lost, that it cannot be known."""
    actors = [writer(name, commands.charge(name, "p", 5), may_hear=UNKNOWN) for name in "ab"]
    acme().explore(*actors, luck=Luck(timeouts=2, deadlines=1))


def test_time_runs_out_only_then() -> None:
    """Nobody whose answer came is told that the outcome is unknown."""
    actors = [writer(name, commands.charge(name, "p", 5), may_hear=("busy",)) for name in "ab"]
    acme().explore(*actors, luck=Luck(deadlines=2))


def test_documents_that_are_not_written() -> None:
    """Records and heads whose writing fails, and comes late or never, hold up nobody and lose nothing."""
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    acme().explore(*actors, luck=Luck(failures=1, crashes=1))


def test_documents_that_are_not_written_beside_a_reader() -> None:
    """What was acknowledged is read, though its records were never written."""
    actors = [writer("a", commands.charge("a", "p", 5)), reader("r", commands.balances("acme", "p"))]
    acme().explore(*actors, luck=Luck(failures=2))


def test_the_store_cannot_be_reached() -> None:
    """Whoever is told that the store cannot be reached has changed nothing; whoever committed is told so."""
    may_hear = ("unreachable", "outcome_unknown")
    actors = [writer(name, commands.charge(name, "p", 5), may_hear=may_hear) for name in "ab"]
    acme().explore(*actors, luck=Luck(outages=1, timeouts=1))


@pytest.mark.torture
def test_everything_at_once() -> None:
    """Lost answers, failed writes, a crash and a deadline, between two writers."""
    actors = [writer(name, commands.charge(name, "p", 5), may_hear=UNKNOWN) for name in "ab"]
    acme().explore(*actors, luck=Luck(timeouts=1, failures=1, crashes=1, deadlines=1))
