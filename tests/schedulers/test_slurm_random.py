"""Random logs: what was written comes back, or it is refused; it never comes back as something else."""

import contextlib
import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dca.core.clock import local_text
from dca.core.errors import UsageError
from dca.schedulers import READERS
from dca.schedulers.job import Item, Job, Rejected, Skipped
from tests.schedulers.reading import HEADER, items, jobs, lines, row

FREE = ("JobName", "Comment", "WCKey", "SubmitLine")
MANY = settings(max_examples=250, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

words = st.text("abcz019-_.", min_size=1, max_size=6)
plain_text = st.text("ab 1:-=,TZ\t\"'", max_size=8)
barred_text = st.lists(st.one_of(plain_text, words, st.just("COMPLETED"), st.just("2026-11-23T00:45:22")), max_size=5)
broken_text = st.lists(plain_text, min_size=1, max_size=3).map("\n".join)
moments = st.integers(1_600_000_000, 1_900_000_000)

records = st.fixed_dictionaries(
    {
        "JobIDRaw": st.integers(1, 10**9).map(str),
        "Account": words,
        "User": words,
        "Partition": words,
        "State": st.sampled_from(["COMPLETED", "FAILED", "CANCELLED by 1011", "REQUEUED", "TIMEOUT"]),
        "ElapsedRaw": st.integers(0, 10**6).map(str),
        "AllocCPUS": st.integers(1, 10**5).map(str),
        "NNodes": st.integers(1, 500).map(str),
        "ExitCode": st.sampled_from(["0:0", "1:0", "0:125"]),
        "Submit": moments,
        "wait": st.integers(0, 10**5),
        "pause": st.sampled_from([0, 0, 7]),
    }
)


def written(record: dict[str, object], zone: str) -> dict[str, str]:
    """Return what sacct would write for a record."""
    submit, wait, elapsed, pause = (int(str(record[key])) for key in ("Submit", "wait", "ElapsedRaw", "pause"))
    moment = {"Submit": submit, "Start": submit + wait, "End": submit + wait + elapsed + pause}
    values = {key: str(value) for key, value in record.items() if key not in {"wait", "pause"}}
    return values | {key: local_text(second * 1000, zone)[:19].replace(" ", "T") for key, second in moment.items()}


def wanted(record: dict[str, object]) -> tuple[object, ...]:
    """Return what of a job must come back."""
    submit, wait, elapsed, pause = (int(str(record[key])) for key in ("Submit", "wait", "ElapsedRaw", "pause"))
    return (
        record["JobIDRaw"],
        record["Account"],
        record["User"],
        submit,
        submit + wait,
        submit + wait + elapsed + pause,
        elapsed,
        int(str(record["AllocCPUS"])),
        int(str(record["NNodes"])),
        record["Partition"],
        str(record["State"]).split()[0],
    )


def told(job: Job) -> tuple[object, ...]:
    """Return what a reader said of a job."""
    return (
        job.job,
        job.account,
        job.user,
        job.submit,
        job.start,
        job.end,
        job.elapsed,
        job.cores,
        job.nodes,
        job.queue,
        job.state,
    )


@st.composite
def logs(draw: st.DrawFn, texts: st.SearchStrategy[list[str] | str]) -> tuple[list[dict[str, object]], list[str], str]:
    """Draw records, the lines of their log, and its delimiter; any order of columns, some of them free text."""
    delimiter = draw(st.sampled_from(["|", "\x1f", "||", ";"]))
    free = draw(st.lists(st.sampled_from(FREE), max_size=3, unique=True))
    some = draw(st.lists(records, min_size=1, max_size=4))
    names = draw(st.permutations([*written(some[0], "UTC"), *free]))
    out = [delimiter.join(names)]
    for record in some:
        values = written(record, "UTC")
        for name in free:
            text = draw(texts)
            values[name] = text if isinstance(text, str) else delimiter.join(text)
        out.append(delimiter.join(values[name] for name in names))
    return some, out, delimiter


def never_misread(some: list[dict[str, object]], found: list[Item]) -> None:
    """Every job that came out was written, and no job is gone without a trace."""
    true = [wanted(record) for record in some]
    for job in jobs(found):
        assert told(job) in true
        true.remove(told(job))
    refused = "\n".join(item.text for item in found if isinstance(item, Rejected))
    for lost in true:
        assert str(lost[0]) in refused


@given(logs(plain_text))
@MANY
def test_records_without_bars_come_back_exactly(log: tuple[list[dict[str, object]], list[str], str]) -> None:
    """In any order of columns and with any delimiter, all of them, in order."""
    some, out, delimiter = log
    assert [told(job) for job in jobs(items(lines(*out), delimiter=delimiter))] == [wanted(record) for record in some]


@given(logs(barred_text))
@MANY
def test_bars_in_names_are_resolved_or_refused(log: tuple[list[dict[str, object]], list[str], str]) -> None:
    """Also where names look like states, moments or other names."""
    some, out, delimiter = log
    found = items(lines(*out), delimiter=delimiter)
    assert len(found) == len(some)
    never_misread(some, found)


@given(logs(broken_text))
@MANY
def test_line_breaks_in_names_are_joined_or_refused(log: tuple[list[dict[str, object]], list[str], str]) -> None:
    """One item comes out for each line below the header."""
    some, out, delimiter = log
    found = items(lines(*out), delimiter=delimiter)
    assert len(found) == "\n".join(out).count("\n")
    never_misread(some, found)


@given(logs(st.one_of(barred_text, broken_text)))
@MANY
def test_bars_and_line_breaks_together(log: tuple[list[dict[str, object]], list[str], str]) -> None:
    """In one column or in several of one record."""
    some, out, delimiter = log
    found = items(lines(*out), delimiter=delimiter)
    assert len(found) == "\n".join(out).count("\n")
    never_misread(some, found)


@given(logs(plain_text), st.data())
@MANY
def test_a_line_that_was_cut_takes_no_other_with_it(
    log: tuple[list[dict[str, object]], list[str], str], data: st.DataObject
) -> None:
    """Cut at any place: the record is refused, or is whole because only its name was cut."""
    some, out, delimiter = log
    place = data.draw(st.integers(1, len(out) - 1))
    out[place] = out[place][: data.draw(st.integers(0, len(out[place])))]
    found = items(lines(*out), delimiter=delimiter)
    true = [wanted(record) for record in some]
    for job in jobs(found):
        if told(job) in true:
            true.remove(told(job))
        else:
            assert out[0].split(delimiter)[-1] not in FREE  # a number that stood last and lost its last digits
            assert job.text == out[place]
    texts = "\n".join(item.text for item in found if not isinstance(item, Skipped))
    assert all(line in texts for line in out[1:] if line.strip(" \t"))


@given(records, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]))
@MANY
def test_local_times_come_back_up_to_the_hour_that_comes_twice(record: dict[str, object], zone: str) -> None:
    """What differs differs by the shift of the clocks, and the elapsed time fits all the same."""
    values = written(record, zone)
    log = lines("|".join(values), "|".join(values.values()))
    found = items(log, zone=zone)
    for job in jobs(found):
        true = wanted(record)
        assert job.start + job.elapsed <= job.end
        for found_moment, true_moment in ((job.submit, true[3]), (job.start, true[4]), (job.end, true[5])):
            assert abs(found_moment - int(str(true_moment))) in {0, 1800, 3600}
    assert len(jobs(found)) == 1


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", lines(HEADER, row()), b'{"jobs": [', b"; UnixStartTime: 5\n", b"\x1f\x8b"]),
)
@MANY
def test_any_bytes_at_all(data: bytes, begin: bytes) -> None:
    """Items or one sentence, never a traceback."""
    for reader in READERS.values():
        with contextlib.suppress(UsageError):
            list(reader(io.BytesIO(begin + data), zone="Europe/Berlin"))


@given(st.lists(st.text('|1a:T-\x00 .[]{}",\\\u00b2\u0661', max_size=9), min_size=13, max_size=15), st.integers(0, 12))
@MANY
def test_any_fields_at_all(fields: list[str], place: int) -> None:
    """A record with strange values in it, or made of nothing else."""
    values = row().split("|")
    values[place] = fields[0]
    found = items(lines(HEADER, "|".join(values), "|".join(fields)))
    assert len(found) == 2
