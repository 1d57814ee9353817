"""Many processes at once on the same books: nothing is overdrawn, lost or double."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.concurrency.ledgers import Figures, distant_shell, figures, job_key, log_of, opened, whole_books
from tests.concurrency.nursery import Ended, task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Nursery
    from tests.elastic.server import BookServer

AFFORDABLE = 7
QUEUE_SECONDS_MAX = 100
RESERVE = ("transaction", "reservebudget", "--project=p", "--estimate=1000")
CHARGE = ("transaction", "charge", "--project=p", "--user=anna", "--jobtime=500", "--start=1700000000")


@contextlib.contextmanager
def turnstile(shell: Shell) -> Iterator[None]:
    """Hold the place at the head of the writers' queue, so that all who come pile up behind it."""
    with open(f"{shell.file}.lock", "w", encoding="utf-8") as queue:  # noqa: PTH123 -- as plain as what it imitates
        fcntl.flock(queue, fcntl.LOCK_EX)
        yield


def is_queueing(process: subprocess.Popen[str], lock: str) -> bool:
    """Tell whether a process has the lock file open, or has ended."""
    if process.poll() is not None:
        return True
    with contextlib.suppress(OSError):
        return any(str(one.readlink()) == lock for one in Path(f"/proc/{process.pid}/fd").iterdir())
    return False


def interpreters(shell: Shell, commands: Sequence[Sequence[str]]) -> list[Ended]:
    """Run commands at once, each by an interpreter of its own, and let none write before all are queueing."""
    with turnstile(shell):
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "dca", *words, "-m", "--wait=120"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=shell.folder,
                env=shell.outside(),
            )
            for words in commands
        ]
        until = time.monotonic() + QUEUE_SECONDS_MAX
        while not all(is_queueing(one, f"{shell.file}.lock") for one in started):
            assert time.monotonic() < until, "not all processes came to the queue"
            time.sleep(0.02)
    ended = [(one.communicate(), one.returncode) for one in started]
    return [Ended(status, out, err) for (out, err), status in ended]


def statuses(ended: Sequence[Ended]) -> Counter[int]:
    """Count exit statuses; none of the processes may have said anything beside its answer."""
    assert not [one.err for one in ended if one.err], [one.err for one in ended if one.err]
    return Counter(one.status for one in ended)


def check_held(shell: Shell, ended: Sequence[Ended]) -> list[int]:
    """Check that exactly the affordable holds were made; return their numbers."""
    assert statuses(ended) == {0: AFFORDABLE, 1: len(ended) - AFFORDABLE}
    assert {one.answer["code"] for one in ended if one.status} == {"refused"}
    assert {one.answer["available"] for one in ended if one.status} == {9}
    assert figures(shell) == Figures(10 * AFFORDABLE + 9, 10 * AFFORDABLE, AFFORDABLE, 100)
    whole_books(shell)
    return [number for number, one in enumerate(ended) if one.status == 0]


def check_charged(shell: Shell, ended: Sequence[Ended]) -> None:
    """Check that of two charges of each job one was booked, and the other answered as the first."""
    assert statuses(ended) == {0: 2 * AFFORDABLE}
    assert sum("repeated" in one.answer for one in ended) == AFFORDABLE
    assert len({one.answer["transaction"]["transaction"] for one in ended}) == AFFORDABLE
    assert figures(shell) == Figures(5 * AFFORDABLE + 9, 0, 0, 100 - 5 * AFFORDABLE)
    books = whole_books(shell)
    assert len(books.records["transaction"]) == AFFORDABLE
    assert {hold.state for hold in books.records["hold"].values()} == {"settled"}


@pytest.mark.parametrize("processes", [16, 64])
def test_a_budget_shared_by_many(processes: int, shell: Shell, nursery: Nursery) -> None:
    """Of many interpreters at once that hold money, exactly as many succeed as the project affords; so with charges."""
    opened(shell, affordable=AFFORDABLE)
    ended = interpreters(shell, [(*RESERVE, f"--job={job_key(number)}") for number in range(processes)])
    jobs = [f"--job={job_key(number)}" for number in check_held(shell, ended)]
    check_charged(shell, nursery.at_once(shell, [(*CHARGE, job) for job in jobs for _ in range(2)]))


def test_a_budget_shared_by_many_elasticsearch(distant: Shell, nursery: Nursery) -> None:
    """The same on Elasticsearch, where nobody queues and everybody may be first."""
    opened(distant, affordable=AFFORDABLE)
    ended = nursery.at_once(distant, [(*RESERVE, f"--job={job_key(number)}") for number in range(16)])
    jobs = [f"--job={job_key(number)}" for number in check_held(distant, ended)]
    check_charged(distant, nursery.at_once(distant, [(*CHARGE, job) for job in jobs for _ in range(2)]))


def keyless(shell: Shell, nursery: Nursery) -> None:
    """Let many hold and charge the same estimate at once without keys: each charge settles one hold, none settles two."""
    opened(shell, affordable=12)
    held = nursery.at_once(shell, [(*RESERVE, "--key=same"), *[RESERVE] * 7, (*RESERVE, "--key=same")])
    assert statuses(held) == {0: 9}
    assert figures(shell).holds_open == 8
    charged = nursery.at_once(shell, [(*CHARGE, "--estimate=1000")] * 10)
    assert statuses(charged) == {0: 10}
    assert sorted(one.answer["transaction"]["released"] for one in charged) == [0, 0, *[10] * 8]
    assert figures(shell) == Figures(129 - 50, 0, 0, 150 - 50)
    whole_books(shell)


def test_holds_without_keys(shell: Shell, nursery: Nursery) -> None:
    """On SQLite."""
    keyless(shell, nursery)


def test_holds_without_keys_elasticsearch(distant: Shell, nursery: Nursery) -> None:
    """On Elasticsearch."""
    keyless(distant, nursery)


def import_twice(shell: Shell, nursery: Nursery, *, jobs: int, portion: int) -> None:
    """Let two processes import one log at once: every job is charged once, by one of them."""
    opened(shell)
    for number in range(1, 7):
        shell.ok(*RESERVE, f"--job={job_key(number)}")
    log = shell.folder / "jobs.txt"
    log.write_text(log_of(jobs=jobs))
    again = ("job", "import", str(log), "--cluster=lab")
    ended = nursery.run(*[task(shell, *again, portion=portion)] * 2)
    assert statuses(ended) == {0: 2}
    assert sum(one.answer["charged"] for one in ended) == jobs
    assert sum(one.answer["known"] for one in ended) == jobs
    assert shell.ok(*again)["known"] == jobs
    assert figures(shell) == Figures(79 - jobs, 0, 0, 100 - jobs)
    books = whole_books(shell)
    assert len(books.records["transaction"]) == jobs


def test_one_log_imported_twice(shell: Shell, nursery: Nursery) -> None:
    """On SQLite, in the portions that imports have, and in small ones."""
    import_twice(shell, nursery, jobs=2500, portion=0)


def test_one_log_imported_twice_in_small_portions(shell: Shell, nursery: Nursery) -> None:
    """On SQLite, taking turns often."""
    import_twice(shell, nursery, jobs=300, portion=10)


def test_one_log_imported_twice_elasticsearch(distant: Shell, nursery: Nursery) -> None:
    """On Elasticsearch, taking turns often."""
    import_twice(distant, nursery, jobs=100, portion=10)


def one_name(shell: Shell, nursery: Nursery) -> None:
    """Let several tenants ask for one project name at once: one gets it, and all others are told so."""
    shell.ok("setup")
    tenants = ("acme", "blue", "cyan", "dune")
    for tenant in tenants:
        shell.ok("tenant", "add", f"--tenant={tenant}")
    for number in range(4):
        ended = nursery.at_once(
            shell, [("project", "add", f"--project=p{number}", f"--tenant={name}") for name in tenants]
        )
        assert statuses(ended) == {0: 1, 1: 3}
        assert {one.answer["code"] for one in ended if one.status} == {"refused"}
        (listed,) = shell.ok("list", f"--project=p{number}")["list"]
        assert [tenant for tenant, one in zip(tenants, ended, strict=True) if one.status == 0] == [listed["name"]]
    whole_books(shell)


def test_one_name_in_several_tenants(shell: Shell, nursery: Nursery) -> None:
    """On SQLite."""
    one_name(shell, nursery)


def test_one_name_in_several_tenants_elasticsearch(distant: Shell, nursery: Nursery) -> None:
    """On Elasticsearch."""
    one_name(distant, nursery)


def all_first(shell: Shell, nursery: Nursery) -> None:
    """Let several processes set up the same books at once: all succeed, and the books are usable."""
    ended = nursery.at_once(shell, [("setup", "--timezone=Europe/Berlin")] * 4)
    assert Counter(one.status for one in ended) == {0: 4}, ended
    assert not any("Traceback" in one.err for one in ended)
    assert {str(one.answer["site"]) for one in ended} == {str(ended[0].answer["site"])}
    assert len(shell.ok("log", "list", "--category=setup")["log"]) == 1
    opened(shell)
    whole_books(shell)


def test_setup_at_once(shell: Shell, nursery: Nursery) -> None:
    """On SQLite."""
    all_first(shell, nursery)


def test_setup_at_once_elasticsearch(clean_server: BookServer, tmp_path: Path, nursery: Nursery) -> None:
    """On Elasticsearch."""
    all_first(distant_shell(tmp_path, clean_server), nursery)


def test_first_commands_at_once(shell: Shell, nursery: Nursery) -> None:
    """Without books, several first commands make them once; who only reads is told that there are none, or reads."""
    changing = [("tenant", "add", f"--tenant=t{number}") for number in range(8)]
    ended = nursery.at_once(shell, [*changing, *[("list", "--all")] * 8])
    assert Counter(one.status for one in ended[:8]) == {0: 8}, ended[:8]
    assert sum("made new books" in one.err for one in ended[:8]) == 1
    for one in ended[8:]:
        assert one.status in (0, 1, 3), one
        assert one.status == 0 or "nothing found" in one.answer["error"] or "no books" in one.answer["error"], one
    assert len(shell.ok("list")["list"]) == 8
    whole_books(shell)
