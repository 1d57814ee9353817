"""The rows of the benchmark: what each measures, against which floor, and what is wanted of it."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import time
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dca.bench import crowd, floors, jobs
from dca.core.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dca.bench.scratch import Scratch
    from dca.store.port import Entry

T = TypeVar("T")
JOBS_MAX, JOBS_QUICK, JOBS_QUICK_DISTANT = 1_000_000, 100_000, 20_000
BYTES_A_JOB = 2_000
"""Room that a job takes in books, floors and logs, generously."""
ENTRIES = 1_000
CHARGE = "transaction charge"
PERIOD = f"{jobs.YEAR}-01-01,{jobs.YEAR}-12-31"
SAID_MAX = 300
IN_BETWEEN = """
import resource, subprocess, sys
ended = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
if ended.returncode:
    sys.stdout.buffer.write(ended.stdout)
    sys.exit(ended.returncode)
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
PER_SECOND, MILLISECONDS, MEBIBYTES = "/s", "ms", "MiB"


class Figure(NamedTuple):
    """What a row measured."""

    ours: float
    floor: float
    unit: str
    floor_is: str
    target: float = 0.0
    """The ratio, or for a lone figure the figure, that is wanted; 0 where none is."""
    alone: bool = False
    """Whether the target is about our figure itself, not about the ratio."""
    facts: tuple[tuple[str, Any], ...] = ()

    @property
    def more_is_better(self) -> bool:
        """Tell whether a rate was measured."""
        return self.unit == PER_SECOND

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None where there is none."""
        if not self.target:
            return None
        value = self.ours if self.alone else self.ours / self.floor
        return value >= self.target if self.more_is_better else value <= self.target


class Sizes(NamedTuple):
    """How much is measured."""

    jobs: int
    rounds: int

    @property
    def bytes(self) -> int:
        """Return how much room the measuring takes at most."""
        return BYTES_A_JOB * self.jobs

    @property
    def commits(self) -> int:
        """Return how many charges are made one by one in a round."""
        return min(max(self.jobs // 1_000, 3), 400)

    @property
    def each(self) -> int:
        """Return how many charges each of many writers makes in a round."""
        return min(max(self.jobs // 20_000, 1), 20)

    @property
    def batched(self) -> int:
        """Return how many charges are made in batches in a round."""
        return min(self.jobs // 50, 10_000)

    @property
    def imported(self) -> int:
        """Return how many jobs are imported in a round."""
        return max(self.jobs // 20, 10)


class Laboratory:
    """The scratch books at work."""

    def __init__(self, scratch: Scratch, sizes: Sizes) -> None:
        """Take books, and how much to measure."""
        self.scratch = scratch
        self.sizes = sizes
        self._tenants = 0
        self._imports: tuple[list[float], list[float], list[float]] | None = None
        self.peak = 0.0

    @cached_property
    def floor(self) -> floors.Floor:
        """Return the floor of the kind of store."""
        if self.scratch.is_sqlite:
            return floors.SqliteFloor(self.scratch.file, self.scratch.folder / "floor.db")
        store: Any = self.scratch.around.store
        return floors.ElasticFloor(store.door, store.door.address.prefix)

    def close(self) -> None:
        """Let go of the floor, if there was one."""
        if "floor" in self.__dict__:
            self.floor.close()

    def entries(self, stream: str, first: int = 1) -> list[Entry]:
        """Return the entries of a stream from a sequence on."""
        found: list[Entry] = []
        while some := self.scratch.around.store.entries(stream, first + len(found), ENTRIES):
            found += some
        return found

    def end(self, stream: str) -> int:
        """Return the sequence of the last entry of a stream."""
        return int(self.scratch.around.store.read(lambda reader: reader.end(stream)).seq)

    def new_tenant(self) -> str:
        """Add a tenant that nothing was imported for yet; its project has its name."""
        self._tenants += 1
        name = f"import{self._tenants}"
        self.scratch.tenant(name)
        return name

    def charge(self, count: int) -> None:
        """Charge jobs of a minute, one after the other."""
        given = {"--project": "project0", "--user": "ada", "--jobtime": "60"}
        for _ in range(count):
            self.scratch.run(CHARGE, given)

    def log(self, count: int, account: str) -> Any:
        """Write a log of so many jobs; return its path."""
        path = self.scratch.folder / f"{account}.txt"
        jobs.write(path, count, account)
        return path

    @cached_property
    def loaded(self) -> str:
        """Import the many jobs that a bill is made of, by a process of its own; return their project."""
        name = self.new_tenant()
        log = self.log(self.sizes.jobs, name)
        words = [
            "job",
            "import",
            f"--tenant={name}",
            "--create-missing",
            "--timezone=UTC",
            str(log),
            "-m",
            "--wait=300",
        ]
        self.peak = _peak(self.scratch, ["-m", "dca", *words])
        log.unlink()
        return name

    def imports(self) -> tuple[list[float], list[float], list[float]]:
        """Import in turn with the floor; return the seconds of first imports, of second ones, and of floors."""
        if self._imports is None:
            first: list[float] = []
            again: list[float] = []
            plain: list[float] = []
            for _ in range(self.sizes.rounds):
                name = self.new_tenant()
                log = self.log(self.sizes.imported, name)
                begin = self.end(f"t:{name}") + 1
                took, answer = timed(self.scratch.bring, log, name)
                assert answer["charged"] == self.sizes.imported, answer
                first.append(took)
                took, answer = timed(self.scratch.bring, log, name)
                assert answer["charged"] == 0, answer
                again.append(took)
                written = [one for one in self.entries(f"t:{name}", begin) if one.category == "job"]
                work = self.floor.work(written)
                plain.append(seconds(self.floor.write_import, work, log))
                log.unlink()
            self._imports = first, again, plain
        return self._imports


def timed(work: Callable[..., T], *given: Any) -> tuple[float, T]:
    """Do a piece of work; return how many seconds it took, and what it returned."""
    gc.collect()
    begin = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - begin, result


def seconds(work: Callable[..., object], *given: Any) -> float:
    """Return how many seconds a piece of work takes."""
    return timed(work, *given)[0]


def _run(scratch: Scratch, words: Sequence[str]) -> tuple[float, str]:
    """Run Python with some words; return how many milliseconds of the processor it took, and what it printed."""
    environment = {**os.environ, **scratch.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed dca has its bytecode beside it
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ending = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)  # between its start and the next line nobody would end it
    with subprocess.Popen(  # noqa: S603 -- dca itself
        [sys.executable, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
            out, _ = child.communicate()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # with whatever it has started itself
            raise
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        said = " ".join(out.split())[:SAID_MAX]
        raise UnreachableError(f"cannot measure: {' '.join(words[1:4])} ended with status {child.returncode} ({said}).")
    return 1_000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), out


def _peak(scratch: Scratch, words: Sequence[str]) -> float:
    """Run Python with some words; return its memory at its highest, in mebibytes.

    A process in between starts it: the peak of a child begins with what its parent has.
    """
    return float(_run(scratch, ["-c", IN_BETWEEN, *words])[1]) / 1024


# -- the rows ----------------------------------------------------------------------------------------------------------


def one_by_one(lab: Laboratory) -> Figure:
    """Charge one job at a time."""
    count, ours, plain = lab.sizes.commits, [], []
    lab.charge(1)
    for _ in range(lab.sizes.rounds):
        begin = lab.end("t:tenant0") + 1
        ours.append(seconds(lab.charge, count))
        work = lab.floor.work(lab.entries("t:tenant0", begin))
        plain.append(seconds(lab.floor.write_one_by_one, work))
    if lab.scratch.is_sqlite:
        return Figure(count / median(ours), count / median(plain), PER_SECOND, lab.floor.one, 0.6)
    return Figure(1_000 * median(ours) / count, 1_000 * median(plain) / count, MILLISECONDS, lab.floor.one, 6.0)


def writers(lab: Laboratory, count: int) -> Figure:
    """Charge by many processes at once."""
    ours, alone, failures = [], [], []
    for _ in range(lab.sizes.rounds):
        run = crowd.charging(lab.scratch, count, lab.sizes.each)
        failures += run.failures
        ours.append(run.seconds)
        single = crowd.charging(lab.scratch, 1, max(lab.sizes.commits // 2, 1))
        failures += single.failures
        alone.append(single.seconds)
    done, lone = count * lab.sizes.each, max(lab.sizes.commits // 2, 1)
    facts: tuple[tuple[str, Any], ...] = (("failures", len(failures)),)
    if failures:
        facts = (*facts, ("first_failure", failures[0]))
    target = 0.5 if lab.scratch.is_sqlite and not failures else 0.0
    return Figure(done / median(ours), lone / median(alone), PER_SECOND, "one such writer", target, facts=facts)


def batch(lab: Laboratory, size: int) -> Figure:
    """Charge in batches."""
    file = lab.scratch.folder / "batch.jsonl"
    times = max(lab.sizes.batched // size, 1)
    ours, plain = [], []
    for number in range(lab.sizes.rounds):
        begin = lab.end("t:tenant1") + 1
        ours.append(0.0)
        for part in range(times):
            _write_batch(file, size, f"bench-{number}/{size}-{part}")
            took, answered = timed(lab.scratch.run_lines, CHARGE, file)
            assert answered == size, answered
            ours[-1] += took
        work = lab.floor.work(lab.entries("t:tenant1", begin))
        plain.append(seconds(lab.floor.write_batch, work))
    target = 0.5 if lab.scratch.is_sqlite and size >= ENTRIES else 0.0
    done = size * times
    return Figure(done / median(ours), done / median(plain), PER_SECOND, lab.floor.many, target)


def _write_batch(file: Any, size: int, key: str) -> None:
    import json

    with file.open("w", encoding="utf-8") as lines:
        for number in range(size):
            charge = {"project": "project1", "user": "ada", "jobtime": 60, "job": f"{key}/{number}"}
            lines.write(json.dumps(charge) + "\n")


def imported(lab: Laboratory) -> Figure:
    """Import a scheduler's log."""
    first, _, plain = lab.imports()
    count = lab.sizes.imported
    target = 0.5 if lab.scratch.is_sqlite else 0.6
    return Figure(count / median(first), count / median(plain), PER_SECOND, lab.floor.whole, target)


def imported_again(lab: Laboratory) -> Figure:
    """Import the same log once more."""
    first, again, _ = lab.imports()
    count = lab.sizes.imported
    facts = (("new_records", 0),)
    return Figure(count / median(again), count / median(first), PER_SECOND, "the first import", 2.0, facts=facts)


def memory(lab: Laboratory) -> Figure:
    """Weigh the memory of an import, however long the log."""
    assert lab.loaded
    bare = _peak(lab.scratch, ["-c", "pass"])
    return Figure(lab.peak, bare, MEBIBYTES, "a bare interpreter", 300.0, alone=True)


def bill(lab: Laboratory) -> Figure:
    """Write a bill over many transactions."""
    project = lab.loaded
    ours, plain = [], []
    given = {"--project": project, "--time_period": PERIOD}
    for _ in range(lab.sizes.rounds):
        ours.append(seconds(lab.scratch.run, "bill generate", given))
        plain.append(seconds(lab.floor.add_up, project))
    target = 1_000.0 if lab.sizes.jobs >= JOBS_MAX else 0.0
    facts = (("transactions", lab.sizes.jobs),)
    return Figure(
        1_000 * median(ours), 1_000 * median(plain), MILLISECONDS, lab.floor.bill, target, alone=True, facts=facts
    )


def verify(lab: Laboratory) -> Figure:
    """Prove that the books are in order."""
    assert lab.loaded
    ours, plain, records = [], [], 0
    for _ in range(lab.sizes.rounds):
        took, answer = timed(lab.scratch.run, "log verify", {})
        ours.append(took)
        records = answer["entries"] + answer["changes"] + answer["records"]
        plain.append(seconds(lab.floor.scan))
    target = 100_000.0 if lab.scratch.is_sqlite else 0.0
    return Figure(records / median(ours), records / median(plain), PER_SECOND, lab.floor.read, target, alone=True)


def start(lab: Laboratory, *words: str) -> Figure:
    """Take the processor time of a whole process."""
    ours, bare = [], []
    for _ in range(4 * lab.sizes.rounds):
        ours.append(_run(lab.scratch, ["-m", "dca", *words])[0])
        bare.append(_run(lab.scratch, ["-c", "pass"])[0])
    return Figure(median(ours), median(bare), MILLISECONDS, "python -c pass, processor time")


HOLD = ("transaction", "reservebudget", "--project=project2", "--estimate=60")
CHARGED = (*CHARGE.split(), "--project=project2", "--user=ada", "--jobtime=60")

ROWS: dict[str, tuple[str, Callable[[Laboratory], Figure]]] = {
    "one": ("charges, one at a time", one_by_one),
    "writers_8": ("charges by 8 processes at once", lambda lab: writers(lab, 8)),
    "writers_64": ("charges by 64 processes at once", lambda lab: writers(lab, 64)),
    "batch_100": ("charges in batches of 100", lambda lab: batch(lab, 100)),
    "batch_1000": ("charges in batches of 1,000", lambda lab: batch(lab, 1_000)),
    "import": ("jobs imported", imported),
    "again": ("the same jobs imported once more", imported_again),
    "memory": ("memory of an import of {jobs} jobs", memory),
    "bill": ("bill over {jobs} transactions", bill),
    "verify": ("records verified", verify),
    "start_version": ("dca --version", lambda lab: start(lab, "--version")),
    "start_list": ("dca list", lambda lab: start(lab, "list", "--project=project2")),
    "start_hold": ("dca transaction reservebudget", lambda lab: start(lab, *HOLD)),
    "start_charge": ("dca transaction charge", lambda lab: start(lab, *CHARGED)),
}  # fmt: skip
"""Each row: its name, what it measures, and how."""
