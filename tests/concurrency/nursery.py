"""A nursery of processes: it imports dca once and forks a process for each command, which saves the start of Python.

A child may be given a fate: it ends itself at its n-th operation, by SIGKILL or as if somebody had pressed Ctrl-C, or
it is killed at a moment. Several children of one batch wait for each other before they begin; a child may run a script
of several commands, as so many calls of dca, and note when each begins and ends.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from hashlib import sha256
from importlib import import_module
from io import StringIO
from itertools import count
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cli.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
NEEDED_LATER = ("difflib", "docopt", "encodings.idna", "sqlite3.dbapi2", "tomllib", "urllib.parse", "zoneinfo")
CHILD_SECONDS_MAX = 300
SMALL = (
    ("dca.commands.job", "AT_ONCE", 3),
    ("dca.commands.job", "WAITING_MAX", 5),
    ("dca.commands.release", "AT_ONCE", 2),
    ("dca.book", "PAGE", 2),
)
"""Portions of a few, in which commands of many records can be made to work."""

STATEMENT, REQUEST, ANSWER, MOMENT = "statement", "request", "answer", "moment"
"""What counts as an operation: what is done to the SQLite file and its folder, an HTTP request that is to be sent, or one
that was sent and is to be answered; or else nothing does, and the child is killed after so many microseconds."""
KILL, INTERRUPT = "kill", "interrupt"


class Fate(NamedTuple):
    """How and when a child ends itself."""

    operation: str
    at: int
    """Before which operation, from 1; 0 for none, so that they are only counted."""
    how: str = KILL


class Task(NamedTuple):
    """A command for a child."""

    words: Sequence[str]
    environment: dict[str, str]
    folder: str
    fate: Fate | None = None
    portion: int = 0
    """Jobs that an import books at once; 0 for as many as it would."""
    small: bool = False
    """Whether commands of many records work in portions of a few."""
    now: int = 0
    """What its clock says, in milliseconds; 0 for the time of day."""
    ahead: int = 0
    """By how many milliseconds its clock is ahead of the time of day."""
    chance: str = ""
    """What its random identifiers follow from; empty for real chance."""
    first_chance: str = ""
    """What the first of them follows from, if it is not the same: the batch of an import goes on under its name."""
    file_bytes_max: int = 0
    """How long any file can get; 0 for no limit."""
    script: Sequence[Sequence[str]] = ()
    """Further commands, to be run one after the other in place of the words."""


class Ended(NamedTuple):
    """What a child left: its exit status (negative for a signal) and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """Return its answer."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer


class Nursery:
    """The near end: hands over batches of tasks and waits for what became of them."""

    def __init__(self) -> None:
        """Start the process that forks."""
        command = [sys.executable, "-m", "tests.concurrency.nursery"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    def run(self, *tasks: Task) -> list[Ended]:
        """Run tasks at once; return what became of each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(tasks) + "\n")
        self._process.stdin.flush()
        return [Ended(*one) for one in json.loads(self._process.stdout.readline())]

    def dca(self, shell: Shell, *words: str, fate: Fate | None = None, portion: int = 0) -> Ended:
        """Run one command in a process of its own."""
        return self.run(task(shell, *words, fate=fate, portion=portion))[0]

    def at_once(self, shell: Shell, commands: Sequence[Sequence[str]]) -> list[Ended]:
        """Run commands at once."""
        return self.run(*(task(shell, *words) for words in commands))

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def task(shell: Shell, *words: str, fate: Fate | None = None, portion: int = 0) -> Task:
    """Return the task to run a command on a shell's books."""
    return Task([*words, "-m"], shell.outside(), str(shell.folder), fate, portion)


# -- the far end -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Read batches of tasks, one a line, and answer each with what became of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    for line in sys.stdin:
        batch = [Task(*one) for one in json.loads(line)]
        sys.stdout.write(json.dumps(run_batch(batch)) + "\n")
        sys.stdout.flush()


def import_all() -> None:
    """Import all of dca, and what it imports late."""
    import dca

    modules = {module.name for module in walk_packages(dca.__path__, "dca.")}
    for name in sorted([*modules, *NEEDED_LATER, "elastic_transport", "urllib3"]):
        import_module(name)


def run_batch(batch: Sequence[Task]) -> list[Ended]:
    """Fork a child for each task, let them begin together, and wait for all."""
    gate, opener = os.pipe()
    children = []
    for one in batch:
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- closed below
        child = os.fork()
        if child == 0:
            os.close(opener)
            os.read(gate, 1)
            live(one, out, err)
        children.append((child, out, err))
    os.close(gate)
    os.close(opener)
    kill_in_time({child: Fate(*one.fate) for (child, _, _), one in zip(children, batch, strict=True) if one.fate})
    return [
        Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _text(out), _text(err))
        for child, out, err in children
    ]


def kill_in_time(fates: dict[int, Fate]) -> None:
    """Kill children, none of which was waited for yet, at their moments."""
    begin = time.monotonic()
    for child, fate in sorted(fates.items(), key=lambda item: item[1].at):
        if fate.operation != MOMENT:
            continue
        while (left := begin + fate.at / 1e6 - time.monotonic()) > 0 and not has_ended(child):
            time.sleep(min(left, 0.02))
        os.kill(child, signal.SIGKILL)


def has_ended(child: int) -> bool:
    """Tell whether a child has ended, and leave it to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


def live(task: Task, out: IO[bytes], err: IO[bytes]) -> None:
    """Be a child: run the command as the interpreter would, and end."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.environ.clear()
        os.environ.update(task.environment)
        os.chdir(task.folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(CHILD_SECONDS_MAX)
        sys.argv = ["dca", *task.words]
        prepare(task)
        from dca.__main__ import main as dca

        status = play(task) if task.script else dca()
    except BaseException:  # noqa: BLE001 -- as the interpreter would
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def play(task: Task) -> int:
    """Run a script, and write a line before and after each command: when it was, and what came of it."""
    from dca import cli

    lines = sys.stdout
    for number, words in enumerate(task.script):
        lines.write(json.dumps({"number": number, "call": time.monotonic_ns()}) + "\n")
        lines.flush()
        sys.stdout = said = StringIO()
        status = cli.main(list(words))
        sys.stdout = lines
        answered = {"number": number, "return": time.monotonic_ns(), "status": status, "out": said.getvalue()}
        lines.write(json.dumps(answered) + "\n")
        lines.flush()
    return 0


def prepare(task: Task) -> None:
    """Put a child's clock, chance, limits and fate upon it."""
    from dca.commands import job

    if task.small:
        for module, name, size in SMALL:
            setattr(import_module(module), name, size)
    if task.portion:
        job.AT_ONCE = task.portion
    if task.now:
        time.time_ns = lambda: task.now * 1_000_000
    if task.ahead:
        real = time.time_ns
        time.time_ns = lambda: real() + task.ahead * 1_000_000
    if task.chance:
        sources = (f"{(task.chance if number else task.first_chance or task.chance)}/{number}" for number in count())
        os.urandom = lambda size: sha256(next(sources).encode()).digest()[:size]
    if task.file_bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task.file_bytes_max, resource.RLIM_INFINITY))
    if task.fate is None or task.fate[0] == MOMENT:
        return
    fate = Fate(*task.fate)
    watch = {STATEMENT: watch_statements, REQUEST: watch_requests, ANSWER: watch_answers}[fate.operation]
    watch(counter(fate), task)


def counter(fate: Fate) -> Callable[[], None]:
    """Return what is called before each operation, and ends the process at the right one."""
    done = 0

    def operation() -> None:
        nonlocal done
        done += 1
        if done == fate.at:
            os.kill(os.getpid(), signal.SIGKILL if fate.how == KILL else signal.SIGINT)

    return operation


def watch_statements(operation: Callable[[], None], task: Task) -> None:
    """Call before each statement that SQLite gets, and before each deed in the folder of the books."""
    import sqlite3

    class Watched(sqlite3.Connection):
        def execute(self, *given: Any) -> sqlite3.Cursor:
            operation()
            return super().execute(*given)

        def executemany(self, *given: Any) -> sqlite3.Cursor:
            operation()
            return super().executemany(*given)

        def close(self) -> None:
            operation()
            super().close()

    connect = sqlite3.connect
    sqlite3.connect = lambda *place, **how: connect(*place, **how, factory=Watched)  # type: ignore[assignment]
    folder = task.folder

    def deed(event: str, arguments: tuple[Any, ...]) -> None:
        if (
            event in ("open", "os.remove", "os.mkdir", "os.rename", "os.link") and str(arguments[0]).startswith(folder)
        ) or event == "fcntl.flock":
            operation()

    sys.addaudithook(deed)


def watch_requests(operation: Callable[[], None], _: Task) -> None:
    """Call before each request that is sent."""
    from elastic_transport import Transport

    send = Transport.perform_request

    def watched(*given: Any, **how: Any) -> Any:
        operation()
        return send(*given, **how)

    Transport.perform_request = watched  # type: ignore[method-assign]


def watch_answers(operation: Callable[[], None], _: Task) -> None:
    """Call before each answer is read, when the request is on its way already."""
    from urllib3.connection import HTTPConnection

    read = HTTPConnection.getresponse

    def watched(*given: Any, **how: Any) -> Any:
        operation()
        return read(*given, **how)

    HTTPConnection.getresponse = watched  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
