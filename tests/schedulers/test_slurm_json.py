"""What sacct --json writes, of this version and of newer ones, whole, damaged and endless."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest

from dca.core.errors import UsageError
from dca.schedulers import READERS
from dca.schedulers.job import Item, Job, Rejected
from tests.schedulers.reading import END, START, SUBMIT, core_seconds, counts, items, jobs, reasons, sample


def record(**changes: object) -> dict[str, object]:
    """Return a record as openapi dbv0.0.38 has it, with some values changed."""
    return {
        "account": "cli-ocean",
        "allocation_nodes": 1,
        "association": {"account": "cli-ocean", "cluster": "lab", "user": "anna"},
        "cluster": "lab",
        "time": {"elapsed": 72, "start": START, "end": END, "submission": SUBMIT, "suspended": 0},
        "job_id": 1017,
        "name": 'a|b\n"c" \\ {[',
        "nodes": "c1",
        "partition": "batch",
        "state": {"current": "COMPLETED", "reason": "None"},
        "steps": [{"time": {"elapsed": 72}}],
        "tres": {"allocated": [{"type": "cpu", "count": 4}, {"type": "node", "count": 1}], "requested": []},
        "user": "anna",
    } | changes


def times(**changes: object) -> dict[str, object]:
    """Return the times of a record, with some values changed."""
    return {"time": {"elapsed": 72, "start": START, "end": END, "submission": SUBMIT} | changes}


def log(*records: object, **more: object) -> bytes:
    """Return a log of these records."""
    return json.dumps(
        {"meta": {"Slurm": {"release": "22.05.8"}}, "errors": [], "jobs": records} | more, indent=1
    ).encode()


def read(*records: object, **more: object) -> list[Item]:
    """Read a log of these records."""
    return items(log(*records, **more))


def refused(**changes: object) -> str:
    """Return why a record is refused."""
    found = read(record(**changes))
    assert len(found) == 1
    assert isinstance(found[0], Rejected), found
    return found[0].reason


def test_a_job() -> None:
    """Everything a record tells; its text is the record on one line without its steps, and can be read again."""
    found = read(record(), record(job_id=1018))
    job = found[0]
    assert isinstance(job, Job)
    assert job[:14] == (
        1,
        "lab",
        "1017",
        "cli-ocean",
        "anna",
        SUBMIT,
        START,
        END,
        72,
        4,
        1,
        "batch",
        "COMPLETED",
        job.text,
    )
    assert "\n" not in job.text
    assert "steps" not in job.text
    assert items(job.text.encode()) == [job]
    assert [item.line for item in found] == [1, 2]


def test_numbers_as_newer_versions_write_them() -> None:
    """Objects that say whether the number is set, and the state as a list."""

    def number(value: int) -> dict[str, object]:
        return {"set": True, "infinite": False, "number": value}

    newer = record(
        job_id=number(1017),
        allocation_nodes=number(1),
        time={
            "elapsed": number(72),
            "start": number(START),
            "end": number(END),
            "submission": {"set": True, "number": SUBMIT},
        },
        state={"current": ["COMPLETED"], "reason": "None"},
        tres={"allocated": [{"type": "cpu", "count": number(4)}]},
    )
    assert [job._replace(text="") for job in jobs(read(newer))] == [
        job._replace(text="") for job in jobs(read(record()))
    ]
    assert jobs(read(record(job_id=1017.0)))[0].job == "1017"


def test_names_from_the_association() -> None:
    """Where the record itself has none."""
    job = jobs(read(record(user="", account=None, cluster="")))[0]
    assert (job.user, job.account, job.cluster) == ("anna", "cli-ocean", "lab")


@pytest.mark.parametrize(
    "changes",
    [
        times(end=0),
        times(end=None),
        times(end={"set": False, "number": 5}),
        times(end={"set": True, "infinite": True, "number": 5}),
        {"state": {"current": "RUNNING"}},
        {"state": {"current": ["COMPLETED", "COMPLETING"]}},
    ],
)
def test_jobs_that_have_not_ended(changes: dict[str, object]) -> None:
    """By their end or by their state."""
    assert reasons(read(record(**changes))) == ["not_ended"]


@pytest.mark.parametrize("changes", [times(start=0, elapsed=0), times(start=None, elapsed=0)])
def test_jobs_that_never_started(changes: dict[str, object]) -> None:
    """A start of 0 or null."""
    assert reasons(read(record(**changes))) == ["never_started"]


def test_jobs_without_a_node() -> None:
    """None assigned, or nothing allocated; refused if seconds were counted all the same."""
    none = {"nodes": "None assigned", "tres": {"allocated": []}}
    assert reasons(read(record(**none, **times(elapsed=0)), record(**none | {"nodes": ""}, **times(elapsed=0)))) == [
        "never_started",
        "never_started",
    ]
    assert "ran 72 s" in refused(**none)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"job_id": "x"}, "job_id"),
        ({"job_id": True}, "job_id"),
        ({"job_id": -4}, "job_id"),
        ({"state": None}, "state"),
        ({"state": {"current": []}}, "state"),
        ({"state": {"current": "done"}}, "state"),
        ({"user": "", "association": {}}, "user"),
        ({"account": 7, "association": None}, "account"),
        ({"tres": {"allocated": [{"type": "cpu", "count": None}]}}, "CPUs"),
        ({"tres": {"allocated": [{"type": "mem", "count": 5}]}}, "no CPU"),
        ({"tres": {"allocated": "cpu=4"}}, "no CPU"),
        (times(elapsed=None), "elapsed"),
        (times(elapsed=1.5), "elapsed"),
        (times(elapsed=73), "fit between"),
        (times(end=START - 1), "ends before"),
        (times(submission=0), "submission"),
        (times(end=10**15), "end"),
    ],
)
def test_records_that_cannot_be_understood(changes: dict[str, object], wanted: str) -> None:
    """Each with its reason."""
    assert wanted in refused(**changes)


@pytest.mark.parametrize("strange", [None, 5, "x", [], ["job_id"], {}])
def test_records_that_are_none(strange: object) -> None:
    """They are counted and refused, and the next one is read."""
    assert reasons(read(strange, record())) == ["rejected", "job"]


def test_a_log_without_jobs() -> None:
    """Nothing was in the window of time that was asked for."""
    assert read() == []
    assert items(b'{"jobs": [ ] }') == []
    assert items(b'{"jobs": null}') == []


def test_errors_of_sacct_are_errors() -> None:
    """It writes them into the log, with no jobs or with a part of them."""
    failed = {"description": "Query failed", "error_number": 5}
    with pytest.raises(UsageError, match="Query failed"):
        read(errors=[failed])
    found: list[Item] = []
    with pytest.raises(UsageError, match="once more"):
        found.extend(stream(log(record(), errors=["odd"])))
    assert counts(found) == {"job": 1}
    with pytest.raises(UsageError, match="Gone"):
        read(record(), errors={"error": "Gone"})


def stream(data: bytes) -> Iterator[Item]:
    """Read a log bit by bit."""
    return READERS["slurm"](io.BytesIO(data), zone="UTC")


@pytest.mark.parametrize("data", [b"{}", b'{"meta": {}}', b'{"jobs": {}}', b'{"jobs": 5}'])
def test_json_without_jobs_is_refused(data: bytes) -> None:
    """With the command that takes a log."""
    with pytest.raises(UsageError, match="--json"):
        items(data)


def test_a_log_that_was_cut_is_an_error_after_its_whole_records() -> None:
    """At every place: what was whole is out, and nobody takes the rest for the end."""
    data = log(record(), record(job_id=1018))
    ends = [index for index in range(len(data)) if data[index:].startswith(b'"steps"')]
    for length in range(2, len(data) - 1, 7):
        found: list[Item] = []
        with pytest.raises(UsageError, match="once more"):
            found.extend(stream(data[:length]))
        assert len(jobs(found)) <= sum(end < length for end in ends)


@pytest.mark.parametrize(
    ("old", "new"), [(b'"job_id"', b'"job_id'), (b"],", b"]"), (b": {", b": }"), (b"[", b"[,"), (b"72", b"9" * 5000)]
)
def test_damaged_json(old: bytes, new: bytes) -> None:
    """An error, not a traceback and not half a log."""
    with pytest.raises(UsageError, match="JSON"):
        items(log(record()).replace(old, new, 1))


@pytest.mark.parametrize(
    "data", [b"{" * 100_000, b'{"jobs": [' + b"[" * 100_000, b'{"a": 1} x', b'{"a" 1}', b"{1", b"{,"]
)
def test_what_only_begins_like_json(data: bytes) -> None:
    """However deep it goes."""
    with pytest.raises(UsageError):
        items(data)


def test_an_object_of_endless_keys_is_no_log() -> None:
    """Nothing but records may be many."""
    with pytest.raises(UsageError, match="no list of jobs"):
        items(json.dumps({f"k{number}": number for number in range(2000)} | {"jobs": []}).encode())


def test_several_logs_one_behind_the_other() -> None:
    """As cat puts them, with a byte order mark and blanks before them; records are counted on."""
    found = items(b"\xef\xbb\xbf \r\n" + log(record()) + b"\n" + log(record(job_id=1018)) + b"\n\n")
    assert [(job.line, job.job) for job in jobs(found)] == [(1, "1017"), (2, "1018")]


def test_bytes_that_are_no_text() -> None:
    """Latin-1 in a name harms nothing and is kept."""
    found = items(log(record(name="gro\udcdfes")).replace(rb"\udcdf", b"\xdf"))
    assert json.loads(jobs(found)[0].text)["name"] == "gro\udcdfes"


@pytest.mark.parametrize("size", range(1, 60))
def test_numbers_across_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number goes on where the next block begins with a digit."""
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", size)
    assert jobs(items(json.dumps({"job_id": 1234567890} | record(job_id=1234567890)).encode()))[0].job == "1234567890"


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_records_across_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a block ends."""
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", size)
    data = sample("sacct-sample.json") if size > 100 else log(record(), record(job_id=1018))
    assert core_seconds(items(data)) == (1425 if size > 100 else 72 * 4 * 2)


def test_a_long_log_is_read_in_flat_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one record and one block are held: three times as long a log takes no more memory."""
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", 1 << 16)
    one = json.dumps(record(), indent=2).encode()

    class Pipe:
        """A log of many records, made as it is read."""

        def __init__(self, many: int) -> None:
            self.left = many
            self.text = b'{"jobs": [' + one

        def read(self, size: int) -> bytes:
            while len(self.text) < size and self.left:
                self.left -= 1
                self.text += b"," + one if self.left else b"]}"
            taken, self.text = self.text[:size], self.text[size:]
            return taken

    peaks = []
    for many in (1_000, 3_000):
        tracemalloc.start()
        found = sum(1 for _ in READERS["slurm"](cast("BinaryIO", Pipe(many)), zone="UTC"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found == many
    assert peaks[1] < peaks[0] * 1.3


def test_a_record_too_long_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit, and the way round it."""
    monkeypatch.setattr("dca.schedulers.slurm_json.RECORD_CHARACTERS_MAX", 10_000)
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", 1_000)
    with pytest.raises(UsageError, match="too long"):
        read(record(name="x" * 50_000))
    assert counts(read(record(name="x" * 5_000))) == {"job": 1}
