"""Run the harness for a while: rounds of all kinds by turns, each with a seed of its own, and a summary at the end.

There are two lanes, one for what needs an Elasticsearch and one for what does not, each with a summary of its own.

Usage: python -m tests.torture [--minutes=N] [--seed=N] [--kinds=NAME,...] [--rounds=N] [--report=FILE]

A round that fails prints what was wrong, and the command that runs this round again.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING

from tests.torture.figures import Figures
from tests.torture.kinds import KINDS
from tests.torture.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.torture.kinds import Kind

MINUTE = 60.0


class Run:
    """One run of the harness."""

    def __init__(self, seed: int, minutes: float, rounds: int, kinds: Sequence[Kind]) -> None:
        """Take what is to be done."""
        self.seed = seed
        self.until = time.monotonic() + minutes * MINUTE
        self.rounds = rounds
        self.figures = Figures()
        self.spent = dict.fromkeys(kinds, 0.0)
        self.played = dict.fromkeys(kinds, 0)
        self.failures: list[str] = []

    def go(self) -> None:
        """Play rounds until the time is over; a kind that fails is not played again."""
        with Site() as site:
            while self.spent and time.monotonic() < self.until:
                kind = min(self.spent, key=lambda one: self.spent[one] / one.share)
                begin = time.monotonic()
                self.play(kind, site)
                self.spent[kind] += time.monotonic() - begin
                if self.played[kind] >= self.rounds or any(kind.name in failure for failure in self.failures):
                    del self.spent[kind]

    def play(self, kind: Kind, site: Site) -> None:
        """Play the next round of a kind."""
        seed = self.seed + self.played[kind]
        self.played[kind] += 1
        begin = time.monotonic()
        try:
            kind.play(seed, site, self.figures)
        except Exception as wrong:
            if STOPPED.is_set():
                raise KeyboardInterrupt from wrong
            said = f"{wrong}\n{traceback.format_exc()}"
            again = f"python -m tests.torture --kinds={kind.name} --seed={seed} --rounds=1"
            self.failures.append(f"{kind.name} fails: {said}\nrun it again with: {again}")
            _say(self.failures[-1])
        else:
            _say(f"{datetime.now(UTC):%H:%M:%S} {kind.name} {seed}: {time.monotonic() - begin:.0f} s")

    def summary(self, minutes: float) -> str:
        """Return the summary."""
        rounds = ", ".join(f"{kind.name} {number}" for kind, number in self.played.items())
        return "\n".join(
            [
                f"date: {datetime.now(UTC):%Y-%m-%d}",
                f"seed: {self.seed}",
                f"minutes: {minutes:.1f}",
                f"rounds: {rounds}",
                *self.figures.lines,
                f"failures: {len(self.failures)}",
                *self.failures,
            ]
        )


STOPPED = Event()


def _stop(*_: object) -> None:
    """Break off the round that is being played, wherever it is."""
    STOPPED.set()
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the harness; return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1, 10**8))
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"any of {','.join(KINDS)}")
    parser.add_argument("--rounds", type=int, default=10**9, help="rounds of each kind at most")
    parser.add_argument("--report", type=Path, help="a file for the summary")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.kinds.split(",") if name not in KINDS]
    if unknown:
        parser.error(f"there is no kind {', '.join(unknown)}; choose from {', '.join(KINDS)}")
    _say(f"seed {given.seed}, kinds {given.kinds}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    kinds = [KINDS[name] for name in given.kinds.split(",")]
    near = [kind for kind in kinds if not kind.distant]
    if len(near) in (0, len(kinds)):
        return int(_lane(given, kinds)[0])
    with TemporaryDirectory() as folder:
        report = Path(folder) / "near.txt"
        options = [f"--minutes={given.minutes}", f"--seed={given.seed}", f"--rounds={given.rounds}"]
        options += [f"--kinds={','.join(kind.name for kind in near)}", f"--report={report}"]
        command = [sys.executable, "-m", "tests.torture", *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as beside:
            failed, interrupted = _lane(given, [kind for kind in kinds if kind.distant])
            if interrupted:
                beside.terminate()
        text = report.read_text(encoding="utf-8") if report.exists() else "the lane beside has ended without a report\n"
    print(text)
    if given.report:
        with given.report.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
    return int(bool(failed or beside.returncode))


def _lane(given: argparse.Namespace, kinds: Sequence[Kind]) -> tuple[bool, bool]:
    """Play some kinds by turns in this process; return whether any failed, and whether it was interrupted."""
    interrupted = False
    run = Run(given.seed, given.minutes, given.rounds, kinds)
    begin = time.monotonic()
    try:
        run.go()
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted")
    text = run.summary((time.monotonic() - begin) / MINUTE)
    print(text)
    if given.report:
        given.report.write_text(text + "\n", encoding="utf-8")
    return bool(run.failures), interrupted


if __name__ == "__main__":
    sys.exit(main())
