"""The tables of a SQLite file, and how a file that an older dca made becomes one of today.

The file's `user_version` is its layout: 1 for the first one, one more for every step in STEPS. To change the tables:

1. change `ddl`, which makes new files;
2. append a Step whose statements make the same of a file of the layout before. Never change or remove a step: files of
   every layout must find their way. Say whether dca works on a file that still lacks it: with a new index it does
   (optional); with a new column that it writes it does not, and then every command but `dca setup` refuses the file;
3. run `python -m tests.backups.versions` and commit the file it keeps of the new layout.

`dca setup` takes all steps that a file lacks in one transaction, as a writer among others. A file of a layout that this
dca does not know is refused untouched. Steps rearrange what the log holds already, so they are no entries of their own.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from dca.store.schema import FIELD_TYPES, KINDS

APPLICATION_ID = 0x64636162
"""'dcab' in the header of the file: these are the books of dca."""

LOG_FIELDS = (
    "stream", "seq", "time", "actor", "category", "action", "details", "tenant", "projects", "commit", "previous",
    "hash", "schema", "changes",
)  # fmt: skip
_SQL_TYPES = {int: "INTEGER", str: "TEXT"}


def _put(table: str, columns: Iterable[str], key: str = "") -> str:
    """Return what puts a row into a table, also, if there is a key, in the place of the row that has it.

    REPLACE would delete that row and change its indexes as well: a quarter of the pages that a charge writes.
    """
    names = [f"[{name}]" for name in columns]
    sql = f'INSERT INTO "{table}" ({", ".join(names)}) VALUES ({", ".join("?" * len(names))})'
    others = ", ".join(f"{name} = excluded.{name}" for name in names if name != f"[{key}]")
    return f"{sql} ON CONFLICT ([{key}]) DO UPDATE SET {others}" if key else sql


PUT = {kind: _put(kind, types, "id" if KINDS[kind].mutable else "") for kind, types in FIELD_TYPES.items()}
"""What puts a record of each kind into its table."""
PUT_LOG = _put("log", LOG_FIELDS)
PUT_HEAD = _put("head", ("stream", "seq", "hash", "time"), "stream")


class Step(NamedTuple):
    """What leads from one layout to the next."""

    does: str
    """What `dca setup` says that it did."""
    statements: tuple[str, ...]
    optional: bool
    """Whether dca works on a file that still lacks it."""


_BROUGHT = (
    "CREATE TABLE brought (stream TEXT NOT NULL, seq INTEGER NOT NULL, author TEXT NOT NULL, document TEXT NOT NULL, "
    "PRIMARY KEY (stream, seq)) STRICT, WITHOUT ROWID"
)
"""What entries from another store hold beyond the columns of the log: the author whom that store stamped on them, as JSON,
and the whole document where it is no entry."""

_SUMS = {
    "transaction_project_end": ("user", "billed_seconds", "cost", "stream"),
    "transaction_tenant_end": ("tenant_balance", "stream"),
}
"""Indexes of a layout before, and the columns that one of today has beyond theirs: all that a bill sums up."""
_SUMS_IN_INDEX = (
    *(f'DROP INDEX "{name}"' for name in _SUMS),
    *(
        f'CREATE INDEX "{name}_{"_".join(further)}" ON "transaction" '
        "(" + ", ".join(f'"{column}"' for column in (*name.split("_")[1:], *further)) + ")"
        for name, further in _SUMS.items()
    ),
)

_ROLE = (
    'CREATE TABLE "role" ("id" TEXT NOT NULL PRIMARY KEY, "name" TEXT NOT NULL, "level" INTEGER NOT NULL, '
    '"commands" TEXT NOT NULL, "scope" TEXT NOT NULL, "form" TEXT NOT NULL, "state" TEXT NOT NULL, "pending" TEXT NOT NULL, '
    '"created" INTEGER NOT NULL) STRICT'
)
_LOGIN = (
    'CREATE TABLE "login" ("id" TEXT NOT NULL PRIMARY KEY, "grants" TEXT NOT NULL, "state" TEXT NOT NULL, '
    '"pending" TEXT NOT NULL, "created" INTEGER NOT NULL) STRICT'
)

STEPS = (
    Step("a table for the authors of entries that are brought from another store", (_BROUGHT,), optional=True),
    Step("indexes that hold what a bill sums up", _SUMS_IN_INDEX, optional=True),
    Step("tables for roles and logins", (_ROLE, _LOGIN), optional=False),
)
LAYOUT = 1 + len(STEPS)


def ddl() -> list[str]:
    """Return the statements that make the tables of new books."""
    statements = []
    for kind in KINDS.values():
        columns = ", ".join(
            f'"{name}" {_SQL_TYPES[of]} NOT NULL{" PRIMARY KEY" if name == "id" else ""}'
            for name, of in FIELD_TYPES[kind.name].items()
        )
        statements.append(f'CREATE TABLE "{kind.name}" ({columns}) STRICT')
        for index in kind.indexes:
            listed = ", ".join(f'"{name}"' for name in index)
            statements.append(f'CREATE INDEX "{kind.name}_{"_".join(index)}" ON "{kind.name}" ({listed})')
    columns = ", ".join(
        f'"{name}" {"INTEGER" if name in ("seq", "time", "schema") else "TEXT"} NOT NULL' for name in LOG_FIELDS
    )
    statements += [
        f"CREATE TABLE log ({columns}, UNIQUE (stream, seq)) STRICT",
        'CREATE INDEX log_time ON log ("time")',
        "CREATE TABLE head (stream TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL, time INTEGER NOT NULL)",
        _BROUGHT,
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {LAYOUT}",
    ]
    return statements


def layout_of(connection: sqlite3.Connection) -> int:
    """Return the layout of a file."""
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    return int(layout)


def is_usable(layout: int) -> bool:
    """Tell whether dca can work on a file of a layout as it is."""
    return 1 <= layout <= LAYOUT and all(step.optional for step in STEPS[layout - 1 :])


def upgrade(connection: sqlite3.Connection) -> list[str]:
    """Take the steps that a file lacks, within the transaction that was begun; return what they did."""
    steps = STEPS[layout_of(connection) - 1 :]
    for step in steps:
        for statement in step.statements:
            connection.execute(statement)
    if steps:
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
    return [f"upgraded the books: {step.does}" for step in steps]
