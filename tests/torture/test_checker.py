"""The checker of histories finds what it is there to find: each fault is planted once and has to be noticed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.model.side import Memory, Side
from tests.model.steps import Step
from tests.torture.checker import FOR_EVER, Event, check
from tests.torture.race import opening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dca.store.port import Entry

SHOW = Step("project show", {"--project": "t0p0"})
NOW = 1_700_000_000_000


def reserve(number: int, *, seconds: int = 1000) -> Step:
    """Return the step to hold money."""
    options: dict[str, str | bool] = {"--project": "t0p0", "--estimate": str(seconds), "--job": f"lab/{number}/1"}
    return Step("transaction reservebudget", options, key=f"reserve-{number}-{seconds}")


def charge(number: int, key: str = "") -> Step:
    """Return the step to charge a job."""
    options: dict[str, str | bool] = {"--project": "t0p0", "--user": "anna", "--jobtime": "500"}
    options |= {"--job": f"lab/{number}/1", "--start": "1600000000"}
    return Step("transaction charge", options, key=key or f"charge-{number}")


class Tape:
    """A history as it is recorded, on books in memory that stand for real ones."""

    def __init__(self, folder: Path) -> None:
        """Open the books."""
        self.folder = folder
        self.books = Side("reality", Memory())
        self.model = Side("memory", Memory())
        for side in (self.books, self.model):
            for step in opening(1):
                side.run(step, NOW, lambda: "opening", folder)
        self.events: list[Event] = []
        self.time = 0

    def do(self, step: Step, *, process: int = 0) -> Event:
        """Run a step after all those before it."""
        outcome = self.books.run(step, NOW, lambda: f"real-{self.time}", self.folder)
        self.time += 10
        said = json.loads(outcome.text)
        event = Event(process, step, self.time, self.time + 5, 0 if outcome.ok else 1, said)
        self.events.append(event)
        return event

    @property
    def log(self) -> list[Entry]:
        """Return the log."""
        return self.books.store.entries("t:t0", 1, FOR_EVER)

    def check(self, log: list[Entry] | None = None) -> int:
        """Check what was recorded."""
        return check(self.events, self.log if log is None else log, self.model, self.folder)


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """Return a tape with a few commands on it: a question, holds, one of them refused, and a charge that is repeated."""
    tape = Tape(tmp_path)
    for step in (SHOW, reserve(1), SHOW, reserve(2), reserve(3, seconds=100_000), charge(1), SHOW, charge(1)):
        tape.do(step)
    return tape


def test_what_is_right_passes(tape: Tape) -> None:
    """Each answer is explained, also where calls overlap and where nobody knows when they ended."""
    tape.events[1] = tape.events[1]._replace(end=FOR_EVER, status=None, answer={})
    tape.events[2] = tape.events[2]._replace(call=tape.events[0].call)
    tape.events[5] = tape.events[5]._replace(call=tape.events[3].call)
    assert tape.check() == 8


def stale_read(tape: Tape) -> None:
    """Somebody who asks after a hold was acknowledged does not see it."""
    tape.events[2] = tape.events[2]._replace(answer=tape.events[0].answer)


def future_read(tape: Tape) -> None:
    """Somebody sees a hold that is made only after they were answered."""
    tape.events[0] = tape.events[0]._replace(answer=tape.events[2].answer)


def going_back(tape: Tape) -> None:
    """While a hold is made, one sees it, and another who asks later does not."""
    unseen, held, seen = tape.events[:3]
    tape.events[:3] = [
        held._replace(call=0, end=50),
        seen._replace(call=10, end=20),
        unseen._replace(call=30, end=40),
    ]


def out_of_thin_air(tape: Tape) -> None:
    """An answer says what the books never held."""
    tape.events[6] = tape.events[6]._replace(answer={**tape.events[6].answer, "project": {"balance": 1}})


def wrong_order(tape: Tape) -> None:
    """The log has two commands in the other order than they were done in."""
    tape.events[1], tape.events[3] = (
        tape.events[1]._replace(call=tape.events[3].call, end=tape.events[3].end),
        tape.events[3]._replace(call=tape.events[1].call, end=tape.events[1].end),
    )


def refused_for_nothing(tape: Tape) -> None:
    """A hold is refused that the project could afford."""
    tape.events[4] = tape.events[4]._replace(step=reserve(3, seconds=1000))


def refused_and_done(tape: Tape) -> None:
    """A command is in the log though it was answered that it is refused."""
    tape.events[3] = tape.events[3]._replace(status=1, answer=tape.events[4].answer)


def wrong_answer(tape: Tape) -> None:
    """A charge says another cost than was booked."""
    booked = tape.events[5].answer
    tape.events[5] = tape.events[5]._replace(
        answer={**booked, "transaction": {**booked["transaction"], "cost": 4}},
    )


def did_it_twice(tape: Tape) -> None:
    """A client that did not recognise its own entry sends it again, and is told that it was done before."""
    alone = Step("tenant payment", {"--tenant": "t0", "--payment": "5"}, key="alone")
    paid = tape.do(alone)
    tape.events[-1] = paid._replace(answer={**paid.answer, "repeated": True})


PLANTED: dict[Callable[[Tape], None], str] = {
    stale_read: "no place after entry",
    future_read: "no place after entry",
    going_back: "no place after entry",
    out_of_thin_air: "no place after entry",
    wrong_order: "no place after entry",
    refused_for_nothing: "no place after entry",
    refused_and_done: "nobody says to have done",
    wrong_answer: "by the model",
    did_it_twice: "done before, by nobody",
}
"""Faults, and what the checker says."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[Tape], None], tape: Tape) -> None:
    """A history with one fault in it is no history of these books."""
    plant(tape)
    with pytest.raises(AssertionError, match=PLANTED[plant]):
        tape.check()


def test_a_lost_update_is_found(tape: Tape) -> None:
    """An acknowledged command that is not in the log, or whose entry started from older records, is found."""
    with pytest.raises(AssertionError, match="acknowledged and not in the log"):
        tape.check(tape.log[:-1])
    late = Tape(tape.folder)
    late.do(reserve(2))
    *before, held, charged = tape.log
    with pytest.raises(AssertionError, match="something else than the model"):
        tape.check([*before, held._replace(changes=late.log[-1].changes), charged])


def test_a_double_charge_is_found(tape: Tape) -> None:
    """A job that is charged by two entries is found, whether under one key or under two."""
    with pytest.raises(AssertionError, match="done twice"):
        tape.check([*tape.log, tape.log[-1]])
    again = Tape(tape.folder)
    again.do(charge(1, "another"))
    tape.events.append(again.events[0]._replace(call=1000, end=1001))
    with pytest.raises(AssertionError, match="something else than the model"):
        tape.check([*tape.log, again.log[-1]])
