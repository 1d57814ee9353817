"""Backups with real processes: killed at any moment, and while others write."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.backups.test_books import at, documents, records, told
from tests.cli import checks
from tests.concurrency.nursery import REQUEST, STATEMENT, Fate, Nursery, task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Ended

WRITERS = 4
CHARGES = 15
OPERATIONS_MAX = 10_000


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Return what brings up processes."""
    nursery = Nursery()
    yield nursery
    nursery.close()


def kill_everywhere(
    nursery: Nursery, shell: Shell, words: Sequence[str], operation: str, steps: tuple[int, int]
) -> Iterator[Ended]:
    """Kill a command at its operations, one run after the other; the last one comes to its end."""
    begin, step = steps
    for at_operation in range(begin, OPERATIONS_MAX, step):
        ended = nursery.dca(shell, *words, fate=Fate(operation, at_operation))
        if ended.status == 0:
            return
        assert ended.status == -signal.SIGKILL, ended
        yield ended
    raise AssertionError


@pytest.mark.parametrize("steps", [(1, 23), pytest.param((2, 1), marks=pytest.mark.torture)], ids=str)
def test_restore_is_killed_on_sqlite(steps: tuple[int, int], sqlite: Shell, nursery: Nursery) -> None:
    """A restore that was killed has restored nothing; run again it restores everything."""
    sqlite.ok("backup", "a.backup")
    other = at(sqlite.folder, "other.db")
    kills = 0
    for _ in kill_everywhere(nursery, other, ("restore", "a.backup"), STATEMENT, steps):
        kills += 1
        listed = other.run("log", "list")
        if listed.status == 0 and listed.answer["log"]:
            assert records(other) == records(sqlite), "killed after the commit"
            other.ok("setup", "--wipe", "-y")
            continue
        assert listed.status in (0, 3), listed
        assert not list(sqlite.folder.glob("*.part"))
    assert kills > 5
    assert records(other) == records(sqlite)
    assert told(other) == told(sqlite)


@pytest.mark.parametrize("steps", [(12, 14), pytest.param((1, 1), marks=pytest.mark.torture)], ids=str)
def test_copy_is_killed_on_elasticsearch(
    steps: tuple[int, int], sqlite: Shell, distant: Shell, nursery: Nursery
) -> None:
    """A copy that was killed is no books, or all of them; run again it copies everything."""
    kills = 0
    copying = ("store", "copy", f"--to={distant.store}")
    for _ in kill_everywhere(nursery, sqlite, copying, REQUEST, steps):
        kills += 1
        listed = distant.run("list", "--all")
        if listed.status == 0:
            assert listed.answer == sqlite.ok("list", "--all")
            distant.ok("setup", "--wipe", "-y")
        else:
            error = checks.failure(listed, 3)["error"]
            assert "there are no books" in error or "are being filled" in error, error
    assert kills > 1
    assert told(distant) == told(sqlite)
    assert distant.ok("tenant", "payment", "--tenant=acme", "--payment=1")


@pytest.mark.parametrize("steps", [(1, 17), pytest.param((2, 1), marks=pytest.mark.torture)], ids=str)
def test_backup_is_killed(steps: tuple[int, int], sqlite: Shell, nursery: Nursery) -> None:
    """A backup that was killed has no name; what is left of it disturbs nobody."""
    kills = 0
    for _ in kill_everywhere(nursery, sqlite, ("backup", "a.backup"), STATEMENT, steps):
        kills += 1
        if (sqlite.folder / "a.backup").exists():
            sqlite.ok("backup", "check", "a.backup")
            (sqlite.folder / "a.backup").unlink()
    assert kills > 1
    sqlite.ok("backup", "check", "a.backup")


@pytest.mark.parametrize("name", ["sqlite", "distant"])
def test_while_others_write(name: str, request: pytest.FixtureRequest, nursery: Nursery) -> None:
    """A backup made while writers work holds what was acknowledged before it began, and a prefix of each stream."""
    shell: Shell = request.getfixturevalue(name)
    if name == "distant":
        for words in (
            ("setup",),
            ("rate", "set", "--rate=3600"),
            ("tenant", "add", "--tenant=acme"),
            ("project", "add", "--project=rockets", "--tenant=acme"),
            ("user", "add", "--project=rockets", "--user=ada"),
        ):
            shell.ok(*words)
    for writer in range(WRITERS):
        shell.ok("tenant", "add", f"--tenant=own{writer}")
    before = {one["stream"]: one["seq"] for one in shell.ok("backup", "before.backup")["backup"]["heads"]}
    scripts = [
        [
            ["transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=1", f"--job=lab/{writer}/{number}"]
            if number % 2
            else ["tenant", "payment", f"--tenant=own{writer}", "--payment=1"]
            for number in range(1, CHARGES + 1)
        ]
        for writer in range(WRITERS)
    ]
    backups = [["backup", "a.backup"], ["backup", "b.backup"], ["backup", "c.backup"]]
    tasks = [task(shell)._replace(script=script) for script in (*scripts, backups)]
    *written, made = nursery.run(*tasks)
    for ended in written:
        lines = [json.loads(line) for line in ended.out.splitlines()]
        assert [line["status"] for line in lines if "status" in line] == [0] * CHARGES, ended
    answers = [json.loads(line) for line in made.out.splitlines()]
    heads = []
    for line in answers[1::2]:
        assert line["status"] == 0, line
        heads.append({one["stream"]: one["seq"] for one in json.loads(line["out"])["backup"]["heads"]})
    shell.ok("backup", "d.backup")
    for number, name_of in enumerate("abc"):
        shell.ok("backup", "check", f"{name_of}.backup")
        assert all(heads[number][stream] >= seq for stream, seq in before.items())
        restored = at(shell.folder, f"{name_of}.db")
        restored.ok("restore", f"{name_of}.backup")
        found = documents(restored)
        last = at(shell.folder, "last.db")
        if not last.file.exists():
            last.ok("restore", "d.backup")
        whole = documents(last)
        for stream, seq in heads[number].items():
            assert found[stream][:seq] == whole[stream][:seq], f"{stream} is no prefix"
        before = heads[number]
