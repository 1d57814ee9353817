"""What Slurm 22.05.8 gave the hooks for jobs that really ran: environment, answers of squeue, later sacct's records.

Only blanks are squeezed and job names left out. The times are moved, all by the same, so that the epilog runs now.
"""

import re
import time
from collections.abc import Mapping
from typing import NamedTuple

CLUSTER = "hookery"
COLUMNS = (
    "JobIDRaw|Cluster|Partition|Account|User|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes|AllocTRES|NodeList"
)
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PWD": "/",
    "SLURM_CLUSTER_NAME": CLUSTER,
    "SLURM_JOB_ACCOUNT": "phy-lattice",
    "SLURM_JOB_GID": "1001",
    "SLURM_JOB_GROUP": "anna",
    "SLURM_JOB_NODELIST": "c1",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_JOB_PARTITION": "batch",
    "SLURM_JOB_RESTART_COUNT": "0",
    "SLURM_JOB_STDIN": "/dev/null",
    "SLURM_JOB_STDOUT": "/dev/null",
    "SLURM_JOB_UID": "1001",
    "SLURM_JOB_USER": "anna",
    "SLURM_JOB_WORK_DIR": "/home/anna",
}
_MOMENT = re.compile(r"\b1795\d{6}\b")


class Run(NamedTuple):
    """One run of one job."""

    job: str
    submit: int
    at: int
    """When the epilog ran."""
    before: str
    """What squeue said in the prolog, and after it in the epilog."""
    after: str
    sacct: str
    further: Mapping[str, str] = {}
    """What the environment held beside the usual."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the run's hooks, and no other variable."""
        return ENVIRONMENT | {"SLURM_JOBID": self.job, "SLURM_JOB_ID": self.job} | dict(self.further)

    def name(self, kind: int) -> str:
        """Return what a call of this run is named in the spool: 1 for its hold, 2 for its charge."""
        return f"{CLUSTER}.{self.job}.{self.submit}.{kind}"

    @property
    def record(self) -> list[str]:
        """Return the fields of sacct's record."""
        return self.sacct.splitlines()[0].split("|")


def run(case: str) -> Run:
    """Return a run, its times moved to the present."""
    captured = RUNS[case]
    shift = int(time.time()) - captured.at

    def moved(text: str) -> str:
        return _MOMENT.sub(lambda match: str(int(match[0]) + shift), text)

    return captured._replace(
        submit=captured.submit + shift,
        at=captured.at + shift,
        before=moved(captured.before),
        after=moved(captured.after),
        sacct=moved(captured.sacct),
    )


RUNS = {
    "completed": Run(
        job="1218",
        submit=1795491848,
        at=1795491852,
        before="1218 1795491848 1795492149 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=1,billing=2",
        after="1218 1795491848 1795491852 0:03 5:00 2 N/A 1 COMPLETING cpu=2,mem=512M,node=1,billing=2",
        sacct="1218|hookery|batch|phy-lattice|anna|COMPLETED|1795491848|1795491849|1795491852|3|2|1|cpu=2,node=1|c1",
    ),
    "failed": Run(
        job="1219",
        submit=1795491849,
        at=1795491850,
        before="1219 1795491849 1795492149 0:00 5:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1,billing=1",
        after="1219 1795491849 1795491850 0:01 5:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1219|hookery|batch|phy-lattice|anna|FAILED|1795491849|1795491849|1795491850|1|1|1|cpu=1,node=1|c2",
    ),
    "last task of an array": Run(
        job="1220",
        submit=1795491849,
        at=1795491856,
        before="1220 1795491849 1795492153 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=1,billing=2",
        after="1220 1795491849 1795491856 0:03 5:00 2 N/A 1 COMPLETING cpu=2,mem=512M,node=1,billing=2",
        sacct="1220|hookery|batch|phy-lattice|anna|COMPLETED|1795491849|1795491853|1795491856|3|2|1|cpu=2,node=1|c1",
        further={"SLURM_ARRAY_JOB_ID": "1220", "SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4"},
    ),
    "leader of a hetjob": Run(
        job="1221",
        submit=1795491849,
        at=1795491852,
        before="1222 1795491849 1795492149 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=1,billing=2\n"
        "1221 1795491849 1795492149 0:00 5:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1,billing=1",
        after="1222 1795491849 1795491852 0:03 5:00 2 N/A 1 COMPLETING cpu=2,mem=512M,node=1,billing=2\n"
        "1221 1795491849 1795491852 0:03 5:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1221|hookery|batch|phy-lattice|anna|COMPLETED|1795491849|1795491849|1795491852|3|1|1|cpu=1,node=1|c2",
        further={"SLURM_HET_JOB_ID": "1221", "SLURM_HET_JOB_OFFSET": "0", "SLURM_PACK_JOB_ID": "1221"},
    ),
    "second part of a hetjob": Run(
        job="1222",
        submit=1795491849,
        at=1795491852,
        before="1222 1795491849 1795492149 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=1,billing=2",
        after="1222 1795491849 1795491852 0:03 5:00 2 N/A 1 COMPLETING cpu=2,mem=512M,node=1,billing=2",
        sacct="1222|hookery|batch|phy-lattice|anna|COMPLETED|1795491849|1795491849|1795491852|3|2|1|cpu=2,node=1|c1",
        further={"SLURM_HET_JOB_ID": "1221", "SLURM_HET_JOB_OFFSET": "1", "SLURM_PACK_JOB_ID": "1221"},
    ),
    "cancelled": Run(
        job="1226",
        submit=1795491861,
        at=1795491863,
        before="1226 1795491861 1795491981 0:00 2:00 3 N/A 1 CONFIGURING cpu=3,mem=768M,node=2,billing=3",
        after="1226 1795491861 1795491863 0:02 2:00 3 N/A 1 COMPLETING cpu=3,mem=768M,node=2,billing=3",
        sacct="1226|hookery|batch|phy-lattice|anna|CANCELLED by 0|1795491861|1795491861|1795491863|2|3|2|cpu=3|c[1-2]",
    ),
    "suspended for a while": Run(
        job="1229",
        submit=1795491874,
        at=1795491882,
        before="1229 1795491874 1795492174 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=1,billing=2",
        after="1229 1795491874 1795491882 0:05 5:00 2 N/A 1 COMPLETING cpu=2,mem=512M,node=1,billing=2",
        sacct="1229|hookery|batch|phy-lattice|anna|COMPLETED|1795491874|1795491874|1795491882|5|2|1|cpu=2,node=1|c1",
    ),
    "over its limit": Run(
        job="1230",
        submit=1795491879,
        at=1795491956,
        before="1230 1795491879 1795491940 0:00 1:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1,billing=1",
        after="1230 1795491879 1795491956 1:16 1:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1230|hookery|batch|phy-lattice|anna|TIMEOUT|1795491879|1795491880|1795491956|76|1|1|cpu=1,node=1|c1",
    ),
    "requeued": Run(
        job="1227",
        submit=1795491863,
        at=1795491866,
        before="1227 1795491863 1795492164 0:00 5:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1,billing=1",
        after="1227 1795491863 1795492166 0:00 5:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1227|hookery|batch|phy-lattice|anna|REQUEUED|1795491863|1795491864|1795491866|2|1|1|cpu=1,node=1|c1\n"
        "1227|hookery|batch|phy-lattice|anna|COMPLETED|1795491866|1795491870|1795491875|5|1|1|cpu=1,node=1|c1",
        further={"SLURM_JOB_RESTART_COUNT": "1"},
    ),
    "second run of the requeued": Run(
        job="1227",
        submit=1795491866,
        at=1795491875,
        before="1227 1795491866 1795492170 0:00 5:00 1 N/A 1 CONFIGURING cpu=1,mem=256M,node=1,billing=1",
        after="1227 1795491866 1795491875 0:05 5:00 1 N/A 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1227|hookery|batch|phy-lattice|anna|COMPLETED|1795491866|1795491870|1795491875|5|1|1|cpu=1,node=1|c1",
        further={"SLURM_JOB_RESTART_COUNT": "1"},
    ),
    "resized": Run(
        job="1228",
        submit=1795491869,
        at=1795491882,
        before="1228 1795491869 1795492170 0:00 5:00 2 N/A 1 CONFIGURING cpu=2,mem=512M,node=2,billing=2",
        after="1228 1795491869 1795491882 0:12 5:00 1 INVALID 1 COMPLETING cpu=1,mem=256M,node=1,billing=1",
        sacct="1228|hookery|batch|phy-lattice|anna|RESIZING|1795491869|1795491870|1795491874|4|2|2|cpu=2,node=2|c[1-2]\n"
        "1228|hookery|batch|phy-lattice|anna|COMPLETED|1795491874|1795491870|1795491882|12|1|1|cpu=1,node=1|c1",
    ),
    "too dear": Run(
        job="1231",
        submit=1795491889,
        at=1795491891,
        before="1231 1795491889 1795923890 0:00 5-00:00:00 4 N/A 1 CONFIGURING cpu=4,mem=1G,node=1,billing=4",
        after="1231 1795491889 1795923891 0:00 5-00:00:00 4 N/A 1 COMPLETING cpu=4,mem=1G,node=1,billing=4",
        sacct="1231|hookery|batch|phy-lattice|anna|REQUEUED|1795491889|1795491890|1795491891|1|4|1|cpu=4,node=1|c1",
    ),
}
WHOLE = (
    "completed",
    "failed",
    "last task of an array",
    "leader of a hetjob",
    "second part of a hetjob",
    "cancelled",
    "suspended for a while",
    "over its limit",
    "second run of the requeued",
)
"""Runs of which slurmctld still knows everything when their epilog runs."""
