"""Random commands in processes that are killed, at any store operation or any moment, or find no room, and sent again.

Each command runs in a real process with the clock that the history gives it. Beside it runs the store in memory, which
nobody kills. After a kill the books are those before the command or those after it (of a command of several entries:
any number of them); after it was sent again, and at the end of the round, they are those in memory, whatever was killed.
"""

from __future__ import annotations

import json
import shlex
import signal
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import BY_WORDS
from dca.core.errors import OutcomeUnknownError, UnreachableError
from tests.concurrency.ledgers import CHANCE, course, essence, whole_books
from tests.concurrency.nursery import ANSWER, MOMENT, REQUEST, STATEMENT, Fate, task
from tests.model.history import portions
from tests.model.invariants import books_of
from tests.model.side import Memory, Outcome, Side
from tests.model.workload import Manner, Workload
from tests.torture.site import SQLITE, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Ended
    from tests.model.steps import Step
    from tests.torture.figures import Figures
    from tests.torture.site import Site

STEPS = 60
ASKED = 0.2
"""How often a question is asked: it can do no harm, and takes its time."""
FATED, FATED_AGAIN = 0.8, 0.3
CHECKED_AGAIN = 0.2
"""How often the books are looked at once more when a command that was killed has been sent again, not only at the end."""
VERIFIED = 0.3
"""How often `dca log verify` is asked after a kill, beside the tests' own look at the whole books."""
FIRST_AT_MAX = 30
MOMENT_MAX = {SQLITE: 30_000}
DISTANT_MOMENT_MAX = 300_000
ROOM = "room"
"""No kill: no file can grow beyond so many bytes, so that a write is cut short, as on a full disk."""
ROOM_MIN, ROOM_MORE = 8_192, 24_000
ENDS = {
    STATEMENT: (-signal.SIGKILL,),
    REQUEST: (-signal.SIGKILL,),
    ANSWER: (-signal.SIGKILL,),
    MOMENT: (-signal.SIGKILL,),
    ROOM: (UnreachableError.exit_status, OutcomeUnknownError.exit_status),
}
OPERATIONS = {SQLITE: (STATEMENT, STATEMENT, STATEMENT, MOMENT, ROOM)}
DISTANT_OPERATIONS = (REQUEST, REQUEST, ANSWER, MOMENT)
UNSAID = CHANCE | {
    "author",
    "commit",
    "done",
    "rejects",
    "repeated",
    "config",
    "actor",
    "charged",
    "known",
    "next",
    "hash",
}
"""What answers hold that may differ: chance's word, and how much of a command was done before."""


class Standing(NamedTuple):
    """What the books hold, without chance's word."""

    log: dict[str, list[Any]]
    records: dict[str, Any]


def standing_of(books: Any) -> Standing:
    """Return what books hold."""
    return Standing({stream: course(books, stream) for stream in books.log}, essence(books))


def crash(store: str, seed: int, site: Site, figures: Figures, *, steps: int = STEPS) -> None:
    """Play one round on empty books of a store."""
    with site.shell(store) as shell:
        _Round(store, seed, site, shell, figures).play(steps)


class _Round:
    """One history in which processes are killed."""

    def __init__(self, store: str, seed: int, site: Site, shell: Shell, figures: Figures) -> None:
        self.store = store
        self.seed = seed
        self.nursery = site.nursery
        self.shell = shell
        self.figures = figures
        self.chance = Random(f"{seed}/kills")
        self.manner = Manner.of(Random(seed))
        self.manner.wipes = False
        self.memory = Memory()
        self.side = Side("memory", self.memory)
        self.workload = Workload(self.manner, self.memory)
        self.sweep: dict[tuple[str, str], int] = {}
        self.lines: list[str] = []

    def play(self, steps: int) -> None:
        """Play the history to its end."""
        now = self.manner.begin
        assert self.shell.run("setup").status == 0
        self.side.store.setup()
        for number in range(steps):
            self.workload.now = now
            step = self.workload.step(Random(f"{self.seed}/{number}"), number)
            now += step.advance
            changes = BY_WORDS[step.words].changes
            if not changes and self.chance.random() >= ASKED:
                continue
            if changes and not step.key and step.words != "setup":
                step = step._replace(key=f"torture-{number}")
            self.lines.append(f"{step.text}    # at {now - step.lag}")
            try:
                with portions(small=self.manner.small):
                    self.step(step, number, now - step.lag)
            except AssertionError as wrong:
                raise AssertionError("\n".join([str(wrong), "after:", *self.lines])) from wrong
        figures_agree(standing_of(whole_books(self.shell)), standing_of(books_of(self.memory)), "at the end")
        verify(self.shell, self.figures, self.store)
        self.figures.add(f"{self.store}: rounds with kills")

    def step(self, step: Step, number: int, now: int) -> None:
        """Run a step in memory and, as often as it is killed, in a process."""
        before = standing_of(books_of(self.memory))
        outcome = self.side.run(step, now, self._draw(number), self.shell.folder)
        after = standing_of(books_of(self.memory))
        killed = 0
        while True:
            fate = self._fate(step, killed)
            ended = self._run(step, number, now, fate, killed)
            if fate is None or ended.status not in ENDS[fate.operation]:
                break
            killed += 1
            if fate.operation == ROOM:
                self.figures.add(f"{self.store}: commands that found no room for their files")
            else:
                self.figures.add(f"{self.store}: kills")
                self.figures.place(f"{self.store}: places of kills", (step.words, fate.operation, fate.at))
            self.lines.append(f"  ended at {fate.operation} {fate.at}: {ended.out.strip()}")
            here = standing_of(whole_books(self.shell))
            if self.chance.random() < VERIFIED:
                verify(self.shell, self.figures, self.store)
            _in_between(here, before, after, several=BY_WORDS[step.words].session)
        self._agree(step, ended, outcome, again=bool(killed))
        if killed and self.chance.random() < CHECKED_AGAIN:
            figures_agree(standing_of(whole_books(self.shell)), after, f"after {step.text}")

    def _fate(self, step: Step, killed: int) -> Fate | None:
        """Draw whether and how the process is to be killed; each command's operations are taken in their order."""
        changes = BY_WORDS[step.words].changes
        if not changes or self.chance.random() >= (FATED_AGAIN if killed else FATED):
            return None
        operation = self.chance.choice(OPERATIONS.get(self.store, DISTANT_OPERATIONS))
        if operation == MOMENT:
            return Fate(MOMENT, self.chance.randrange(MOMENT_MAX.get(self.store, DISTANT_MOMENT_MAX)))
        if operation == ROOM:
            sizes = sorted(path.stat().st_size for path in self.shell.folder.glob("books.db*"))
            return Fate(ROOM, max(ROOM_MIN, self.chance.choice(sizes) + self.chance.randrange(-1, ROOM_MORE)))
        place = (step.words, operation)
        self.sweep[place] = self.sweep.get(place, self.chance.randrange(FIRST_AT_MAX)) + 1
        return Fate(operation, self.sweep[place])

    def _run(self, step: Step, number: int, now: int, fate: Fate | None, attempt: int) -> Ended:
        options = step.options
        if "FILE" in options:
            path = self.shell.folder / str(options["FILE"])
            path.write_text(step.log_text, encoding="utf-8")
            options = {**options, "FILE": str(path)}
        if BY_WORDS[step.words].confirm and "--yes" not in options:
            options = {**options, "--yes": True}
        words = shlex.split(step._replace(options=options).text)[1:]
        little = fate is not None and fate.operation == ROOM
        one = task(self.shell, *words, fate=None if little else fate)._replace(
            file_bytes_max=fate.at if fate is not None and little else 0,
            small=self.manner.small,
            now=now,
            chance=f"{self.seed}/{number}/{attempt}",
            first_chance=f"{self.seed}/{number}/0" if step.words == "job import" else "",
        )
        ended = self.nursery.run(one)[0]
        if ended.status != -signal.SIGKILL:
            if fate is not None and not little:
                self.sweep.update({(step.words, fate.operation): 0})
            for path in self.shell.folder.glob("*.rejects*"):
                path.unlink()
        return ended

    def _draw(self, number: int) -> Callable[[], str]:
        drawn = iter(range(1_000_000))
        return lambda: sha256(f"{self.seed}/{number}/0/{next(drawn)}".encode()).hexdigest()[:24]

    def _agree(self, step: Step, ended: Ended, outcome: Outcome, *, again: bool) -> None:
        """Hold the answer of the last process against the one in memory."""
        assert "Traceback" not in ended.err, ended.err
        assert ended.out, ended
        answer = json.loads(ended.out)
        said = json.loads(outcome.text.split("\n")[0])
        assert (ended.status == 0, answer.get("code", "")) == (outcome.ok, outcome.code), (answer, said)
        self.figures.add(f"{self.store}: commands acknowledged" if outcome.ok else f"{self.store}: commands refused")
        if outcome.ok and step.words != "setup" and not (again and BY_WORDS[step.words].session):
            assert _plain(answer) == _plain(said), (answer, said)


def _plain(said: Any) -> Any:
    """Return an answer without chance's word, and the options that the log tells of in one order."""
    if isinstance(said, dict):
        plain = {name: _plain(value) for name, value in said.items() if name not in UNSAID}
        return plain | {name: sorted(f" {plain[name]}".split(" --")) for name in ("details",) if name in plain}
    return [_plain(one) for one in said] if isinstance(said, list) else said


def _in_between(here: Standing, before: Standing, after: Standing, *, several: bool) -> None:
    """Check that a killed command is done or not; one of several entries may be done up to any of them."""
    if not several:
        whole = here.log in (before.log, after.log)
        assert whole, f"after a kill the log is neither that before nor that after the command: {here.log}"
        figures_agree(here, before if here.log == before.log else after, "after a kill", claims=False)
        return
    for stream in {*here.log, *after.log, *before.log}:
        entries, first, last = (one.log.get(stream, []) for one in (here, before, after))
        assert entries[: len(first)] == first, f"after a kill stream {stream} has lost something: {entries}"
        assert entries == last[: len(entries)], f"after a kill stream {stream} holds something else: {entries}"


def figures_agree(here: Standing, wanted: Standing, when: str, *, claims: bool = True) -> None:
    """Check that two books hold the same; a claim alone says nothing and does no harm."""
    assert here.log == wanted.log, f"{when} the log differs: {_first(here.log, wanted.log)}"
    for kind, records in wanted.records.items():
        if claims or kind != "claim":
            assert here.records[kind] == records, f"{when} {kind}s differ: {_first(here.records[kind], records)}"


def _first(one: dict[str, Any], other: dict[str, Any]) -> str:
    name = next(name for name in sorted({*one, *other}) if one.get(name) != other.get(name))
    return f"{name}: {one.get(name)} is not {other.get(name)}"
