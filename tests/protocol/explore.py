"""Every interleaving of the actors' single-document operations, with crashes, lost answers and late effects.

A state is the world, where everybody stands, and what may still go wrong; each state is visited once. What the exploration
leaves out makes no difference to anybody: steps that touch no document (waiting, asking for the time) and reads of documents
that nobody writes are done at once, and a crash is tried right before each write, since a crash anywhere between two
writes is the same to all others. `reduced=False` leaves nothing out; a test compares the two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

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
from tests.protocol.cast import AGE_MAX, SECONDS_LEFT, UNREACHABLE, Life, Node
from tests.protocol.judge import Violation, require
from tests.protocol.world import Effect, World, look, mixed, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.protocol.cast import Actor
    from tests.protocol.judge import Judge

CRASHED = -1
NOBODY = -1
Place = tuple[int, tuple[Any, ...], tuple[int, ...]]
"""Where somebody stands: node, answers so far to the parts of its operation, and what was acknowledged when it began."""
Label = tuple[Any, ...]
"""A step, to be shown if it comes to that: who, what, and further facts."""


class Luck(NamedTuple):
    """How often what may still go wrong."""

    crashes: int = 0
    timeouts: int = 0
    """Creates that are not answered and land later, or never."""
    failures: int = 0
    """Items of a write that are not acknowledged and land later, or never."""
    deadlines: int = 0
    """How often somebody may be told that its time is up."""
    outages: int = 0
    """How often the store cannot be reached, with nothing sent."""
    switches: int = -1
    """How often somebody may be left while it could go on; -1 for any number."""


NO_ACCIDENTS = Luck()


class State(NamedTuple):
    """A moment of an exploration."""

    world: int
    places: tuple[Place, ...]
    luck: Luck
    pending: tuple[Effect, ...] = ()
    running: int = NOBODY
    """Who went last, where switches are counted."""


class Count(NamedTuple):
    """What an exploration did."""

    states: int
    worlds: int
    finals: int
    histories: int
    seconds: float

    def __str__(self) -> str:
        """Show the counts in a line."""
        return (
            f"{self.states} states, {self.worlds} worlds, {self.finals} final, {self.histories} histories, "
            f"{self.seconds:.1f} s"
        )


class Exploration:
    """All that can happen among some actors in some books."""

    def __init__(
        self,
        judge: Judge,
        actors: Sequence[Actor],
        luck: Luck,
        *,
        constant: frozenset[str],
        ends: Mapping[str, int],
        backwards: bool = False,
        reduced: bool = True,
    ) -> None:
        """Prepare; constant kinds are those nobody writes, ends how far each stream's log can grow at most.

        Backwards, the parts of a get or a write are done from the last to the first.
        """
        self.judge = judge
        self.shelf = judge.shelf
        self.lives = [Life(actor, self.shelf) for actor in actors]
        self.luck = luck
        self.constant = constant
        self.ends = ends
        self.backwards = backwards
        self.reduced = reduced
        self.worlds: list[World] = []
        self.finals: set[int] = set()
        self._world_numbers: dict[World, int] = {}
        self._came_from: dict[State, tuple[State, Label] | None] = {}
        self._effects: dict[tuple[int, int, int], Effect] = {}

    def run(self) -> Count:
        """Visit every state; a Violation tells the schedule that led to it."""
        began = time.monotonic()
        start = State(
            self._number(self.judge.first), tuple((life.root.number, (), ()) for life in self.lives), self.luck
        )
        self._came_from[start] = None
        finals = 0
        todo = [start]
        while todo:
            state = todo.pop()
            try:
                for label, following in self._following(state):
                    if following not in self._came_from:
                        self._came_from[following] = (state, label)
                        todo.append(following)
                if not any(self._goes_on(state, who) for who in range(len(self.lives))):
                    finals += 1
                    self.finals.add(state.world)
                    self.judge.final(self.worlds[state.world], self._outcomes(state), state.pending)
            except Violation as violation:
                raise violation.after(self.schedule(state)) from None
        histories = sum(len(life.nodes) for life in self.lives)
        return Count(len(self._came_from), len(self.worlds), finals, histories, time.monotonic() - began)

    def schedule(self, state: State) -> list[str]:
        """Return the steps that led to a state."""
        steps = []
        came = self._came_from[state]
        while came is not None:
            state, label = came
            steps.append(self._shown(*label))
            came = self._came_from[state]
        return steps[::-1]

    def _shown(self, who: int, what: str, *facts: Any) -> str:
        name = self.lives[who].actor.name if who != NOBODY else "late"
        return " ".join([name, what, *(self._content(fact) if isinstance(fact, int) else str(fact) for fact in facts)])

    def _content(self, number: int) -> str:
        found = self.shelf.contents[number]
        if found is None:
            return "none"
        if isinstance(found.record, dict):
            return f"entry of {found.record.get('commit')}"
        return f"version {found.version}" + (f", head {found.head.seq}" if found.head.seq else "")

    # -- what can happen next ------------------------------------------------------------------------------------

    def _following(self, state: State) -> Iterator[tuple[Label, State]]:
        running = state.running
        free = state.luck.switches != 0 or running == NOBODY or not self._goes_on(state, running)
        for who in range(len(self.lives)):
            if self._goes_on(state, who) and (free or who == running):
                yield from self._steps(self._switched(state, who), who)
        for number, effect in enumerate(state.pending):
            rest = state.pending[:number] + state.pending[number + 1 :]
            world, done = self.shelf.apply(self.worlds[state.world], effect)
            label = (NOBODY, "lands" if done else "comes to nothing", self.shelf.keys[effect.position])
            yield label, state._replace(world=self._number(world) if done else state.world, pending=rest)

    def _switched(self, state: State, who: int) -> State:
        luck = state.luck
        if luck.switches < 0:
            return state
        if state.running not in (who, NOBODY) and self._goes_on(state, state.running):
            luck = luck._replace(switches=luck.switches - 1)
        return state._replace(luck=luck, running=who)

    def _goes_on(self, state: State, who: int) -> bool:
        node = state.places[who][0]
        return node != CRASHED and self.lives[who].nodes[node].outcome is None

    def _outcomes(self, state: State) -> list[tuple[Actor, Node | None]]:
        return [
            (life.actor, None if place[0] == CRASHED else life.nodes[place[0]])
            for life, place in zip(self.lives, state.places, strict=True)
        ]

    def _steps(self, state: State, who: int) -> Iterator[tuple[Label, State]]:
        """Yield the states after one step of somebody."""
        life = self.lives[who]
        number, answers, floor = state.places[who]
        operation = life.nodes[number].operation
        if not floor and life.actor.question is not None:
            floor = self.judge.acknowledged(self.worlds[state.world], self._outcomes(state))
        place = (number, answers, floor)
        luck = state.luck
        writes = isinstance(operation, (Create, Write))
        if luck.crashes and life.actor.may_crash and (writes or not self.reduced):
            after = state._replace(luck=luck._replace(crashes=luck.crashes - 1))
            yield (who, "crashes"), _at(after, who, (CRASHED, (), ()))
        if luck.outages and isinstance(operation, (Create, Get, Search, Streams)):
            after = state._replace(luck=luck._replace(outages=luck.outages - 1))
            yield (who, "cannot reach the store"), self._heard(after, who, (number, (), floor), UNREACHABLE)
        if isinstance(operation, Get):
            key = self._in_turn(operation.keys, answers)
            answer = look(self.worlds[state.world], self.shelf.position(key))
            yield (who, "gets", key, answer), self._told(state, who, place, answer)
        elif isinstance(operation, Create):
            yield from self._create(state, who, place, operation)
        elif isinstance(operation, Write):
            yield from self._write(state, who, place, self._in_turn(operation.items, answers))
        elif isinstance(operation, (Search, Streams)):
            yield from self._search(state, who, place, operation)
        elif isinstance(operation, Clock):
            yield (who, "has time"), self._heard(state, who, place, SECONDS_LEFT)
            if luck.deadlines:
                after = state._replace(luck=luck._replace(deadlines=luck.deadlines - 1))
                yield (who, "has no time left"), self._heard(after, who, place, 0.0)
        else:
            assert isinstance(operation, Sleep), operation
            yield (who, "waits"), self._heard(state, who, place, None)

    def _effect(self, who: int, place: Place, wish: Create | Item) -> Effect:
        name = (who, place[0], len(place[1]))
        effect = self._effects.get(name)
        if effect is None:
            effect = self._effects[name] = self.shelf.effect(wish)
        return effect

    def _create(self, state: State, who: int, place: Place, wish: Create) -> Iterator[tuple[Label, State]]:
        if wish.kind in self.lives[who].actor.denied:
            yield (who, "may not create", wish.kind, wish.id), self._heard(state, who, place, DENIED)
            return
        effect = self._effect(who, place, wish)
        world, done = self.shelf.apply(self.worlds[state.world], effect)
        answer = status_of(wish, done=done)
        after = state._replace(world=self._number(world)) if done else state
        yield (who, "creates", wish.kind, wish.id, answer), self._heard(after, who, place, answer)
        if state.luck.timeouts:
            luck = state.luck._replace(timeouts=state.luck.timeouts - 1)
            after = state._replace(luck=luck, pending=tuple(sorted((*state.pending, effect))))
            yield (who, "creates", wish.kind, wish.id, TIMED_OUT), self._heard(after, who, place, TIMED_OUT)

    def _write(self, state: State, who: int, place: Place, item: Item) -> Iterator[tuple[Label, State]]:
        if item.kind in self.lives[who].actor.denied:
            yield (who, "may not write", item.kind, item.id), self._told(state, who, place, DENIED)
            return
        assert item.kind not in self.constant, item
        effect = self._effect(who, place, item)
        world, done = self.shelf.apply(self.worlds[state.world], effect)
        answer = status_of(item, done=done)
        after = state._replace(world=self._number(world)) if done else state
        facts = (who, "writes", item.kind, item.id, f"version {item.version}")
        yield (*facts, answer), self._told(after, who, place, answer)
        if state.luck.failures:
            luck = state.luck._replace(failures=state.luck.failures - 1)
            after = state._replace(luck=luck, pending=tuple(sorted((*state.pending, effect))))
            yield (*facts, FAILED), self._told(after, who, place, FAILED)

    def _search(
        self, state: State, who: int, place: Place, operation: Search | Streams
    ) -> Iterator[tuple[Label, State]]:
        """Refresh in one step; answer in the next from anything between that and the world as it is then."""
        number, refreshed, floor = place
        if not refreshed:
            yield (who, "refreshes"), _at(state, who, (number, (state.world,), floor))
            return
        seen = set()
        for world in mixed(self.worlds[refreshed[0]], self.worlds[state.world]):
            answer = self.shelf.found(world, operation)
            if answer not in seen:
                seen.add(answer)
                yield (who, "searches", answer), self._heard(state, who, (number, (), floor), answer)

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
        if node.outcome is None:
            require(node.age < AGE_MAX, f"{life.actor.name} goes on for ever")
            return self._settled(state, who, (node.number, (), place[2]))
        self.judge.finished(self.worlds[state.world], life.actor, node.outcome, place[2])
        return _at(state, who, (node.number, (), ()))

    def _settled(self, state: State, who: int, place: Place) -> State:
        """Go on at once with what touches nothing that others write."""
        if self.reduced:
            operation = self.lives[who].nodes[place[0]].operation
            if isinstance(operation, Sleep):
                return self._heard(state, who, place, None)
            if isinstance(operation, Clock) and not state.luck.deadlines:
                return self._heard(state, who, place, SECONDS_LEFT)
            if isinstance(operation, Get) and not state.luck.outages:
                key = self._in_turn(operation.keys, place[1])
                if self._is_constant(key):
                    return self._told(state, who, place, look(self.worlds[state.world], self.shelf.position(key)))
        return _at(state, who, place)

    def _is_constant(self, key: Key) -> bool:
        if key[0] != LOG:
            return key[0] in self.constant
        stream, _, seq = key[1].rpartition(":")
        return int(seq) > self.ends[stream]

    def _number(self, world: World) -> int:
        number = self._world_numbers.get(world)
        if number is None:
            self.judge.world(world)
            number = self._world_numbers[world] = len(self.worlds)
            self.worlds.append(world)
        return number


def _at(state: State, who: int, place: Place) -> State:
    return state._replace(places=(*state.places[:who], place, *state.places[who + 1 :]))


def alone(
    judge: Judge,
    world: World,
    actor: Actor,
    *,
    writes: int | None = None,
    meanwhile: Callable[[Operation, World], World] = lambda _, world: world,
) -> World:
    """Let one actor go to its end, or until it has written so many documents, with nobody else there.

    Before each operation `meanwhile` is told and may change the world.
    """
    shelf = judge.shelf
    life = Life(actor, shelf)
    node = life.root
    left = -1 if writes is None else writes
    while node.outcome is None:
        operation = node.operation
        assert operation is not None
        world = meanwhile(operation, world)
        answer: Any
        if isinstance(operation, Get):
            answer = tuple(look(world, shelf.position(key)) for key in operation.keys)
        elif isinstance(operation, (Create, Write)):
            given = []
            for wish in operation.items if isinstance(operation, Write) else (operation,):
                if left == 0:
                    return world
                left -= 1
                world, done = shelf.apply(world, shelf.effect(wish))
                given.append(status_of(wish, done=done))
            answer = tuple(given) if isinstance(operation, Write) else given[0]
        elif isinstance(operation, (Search, Streams)):
            answer = shelf.found(world, operation)
        else:
            answer = SECONDS_LEFT if isinstance(operation, Clock) else None
        node = life.step(node, answer)
        require(node.age < AGE_MAX, f"{actor.name} goes on for ever")
    require(node.outcome.error is None, f"{actor.name}, alone, is told: {node.outcome.error}")
    return world
