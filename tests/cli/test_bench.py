"""The benchmark: every figure stands beside a floor, the real books are not touched, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dca.bench import jobs, scratch
from dca.bench.rows import ROWS
from dca.commands.bench import COLUMNS
from dca.core.errors import RefusedError
from tests.cli import checks
from tests.cli.shell import Shell, as_somebody, room

SMALL = ("bench", "--quick", "--jobs=100")
SLOW = ("writers_64", "start_list", "start_hold", "start_charge")
MEASURED = tuple(name for name in ROWS if name not in SLOW)
TARGETS = {
    "one": "ratio >= 0.6",
    "writers_64": "ratio >= 0.5",
    "batch_1000": "ratio >= 0.5",
    "import": "ratio >= 0.5",
    "again": "ratio >= 2",
    "memory": "<= 300",
    "verify": ">= 100000",
}
"""What is wanted on SQLite; the second for a bill holds for a million transactions only."""


PROCESSES = {"one": 1, "writers_8": 2, "memory": 3}
"""Rows in the middle of which a run is interrupted, and how many processes there are then."""


def around(shell: Shell) -> dict[str, str]:
    """Return everything in the folder of a shell, with its digest, but for what SQLite keeps beside a file that is read."""
    found = (path for path in shell.folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in found}


def measured(shell: Shell, *words: str) -> dict[str, dict[str, Any]]:
    """Measure some rows; return them by name."""
    answer = checks.success(shell.run(*SMALL, *words))
    rows = {row["row"]: row for row in answer["rows"]}
    assert list(rows) == [name for name in ROWS if name in rows], "in the order of the table"
    for row in rows.values():
        assert row["ours"] > 0
        assert row["floor"] > 0
        assert row["floor_is"]
        assert row["unit"] in ("/s", "ms", "MiB")
        assert abs(row["ratio"] - row["ours"] / row["floor"]) < 0.01 * row["ratio"] + 0.000001
        assert row["met"] in (True, False, None)
    return rows


def test_rows_beside_untouched_books(books: Shell) -> None:
    """All kinds of rows are measured, and books and folder are as before, to the byte."""
    before = around(books)
    rows = measured(books, f"--only={','.join(MEASURED)}")
    assert around(books) == before
    assert tuple(rows) == MEASURED
    assert rows["writers_8"]["failures"] == 0
    for name, target in TARGETS.items():
        assert name not in MEASURED or rows[name]["target"] == target


def test_where_no_books_are(shell: Shell) -> None:
    """Measuring needs no books, and makes none."""
    assert measured(shell, "--only=one")
    assert list(shell.folder.iterdir()) == []
    elsewhere = Shell(shell.folder, f"sqlite:{shell.folder}/a/b/c.db")
    assert measured(elsewhere, "--only=one")
    assert list(shell.folder.iterdir()) == []


def test_table(books: Shell) -> None:
    """The table has a line for each row."""
    result = books.run(*SMALL, "--only=start_version", "--format=csv")
    header, line = result.out.splitlines()
    assert header.split(",") == list(COLUMNS)
    assert line.startswith("start_version,")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("row", PROCESSES)
def test_interruption(how: signal.Signals, row: str, books: Shell) -> None:
    """Ctrl-C, or a polite end, removes the scratch books at any moment."""
    before = around(books)
    command = [
        sys.executable,
        "-m",
        "dca",
        "bench",
        f"--only={row}",
        f"--jobs={20_000 if row == 'memory' else 1_000_000}",
    ]
    with subprocess.Popen(
        command, env=books.outside(), cwd=books.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while processes(books) < PROCESSES[row] or (row == "one" and not list(books.folder.glob("*.bench-*/floor.db"))):
            assert child.poll() is None, child.communicate()
            time.sleep(0.01)
        child.send_signal(how)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert "the scratch books were removed" in err
    assert around(books) == before
    assert not processes(books), "a process is left"


def processes(shell: Shell) -> int:
    """Return how many processes work for a shell: those that have its folder in their environment."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            count += str(shell.folder).encode() in path.read_bytes()
    return count


def test_full_disk(books: Shell) -> None:
    """A disk that does not take the scratch books is told in a sentence, and they are removed."""
    before = around(books)
    for amount in (1_000, 200_000):
        with room(amount):
            checks.failure(books.run(*SMALL, "--only=import"), 3)
        assert around(books) == before


def test_a_disk_with_real_books_is_not_filled(tmp_path: Path) -> None:
    """Where too little room would be left, nothing is measured."""
    scratch.check_room(tmp_path, 1)
    with pytest.raises(RefusedError, match="use --quick or a smaller --jobs"):
        scratch.check_room(tmp_path, 10**18)


def test_no_right_to_make_them(open_books: Shell) -> None:
    """Where no scratch file can be made beside the books, one sentence says so."""
    open_books.folder.chmod(0o755)
    open_books.file.chmod(0o644)
    answer = checks.failure(as_somebody(open_books, *SMALL, "--only=one"), 3)
    assert "no scratch books can be made beside" in answer["error"]


def test_jobs_are_the_same_in_every_run(tmp_path: Path) -> None:
    """And as sacct writes them: each ends after it began, within the year that the bill is over."""
    for name in ("a", "b"):
        jobs.write(tmp_path / name, 2_000, "lab")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    header, *lines = (line.split("|") for line in jobs.lines(2_000, "lab"))
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert len({row["JobIDRaw"] for row in rows}) == 2_000
    for row in rows:
        assert row["Submit"] <= row["Start"] < row["End"] < "2025"
    assert all(one["Submit"] <= other["Submit"] for one, other in pairwise(rows))
    assert len({row["User"] for row in rows}) == jobs.USERS
