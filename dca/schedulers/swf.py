"""The Standard Workload Format (SWF): 18 numbers a line, with times that count from one in the header."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from dca.core import clock
from dca.core.errors import UsageError
from dca.core.names import shown
from dca.schedulers.job import (
    EMPTY,
    NEVER_STARTED,
    STEP,
    Item,
    Job,
    Rejected,
    Skipped,
    UnreadableError,
)
from dca.schedulers.stream import blocks, line_blocks

FIELDS = 18
UNKNOWN = -1
CANCELLED = 5

STATES = {0: "FAILED", 1: "COMPLETED", 2: "PARTIAL", 3: "COMPLETED", 4: "FAILED", CANCELLED: "CANCELLED"}
"""Words for field 11; 2 to 4 end a part of a job that was stopped and went on."""

PARTS = frozenset({2, 3, 4})

_START = re.compile(r";\s*UnixStartTime:\s*([0-9]{1,12})\s*", re.IGNORECASE)
_NUMBER = re.compile(r"(-?[0-9]{1,12})(?:\.([0-9])[0-9]*)?")


def _whole(text: str) -> int:
    """Read a number of a field; seconds may have a fraction and are rounded to the nearest."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UnreadableError(f"{shown(text)} is not a number.")
    return int(match[1]) + (match[2] is not None and match[2] >= "5")


def _named(number: int, prefix: str, what: str) -> str:
    if number < 0:
        raise UnreadableError(f"the record names no {what}.")
    return f"{prefix}{number}"


class _Reader:
    """Turns the lines of one log into items, one for each line."""

    def __init__(self) -> None:
        self._begin: int | None = None
        self._summed: int | None = None
        """The job whose own line came last; lines of its parts may follow."""

    def _judged(self, line: int, text: str, fields: list[str], begin: int) -> Job | Skipped:
        if len(fields) != FIELDS:
            raise UnreadableError(f"the line has {len(fields)} fields where {FIELDS} are due.")
        job, submit, wait, run, cores = (_whole(field) for field in fields[:5])
        status, user, group, queue = (_whole(fields[index]) for index in (10, 11, 12, 14))
        if status in PARTS and job == self._summed:
            return Skipped(line, STEP)
        self._summed = None if status in PARTS else job
        if run <= 0 and (cores <= 0 or (run < 0 and status == CANCELLED)):
            return Skipped(line, NEVER_STARTED)
        if cores <= 0:
            raise UnreadableError(f"the job ran {run} s, but on an unknown number of processors.")
        if job < 0 or submit < 0 or wait < 0:
            raise UnreadableError("the record lacks the job's number, its submit time or its wait time.")
        elapsed = max(run, 0)
        start = begin + submit + wait
        if (start + elapsed) * clock.SECOND > clock.INSTANT_MAX:
            raise UnreadableError("the job ends after the year 9999.")
        return Job(
            line=line,
            cluster="",
            job=str(job),
            account=_named(group, "g", "group"),
            user=_named(user, "u", "user"),
            submit=begin + submit,
            start=start,
            end=start + elapsed,
            elapsed=elapsed,
            cores=cores,
            nodes=0,
            queue="" if queue < 0 else f"q{queue}",
            state=STATES.get(status, "UNKNOWN"),
            text=text,
        )

    def item(self, line: int, text: str) -> Item:
        """Return what a line is; the header's start of time is kept on the way."""
        fields = text.split()
        if not fields or fields[0].startswith(";"):
            if match := _START.fullmatch(text.strip()):
                self._begin = int(match[1])
            return Skipped(line, EMPTY)
        if not self._begin:
            raise UsageError(
                f"line {line} comes before any '; UnixStartTime: SECONDS', so its times mean nothing;"
                " is it a log in SWF? Then put that line on top of it."
            )
        try:
            return self._judged(line, text, fields, self._begin)
        except UnreadableError as error:
            return Rejected(line, str(error), text)


def read_swf(stream: BinaryIO) -> Iterator[Item]:
    """Yield what a log in the Standard Workload Format holds, one item for each line, header and comments too.

    Group 7 becomes account g7, user 7 user u7, queue 7 queue q7. Times are exact: they count from UnixStartTime.
    """
    reader = _Reader()
    number = 0
    for block in line_blocks(blocks(stream)):
        for line in block.lines:
            number += 1
            yield reader.item(number, line)
    if not number:
        raise UsageError("the log is empty: it holds neither records nor a header.")
