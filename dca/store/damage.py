"""The kinds of damage that books can show, what each means, and what to do about it."""

from typing import Any, NamedTuple

from dca.store.replay import CHAIN, HASH, UNFIT, UNREADABLE, VOID

GAP, STRAY, AHEAD, AUTHOR, HEAD = "gap", "stray", "ahead", "author", "head"
MISSING, FOREIGN, ALTERED, VERSION = "missing", "foreign", "altered", "version"
MONEY, CHECKPOINT, PART = "money", "checkpoint", "part"


class Kind(NamedTuple):
    """A kind of damage."""

    name: str
    meaning: str
    remedy: str


_RESTORE = "restore a backup"
_REPAIR = "`dca log repair`"

KINDS: tuple[Kind, ...] = (
    Kind(GAP, "An entry of the log is missing: later ones, or the head, show that it was there.", _RESTORE),
    Kind(HASH, "An entry does not have its own hash: it was changed after it was written.", _RESTORE),
    Kind(
        CHAIN, "An entry does not follow the one before it: one of the two was exchanged, moved or rewritten.", _RESTORE
    ),
    Kind(UNREADABLE, "What lies in the place of an entry cannot be read as one.", _RESTORE),
    Kind(UNFIT, "An entry counts, and does what its command cannot have done to the books before it.", _RESTORE),
    Kind(
        VOID,
        "An entry was forged or damaged; it changed nothing, since every writer passed over it.",
        "the books are right; ask its author",
    ),
    Kind(STRAY, "A document of the log lies where no entry can be.", "find out who wrote it; dca never reads it"),
    Kind(
        AHEAD,
        "A document lies under the number of an entry to come, and nothing shows that entries before it are missing.",
        "ask its author; it changes nothing, and is passed over when its number comes",
    ),
    Kind(
        AUTHOR,
        "The store's own stamp of who wrote an entry is missing, or names another than the entry does.",
        "ask both; the entry counts",
    ),
    Kind(HEAD, "The stored end of a stream is not the end of its log, nor any entry of it.", _REPAIR),
    Kind(MISSING, "A record that the log brings is not there.", _REPAIR),
    Kind(FOREIGN, "A record is there that no entry brought.", _REPAIR),
    Kind(ALTERED, "A record is not what the log says it is.", _REPAIR),
    Kind(
        VERSION,
        "A document of Elasticsearch has the version of an entry to come, and keeps out what is written until then.",
        _RESTORE,
    ),
    Kind(MONEY, "The sums of a tenant or project are not those of its payments, costs, holds or projects.", _RESTORE),
    Kind(
        CHECKPOINT,
        "An entry that a checkpoint names is gone, or is another: the end was cut off, or the log rewritten.",
        _RESTORE,
    ),
    Kind(PART, "A table or index cannot be read at all.", _RESTORE),
)
OF_RECORDS = frozenset((MISSING, FOREIGN, ALTERED, VERSION))
OF_THE_LOG = frozenset((GAP, HASH, CHAIN, UNREADABLE, UNFIT, PART, MONEY))
"""Damage after which the log no longer tells what the records must be."""

UNFINISHED, IDLE, PENDING, UNSIGNED, BROUGHT = "unfinished", "idle", "pending", "unsigned", "brought"
UNPERMITTED, UNASKED, FUTURE = "unpermitted", "unasked", "future"
NOTES: tuple[tuple[str, str], ...] = (
    (
        UNFINISHED,
        "Records or head of the last entries are not written yet; the next writer, or `dca log repair`, does it.",
    ),
    (IDLE, "A project name was claimed and never used; its tenant can use it, another takes it over."),
    (
        PENDING,
        "A change of a role or login was begun at Elasticsearch, and its outcome is not booked; run the command again.",
    ),
    (
        UNPERMITTED,
        "An entry that counts was written by a login whose roles of today do not permit its command; ask it.",
    ),
    (UNASKED, "Whether authors may do what they wrote was not looked at: only who may read roles and users can ask."),
    (FUTURE, "An entry is later than this machine's clock; until that time nobody can write to its stream."),
    (UNSIGNED, "Entries carry no stamp of their author, since the store's security was off when they were written."),
    (
        BROUGHT,
        "A restore or a copy brought entries from elsewhere; who did that answers for them and their authors' stamps.",
    ),
)

LISTED_MAX = 1_000
"""So many findings are listed; all are counted."""


class Findings:
    """What was found: of each kind in each stream (of records: of each kind of record) the first, and how many more."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self.damage: dict[tuple[str, ...], dict[str, Any]] = {}
        self.notes: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(self, kind: str, sentence: str, *, stream: str = "", of: str = "", **facts: Any) -> None:
        """Note a damage; sentence says which and what, `of` is the kind of record it is about."""
        _count(self.damage, (kind, stream, of), {"damage": kind, **_where(stream, of), **facts, "sentence": sentence})

    def note(
        self, kind: str, sentence: str, *, stream: str = "", of: str = "", each: str = "", times: int = 1, **facts: Any
    ) -> None:
        """Note what is no damage and yet worth knowing; each tells it from others of its kind, if all are to be listed."""
        finding = {"note": kind, **_where(stream, of), **facts, "sentence": sentence}
        _count(self.notes, (kind, stream, of, each), finding, times)

    def listed(self) -> list[dict[str, Any]]:
        """Return all damage, what is wrong with the log first, since what is wrong with records may follow from it."""
        return sorted(self.damage.values(), key=lambda one: one["damage"] in OF_RECORDS)

    def of_the_log(self) -> list[dict[str, Any]]:
        """Return the damage after which the log no longer tells what the records must be."""
        return [one for one in self.damage.values() if one["damage"] in OF_THE_LOG]


def _where(stream: str, of: str) -> dict[str, str]:
    return {name: value for name, value in (("stream", stream), ("kind", of)) if value}


def _count(
    found: dict[tuple[str, ...], dict[str, Any]], key: tuple[str, ...], finding: dict[str, Any], times: int = 1
) -> None:
    known = found.setdefault(key, {**finding, "count": 0})
    known["count"] += times
