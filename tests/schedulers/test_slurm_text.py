"""One record of sacct -P after the other: what is charged, passed over and refused, and why."""

from typing import BinaryIO, cast

import pytest

from dca.core.errors import UsageError
from dca.schedulers import READERS
from dca.schedulers.job import Job, Skipped
from dca.schedulers.slurm_columns import COMMAND, SHAPES
from tests.schedulers.reading import (
    END,
    HEADER,
    START,
    SUBMIT,
    VALUES,
    counts,
    items,
    jobs,
    lines,
    one_job,
    reasons,
    rejected,
    row,
)


def log(**changes: str) -> bytes:
    """Return a log of one record."""
    return lines(HEADER, row(**changes))


def with_column(name: str, value: str) -> bytes:
    """Return a log of one record with a column more."""
    return lines(f"{name}|{HEADER}", f"{value}|{row()}")


def without(*names: str, **more: str) -> bytes:
    """Return a log of one record in which columns are missing or replaced by others."""
    values = {name: value for name, value in VALUES.items() if name not in names} | more
    return lines("|".join(values), "|".join(values.values()))


def test_a_job() -> None:
    """Everything a record tells arrives, and its line as it stood."""
    assert one_job(log()) == Job(
        line=2,
        cluster="lab",
        job="1017",
        account="cli-ocean",
        user="anna",
        submit=SUBMIT,
        start=START,
        end=END,
        elapsed=72,
        cores=4,
        nodes=1,
        queue="batch",
        state="COMPLETED",
        text=row(),
    )


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
def test_columns_in_any_case_and_order(spell: object) -> None:
    """The header says what stands where."""
    assert callable(spell)
    names = list(reversed(VALUES))
    data = lines("|".join(spell(name) for name in names), "|".join(VALUES[name] for name in names))
    assert one_job(data)._replace(text="") == one_job(log())._replace(text="")


@pytest.mark.parametrize("delimiter", ["\x1f", ",", ";", "\t", "^|^", "|||", "~~"])
def test_any_delimiter(delimiter: str) -> None:
    """Also several characters."""
    data = lines(delimiter.join(VALUES), row(delimiter, JobName="a|b"))
    assert one_job(data, delimiter=delimiter).end == END


def test_extra_columns_and_a_closing_delimiter_do_no_harm() -> None:
    """As sacct -p, with a small p, writes it."""
    data = lines(f"QOS|{HEADER}|ExitCode|", f"normal|{row()}|0:0|")
    assert one_job(data)._replace(text="") == one_job(log())._replace(text="")


def test_cluster_and_partition_may_be_missing() -> None:
    """They are not needed for a charge."""
    job = one_job(without("Cluster", "Partition"))
    assert (job.cluster, job.queue) == ("", "")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (without("JobIDRaw", JobID="1017"), ("1017", 72, 4, 1)),
        (without("ElapsedRaw", Elapsed="00:01:12"), ("1017", 72, 4, 1)),
        (without("AllocCPUS", NCPUS="8"), ("1017", 72, 8, 1)),
        (without("AllocCPUS", "NNodes", AllocTRES="billing=5,cpu=6,gres/gpu:a100=1,mem=1G,node=2"), ("1017", 72, 6, 2)),
        (without("NNodes", AllocNodes="3"), ("1017", 72, 4, 3)),
        (without("NNodes", NNodes="2K"), ("1017", 72, 4, 2048)),
        (without("NNodes", NNodes="1.50K"), ("1017", 72, 4, 1536)),
    ],
)
def test_columns_that_stand_in_for_others(data: bytes, wanted: tuple[str, int, int, int]) -> None:
    """JobID, Elapsed, NCPUS, AllocTRES and AllocNodes, and sacct's way to shorten numbers of nodes."""
    job = one_job(data)
    assert (job.job, job.elapsed, job.cores, job.nodes) == wanted


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:00", 0), ("00:01:12", 72), ("23:59:59", 86399), ("2-00:00:01", 172801)]
)
def test_elapsed_in_days(text: str, seconds: int) -> None:
    """[DD-]HH:MM:SS; the end is put late enough for all of them."""
    assert one_job(without("ElapsedRaw", End="2026-11-26T00:00:00", Elapsed=text)).elapsed == seconds


@pytest.mark.parametrize("text", ["72", "1:12", "0:00:00:72", "INVALID", "-1", "", "1-2"])
def test_elapsed_that_is_none(text: str) -> None:
    """Nothing is guessed."""
    assert "Elapsed" in rejected(without("ElapsedRaw", Elapsed=text))


def test_missing_columns_are_named_with_a_command_that_brings_them() -> None:
    """All of them at once."""
    with pytest.raises(UsageError) as caught:
        items(without("End", "ElapsedRaw", "AllocCPUS"))
    assert "End, ElapsedRaw or Elapsed, AllocCPUS or NCPUS or AllocTRES;" in caught.value.sentence
    assert "sacct -a -D -X -P --format=JobIDRaw,Cluster" in caught.value.sentence


def test_the_command_that_is_named_has_every_column() -> None:
    """A log taken with it is read, and has no column that users write."""
    names = COMMAND.partition("--format=")[2].split(",")
    assert all(name.lower() in SHAPES for name in names)
    values = VALUES | {"AllocTRES": "cpu=4,node=1", "NodeList": "c1"}
    data = lines("|".join(names), "|".join(values[name] for name in names))
    assert one_job(data)._replace(text="") == one_job(log())._replace(text="")
    assert one_job(data.rstrip(b"\n")).job == "1017"


@pytest.mark.parametrize("job", ["1017.batch", "1017.0", "1017.extern", "1017.interactive", "1017.4294967291"])
def test_steps_are_passed_over(job: str) -> None:
    """They have no user and no partition, and the job's own record counts."""
    assert reasons(items(log(JobIDRaw=job, User="", Partition=""))) == ["step"]


@pytest.mark.parametrize("job", ["1013_2.batch", "1014+1.0"])
def test_steps_of_arrays_and_hetjobs(job: str) -> None:
    """As JobID writes them, where JobIDRaw is missing."""
    assert reasons(items(without("JobIDRaw", JobID=job))) == ["step"]


@pytest.mark.parametrize("job", ["1013_2", "1014+1"])
def test_a_job_id_that_is_not_the_jobs_own(job: str) -> None:
    """1013_2 is stored under another number, so charging it under this one would charge it twice."""
    assert "JobIDRaw" in rejected(without("JobIDRaw", JobID=job))


@pytest.mark.parametrize("job", ["1013_[4-6]", "1013_[4-6%2]", "1013"])
def test_the_pending_rest_of_an_array(job: str) -> None:
    """One line for all tasks that wait."""
    data = without("JobIDRaw", JobID=job, State="PENDING", Start="Unknown", End="Unknown", ElapsedRaw="0")
    assert reasons(items(data)) == ["not_ended"]


@pytest.mark.parametrize(
    "job", ["", "x1017", "10 17", "1017|", "\u0661\u0660", "²", "1" * 13, "1" * 5000, "-1", "1017."]
)
def test_a_job_id_that_is_none(job: str) -> None:
    """Digits, and no more of them than a number has."""
    assert counts(items(log(JobIDRaw=job))) == {"rejected": 1}


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("RUNNING", "Unknown"),
        ("PENDING", "Unknown"),
        ("SUSPENDED", "Unknown"),
        ("RUNNING", "2026-11-23T00:47:48"),
        ("COMPLETING", "2026-11-23T00:47:48"),
        ("COMPLETED", "Unknown"),
        ("REQUEUED", "Unknown"),
    ],
)
def test_jobs_that_have_not_ended(state: str, end: str) -> None:
    """With sacct --truncate a running job even has an End; it is a later log that says what it used."""
    assert reasons(items(log(State=state, End=end))) == ["not_ended"]


@pytest.mark.parametrize("state", ["REQUEUED", "RESIZING", "PREEMPTED", "NODE_FAIL", "CANCELLED by 1011", "CANCELLED"])
def test_runs_that_ended_some_other_way(state: str) -> None:
    """An end is an end; the state keeps its first word."""
    assert one_job(log(State=state)).state == state.partition(" ")[0]


def test_what_follows_a_resizing() -> None:
    """Slurm's second record counts from the first start; what lies before its Submit is in the first record."""
    whole = {"Submit": "1795491874", "Start": "1795491870", "End": "1795491882", "ElapsedRaw": "12"}
    found = one_job(log(**whole))
    assert (found.submit, found.start, found.end, found.elapsed) == (1795491874, 1795491874, 1795491882, 8)
    at_once = one_job(log(**whole | {"End": "1795491874", "ElapsedRaw": "4"}))
    assert (at_once.start, at_once.end, at_once.elapsed) == (1795491874, 1795491874, 0)
    assert "resized and suspended" in rejected(log(**whole | {"ElapsedRaw": "11"}))
    assert "before it was submitted" in rejected(log(**whole | {"End": "1795491873", "ElapsedRaw": "3"}))


def test_submitted_in_the_first_of_two_hours_that_read_alike() -> None:
    """The job was not resized: it began in the second of the two."""
    night = {"Submit": "2026-10-25T02:40:00", "Start": "2026-10-25T02:10:00", "End": "2026-10-25T02:50:00"}
    found = one_job(log(**night, ElapsedRaw="2400"), zone="Europe/Berlin")
    assert (found.start - found.submit, found.end - found.start, found.elapsed) == (1_800, 2_400, 2_400)


@pytest.mark.parametrize("state", ["", "completed", "Completed", "DONE!", "CANCELLED 1011", "CANCELLED by", "normal"])
def test_a_state_that_is_none(state: str) -> None:
    """It would mean that the columns are not what they seem."""
    assert "state" in rejected(log(State=state))


@pytest.mark.parametrize("start", ["None", "Unknown"])
def test_jobs_that_never_started(start: str) -> None:
    """Cancelled while pending, or past their deadline."""
    assert reasons(items(log(State="CANCELLED by 1011", Start=start, ElapsedRaw="0"))) == ["never_started"]


def test_a_job_without_a_node_never_started() -> None:
    """Older versions give it a Start, equal to its End."""
    data = lines(f"NodeList|{HEADER}", f"None assigned|{row(Start=VALUES['End'], ElapsedRaw='0')}")
    assert reasons(items(data)) == ["never_started"]


def test_a_job_without_resources_never_started() -> None:
    """Where the log has no NodeList, AllocTRES is empty or AllocCPUS is 0."""
    data = lines(f"AllocTRES|{HEADER}", f"|{row(ElapsedRaw='0')}")
    assert reasons(items(data)) == ["never_started"]
    assert reasons(items(log(ElapsedRaw="0", AllocCPUS="0"))) == ["never_started"]


@pytest.mark.parametrize(
    "data", [log(Start="None"), with_column("NodeList", "None assigned"), with_column("AllocTRES", "")]
)
def test_a_job_that_ran_nowhere_is_refused(data: bytes) -> None:
    """72 seconds without a start or a node are a contradiction that nobody may decide in silence."""
    assert "ran 72 s" in rejected(data)


def test_seconds_on_no_cpu_are_refused() -> None:
    """Neither free of charge nor anybody's."""
    assert "no CPU" in rejected(log(AllocCPUS="0"))


def test_a_job_of_no_time_that_had_a_node_is_a_job() -> None:
    """It costs nothing, and it is in the books."""
    assert one_job(log(ElapsedRaw="0", End=VALUES["Start"])).elapsed == 0


@pytest.mark.parametrize("name", ["Account", "User"])
@pytest.mark.parametrize("value", ["", "a\x00b", "a\x1bb", "\udcff"])
def test_names_that_are_none(name: str, value: str) -> None:
    """Nobody can be charged; bytes that are no text cannot be in a name."""
    assert name.lower() in rejected(log(**{name: value}))


@pytest.mark.parametrize("value", ["x", "", "-1", "1.5", "1e3", "²", "9" * 20, "9" * 5000, "1_0", " 4", "4.53K"])
@pytest.mark.parametrize("name", ["ElapsedRaw", "AllocCPUS", "NNodes"])
def test_numbers_that_are_none(name: str, value: str) -> None:
    """Digits only; a number that sacct shortened is taken only where that is exact."""
    assert counts(items(log(**{name: value}))) == {"rejected": 1}


def test_more_cpus_than_there_can_be() -> None:
    """A sign that the columns are not what they seem."""
    assert "more than any cluster" in rejected(log(AllocCPUS="12345678901"))


def test_tres_without_cpus() -> None:
    """Nothing is guessed."""
    assert "cpu=" in rejected(without("AllocCPUS", AllocTRES="billing=5,node=2"))


@pytest.mark.parametrize("name", ["Submit", "Start", "End"])
@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-13-01T00:00:00", "2026-11-23T24:00:00", "2026-11-23T00:4²:00", "0", "12345678"]
)
def test_times_that_are_none(name: str, value: str) -> None:
    """Each with its reason."""
    assert counts(items(log(**{name: value}))) == {"rejected": 1}


def test_times_in_a_zone() -> None:
    """Local time of the process that wrote the log."""
    job = one_job(log(), zone="America/New_York")
    assert (job.submit, job.start, job.end) == (SUBMIT + 5 * 3600, START + 5 * 3600, END + 5 * 3600)


def test_times_as_epoch_seconds_or_with_an_offset() -> None:
    """They mean the same in every zone."""
    data = log(Submit=str(SUBMIT), Start="2026-11-23T01:46:36+0100", End=str(END))
    job = one_job(data, zone="Asia/Tokyo")
    assert (job.submit, job.start, job.end) == (SUBMIT, START, END)


def test_a_time_that_no_clock_showed() -> None:
    """02:30 does not exist on the night when clocks go forward."""
    data = log(Submit="2026-03-29T01:00:00", Start="2026-03-29T02:30:00", End="2026-03-29T03:31:12")
    assert "does not exist" in rejected(data, zone="Europe/Berlin")


def test_an_end_in_the_hour_that_comes_twice() -> None:
    """Start 02:50 and End 02:10 on the night when clocks go back: the elapsed time says that it is the second 02:10."""
    data = log(Submit="2026-10-25T01:00:00", Start="2026-10-25T02:50:00", End="2026-10-25T02:10:00", ElapsedRaw="1200")
    job = one_job(data, zone="Europe/Berlin")
    assert job.end - job.start == 1200
    assert "ends before it starts" in rejected(data, zone="UTC")


def test_elapsed_time_that_does_not_fit() -> None:
    """More than lies between Start and End: the zone is wrong, or a column."""
    assert "fit between" in rejected(log(ElapsedRaw="73"))
    assert one_job(log(ElapsedRaw="71")).elapsed == 71


def test_an_unknown_zone_is_told_at_once() -> None:
    """Not once for each record."""
    with pytest.raises(UsageError, match="Mars"):
        items(log(), zone="Mars/Olympus")


def test_windows_line_ends_and_byte_order_mark() -> None:
    """As a log has after a walk through an editor."""
    data = b"\xef\xbb\xbf" + lines(HEADER, row()).replace(b"\n", b"\r\n")
    assert one_job(data).text == row()
    assert one_job(data[:-1]).text == row()


def test_bytes_that_are_no_text() -> None:
    """Latin-1 and NUL in a job's name are no reason to refuse it, and can be written back as they were."""
    line = row(JobName="gro\udcdfes R\x00tsel")
    assert one_job(lines(HEADER, line)).text.encode("utf-8", "surrogateescape").endswith(b"gro\xdfes R\x00tsel")


def test_blank_lines() -> None:
    """They are counted, also before the header."""
    found = items(lines("", HEADER, "", row(), "  ", ""))
    assert [(item.line, reason) for item, reason in zip(found, reasons(found), strict=True)] == [
        (1, "empty"),
        (3, "empty"),
        (4, "job"),
        (5, "empty"),
        (6, "empty"),
    ]


def test_two_logs_one_behind_the_other() -> None:
    """The same header once more, in any case, is passed over."""
    found = items(lines(HEADER, row(), "\ufeff" + HEADER.upper(), row(JobIDRaw="1018")))
    assert [job.job for job in jobs(found)] == ["1017", "1018"]
    assert counts(found) == {"job": 2, "empty": 1}


def test_two_logs_with_other_columns() -> None:
    """What follows would be misread, so it is not read; the message says what to do."""
    other = HEADER.replace("AllocCPUS|NNodes", "NNodes|AllocCPUS")
    with pytest.raises(UsageError, match="line 3 is a header with other columns"):
        items(lines(HEADER, row(), other, row()))


def test_a_header_alone_is_a_log_without_jobs() -> None:
    """Nothing was in the window of time that was asked for."""
    assert items(lines(HEADER)) == []
    assert items(HEADER.encode()) == []


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\r\n\n"])
def test_an_empty_log_is_an_error(data: bytes) -> None:
    """A sacct that failed leaves exactly that, and nobody should take it for a month without jobs."""
    with pytest.raises(UsageError, match="holds no header and no records"):
        items(data)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"sacct: error: Problem talking to the database: Connection refused\n", "Problem talking"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", "no header"),
        (b"1017,anna,cli-ocean\n", "no header"),
        (lines(row()), "no header"),
        (lines(HEADER.replace("|", "\x1f")), "--delimiter"),
        (lines("JobIDRaw       User    Account  "), "-P"),
        (b"JobID\n", "lacks"),
    ],
)
def test_what_is_no_log_is_refused(data: bytes, wanted: str) -> None:
    """With its first words, or with the way to a log that can be read."""
    with pytest.raises(UsageError, match=wanted):
        items(data)


@pytest.mark.parametrize("delimiter", ["", "\n"])
def test_a_delimiter_that_is_none(delimiter: str) -> None:
    """It could not cut a line."""
    with pytest.raises(UsageError, match="delimiter"):
        items(log(), delimiter=delimiter)


def test_a_log_that_was_cut() -> None:
    """What is missing of the last line could be a digit, so it is no job; with the name last it cannot be."""
    order = [name for name in VALUES if name != "JobName"]
    data = lines("|".join(order), "|".join((VALUES | {"NNodes": "12"})[name] for name in order))
    assert one_job(data).nodes == 12
    assert "middle of this line" in rejected(data[:-1])
    assert "middle of this line" in rejected(data[:-2])
    assert one_job(log()[:-3]).nodes == 1


def test_a_log_that_was_cut_in_the_middle_of_a_record() -> None:
    """The record is refused, never shortened."""
    for length in range(1, len(row()) - len(VALUES["JobName"]) - 1):
        assert counts(items(lines(HEADER) + row().encode()[:length])) == {"rejected": 1}


UNHEADED = (
    "20117|20117|tarn|wide|steady|moss|moss|5001|fern|6001|2026-01-30T22:00:00|2026-01-30T22:00:00|"
    "2026-01-30T23:30:00|2026-02-01T01:30:10|1-02:00:10|0:0|CANCELLED by 6001|2|24|24|31000Mn|cpu=24,node=2|"
    "billing=24,cpu=24,gres/gpu=2,mem=31000M,node=2|2-00:00:00|t-[01-02]|spring|melt"
)


def test_a_log_without_header() -> None:
    """The 26 columns of Open XDMoD's helper, the name last, with bars in it; its first line is a record."""
    waited = UNHEADED.replace("t-[01-02]", "None assigned").replace("1-02:00:10", "00:00:00")
    step = UNHEADED.replace("20117|20117", "20117.batch|20117.batch")
    found = items(lines(UNHEADED, waited, step))
    assert found[1:] == [Skipped(2, "never_started"), Skipped(3, "step")]
    job = found[0]
    assert isinstance(job, Job)
    assert job[:5] == (1, "tarn", "20117", "moss", "fern")
    assert (job.elapsed, job.cores, job.nodes, job.queue, job.state) == (93610, 24, 2, "wide", "CANCELLED")
    assert job.end - job.start == 93610


def test_a_log_without_header_in_other_columns() -> None:
    """It cannot be told what they are."""
    with pytest.raises(UsageError, match="no header"):
        items(lines("|".join(reversed(UNHEADED.split("|")))))


def test_reading_is_a_stream() -> None:
    """The first job is out before the second block is read: nothing seeks, nothing waits for the end."""

    class Pipe:
        """A stream that can only be read on, and that fails when it is read too far."""

        def __init__(self) -> None:
            self.reads = 0

        def read(self, size: int) -> bytes:
            self.reads += 1
            assert self.reads == 1
            many = lines(HEADER, *(row() for _ in range(size // len(row()))))
            return many[:size]

    found = READERS["slurm"](cast("BinaryIO", Pipe()), zone="UTC")
    assert isinstance(next(iter(found)), Job)
