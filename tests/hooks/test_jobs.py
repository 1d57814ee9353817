"""What becomes of a job that hooks hold money for and charge, and of its record when sacct's log is imported."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dca.core import names
from tests.hooks.captured import CLUSTER, WHOLE, run
from tests.hooks.site import SECONDS_MAX

if TYPE_CHECKING:
    from tests.hooks.site import Site

SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]


@pytest.mark.parametrize("case", WHOLE)
def test_hooks_book_what_the_import_would(site: Site, case: str) -> None:
    """Money is held, the run is charged to the second under the import's key, and the import knows it."""
    one = run(case)
    key = names.job_key(one.record[1], one.record[0], int(one.record[6]))
    site.prolog(one)
    (hold,) = site.holds
    assert (hold["job"], hold["project"], hold["user"]) == (key, "phy-lattice", "anna")
    assert site.epilog(one) == 0
    assert site.holds == []
    (charge,) = site.charges
    assert (charge["job"], charge["source"], charge["released"]) == (key, "charge", hold["amount"])
    elapsed, cores = int(one.record[9]), int(one.record[10])
    assert (charge["runtime"], charge["billed_seconds"]) == (elapsed, elapsed * cores)
    answer = site.bring(one)
    assert (answer["known"], answer["charged"], answer["rejected"]) == (1, 0, 0)
    assert len(site.charges) == 1
    assert (site.kept(), site.kept("refused"), site.kept("runs"), site.logged) == ({}, {}, {}, "")


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "busybox"])
def test_hooks_work_in_every_shell(site: Site, shell: str) -> None:
    """The scripts are plain sh."""
    one = run("completed")
    site.prolog(one, shell=shell)
    assert site.epilog(one, shell=shell) == 0
    again = run("requeued")
    site.prolog(again, shell=shell)
    assert site.epilog(again, shell=shell) == 0
    site.sacct(again)
    assert site.send(shell=shell) == (0, "sent 1, refused 0, left 0\n")
    assert sorted(charge["runtime"] for charge in site.charges) == [2, 3]
    assert site.holds == []


def test_hold_is_time_limit_times_cores(site: Site) -> None:
    """The limit is read in every form squeue writes it; without a limit money for a day is held."""
    one = run("cancelled")
    for number, (limit, seconds) in enumerate(
        [("2:00", 120), ("1:08:09", 4089), ("1-02:03:04", 93784), ("365-00:00:00", 31_536_000), ("UNLIMITED", 7)]
    ):
        site.configure(DCA_HOOK_UNLIMITED="7")
        job = one._replace(job=str(9000 + number))
        site.record()
        site.prolog(job._replace(before=one.before.replace("1226 ", f"{job.job} ").replace(" 2:00 ", f" {limit} ")))
        assert site.recorded[-1] == [
            "transaction",
            "reservebudget",
            "--project=phy-lattice",
            "--user=anna",
            f"--estimate={seconds}",
            f"--job={CLUSTER}/{job.job}/{one.submit}",
            "--cores=3",
            "--mini",
            "--wait=5",
        ]


def test_many_cores_are_read_whole(site: Site) -> None:
    """Squeue shows 2048 CPUs as 2K; the allocation says the number."""
    one = run("completed")
    site.record()
    site.prolog(one._replace(before=one.before.replace(" 2 N/A", " 2K N/A").replace("cpu=2,", "cpu=2048,")))
    assert "--cores=2048" in site.recorded[0]


def test_requeued_job_is_charged_for_both_runs(site: Site) -> None:
    """Slurm forgets the first run's end at once, so sacct is asked for it; each run has its own key."""
    first, second = run("requeued"), run("second run of the requeued")
    second = second._replace(  # moved like the first, whose sacct record names both
        submit=int(first.sacct.splitlines()[1].split("|")[6]), sacct=first.sacct.splitlines()[1]
    )
    second = second._replace(
        before=f"1227 {second.submit} {second.submit + 304} 0:00 5:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1",
        after=f"1227 {second.submit} {second.submit} 0:05 5:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1",
    )
    site.prolog(first)
    assert site.epilog(first) == 0
    assert list(site.kept()) == [first.name(2)]
    assert site.charges == []
    site.sacct(first)
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert site.holds == []
    site.prolog(second)
    assert site.epilog(second) == 0
    assert [(charge["job"], charge["runtime"]) for charge in site.charges] == [
        (f"{CLUSTER}/1227/{first.submit}", 2),
        (f"{CLUSTER}/1227/{second.submit}", 5),
    ]
    assert site.bring(first)["known"] == 2


def test_resized_job_is_charged_until_it_was_resized(site: Site) -> None:
    """Slurm makes two records of it: the first is charged and settles the hold, the second comes with the import."""
    one = run("resized")
    site.prolog(one)
    assert site.epilog(one) == 0
    assert site.charges == []
    site.sacct(one)
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert [(charge["runtime"], charge["billed_seconds"]) for charge in site.charges] == [(4, 8)]
    assert site.holds == []
    answer = site.bring(one)
    assert (answer["known"], answer["charged"]) == (1, 1)
    assert sorted((charge["runtime"], charge["billed_seconds"]) for charge in site.charges) == [(4, 8), (8, 8)]


def test_missed_epilog_is_made_up_for_by_the_import(site: Site) -> None:
    """The import charges the job and settles its hold; an epilog after that changes nothing."""
    one = run("completed")
    site.prolog(one)
    assert len(site.holds) == 1
    assert site.bring(one)["charged"] == 1
    assert site.holds == []
    assert site.epilog(one) == 0
    assert [charge["source"] for charge in site.charges] == ["import"]
    assert site.kept("refused") == {}


def test_missed_prolog_is_no_harm(site: Site) -> None:
    """A job without a hold is charged all the same."""
    one = run("completed")
    assert site.epilog(one) == 0
    assert site.bring(one)["known"] == 1


def test_hooks_may_run_twice(site: Site) -> None:
    """Slurm runs them again when slurmctld was restarted under them."""
    one = run("completed")
    for _ in range(2):
        site.prolog(one)
    assert len(site.holds) == 1
    for _ in range(2):
        assert site.epilog(one) == 0
    assert len(site.charges) == 1
    assert (site.kept(), site.kept("refused"), site.logged) == ({}, {}, "")


def test_wall_hours(site: Site) -> None:
    """A site that bills wall-hours leaves the cores out, of the hold, too."""
    site.configure(DCA_HOOK_UNIT="wall-hours")
    one = run("cancelled")
    site.prolog(one)
    assert site.holds[0]["estimate"] == 120
    assert site.epilog(one) == 0
    assert site.charges[0]["billed_seconds"] == 2


def test_epilog_waits_for_the_prolog(site: Site) -> None:
    """A job can be requeued while its prolog is at work; its charge then comes after its hold and settles it."""
    one = run("completed")
    site.slow(1.5)
    prolog = site.begin_prolog(one)
    lock = site.spool / "runs" / f"{CLUSTER}.{one.job}.lock"
    while not (site.called_with("squeue") and lock.exists()):
        assert prolog.poll() is None
        time.sleep(0.01)
    assert site.epilog(one) == 0
    assert prolog.wait(60) == 0
    prolog.communicate()
    assert (len(site.charges), site.holds, site.kept(), site.kept("runs")) == (1, [], {}, {})


def test_who_kills_the_prolog_kills_dca(site: Site) -> None:
    """Slurm kills the prolog of a job that is cancelled; a hold that dca made after that would stay open."""
    one = run("completed")
    site.slow(SECONDS_MAX)
    prolog = site.begin_prolog(one)
    while "sleep" not in alive(prolog.pid).values():
        assert prolog.poll() is None
        time.sleep(0.01)
    os.killpg(prolog.pid, signal.SIGKILL)
    prolog.communicate()
    until = time.monotonic() + 5
    while alive(prolog.pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert alive(prolog.pid) == {}
    site.fast()
    assert site.epilog(one) == 0
    assert (len(site.charges), site.holds, site.kept(), site.kept("runs")) == (1, [], {}, {})


@pytest.mark.parametrize("state", ["COMPLETING", "PENDING", "CANCELLED"])
def test_no_money_is_held_for_a_run_that_is_over(site: Site, state: str) -> None:
    """A prolog may begin when its run has ended already."""
    one = run("completed")
    site.prolog(one._replace(before=one.before.replace("CONFIGURING", state)))
    assert site.holds == []


def test_record_of_a_later_run_is_not_charged(site: Site) -> None:
    """What Slurm says of a job that waits again is no answer about the run that ended."""
    one = run("requeued")
    assert site.epilog(one._replace(after=one.after.replace("COMPLETING", "PENDING"))) == 1
    assert (site.kept(), site.charges) == ({}, [])
    assert "left to the import" in site.logged


@pytest.mark.parametrize("said", ["", "slurm_load_jobs error: Unable to contact slurm controller", "1218 N/A N/A"])
def test_silent_slurm_stops_no_job(site: Site, said: str) -> None:
    """Without a submit time there is no key: nothing is booked, and the log says so."""
    one = run("completed")
    site.prolog(one._replace(before=said))
    assert site.epilog(one._replace(after=said)) == 1
    assert (site.holds, site.charges, site.kept()) == ([], [], {})
    assert site.logged.count("left to the import") == 2


@pytest.mark.parametrize(
    "without", ["SLURM_JOB_ID", "SLURM_JOB_ACCOUNT", "SLURM_JOB_USER", "SLURM_CLUSTER_NAME"], ids=str
)
def test_incomplete_environment_stops_no_job(site: Site, without: str) -> None:
    """Who calls the scripts by hand, or has no accounts, reads why nothing happens."""
    one = run("completed")._replace(further={without: ""})
    site.prolog(one)
    assert site.epilog(one) == 1
    assert site.called == []
    assert len(site.logged.splitlines()) == 2


def alive(session: int) -> dict[int, str]:
    """Return the living processes of a session: their ids and what they run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(") ")
            state, _, _, its_session = rest.split()[:4]
            if int(its_session) == session and state != "Z":
                found[int(path.parent.name)] = name
    return found


def test_cluster_is_lower_case_in_keys(site: Site) -> None:
    """As the import builds them."""
    one = run("completed")._replace(further={"SLURM_CLUSTER_NAME": "Hookery"})
    site.prolog(one)
    assert site.holds[0]["job"] == names.job_key("Hookery", one.job, one.submit)
