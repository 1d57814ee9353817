"""Commands of many lines and of whole books, killed at any operation: batches, backups, restores and copies.

What a batch answered on a line is in the books; sent again, all its lines are done, each once. A backup is there whole or
not at all; a restore or a copy that was killed leaves no books, and is done by running it again.
"""

from __future__ import annotations

import json
import shutil
import signal
from random import Random
from typing import TYPE_CHECKING

from tests.cli.shell import Shell
from tests.concurrency.ledgers import essence, figures, job_key, opened, whole_books
from tests.concurrency.nursery import ANSWER, MOMENT, REQUEST, STATEMENT, Fate
from tests.torture.site import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.concurrency.nursery import Ended
    from tests.torture.figures import Figures
    from tests.torture.site import Site

JOBS = 40
STRIDE = {SQLITE: 12}
DISTANT_STRIDE = 8
OPERATIONS = {SQLITE: (STATEMENT, STATEMENT, MOMENT)}
DISTANT_OPERATIONS = (REQUEST, ANSWER, MOMENT)
MOMENT_MAX = 60_000
WAIT = "--wait=120"


class _Round:
    """One round on the books of one shell."""

    def __init__(self, store: str, seed: int, site: Site, shell: Shell, figures: Figures) -> None:
        self.store = store
        self.chance = Random(seed)
        self.nursery = site.nursery
        self.shell = shell
        self.figures = figures

    def killed_on_the_way(self, shell: Shell, *words: str) -> Iterator[Ended]:
        """Run a command again and again, killed later each time, until it comes to its end."""
        at = 0
        while True:
            at += self.chance.randrange(1, STRIDE.get(self.store, DISTANT_STRIDE))
            operation = self.chance.choice(OPERATIONS.get(self.store, DISTANT_OPERATIONS))
            fate = Fate(operation, self.chance.randrange(MOMENT_MAX) if operation == MOMENT else at)
            ended = self.nursery.dca(shell, *words, fate=fate)
            assert "Traceback" not in ended.err, ended
            if ended.status == -signal.SIGKILL:
                self.figures.add(f"{self.store}: kills")
                self.figures.place(f"{self.store}: places of kills", (" ".join(words[:2]), operation, at))
            yield ended
            if ended.status != -signal.SIGKILL:
                assert ended.status == 0, ended
                return

    def batch(self, *words: str, lines: list[dict[str, object]], done: Callable[[], set[str]]) -> None:
        """Send lines until all are done; what was answered is done, and nothing twice."""
        file = self.shell.folder / "lines.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for ended in self.killed_on_the_way(self.shell, *words, f"--file={file}", WAIT):
            answers = [json.loads(line) for line in ended.out.splitlines() if line.endswith("}")]
            assert all(one["status"] == "success" for one in answers), answers
            jobs = {str(line["job"]) for line in lines[: len(answers)]}
            assert jobs <= done(), "a line was answered and is not in the books"
        assert done() == {str(line["job"]) for line in lines}
        self.figures.add(f"{self.store}: lines of batches", len(lines))

    def held(self) -> set[str]:
        """Return the jobs that are or were held, each once."""
        jobs = [one.job for one in whole_books(self.shell).records["hold"].values()]
        assert len(jobs) == len(set(jobs)), "a job is held twice"
        return set(jobs)

    def charged(self) -> set[str]:
        """Return the jobs that are charged, each once."""
        jobs = [one.job for one in whole_books(self.shell).records["transaction"].values()]
        assert len(jobs) == len(set(jobs)), "a job is charged twice"
        return set(jobs)

    def backup(self, file: Path) -> None:
        """Back up until it is done; a backup that is there is whole."""
        for _ in self.killed_on_the_way(self.shell, "backup", "--overwrite", str(file)):
            if file.exists():
                assert self.nursery.dca(self.shell, "backup", "check", str(file)).status == 0
        assert file.exists()
        self.figures.add(f"{self.store}: backups")

    def brought(self, folder: Path, fill: tuple[str, ...], by: Callable[[Shell], Shell]) -> None:
        """Fill new books in SQLite until it is done; until then there are none."""
        folder.mkdir()
        target = Shell(folder)
        wanted = essence(whole_books(self.shell))
        for ended in self.killed_on_the_way(by(target), *fill):
            if ended.status:
                asked = self.nursery.dca(target, "list", "--all")
                there = asked.status == 0 and "nothing found" not in asked.out
                assert not there or essence(whole_books(target))["tenant"] == wanted["tenant"], asked
                if there:  # killed after it was all there: it is done, and cannot be done again
                    break
        found = essence(whole_books(target))
        for kind in ("tenant", "project", "hold", "transaction", "payment", "association", "rate"):
            assert found[kind] == wanted[kind], kind
        shutil.rmtree(folder)
        self.figures.add(f"{self.store}: {'restores' if fill[0] == 'restore' else 'copies'}")


def lines(store: str, seed: int, site: Site, figures_: Figures, *, jobs: int = JOBS) -> None:
    """Play one round."""
    with site.shell(store) as shell:
        opened(shell, affordable=jobs)
        play = _Round(store, seed, site, shell, figures_)
        keys = [job_key(number) for number in range(1, jobs + 1)]
        play.batch(
            "transaction",
            "reservebudget",
            lines=[{"project": "p", "estimate": 1000, "job": key} for key in keys],
            done=play.held,
        )
        assert figures(shell).holds_open == jobs
        charges = [{"project": "p", "user": "anna", "jobtime": 500, "start": 1_700_000_000, "job": key} for key in keys]
        play.batch("transaction", "charge", lines=charges, done=play.charged)
        assert figures(shell).holds_open == 0
        assert figures(shell).balance == 10 * jobs + 9 - 5 * jobs
        file = shell.folder / "books.backup"
        play.backup(file)
        play.brought(shell.folder / "restored", ("restore", str(file)), lambda target: target)
        target = shell.folder / "copied"
        play.brought(target, ("store", "copy", f"--to=sqlite:{target / 'books.db'}"), lambda _: shell)
