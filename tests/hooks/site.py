"""A site to try the hooks at: real books, real scripts, stand-ins for Slurm, saying what they are told."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli.shell import Shell
from tests.hooks.captured import CLUSTER, COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.hooks.captured import Run

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "hooks"
SECONDS_MAX = 60
NOWHERE = "http://127.0.0.1:9"
STAND_IN = """#!/bin/sh
{ printf '%s\\n' "${0##*/}"; printf '%s\\n' "$@"; echo; } >>"${0%/*}/called"
[ ! -e "$0.says" ] || cat "$0.says"
[ ! -e "$0.status" ] || exit "$(cat "$0.status")"
"""
RECORDER = """import json, pathlib, sys
with pathlib.Path({file!r}).open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
print({says!r})
sys.exit({status})
"""


class Site:
    """Books with one project, 1000 dollars and a rate of 3.60, and hooks that work on them."""

    def __init__(self, folder: Path) -> None:
        """Lay out the folder and fill the books."""
        self.folder = folder
        self.tools = folder / "bin"
        self.spool = folder / "spool"
        self.log = folder / "hooks.log"
        self.tools.mkdir()
        for name in ("squeue", "sacct", "scontrol", "scancel"):
            self._write(name, STAND_IN)
        self.shell = Shell(folder)
        self._write(
            "dca",
            f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} PYTHONDONTWRITEBYTECODE=1 "
            f'exec {shlex.quote(sys.executable)} -m dca "$@"\n',
        )
        self.settings = {
            "PATH": f"{self.tools}:/usr/bin:/bin",
            "HOME": str(folder),
            "DCA_STORE": self.shell.store,
            "DCA_COMMAND": str(self.tools / "dca"),
            "DCA_HOOK_SPOOL": str(self.spool),
            "DCA_HOOK_LOG": str(self.log),
        }
        self.configure()

    def open_books(self, balance: str = "1000") -> None:
        """Make tenant, project and user."""
        self.shell.ok("setup", "--names=extended", f"--cluster={CLUSTER}")
        self.shell.ok("rate", "set", "--rate=3.6")
        self.shell.ok("tenant", "add", "--tenant=physics")
        self.shell.ok("tenant", "payment", "--tenant=physics", "--payment=1000")
        self.shell.ok("project", "add", "--project=phy-lattice", "--tenant=physics", f"--balance={balance}")
        self.shell.ok("user", "add", "--project=phy-lattice", "--user=anna")

    def _write(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def configure(self, **settings: str) -> None:
        """Write the settings of the hooks; those given stay set."""
        self.settings |= settings
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in self.settings.items())
        (self.folder / "hooks.conf").write_text(text)

    def slow(self, seconds: float) -> None:
        """Let dca take its time."""
        path = self.tools / "dca"
        path.write_text(path.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\nsleep {seconds}\n"))

    def fast(self) -> None:
        """Let dca work as usual again."""
        path = self.tools / "dca"
        path.write_text(
            "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("sleep "))
        )

    def record(self, says: str = "", status: int = 0) -> None:
        """Put something in the place of dca that notes its arguments, answers so, and ends with this status."""
        script = self.folder / "recorder.py"
        script.write_text(RECORDER.format(file=str(self.folder / "recorded"), says=says, status=status))
        self._write("dca", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n')

    @property
    def recorded(self) -> list[list[str]]:
        """Return the arguments of the calls that were noted."""
        path = self.folder / "recorded"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def say(self, command: str, text: str, status: int = 0) -> None:
        """Tell a stand-in what to answer."""
        (self.tools / f"{command}.says").write_text(text + "\n" if text else "")
        (self.tools / f"{command}.status").write_text(str(status))

    @property
    def called(self) -> list[list[str]]:
        """Return how Slurm's commands were called."""
        path = self.tools / "called"
        return [call.split("\n") for call in path.read_text().split("\n\n") if call] if path.exists() else []

    def called_with(self, command: str) -> list[list[str]]:
        """Return the arguments of each call of one of Slurm's commands."""
        return [call[1:] for call in self.called if call[0] == command]

    def start(self, name: str, environment: Mapping[str, str], *words: str, shell: str = "") -> subprocess.Popen[str]:
        """Start one of the scripts as slurmctld does: with these variables and no others."""
        program = [*([shell] if shell else []), str(HOOKS / name), *words]
        around = {**environment, "DCA_HOOK_CONF": str(self.folder / "hooks.conf")}
        return subprocess.Popen(
            program,
            env=around,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # slurmctld gives each script a process group of its own
        )

    def _finish(self, script: subprocess.Popen[str]) -> tuple[int, str]:
        out, err = script.communicate(timeout=SECONDS_MAX)
        return script.returncode, out + err

    def prolog(self, run: Run, shell: str = "") -> None:
        """Run the prolog of a run; it must not complain, whatever happens."""
        assert self._finish(self.begin_prolog(run, shell)) == (0, "")

    def begin_prolog(self, run: Run, shell: str = "") -> subprocess.Popen[str]:
        """Start the prolog of a run."""
        self.say("squeue", run.before)
        return self.start("dca-prolog-slurmctld", run.environment, shell=shell)

    def epilog(self, run: Run, shell: str = "") -> int:
        """Run the epilog of a run and return its exit status."""
        self.say("squeue", run.after)
        status, said = self._finish(self.start("dca-epilog-slurmctld", run.environment, shell=shell))
        assert said == ""
        return status

    def send(self, *words: str, shell: str = "") -> tuple[int, str]:
        """Send what waits; return exit status and output."""
        return self._finish(self.start("dca-spool-send", {"PATH": "/usr/bin:/bin"}, *words, shell=shell))

    def sacct(self, run: Run) -> None:
        """Let sacct answer what it said of a job, in the columns it was asked for."""
        rows = [line.split("|") for line in run.sacct.splitlines()]
        self.say("sacct", "\n".join("|".join((row[0], *row[6:11])) for row in rows))

    def bring(self, *runs: Run) -> dict[str, Any]:
        """Import sacct's records of some runs."""
        log = self.folder / "sacct.txt"
        log.write_text("\n".join([COLUMNS, *(run.sacct for run in runs)]) + "\n")
        return self.shell.ok("job", "import", str(log))

    @property
    def holds(self) -> list[dict[str, Any]]:
        """Return the open holds."""
        found: list[dict[str, Any]] = self.shell.ok("transaction", "holds")["holds"]
        return found

    @property
    def charges(self) -> list[dict[str, Any]]:
        """Return the transactions."""
        found: list[dict[str, Any]] = self.shell.ok("transaction", "list")["transactions"]
        return found

    def kept(self, folder: str = "waiting") -> dict[str, str]:
        """Return the files of a folder of the spool with their text."""
        place = self.spool / folder
        return {path.name: path.read_text() for path in sorted(place.iterdir())} if place.exists() else {}

    @property
    def logged(self) -> str:
        """Return what the hooks logged."""
        return self.log.read_text() if self.log.exists() else ""
