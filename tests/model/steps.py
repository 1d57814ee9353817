"""One step of a random history: a command as a shell would give it, the moment it runs at, and the log it may import."""

from __future__ import annotations

import shlex
from typing import NamedTuple

COLUMNS = "JobIDRaw|Cluster|Account|User|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes"


class Run(NamedTuple):
    """One finished job, as a scheduler tells of it; times in epoch seconds."""

    cluster: str
    job: str
    account: str
    user: str
    submit: int
    start: int
    elapsed: int
    cores: int
    nodes: int
    pause: int = 0
    """Seconds for which the job was suspended."""

    @property
    def key(self) -> str:
        """Return the job key under which a hook would know it."""
        return f"{self.cluster.lower()}/{self.job}/{self.submit}"

    @property
    def end(self) -> int:
        """Return when it ended."""
        return self.start + self.elapsed + self.pause

    @property
    def line(self) -> str:
        """Return it as a line of sacct."""
        fields = (self.job, self.cluster, self.account, self.user, "COMPLETED", self.submit, self.start, self.end)
        return "|".join(map(str, (*fields, self.elapsed, self.cores, self.nodes)))


class Step(NamedTuple):
    """A command with its options as texts (a flag is True)."""

    words: str
    options: dict[str, str | bool]
    log: tuple[Run | str, ...] = ()
    """What `job import` reads: jobs, and lines that are none."""
    key: str = ""
    dry_run: bool = False
    malformed: bool = False
    """Whether the options are such that the command must be refused whatever the books hold."""
    advance: int = 0
    """Milliseconds that pass before it."""
    lag: int = 0
    """Milliseconds by which the clock of whoever runs it is behind."""

    @property
    def text(self) -> str:
        """Return what one would type."""
        listed = [
            f"{name}={value}" if value is not True else name for name, value in self.options.items() if name != "FILE"
        ]
        listed += [f"--key={self.key}"] if self.key else []
        listed += ["--dry-run"] if self.dry_run else []
        listed += [str(self.options["FILE"])] if "FILE" in self.options else []
        return shlex.join(["dca", *self.words.split(), *listed])

    @property
    def log_text(self) -> str:
        """Return the log as sacct would write it."""
        lines = [one.line if isinstance(one, Run) else one for one in self.log]
        return "\n".join([COLUMNS, *lines]) + "\n"
