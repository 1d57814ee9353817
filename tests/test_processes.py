"""Real processes: many at once on one budget, and one that is killed between any two operations of its store."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.shell import Shell, scratch
from tests.elasticsearch_server import Server

ROOT = Path(__file__).resolve().parent.parent
AFFORDABLE = 7


def start(shell: Shell, *words: str, program: tuple[str, ...] = ("-m", "dca")) -> subprocess.Popen[str]:
    """Start dca in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *program, *words, "-m"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **shell.environment, "PYTHONPATH": str(ROOT)},
    )


def at_once(shell: Shell, commands: list[tuple[str, ...]]) -> list[tuple[int, dict[str, object]]]:
    """Run commands at once, each in a process of its own; return their exit statuses and answers."""
    started = [start(shell, *words) for words in commands]
    done = [(process.communicate(), process.returncode) for process in started]
    assert not any("Traceback" in err for (_, err), _ in done), done
    return [(status, json.loads(out)) for (out, _), status in done]


def prepared(shell: Shell) -> Shell:
    """Return books with one project that affords a few holds of ten dollars, and something over."""
    shell.ok("setup")
    shell.ok("rate", "set", "--rate=36")
    shell.ok("tenant", "add", "--tenant=acme")
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=100")
    shell.ok("project", "add", "--project=p", "--tenant=acme", f"--balance={10 * AFFORDABLE + 9}")
    shell.ok("user", "add", "--project=p", "--user=anna")
    return shell


def hold_and_charge(shell: Shell, processes: int) -> None:
    """Let processes hold at once, then charge each hold twice at once; exactly the affordable holds may succeed."""
    reserve = ("transaction", "reservebudget", "--project=p", "--estimate=1000")
    held = at_once(shell, [(*reserve, f"--job=lab/{number}/1") for number in range(processes)])
    assert Counter(status for status, _ in held) == {0: AFFORDABLE, 1: processes - AFFORDABLE}, held
    project = shell.ok("project", "show", "--project=p")["project"]
    assert (project["held"], project["holds_open"]) == (10 * AFFORDABLE, AFFORDABLE)

    charge = ("transaction", "charge", "--project=p", "--user=anna", "--jobtime=500")
    jobs = [f"--job=lab/{number}/1" for number, (status, _) in enumerate(held) if status == 0]
    charged = at_once(shell, [(*charge, "--start=1700000000", job) for job in jobs for _ in range(2)])
    assert {status for status, _ in charged} == {0}, charged
    assert sum("repeated" in answer for _, answer in charged) == AFFORDABLE
    project = shell.ok("project", "show", "--project=p")["project"]
    assert (project["balance"], project["held"], project["holds_open"]) == (5 * AFFORDABLE + 9, 0, 0)
    assert len(shell.ok("transaction", "list", "--project=p")["transactions"]) == AFFORDABLE


def test_many_processes_on_one_budget_sqlite() -> None:
    """On SQLite nothing is overdrawn, lost or double."""
    with scratch() as folder:
        hold_and_charge(prepared(Shell(folder)), processes=24)


def test_many_processes_on_one_budget_elasticsearch(elasticsearch: Server, prefix: str, tmp_path: Path) -> None:
    """On Elasticsearch neither."""
    hold_and_charge(prepared(Shell(tmp_path, f"{elasticsearch.url}/{prefix}")), processes=12)


def test_one_name_in_two_tenants_at_once(elasticsearch: Server, prefix: str, tmp_path: Path) -> None:
    """A project name goes to one of two tenants that ask at once."""
    shell = Shell(tmp_path, f"{elasticsearch.url}/{prefix}")
    shell.ok("setup")
    for tenant in ("acme", "blue"):
        shell.ok("tenant", "add", f"--tenant={tenant}")
    done = at_once(shell, [("project", "add", "--project=p", f"--tenant={tenant}") for tenant in ("acme", "blue")])
    assert sorted(status for status, _ in done) == [0, 1], done
    assert len(shell.ok("list", "--project=p")["list"]) == 1


KILLED = """
import os, signal, sqlite3, sys
fatal, seen, connect = int(sys.argv.pop(1)), 0, sqlite3.connect
def count(statement):
    global seen
    seen += 1
    if seen == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
def traced(*place, **how):
    connection = connect(*place, **how)
    connection.set_trace_callback(count)
    return connection
sqlite3.connect = traced
from dca.cli import main
sys.exit(main())
"""
"""dca that kills itself before the n-th statement it sends to SQLite."""

CHARGE = ("transaction", "charge", "--project=p", "--user=anna", "--jobtime=500", "--start=1700000000", "--job=lab/1/1")


@pytest.mark.parametrize(
    ("before", "words", "found"),
    [
        (("transaction", "reservebudget", "--project=p", "--estimate=1000", "--job=lab/1/1"), CHARGE, (74, 0, 95)),
        ((), ("tenant", "payment", "--tenant=acme", "--payment=5", "--reference=r"), (79, 0, 105)),
        ((), ("project", "movebudget", "--from=p", "--to=acme", "--type=p2t", "--balance=9", "--key=k"), (70, 0, 100)),
    ],
    ids=["charge", "payment", "move"],
)
def test_killed_between_any_two_statements(
    before: tuple[str, ...], words: tuple[str, ...], found: tuple[int, int, int]
) -> None:
    """Killed anywhere, a command is whole or absent, the next one works, and sent again it is done exactly once."""
    with scratch() as folder:
        shell = prepared(Shell(folder))
        if before:
            shell.ok(*before)
        kept = folder / "kept"
        shutil.copy(shell.file, kept)
        kills = 0
        while True:
            for ending in ("", "-wal", "-shm"):
                Path(f"{shell.file}{ending}").unlink(missing_ok=True)
            shutil.copy(kept, shell.file)
            process = start(shell, str(kills + 1), *words, program=("-c", KILLED))
            out, err = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, (out, err)
            kills += 1
            shell.ok(*words)
            assert figures(shell) == found
        assert kills > 10, kills
        assert figures(shell) == found


def figures(shell: Shell) -> tuple[object, object, object]:
    """Return the project's balance, what it holds, and the tenant's balance."""
    (tenant,) = shell.ok("list")["list"]
    (project,) = tenant["projects"]
    return project["balance"], project["requested"], tenant["balance"]


def test_killed_while_the_books_are_made() -> None:
    """Killed at any statement that makes the file, the next command finds or makes whole books."""
    with scratch() as folder:
        shell = Shell(folder)
        kills = 0
        while True:
            for ending in ("", "-wal", "-shm"):
                Path(f"{shell.file}{ending}").unlink(missing_ok=True)
            process = start(shell, str(kills + 1), "tenant", "add", "--tenant=acme", program=("-c", KILLED))
            process.communicate()
            if process.returncode == 0:
                break
            kills += 1
            status = shell.run("tenant", "add", "--tenant=acme").status
            assert status in (0, 1)
            assert [tenant["name"] for tenant in shell.ok("list")["list"]] == ["acme"]
        assert kills > 10, kills
