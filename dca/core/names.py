"""Names and limits: what tenants, projects, users and keys may be called, and how long anything may be."""

import re

from dca.core.errors import RefusedError, UsageError

STRICT = "strict"
EXTENDED = "extended"
RULES = (STRICT, EXTENDED)

STRICT_LENGTH_MAX = 32
EXTENDED_LENGTH_MAX = 64
KEY_LENGTH_MAX = 200
SHOWN_LENGTH_MAX = 60
REFERENCE_LENGTH_MAX = 200
CLUSTER_LENGTH_MAX = 64
SECONDS_MAX = 10**12
PAGE_SIZE_MAX = 10_000
CHANGES_MAX = 1_000
ENTRY_BYTES_MAX = 2_000_000
LINE_BYTES_MAX = 65_536
LINES_MAX = 10_000
RECORD_ID_BYTES_MAX = 512
TEXT_BYTES_MAX = 4_000

LIMITS = {
    "name, strict rule": (STRICT_LENGTH_MAX, "the rule of the first dca; fits every scheduler's columns"),
    "name, extended rule": (EXTENDED_LENGTH_MAX, "longest account and login names seen in schedulers"),
    "key, job key": (KEY_LENGTH_MAX, "keeps record ids below the 512 bytes Elasticsearch allows"),
    "reference": (REFERENCE_LENGTH_MAX, "a line of a bank statement"),
    "cluster": (CLUSTER_LENGTH_MAX, "part of every job key"),
    "seconds": (SECONDS_MAX, "a million cores for eleven days; more is a typing error"),
    "records on a page": (PAGE_SIZE_MAX, "what Elasticsearch returns at once"),
    "changes in a log entry": (CHANGES_MAX, "keeps an entry small enough for every store"),
    "bytes in a line of --file": (LINE_BYTES_MAX, "many times what its fields may hold"),
    "lines of a dry run": (LINES_MAX, "all that they would change must be kept in memory"),
    "bytes in a record's id": (RECORD_ID_BYTES_MAX, "what Elasticsearch allows"),
    "bytes in a text": (TEXT_BYTES_MAX, "far below what Elasticsearch can find a record by"),
    "bytes in a log entry": (ENTRY_BYTES_MAX, "far below what makes a small Elasticsearch refuse a document"),
}

_STRICT = re.compile(r"[A-Za-z0-9]{1,32}")
_EXTENDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,200}")


def is_name(text: str, rule: str) -> bool:
    """Tell whether text is a name under the rule (strict or extended)."""
    return (_EXTENDED if rule == EXTENDED else _STRICT).fullmatch(text) is not None


def check_name(text: str, rule: str, what: str) -> str:
    """Return text if it is a name under the rule, else refuse with what the rule wants."""
    if is_name(text, rule):
        return text
    if rule == EXTENDED:
        wants = "1 to 64 characters: letters, digits and _ - . @, beginning with a letter or digit"
        raise RefusedError(f"{what} {shown(text)} is not a name: {wants}.")
    wants = "1 to 32 letters and digits"
    if is_name(text, EXTENDED):
        raise RefusedError(
            f"{what} {shown(text)} is not a name: {wants} (a site may also allow _ - . @: dca setup --names=extended)."
        )
    raise RefusedError(f"{what} {shown(text)} is not a name: {wants}.")


def check_key(text: str, what: str) -> str:
    """Return text if it can be a key: 1 to 200 printable ASCII characters without blanks."""
    if _PRINTABLE.fullmatch(text):
        return text
    raise UsageError(f"{what} {shown(text)} is not a key: 1 to {KEY_LENGTH_MAX} printable ASCII characters, no blanks.")


def check_reference(text: str) -> str:
    """Return text if it can be a payment's reference: one printable line of 1 to 200 characters."""
    if 1 <= len(text) <= REFERENCE_LENGTH_MAX and text.isprintable() and text.strip():
        return text
    raise UsageError(
        f"reference {shown(text)} is not usable: one printable line of 1 to {REFERENCE_LENGTH_MAX} characters."
    )


def check_cluster(text: str) -> str:
    """Return text if it can name a cluster (the extended rule)."""
    if is_name(text, EXTENDED):
        return text
    raise UsageError(
        f"cluster {shown(text)} is not a name: 1 to 64 letters, digits and _ - . @, beginning with a letter or digit."
    )


def folded(name: str) -> str:
    """Return the form under which a name is unique and found: lower case."""
    return name.lower()


def job_key(cluster: str, job: str, submit_seconds: int) -> str:
    """Return the key of one run of one job: cluster/raw job id/submit time as epoch seconds.

    Job ids are recycled by schedulers and a requeued job keeps its own, so only the three together name a run.
    """
    return f"{folded(cluster)}/{job}/{submit_seconds}"


def shown(text: object) -> str:
    """Return a user's text as it may stand in a message: quoted, one line, at most 60 characters."""
    plain = str(text)
    if len(plain) > SHOWN_LENGTH_MAX:
        plain = plain[: SHOWN_LENGTH_MAX - 3] + "..."
    return "'" + "".join(c if c.isprintable() else "?" for c in plain) + "'"
