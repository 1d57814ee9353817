"""Slurm's hooks, the real scripts, for many jobs at once: some are killed, and the store may be in trouble.

What each call is given was captured from a real Slurm, moved to the present and to a job of its own. In the end the
spool is sent, and sacct's records of all jobs are imported, as a site does every night: each job is charged once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from tests.concurrency.ledgers import distant_shell, whole_books
from tests.elastic.proxy import proxy
from tests.hooks.captured import COLUMNS
from tests.hooks.captured import run as captured
from tests.hooks.site import Site as HookSite
from tests.torture.site import ELASTICSEARCH, SQLITE, verify
from tests.torture.trouble import Weather, config_of, emptied_cluster, in_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elastic.server import BookServer
    from tests.hooks.captured import Run
    from tests.torture.figures import Figures
    from tests.torture.site import Site

CLUSTER = "three nodes"
JOBS, AT_ONCE = 48, 16
KILLED = 0.15
KILLED_WITHIN = 0.8
SENT_AGAIN_MAX = 30
CASES = ("completed", "failed", "cancelled", "suspended for a while", "over its limit", "requeued")
SQUEUE = """#!/bin/sh
before=
for word; do
  [ "$before" != -j ] || job=$word
  before=$word
done
cat "${0%/*}/said/$job"
"""
SACCT = """#!/bin/sh
before=
for word; do
  [ "$before" != -j ] || job=$word
  before=$word
done
cat "${0%/*}/ended/$job"
"""
HOOKS_SECONDS = "20"


def job_of(case: str, number: int) -> Run:
    """Return a run as a job of its own."""
    one = captured(case)
    job = str(50_000 + number)
    before, after, sacct = (text.replace(one.job, job) for text in (one.before, one.after, one.sacct))
    return one._replace(job=job, before=before, after=after, sacct=sacct)


class Scheduler:
    """What Slurm does with some jobs: it runs their hooks, and kills some of these."""

    def __init__(self, site: HookSite, seed: int) -> None:
        """Take the site with its books, and lay out what squeue and sacct will say."""
        self.site = site
        self.seed = seed
        for name, text in (("squeue", SQUEUE), ("sacct", SACCT)):
            (site.tools / name).write_text(text)
            (site.tools / name).chmod(0o755)
        for folder in ("said", "ended"):
            (site.tools / folder).mkdir()

    def run(self, number: int) -> int:
        """Run both hooks of a job; return how many of them were killed."""
        chance = Random(f"{self.seed}/{number}")
        job = job_of(chance.choice(CASES), number)
        rows = [line.split("|") for line in job.sacct.splitlines()]
        ended = "\n".join("|".join((row[0], *row[6:11])) for row in rows) + "\n"
        (self.site.tools / "ended" / job.job).write_text(ended)
        killed = 0
        for script, said in (("dca-prolog-slurmctld", job.before), ("dca-epilog-slurmctld", job.after)):
            (self.site.tools / "said" / job.job).write_text(said + "\n")
            hook = self.site.start(script, job.environment)
            if chance.random() < KILLED:
                time.sleep(chance.uniform(0, KILLED_WITHIN))
                if hook.poll() is None:
                    os.killpg(hook.pid, signal.SIGKILL)
                    killed += 1
            out, err = hook.communicate()
            assert not out + err, (out, err)
        (self.site.folder / "records").joinpath(job.job).write_text(job.sacct + "\n")
        return killed


def hooks(store: str, seed: int, site: Site, figures: Figures, *, jobs: int = JOBS) -> None:
    """Run many jobs' hooks at once, then what a site does afterwards, and look at the books."""
    name = f"hooks on {store}"
    with site.folder() as folder:
        place = HookSite(folder)
        if store == SQLITE:
            place.open_books()
            with _judged(place, jobs, figures, name):
                _run(place, seed, jobs, figures, name)
        elif store == ELASTICSEARCH:
            server = site.servers[0]
            server.empty()
            with proxy(server.server.host, server.server.port) as between:
                _open(place, between.url, server)
                between.draw = Weather(seed, figures)
                with _judged(place, jobs, figures, name):
                    _run(place, seed, jobs, figures, name)
        else:
            with emptied_cluster(site, proxied=False) as lent:
                _open(place, lent.hosts, lent.server)
                with _judged(place, jobs, figures, name), in_trouble(lent, seed, figures):
                    _run(place, seed, jobs, figures, name)


def _open(place: HookSite, hosts: str, server: BookServer) -> None:
    """Let the hooks find distant books by these hosts, and open them."""
    place.shell = distant_shell(place.folder, server)
    place.open_books()
    place.configure(**config_of(place.shell, hosts, server))


def _run(place: HookSite, seed: int, jobs: int, figures: Figures, name: str) -> None:
    (place.folder / "records").mkdir()
    place.configure(DCA_HOOK_WAIT=HOOKS_SECONDS, DCA_HOOK_RETRY="1")
    scheduler = Scheduler(place, seed)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        killed = sum(pool.map(scheduler.run, range(jobs)))
    figures.add(f"{name}: jobs", jobs)
    figures.add(f"{name}: hooks killed", killed)
    figures.add(f"{name}: calls that waited in the spool", len(place.kept()))


@contextmanager
def _judged(place: HookSite, jobs: int, figures: Figures, name: str) -> Iterator[None]:
    """After the hooks, send what waits and import what sacct says; then look at the books."""
    yield
    _send_all(place)
    booked = {one.job for one in whole_books(place.shell).records["transaction"].values()}
    figures.add(f"{name}: jobs charged by hooks", len(booked))
    _import_all(place)
    _each_once(place, jobs)
    verify(place.shell, figures, name)


def _send_all(place: HookSite) -> None:
    """Send what waits, as often as it takes; what was refused must have been refused for good."""
    for _ in range(SENT_AGAIN_MAX):
        status, said = place.send()
        if status == 0 and not place.kept():
            break
        time.sleep(1)
    else:
        raise AssertionError(f"the spool is not emptied: {said} {place.kept()} {place.logged[-2000:]}")
    assert not place.kept("refused"), place.kept("refused")


def _import_all(place: HookSite) -> None:
    log = place.folder / "sacct.txt"
    records = "".join(path.read_text() for path in sorted((place.folder / "records").iterdir()))
    log.write_text(f"{COLUMNS}\n{records}")
    answer = place.shell.ok("job", "import", str(log))
    assert answer["rejected"] == 0, answer
    again = place.shell.ok("job", "import", str(log))
    assert again["charged"] == 0, again


def _each_once(place: HookSite, jobs: int) -> None:
    """Check that each run of each job is charged once, at its cost, and that no hold is left of a job that has ended."""
    books = whole_books(place.shell)
    wanted: dict[str, int] = {}
    for path in (place.folder / "records").iterdir():
        for line in path.read_text().splitlines():
            row = line.split("|")
            wanted[f"hookery/{row[0]}/{row[6]}"] = int(row[9]) * int(row[10])
    charged = Counter(one.job for one in books.records["transaction"].values())
    once = Counter(wanted.keys())
    assert charged == once, (charged - once, once - charged)
    for one in books.records["transaction"].values():
        assert one.billed_seconds == wanted[one.job], (one, wanted[one.job])
    assert len({key.split("/")[1] for key in wanted}) == jobs
    left = [one for one in books.records["hold"].values() if one.state == "open"]
    assert not left, left


# -- a real Slurm ----------------------------------------------------------------------------------------------------

NO_SLURM = "a real Slurm was left out: sbatch and sacct are not on this machine; the hooks ran with captured calls."
SLURM_JOBS = 12
SLURM_SECONDS_MAX = 180


def real_slurm(site: Site, figures: Figures) -> None:
    """Where there is a Slurm whose users may submit, let it run jobs, and import what its sacct says of them, twice."""
    if not (shutil.which("sbatch") and shutil.which("sacct")):
        figures.note(NO_SLURM)
        return
    with site.shell(SQLITE) as shell:
        name = f"torture{time.time_ns()}"
        for _ in range(SLURM_JOBS):
            submitted = _slurm("sbatch", f"--job-name={name}", "--output=/dev/null", "--chdir=/tmp", "--wrap=sleep 1")
            if submitted is None:
                figures.note("a real Slurm was left out: sbatch does not take jobs from this user.")
                return
        log = shell.folder / "sacct.txt"
        until = time.monotonic() + SLURM_SECONDS_MAX
        while _slurm("squeue", "--noheader", f"--name={name}"):
            assert time.monotonic() < until, "Slurm does not finish its jobs"
            time.sleep(1)
        time.sleep(2)  # slurmdbd is told a little later
        columns = "JobIDRaw,Cluster,User,Account,Partition,State,Submit,Start,End,ElapsedRaw,AllocCPUS,NNodes,JobName"
        log.write_text(_slurm("sacct", "-a", "-D", "-X", "-P", f"--name={name}", f"--format={columns}") or "")
        shell.ok("setup", "--names=extended")
        shell.ok("rate", "set", "--rate=1")
        shell.ok("tenant", "add", "--tenant=site")
        answer = shell.ok("job", "import", "--tenant=site", "--create-missing", str(log))
        assert answer["charged"] + sum(answer["skipped"].values()) == SLURM_JOBS, answer
        assert shell.ok("job", "import", "--tenant=site", "--create-missing", str(log))["charged"] == 0
        whole_books(shell)
        figures.add("jobs of a real Slurm", SLURM_JOBS)


def _slurm(*words: str) -> str | None:
    """Ask Slurm; None if it refuses."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def play(seed: int, site: Site, figures: Figures) -> None:
    """Play one round of hooks: by turns on SQLite, on Elasticsearch behind a faulty proxy, and on a cluster in trouble."""
    hooks((SQLITE, ELASTICSEARCH, CLUSTER)[seed % 3], seed, site, figures)
    real_slurm(site, figures)
