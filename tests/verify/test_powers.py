"""Roles and logins: what is wrong with their records is told and put right, and what was begun with them is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import PERMITTED
from dca.store import transfer
from dca.store.verify import Verification
from tests.contract import deeds
from tests.verify.attacked import found, verified
from tests.verify.test_repair import check_repaired, everything, repair

if TYPE_CHECKING:
    from dca.store.port import Archive
    from tests.verify.attacked import Attacked


def alter(books: Attacked) -> None:
    """Give somebody more than they were granted."""
    books.put_record("role", "night", books.record("role", "night") | {"level": 100})
    books.put_record("login", "slurm", books.record("login", "slurm") | {"grants": "root"})


def take_away(books: Attacked) -> None:
    """Take a role and a login away."""
    books.drop_record("role", "night")
    books.drop_record("login", "slurm")


def add(books: Attacked) -> None:
    """Bring a role and a login that no entry brought."""
    books.put_record("role", "day", books.record("role", "night") | {"id": "day", "name": "day"})
    books.put_record("login", "eve", books.record("login", "slurm") | {"id": "eve", "grants": "root"})


@pytest.mark.parametrize(
    ("spoil", "damage", "named"),
    [
        (alter, "altered", {"role night", "login slurm"}),
        (take_away, "missing", {"role night", "login slurm"}),
        (add, "foreign", {"role day", "login eve"}),
    ],
)
def test_records_that_nobody_wrote_are_told_and_put_right(
    books: Attacked, spoil: Any, damage: str, named: set[str]
) -> None:
    """Permission on SQLite is what these records say: each that is altered, missing or foreign is named, and mended."""
    for deed in deeds.powers("ada"):
        books.store.write(deed)
    books.store.write(deeds.set_rate(7))  # on Elasticsearch the last entry of a stream may not be carried out yet
    before = everything(books)
    assert found(verified(books.store)) == []
    spoil(books)
    assert {*found(verified(books.store))} == {(damage, one) for one in named}
    repair(books)
    check_repaired(books, before)


def test_what_was_begun_and_not_finished_is_noted(books: Attacked) -> None:
    """Of each role and login, with who began it, until its outcome is booked; in a backup, too."""
    for deed in (deeds.create_role("Night", 20, "role create"), deeds.create_role("Day", 20, "role create")):
        books.store.write(deed)
    books.store.write(deeds.grant("slurm", "", pending="login add"))
    with books.store.archive() as archive:
        verifications = [verified(books.store), of_backup(archive)]
    for verification in verifications:
        noted = [one for one in verification.findings.notes.values() if one["note"] == "pending"]
        assert [(one["kind"], one["id"], one["seq"], one["actor"]) for one in noted] == [
            ("login", "slurm", 4, deeds.ACTOR),
            ("role", "day", 3, deeds.ACTOR),
            ("role", "night", 2, deeds.ACTOR),
        ]
        assert noted[0]["sentence"] == (
            "login slurm: login add was begun by alice at 2026-11-24T06:00:00Z and not finished; run it again"
        )
    books.store.write(deeds.create_role("Night", 20))
    books.store.write(deeds.grant("slurm", "night"))
    notes = verified(books.store).findings.notes.values()
    assert [one["id"] for one in notes if one["note"] == "pending"] == ["day"]


def of_backup(archive: Archive) -> Verification:
    """Verify what a backup of books would hold."""
    verification = Verification(None, signed=False)
    verification.backup(transfer.lines(archive, transfer.bounds(archive)), PERMITTED)
    return verification
