"""Schedulers: their records in, ours out; parsing only, no books, no money."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from dca.schedulers.job import Item


class Reader(Protocol):
    """Reads the log of one kind of scheduler; a log that is none at all is a UsageError."""

    def __call__(self, stream: BinaryIO, *, zone: str, delimiter: str = "|") -> Iterator[Item]:
        """Yield what the log holds, in its order; zone and delimiter matter to logs that need them."""


def _slurm(stream: BinaryIO, *, zone: str, delimiter: str = "|") -> Iterator[Item]:
    from dca.schedulers.slurm import read_slurm

    return read_slurm(stream, zone=zone, delimiter=delimiter)


def _swf(stream: BinaryIO, *, zone: str, delimiter: str = "|") -> Iterator[Item]:  # noqa: ARG001 -- SWF is UTC and blanks
    from dca.schedulers.swf import read_swf

    return read_swf(stream)


READERS: dict[str, Reader] = {"slurm": _slurm, "swf": _swf}
"""The kinds of log that can be read, by the name a user writes; each loads its module when it is first called."""
