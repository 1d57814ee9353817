"""What a restore or a copy says about itself: an entry of the global stream that declares what it brought.

Everything up to the ends that it names was not written here but brought, entry for entry, as it lay elsewhere: also the
stamps of the authors, which another store made and this one cannot vouch for. For the entries a declaration covers
the one who wrote it answers, and the store stamps that one on the declaration itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from dca.core.model import GLOBAL_STREAM, Change, Key, key_id
from dca.store.entry import canonical, entry_time
from dca.store.port import Draft, Entry, Head
from dca.store.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

RESTORE, COPY = "restore", "store copy"
BRINGING = {("restore", "restore"), ("store", "copy")}
"""Category and action of the entries that declare."""
STREAMS_MAX = 5_000
"""Streams that one entry names; where there are more, more entries declare."""


class Bringing(NamedTuple):
    """Who brings entries, when, by which command, from where."""

    actor: str
    command: str
    now: int
    commit: str
    source: str
    """In words, without secrets."""
    digest: str
    """Of the ends of all streams."""


def parts(ends: Mapping[str, Head]) -> Iterator[list[str]]:
    """Yield the streams that each declaring entry names."""
    names = sorted(ends)
    for begin in range(0, max(1, len(names)), STREAMS_MAX):
        yield names[begin : begin + STREAMS_MAX]


def draft(bringing: Bringing, ends: Mapping[str, Head], streams: Iterable[str], end: Head) -> Draft:
    """Return the entry that follows the end of the global stream and declares some streams."""
    time, seq = entry_time(bringing.now, end), end.seq + 1
    category, _, action = bringing.command.partition(" ")
    name = f"brought {bringing.commit} {seq}"  # no key that anybody can give has a blank
    told = {"from": bringing.source, "streams": {stream: [ends[stream].seq, ends[stream].hash] for stream in streams}}
    record = Key(key_id(GLOBAL_STREAM, name), GLOBAL_STREAM, seq, name, bringing.digest, canonical(told), time)
    return Draft(
        stream=GLOBAL_STREAM,
        actor=bringing.actor,
        category=category,
        action=action or category,
        details=f"{sum(head.seq for head in ends.values())} entries of {len(ends)} streams from {bringing.source}",
        tenant="",
        projects=(),
        commit=bringing.commit,
        time=time,
        changes=(Change(KEY, record, None),),
    )


def brought(entries: Iterable[Entry]) -> dict[str, int]:
    """Return up to which sequence each stream was brought, as the good ones among entries of the global stream declare."""
    ends: dict[str, int] = {}
    for entry in entries:
        if (entry.category, entry.action) not in BRINGING or entry.stream != GLOBAL_STREAM:
            continue
        for _, record, _ in entry.changes:
            if isinstance(record, Key):
                for stream, seq in _told(record).items():
                    ends[stream] = max(seq, ends.get(stream, 0))
    return ends


def _told(record: Key) -> dict[str, int]:
    """Return the ends that a record of a declaration names; none where it names none."""
    try:
        told = json.loads(record.answer)["streams"]
        ends = {stream: seq for stream, (seq, _) in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {stream: seq for stream, seq in ends.items() if type(seq) is int}
