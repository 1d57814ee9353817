"""Consecutive commits of one process: the records of an entry are written while the next one is decided."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from dca.core.errors import DcaError, UnreachableError
from dca.store import protocol
from dca.store.elastic_door import PAUSE_SECONDS, PAUSE_SECONDS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dca.store.protocol import Found, Key, Later, Memory

UNDER_WAY_MAX = 3
"""Entries whose records are being written at once, each over a connection of its own."""
EARLY_MAX = 2
"""Writes to come for which records are read early: the next one, and the one after it."""


class Series:
    """Writes the records of entries that wait in a memory, several at once, and moves the heads after them."""

    def __init__(
        self,
        memory: Memory,
        drive: Callable[[Any], Any],
        deadline: Callable[[], float],
        get: Callable[[Sequence[Key]], Sequence[Found | None]],
    ) -> None:
        """Take over the memory's waiting entries until the series is finished; get reads documents."""
        self._memory = memory
        self._drive = drive
        self._deadline = deadline
        self._get = get
        self._pool = ThreadPoolExecutor(UNDER_WAY_MAX + EARLY_MAX + 1, thread_name_prefix="dca-series")
        self._written: dict[tuple[str, int], Future[bool]] = {}
        self._moves: dict[str, tuple[Later, Future[bool]]] = {}
        memory.defers = True

    def foresee(self, stream: str, keys: Sequence[Key]) -> None:
        """Begin to read records that a write to come will ask for."""
        del self._memory.early[: -EARLY_MAX + 1 or None]
        if stream in self._memory.heads:
            reading = self._pool.submit(lambda: dict(zip(keys, self._get(keys), strict=True)))
            self._memory.foresee(stream, keys, partial(_read, reading))

    def go_on(self) -> None:
        """Begin to write what the last commit left; wait while too much is under way."""
        self._settle()
        for stream, waiting in list(self._memory.waiting.items()):
            for one in waiting:
                if (stream, one.end.seq) not in self._written:
                    self._written[stream, one.end.seq] = self._pool.submit(self._carry_out, one)
            self._move_head(stream)
        while len(under_way := [future for future in self._written.values() if not future.done()]) >= UNDER_WAY_MAX:
            wait(under_way, return_when=FIRST_COMPLETED)

    def finish(self) -> None:
        """Write everything that waits, and move all heads to the ends."""
        self._memory.early.clear()
        self._settle()
        while self._memory.waiting:
            self.go_on()
            wait([*self._written.values(), *(move for _, move in self._moves.values())])
            self._give_up_where_nothing_moves()

    def close(self) -> None:
        """Leave what is not written to the next writer."""
        self._memory.defers = False
        self._memory.early.clear()
        self._memory.settle()
        self._memory.waiting.clear()
        self._pool.shutdown(cancel_futures=True)

    def _give_up_where_nothing_moves(self) -> None:
        for stream in list(self._memory.waiting):
            last, move = self._moves.get(stream, (None, None))
            if last is not None and move is not None and not move.result():
                raise _unwritten(stream, last.end.seq)

    def _move_head(self, stream: str) -> None:
        """Take in the last move of a head, and begin the next, where all entries up to a later one are written."""
        if stream in self._moves:
            last, move = self._moves[stream]
            if not move.done():
                return
            del self._moves[stream]
            if move.result():
                self._memory.reach(stream, last.end)
                self._settle()
        reached, head = None, self._memory.reached(stream)
        for one in self._memory.waiting.get(stream, ()):
            if one.end.seq <= head.seq:
                continue
            future = self._written[stream, one.end.seq]
            if not future.done():
                break
            if not future.result():
                raise _unwritten(stream, one.end.seq)
            reached = one
        if reached is not None:
            self._moves[stream] = (
                reached,
                self._pool.submit(self._repeated, lambda: protocol.move_head(stream, reached)),
            )

    def _settle(self) -> None:
        """Forget what was written of entries that wait no longer."""
        self._memory.settle()
        waiting = {(stream, one.end.seq) for stream, listed in self._memory.waiting.items() for one in listed}
        for key in self._written.keys() - waiting:
            del self._written[key]

    def _carry_out(self, one: Later) -> bool:
        return self._repeated(lambda: protocol.carry_out(one))

    def _repeated(self, steps: Callable[[], Any]) -> bool:
        """Do something until it is done, as long as there is time; tell whether it is."""
        until, pause = self._deadline(), PAUSE_SECONDS
        while True:
            try:
                if self._drive(steps()):
                    return True
            except DcaError:
                pass
            if time.monotonic() + pause > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)


def _unwritten(stream: str, seq: int) -> UnreachableError:
    return UnreachableError(
        f"the records of entry {seq} of stream {stream} could not be written in time; the log has them, "
        "and the next command that changes anything there writes them."
    )


def _read(reading: Future[dict[Key, Found | None]]) -> Mapping[Key, Found | None]:
    """Return what was read early; nothing where that failed, so that who asks for it now is told why."""
    try:
        return reading.result()
    except DcaError:
        return {}
