"""Helpers of the reader tests: make small logs, read logs, and count what came out."""

import gzip
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dca.schedulers import READERS
from dca.schedulers.job import Item, Job, Rejected, Skipped

DATA = Path(__file__).parent.parent / "data"
GAIA = DATA / "gaia" / "UniLu-Gaia-2014-2.swf.gz"

VALUES = {
    "JobIDRaw": "1017",
    "Cluster": "lab",
    "Partition": "batch",
    "Account": "cli-ocean",
    "User": "anna",
    "State": "COMPLETED",
    "Submit": "2026-11-23T00:45:22",
    "Start": "2026-11-23T00:46:36",
    "End": "2026-11-23T00:47:48",
    "ElapsedRaw": "72",
    "AllocCPUS": "4",
    "NNodes": "1",
    "JobName": "fluid",
}
"""A record of a small log; its columns are those of HEADER, the job's name last."""

SUBMIT, START, END = 1795394722, 1795394796, 1795394868
HEADER = "|".join(VALUES)


def row(delimiter: str = "|", **changes: str) -> str:
    """Return one record as a line, with some values changed."""
    return delimiter.join((VALUES | changes).values())


def lines(*texts: str) -> bytes:
    """Return lines as the bytes of a log."""
    return "".join(text + "\n" for text in texts).encode("utf-8", "surrogateescape")


def items(data: bytes, *, kind: str = "slurm", zone: str = "UTC", delimiter: str = "|") -> list[Item]:
    """Read a whole log."""
    return list(READERS[kind](io.BytesIO(data), zone=zone, delimiter=delimiter))


def sample(name: str) -> bytes:
    """Return one of the Slurm samples, unpacked."""
    plain = DATA / "slurm" / name
    return plain.read_bytes() if plain.exists() else gzip.decompress((DATA / "slurm" / f"{name}.gz").read_bytes())


def jobs(found: Iterable[Item]) -> list[Job]:
    """Return the jobs alone."""
    return [item for item in found if isinstance(item, Job)]


def one_job(data: bytes, *, zone: str = "UTC", delimiter: str = "|") -> Job:
    """Return the job of a log that holds nothing else."""
    found = items(data, zone=zone, delimiter=delimiter)
    assert len(found) == 1, found
    assert isinstance(found[0], Job), found[0]
    return found[0]


def reasons(found: Iterable[Item]) -> list[str]:
    """Return in order what became of each record: job, a reason to skip, or rejected."""
    return [
        "job" if isinstance(item, Job) else item.reason if isinstance(item, Skipped) else "rejected" for item in found
    ]


def counts(found: Iterable[Item]) -> dict[str, int]:
    """Return how often each thing became of a record."""
    return dict(Counter(reasons(found)))


def rejected(data: bytes, *, zone: str = "UTC", kind: str = "slurm") -> str:
    """Return why the one record of a log was rejected."""
    found = items(data, zone=zone, kind=kind)
    last = found[-1]
    assert isinstance(last, Rejected), last
    return last.reason


def core_seconds(found: Iterable[Item]) -> int:
    """Return the core-seconds of all jobs."""
    return sum(job.elapsed * job.cores for job in jobs(found))
