"""Whether books are in order: every stream is walked, every record compared, every sum added up again."""

from __future__ import annotations

from collections import Counter
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, Protocol

from dca.core import clock
from dca.core.clock import INSTANT_MAX
from dca.core.errors import DamagedError
from dca.core.model import DEFAULT_SITE, GLOBAL_STREAM, TENANT_STREAM_PREFIX, Claim, Login, Role
from dca.core.names import shown
from dca.store import damage as kinds
from dca.store import examination
from dca.store.damage import Findings
from dca.store.entry import CLOCK_BEHIND_MAX
from dca.store.port import EMPTY_HEAD, Head, Mend, Stored
from dca.store.protocol import record_stream
from dca.store.replay import VOID, walk
from dca.store.schema import CLAIM, PROJECT, SITE, TENANT
from dca.store.schema import KINDS as RECORD_KINDS
from dca.store.scratch import State, States
from dca.store.sums import Money, Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dca.store.authors import Authors
    from dca.store.entry import Permitted
    from dca.store.examination import Brought, Wrong
    from dca.store.export import Logged
    from dca.store.port import Archive, Entry
    from dca.store.replay import Examined, Judged

MUTABLE = tuple(kind for kind, of in RECORD_KINDS.items() if of.mutable and kind != CLAIM)
AHEAD_MAX = 1_000
"""So many documents ahead of the end of a stream are looked at for one that shows that entries are missing before it."""
APPENDED = tuple(kind for kind, of in RECORD_KINDS.items() if not of.mutable)


class Source(Protocol):
    """Where examined entries come from."""

    def stream(self, stream: str, first: int) -> Iterator[Examined]:
        """Yield the entries of a stream from a sequence on, up to the first that is missing."""


class Inline:
    """Examine entries in this process."""

    def __init__(self, archive: Archive, permitted: Permitted) -> None:
        """Take the archive."""
        self._archive, self._permitted = archive, permitted

    def stream(self, stream: str, first: int) -> Iterator[Examined]:
        """Yield examined entries."""
        return examination.of_stream(self._archive, self._permitted, stream, first, 2**62)


class Verification:
    """One run over books."""

    def __init__(
        self,
        archive: Archive | None,
        *,
        signed: bool,
        heads: Mapping[str, tuple[int, str]] | None = None,
        authors: Authors | None = None,
        now: int = INSTANT_MAX,
    ) -> None:
        """Take the archive, if there is more than a log, the ends that a checkpoint names, who may do what, and the time."""
        self.findings = Findings()
        self.counts: Counter[str] = Counter()
        self.ends: dict[str, Head] = {}
        self.states = States()
        self.mend: Callable[[Mend], None] = lambda mend: None
        """Is told what would put right what is wrong with records and heads."""
        self.strict = False
        """Whether what is only not carried out yet is wrong, too."""
        self._archive = archive
        self._signed = signed
        self._checkpoint = heads or {}
        self._permissions = authors
        self._now = now
        self._unpermitted: dict[tuple[str, str], dict[str, Any]] = {}
        """By author and command the first entry that its author's roles do not permit, and how many there are."""
        self._money: dict[str, Money] = {}
        self._present: Counter[str] = Counter()
        self._reported: set[tuple[str, str]] = set()
        self._standing: Counter[str] = Counter()
        """How many entries of each stream count."""
        self._void: dict[str, set[int]] = {}
        self._unsigned: dict[str, tuple[int, int]] = {}
        """Last entry of a stream before the first with a stamp: sequence and time."""
        self._first_signed: dict[str, int] = {}
        self._declared: dict[str, int] = {}
        """Up to which entry each stream was brought from another store, whose stamps this one cannot vouch for."""
        self._begun: dict[tuple[str, str], tuple[str, Entry]] = {}
        """Changes of roles and logins whose outcome is not booked, by kind and id: the command's words, and the entry."""
        self._doubtful: list[tuple[int, str, dict[str, str]]] = []
        """Entries of the global stream whose author is in doubt, unless it turns out that they were brought."""

    # -- the log -------------------------------------------------------------------------------------------------

    def whole(self, source: Source, progress: Callable[[int, int], None]) -> None:
        """Verify all that an archive holds."""
        assert self._archive is not None
        streams: list[str] = []
        with self._part("the list of streams"):
            streams = self._archive.streams()
        for number, stream in enumerate(streams):
            self._stream(stream, source)
            progress(number + 1, len(streams) + len(MUTABLE) + len(APPENDED))
        with self._part("the log"):
            self._outside(source)
        self._cut_off()
        for number, kind in enumerate((*MUTABLE, *APPENDED, CLAIM)):
            self._kind(kind)
            progress(
                min(len(streams) + number + 1, len(streams) + len(MUTABLE) + len(APPENDED)),
                len(streams) + len(MUTABLE) + len(APPENDED),
            )
        self._unfinished()
        self._conclude()

    def backup(self, lines: Iterable[Logged | Claim], permitted: Permitted) -> None:
        """Verify what a backup holds: a log, and claims."""
        for stream, of_stream in groupby(lines, key=lambda line: getattr(line, "stream", "")):
            if stream:
                documents = (line.document for line in of_stream if not isinstance(line, Claim))
                self.walked(stream, examination.alone(documents, permitted))
                continue
            stored = (Stored(one.id, one, "", 0) for one in of_stream if isinstance(one, Claim))
            for page in _pages(stored):
                self.claims(page)
        self._conclude()

    def _part(self, what: str, stream: str = "") -> _Part:
        return _Part(self.findings, what, stream)

    def _stream(self, stream: str, source: Source) -> None:
        assert self._archive is not None
        head, carrier, known = EMPTY_HEAD, None, True
        try:
            head, carrier = self._head(stream)
        except DamagedError as error:
            self.findings.add(kinds.HEAD, error.sentence.rstrip("."), stream=stream)
            known = False
        self.states.heads[stream] = head
        with self._part(f"stream {stream}", stream):
            end = self.walked(stream, source.stream(stream, 1), head=head, carrier=carrier)
            if known:
                self._check_end(stream, head, end, carrier)
            self._mend_head(stream, head if known else None, end, carrier)

    def _head(self, stream: str) -> tuple[Head, Stored | None]:
        """Return the stored head, and the record that carries it where one does."""
        assert self._archive is not None
        if self._archive.whole:
            return self._archive.head(stream), None
        kind, record_id = _carrier(stream)
        (stored,) = self._archive.stored_by(kind, [record_id])
        if stored is None:
            return EMPTY_HEAD, None
        if stored.head is None:
            raise DamagedError(f"the head of stream {shown(stream)} is damaged.")
        return stored.head, stored

    def _mend_head(self, stream: str, head: Head | None, end: Head, carrier: Stored | None) -> None:
        """Tell what puts a head right, and the record that carries it."""
        if self._archive is not None and self._archive.whole:
            if head != end:
                self.mend(Mend("head", stream, None, end.seq, end))
            return
        (state,) = self.states.get([_carrier(stream)])
        record = state.record if state is not None else DEFAULT_SITE if stream == GLOBAL_STREAM and end.seq else None
        version = carrier.version if carrier is not None else 0
        if record is None or version > end.seq + 1 or (head is not None and head.seq > end.seq):
            return
        if carrier is None or (carrier.record, carrier.head) != (record, end):
            self.mend(Mend("head", stream, record, max(version, end.seq), end))

    def _check_end(self, stream: str, head: Head, end: Head, carrier: Stored | None) -> None:
        assert self._archive is not None
        if head.seq > end.seq:
            return  # a gap: later entries, if there are any, tell what is missing
        if carrier is not None and head == EMPTY_HEAD:
            self.findings.add(kinds.HEAD, f"the head of stream {stream} is not there", stream=stream)
        elif self._archive.whole and head != end:
            sentence = f"the head of stream {stream} stands at entry {head.seq}, its log ends with entry {end.seq}"
            self.findings.add(kinds.HEAD, sentence, stream=stream, seq=head.seq)

    def walked(
        self,
        stream: str,
        examined: Iterable[Examined],
        *,
        begin: Head = EMPTY_HEAD,
        head: Head = EMPTY_HEAD,
        carrier: Stored | None = None,
    ) -> Head:
        """Walk over a stream or a part of it; return its end."""
        end = begin
        self.counts["heads"] += head != EMPTY_HEAD
        known = head if self._archive is not None else None
        for judged in walk(stream, examined, self.states, end=begin, head=known):
            end = judged.end
            self._take(stream, judged, head)
            if end.seq == head.seq:
                self._meet_head(stream, head, end, carrier)
            pinned = self._checkpoint.get(stream)
            if pinned is not None and pinned[0] == end.seq and pinned[1] != end.hash:
                sentence = f"entry {end.seq} of stream {stream} is another than in the checkpoint"
                self.findings.add(kinds.CHECKPOINT, sentence, stream=stream, seq=end.seq)
        self.counts["streams"] += begin == EMPTY_HEAD and (end, head) != (EMPTY_HEAD, EMPTY_HEAD)
        self.ends[stream] = end
        return end

    def _meet_head(self, stream: str, head: Head, end: Head, carrier: Stored | None) -> None:
        """Compare a head, and the record that carries it, with what the log says at that entry."""
        if end != head:
            sentence = f"the head of stream {stream} names another entry {head.seq} than its log has"
            self.findings.add(kinds.HEAD, sentence, stream=stream, seq=head.seq)
        if carrier is None:
            return
        key = _carrier(stream)
        (state,) = self.states.get([key])
        record = state.record if state is not None else DEFAULT_SITE if stream == GLOBAL_STREAM else None
        if record is None:
            self._foreign(key[0], carrier, stream)
        elif carrier.record != record:
            self._wrong(kinds.ALTERED, *key, examination.difference(key[0], record, carrier), stream, head.seq)
        elif carrier.version > head.seq + 1:
            self._version(*key, carrier.version, head.seq, stream)

    def _take(self, stream: str, judged: Judged, head: Head) -> None:
        """Count an entry, and say what is wrong with it."""
        self.counts["entries"] += 1
        seq, entry = judged.end.seq, judged.entry
        if judged.damage:
            self._damaged(stream, seq, judged)
        if entry is None:
            self._void.setdefault(stream, set()).add(seq)
        else:
            self._standing[stream] += 1
            brought: Brought = judged.further
            self.counts["changes"] += brought.changes
            self.counts["payments"] += brought.payments
            self._money.setdefault(stream, Money()).add(entry, brought)
            self._present.update(brought.appended)
            if brought.declared:
                said = f"entry {seq} of stream {stream} says that {entry.actor} brought what was there before it"
                self.findings.note(kinds.BROUGHT, said, stream=stream, seq=seq, actor=entry.actor)
                if not self._lacking(judged.document, entry):
                    self._declare(seq, brought.declared)
            self.counts["records"] += sum(brought.appended.values())
            if stream == GLOBAL_STREAM:
                self._begins(entry)
            if entry.time > self._now + CLOCK_BEHIND_MAX:
                said = f"entry {seq} of stream {stream} says that it was written at {clock.iso(entry.time)}"
                self.findings.note(kinds.FUTURE, said, stream=stream, seq=seq, author=_author_of(judged.document))
            for wrong in self._still_wrong(brought.wrong):
                if wrong.damage == kinds.ALTERED or seq <= head.seq or self._is_whole:
                    self._wrong(*wrong[:4], stream, seq)
                if wrong.damage == kinds.ALTERED or seq <= head.seq or self._is_whole or self.strict:
                    self.mend(Mend(wrong.kind, wrong.id, wrong.record, 0))
        self._author(stream, seq, judged)

    def _declare(self, seq: int, declared: Mapping[str, int]) -> None:
        """Take the word of an entry of the global stream for what it brought, which lies before it."""
        for name, last in declared.items():
            until = min(last, seq - 1) if name == GLOBAL_STREAM else last
            self._declared[name] = max(until, self._declared.get(name, 0))
        if GLOBAL_STREAM in declared:
            self._unpermitted.clear()  # no entries but the first ones of this stream, which were brought

    def _begins(self, entry: Entry) -> None:
        """Note which changes of roles and logins an entry begins, and which it ends."""
        for kind, record, _ in entry.changes:
            if isinstance(record, (Role, Login)):
                self._begun.pop((kind, record.id), None)
                if record.pending:
                    self._begun[kind, record.id] = (record.pending, entry)

    def _still_wrong(self, wrong: Sequence[Wrong]) -> Sequence[Wrong]:
        """Return what is still wrong: another process may have looked at records before the head was read."""
        if not wrong or self._archive is None or self._archive.whole:
            return wrong
        there = [self._archive.stored_by(one.kind, [one.id])[0] for one in wrong]
        return [one for one, stored in zip(wrong, there, strict=True) if stored is None or stored.record != one.record]

    @property
    def _is_whole(self) -> bool:
        return self._archive is None or self._archive.whole

    def _damaged(self, stream: str, seq: int, judged: Judged) -> None:
        author = _author_of(judged.document)
        facts = {"author": author} if author else {}
        claimed = judged.document.get("actor")
        if isinstance(claimed, str) and claimed:
            facts["actor"] = claimed
        by = f", written by {author}," if author else ""
        sentence = f"entry {seq} of stream {stream}{by} {'is void: ' if judged.damage == VOID else 'is damaged: '}{judged.reason}"
        self.findings.add(judged.damage, sentence.rstrip("."), stream=stream, seq=seq, **facts)

    def _author(self, stream: str, seq: int, judged: Judged) -> None:
        """Hold the stamp of the store against what the entry says."""
        if seq <= self._declared.get(stream, 0):
            return
        author, actor = _author_of(judged.document), judged.document.get("actor")
        if author:
            self._first_signed.setdefault(stream, judged.end.time)
            if judged.entry is not None and actor != author:
                said = f"says {shown(actor)} wrote it, the store says {shown(author)}"
                self._doubt(stream, seq, said, author=author, actor=str(actor))
            if judged.entry is not None:
                self._permission(judged.document, judged.entry, author)
        elif self._signed and stream in self._first_signed:
            self._doubt(stream, seq, "has no stamp of its author")
        elif self._signed:
            self._unsigned[stream] = (seq, judged.end.time)

    def _permission(self, document: Mapping[str, Any], entry: Entry, author: str) -> None:
        """Hold what an entry does against what its author's roles permit."""
        said = self._lacking(document, entry)
        if said:
            command = f"{entry.category} {entry.action}"
            sentence = f"entry {entry.seq} of stream {entry.stream} ({command}) {said}"
            first = {"stream": entry.stream, "seq": entry.seq, "command": command, "sentence": sentence, "count": 0}
            self._unpermitted.setdefault((author, command), first)["count"] += 1

    def _lacking(self, document: Mapping[str, Any], entry: Entry) -> str:
        return self._permissions.lacking(document, entry) if self._permissions is not None else ""

    def _doubt(self, stream: str, seq: int, what: str, **facts: str) -> None:
        sentence = f"entry {seq} of stream {stream} {what}"
        if stream == GLOBAL_STREAM:
            self._doubtful.append((seq, sentence, facts))
        else:
            self.findings.add(kinds.AUTHOR, sentence, stream=stream, seq=seq, **facts)

    def _outside(self, source: Source) -> None:
        """Find entries where none can be, and go on behind gaps."""
        assert self._archive is not None
        while True:
            places = self._archive.beyond({stream: end.seq for stream, end in self.ends.items()})
            if any(place.stream not in self.ends for place in places) and self._begun_meanwhile(source):
                continue
            later: dict[str, set[int]] = {}
            for place in places:
                if place.seq >= 1 and place.stream in self.ends:
                    later.setdefault(place.stream, set()).add(place.seq)
            ahead = {stream: min(seqs) for stream, seqs in later.items() if self._is_ahead(stream, seqs)}
            behind = {stream: seq for stream, seq in ahead.items() if self._is_gap(stream, later[stream], source)}
            for stream, seq in behind.items():
                self._behind(stream, seq, source)
            if not behind:
                break
        for place in places:
            if place.stream not in later or place.seq < 1:
                sentence = f"the log holds {shown(place.id)}, which is no place of an entry"
                self.findings.add(kinds.STRAY, sentence, document=place.id)
            elif place.stream in ahead:
                self._ahead(place.stream, place.seq)

    def _begun_meanwhile(self, source: Source) -> bool:
        """Walk the streams that were not there when their list was read; tell whether there are any."""
        assert self._archive is not None
        begun = [stream for stream in self._archive.streams() if stream not in self.states.heads]
        for stream in begun:
            self._stream(stream, source)
        return bool(begun)

    def _cut_off(self) -> None:
        """Name what is missing at the end of streams: up to the entry that the head names."""
        for stream, end in self.ends.items():
            head = self.states.heads.get(stream, EMPTY_HEAD)
            if head.seq > end.seq:
                sentence = f"{_span(end.seq + 1, head.seq)} of stream {stream} missing, which the head names"
                self.findings.add(kinds.GAP, sentence, stream=stream, seq=end.seq + 1)

    def _is_ahead(self, stream: str, seqs: set[int]) -> bool:
        """Tell whether documents do not follow the end of a stream, and are not just what writers have added meanwhile."""
        assert self._archive is not None
        following = self.ends[stream].seq + 1
        return following not in seqs and not self._archive.documents(stream, following, 1)

    def _is_gap(self, stream: str, seqs: set[int], source: Source) -> bool:
        """Tell whether entries are missing before documents that lie ahead: the head or a record shows that they counted.

        Whoever may write to the log can put documents under numbers to come, of which nothing follows.
        """
        if self.states.heads.get(stream, EMPTY_HEAD).seq > self.ends[stream].seq:
            return True
        return any(
            self._has_come(examined.entry, examined.further)
            for seq in sorted(seqs)[:AHEAD_MAX]
            for examined in islice(source.stream(stream, seq), 1)
            if examined.entry is not None and not examined.damage
        )

    def _has_come(self, entry: Entry, brought: Brought) -> bool:
        """Tell whether a record of an entry is there as it brings it."""
        assert self._archive is not None
        if brought.appended or self._is_whole:
            return True
        for kind, record, _ in entry.changes:
            (stored,) = self._archive.stored_by(kind, [record.id])
            if stored is not None and (stored.version, stored.record) == (entry.seq, record):
                return True
        return False

    def _ahead(self, stream: str, seq: int) -> None:
        assert self._archive is not None
        document = next(iter(self._archive.documents(stream, seq, 1)), {})
        author = _author_of(document)
        by = f", written by {author}," if author else ""
        sentence = f"entry {seq} of stream {stream}{by} lies ahead of the end of its stream"
        facts = {"author": author} if author else {}
        self.findings.add(kinds.AHEAD, sentence, stream=stream, seq=seq, **facts)

    def _behind(self, stream: str, seq: int, source: Source) -> None:
        """Go on behind a gap."""
        end = self.ends[stream]
        sentence = f"{_span(end.seq + 1, seq - 1)} of stream {stream} missing, before entry {seq}"
        self.findings.add(kinds.GAP, sentence, stream=stream, seq=end.seq + 1)
        examined = source.stream(stream, seq)
        first = next(examined, None)
        if first is None:
            self.ends[stream] = end._replace(seq=seq)
            return
        previous = first.document.get("previous")
        begin = Head(seq - 1, previous if isinstance(previous, str) else "", end.time)
        self.walked(stream, chain([first], examined), begin=begin, head=self.states.heads.get(stream, EMPTY_HEAD))

    # -- the records ---------------------------------------------------------------------------------------------

    def _kind(self, kind: str) -> None:
        with self._part(f"the records of kind {kind}"):
            if kind == CLAIM:
                self._claims()
                return
            for states in self.states.all(kind) if kind in MUTABLE else ():
                self._compare(kind, states)
            assert self._archive is not None
            if self._archive.count(kind) != self._present[kind]:
                for stored in self._archive.stored(kind):
                    self._expected(kind, stored)

    def _compare(self, kind: str, states: Sequence[State]) -> None:
        """Compare mutable records with what the log says they are."""
        assert self._archive is not None
        there = self._archive.stored_by(kind, [state.record.id for state in states])
        for state, stored in zip(states, there, strict=True):
            carries = (kind, state.record.id) == _carrier(state.stream) and not self._is_whole
            if not carries and (stored is None or stored.record != state.record):
                self._mend_record(kind, state, stored.version if stored is not None else 0)
            if stored is None:
                if state.settled or self._is_whole or self._abandoned(kind, state):
                    sentence = f"the {kind} {state.record.id} is not there"
                    self._wrong(kinds.MISSING, kind, state.record.id, sentence, state.stream, state.seq)
                continue
            self._present[kind] += 1
            self.counts["records"] += 1
            if stored.version == 0 or stored.record is None:
                if stored.record != state.record:
                    sentence = examination.difference(kind, state.record, stored)
                    self._wrong(kinds.ALTERED, kind, state.record.id, sentence, state.stream, state.seq)
            elif not carries:
                self._versioned(kind, state, stored)

    def _mend_record(self, kind: str, state: State, version: int) -> None:
        """Tell what a record must be, with a version that it can have."""
        if version <= self.ends[state.stream].seq + 1:
            self.mend(Mend(kind, state.record.id, state.record, max(state.seq, version)))

    def _abandoned(self, kind: str, state: State) -> bool:
        """Tell whether a record that carries a head is gone: nobody writes a second entry before it is there."""
        return (kind, state.record.id) == _carrier(state.stream) and self._standing[state.stream] > 1

    def _versioned(self, kind: str, state: State, stored: Stored) -> None:
        """Compare a record that tells which entry wrote it: the last one that changed it, or one not far from that."""
        assert self._archive is not None
        record, version = state.record, stored.version
        if version != state.seq:
            later = examination.logged(self._archive, state.stream, version, kind, record.id)
            if later is not None and version >= state.settled:
                record = later
            elif version > self.ends[state.stream].seq + 1:
                self._version(kind, record.id, version, state.seq, state.stream)
        if stored.record != record:
            sentence = examination.difference(kind, record, stored)
            self._wrong(kinds.ALTERED, kind, record.id, sentence, state.stream, state.seq)

    def _expected(self, kind: str, stored: Stored) -> None:
        """Say so if a record that is there was brought by no entry."""
        assert self._archive is not None
        if (kind, stored.id) in self._reported or self.states.get([(kind, stored.id)])[0] is not None:
            return
        record: Any = stored.record
        if record is None:
            self._foreign(kind, stored, "")
            return
        if record == DEFAULT_SITE and not self._is_whole:
            return  # it carries the head of the global stream
        stream = record_stream(record)
        seq = record.seq if kind in APPENDED else stored.version
        if (
            seq in self._void.get(stream, ())
            or examination.logged(self._archive, stream, seq, kind, stored.id) != record
        ):
            self._foreign(kind, stored, stream)

    def _claims(self) -> None:
        """Compare the claims of project names with the projects, and with what was given away."""
        assert self._archive is not None
        for page in _pages(self._archive.stored(CLAIM)):
            self.claims(page)
        for states in self.states.all(PROJECT):
            there = self._archive.stored_by(CLAIM, [state.record.id for state in states])
            for state, stored in zip(states, there, strict=True):
                if stored is None and (state.settled or self._is_whole):
                    sentence = f"the claim {state.record.id} is not there, whose project is"
                    self._wrong(kinds.MISSING, CLAIM, state.record.id, sentence, state.stream, state.seq)
                if stored is None:
                    self._mend_claim(state.record.id, state.record, 0)

    def _mend_claim(self, name: str, project: Any, version: int) -> None:
        """Tell what a claim must be: its project's, or as it was given away last; one that is neither is nobody's."""
        given = self.states.given.get(name)
        generation = given[0].generation if given is not None else 1
        version = max(version, generation)
        if version > generation + 1:
            return  # it would keep out the next generation
        if project is not None:
            self.mend(Mend(CLAIM, name, Claim(name, project.tenant, generation), version))
        elif given is not None:
            self.mend(Mend(CLAIM, name, given[0], version))
        else:
            self.mend(Mend(CLAIM, name, None, 0))

    def claims(self, page: Sequence[Stored]) -> None:
        """Compare claims."""
        projects = self.states.get([(PROJECT, stored.id) for stored in page])
        for stored, project in zip(page, projects, strict=True):
            self.counts["records"] += 1
            before = len(self._reported)
            claim: Any = stored.record
            given, stream, seq = self.states.given.get(stored.id, (None, "", 0))
            if claim is None:
                sentence = f"the claim {shown(stored.id)} cannot be read: {stored.flaw.rstrip('.')}"
                self._wrong(kinds.ALTERED, CLAIM, stored.id, sentence, "", 0)
            elif project is not None and getattr(project.record, "tenant", "") != claim.tenant:
                sentence = f"the claim {claim.id} is of tenant {shown(claim.tenant)}, its project of another"
                self._wrong(kinds.ALTERED, CLAIM, claim.id, sentence, project.stream, project.seq)
            elif given is not None and claim.generation <= given.generation and claim != given:
                if self._is_whole or seq <= self._settled(stream):
                    sentence = f"the claim {claim.id} is not as entry {seq} of stream {stream} gave it away"
                    self._wrong(kinds.ALTERED, CLAIM, claim.id, sentence, stream, seq)
            elif self._is_whole and claim.generation != (given.generation if given is not None else 1):
                sentence = f"the claim {claim.id} has generation {claim.generation}, which no entry gave it"
                self._wrong(kinds.ALTERED, CLAIM, claim.id, sentence, stream, seq)
            elif stored.version > claim.generation + 1:
                self._version(CLAIM, claim.id, stored.version, claim.generation, "")
            elif project is None:
                sentence = f"the project name {claim.id} is claimed for tenant {claim.tenant} and not used"
                self.findings.note(kinds.IDLE, sentence, of=CLAIM, id=claim.id)
            if len(self._reported) > before:
                self._mend_claim(stored.id, project.record if project is not None else None, stored.version)

    def _wrong(  # noqa: PLR0917 -- as `Wrong` lists them
        self, damage: str, kind: str, record_id: str, sentence: str, stream: str, seq: int
    ) -> None:
        self._reported.add((kind, record_id))
        self.findings.add(damage, sentence, stream=stream, of=kind, id=record_id, **({"seq": seq} if seq else {}))

    def _foreign(self, kind: str, stored: Stored, stream: str) -> None:
        self.mend(Mend(kind, stored.id, None, 0))
        sentence = f"the {kind} {shown(stored.id)} is there, and no entry brought it"
        self._wrong(kinds.FOREIGN, kind, stored.id, sentence, stream, 0)

    def _version(self, kind: str, record_id: str, version: int, wanted: int, stream: str) -> None:
        sentence = f"the {kind} {record_id} has version {version} instead of {wanted}, and keeps out what comes between"
        self._wrong(kinds.VERSION, kind, record_id, sentence, stream, wanted)

    # -- what can be said at the end -----------------------------------------------------------------------------

    def _unfinished(self) -> None:
        """Note the entries whose records or head are not written yet, if they still are not."""
        assert self._archive is not None
        for stream, end in self.ends.items() if not self._archive.whole else ():
            if self._settled(stream) < end.seq and self._counting(stream):
                try:
                    head, _ = self._head(stream)
                except DamagedError:
                    continue  # told already
                if head.seq < end.seq:
                    sentence = f"{_span(head.seq + 1, end.seq)} of stream {stream} not carried out yet"
                    self.findings.note(kinds.UNFINISHED, sentence, stream=stream, seq=head.seq + 1)

    def _settled(self, stream: str) -> int:
        """Return up to which entry of a stream everything is written, as its head said at the beginning."""
        return self.states.heads.get(stream, EMPTY_HEAD).seq

    def _counting(self, stream: str) -> bool:
        """Tell whether a stream has an entry that counts."""
        return len(self._void.get(stream, ())) < self.ends[stream].seq

    def _conclude(self) -> None:
        self._authors()
        for (author, command), facts in self._unpermitted.items():
            count = facts.pop("count")
            self.findings.note(kinds.UNPERMITTED, each=f"{author} {command}", author=author, times=count, **facts)
        for (kind, record_id), (words, entry) in sorted(self._begun.items()):
            begun = (
                f"{kind} {record_id}: {words} was begun by {entry.actor} at {clock.iso(entry.time)} and not finished"
            )
            self.findings.note(
                kinds.PENDING,
                f"{begun}; run it again",
                stream=entry.stream,
                of=kind,
                each=record_id,
                id=record_id,
                seq=entry.seq,
                actor=entry.actor,
            )
        Sums(self.states, self._money, self.findings).check()
        for stream, (seq, _) in self._checkpoint.items():
            if self.ends.get(stream, EMPTY_HEAD).seq < seq:
                sentence = f"stream {stream} ends before entry {seq}, which the checkpoint names"
                self.findings.add(kinds.CHECKPOINT, sentence, stream=stream, seq=seq)
        self.states.close()

    def _authors(self) -> None:
        """Tell entries that were written before authors were stamped from those whose stamp was taken away."""
        for seq, sentence, facts in self._doubtful:
            if seq > self._declared.get(GLOBAL_STREAM, 0):
                self.findings.add(kinds.AUTHOR, sentence, stream=GLOBAL_STREAM, seq=seq, **facts)
        since = min(self._first_signed.values(), default=None)
        for stream, (seq, time) in self._unsigned.items():
            if seq <= self._declared.get(stream, 0):
                continue
            if since is not None and time > since + CLOCK_BEHIND_MAX:
                sentence = f"entry {seq} of stream {stream} has no stamp of its author, and others were stamped before"
                self.findings.add(kinds.AUTHOR, sentence, stream=stream, seq=seq)
            else:
                self.findings.note(kinds.UNSIGNED, "entries have no stamp of their author", seq=seq)


class _Part:
    """A part of a verification: if it cannot be read at all, that is damage, and the rest goes on."""

    def __init__(self, findings: Findings, what: str, stream: str) -> None:
        self._findings, self._what, self._stream = findings, what, stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, DamagedError):
            return False
        self._findings.add(
            kinds.PART, f"{self._what} cannot be read: {error.sentence.rstrip('.')}", stream=self._stream
        )
        return True


def _carrier(stream: str) -> tuple[str, str]:
    if stream == GLOBAL_STREAM:
        return SITE, DEFAULT_SITE.id
    return TENANT, stream.removeprefix(TENANT_STREAM_PREFIX)


def _span(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def _author_of(document: dict[str, Any]) -> str:
    author = document.get("author")
    name = author.get("username") if isinstance(author, dict) else None
    return name if isinstance(name, str) else ""


def _pages(stored: Iterator[Stored]) -> Iterator[list[Stored]]:
    page: list[Stored] = []
    for one in stored:
        page.append(one)
        if len(page) == examination.PAGE:
            yield page
            page = []
    if page:
        yield page
