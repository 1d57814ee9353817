"""What the world does to books: disks that are full or read-only, and clocks that are set back."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from dca.core.errors import UnreachableError
from tests.cli.shell import Shell
from tests.concurrency.ledgers import log_of, opened, whole_books
from tests.concurrency.nursery import task
from tests.torture.site import ELASTICSEARCH, SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.concurrency.nursery import Ended, Nursery
    from tests.torture.figures import Figures
    from tests.torture.site import Site

SMALL_DISK = 600 * 1024
FILLED_AT_LEAST = 3
"""Commands that find the disk full, before it is emptied again."""
COMMANDS_MAX = 2_000
SECOND, MINUTE = 1_000, 60_000
CLOCKS = {SQLITE: 20, ELASTICSEARCH: 6}
"""How often the clock is set in a round."""


def payment(reference: str) -> tuple[str, ...]:
    """Return the words of a payment."""
    return ("tenant", "payment", "--tenant=acme", "--payment=1", f"--reference={reference}")


def paid(shell: Shell) -> list[str]:
    """Return the references of all payments, after checking the whole books."""
    return sorted(one.reference for one in whole_books(shell).records["payment"].values() if one.reference)


def sentence(ended: Ended, *words: str) -> None:
    """Check that a command could not do anything and says so in a sentence with these words in it."""
    assert ended.status == UnreachableError.exit_status, ended
    assert "Traceback" not in ended.err, ended
    said = ended.answer["error"]
    assert all(word.lower() in said.lower() for word in words), said


# -- disks -----------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """Lend a small disk of its own at a folder; if there can be none, say why."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        yield mounted.stderr.strip() or "mount failed"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, how: str) -> None:
    """Make a disk read-only (ro) or writable (rw)."""
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def disks(seed: int, site: Site, figures: Figures) -> None:
    """Fill a small disk with books, and make it read-only under them."""
    with site.folder() as folder:
        mountpoint = folder / "disk"
        mountpoint.mkdir()
        with small_disk(mountpoint) as problem:
            if problem:
                figures.note(f"full and read-only disks were left out: this user cannot mount one ({problem}).")
                return
            shell = opened(Shell(folder, f"sqlite:{mountpoint / 'books.db'}"))
            full(shell, mountpoint, Random(seed), site.nursery, figures)
            read_only(shell, mountpoint, site.nursery, figures)


def full(shell: Shell, disk: Path, chance: Random, nursery: Nursery, figures: Figures) -> None:
    """Fill the disk up by small and large commands: each is taken whole or not at all, and with room again it goes on."""
    log = shell.folder / "jobs.txt"
    acknowledged: list[str] = []
    sent: list[str] = []
    refused = 0
    for number in range(COMMANDS_MAX):
        if chance.random() < 0.2:
            log.write_text(log_of(jobs=chance.randrange(1, 300), seconds=1))
            ended = nursery.dca(shell, "job", "import", str(log), "--cluster=lab")
        else:
            sent.append(f"r{number:04}")
            ended = nursery.dca(shell, *payment(sent[-1]))
            acknowledged += [sent[-1]] * (ended.status == 0)
        if ended.status:
            sentence(ended, "full", "nothing was changed")
            refused += 1
            figures.add("disks: commands on a full disk")
            assert paid(shell) == acknowledged
        if refused >= FILLED_AT_LEAST:
            break
    assert refused >= FILLED_AT_LEAST, "the disk never was full"
    subprocess.run(["mount", "-o", f"remount,size={4 * SMALL_DISK}", disk], check=True)
    for reference in sent:
        assert nursery.dca(shell, *payment(reference)).status == 0
    assert paid(shell) == sent
    figures.add("disks: full disks")


def read_only(shell: Shell, disk: Path, nursery: Nursery, figures: Figures) -> None:
    """On a file system that turned read-only nothing can be changed, reading works or says why, and later all goes on."""
    before = paid(shell)
    remount(disk, "ro")
    try:
        for words in (payment("ro"), ("rate", "set", "--rate=7"), ("setup", "--cluster=other")):
            sentence(nursery.dca(shell, *words), str(disk), "read-only")
        read = nursery.dca(shell, "list")
        assert read.status == 0 or "cannot be" in read.answer["error"], read
        figures.add("disks: read-only file systems")
    finally:
        remount(disk, "rw")
    assert nursery.dca(shell, *payment("rw")).status == 0
    assert paid(shell) == sorted([*before, "rw"])


def blocked(site: Site, figures: Figures) -> None:
    """Elasticsearch blocks its indices when its disks are full: nothing is changed, and afterwards it goes on."""
    with site.shell(ELASTICSEARCH) as shell:
        opened(shell)
        server = site.servers[0]
        for number in range(2):
            server.must("PUT", f"/{server.prefix}*/_settings", {"index.blocks.read_only_allow_delete": True})
            try:
                sentence(site.nursery.dca(shell, *payment(f"blocked{number}")), "disks are full")
            finally:
                server.must("PUT", f"/{server.prefix}*/_settings", {"index.blocks.read_only_allow_delete": None})
            assert site.nursery.dca(shell, *payment(f"free{number}")).status == 0
        assert paid(shell) == ["free0", "free1"]
        figures.add("disks: blocked indices")


# -- clocks ----------------------------------------------------------------------------------------------------------


def clocks(store: str, seed: int, site: Site, figures: Figures) -> None:
    """Set the clock of one writer after the other: a little back is smoothed over, far back is refused with both times."""
    chance = Random(seed)
    with site.shell(store) as shell:
        opened(shell)
        done: list[str] = []
        for number in range(CLOCKS[store]):
            ahead = chance.choice(
                (0, -1, -SECOND, -4 * MINUTE, -6 * MINUTE, -1440 * MINUTE, chance.randrange(-9 * MINUTE, 0))
            )
            one = task(shell, *payment(f"c{number:02}"))._replace(ahead=ahead)
            ended = site.nursery.run(one)[0]
            if ended.status == 0:
                assert ahead > -6 * MINUTE, "a clock far behind was believed"
                done.append(f"c{number:02}")
            else:
                assert ahead < -4 * MINUTE, "a clock a little behind was refused"
                sentence(ended, "this machine's clock says", "the last entry was written at", "set the clock")
                assert ended.answer["error"].count("T") >= 2, ended.answer
            figures.add(f"{store}: clocks set back" if ahead else f"{store}: clocks left alone")
            log = whole_books(shell).log["t:acme"]
            times = [entry.time for entry in log]
            assert times == sorted(times), "time went back in the log"
        assert paid(shell) == done


def world(seed: int, site: Site, figures: Figures) -> None:
    """Play one round of disks and clocks."""
    disks(seed, site, figures)
    blocked(site, figures)
    for store in (SQLITE, ELASTICSEARCH):
        clocks(store, seed, site, figures)
