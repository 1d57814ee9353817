"""Slurm's job accounting: what sacct writes, as text (sacct -P) or as JSON (sacct --json)."""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from dca.core import clock
from dca.schedulers.job import Item
from dca.schedulers.slurm_json import read_json
from dca.schedulers.slurm_text import read_text
from dca.schedulers.stream import blocks, line_blocks


def read_slurm(stream: BinaryIO, *, zone: str, delimiter: str = "|") -> Iterator[Item]:
    """Yield what a log of sacct holds: jobs, records passed over, and records that could not be understood.

    The form is found out: JSON begins with a brace, text with a header or with a record of 26 columns. Text yields one
    item for each line but the header. Times without a zone are local times of the zone given. A log that
    is none is a UsageError, which can also come after items, where a log is damaged further on.
    """
    clock.zone(zone)
    pieces = blocks(stream)
    first = next(pieces, b"")
    whole = chain([first], pieces) if first else pieces
    if first.lstrip()[:1] == b"{":
        yield from read_json(whole)
    else:
        yield from read_text(line_blocks(whole), zone=zone, delimiter=delimiter)
