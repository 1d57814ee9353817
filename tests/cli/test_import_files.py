"""Files that are no logs, or damaged ones: wrong usage in one sentence, the books as they were, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING

import pytest

from tests.cli import checks
from tests.cli.calls import JOBS

if TYPE_CHECKING:
    from tests.cli.shell import Shell

LOG = JOBS.replace("|lab|", "|alps|")
HEADER, RECORD = LOG.splitlines()
JSON = json.dumps({"meta": {"plugin": {"type": "x"}}, "jobs": []})

NO_LOGS: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n  \n",
    "one byte": b"x",
    "noise": random.Random(7).randbytes(100_000),
    "zeros": bytes(100_000),
    "control": b"\x01\x02\x03|\x04\n" * 100,
    "a program": b"\x7fELF\x02\x01\x01" + bytes(500),
    "utf-16": LOG.encode("utf-16"),
    "a long line": b"x" * ((1 << 24) + 10),
    "other columns": b"a|b|c\n1|2|3\n",
    "a table for people": b"JobID JobName\n----- -------\n1 x\n",
    "comma-separated": LOG.replace("|", ",").encode(),
    "cut gzip": gzip.compress(LOG.encode() * 50)[:-20],
    "gzip of nothing": gzip.compress(b""),
    "gzip header only": b"\x1f\x8b",
    "damaged gzip": gzip.compress(LOG.encode() * 50)[:40] + bytes(60),
    "gzip in gzip": gzip.compress(gzip.compress(LOG.encode())),
    "cut json": JSON[:-5].encode(),
    "json without jobs": b'{"meta": {}}',
    "json of jobs that are none": b'{"jobs": 5}',
    "json array": b"[1, 2, 3]",
    "deep json": b'{"jobs": ' + b"[" * 100_000,
    "json with noise": b'{"jobs": [\xff\xfe]}',
    "html": b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "an error of sacct": b"sacct: error: slurmdbd: Unable to connect\n",
}
"""What somebody may take for a log."""


@pytest.mark.parametrize("name", NO_LOGS)
def test_no_logs(name: str, books: Shell) -> None:
    """What is no log is wrong usage: exit status 2, one sentence, no batch, no file of rejects."""
    (books.folder / "log").write_bytes(NO_LOGS[name])
    before, files = books.state(), sorted(books.folder.iterdir())
    checks.failure(books.run("job", "import", "log"), 2)
    checks.failure(books.run("job", "import", "-", stdin=NO_LOGS[name]), 2)
    assert books.state() == before
    assert sorted(books.folder.iterdir()) == files


STRANGE_LOGS: dict[str, tuple[bytes, int, int]] = {
    "header only": (f"{HEADER}\n".encode(), 0, 0),
    "no line end, as of a file cut off": (LOG.rstrip("\n").encode(), 0, 1),
    "line ends of Windows": (LOG.replace("\n", "\r\n").encode(), 1, 0),
    "byte order mark": (b"\xef\xbb\xbf" + LOG.encode(), 1, 0),
    "two logs in one": ((LOG + LOG.replace("\n1|", "\n2|")).encode(), 2, 0),
    "gzip in parts": (gzip.compress(LOG.encode()) + gzip.compress(f"2{RECORD[1:]}\n".encode()), 2, 0),
    "the same record twice": (f"{LOG}{RECORD}\n".encode(), 1, 0),
    "record cut short": (f"{LOG}{RECORD[:40]}".encode(), 1, 1),
    "noise behind it": (LOG.encode() + b"\xff\xfe\x00\n", 1, 1),
    "a user of noise": (LOG.replace("|ada|", "|a\x01da|").encode(), 0, 1),
    "an account of another alphabet": (LOG.replace("|rockets|", "|ракеты|").encode(), 0, 1),
    "a user that is a path": (LOG.replace("|ada|", "|../../etc|").encode(), 0, 1),
    "a huge number of cores": (LOG.replace("|10|2|1", "|10|99999999999999999999|1").encode(), 0, 1),
    "elapsed without end": (LOG.replace("|10|2|1", f"|{'9' * 400}|2|1").encode(), 0, 1),
    "before 1970": (LOG.replace("2025-03-01", "1969-03-01").encode(), 0, 1),
    "in the year 9999": (LOG.replace("2025-03-01T12:00:10", "9999-12-31T23:59:59").encode(), 0, 1),
    "a cluster with blanks": (LOG.replace("|alps|", "|my alps|").encode(), 0, 1),
    "a job id of letters": (LOG.replace("\n1|", "\nabc|").encode(), 0, 1),
    "a very long name": (LOG.replace("|ada|", f"|{'a' * 5_000}|").encode(), 0, 1),
}
"""Logs, each with how many jobs are charged and how many records rejected."""


@pytest.mark.parametrize("name", STRANGE_LOGS)
def test_strange_logs(name: str, books: Shell) -> None:
    """A log with something strange in it: what can be booked is, what cannot is in the file of rejects."""
    data, charged, rejected = STRANGE_LOGS[name]
    (books.folder / "log").write_bytes(data)
    answer = checks.success(books.run("job", "import", "log", "--rejects=rejected"))
    assert (answer["charged"], answer["rejected"]) == (charged, rejected), answer
    assert (books.folder / "rejected").exists() is bool(rejected)
    if rejected:
        lines = (books.folder / "rejected").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "line\treason\trecord"
        assert len(lines) == rejected + 1
    again = checks.success(books.run("job", "import", "log", "--rejects=again"))
    assert (again["charged"], again["known"] >= charged) == (0, True)


@pytest.mark.parametrize(
    "path", ["missing", "nowhere/log", ".", "", "x" * 300, "jobs.txt/x", "/proc/self/mem", "no\nfile", "\udcff"]
)
def test_paths_that_are_no_logs(path: str, books: Shell) -> None:
    """A path that cannot be read as a log is told in one sentence."""
    before = books.state()
    checks.failure(books.run("job", "import", "--", path), 2)
    assert books.state() == before


@pytest.mark.parametrize("seed", range(30))
def test_noise_in_a_log(seed: int, books: Shell) -> None:
    """Bytes of a good log overwritten at random: an answer or a sentence, and never a job twice."""
    chance = random.Random(seed)
    good = f"{HEADER}\n" + "".join(f"{RECORD}\n".replace("1|", f"{number}|", 1) for number in range(1, 40))
    data = bytearray(good.encode())
    for _ in range(chance.choice((1, 5, 50))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    packed = gzip.compress(bytes(data)) if chance.random() < 0.3 else bytes(data)
    (books.folder / "log").write_bytes(packed)
    result = books.run("job", "import", "log", "--rejects=rejected")
    if result.status:
        checks.failure(result, 2)
        return
    answer = checks.success(result)
    assert (
        answer["charged"] + answer["rejected"] + answer["known"] + answer["changed"] + sum(answer["skipped"].values())
        == answer["read"]
    )
    again = checks.success(books.run("job", "import", "log", "--rejects=again"))
    assert again["charged"] == 0


def test_log_that_breaks_off(books: Shell) -> None:
    """A packed log that breaks off after some jobs says how many were charged, and can be imported again when it is whole."""
    records = "".join(f"{RECORD}\n".replace("1|", f"{number}|", 1) for number in range(1, 200_000))
    packed = gzip.compress(f"{HEADER}\n{records[: 90 * 30_000]}".encode())
    (books.folder / "log.gz").write_bytes(packed[: len(packed) // 2])
    answer = checks.failure(books.run("job", "import", "log.gz"), 2)
    assert "damaged or cut short" in answer["error"]
    charged = books.ok("transaction", "list", "--limit=10000", f"--batch={answer['batch']}")["transactions"]
    assert answer["charged"] >= len(charged) > 0
    books.ok("job", "undo", f"--batch={answer['batch']}", "-y")
