"""Every error a user can meet: one sentence, a code, an exit status, and whether trying again can help."""


class DcaError(Exception):
    """A failure that is told to the user in one sentence; never raised itself, only its kinds are."""

    code = "error"
    exit_status = 1
    http_status = 500
    retryable = False

    def __init__(self, sentence: str, **facts: object) -> None:
        """Keep the sentence and, for programs, further facts that go beside it into the answer."""
        super().__init__(sentence)
        self.sentence = sentence
        self.facts = facts

    def broke_off(self, done: str, **facts: object) -> None:
        """Say, for a command of several commits, what was done before it came to this."""
        self.sentence = f"{done}; then: {self.sentence}"
        self.facts.update(facts)


class RefusedError(DcaError):
    """The rules of the books say no; nothing was changed."""

    code = "refused"
    exit_status = 1
    http_status = 409


class NotFoundError(RefusedError):
    """What the command names is not in the books."""

    code = "not_found"
    http_status = 404


class UnhealthyError(RefusedError):
    """An examination found something that does harm now; the answer lists everything that was looked at."""

    code = "unhealthy"


class AbortedError(RefusedError):
    """The user answered no to the question, or could not be asked."""

    code = "aborted"


class UsageError(DcaError):
    """The command was not understood: a word, an option or a value is wrong."""

    code = "usage"
    exit_status = 2
    http_status = 400


class UnreachableError(DcaError):
    """The store cannot be reached, refuses the credentials, or cannot be used as it is."""

    code = "unreachable"
    exit_status = 3
    http_status = 503
    retryable = True


class DeniedError(DcaError):
    """The caller may not do this."""

    code = "not_permitted"
    exit_status = 4
    http_status = 403


class BusyError(DcaError):
    """Others were first for as long as the command may wait; nothing was changed."""

    code = "busy"
    exit_status = 5
    http_status = 503
    retryable = True


class OutcomeUnknownError(DcaError):
    """The store did not say in time whether the change was taken."""

    code = "outcome_unknown"
    exit_status = 6
    http_status = 504
    retryable = True


class DamagedError(DcaError):
    """The store holds something that dca did not write or that was changed afterwards."""

    code = "damaged"
    exit_status = 3
    http_status = 500


class UnsoundError(DcaError):
    """The books, a backup or a checkpoint were examined and are not in order; the answer lists what is wrong."""

    code = "unsound"
    exit_status = 1
    http_status = 409


KINDS: tuple[type[DcaError], ...] = (
    RefusedError,
    NotFoundError,
    UnhealthyError,
    AbortedError,
    UsageError,
    UnreachableError,
    DeniedError,
    BusyError,
    OutcomeUnknownError,
    DamagedError,
    UnsoundError,
)
