"""Many processes that write at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from dca import engine
from dca.bench.scratch import TENANTS
from dca.commands.table import BY_WORDS
from dca.core.errors import DcaError

if TYPE_CHECKING:
    from dca.bench.scratch import Scratch

READY = b"."


class Run(NamedTuple):
    """What a crowd did."""

    seconds: float
    failures: list[str]
    """What went wrong, a sentence each."""


def charging(scratch: Scratch, count: int, each: int) -> Run:
    """Let so many processes make so many charges each; the time runs from when all are ready until the last has ended."""
    waiting, go = os.pipe()
    hearing, say = os.pipe()
    children: list[int] = []
    try:
        for number in range(count):
            child = os.fork()
            if not child:
                os.close(go)
                os.close(hearing)
                _be_one(scratch, number, each, waiting, say)
            children.append(child)
        os.close(waiting)
        os.close(say)
        ready = b""
        while len(ready) < count and (some := os.read(hearing, count - len(ready))):
            ready += some
        begin = time.perf_counter()
        os.close(go)
        go = -1
        said = b""
        while some := os.read(hearing, 1 << 16):
            said += some
        took = time.perf_counter() - begin
    finally:
        if go >= 0:
            os.close(go)
        os.close(hearing)
        _end(children)
    return Run(took, said.decode(errors="replace").splitlines())


def _be_one(scratch: Scratch, number: int, each: int, waiting: int, say: int) -> None:
    """Be one of the processes: say when ready, wait for the others, charge, say what went wrong, and end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    failures: list[str] = []
    try:
        around = scratch.opened()
        project = f"project{number % TENANTS}"
        engine.run(around, BY_WORDS["list"], {"--project": project})
        os.write(say, READY)
        os.read(waiting, 1)
        given = {"--project": project, "--user": "ada", "--jobtime": "60"}
        for _ in range(each):
            try:
                engine.run(around, BY_WORDS["transaction charge"], given)
            except DcaError as error:
                failures.append(error.sentence)
    except BaseException as error:  # noqa: BLE001 -- whatever it is, this process must end here, and the other be told
        failures.append(f"a writer failed: {error!r}")
    with suppress(OSError):
        os.write(say, "".join(f"{one}\n" for one in failures).encode())
    os._exit(0)


def _end(children: list[int]) -> None:
    """See every process out; after an interruption they are told to end."""
    for child in children:
        with suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG)[0]:
                continue
            time.sleep(0.005)
            if not os.waitpid(child, os.WNOHANG)[0]:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
