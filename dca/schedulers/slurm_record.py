"""The rules that every Slurm record meets, however it was written down: what it must hold to be a job."""

import re
from functools import lru_cache

from dca.core import clock
from dca.core.names import shown
from dca.schedulers.job import Job, UnreadableError

COUNT_MAX = 10**9
MOMENT_MAX = clock.INSTANT_MAX // clock.SECOND
NO_NODE = "None assigned"
NO_TIME = frozenset({"Unknown", "None", "N/A"})

LIVE_STATES = frozenset(
    {
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "POWER_UP_NODE",
        "SIGNALING",
        "STAGE_OUT",
        "STOPPED",
    }
)
"""States in which a job has not ended, whatever its End says (sacct --truncate writes one)."""

_STATE = re.compile(r"([A-Z][A-Z_]*)(?: by \S+)?")
_SHIFTS = (3_600, 1_800, 7_200)


@lru_cache(maxsize=4096)
def state_word(text: str) -> str:
    """Return the first word of a state: CANCELLED of 'CANCELLED by 1011'."""
    match = _STATE.fullmatch(text)
    if match is None:
        raise UnreadableError(f"{shown(text)} is no state of a job.")
    return match[1]


def _same_clock(one: int, other: int, zone: str) -> bool:
    texts = {clock.local_text(second * clock.SECOND, zone)[:19] for second in (one, other)}
    return len(texts) == 1


def _second_of_two(job: Job, zone: str) -> int:
    """Return the end, moved to the second of two moments that read alike where only that one fits the elapsed time."""
    for shift in _SHIFTS:
        end = job.end + shift
        if job.start + job.elapsed <= end <= MOMENT_MAX and _same_clock(job.end, end, zone):
            return end
    return job.end


def _after_resizing(job: Job, zone: str) -> Job:
    """Return a job that starts before it was submitted as what it is.

    When a job is resized Slurm ends its record and makes another, submitted at that moment, whose Start and ElapsedRaw
    count from the job's first start: only what lies after Submit is this record's. A Submit in the first of two hours
    that read alike, before a Start in the second, is no such record.
    """
    for shift in _SHIFTS:
        start = job.start + shift
        if job.submit <= start and start + job.elapsed <= job.end + shift and _same_clock(job.start, start, zone):
            return job._replace(start=start)
    if job.end < job.submit:
        raise UnreadableError("the record ends before it was submitted: is the zone right?")
    if job.elapsed != job.end - job.start:
        raise UnreadableError(
            "the job was resized and suspended, and the record does not tell how long it ran since; charge it by hand "
            "(dca transaction charge)."
        )
    return job._replace(start=job.submit, elapsed=job.end - job.submit)


def _refitted(job: Job, zone: str) -> Job:
    end = _second_of_two(job, zone)
    if end < job.start:
        raise UnreadableError("the record ends before it starts.")
    if end < job.start + job.elapsed:
        raise UnreadableError(
            f"{job.elapsed} elapsed seconds do not fit between Start and End ({end - job.start} s): is the zone right?"
        )
    return job._replace(end=end)


def checked(job: Job, zone: str) -> Job:
    """Return an ended job that had resources if it is whole, or raise UnreadableError with what is wrong about it."""
    if not (job.account and job.account.isprintable()):
        raise UnreadableError(f"the record names no account, but {shown(job.account)}.")
    if not (job.user and job.user.isprintable()):
        raise UnreadableError(f"the record names no user, but {shown(job.user)}.")
    if job.elapsed and not job.cores:
        raise UnreadableError(f"the job ran {job.elapsed} s, but on no CPU.")
    if job.cores > COUNT_MAX or job.nodes > COUNT_MAX:
        raise UnreadableError(f"{max(job.cores, job.nodes)} CPUs or nodes are more than any cluster has.")
    if job.start < job.submit:
        job = _after_resizing(job, zone)
    return job if job.start + job.elapsed <= job.end else _refitted(job, zone)
