"""Proof: whether the books are in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca.config import expanded
from dca.core import clock
from dca.core.errors import DeniedError, UnsoundError, UsageError
from dca.core.names import shown
from dca.store.damage import CHECKPOINT, LISTED_MAX, UNASKED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.commands.arguments import FileName, Flag
    from dca.engine import Session
    from dca.store.authors import Authors
    from dca.store.checkpoint import Checkpoint
    from dca.store.verify import Verification

COUNTED = ("streams", "entries", "changes", "records", "payments", "heads")


def verify(
    session: Session,
    file: FileName | None = None,
    checkpoint: FileName | None = None,
    public_key: FileName | None = None,
) -> dict[str, Any]:
    """Examine the books, or a backup of them: every entry, every record, every sum.

    Nothing is changed, and others may go on writing meanwhile. Exit status 1 means that something is wrong; the answer
    lists under `damage` the first of each kind in each stream, and how many there are. What is listed under `notes` is no
    damage. With --checkpoint the books are also held against what that file says of their ends; its signature must be that
    of --public-key, or of the key in the config, if there is one.
    """
    from dca.commands.table import PERMITTED
    from dca.store.crew import Crew
    from dca.store.verify import Verification

    authors, unasked = _authors(session) if file is None else (None, "")
    pinned = _pinned(session, checkpoint, public_key) if checkpoint is not None else None
    heads = pinned.heads if pinned is not None else None
    if file is not None:
        from dca.store.export import Backup

        with Backup(Path(file), session.progress) as backup:
            verification = Verification(None, signed=backup.start.signed, heads=heads)
            verification.backup(backup.lines(), PERMITTED)
        return _answer(verification, f"the backup {shown(file)}", pinned)
    with session.store.archive() as archive, Crew(archive, session.store.again(), PERMITTED) as crew:
        verification = Verification(archive, signed=archive.signed, heads=heads, authors=authors, now=session.now)
        if unasked:
            verification.findings.note(UNASKED, unasked)
        verification.whole(crew, session.progress)
    return _answer(verification, session.place, pinned)


def _authors(session: Session) -> tuple[Authors | None, str]:
    """Return what the store's users may do, where it keeps that itself; else, perhaps, why that was not looked at."""
    from dca.commands.table import ANYWHERE, BY_WORDS, PERMITTED, RELEASE_CLAIM, logged
    from dca.store.authors import Asked, Authors

    guard = session.store.guard()
    if guard is None or not guard.on():
        return None, ""
    asked = {" ".join(logged(words)): Asked(words, one.scope == ANYWHERE) for words, one in BY_WORDS.items()}
    asked[RELEASE_CLAIM] = Asked("project add", everywhere=True)  # another tenant's project takes the name
    assert asked.keys() >= PERMITTED.keys()
    try:
        return Authors(guard.holdings(), asked), ""
    except DeniedError:
        who = guard.caller().login
        return None, f"whether authors may do what they wrote was not looked at: {who} may not read roles and users"


def _pinned(session: Session, file: str, public_key: str | None) -> Checkpoint:
    from dca.store import checkpoint

    pinned = checkpoint.read(Path(file))
    settings = session.settings
    named = public_key if public_key is not None else settings.checkpoint_public_key
    if named or public_key is not None:
        checkpoint.check_signature(pinned, checkpoint.public_key(expanded(named)), file)
    elif settings.checkpoint_key:
        key = checkpoint.private_key(expanded(settings.checkpoint_key))
        checkpoint.check_signature(pinned, key.public_key(), file)
    return pinned


def _answer(verification: Verification, what: str, pinned: Checkpoint | None) -> dict[str, Any]:
    findings = verification.findings
    counts = {name: verification.counts[name] for name in COUNTED}
    if pinned is not None:
        counts["checkpoint"] = len(pinned.heads)
    damage, notes = findings.listed(), list(findings.notes.values())
    facts: Mapping[str, Any] = {**counts, "damage": damage[:LISTED_MAX], "notes": notes[:LISTED_MAX]}
    if not damage:
        return dict(facts)
    others = [one for one in damage if one["damage"] == CHECKPOINT]
    if pinned is not None and len(others) == len(pinned.heads):
        sentence = (
            f"{what} does not agree with the checkpoint in any stream: they are other books, or were written anew."
        )
        raise UnsoundError(sentence, **facts)
    number = sum(one["count"] for one in damage)
    found = "1 damage" if number == 1 else f"{number} damages, the first"
    raise UnsoundError(f"{what} is not in order, {found}: {damage[0]['sentence']}.", **facts)


def checkpoint(session: Session, file: FileName, *, overwrite: Flag = False) -> dict[str, Any]:
    """Write a checkpoint, FILE: sequence and hash of the last entry of every stream, to be kept away from the books.

    Later, dca log verify --checkpoint=FILE shows whether everything up to then is still there and still the same. It is
    signed if the config names a key (checkpoint_key). A file of that name is kept unless --overwrite is given, which
    replaces checkpoints and nothing else.
    """
    from dca.store import checkpoint as checkpoints

    if file in ("", "-"):
        raise UsageError(f"FILE {shown(file)} is no file; name one for the checkpoint.")
    key = session.settings.checkpoint_key
    private = checkpoints.private_key(expanded(key)) if key else None
    with session.store.archive() as archive:
        made = checkpoints.taken(archive, session.now, session.place)
    if private is not None:
        made = made.signed(private)
    checkpoints.write(Path(file), made, overwrite=overwrite)
    return {
        "checkpoint": {
            "file": file,
            "time": clock.iso(made.time),
            "streams": len(made.heads),
            "entries": sum(seq for seq, _ in made.heads.values()),
            "signed": made.signature != "",
        }
    }
