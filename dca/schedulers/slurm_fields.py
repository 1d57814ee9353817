"""One record of sacct -P whose fields stand in their columns: what they say, read strictly."""

import re
from functools import lru_cache

from dca.core.clock import local_seconds
from dca.core.errors import UsageError
from dca.core.names import shown
from dca.schedulers.job import NEVER_STARTED, NOT_ENDED, STEP, Item, Job, Rejected, Skipped, UnreadableError
from dca.schedulers.slurm_columns import Layout
from dca.schedulers.slurm_record import LIVE_STATES, NO_NODE, NO_TIME, checked, state_word

DIGITS_MAX = 12
MOMENT_LENGTH_MIN = 9
"""No time of a job is shorter: epoch seconds have had nine digits since 1973."""

_STEP = re.compile(r"[0-9]+(?:[_+][0-9]+)?\.[A-Za-z0-9_+]+")
_PART_OF_JOB = re.compile(r"[0-9]+(?:_[0-9]+|_\[[^\]]*\]|\+[0-9]+)")
_DURATION = re.compile(r"(?:([0-9]{1,6})-)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})")
_SHORT_COUNT = re.compile(r"([0-9]{1,6})(\.00|\.50?)?([KMG])")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _seconds(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) <= DIGITS_MAX:
        return int(text)
    raise UnreadableError(f"ElapsedRaw {shown(text)} is no number of seconds that a job can take.")


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UnreadableError(f"Elapsed {shown(text)} is not written [DD-]HH:MM:SS.")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _count(text: str) -> int:
    """Read a number of CPUs or nodes; sacct writes 2048 nodes as 2K and 1536 as 1.50K."""
    if text.isdecimal() and text.isascii() and len(text) <= DIGITS_MAX:
        return int(text)
    match = _SHORT_COUNT.fullmatch(text)
    if match is None:
        raise UnreadableError(f"{shown(text)} is not a number of CPUs or nodes.")
    halves = int(match[1]) * 2 + (match[2] in {".5", ".50"})
    return halves * _UNITS[match[3]] // 2


def _moment(text: str, zone: str) -> int:
    if len(text) < MOMENT_LENGTH_MIN or not text.isascii():
        raise UnreadableError(f"{shown(text)} is not a time.")
    return local_seconds(text, zone)


def _is_step(job: str) -> bool:
    if _STEP.fullmatch(job):
        return True
    if _PART_OF_JOB.fullmatch(job):
        return False
    raise UnreadableError(f"{shown(job)} is no job id.")


@lru_cache(maxsize=8192)
def _tres(text: str, kind: str) -> int:
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name == kind:
            return _count(value)
    raise UnreadableError(f"AllocTRES {shown(text)} holds no {kind}=.")


def _cpus_of_tres(text: str) -> int:
    return _tres(text, "cpu")


def _nodes_of_tres(text: str) -> int:
    return _tres(text, "node")


class Records:
    """Reads records of one layout, with times of one zone."""

    def __init__(self, layout: Layout, zone: str) -> None:
        """Choose once how the columns of this layout are read."""
        self.layout = layout
        self.zone = zone
        self.ended = True
        """Whether the line that is being read ended with a line end; false at the end of a log that was cut."""
        self._elapsed = _seconds if layout.sources["elapsed"] == "elapsedraw" else _duration
        self._cores = _cpus_of_tres if layout.sources["cores"] == "alloctres" else _count
        self._nodes = _nodes_of_tres if layout.sources["nodes"] == "alloctres" else _count
        self._tells_tres = bool(layout.sources["tres"])

    def item(self, line: int, text: str, fields: list[str]) -> Item:
        """Return what a record is whose fields stand in their columns."""
        try:
            found = self._judged(line, text, fields)
        except UnreadableError as error:
            return Rejected(line, str(error), text)
        except UsageError as error:
            return Rejected(line, error.sentence, text)
        if not self.ended and self.layout.ends_with_needed and isinstance(found, Job):
            return Rejected(line, "the log ends in the middle of this line; take it once more.", text)
        return found

    def _judged(self, line: int, text: str, fields: list[str]) -> Job | Skipped:
        fields.append("")  # what an absent column holds
        values = self.layout.pick(fields)
        job, state, submit, start, end, elapsed, cores, nodes, account, user, cluster, queue, tres, nodelist = values
        plain = job.isdecimal() and job.isascii() and len(job) <= DIGITS_MAX
        if not plain and _is_step(job):
            return Skipped(line, STEP)
        word = state_word(state)
        if end in NO_TIME or word in LIVE_STATES:
            return Skipped(line, NOT_ENDED)
        if not plain:
            raise UnreadableError(f"JobID {shown(job)} is not the job's own number: take the log with JobIDRaw.")
        seconds = self._elapsed(elapsed)
        if start in NO_TIME or self._without_node(tres, nodelist):
            if seconds:
                raise UnreadableError(f"the job ran {seconds} s, but without a start or a node.")
            return Skipped(line, NEVER_STARTED)
        zone = self.zone
        asked, begin, finish = _moment(submit, zone), _moment(start, zone), _moment(end, zone)
        cpus, hosts = self._cores(cores), self._nodes(nodes)
        if not (seconds or cpus or nodelist or tres):
            return Skipped(line, NEVER_STARTED)
        return checked(
            Job(line, cluster, job, account, user, asked, begin, finish, seconds, cpus, hosts, queue, word, text), zone
        )

    def _without_node(self, tres: str, nodelist: str) -> bool:
        return nodelist == NO_NODE or (not nodelist and self._tells_tres and not tres)

    def reading(self, line: int, text: str) -> Item | None:
        """Read lines that may hold delimiters in a free column; None where they are no whole record."""
        try:
            aligned = self.layout.align(text.split(self.layout.delimiter))
        except UnreadableError as error:
            return Rejected(line, str(error), text)
        return None if aligned is None else self.item(line, text, aligned)
