"""Proof: whether the books are in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca.core.errors import UnsoundError
from dca.store.damage import LISTED_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.commands.arguments import FileName
    from dca.engine import Session
    from dca.store.verify import Verification

COUNTED = ("streams", "entries", "changes", "records", "payments", "heads")


def verify(session: Session, file: FileName | None = None) -> dict[str, Any]:
    """Examine the books, or a backup of them: every entry, every record, every sum.

    Nothing is changed, and others may go on writing meanwhile. Exit status 1 means that something is wrong; the answer
    lists under `damage` the first of each kind in each stream, and how many there are. What is listed under `notes` is no
    damage.
    """
    from dca.commands.table import PERMITTED
    from dca.store.verify import Inline, Verification

    if file is not None:
        from dca.store.export import Backup

        with Backup(Path(file), session.progress) as backup:
            verification = Verification(None, signed=backup.start.signed)
            verification.backup(backup.lines(), PERMITTED)
        return _answer(verification, f"the backup {file}")
    with session.store.archive() as archive:
        verification = Verification(archive, signed=archive.signed)
        verification.whole(Inline(archive, PERMITTED), session.progress)
    return _answer(verification, session.place)


def _answer(verification: Verification, what: str) -> dict[str, Any]:
    findings = verification.findings
    counts = {name: verification.counts[name] for name in COUNTED}
    damage, notes = findings.listed(), list(findings.notes.values())
    facts: Mapping[str, Any] = {**counts, "damage": damage[:LISTED_MAX], "notes": notes[:LISTED_MAX]}
    if damage:
        number = sum(one["count"] for one in damage)
        first = damage[0]["sentence"]
        found = "1 damage" if number == 1 else f"{number} damages, the first"
        raise UnsoundError(f"{what} is not in order, {found}: {first}.", **facts)
    return dict(facts)
