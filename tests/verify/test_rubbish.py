"""Rubbish in any field of any table or document is reported and breaks nothing off; writers at work are no damage."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from dca.store.schema import FIELD_TYPES, KINDS
from tests.contract import deeds
from tests.verify.attacked import found, verified

if TYPE_CHECKING:
    from tests.verify.attacked import Attacked, AttackedFile, AttackedServer

RUBBISH: list[Any] = [
    None,
    -1,
    0,
    2**62,
    1.5,
    "",
    "x",
    "{",
    "[1]",
    "[" * 3_000,
    "9" * 5_000,
    b"\xff\xfe",
    b"",
    "\x00",
    "ä" * 3_000,
]
BAD_TEXT = "CAST(x'ff4100' AS TEXT)"


def loosen(file: AttackedFile) -> dict[str, list[str]]:
    """Turn all tables into ones that take anything; return their columns."""
    columns: dict[str, list[str]] = {}
    with closing(sqlite3.connect(file.path, isolation_level=None)) as connection:
        for table in [*KINDS, "log", "head"]:
            connection.execute(f'CREATE TABLE "loose" AS SELECT * FROM "{table}"')  # noqa: S608
            connection.execute(f'DROP TABLE "{table}"')
            connection.execute(f'ALTER TABLE "loose" RENAME TO "{table}"')
            columns[table] = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    return columns


def test_any_rubbish_in_a_file_is_reported(file_books: AttackedFile) -> None:
    """In every field, one at a time."""
    for deed in deeds.powers("ada"):
        file_books.store.write(deed)
    columns = loosen(file_books)
    assert found(verified(file_books.store)) == []
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    with closing(sqlite3.connect(file_books.path, isolation_level=None)) as connection:
        connection.text_factory = bytes
        for _ in range(120):
            table = chance.choice(sorted(columns))
            column = chance.choice(columns[table])
            rows = connection.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()  # noqa: S608
            rowid, before = chance.choice(rows)
            value = chance.choice(RUBBISH)
            if chance.random() < 0.1:
                connection.execute(f'UPDATE "{table}" SET "{column}" = {BAD_TEXT} WHERE rowid = ?', (rowid,))  # noqa: S608
            else:
                connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, rowid))  # noqa: S608
            (after,) = connection.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (rowid,)).fetchone()  # noqa: S608
            verification = verified(file_books.store)
            told = bool(verification.findings.damage or verification.findings.notes)
            assert told or after == before, (table, column, value)
            kept = before.decode() if isinstance(before, bytes) else before
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (kept, rowid))  # noqa: S608
    assert found(verified(file_books.store)) == []


def test_rubbish_in_documents_is_reported(server_books: AttackedServer) -> None:
    """As far as the mappings let it in: nothing, lists, other types, and nests that are deep."""
    server_books.put_entry("t:acme", 3, {"stream": ["x", "y"], "seq": [1, 2], "projects": None})
    server_books.put_entry("t:acme", 5, {"changes": [[[[{"kind": None}]]]], "hash": ["a"]})
    nested: Any = {}
    for _ in range(900):
        nested = {"a": nested}
    server_books.server.send("PUT", f"/{server_books.server.prefix}log/_doc/t%3Abolt%3A6", {"changes": nested})
    server_books.put_entry("", 1, {})
    for kind in KINDS:
        fields = dict.fromkeys(FIELD_TYPES[kind])
        server_books.put_record(kind, "rubbish", fields)
        server_books.put_record(kind, "more:rubbish", {})
    kinds = {damage for damage, _ in found(verified(server_books.store))}
    assert kinds >= {"unreadable", "foreign"}


def test_writers_at_work_are_no_damage(books: Attacked) -> None:
    """Whatever they have written of an entry so far."""
    stop = threading.Event()

    def work() -> None:
        with closing(books.store.again()()) as store:  # type: ignore[misc]
            number = 0
            while not stop.is_set():
                number += 1
                store.write(deeds.pay("acme", number, key=f"w{number}"))
                store.write(deeds.reserve("acme", "alpha", 1, f"w/{number}/1"))
                store.write(deeds.charge("acme", "alpha", "ann", 1, job=f"w/{number}/1"))
                store.write(deeds.set_rate(3_600_000 + number))

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for _ in range(6):
            assert found(verified(books.store)) == []
    finally:
        stop.set()
        writer.join()
    assert found(verified(books.store)) == []
