"""Several processes that examine the entries of a log, so that all processors of a machine work on a verification."""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dca.core.errors import DamagedError, UnreachableError
from dca.store import examination
from dca.store.schema import LOG, TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future, ProcessPoolExecutor
    from types import TracebackType

    from dca.store.entry import Permitted
    from dca.store.port import Archive, Store
    from dca.store.replay import Examined

AT_ONCE = 64
"""Entries of a task; an import's have a thousand changes each."""
RECORDS_LEAST = 5_000
"""Books with fewer entries and transactions are examined before a process would have started."""
PROCESSES_MAX = 16


class Part(NamedTuple):
    """Some entries of a stream."""

    stream: str
    first: int
    entries: int


class Crew:
    """A pool of processes that examine entries ahead of the walk over them."""

    def __init__(
        self,
        archive: Archive,
        again: Callable[[], Store] | None,
        permitted: Permitted,
        *,
        least: int = RECORDS_LEAST,
        at_once: int = AT_ONCE,
    ) -> None:
        """Take the archive, and what opens its store once more in another process."""
        self._least, self._at_once = least, at_once
        self._archive, self._again, self._permitted = archive, again, permitted
        self._pool: ProcessPoolExecutor | None = None
        self._tasks: Iterator[list[Part]] = iter(())
        self._futures: deque[Future[list[tuple[Part, list[Examined]]]]] = deque()
        self._ready: deque[tuple[Part, list[Examined]]] = deque()

    def __enter__(self) -> Self:
        """Start the processes, if they are worth it."""
        processes = min(os.cpu_count() or 1, PROCESSES_MAX)
        if self._again is not None and processes > 1 and self._is_worth_it():
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(
                processes, multiprocessing.get_context("spawn"), _begin, (self._again, self._permitted)
            )
            self._tasks = self._planned()
            self._submit(processes + 2)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def stream(self, stream: str, first: int) -> Iterator[Examined]:
        """Yield the examined entries of a stream: those that were examined ahead, then whatever follows."""
        seq = first
        while first == 1 and self._next(stream):
            part, examined = self._ready.popleft()
            yield from examined
            seq += len(examined)
            if len(examined) < part.entries:
                return
        yield from examination.of_stream(self._archive, self._permitted, stream, seq, 2**62)

    def _is_worth_it(self) -> bool:
        try:
            return sum(self._archive.count(kind) for kind in (TRANSACTION, LOG)) >= self._least
        except DamagedError:
            return False

    def _next(self, stream: str) -> bool:
        """Tell whether the next part that was examined is of a stream; parts of others were for nothing, or are to come."""
        while True:
            while self._ready and self._ready[0][0].stream < stream:
                self._ready.popleft()
            if self._ready:
                return self._ready[0][0].stream == stream
            if not self._futures:
                return False
            self._ready.extend(self._done(self._futures.popleft()))
            self._submit(1)

    def _done(self, future: Future[list[tuple[Part, list[Examined]]]]) -> list[tuple[Part, list[Examined]]]:
        from concurrent.futures.process import BrokenProcessPool

        try:
            return future.result()
        except BrokenProcessPool:
            raise UnreachableError("a process of this verification was ended from outside; run it again.") from None

    def _submit(self, tasks: int) -> None:
        assert self._pool is not None
        for _ in range(tasks):
            task = next(self._tasks, None)
            if task is not None:
                with _deaf():
                    self._futures.append(self._pool.submit(_examine, task))

    def _planned(self) -> Iterator[list[Part]]:
        """Cut all streams into tasks, in the order in which they are walked."""
        task: list[Part] = []
        size = 0
        for stream in self._archive.streams():
            length = self._length(stream)
            for first in range(1, length + 1, self._at_once):
                count = min(self._at_once, length + 1 - first)
                task.append(Part(stream, first, count))
                size += count
                if size >= self._at_once:
                    yield task
                    task, size = [], 0
        if task:
            yield task

    def _length(self, stream: str) -> int:
        """Return how long a stream is at least, as far as that is quickly told."""
        try:
            return self._archive.head(stream).seq
        except DamagedError:
            return 0


@contextmanager
def _deaf() -> Iterator[None]:
    """Put off Ctrl-C; a process that is started meanwhile never hears it, not even before it can say that it ignores it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Helper:
    """What a process of the crew keeps between its tasks."""

    archive: Any = None
    permitted: Any = None
    stack = ExitStack()


def _begin(again: Callable[[], Store], permitted: Permitted) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked for the verification ends it
    store = again()
    _Helper.stack.callback(store.close)
    _Helper.archive = _Helper.stack.enter_context(store.archive())
    _Helper.permitted = permitted


def _examine(parts: Sequence[Part]) -> list[tuple[Part, list[Examined]]]:
    return [(part, list(examination.of_stream(_Helper.archive, _Helper.permitted, *part))) for part in parts]
