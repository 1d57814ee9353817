"""A random history: run on all sides at once, compared after each step, judged at the end, and cut down where it fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dca.core import clock
from dca.core.model import DEFAULT_SITE, SITE_ID
from dca.store.past import Past
from dca.store.port import Query
from dca.store.schema import SITE
from tests.concurrency.nursery import SMALL
from tests.model import invariants
from tests.model.oracle import BEHIND_MOST, Oracle
from tests.model.side import Memory, Outcome, Side
from tests.model.steps import Step
from tests.model.workload import Manner, Workload
from tests.verify.attacked import found, verified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dca.store.port import Reader

MICRO = 1_000_000
SHRINK_SECONDS = 20.0
LINES_MAX = 40
"""Lines that the log of one step has at most."""
RECORDS = ("tenant", "project", "association", "hold", "transaction", "payment", "rate", "key", "site")
"""Kinds that the log brings about."""
REMEMBERED = 0.05
"""How often a step is followed by a note of what the books hold."""
ALL = 10_000
DISTANT = "Elasticsearch"
MOMENTS = 1
"""At how many of these moments the books are looked at again when a history is over."""
CODES = {"refused", "not_found", "usage"}


class Difference(AssertionError):  # noqa: N818 -- what a test raises that fails
    """Two stores, or a store and the rules, do not agree."""


Cut = tuple[int, int]
"""A line that is cut out of a log: number of the step that imports it, and of the line."""


class Failure(NamedTuple):
    """A history that failed: which of its steps, and lines of logs, were left when it was cut down, and what was wrong."""

    seed: int
    steps: list[int]
    cuts: frozenset[Cut]
    lines: list[str]
    wrong: str

    @property
    def kind(self) -> str:
        """Return what kind of failure it is, so that cutting down does not end at another one."""
        return re.split(r"[:,\n]", self.wrong)[0]

    @property
    def text(self) -> str:
        """Return the report."""
        shown = "\n".join(f"  {line}" for line in self.lines)
        return (
            f"history {self.seed} fails: {self.wrong}\n{len(self.lines)} steps of it are enough:\n{shown}\n"
            f"run it again with DCA_MODEL_SEED={self.seed}"
        )


class Moment(NamedTuple):
    """What the books held after so many entries, the last of them of that time."""

    time: int
    entries: int
    records: dict[str, dict[str, Any]]


class Hall:
    """Where histories run: makes empty stores, and a folder for their files."""

    def __init__(self, folder: Path, others: Callable[[], Sequence[Side]], *, length: int | None = None) -> None:
        """Take what makes the sides that must equal memory; length cuts histories short."""
        self.folder = folder
        self.others = others
        self.length = length
        self.steps = 0
        self.refused = 0
        self.moments = 0
        """Earlier moments at which books were compared with what they were then."""
        self.judged = 0
        """Steps whose success or refusal the oracle predicted."""

    def try_history(self, seed: int) -> None:
        """Run a history; where it fails, fail with the report."""
        report = self.report_of(seed)
        if report:
            pytest.fail(report, pytrace=False)

    def report_of(self, seed: int) -> str:
        """Run a history; where it fails, cut it down and return the report."""
        length = Manner.of(Random(seed)).length
        failure = self.play(seed, list(range(min(length, self.length or length))))
        return self.shrunk(failure).text if failure is not None else ""

    def shrunk(self, failure: Failure) -> Failure:
        """Leave out steps, many at once and then one by one, and lines of logs, as long as the history fails alike."""
        until = time.monotonic() + SHRINK_SECONDS
        portion = len(failure.steps) // 2
        while portion and time.monotonic() < until:
            begin = 0
            while begin < len(failure.steps) and time.monotonic() < until:
                fewer = failure.steps[:begin] + failure.steps[begin + portion :]
                smaller = self.play(failure.seed, fewer)
                if smaller is None or smaller.kind != failure.kind:
                    begin += portion
                else:
                    failure = smaller
            portion //= 2
        for cut in [(step, line) for step in failure.steps for line in range(LINES_MAX)]:
            smaller = self.play(failure.seed, failure.steps, failure.cuts | {cut}) if time.monotonic() < until else None
            if smaller is not None and smaller.kind == failure.kind:
                failure = smaller
        return failure

    def play(self, seed: int, steps: Sequence[int], cuts: frozenset[Cut] = frozenset()) -> Failure | None:
        """Run the steps with these numbers; return how it failed, if it did."""
        run = _Run(self, seed, cuts)
        taken: list[int] = []
        try:
            with portions(small=run.manner.small):
                for number in steps:
                    taken.append(number)
                    run.step(number)
                run.finish()
        except Exception as error:  # noqa: BLE001 -- whatever goes wrong in a command is the find
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            return Failure(seed, taken, cuts, run.lines, f"{kind}{error}")
        finally:
            run.close()
        return None


@contextmanager
def portions(*, small: bool) -> Iterator[None]:
    """Let commands of many records work in portions of a few, so that short histories pass the seams."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, size in SMALL if small else ():
            patch.setattr(f"{module}.{name}", size)
        yield


class _Run:
    """One history under way."""

    def __init__(self, hall: Hall, seed: int, cuts: frozenset[Cut]) -> None:
        self.hall = hall
        self.cuts = cuts
        self.seed = seed
        self.manner = Manner.of(Random(seed))
        self.memory = Memory()
        self.sides = [Side("memory", self.memory), *hall.others()]
        for side in self.sides:
            side.store.setup()
        self.oracle = Oracle()
        self.workload = Workload(self.manner, self.memory)
        self.time = self.manner.begin
        self.lines: list[str] = []
        self.moments: list[Moment] = []

    def close(self) -> None:
        for side in self.sides:
            side.store.close()

    def step(self, number: int) -> None:
        """Draw a step, run it everywhere, and compare."""
        self.workload.now = self.time
        step = self.workload.step(Random(f"{self.seed}/{number}"), number)
        step = step._replace(log=tuple(one for line, one in enumerate(step.log) if (number, line) not in self.cuts))
        self.time += step.advance
        now = self.time - step.lag
        self.lines.append(
            f"{step.text}    # at {now}" + "".join(f"\n      {line}" for line in step.log_text.splitlines()[1:])
        )
        outcomes = [side.run(step, now, self._draw(number), self.hall.folder) for side in self.sides]
        first = outcomes[0]
        for side, other in zip(self.sides[1:], outcomes[1:], strict=True):
            if first != other:
                raise Difference(f"memory and {side.name} answer differently\n{first.text}\n{other.text}")
        self._judge(step, now, first)
        if "next" in first.answer:
            self.workload.marks[step.words] = first.answer["next"]
        self.hall.steps += 1
        self.hall.refused += not first.ok
        self._remember(step, Random(f"{self.seed}/{number}/moment"))

    def _remember(self, step: Step, rng: Random) -> None:
        """Note now and then what the books hold, to ask for it again at the end."""
        if "--wipe" in step.options:
            self.moments.clear()
        if rng.random() < REMEMBERED:
            times = self._times()
            records: Any = self.memory.records
            held = {kind: dict(records[kind]) for kind in RECORDS}
            self.moments.append(Moment(max(times, default=0), len(times), held))

    def _times(self) -> list[int]:
        return [entry.time for stream in self.memory.streams.values() for entry in stream]

    def _look_back(self) -> None:
        """Compare what the books held with what they say of that moment now; and their last moment with the present.

        A clock that is behind may have written since then what belongs before a moment; such a moment does not count.
        """
        times = self._times()
        last = max(times, default=0)
        kept = [one for one in self.moments if sum(time <= one.time for time in times) == one.entries]
        chosen = Random(self.seed).sample(kept, min(len(kept), MOMENTS))
        live = self._list(self.sides[0], last + 1_000)
        for side in self.sides:
            for moment in chosen if side.name != DISTANT or self.seed % 4 == 0 else ():
                found = Past(side.store, moment.time, RECORDS).ask(_few if side.name == DISTANT else _all)
                for kind, records in found.items():
                    what = f"the books of {side.name} as of {moment.time}, {kind}"
                    first = {SITE_ID: DEFAULT_SITE} if kind == SITE else {}
                    agree(what, {**first, **records}, {**first, **moment.records[kind]})
                self.hall.moments += 1
            agree(f"the list of {side.name} as of now", self._list(side, last + 1_000, clock.iso(last)), live)

    def _list(self, side: Side, now: int, as_of: str = "") -> tuple[str, dict[str, Any]]:
        options: dict[str, str | bool] = {"--all": True, **({"--as-of": as_of} if as_of else {})}
        outcome = side.run(Step("list", options), now, lambda: "", self.hall.folder)
        return outcome.code, {name: value for name, value in outcome.answer.items() if name != "as_of"}

    def _draw(self, number: int) -> Callable[[], str]:
        """Return a source of identifiers that gives every side the same."""
        drawn = iter(range(1_000_000))
        return lambda: sha256(f"{self.seed}/{number}/{next(drawn)}".encode()).hexdigest()[:24]

    def _judge(self, step: Step, now: int, outcome: Outcome) -> None:
        """Hold an outcome against the oracle."""
        if (
            not outcome.ok
            and outcome.code not in CODES
            and not (outcome.code == "unreachable" and step.lag > BEHIND_MOST)
        ):
            raise Difference(f"{outcome.code} is no answer to that: {outcome.text}")
        if outcome.ok and step.words == "bill generate":
            self._judge_bill(step, now, outcome)
        judges = hasattr(self.oracle, "_" + step.words.replace(" ", "_"))
        verdict = self.oracle.judge(step, now) if judges and not self.oracle.lost else None
        if not judges or self.oracle.lost:
            return
        if verdict is not None:
            self.hall.judged += 1
            if verdict != outcome.ok:
                raise Difference(f"by the rules this is {'taken' if verdict else 'refused'}: {outcome.text}")
        if verdict and outcome.ok:
            self.oracle.learn(outcome.answer)
            if step.words == "job import" and self.oracle.made is not None:
                said = (outcome.answer["charged"], outcome.answer["total_cost"].micro)
                agree("charged jobs and their cost", said, (self.oracle.counts[0], micro(self.oracle.counts[1])))
        if (
            outcome.ok and not step.dry_run
        ):  # what a refusal or a dry run changed shows after the next step that is taken
            self._compare_figures()

    def _compare_figures(self) -> None:
        records: Any = self.memory.records
        agree(
            "tenants (balance, credit, enabled)",
            {one.id: (one.balance, one.credit, one.state == "enabled") for one in records["tenant"].values()},
            {name: (micro(one.balance), micro(one.credit), one.enabled) for name, one in self.oracle.tenants.items()},
        )
        agree(
            "projects (tenant, balance, credit, held, open holds, enabled)",
            {
                one.id: (one.tenant, one.balance, one.credit, one.requested, one.holds_open, one.state == "enabled")
                for one in records["project"].values()
            },
            {name: self._figures(name) for name in self.oracle.projects},
        )

    def _figures(self, name: str) -> tuple[object, ...]:
        one, held = self.oracle.projects[name], self.oracle.open_holds(name)
        amount = sum((hold.amount for hold in held), 0)
        return one.tenant, micro(one.balance), micro(one.credit), micro(amount), len(held), one.enabled

    def _judge_bill(self, step: Step, now: int, outcome: Outcome) -> None:
        """Hold a bill against one made from all records."""
        options = step.options
        bill = invariants.bill_of(self.memory.records, str(options["--project"]), str(options["--time_period"]), now)
        answer = outcome.answer
        listed = [
            (day["date"], line["user"].lower(), line["cost"].micro)
            for day in answer["bill"]
            for line in day["activity"]
        ]
        agree("lines of the bill", listed, [(line.date, line.user, line.cost) for line in bill.lines])
        said = tuple(answer[name].micro for name in ("total_cost", "bbalance", "payments", "ebalance"))
        cost = sum(line.cost for line in bill.lines)
        agree("sums of the bill", said, (cost, bill.begin_balance, bill.payments, bill.end_balance))
        hours = sum(line.seconds for line in bill.lines)
        agree("hours of the bill", answer["total_hours"].micro, round(hours * 10_000 / 3600) * 100 if hours else 0)

    def finish(self) -> None:
        """Compare all that the sides hold, and check what must hold of it."""
        first = invariants.books_of(self.memory)
        for side in self.sides[1:]:
            other = invariants.books_of(side.store)
            agree(f"log of memory and {side.name}", first.log, other.log)
            agree(f"records of memory and {side.name}", with_site(first.records), with_site(other.records))
            if side.name != DISTANT or self.seed % 4 == 0:
                agree(f"what verify finds in {side.name}", found(verified(side.store)), [])
        invariants.check(first)
        self._look_back()


def with_site(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return records with the site's: a store may write it with its first values, to keep the head of the global stream."""
    return {**records, SITE: {SITE_ID: DEFAULT_SITE, **records[SITE]}}


def _all(reader: Reader, kinds: Sequence[str] = RECORDS) -> dict[str, dict[str, Any]]:
    """Return all records that the log brings about."""
    return {kind: {one.id: one for one in reader.find(Query(kind, limit=ALL))} for kind in kinds}


def _few(reader: Reader) -> dict[str, dict[str, Any]]:
    """Return those that are replaced when they change; each kind costs a search."""
    return _all(reader, ("tenant", "project", "association", "hold"))


def micro(amount: Any) -> int:
    """Return dollars as whole micro-dollars."""
    scaled = amount * MICRO
    assert scaled == int(scaled), amount
    return int(scaled)


def agree(what: str, one: Any, other: Any) -> None:
    """Compare two things; say where they differ."""
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            if one.get(key) != other.get(key):
                agree(f"{what}, {key}", one.get(key), other.get(key))
    raise Difference(f"{what} differ:\n  {one}\n  {other}")
