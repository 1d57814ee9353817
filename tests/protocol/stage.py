"""Books and actors to explore: small books as the protocol itself wrote them, and writers and readers of them."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from dca.core.model import GLOBAL_STREAM, Claim, charge_id, hold_id, tenant_stream
from dca.store import protocol
from dca.store.entry import from_document
from dca.store.port import Decision
from dca.store.protocol import Get, Later, Memory
from dca.store.schema import HOLD, LOG, SITE, TENANT, TRANSACTION
from tests.protocol import commands
from tests.protocol.cast import Actor
from tests.protocol.commands import PERMITTED
from tests.protocol.explore import NO_ACCIDENTS, Count, Exploration, Luck, alone
from tests.protocol.judge import Judge, Serial
from tests.protocol.world import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from dca.store.port import Reader
    from dca.store.protocol import Key
    from tests.protocol.commands import Decide
    from tests.protocol.world import World

RECOVERIES = 4


def no_jitter() -> float:
    """Return no chance at all."""
    return 0.5


def written(decide: Decide) -> Generator[Any, Any, Decision]:
    """Return the steps of a write."""
    return protocol.write(decide, PERMITTED, no_jitter)


def writer(name: str, decide: Decide, *, denied: Sequence[str] = (), may_hear: Sequence[str] = ()) -> Actor:
    """Return a writer of one command, whose commit id is its name."""
    return Actor(name, lambda: written(decide), {name: decide}, denied=frozenset(denied), may_hear=frozenset(may_hear))


def lasting(*decides: tuple[str, Decide], memory: Memory | None = None) -> Actor:
    """Return a writer of several commands in one process, which remembers what it read and wrote."""

    def steps() -> Generator[Any, Any, Decision]:
        remembered = deepcopy(memory) if memory is not None else protocol.Memory()
        for _, decide in decides:
            decision = yield from protocol.write(decide, PERMITTED, no_jitter, remembered)
        return decision

    return Actor(decides[-1][0], steps, dict(decides))


def deferrer(*decides: tuple[str, Decide]) -> Actor:
    """Return the same where others of the process write the records of its entries."""
    memory = protocol.Memory()
    memory.defers = True
    return lasting(*decides, memory=memory)


def foreseer(stream: str, *decides: tuple[str, Decide, Sequence[Key]], memory: Memory) -> Actor:
    """Return the same where the records of each command are read before the one that comes first begins."""

    def steps() -> Generator[Any, Any, Decision]:
        remembered = deepcopy(memory)
        remembered.defers = True
        ahead = iter(decides)

        def foresee() -> Generator[Any, Any, None]:
            for _, _, keys in islice(ahead, 1):
                found = dict(zip(keys, (yield Get(tuple(keys))), strict=True))
                remembered.foresee(stream, keys, partial(dict, found))

        yield from foresee()
        for _, decide, _ in decides:
            yield from foresee()
            decision = yield from protocol.write(decide, PERMITTED, no_jitter, remembered)
            remembered.settle()
        return decision

    return Actor(decides[-1][0], steps, {name: decide for name, decide, _ in decides})


def worker(name: str, stream: str, seq: int, entries: int, author: str = "a") -> Actor:
    """Return one who writes the records of an author's entries from a sequence on, once they are in the log."""

    def steps() -> Generator[Any, Any, Decision]:
        for number in range(seq, seq + entries):
            (found,) = yield Get(((LOG, f"{stream}:{number}"),))
            if found is None or not found.record["commit"].startswith(author):
                break
            entry = from_document(found.record)
            (head_record,) = (change.record for change in entry.changes if change.kind == TENANT)
            left = Later(entry.head, entry, head_record)
            if not (yield from protocol.carry_out(left)):
                break
            yield from protocol.move_head(stream, left)
        return Decision(None, None)

    return Actor(name, steps, {name: lambda _: Decision(None, None)})


def founder(name: str, tenant: str, *further: tuple[str, Decide]) -> Actor:
    """Return a writer that adds a tenant and then does more, one command after the other."""
    decides = [(f"{name}-founds", commands.add_tenant(f"{name}-founds", tenant)), *further]

    def steps() -> Generator[Any, Any, Decision]:
        for _, decide in decides:
            decision = yield from written(decide)
        return decision

    return Actor(name, steps, dict(decides))


def reader(
    name: str, question: Callable[[Reader], Any], *, may_hear: Sequence[str] = (), memory: Memory | None = None
) -> Actor:
    """Return a reader of one question, who may remember something."""
    return Actor(
        name,
        lambda: protocol.read(question, PERMITTED, deepcopy(memory)),
        question=question,
        may_crash=False,
        may_hear=frozenset(may_hear),
    )


def adder(name: str, project: str, tenant: str, *others: str, may_hear: Sequence[str] = ()) -> Actor:
    """Return a writer that adds a project as the engine does: others may have claimed the name."""
    commits = {
        f"{name}-releases-{other}-{number}": commands.release(
            f"{name}-releases-{other}-{number}", Claim(project, other, 1), tenant
        )
        for other in others
        for number in range(1, commands.PATIENCE + 1)
    }
    commits[name] = commands.add_project(name, project, tenant)
    return Actor(
        name,
        lambda: commands.adding(name, project, tenant, written),
        commits,
        may_hear=frozenset(("refused", *may_hear)),
    )


class Stage:
    """Books with some tenants, and what can happen to them."""

    def __init__(
        self,
        *tenants: str,
        seeds: Sequence[tuple[str, Decide]] = (),
        forged: Sequence[str] = (),
        to_come: Sequence[str] = (),
    ) -> None:
        """Make the books by the protocol, nobody else being there; some tenants are still to come."""
        self.streams = (GLOBAL_STREAM, *map(tenant_stream, (*tenants, *to_come)))
        decides = [("seed-rate", commands.set_rate("seed-rate", commands.DOLLAR_A_SECOND))]
        for tenant in tenants:
            decides.append((f"seed-{tenant}", commands.add_tenant(f"seed-{tenant}", tenant, credit=10)))
            decides.append((f"seed-pay-{tenant}", commands.pay(f"seed-pay-{tenant}", tenant, 100)))
        decides += seeds
        self._recoveries = {
            f"recovery-{tenant}-{number}": commands.pay_or_found(f"recovery-{tenant}-{number}", tenant)
            for tenant in (*tenants, *to_come)
            for number in range(RECOVERIES)
        }
        self.tenants = (*tenants, *to_come)
        self.shelf = Shelf()
        self.judge = Judge(
            self.shelf,
            self.streams,
            {**dict(decides), **self._recoveries},
            forged=frozenset(forged),
            recover=self._recover,
        )
        world: World = ()
        for name, decide in decides:
            world = alone(self.judge, world, writer(name, decide))
        self.judge.world(world)
        self.judge.first = world

    def books(self) -> Serial:
        """Return the books as they are at first, in memory."""
        return self.judge.books(self.judge.first)

    def next_seq(self, stream: str) -> int:
        """Return the sequence of the next entry of a stream."""
        return len(self.shelf.log(self.judge.first, stream)) + 1

    def memory(self, question: Callable[[Reader], Any]) -> Memory:
        """Return what a process remembers that asks a question before all that is explored."""
        memory = protocol.Memory()
        asker = Actor("asker", lambda: protocol.read(question, PERMITTED, memory), question=question)
        alone(self.judge, self.judge.first, asker)
        return memory

    def before(self, actor: Actor, *, writes: int) -> None:
        """Let somebody have written so many documents and crashed, before all that is explored."""
        self.judge.commands.update(actor.commits)
        self.judge.first = alone(self.judge, self.judge.first, actor, writes=writes)

    def _recover(self, judge: Judge, world: World) -> World:
        """Let one writer with all rights write to each stream."""
        for tenant in self.tenants:
            log = judge.shelf.log(world, tenant_stream(tenant))
            number = sum(1 for document in log if str(document.get("commit")).startswith("recovery-"))
            name = f"recovery-{tenant}-{number}"
            world = alone(judge, world, writer(name, self._recoveries[name]))
        return world

    def explore(
        self,
        *actors: Actor,
        luck: Luck = NO_ACCIDENTS,
        backwards: bool = False,
        reduced: bool = True,
        constant: Sequence[str] = (SITE,),
    ) -> Count:
        """Try all that can happen; a Violation tells what went wrong."""
        for actor in actors:
            self.judge.commands.update(actor.commits)
        commits = sum(len(actor.commits) for actor in actors)
        shelf = self.shelf
        ends = {stream: len(shelf.log(self.judge.first, stream)) + commits for stream in self.streams}
        ends[GLOBAL_STREAM] = len(shelf.log(self.judge.first, GLOBAL_STREAM))
        self.exploration = Exploration(
            self.judge,
            actors,
            luck,
            constant=frozenset(constant),
            ends=ends,
            backwards=backwards,
            reduced=reduced,
        )
        return self.exploration.run()


def acme(
    *further: tuple[str, Decide], forged: Sequence[str] = (), tenants: Sequence[str] = (), to_come: Sequence[str] = ()
) -> Stage:
    """Return books with the tenant acme (balance 100, credit 10), its projects p (balance 50) and q, and more."""
    seeds = [
        ("seed-p", commands.add_project("seed-p", "p", "acme", 50)),
        ("seed-q", commands.add_project("seed-q", "q", "acme")),
        *further,
    ]
    return Stage("acme", *tenants, seeds=seeds, forged=forged, to_come=to_come)


def early_charges(stage: Stage) -> Actor:
    """Return a writer that charges two jobs and reads what is known of both before the first one is charged."""
    memory = stage.memory(commands.balances("acme", "p", "q"))
    charges = [
        (
            f"a{number}",
            commands.charge(f"a{number}", "p", 5, job),
            ((TRANSACTION, charge_id("acme", job, 1)), (HOLD, hold_id("acme", job))),
        )
        for number, job in enumerate(("j0", "j1"))
    ]
    return foreseer("t:acme", *charges, memory=memory)
