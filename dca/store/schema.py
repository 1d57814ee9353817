"""Record kinds: what is kept of each, how it is found, and how it becomes a dictionary and back."""

from operator import itemgetter
from typing import Any, NamedTuple

from dca.core import model
from dca.core.errors import DamagedError
from dca.core.model import Record
from dca.core.names import shown

VERSION = 1
"""Of the records, as entries, backups and the indices of Elasticsearch name it; a SQLite file has a layout of its own beside.

A record is never written anew: entries are hashed as they were written, for ever. So a new version comes with a way to read
the fields of the one before (`from_dict`), a step of `store/sqlite_layout.py`, indices of a new name (`-v2`) that `dca setup`
fills as a restore does, and files in tests/data/versions (`python -m tests.backups.versions`). It must change the fields of
tenants and of the site, which every command reads first, so that an older dca stops there instead of writing beside it.
"""


class Kind(NamedTuple):
    """A kind of record: its class, whether records of it are replaced, and which look-ups must be fast."""

    name: str
    record: type[Record]
    mutable: bool
    indexes: tuple[tuple[str, ...], ...] = ()
    dates: tuple[str, ...] = ()
    unindexed: tuple[str, ...] = ()
    meaning: str = ""


TENANT, PROJECT, ASSOCIATION, HOLD = "tenant", "project", "association", "hold"
TRANSACTION, PAYMENT, RATE, SITE, KEY, CLAIM, LOG = "transaction", "payment", "rate", "site", "key", "claim", "log"
ROLE, LOGIN = "role", "login"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(TENANT, model.Tenant, mutable=True, dates=("created",), meaning="who pays"),
        Kind(PROJECT, model.Project, mutable=True, indexes=(("tenant",),), dates=("created",), meaning="what spends"),
        Kind(
            ASSOCIATION,
            model.Association,
            mutable=True,
            indexes=(("project",), ("user",), ("tenant",)),
            dates=("created",),
            meaning="a user in a project",
        ),
        Kind(
            HOLD,
            model.Hold,
            mutable=True,
            indexes=(("project", "state", "estimate"), ("state", "opened")),
            dates=("opened", "closed"),
            meaning="money set aside for a job",
        ),
        Kind(
            TRANSACTION,
            model.Transaction,
            mutable=False,
            indexes=(
                ("project", "end", "user", "billed_seconds", "cost", "stream"),
                ("tenant", "end", "tenant_balance", "stream"),
                ("batch",),
            ),
            dates=("start", "end", "time"),
            meaning="the cost of a job, or its counter-record",
        ),
        Kind(
            PAYMENT,
            model.Payment,
            mutable=False,
            indexes=(("tenant", "time"),),
            dates=("time",),
            meaning="money received",
        ),
        Kind(RATE, model.Rate, mutable=False, dates=("time",), meaning="one setting of the rate"),
        Kind(SITE, model.Site, mutable=True, meaning="what holds for the whole site"),
        Kind(
            KEY,
            model.Key,
            mutable=False,
            dates=("time",),
            unindexed=("answer",),
            meaning="the first answer to a command with a key",
        ),
        Kind(CLAIM, model.Claim, mutable=True, meaning="which tenant a project name belongs to"),
        Kind(ROLE, model.Role, mutable=True, dates=("created",), meaning="commands that can be granted together"),
        Kind(LOGIN, model.Login, mutable=True, dates=("created",), meaning="somebody with roles"),
    )
}
OF_SITE = frozenset((SITE, RATE, ROLE, LOGIN))
"""Kinds whose records belong to the global stream."""
LATER = (ROLE, LOGIN)
"""Kinds that the first dca did not know: books may be in use without a place for them. Only entries of a category of one of
these names change them."""

FIELD_TYPES: dict[str, dict[str, type]] = {
    kind.name: {name: (int if annotation is int else str) for name, annotation in kind.record.__annotations__.items()}
    for kind in KINDS.values()
}

_IN_ORDER = {kind: itemgetter(*types) for kind, types in FIELD_TYPES.items()}
_TYPES = {kind: tuple(types.values()) for kind, types in FIELD_TYPES.items()}


def from_dict(kind: str, fields: dict[str, Any]) -> Record:
    """Build a record from a dictionary, checking every field; further fields are an error."""
    types = FIELD_TYPES.get(kind)
    if types is None or fields.keys() != types.keys():
        raise DamagedError(f"a record of kind {kind!r} does not have the fields of one.")
    values = _IN_ORDER[kind](fields)
    if tuple(map(type, values)) == _TYPES[kind]:
        return KINDS[kind].record(*values)
    for name, kind_of_value in types.items():
        if type(fields[name]) is not kind_of_value:
            raise DamagedError(f"the field {name} of a {kind} holds something that dca does not write there.")
    raise AssertionError(fields)


def read_record(kind: str, record_id: str, fields: dict[str, Any]) -> tuple[Record | None, str]:
    """Return the record that lies under an id, or why what lies there is none."""
    try:
        record = from_dict(kind, fields)
    except DamagedError as error:
        return None, error.sentence
    if record.id != record_id:
        return None, f"the {kind} {shown(record_id)} holds the record of another, {shown(record.id)}."
    return record, ""
