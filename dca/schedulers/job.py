"""What every reader of scheduler records hands on: jobs, and what it passed over and why."""

from typing import NamedTuple


class Job(NamedTuple):
    """One finished allocation as a scheduler recorded it; times are epoch seconds."""

    line: int
    """Line of the input at which the record begins, from 1 (of a JSON file: number of the record)."""
    cluster: str
    """Cluster the record names, or an empty string."""
    job: str
    """Raw job id: decimal digits."""
    account: str
    user: str
    submit: int
    start: int
    end: int
    elapsed: int
    """Seconds the job used its resources (a suspended job's pause is left out)."""
    cores: int
    nodes: int
    queue: str
    state: str
    """Final state, its first word only: COMPLETED, CANCELLED, REQUEUED ..."""
    text: str
    """The record as it stood in the input, for the file of rejected lines."""


class Skipped(NamedTuple):
    """A record that is rightly not charged; reason is one of SKIP_REASONS."""

    line: int
    reason: str


class Rejected(NamedTuple):
    """A record that could not be understood: its line, why in one sentence, and its text."""

    line: int
    reason: str
    text: str


STEP = "step"
NOT_ENDED = "not_ended"
NEVER_STARTED = "never_started"
EMPTY = "empty"
CONTINUED = "continued"

SKIP_REASONS = {
    STEP: "a step of a job; the job's own record counts",
    NOT_ENDED: "the job had not ended when the log was taken; a later log brings its end",
    NEVER_STARTED: "the job never had a node",
    EMPTY: "a blank line, a comment, or the header once more",
    CONTINUED: "the rest of a record that a line break in a name or comment split; it is counted with its first line",
}

Item = Job | Skipped | Rejected


class UnreadableError(Exception):
    """A record that cannot be understood; its text is the reason, one sentence. Readers turn it into Rejected."""
