"""Putting records and heads right from the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dca.core.errors import UnsoundError
from dca.core.model import GLOBAL_STREAM, Change, Key, key_id
from dca.store.damage import AHEAD, AUTHOR, HEAD, OF_RECORDS, STRAY
from dca.store.entry import canonical, entry_time
from dca.store.port import Decision, Draft
from dca.store.replay import VOID
from dca.store.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from dca.engine import Session
    from dca.store.port import Archive, Mend, Reader
    from dca.store.verify import Verification

WORDS = "log repair"
AT_ONCE = 500
TIMES_MAX = 3
LISTED_MAX = 100
STANDING = (VOID, STRAY, AHEAD, AUTHOR)
"""Damage that is about who wrote to the log: there is nothing to repair."""
ANSWER_BYTES_MAX = 100_000
"""How much of what is removed stands in the entry that tells of it."""


def repair(session: Session) -> dict[str, Any]:
    """Put records and heads right that are not what the log says.

    What is missing or was altered is written, what a killed command left is finished, what no entry brought is removed. The
    log itself is only read; where it is damaged nothing is done, and a backup must be restored. With --dry-run it says what
    it would do. One entry tells of the repair and holds what was removed. It may be run again at any time, and others may
    go on writing meanwhile (SQLite: they wait).
    """
    with session.store.archive() as archive:
        found: list[Mend] = []
        counts: Counter[str] = Counter()
        removed: list[dict[str, Any]] = []

        def count(mend: Mend) -> None:
            counts[_what(mend)] += 1
            if len(found) < LISTED_MAX:
                found.append(mend)
            if _what(mend) == "removed" and len(removed) < LISTED_MAX:
                removed.append(_content(archive, mend))

        verification = _verify(archive, count, strict=True)
        heads = [mend for mend in found if mend.head is not None and mend.id == GLOBAL_STREAM]
    _refuse_damaged(verification, session.place)
    told = {name: counts[name] for name in ("written", "removed", "heads")}
    answer: dict[str, Any] = {"repair": {**told, "first": [_shown(mend) for mend in found]}, "left": []}
    if session.dry_run:
        return answer
    if not found:
        return _ended(answer, verification, session.place)
    session.confirm(
        f"Repair {session.place}: write {told['written']} records, remove {told['removed']}, move {told['heads']} heads?"
    )
    entry = canonical({**told, "removed_records": removed})[:ANSWER_BYTES_MAX]
    for _ in range(TIMES_MAX):
        _mend(session, heads, entry)
        with session.store.archive() as archive:
            verification = _verify(archive, lambda mend: None, strict=False)
        heads, entry = [], ""
        if not {one["damage"] for one in verification.findings.listed()} & {*OF_RECORDS, HEAD}:
            break  # else a writer may just have been there: once more
    return _ended(answer, verification, session.place)


def _ended(answer: dict[str, Any], verification: Verification, place: str) -> dict[str, Any]:
    """Return the answer with the damage that is left; an error if that should not be."""
    answer["left"] = verification.findings.listed()
    standing = [one for one in answer["left"] if one["damage"] not in STANDING]
    if standing:
        raise UnsoundError(f"{place} is still not in order: {standing[0]['sentence']}.", **answer)
    return answer


def _verify(archive: Archive, mend: Callable[[Mend], None], *, strict: bool) -> Verification:
    from dca.commands.table import PERMITTED
    from dca.store.verify import Inline, Verification

    verification = Verification(archive, signed=archive.signed)
    verification.mend, verification.strict = mend, strict
    verification.whole(Inline(archive, PERMITTED), lambda done, total: None)
    return verification


def _refuse_damaged(verification: Verification, place: str) -> None:
    broken = verification.findings.of_the_log()
    if broken:
        raise UnsoundError(
            f"the log of {place} itself is damaged ({broken[0]['sentence']}), nothing was changed: restore a backup.",
            damage=broken,
        )


def _mend(session: Session, heads: list[Mend], told: str) -> None:
    """Tell of the repair, then do it: heads last, since whatever a head covers must be there."""
    waiting: list[Mend] = []
    last: list[Mend] = []
    with session.store.mending() as mending:

        def collect(mend: Mend) -> None:
            if mend.head is not None:
                last.append(mend)
                return
            waiting.append(mend)
            if len(waiting) >= AT_ONCE:
                mending.apply(waiting)
                waiting.clear()

        mending.apply(heads)
        if told:
            mending.book(lambda reader: Decision(None, _draft(session, reader, told)))
        verification = _verify(mending.archive, collect, strict=True)
        _refuse_damaged(verification, session.place)
        mending.apply(waiting)
        mending.apply(last)


def _draft(session: Session, reader: Reader, told: str) -> Draft:
    """Return the entry that tells of a repair."""
    end = reader.end(GLOBAL_STREAM)
    time, seq = entry_time(session.now, end), end.seq + 1
    name = f"repaired {session.now} {seq}"  # no key that anybody can give has a blank
    record = Key(key_id(GLOBAL_STREAM, name), GLOBAL_STREAM, seq, name, "", told, time)
    category, _, action = WORDS.partition(" ")
    return Draft(
        stream=GLOBAL_STREAM,
        actor=session.actor,
        category=category,
        action=action,
        details="records and heads put right from the log",
        tenant="",
        projects=(),
        commit=session.draw(),
        time=time,
        changes=(Change(KEY, record, None),),
    )


def _what(mend: Mend) -> str:
    if mend.head is not None:
        return "heads"
    return "written" if mend.record is not None else "removed"


def _shown(mend: Mend) -> dict[str, Any]:
    if mend.head is not None:
        return {"head": mend.id, "to": mend.head.seq}
    return {"write" if mend.record is not None else "remove": f"{mend.kind} {mend.id}"}


def _content(archive: Archive, mend: Mend) -> dict[str, Any]:
    """Return what is removed, as far as it can be read."""
    (stored,) = archive.stored_by(mend.kind, [mend.id])
    fields = stored.record._asdict() if stored is not None and stored.record is not None else {"id": mend.id}
    return {"kind": mend.kind, **fields}
