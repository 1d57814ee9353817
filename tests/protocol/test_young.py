"""Entries that are not carried out yet are left to their authors for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dca.store import protocol
from dca.store.protocol import YOUNG_SECONDS, Sleep, Write
from tests.protocol import commands
from tests.protocol.explore import alone
from tests.protocol.mutants import waits_for_nobody
from tests.protocol.stage import acme, writer
from tests.protocol.world import Effect

if TYPE_CHECKING:
    import pytest

    from dca.store.protocol import Operation
    from tests.protocol.world import World

CHARGE_OF_A = writer("a", commands.charge("a", "p", 5))


def test_the_author_crashed() -> None:
    """Its records are written by the next writer, after that one's own and two moments of waiting."""
    assert seen_after_the_crash() == [
        "project of 6", "transaction of 6", "waits", "waits", "project of 5", "transaction of 5", "tenant of 6",
    ]  # fmt: skip


def test_impatience_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits for nobody does not pass for one that does."""
    monkeypatch.setattr(protocol, "_help", waits_for_nobody)
    assert "waits" not in seen_after_the_crash()


def seen_after_the_crash() -> list[str]:
    """Return what a writer does after another crashed: each wait and each document."""
    stage = acme()
    stage.before(CHARGE_OF_A, writes=1)
    seen: list[str] = []

    def note(operation: Operation, world: World) -> World:
        if operation == Sleep(YOUNG_SECONDS):
            seen.append("waits")
        elif isinstance(operation, Write):
            seen.extend(f"{item.kind} of {item.version or item.record.seq}" for item in operation.items)  # type: ignore[union-attr]
        return world

    alone(stage.judge, stage.judge.first, writer("b", commands.charge("b", "q", 7)), meanwhile=note)
    return seen


def test_the_author_goes_on() -> None:
    """Whoever comes after it writes nothing of it when its author is done meanwhile, and moves the head on."""
    stage = acme()
    shelf, judge = stage.shelf, stage.judge
    finished = alone(judge, judge.first, CHARGE_OF_A)
    stage.before(CHARGE_OF_A, writes=1)
    waits = 0
    written: list[str] = []

    def go_on(operation: Operation, world: World) -> World:
        nonlocal waits
        if isinstance(operation, Write):
            written.extend(item.id for item in operation.items)
        if operation != Sleep(YOUNG_SECONDS):
            return world
        waits += 1
        for position, number in enumerate(finished):
            found = shelf.contents[number]
            if found is not None:
                mutable = shelf.keys[position][0] not in ("log", "transaction")
                world, _ = shelf.apply(world, Effect(position, number, found.version if mutable else 0))
        return world

    world = alone(judge, judge.first, writer("b", commands.charge("b", "q", 7)), meanwhile=go_on)
    assert waits == 1
    assert "p" not in written
    tenant = stage.shelf.read(world, ("tenant", "acme"))
    assert tenant is not None
    assert tenant.head.seq == 6
