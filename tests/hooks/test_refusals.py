"""What becomes of a job that its project cannot pay for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.hooks.captured import CLUSTER, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hooks.captured import Run
    from tests.hooks.site import Site

SENTENCE = "dca: project phy-lattice has 1 available, 1728 is needed for 1728000 seconds."
ARRAY = {"SLURM_ARRAY_JOB_ID": "1231", "SLURM_ARRAY_TASK_ID": "2"}
HETJOB = {"SLURM_HET_JOB_ID": "1230", "SLURM_HET_JOB_OFFSET": "1"}


@pytest.fixture
def poor(bare: Site) -> Site:
    """Lend a site whose project has one dollar."""
    bare.open_books("1")
    return bare


def interactive(one: Run) -> Run:
    """Return a run as one of srun or salloc, which Slurm cannot requeue."""
    return one._replace(before=one.before.replace(" N/A 1 ", " N/A 0 "))


@pytest.mark.parametrize(
    ("further", "target"), [({}, "1231"), (ARRAY, "1231_2"), (HETJOB, "1230")], ids=["job", "task", "hetjob"]
)
def test_hold_puts_the_job_back(poor: Site, further: dict[str, str], target: str) -> None:
    """It waits, held, and says why; an array loses no other task, a hetjob goes as a whole."""
    one = run("too dear")._replace(further=further)
    poor.prolog(one)
    assert poor.called_with("scontrol") == [
        ["update", f"JobId={target}", f"AdminComment={SENTENCE}"],
        ["requeuehold", target],
    ]
    assert poor.called_with("scancel") == []
    assert poor.holds == []


def test_stopped_run_costs_nothing(poor: Site) -> None:
    """It is charged with 0 seconds, so that the import knows it and does not charge the second it lived."""
    one = run("too dear")
    poor.prolog(one)
    assert poor.charges == []
    assert poor.epilog(one) == 0
    (charge,) = poor.charges
    assert (charge["job"], charge["runtime"], charge["cost"]) == (f"{CLUSTER}/1231/{one.submit}", 0, 0)
    assert (poor.kept(), poor.kept("runs")) == ({}, {})
    assert poor.bring(one)["known"] == 1


@pytest.mark.parametrize(("further", "target"), [({}, "1231"), (ARRAY, "1231_2"), (HETJOB, "1230")])
def test_cancel_ends_the_job(poor: Site, further: dict[str, str], target: str) -> None:
    """Scancel is the last command, because Slurm then ends the prolog as well."""
    poor.configure(DCA_HOOK_ON_REFUSAL="cancel")
    poor.prolog(run("too dear")._replace(further=further))
    assert [call[0] for call in poor.called] == ["squeue", "scontrol", "scancel"]
    assert poor.called_with("scancel") == [[target]]


def test_interactive_job_reads_why(poor: Site) -> None:
    """What cannot be requeued is cancelled, and srun or salloc show the sentence."""
    poor.say("scontrol", "Only batch jobs are accepted or processed for job 1231", status=1)
    poor.prolog(interactive(run("too dear")))
    assert poor.called_with("scontrol")[1:] == [["requeuehold", "1231"], ["notify", "1231", SENTENCE]]
    assert poor.called_with("scancel") == [["1231"]]


def test_allow_lets_the_job_run(poor: Site) -> None:
    """It has no hold, and is charged when it ends."""
    poor.configure(DCA_HOOK_ON_REFUSAL="allow")
    one = run("too dear")
    poor.prolog(one)
    assert [call[0] for call in poor.called] == ["squeue"]
    done = one._replace(after=f"1231 {one.submit} {one.submit} 0:02 5-00:00:00 4 N/A 1 COMPLETING cpu=4,mem=1G")
    assert poor.epilog(done) == 0
    assert [charge["billed_seconds"] for charge in poor.charges] == [8]


def test_epilog_that_slurm_ended_is_made_up_for(poor: Site) -> None:
    """When a job is cancelled in its prolog, Slurm may end its epilog, too; the sender takes over."""
    one = run("too dear")
    poor.prolog(one)
    (marker,) = (poor.spool / "runs").iterdir()
    assert poor.send() == (0, "")
    age(marker, minutes=11)
    assert poor.send() == (0, "sent 1, refused 0, left 0\n")
    assert [charge["runtime"] for charge in poor.charges] == [0]


def test_job_that_slurm_does_not_stop_is_charged(poor: Site) -> None:
    """A job whose stop failed runs, and pays."""
    poor.say("scontrol", "", status=1)
    poor.say("scancel", "", status=1)
    one = run("completed")._replace(before=run("completed").before.replace(" 5:00 ", " 5-00:00:00 "))
    poor.prolog(one)
    assert poor.epilog(one) == 0
    assert [charge["runtime"] for charge in poor.charges] == [3]


@pytest.mark.parametrize("further", [{"SLURM_JOB_USER": "boris"}, {"SLURM_JOB_ACCOUNT": "cli-ocean"}])
def test_unknown_user_or_project_is_stopped_and_not_charged(poor: Site, further: dict[str, str]) -> None:
    """There is nobody to charge; the import names such jobs."""
    one = run("completed")._replace(further=further)
    poor.prolog(one)
    assert poor.called_with("scontrol")[1][0] == "requeuehold"
    assert poor.epilog(one) == 0
    assert (poor.charges, poor.kept(), poor.kept("refused"), poor.kept("runs")) == ([], {}, {}, {})


def test_broken_dca_refuses_nothing(poor: Site) -> None:
    """A Python that does not start ends with status 1 as well; the job runs, and the hold is kept."""
    poor.record("Traceback (most recent call last):\nModuleNotFoundError: No module named 'dca'", status=1)
    one = run("completed")
    poor.prolog(one)
    assert [call[0] for call in poor.called] == ["squeue"]
    assert list(poor.kept()) == [one.name(1)]


@pytest.mark.parametrize(("status", "code"), [(2, "usage"), (4, "not_permitted")])
def test_our_own_mistakes_stop_no_job(poor: Site, status: int, code: str) -> None:
    """Settings or rights that are wrong are the administrator's matter: put aside, with the answer."""
    poor.record(f'{{"status":"failed","error":"no.","code":"{code}"}}', status=status)
    one = run("completed")
    poor.prolog(one)
    assert [call[0] for call in poor.called] == ["squeue"]
    assert poor.epilog(one) == 0
    assert list(poor.kept("refused")) == [one.name(1), one.name(2)]
    assert poor.kept("refused")[one.name(2)].startswith("transaction\ncharge\n")
    assert code in poor.kept("refused")[one.name(2)]


def age(path: Path, minutes: int) -> None:
    """Make a file older."""
    then = path.stat().st_mtime - 60 * minutes
    os.utime(path, (then, then))
