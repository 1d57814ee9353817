"""Every interleaving of the actors' single-document operations, with crashes, lost answers and late effects.

A state is the world, where everybody stands, and what may still go wrong; each state is visited once. What the exploration
leaves out makes no difference to anybody: steps that touch no document (waiting, asking for the time) and reads of documents
that nobody writes are done at once, and a crash is tried right before each write, since a crash anywhere between two
writes is the same to all others. `reduced=False` leaves nothing out; a test compares the two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.model import TENANT_STREAM_PREFIX
from dca.store.port import Query, Sums
from dca.store.protocol import (
    DENIED,
    FAILED,
    TIMED_OUT,
    Clock,
    Create,
    Get,
    Item,
    Key,
    Operation,
    Search,
    Sleep,
    Streams,
    Write,
)
from dca.store.schema import LOG
from tests.protocol.cast import SECONDS_LEFT, Life, Node
from tests.protocol.judge import Violation
from tests.protocol.world import Effect, World, look, mixed, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.cast import Actor
    from tests.protocol.judge import Judge

CRASHED = -1
Place = tuple[int, tuple[Any, ...], tuple[int, ...]]
"""Where somebody stands: node, answers so far to the parts of its operation, and what was acknowledged when it began."""


class Luck(NamedTuple):
    """How often what may still go wrong."""

    crashes: int = 0
    timeouts: int = 0
    """Creates that are not answered and land later, or never."""
    failures: int = 0
    """Items of a write that are not acknowledged and land later, or never."""
    deadlines: int = 0
    """How often somebody may be told that its time is up."""
    switches: int = -1
    """How often somebody may be left while it could go on; -1 for any number."""


class State(NamedTuple):
    """A moment of an exploration."""

    world: int
    places: tuple[Place, ...]
    luck: Luck
    pending: tuple[Effect, ...] = ()
    running: int = -1
    """Who went last, where switches are counted."""


class Count(NamedTuple):
    """What an exploration did."""

    states: int
    worlds: int
    finals: int
    nodes: int
    seconds: float

    def __str__(self) -> str:
        """Show the counts in a line."""
        return (
            f"{self.states} states, {self.worlds} worlds, {self.finals} final, {self.nodes} histories, "
            f"{self.seconds:.1f} s"
        )


class Exploration:
    """All that can happen among some actors in some books."""

    def __init__(
        self,
        judge: Judge,
        actors: list[Actor],
        luck: Luck = Luck(),  # noqa: B008 -- frozen
        *,
        constant: frozenset[str] = frozenset(),
        ends: dict[str, int] | None = None,
        backwards: bool = False,
        reduced: bool = True,
    ) -> None:
        """Prepare; constant kinds are those nobody writes, ends how far each stream's log can grow at most."""
        self.judge = judge
        self.shelf = judge.shelf
        self.lives = [Life(actor, self.shelf) for actor in actors]
        self.luck = luck
        self.constant = constant
        self.ends = ends or {}
        self.backwards = backwards
        self.reduced = reduced
        self.worlds: list[World] = []
        self._world_numbers: dict[World, int] = {}
        self._cameFrom: dict[State, tuple[State, str] | None] = {}

    def run(self) -> Count:
        """Visit every state; a Violation tells the schedule that led to it."""
        began = time.monotonic()
        start = State(
            self._number(self.judge.first), tuple((life.root.number, (), ()) for life in self.lives), self.luck
        )
        self._cameFrom = {start: None}
        finals = 0
        todo = [start]
        while todo:
            state = todo.pop()
            quiet = True
            try:
                for label, following in self._following(state):
                    quiet = False
                    if following not in self._cameFrom:
                        self._cameFrom[following] = (state, label)
                        todo.append(following)
            except Violation as violation:
                raise violation.after(self.schedule(state)) from None
            if quiet or not self._anybody(state):
                finals += 1
                try:
                    self.judge.final(self.worlds[state.world], self._outcomes(state), state.pending)
                except Violation as violation:
                    raise violation.after(self.schedule(state)) from None
        return Count(
            len(self._cameFrom),
            len(self.worlds),
            finals,
            sum(len(life.nodes) for life in self.lives),
            time.monotonic() - began,
        )

    def schedule(self, state: State) -> list[str]:
        """Return the steps that led to a state."""
        steps = []
        came = self._cameFrom[state]
        while came is not None:
            state, label = came
            steps.append(label)
            came = self._cameFrom[state]
        return steps[::-1]

    # -- what can happen next ------------------------------------------------------------------------------------

    def _following(self, state: State) -> Iterator[tuple[str, State]]:
        free = state.luck.switches != 0 or state.running < 0 or not self._goes_on(state, state.running)
        for who in range(len(self.lives)):
            if self._goes_on(state, who) and (free or who == state.running):
                yield from self._steps(self._switched(state, who), who)
        for number, effect in enumerate(state.pending):
            rest = state.pending[:number] + state.pending[number + 1 :]
            world, done = self.shelf.apply(self.worlds[state.world], effect)
            label = f"(late) {self.shelf.keys[effect.position]} {'lands' if done else 'comes to nothing'}"
            yield label, state._replace(world=self._number(world) if done else state.world, pending=rest)

    def _switched(self, state: State, who: int) -> State:
        luck = state.luck
        if luck.switches < 0:
            return state
        if state.running not in (who, -1) and self._goes_on(state, state.running):
            luck = luck._replace(switches=luck.switches - 1)
        return state._replace(luck=luck, running=who)

    def _goes_on(self, state: State, who: int) -> bool:
        node = state.places[who][0]
        return node != CRASHED and self.lives[who].nodes[node].outcome is None

    def _anybody(self, state: State) -> bool:
        return any(self._goes_on(state, who) for who in range(len(self.lives)))

    def _outcomes(self, state: State) -> list[tuple[Actor, Node | None]]:
        return [
            (life.actor, None if place[0] == CRASHED else life.nodes[place[0]])
            for life, place in zip(self.lives, state.places, strict=True)
        ]

    def _steps(self, state: State, who: int) -> Iterator[tuple[str, State]]:
        """Yield the states after one step of somebody."""
        life = self.lives[who]
        number, answers, floor = state.places[who]
        node = life.nodes[number]
        operation = node.operation
        name = life.actor.name
        if not floor and life.actor.question is not None:
            floor = self.judge.acknowledged(self.worlds[state.world], self._outcomes(state))
        place = (number, answers, floor)
        writes = isinstance(operation, (Create, Write))
        if state.luck.crashes and life.actor.may_crash and (writes or not self.reduced):
            luck = state.luck._replace(crashes=state.luck.crashes - 1)
            yield f"{name} crashes", self._at(state._replace(luck=luck), who, (CRASHED, (), ()))
        if isinstance(operation, Get):
            key = self._in_turn(operation.keys, answers)
            answer = look(self.worlds[state.world], self.shelf.position(key))
            yield f"{name} gets {key}: {self._shown(answer)}", self._told(state, who, place, answer)
        elif isinstance(operation, Create):
            yield from self._create(state, who, place, operation)
        elif isinstance(operation, Write):
            item = self._in_turn(operation.items, answers)
            yield from self._write(state, who, place, item)
        elif isinstance(operation, (Search, Streams)):
            yield from self._search(state, who, place, operation)
        elif isinstance(operation, Clock):
            yield f"{name} has time", self._heard(state, who, place, SECONDS_LEFT)
            if state.luck.deadlines:
                luck = state.luck._replace(deadlines=state.luck.deadlines - 1)
                yield f"{name} has no time left", self._heard(state._replace(luck=luck), who, place, 0.0)
        else:
            assert isinstance(operation, Sleep), operation
            yield f"{name} waits", self._heard(state, who, place, None)

    def _create(self, state: State, who: int, place: Place, wish: Create) -> Iterator[tuple[str, State]]:
        actor = self.lives[who].actor
        label = f"{actor.name} creates {wish.kind} {wish.id}"
        if wish.kind in actor.denied:
            yield f"{label}: denied", self._heard(state, who, place, DENIED)
            return
        effect = self.shelf.effect(wish)
        world, done = self.shelf.apply(self.worlds[state.world], effect)
        answer = statuses(wish, done)
        yield f"{label}: {answer}", self._heard(state._replace(world=self._number(world)), who, place, answer)
        if state.luck.timeouts:
            luck = state.luck._replace(timeouts=state.luck.timeouts - 1)
            later = state._replace(luck=luck, pending=tuple(sorted((*state.pending, effect))))
            yield f"{label}: no answer", self._heard(later, who, place, TIMED_OUT)

    def _write(self, state: State, who: int, place: Place, item: Item) -> Iterator[tuple[str, State]]:
        actor = self.lives[who].actor
        label = f"{actor.name} writes {item.kind} {item.id}" + (f" version {item.version}" if item.version else "")
        if item.kind in actor.denied:
            yield f"{label}: denied", self._told(state, who, place, DENIED)
            return
        assert item.kind not in self.constant, item
        effect = self.shelf.effect(item)
        world, done = self.shelf.apply(self.worlds[state.world], effect)
        answer = statuses(item, done)
        yield f"{label}: {answer}", self._told(state._replace(world=self._number(world)), who, place, answer)
        if state.luck.failures:
            luck = state.luck._replace(failures=state.luck.failures - 1)
            later = state._replace(luck=luck, pending=tuple(sorted((*state.pending, effect))))
            yield f"{label}: failed", self._told(later, who, place, FAILED)

    def _search(
        self, state: State, who: int, place: Place, operation: Search | Streams
    ) -> Iterator[tuple[str, State]]:
        """Refresh in one step; answer in the next from anything between that and the world as it is then."""
        number, answers, floor = place
        name = self.lives[who].actor.name
        if not answers:
            yield f"{name} refreshes", self._at(state, who, (number, (state.world,), floor))
            return
        seen = set()
        for world in mixed(self.shelf, self.worlds[answers[0]], self.worlds[state.world]):
            answer: tuple[Any, ...]
            if isinstance(operation, Streams):
                answer = self.shelf.heads(world)
            else:
                answer = self.shelf.search(world, operation)
            if answer not in seen:
                seen.add(answer)
                yield f"{name} searches: {answer}", self._heard(state, who, (number, (), floor), answer)

    def _in_turn(self, parts: tuple[Any, ...], answers: tuple[Any, ...]) -> Any:
        return parts[len(parts) - 1 - len(answers)] if self.backwards else parts[len(answers)]

    def _told(self, state: State, who: int, place: Place, answer: Any) -> State:
        """Take in the answer to a part of an operation."""
        number, answers, floor = place
        operation: Any = self.lives[who].nodes[number].operation
        answers = (*answers, answer)
        if len(answers) < len(operation[0]):
            return self._settled(state, who, (number, answers, floor))
        return self._heard(state, who, (number, (), floor), answers[::-1] if self.backwards else answers)

    def _heard(self, state: State, who: int, place: Place, answer: Any) -> State:
        """Take in the answer to a whole operation."""
        life = self.lives[who]
        node = life.step(life.nodes[place[0]], answer)
        if node.outcome is not None:
            after = self._at(state, who, (node.number, (), ()))
            self.judge.finished(
                self.worlds[state.world], life.actor, node.outcome, place[2]
            )
            return after
        return self._settled(state, who, (node.number, (), place[2]))

    def _settled(self, state: State, who: int, place: Place) -> State:
        """Go on at once with what touches nothing that others write."""
        if self.reduced:
            number, answers, _ = place
            operation = self.lives[who].nodes[number].operation
            if isinstance(operation, Sleep):
                return self._heard(state, who, place, None)
            if isinstance(operation, Clock) and not state.luck.deadlines:
                return self._heard(state, who, place, SECONDS_LEFT)
            if isinstance(operation, Get):
                key = self._in_turn(operation.keys, answers)
                if self._is_constant(key):
                    answer = look(self.worlds[state.world], self.shelf.position(key))
                    return self._told(state, who, place, answer)
        return self._at(state, who, place)

    def _is_constant(self, key: Key) -> bool:
        if key[0] in self.constant:
            return True
        if key[0] != LOG:
            return False
        stream, _, seq = key[1].rpartition(":")
        return stream in self.ends and int(seq) > self.ends[stream]

    def _at(self, state: State, who: int, place: Place) -> State:
        return state._replace(places=(*state.places[:who], place, *state.places[who + 1 :]))

    def _number(self, world: World) -> int:
        number = self._world_numbers.get(world)
        if number is None:
            self.judge.world(world)
            number = self._world_numbers[world] = len(self.worlds)
            self.worlds.append(world)
        return number

    def _shown(self, number: int) -> str:
        found = self.shelf.contents[number]
        if found is None:
            return "none"
        if isinstance(found.record, dict):
            return f"entry of {found.record.get('commit')}"
        return f"version {found.version}" + (f", head {found.head.seq}" if found.head.seq else "")


def alone(judge: Judge, world: World, actor: Actor) -> World:
    """Let one actor go to its end with nobody else there; return the world after it."""
    shelf = judge.shelf
    life = Life(actor, shelf)
    node = life.root
    while node.outcome is None:
        operation: Operation | None = node.operation
        answer: Any
        if isinstance(operation, Get):
            answer = tuple(look(world, shelf.position(key)) for key in operation.keys)
        elif isinstance(operation, Create):
            world, done = shelf.apply(world, shelf.effect(operation))
            answer = statuses(operation, done)
        elif isinstance(operation, Write):
            given = []
            for item in operation.items:
                world, done = shelf.apply(world, shelf.effect(item))
                given.append(statuses(item, done))
            answer = tuple(given)
        elif isinstance(operation, Streams):
            answer = shelf.heads(world)
        elif isinstance(operation, Search):
            answer = shelf.search(world, operation)
        else:
            answer = SECONDS_LEFT if isinstance(operation, Clock) else None
        node = life.step(node, answer)
    if node.outcome.error is not None:
        raise node.outcome.error
    return world


__all__ = ["TENANT_STREAM_PREFIX", "Count", "Exploration", "Luck", "Query", "Sums", "alone"]
