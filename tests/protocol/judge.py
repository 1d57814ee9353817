"""What must hold in every world, whenever somebody ends, and at the end.

It is judged by running the commands of the log anew, one after the other, on the simplest store there is.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.errors import DcaError, OutcomeUnknownError
from dca.core.model import DEFAULT_SITE, OPEN, Claim, Hold, Payment, Project, Record, Tenant, Transaction
from dca.store import entry as entries
from dca.store.memory import MemoryStore
from dca.store.port import EMPTY_HEAD, Decision, Entry, Head
from dca.store.protocol import head_key, record_stream
from dca.store.schema import CLAIM, HOLD, KINDS, LOG, PAYMENT, PROJECT, SITE, TENANT, TRANSACTION
from tests.protocol.commands import Elsewhere
from tests.protocol.world import look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dca.store.port import Reader
    from tests.protocol.cast import Actor, Node, Outcome
    from tests.protocol.world import Effect, Shelf, World

Key = tuple[str, str]
Numbers = tuple[int, ...]


class Violation(Exception):  # noqa: N818 -- what an exploration looks for
    """Something that must never be."""

    def __init__(self, sentence: str, schedule: Sequence[str] = ()) -> None:
        """Say what, and by which steps it came about."""
        super().__init__("\n".join([sentence, *schedule]))
        self.sentence = sentence

    def after(self, schedule: Sequence[str]) -> Violation:
        """Return the same with the schedule that led to it."""
        return Violation(self.sentence, schedule)


def require(truth: object, sentence: str) -> None:
    """Raise a Violation unless something is so."""
    if not truth:
        raise Violation(sentence)


class Line(NamedTuple):
    """A stream up to some entry: its end, the newest record under each key with the entry that brought it, its commits."""

    end: Head
    records: dict[Key, tuple[Record, int]]
    commits: dict[str, int]
    entries: tuple[Entry | None, ...]
    """None for a void one."""


class Serial(MemoryStore):
    """The books after some entries of each stream, made by running their commands one after the other."""

    def copy(self) -> Serial:
        """Return books of the same content."""
        other = Serial()
        other.records = {kind: dict(records) for kind, records in self.records.items()}
        other.streams = {stream: list(of_stream) for stream, of_stream in self.streams.items()}
        return other

    def pass_over(self, stream: str, document: dict[str, Any]) -> None:
        """Count a void entry, which changes nothing."""
        after = entries.passed(self.end(stream), document)
        self.streams.setdefault(stream, []).append(
            Entry(stream, after.seq, after.time, "", "", "", "", "", (), "", "", after.hash, 0, ())
        )


class Judge:
    """Knows the commands behind all commits, and which entries are forged."""

    def __init__(
        self,
        shelf: Shelf,
        streams: Sequence[str],
        commands: dict[str, Callable[[Reader], Decision]],
        *,
        forged: frozenset[str] = frozenset(),
        recover: Callable[[Judge, World], World],
    ) -> None:
        """Judge books of these streams; forged entries carry one of the given commit ids."""
        self.shelf = shelf
        self.streams = tuple(streams)
        self.commands = dict(commands)
        self.forged = forged
        self.recover = recover
        self.first: World = ()
        self._lines: dict[tuple[str, Numbers], Line] = {}
        self._serials: dict[tuple[Numbers, ...], Serial | None] = {}
        self._finals: dict[World, World] = {}

    # -- in every world ------------------------------------------------------------------------------------------

    def world(self, world: World) -> None:
        """Check what must hold at every moment."""
        logs = self._logs(world)
        self._serial(logs)
        for stream, log in zip(self.streams, logs, strict=True):
            self._check_head(world, stream, log)
        held = {stream: self._line(stream, log) for stream, log in zip(self.streams, logs, strict=True)}
        for position, number in enumerate(world):
            kind, record_id = self.shelf.keys[position]
            found = self.shelf.contents[number]
            if found is None or kind in (LOG, CLAIM):
                continue
            stream = record_stream(found.record)
            require(stream in held, f"{kind} {record_id} is of the unknown stream {stream}")
            line = held[stream]
            version = found.version if KINDS[kind].mutable else found.record.seq
            require(version <= line.end.seq, f"{kind} {record_id} is of entry {version}, which is not in the log")
            then = self._line(stream, logs[self.streams.index(stream)][:version])
            record, _ = then.records.get((kind, record_id), (None, 0))
            require(record == found.record, f"{kind} {record_id} is not what the log says after entry {version}")
            if (kind, record_id) == head_key(stream):
                require(found.head == then.end, f"the head of {stream} is not the end of its entry {version}")

    def _check_head(self, world: World, stream: str, log: Numbers) -> None:
        found = self.shelf.read(world, head_key(stream))
        head = found.head if found else EMPTY_HEAD
        require(head.seq <= len(log), f"the head of {stream} is past the end of its log")
        standing = sum(entry is not None for entry in self._line(stream, log).entries)
        require(found or standing <= 1, f"{stream} has {standing} entries, and nothing carries its head")
        line = self._line(stream, log[: head.seq])
        for (kind, record_id), (record, seq) in line.records.items():
            there = self.shelf.read(world, (kind, record_id))
            sentence = f"the head of {stream} is at {head.seq}, but {kind} {record_id} of entry {seq} is not written"
            if isinstance(record, Claim):
                require(there is not None and there.record.generation >= record.generation, sentence)
            elif KINDS[kind].mutable:
                require(there is not None and there.version >= seq, sentence)
            else:
                require(there is not None, sentence)

    def _logs(self, world: World) -> tuple[Numbers, ...]:
        found = tuple(self._log(world, stream) for stream in self.streams)
        written = sum(1 for position, number in enumerate(world) if number and self.shelf.keys[position][0] == LOG)
        require(sum(map(len, found)) == written, "there is a gap in the log, or an entry of an unknown stream")
        return found

    def _log(self, world: World, stream: str) -> Numbers:
        numbers: list[int] = []
        while number := look(world, self.shelf.position((LOG, f"{stream}:{len(numbers) + 1}"))):
            numbers.append(number)
        return tuple(numbers)

    def _raw(self, number: int) -> dict[str, Any]:
        found = self.shelf.contents[number]
        assert found is not None
        document: dict[str, Any] = found.record
        return document

    def _line(self, stream: str, log: Numbers) -> Line:
        """Carry out the changes of a stream's entries; forged ones are void."""
        known = self._lines.get((stream, log))
        if known is not None:
            return known
        if not log:
            return Line(EMPTY_HEAD, {}, {}, ())
        before = self._line(stream, log[:-1])
        document = self._raw(log[-1])
        if self._is_forged(document):
            line = Line(entries.passed(before.end, document), before.records, before.commits, (*before.entries, None))
        else:
            entry = entries.from_document(document)
            require(entry.commit not in before.commits, f"{entry.commit} is twice in the log")
            records = dict(before.records)
            for kind, record, was in entry.changes:
                if KINDS[kind].mutable and kind != CLAIM:
                    stood, _ = records.get((kind, record.id), (DEFAULT_SITE if kind == SITE else None, 0))
                    require(was == stood, f"entry {entry.id} was decided on a stale {kind} {record.id}")
                records[kind, record.id] = (record, entry.seq)
            if head_key(stream) in records:
                records[head_key(stream)] = (records[head_key(stream)][0], entry.seq)
            line = Line(entry.head, records, {**before.commits, entry.commit: entry.seq}, (*before.entries, entry))
        self._lines[stream, log] = line
        return line

    def _is_forged(self, document: dict[str, Any]) -> bool:
        return document.get("commit") in self.forged

    def books(self, world: World) -> Serial:
        """Return the books of a world, made by running its commands one after the other."""
        return self._serial(self._logs(world))

    def _serial(self, logs: tuple[Numbers, ...]) -> Serial:
        """Run all commands of the log one after the other, in an order in which each does what its entry says."""
        found = self._in_order(logs)
        require(found is not None, "the log is not what its commands do one after the other")
        assert found is not None
        return found

    def _in_order(self, logs: tuple[Numbers, ...]) -> Serial | None:
        if logs in self._serials:
            return self._serials[logs]
        result = None
        if not any(logs):
            result = Serial()
        for number, log in enumerate(logs):
            if log and result is None:
                before = self._in_order((*logs[:number], log[:-1], *logs[number + 1 :]))
                result = self._after(before, self.streams[number], log[-1]) if before is not None else None
        self._serials[logs] = result
        return result

    def _after(self, before: Serial, stream: str, number: int) -> Serial | None:
        """Return the books after one more entry, or None if its command would have made another."""
        document = self._raw(number)
        after = before.copy()
        if self._is_forged(document):
            after.pass_over(stream, document)
            return after
        entry = entries.from_document(document)
        require(entry.commit in self.commands, f"nobody wrote entry {entry.id}")
        for _, record, was in entry.changes:
            if isinstance(record, Claim) and isinstance(was, Claim):
                after.records[CLAIM].setdefault(record.id, was)  # claimed by somebody who wrote no entry
        try:
            decision = after.write(self.commands[entry.commit])
        except (DcaError, AssertionError, Elsewhere):
            return None
        if decision.draft is None or after.streams.get(stream, [None])[-1] != entry:
            return None
        return after

    # -- when somebody ends --------------------------------------------------------------------------------------

    def acknowledged(self, world: World, outcomes: Sequence[tuple[Actor, Node | None]]) -> Numbers:
        """Return how far each stream was acknowledged: by those who ended well, and by the first heads."""
        logs = self._logs(world)
        ends = [self._first_end(stream) for stream in self.streams]
        for _, node in outcomes:
            decision = node.outcome.answer if node is not None and node.outcome is not None else None
            if isinstance(decision, Decision) and decision.draft is not None:
                number = self.streams.index(decision.draft.stream)
                line = self._line(decision.draft.stream, logs[number])
                ends[number] = max(ends[number], line.commits[decision.draft.commit])
        return tuple(ends)

    def _first_end(self, stream: str) -> int:
        return len(self.shelf.log(self.first, stream))

    def finished(self, world: World, actor: Actor, outcome: Outcome, floor: Numbers) -> None:
        """Check what somebody was told."""
        if actor.name in self.forged:
            return
        if actor.question is not None:
            self._check_read(world, actor, outcome, floor)
        elif outcome.error is not None:
            self._check_refusal(world, actor, outcome.error)
        else:
            self._check_answer(world, actor, outcome.answer)

    def _check_read(self, world: World, actor: Actor, outcome: Outcome, floor: Numbers) -> None:
        require(outcome.error is None, f"{actor.name} was refused: {outcome.error}")
        assert actor.question is not None
        ends, *_ = outcome.answer
        logs = self._logs(world)
        asked = tuple(dict(ends).get(stream, len(log)) for stream, log in zip(self.streams, logs, strict=True))
        for stream, end, least, log in zip(self.streams, asked, floor, logs, strict=True):
            require(end >= least, f"{actor.name} does not see entry {least} of {stream}, acknowledged before it began")
            require(end <= len(log), f"{actor.name} sees more of {stream} than there is")
        books = self._in_order(tuple(log[:end] for log, end in zip(logs, asked, strict=True)))
        require(books is not None, f"{actor.name} sees ends that never were together")
        assert books is not None
        expected = actor.question(books)
        require(outcome.answer == expected, f"{actor.name} reads {outcome.answer}, but the log says {expected}")

    def _check_answer(self, world: World, actor: Actor, decision: Decision) -> None:
        logs = self._logs(world)
        if decision.draft is None:
            require(
                any(self._would(books, actor) == decision for books in self._prefixes(logs)),
                f"{actor.name} is told {decision}",
            )
            return
        number = self.streams.index(decision.draft.stream)
        line = self._line(decision.draft.stream, logs[number])
        require(
            decision.draft.commit in line.commits, f"{actor.name} is told that it wrote, but the log does not have it"
        )
        entry = line.entries[line.commits[decision.draft.commit] - 1]
        assert entry is not None
        require(entry.changes == decision.draft.changes, f"{actor.name} is told something else than what it wrote")

    def _check_refusal(self, world: World, actor: Actor, error: DcaError) -> None:
        require(error.code in actor.may_hear, f"{actor.name} is told: {error}")
        logs = self._logs(world)
        if isinstance(error, OutcomeUnknownError):
            return
        for stream, log in zip(self.streams, logs, strict=True):
            commits = self._line(stream, log).commits
            require(actor.name not in commits, f"{actor.name} is told no, but it is in the log: {error}")
        if error.code in ("refused", "not_found"):
            wanted = (type(error), str(error))
            require(
                any(self._would(books, actor) == wanted for books in self._prefixes(logs)),
                f"{actor.name} is refused without reason: {error}",
            )

    def _prefixes(self, logs: tuple[Numbers, ...]) -> list[Serial]:
        """Return the books at every moment since the beginning, stream by stream."""
        cuts: list[tuple[Numbers, ...]] = [()]
        for stream, log in zip(self.streams, logs, strict=True):
            cuts = [(*cut, log[:end]) for cut in cuts for end in range(self._first_end(stream), len(log) + 1)]
        return [books for cut in cuts if (books := self._in_order(cut)) is not None]

    def _would(self, books: Serial, actor: Actor) -> Any:
        """Return what an actor's last command would say in some books."""
        *_, decide = actor.commits.values()
        try:
            return decide(books)
        except (DcaError, Elsewhere) as error:
            return type(error), str(error)

    # -- at the end ----------------------------------------------------------------------------------------------

    def final(self, world: World, outcomes: Sequence[tuple[Actor, Node | None]], pending: Sequence[Effect]) -> None:
        """Check the books after all have ended and one more writer has rolled everything forward."""
        world = self._recovered(world)
        self._check_commits(world, outcomes)
        for effect in pending:
            world, _ = self.shelf.apply(world, effect)
        if pending:
            self.world(world)
            self._check_commits(self._recovered(world), outcomes)

    def _check_commits(self, world: World, outcomes: Sequence[tuple[Actor, Node | None]]) -> None:
        logs = self._logs(world)
        commits = set(
            chain.from_iterable(self._line(s, log).commits for s, log in zip(self.streams, logs, strict=True))
        )
        for actor, node in outcomes:
            if node is None or actor.question is not None or actor.name in self.forged:
                continue
            assert node.outcome is not None
            decision, error = node.outcome
            if error is None and decision.draft is not None:
                require(
                    decision.draft.commit in commits, f"{actor.name} was told that it wrote, but it is not in the log"
                )
            if error is not None and not isinstance(error, OutcomeUnknownError):
                require(actor.name not in commits, f"{actor.name} was told no, but it is in the log: {error}")

    def _recovered(self, world: World) -> World:
        known = self._finals.get(world)
        if known is not None:
            return known
        after = self.recover(self, world)
        self.world(after)
        self._check_complete(after)
        self._finals[world] = after
        return after

    def _check_complete(self, world: World) -> None:
        """Check that the documents are exactly what the log says, and that every head is at the end."""
        logs = self._logs(world)
        books = self._serial(logs)
        for stream, log in zip(self.streams, logs, strict=True):
            found = self.shelf.read(world, head_key(stream))
            head = found.head if found else EMPTY_HEAD
            last = max(
                (n for n, entry in enumerate(self._line(stream, log).entries, 1) if entry is not None), default=0
            )
            require(head.seq == len(log) or not last, f"the head of {stream} stays at {head.seq} of {len(log)}")
        written = {
            self.shelf.keys[position]: found.record
            for position, number in enumerate(world)
            if (found := self.shelf.contents[number]) is not None and self.shelf.keys[position][0] != LOG
        }
        expected = {(kind, record.id): record for kind, records in books.records.items() for record in records.values()}
        idle = {key: record for key, record in written.items() if key[0] == CLAIM and key not in expected}
        changed = sorted(
            key for key in (written.keys() | expected.keys()) - idle.keys() if written.get(key) != expected.get(key)
        )
        require(not changed, f"these documents are not what the log says: {changed}")
        check_money(written)


def check_money(written: dict[Key, Any]) -> None:
    """Check that no money came from nowhere: figures are the sums of what was paid, held and charged."""

    def of(kind: str) -> list[Any]:
        return [record for (its_kind, _), record in written.items() if its_kind == kind]

    projects: list[Project] = of(PROJECT)
    for tenant in of(TENANT):
        assert isinstance(tenant, Tenant)
        own = [project for project in projects if project.tenant == tenant.id]
        paid = sum(
            record.amount for record in of(PAYMENT) if isinstance(record, Payment) and record.tenant == tenant.id
        )
        charged: list[Transaction] = [record for record in of(TRANSACTION) if record.tenant == tenant.id]
        require(
            tenant.balance == paid - sum(record.tenant_balance for record in charged),
            f"the balance of tenant {tenant.id} is not what was paid less what was charged",
        )
        require(
            (tenant.allocated_balance, tenant.allocated_credit, tenant.holds_open)
            == (
                sum(max(0, project.balance) for project in own),
                sum(max(0, project.credit) for project in own),
                sum(project.holds_open for project in own),
            ),
            f"the sums of tenant {tenant.id} are not those of its projects",
        )
    for project in projects:
        held: list[Hold] = [hold for hold in of(HOLD) if hold.project == project.id and hold.state == OPEN]
        require(
            (project.requested, project.holds_open) == (sum(hold.amount for hold in held), len(held)),
            f"what project {project.id} holds is not the sum of its open holds",
        )
