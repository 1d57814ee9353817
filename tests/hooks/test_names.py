"""Names cannot be commands: whatever users and projects are called, it reaches dca as one argument, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hooks.captured import run

if TYPE_CHECKING:
    from tests.hooks.site import Site

DOWN = '{"status":"failed","error":"nothing answers.","code":"unreachable"}'
EVIL = (
    "$(touch {0})",
    "`touch {0}`",
    "a'; touch {0}; '",
    'a"; touch {0}; "',
    "a b\tc",
    "-y --wipe",
    "* ? [a-z]",
    "\\n %s %n",
    "a; touch {0} &",
    "${{IFS}}$0",
    "ü ß",
)


@pytest.mark.parametrize("form", EVIL)
def test_names_are_arguments(site: Site, form: str) -> None:
    """Of dca at once, and of dca from the spool."""
    place = site.folder / "pwned"
    name = form.format(place)
    fields = ("SLURM_JOB_ACCOUNT", "SLURM_JOB_USER", "SLURM_JOB_NAME", "SLURM_JOB_COMMENT", "SLURM_JOB_WORK_DIR")
    one = run("completed")._replace(further=dict.fromkeys(fields, name))
    site.record(DOWN, 3)
    site.configure(DCA_HOOK_RETRY="0")
    site.prolog(one)
    (site.spool / "waiting" / one.name(1)).unlink()
    assert site.epilog(one) == 0
    site.record("{}")
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert len(site.recorded) == 3
    for call in site.recorded:
        assert call[2:4] == [f"--project={name}", f"--user={name}"]
    assert not place.exists()


@pytest.mark.parametrize("form", EVIL)
def test_dca_refuses_such_names(site: Site, form: str) -> None:
    """And what it says about them is no command for Slurm either."""
    place = site.folder / "pwned"
    one = run("completed")._replace(further={"SLURM_JOB_ACCOUNT": form.format(place)})
    site.prolog(one)
    update = site.called_with("scontrol")[0]
    assert (len(update), update[:2]) == (3, ["update", "JobId=1218"])
    assert update[2].startswith("AdminComment=dca: ")
    assert site.epilog(one) == 0
    assert (site.charges, site.holds) == ([], [])
    assert not place.exists()


def test_line_breaks_are_not_kept(site: Site) -> None:
    """A file of the spool has one argument a line; one with a line break is left to the import."""
    one = run("completed")._replace(further={"SLURM_JOB_USER": "anna\n--jobtime=1"})
    site.record(DOWN, 3)
    assert site.epilog(one) == 1
    assert site.kept() == {}
    assert "left to the import" in site.logged


@pytest.mark.parametrize("cluster", ["../../etc", "a b", "$(id)", "-x", ".."])
def test_cluster_is_no_path(site: Site, cluster: str) -> None:
    """Its name becomes part of file names."""
    one = run("completed")._replace(further={"SLURM_CLUSTER_NAME": cluster})
    site.prolog(one)
    assert site.epilog(one) == 1
    assert site.called == []
    assert site.logged.count("cannot be part of a job key") == 2


def test_job_names_are_never_read(site: Site) -> None:
    """Squeue is asked for columns that no user can write into, so no name can pretend to be a submit time."""
    site.prolog(run("completed"))
    (call,) = site.called_with("squeue")
    assert call[-2:] == [
        "-O",
        "JobID,SubmitTime,EndTime,TimeUsed,TimeLimit,NumCPUs,ResizeTime,BatchFlag,State,tres-alloc:40",
    ]
