"""Project names: unique over all tenants, never lost to a crash, and never given away while in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import Stage, adder, writer

if TYPE_CHECKING:
    from tests.protocol.cast import Actor

TENANTS = ("a1", "b1", "c1")


def add(name: str, tenant: str, **options: Any) -> Actor:
    """Return somebody who adds the project n to a tenant."""
    others = (other for other in TENANTS if other != tenant)
    return adder(name, "n", tenant, *others, **options)


BUSY = ("busy",)
"""What may be told to those who take a name from each other over and over."""


def test_two_tenants_at_once() -> None:
    """Two tenants want one name, and either may crash at every step: at most one of them has it."""
    Stage("a1", "b1").explore(add("x", "a1", may_hear=BUSY), add("y", "b1", may_hear=BUSY), luck=Luck(crashes=1))


@pytest.mark.torture
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_two_tenants_at_once_and_again(monkeypatch: pytest.MonkeyPatch, *, backwards: bool) -> None:
    """The same with both crashing, and with each taking the name from the other more than once."""
    monkeypatch.setattr(commands, "PATIENCE", 2)
    Stage("a1", "b1").explore(
        add("x", "a1", may_hear=BUSY), add("y", "b1", may_hear=BUSY), luck=Luck(crashes=2), backwards=backwards
    )


def test_two_of_one_tenant_at_once() -> None:
    """Two writers of one tenant use its claim together; one of them adds the project, the other is refused."""
    Stage("a1").explore(add("x", "a1"), add("y", "a1"), luck=Luck(crashes=2))


def test_a_lost_answer_to_a_claim() -> None:
    """A claim, or an entry, whose answer is lost lands late or never: the project is added once."""
    actors = [add(name, "a1", may_hear=["outcome_unknown", "busy"]) for name in "xy"]
    Stage("a1").explore(*actors, luck=Luck(timeouts=1, deadlines=1))


def idle() -> Stage:
    """Return books in which the tenant a1 claimed n and crashed."""
    stage = Stage(*TENANTS)
    stage.before(add("earlier", "a1"), writes=1)
    return stage


def test_an_idle_claim_is_used_again() -> None:
    """A claim that a crash left is used by the next who wants the name, whichever tenant that is."""
    for tenant in ("a1", "b1"):
        idle().explore(add("x", tenant), luck=Luck(crashes=1))


def given_away(writes: int) -> Stage:
    """Return books in which b1 had the idle claim of a1 released, and crashed after so many writes."""
    stage = idle()
    stage.before(add("taker", "b1"), writes=writes)
    return stage


@pytest.mark.parametrize("writes", [1, 2, 3, 4, 5])
def test_a_name_that_was_given_away(writes: int) -> None:
    """However much of the release was written, the name is the new tenant's, and one of two writers adds the project."""
    given_away(writes).explore(add("x", "b1"), add("y", "b1"), luck=Luck(crashes=1))


@pytest.mark.parametrize("pair", [("a1", "b1"), ("b1", "c1")], ids=" and ".join)
def test_a_name_that_goes_on(pair: tuple[str, str]) -> None:
    """A name whose release is not carried out yet may go on to a third tenant, and back; one project comes of it."""
    first, second = pair
    given_away(1).explore(add("x", first, may_hear=BUSY), add("y", second, may_hear=BUSY), luck=Luck(switches=2))


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_name_that_went_on(writes: int) -> None:
    """Of two releases in two streams the later one counts, whichever of them is carried out."""
    stage = given_away(1)
    stage.before(add("third", "c1"), writes=writes)
    stage.explore(add("x", "b1", may_hear=BUSY), add("y", "c1", may_hear=BUSY), luck=Luck(switches=2))


def test_charging_a_project_whose_name_was_given_away() -> None:
    """A charge finds the tenant of a project whose claim still names another, while it is added."""
    stage = given_away(1)
    charge = writer("c", commands.charge("c", "n", 5), may_hear=("not_found",))
    stage.explore(add("x", "b1"), charge, luck=Luck(crashes=1))
