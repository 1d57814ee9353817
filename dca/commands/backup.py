"""Backups: the books as a file, the file as books again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca.commands.table import PERMITTED
from dca.core import clock
from dca.core.errors import RefusedError, UnsoundError, UsageError
from dca.core.names import shown
from dca.store import declaration, export, transfer
from dca.store.damage import LISTED_MAX
from dca.store.export import Start
from dca.store.port import Head, LogQuery
from dca.store.replay import VOID
from dca.store.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.commands.arguments import FileName, Flag, Text
    from dca.engine import Session, Store
    from dca.store.export import End


def make(session: Session, file: FileName, *, overwrite: Flag = False) -> dict[str, Any]:
    """Back up the books into FILE: the whole log and the claims of project names, packed, with a digest.

    Others may go on writing; the backup holds each stream of the log up to where it was when the backup began. FILE is
    complete and on the disk when it gets its name, and only its owner may read it. A file of that name is kept unless
    --overwrite is given.
    """
    path = _file(file)
    with session.store.archive() as archive:
        start = Start(schema=VERSION, time=session.now, store=session.place, signed=archive.signed)
        ends = transfer.bounds(archive)
        source = transfer.lines(archive, ends, session.progress)
        written = export.write(path, start, lambda writer: transfer.fill(writer, ends, source), overwrite=overwrite)
    return {"backup": {"file": str(path), "bytes": written.size, "sha256": written.sha256, **_told(start, written.end)}}


def _file(name: str) -> Path:
    if name in ("", "-"):
        raise UsageError(f"FILE {shown(name)} is no file; name one for the backup.")
    return Path(name)


def _told(start: Start, end: End) -> dict[str, Any]:
    return {
        "store": start.store,
        "time": clock.iso(start.time),
        "schema": start.schema,
        "entries": end.entries,
        "claims": end.claims,
        "content": end.sha256,
        "heads": [
            {"stream": name, "seq": tip.seq, "hash": tip.head or tip.digest} for name, tip in end.streams.items()
        ],
    }


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each stream."""
    told = answer.get("backup") or answer.get("restored") or answer["copied"]
    heads: list[dict[str, Any]] = told["heads"]
    return heads


def check(session: Session, file: FileName) -> dict[str, Any]:
    """Check a backup, FILE: read to its end, restore it into a scratch store, and verify these books.

    What is listed under `notes`, void entries among it, is no damage; docs/verify.md says what it means.
    """
    from dca.store.verify import Inline, Verification

    path = _file(file)
    start, end = export.whole(path)
    with session.other("", "") as (store, _):
        with store.build() as builder, export.Backup(path, session.progress) as backup:
            transfer.bring(backup.lines(), end.streams, builder, PERMITTED)
        with store.archive() as archive:
            verification = Verification(archive, signed=start.signed)
            verification.whole(Inline(archive, PERMITTED), lambda done, total: None)
    found = verification.findings.listed()
    notes = [*verification.findings.notes.values(), *(one for one in found if one["damage"] == VOID)][:LISTED_MAX]
    damage = [one for one in found if one["damage"] != VOID][:LISTED_MAX]
    if damage:
        sentence = f"the backup {file} is of books that are not in order: {damage[0]['sentence']}."
        raise UnsoundError(sentence, damage=damage, notes=notes)
    return {"backup": {"file": str(path), **_told(start, end)}, "notes": notes}


def restore(session: Session, file: FileName) -> dict[str, Any]:
    """Restore a backup, FILE, into empty books: every entry as it was, and all records made from them again.

    The file is read to its end before anything is written. The books are there as a whole when all is done; if it is
    interrupted, run it again. Books that hold anything are refused. One more entry, by you, declares what was brought.
    """
    path = _file(file)
    _refuse_used(session.store, session.place, "another store, or destroy them: dca setup --wipe")
    start, end = export.whole(path)
    if not session.dry_run:
        source = f"the backup of {start.store} of {clock.iso(start.time)}, sha256 {end.sha256}"
        with session.store.build() as builder, export.Backup(path, session.progress) as backup:
            heads = transfer.bring(backup.lines(), end.streams, builder, PERMITTED)
            builder.declare(_bringing(session, declaration.RESTORE, source, heads), heads)
    return {"restored": {"file": str(path), "to": session.place, **_told(start, end)}}


def _refuse_used(store: Store, place: str, remedy: str) -> None:
    """Refuse books that hold an entry before a large file is read."""
    if store.preview(lambda reader: reader.log(LogQuery(limit=1))):
        raise RefusedError(f"there are books in {place} already; name {remedy}.")


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _bringing(session: Session, command: str, source: str, heads: Mapping[str, Head]) -> declaration.Bringing:
    return declaration.Bringing(
        actor=session.actor,
        command=command,
        now=session.now,
        commit=session.draw(),
        source=source,
        digest=transfer.digest_of(heads),
    )


def copy(session: Session, to: Text, to_config: FileName | None = None) -> dict[str, Any]:
    """Copy all books into another store, --to, that is empty: sqlite:PATH or http(s)://host:port[/prefix].

    Every entry is the same there as here, and so are all answers. One more entry, by you, declares what was brought.
    Credentials for the other store stand in its address or, better, in the config file --to-config, never in that of this
    store. Others may go on writing here meanwhile; what they write after the copy began is not in it.
    """
    if not to:
        raise UsageError("--to '' names no store; write sqlite:PATH or http(s)://host:port[/prefix].")
    if to_config is not None and not _is_file(to_config):
        raise UsageError(f"--to-config {shown(to_config)} is no file; name a config with what the other store needs.")
    with session.other(to, to_config or "") as (target, place), session.store.archive() as archive:
        if place == session.place:
            raise UsageError(f"{place} is the store to copy from; name another one with --to.")
        _refuse_used(target, place, "another store with --to")
        ends = transfer.bounds(archive)
        heads = {name: Head(bound.seq, bound.head, 0) for name, bound in ends.items()}
        if not session.dry_run:
            with target.build() as builder:
                heads = transfer.bring(transfer.lines(archive, ends, session.progress), ends, builder, PERMITTED)
                bringing = _bringing(session, declaration.COPY, f"the store {session.place}", heads)
                builder.declare(bringing._replace(actor=target.actor()), heads)
    return {
        "copied": {
            "from": session.place,
            "to": place,
            "entries": sum(head.seq for head in heads.values()),
            "heads": [{"stream": name, "seq": head.seq, "hash": head.hash} for name, head in heads.items()],
        }
    }
