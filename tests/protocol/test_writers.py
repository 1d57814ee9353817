"""Writers of one tenant, who may crash at every step: nothing is lost, doubled, half done or decided on stale figures."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import pytest

from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.stage import acme, founder, reader, writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.commands import Decide

HELD = ("seed-hold", commands.hold("seed-hold", "p", 20, "j1"))
"""A hold of p for the job j1, before anything else."""
CHARGED = ("seed-charge", commands.charge("seed-charge", "p", 3, "j0"))
"""And a charge of the job j0."""

DOINGS: dict[str, Callable[[str], Decide]] = {
    "charges p": lambda name: commands.charge(name, "p", 5),
    "charges q": lambda name: commands.charge(name, "q", 7),
    "settles the hold of j1": lambda name: commands.charge(name, "p", 5, "j1", key="k"),
    "settles the oldest hold": lambda name: commands.charge_oldest(name, "p", 20),
    "holds": lambda name: commands.hold(name, "p", 7, "j2"),
    "takes a charge back": lambda name: commands.take_back(name, "p", "j0"),
    "moves": lambda name: commands.move(name, "p", "q", 5),
    "pays": lambda name: commands.pay(name, "acme", 5),
    "adds a user": lambda name: commands.add_user(name, "p", "ann"),
}


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("pair", list(combinations_with_replacement(DOINGS, 2)), ids=" and ".join)
def test_two_writers(pair: tuple[str, str], *, backwards: bool) -> None:
    """Whatever two writers do, and whether none, one or both of them crash, the books stay right."""
    first, second = (DOINGS[doing](name) for doing, name in zip(pair, "ab", strict=True))
    actors = [writer("a", first), writer("b", second, may_hear=("refused",))]
    if pair == ("adds a user", "adds a user"):
        actors[0] = writer("a", first, may_hear=("refused",))
    acme(HELD, CHARGED).explore(*actors, luck=Luck(crashes=2), backwards=backwards)


def test_three_writers() -> None:
    """Three writers, one of whom may crash, as long as nobody is left more than twice while it could go on."""
    actors = [writer(name, commands.charge(name, project, 5)) for name, project in ("ap", "bq", "cp")]
    acme().explore(*actors, luck=Luck(crashes=1, switches=2))


@pytest.mark.torture
@pytest.mark.parametrize("third", ["charges p", "moves", "pays"])
def test_three_writers_in_every_way(third: str) -> None:
    """Three writers, two of whom may crash, in every interleaving there is."""
    actors = [writer("a", commands.charge("a", "p", 5)), writer("b", commands.charge("b", "q", 7))]
    acme().explore(*actors, writer("c", DOINGS[third]("c")), luck=Luck(crashes=2))


@pytest.mark.torture
def test_four_writers() -> None:
    """Four writers, one of whom may crash, as long as nobody is left more than twice while it could go on."""
    actors = [writer(name, commands.charge(name, project, 5)) for name, project in ("ap", "bq", "cp", "dq")]
    acme().explore(*actors, luck=Luck(crashes=1, switches=2))


@pytest.mark.parametrize("pair", [("charges p", "charges p"), ("settles the hold of j1", "moves")], ids=" and ".join)
def test_what_is_left_out_makes_no_difference(pair: tuple[str, str]) -> None:
    """The reduced exploration ends in the very worlds in which the full one ends, and passes through the same."""
    ends = []
    for reduced in (True, False):
        stage = acme(HELD)
        actors = [writer(name, DOINGS[doing](name)) for doing, name in zip(pair, "ab", strict=True)]
        stage.explore(*actors, luck=Luck(crashes=1), reduced=reduced)
        found = stage.exploration
        shown = [{key: stage.shelf.read(world, key) for key in stage.shelf.keys} for world in found.worlds]
        ends.append(
            (
                {repr(sorted(map(repr, one.items()))) for one in shown},
                {repr(sorted(map(repr, shown[number].items()))) for number in found.finals},
            )
        )
    assert ends[0] == ends[1]


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_after_a_founder_crashed(*, backwards: bool) -> None:
    """A tenant whose founder crashed before it was written: whoever comes next writes it before anything else."""
    stage = acme(to_come=["new"])
    stage.before(founder("f", "new"), writes=1)
    actors = [
        writer("a", commands.pay("a", "new", 5)),
        writer("b", commands.add_project("b", "n", "new", 0), may_hear=("refused",)),
    ]
    stage.explore(*actors, luck=Luck(crashes=2, failures=1), backwards=backwards)


def test_the_head_comes_to_the_end() -> None:
    """After two crashes a single further writer with all rights brings the head to the end of the log."""
    stage = acme()
    for name in "ab":
        stage.before(writer(name, commands.charge(name, "p", 5)), writes=2)
    (tenant,) = (found for key, found in stage.shelf.of_kind(stage.judge.first, "tenant"))
    assert tenant.head.seq == stage.next_seq("t:acme") - 3
    stage.explore(writer("c", commands.charge("c", "q", 1)), reader("r", commands.balances("acme", "p", "q")))
    assert stage.exploration.finals
