"""Carrying books from place to place: out of a store into a backup, and into empty books, judged entry by entry."""

from __future__ import annotations

from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from dca.core.errors import DamagedError
from dca.core.model import GLOBAL_STREAM, TENANT_STREAM_PREFIX, Claim
from dca.store.entry import canonical
from dca.store.export import Logged, Tip
from dca.store.port import EMPTY_HEAD, Head
from dca.store.replay import VOID, Books, examine, walk
from dca.store.schema import CLAIM, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from dca.core.model import Project
    from dca.store.declaration import Bringing
    from dca.store.entry import Permitted
    from dca.store.export import Writer
    from dca.store.port import Archive
    from dca.store.replay import Judged

PAGE = 500


class Bound(NamedTuple):
    """Up to where a stream is carried, and what its head says of the last entry; empty where it has not come so far."""

    seq: int
    head: str


class Builder(Books, Protocol):
    """Empty books that are being filled; they are there as a whole when all is done, or not at all."""

    def enter(self, stream: str, seq: int, document: dict[str, Any], *, void: bool) -> None:
        """Put an entry into the log, as it lay where it comes from."""

    def claim(self, claim: Claim) -> None:
        """Put in whose a project name is, unless the log says something newer."""

    def unclaimed(self) -> str:
        """Return a project without a claim of its tenant; empty if there is none."""

    def head(self, stream: str, head: Head) -> None:
        """Say where a stream ends."""

    def declare(self, bringing: Bringing, ends: Mapping[str, Head]) -> None:
        """Add the entries that say what was brought."""


class Buildable(Protocol):
    """A store that can be filled."""

    def build(self) -> AbstractContextManager[Builder]:
        """Open empty books to be filled; RefusedError where there is something in them."""


def bounds(archive: Archive) -> dict[str, Bound]:
    """Return how far each stream has come; the global one last, since the others build on it, but first in order."""
    found: dict[str, Bound] = {}
    for stream in sorted(archive.streams(), key=lambda name: (name == GLOBAL_STREAM, name)):
        if stream != GLOBAL_STREAM and not stream.startswith(TENANT_STREAM_PREFIX):
            continue  # rubbish that no command ever looks at
        head = archive.head(stream)
        seq = head.seq
        while page := archive.documents(stream, seq + 1, PAGE):
            seq += len(page)
        if seq:
            found[stream] = Bound(seq, head.hash if head.seq == seq else "")
    return dict(sorted(found.items()))


def lines(
    archive: Archive, ends: Mapping[str, Bound], progress: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Logged | Claim]:
    """Yield all entries up to the ends, and the claims; progress is told how many of how many entries are done."""
    done, total = 0, sum(bound.seq for bound in ends.values())
    for stream, bound in ends.items():
        first = 1
        while first <= bound.seq:
            page = archive.documents(stream, first, min(PAGE, bound.seq - first + 1))
            if not page:
                raise DamagedError(
                    f"entry {first} of stream {stream} is missing; dca log verify says what else is wrong."
                )
            for seq, document in enumerate(page, first):
                yield Logged(stream, seq, document)
            first += len(page)
            done += len(page)
            progress(done, total)
    for stored in archive.stored(CLAIM):
        if stored.record is None:
            raise DamagedError(f"the claim {stored.id!r} is damaged; dca log verify says what else is wrong.")
        yield cast("Claim", stored.record)


def fill(writer: Writer, ends: Mapping[str, Bound], source: Iterable[Logged | Claim]) -> None:
    """Write entries and claims into a backup."""
    for stream, of_stream in groupby(source, key=_stream_of):
        if stream:
            documents = (line.document for line in of_stream if isinstance(line, Logged))
            writer.stream(stream, documents, ends[stream].head)
        else:
            for line in of_stream:
                writer.claim(cast("Claim", line))


def bring(
    source: Iterable[Logged | Claim],
    ends: Mapping[str, Bound] | Mapping[str, Tip],
    builder: Builder,
    permitted: Permitted,
) -> dict[str, Head]:
    """Put entries and claims into empty books, each judged as every writer judged it; return the heads."""
    heads: dict[str, Head] = {}
    for stream, of_stream in groupby(source, key=_stream_of):
        if stream:
            documents = (line.document for line in of_stream if isinstance(line, Logged))
            heads[stream] = _bring_stream(stream, documents, ends.get(stream, Bound(0, "")), builder, permitted)
        else:
            for line in of_stream:
                builder.claim(cast("Claim", line))
    while unclaimed := builder.unclaimed():
        project, claim = builder.before([(PROJECT, unclaimed), (CLAIM, unclaimed)])
        if claim is not None:
            raise DamagedError(
                f"the project {unclaimed} has no claim of its tenant; dca log verify says what else is wrong."
            )
        builder.claim(Claim(unclaimed, cast("Project", project).tenant, 1))  # it was lost: the log tells whose it is
    return heads


def _bring_stream(
    stream: str, documents: Iterable[dict[str, Any]], end: Bound | Tip, builder: Builder, permitted: Permitted
) -> Head:
    examined = (examine(document, permitted) for document in documents)
    head = EMPTY_HEAD
    for judged in walk(stream, examined, builder, head=Head(end.seq, end.head, 0) if end.head else None):
        head = judged.end
        if judged.damage not in ("", VOID):
            raise _damaged(stream, judged)
        builder.enter(stream, head.seq, judged.document, void=judged.entry is None)
    if end.head not in ("", head.hash):
        raise DamagedError(f"the head of stream {stream} is not what its log says; dca log verify says what is wrong.")
    builder.head(stream, head)
    return head


def _damaged(stream: str, judged: Judged) -> DamagedError:
    reason = judged.reason.rstrip(".")
    return DamagedError(
        f"entry {judged.end.seq} of stream {stream} is damaged: {reason}; nothing was changed: use another backup, or see "
        "dca log verify."
    )


def _stream_of(line: Logged | Claim) -> str:
    return line.stream if isinstance(line, Logged) else ""


def digest_of(heads: Mapping[str, Head] | Mapping[str, Bound] | Mapping[str, Tip]) -> str:
    """Return one digest for the ends of all streams."""
    listed = {name: [end.seq, getattr(end, "hash", getattr(end, "head", ""))] for name, end in heads.items()}
    return sha256(canonical(listed).encode("utf-8", "surrogatepass")).hexdigest()
