"""The Standard Workload Format: the Gaia trace to the second, and every oddity a line can have."""

import pytest

from dca.core.errors import UsageError
from dca.schedulers.job import Job
from tests.schedulers.reading import GAIA, core_seconds, counts, items, jobs, lines, rejected

HEAD = ";   UnixStartTime: 1400749079"
LINE = "7  100  20  30  4  -1 -1  4 3600 -1  1  12  13  -1  2 -1 -1 -1"
FIELDS = (
    "job",
    "submit",
    "wait",
    "run",
    "cores",
    "cpu",
    "memory",
    "asked",
    "estimate",
    "asked_memory",
    "status",
    "user",
)


def line(**changes: object) -> str:
    """Return a record with some of its fields changed; the later ones go by their number."""
    fields = LINE.split()
    for name, value in changes.items():
        fields[FIELDS.index(name) if name in FIELDS else int(name.removeprefix("f")) - 1] = str(value)
    return " ".join(fields)


def log(*records: str) -> bytes:
    """Return a log of these records."""
    return lines(HEAD, *records)


def only(record: str) -> Job:
    """Return the job of a log with one record."""
    found = jobs(items(log(record), kind="swf"))
    assert len(found) == 1
    return found[0]


def test_the_gaia_trace() -> None:
    """Its totals, worked out apart from this reader."""
    found = items(GAIA.read_bytes(), kind="swf")
    assert counts(found) == {"job": 51_987, "empty": 48}
    assert core_seconds(found) == 6_978_070_499
    all_jobs = jobs(found)
    assert sum(not job.elapsed * job.cores for job in all_jobs) == 128
    assert len({job.user for job in all_jobs}) == len({job.account for job in all_jobs}) == 84
    assert min(job.start for job in all_jobs) == 1_400_832_638
    assert max(job.end for job in all_jobs) == 1_408_446_372
    assert [item.line for item in found] == list(range(1, len(found) + 1))


def test_a_job() -> None:
    """Times count from the header's; numbers become names."""
    assert only(LINE) == Job(
        line=2,
        cluster="",
        job="7",
        account="g13",
        user="u12",
        submit=1400749179,
        start=1400749199,
        end=1400749229,
        elapsed=30,
        cores=4,
        nodes=0,
        queue="q2",
        state="COMPLETED",
        text=LINE,
    )


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (0, "FAILED"),
        (1, "COMPLETED"),
        (5, "CANCELLED"),
        (2, "PARTIAL"),
        (3, "COMPLETED"),
        (4, "FAILED"),
        (-1, "UNKNOWN"),
        (9, "UNKNOWN"),
    ],
)
def test_states(status: int, word: str) -> None:
    """The words for field 11."""
    assert only(line(status=status)).state == word


def test_an_unknown_queue_is_none() -> None:
    """Nothing depends on it."""
    assert only(line(f15=-1)).queue == ""


def test_an_unknown_run_time_on_known_processors_is_a_job_of_no_time() -> None:
    """The trace of Gaia has 28 of them; they cost nothing and are in the books."""
    job = only(line(run=-1))
    assert (job.elapsed, job.end) == (0, job.start)


@pytest.mark.parametrize(
    "record",
    [line(run=-1, cores=-1), line(run=0, cores=0, wait=-1), line(run=-1, status=5), line(run=-1, cores=-1, user=-1)],
)
def test_jobs_that_never_started(record: str) -> None:
    """Cancelled while waiting."""
    assert counts(items(log(record), kind="swf")) == {"empty": 1, "never_started": 1}


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        (line(cores=-1), "processors"),
        (line(wait=-1), "wait time"),
        (line(submit=-1), "submit time"),
        (line(job=-1), "number"),
        (line(user=-1), "user"),
        (line(f13=-1), "group"),
        (line(run="x"), "not a number"),
        (line(run="1e9"), "not a number"),
        (line(run="1_0"), "not a number"),
        (line(run="٣"), "not a number"),
        (line(submit="9" * 13), "not a number"),
        (line(submit="9" * 12), "year 9999"),
        (LINE.rsplit(maxsplit=1)[0], "17 fields"),
        (LINE + " 1", "19 fields"),
        ("\x00", "1 fields"),
    ],
)
def test_lines_that_cannot_be_understood(record: str, wanted: str) -> None:
    """Each with its reason; nobody is charged for them and nobody overlooks them."""
    assert wanted in rejected(log(record), kind="swf")


def test_parts_of_a_job_count_once() -> None:
    """A job that was stopped and went on has its own line first, with the sum; parts alone stand for themselves."""
    parts = [
        line(job=8, status=1, run=50),
        line(job=8, status=2, run=20, submit=-1),
        line(job=8, status=3, run=30, submit=-1),
    ]
    found = items(log(*parts, line(job=9, status=2)), kind="swf")
    assert counts(found) == {"empty": 1, "job": 2, "step": 2}
    assert [(job.job, job.elapsed) for job in jobs(found)] == [("8", 50), ("9", 30)]


def test_parts_without_a_sum_are_all_charged() -> None:
    """The next part of a job whose own line is missing is no part of a sum."""
    found = items(log(line(job=8, status=2, run=20), line(job=8, status=3, run=30)), kind="swf")
    assert core_seconds(found) == 50 * 4


@pytest.mark.parametrize(("text", "seconds"), [("30.4", 30), ("30.5", 31), ("30.95", 31), ("0.2", 0)])
def test_seconds_with_a_fraction(text: str, seconds: int) -> None:
    """The format allows them; they are rounded to the nearest."""
    assert only(line(run=text)).elapsed == seconds


@pytest.mark.parametrize("head", ["; a log", "; UnixStartTime: 0", "; UnixStartTime: soon", ""])
def test_without_its_start_a_log_has_no_times(head: str) -> None:
    """The message says which line to add."""
    with pytest.raises(UsageError, match="UnixStartTime"):
        items(lines(head, LINE), kind="swf")


def test_a_header_alone_and_nothing_at_all() -> None:
    """A log without jobs, and no log."""
    assert counts(items(lines(HEAD, ";", ""), kind="swf")) == {"empty": 3}
    with pytest.raises(UsageError, match="empty"):
        items(b"", kind="swf")


def test_windows_line_ends_and_no_last_one() -> None:
    """Nothing of the fields is lost by them."""
    data = log(LINE).replace(b"\n", b"\r\n")
    assert jobs(items(data, kind="swf")) == jobs(items(data[:-2], kind="swf")) == [only(LINE)]
