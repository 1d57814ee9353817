"""The engine: the one path that every command takes, from its arguments to its answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from dca.book import Book, ClaimedElsewhere, stream_of_tenant
from dca.commands import access, figures
from dca.commands.arguments import convert, text
from dca.commands.table import ANYWHERE, BY_PROJECT, BY_TENANT, GLOBAL, MOVE, RELEASE_CLAIM, Command, function, logged
from dca.config import Settings
from dca.core import money
from dca.core.clock import iso
from dca.core.errors import DamagedError, RefusedError, UnreachableError, UsageError
from dca.core.model import GLOBAL_STREAM, Change, Claim, Key, key_id, tenant_stream
from dca.core.names import check_key, shown
from dca.envelope import decimal, render
from dca.store.entry import CLOCK_BEHIND_MAX, canonical
from dca.store.port import Decision, Draft, Reader
from dca.store.port import Store as BareStore
from dca.store.schema import CLAIM, KEY, PROJECT

if TYPE_CHECKING:
    from dca.core.permissions import Power
    from dca.store.guard import Guard
    from dca.store.health import Finding
    from dca.store.port import Mending
    from dca.store.transfer import Builder

T = TypeVar("T")
_AMOUNTS = frozenset(("balance", "credit", "payment", "rate"))
"""Parameters that hold micro-dollars."""


class Store(BareStore, Protocol):
    """What the engine asks of a store beyond the books themselves."""

    def preview(self, question: Callable[[Reader], T]) -> T:
        """Answer a question as `read` does, and from empty books where there are none yet."""

    def series(self) -> AbstractContextManager[None]:
        """Let the writes of a command that makes many be faster; when it ends without an error, all is written.

        Each is committed when it returns, as ever.
        """

    def foresee(self, stream: str, keys: Callable[[], Sequence[tuple[str, str]]]) -> None:
        """Tell which records the next writes to a stream will ask for; within a series they may be read meanwhile.

        None that carries the head of a stream may be among them.
        """

    def setup(self) -> list[str]:
        """Make what the store needs; return what was done, in sentences."""

    def wipe(self) -> None:
        """Destroy the books."""

    def build(self) -> "AbstractContextManager[Builder]":
        """Open empty books to be filled; they are there as a whole when that is done, or not at all."""

    def again(self) -> "Callable[[], BareStore] | None":
        """Return what opens the same store in another process; None where there is no such thing."""

    def mending(self) -> "AbstractContextManager[Mending]":
        """Open the store to put its records and heads right."""

    def actor(self) -> str:
        """Return who the caller is for this store."""

    def guard(self) -> "Guard | None":
        """Return who decides for this store who may do what; None where the books themselves do."""

    def examine(self, now: int) -> "Iterable[Finding]":
        """Return what an examination finds, by a clock in milliseconds; DcaError if there is nothing to look at."""


def _nowhere(address: str, config: str) -> "AbstractContextManager[tuple[Store, str]]":
    raise AssertionError(address, config)


def _nothing_said(question: str) -> str:
    raise AssertionError(question)


class Surroundings(NamedTuple):
    """What the engine cannot know by itself: store, clock, chance, settings and how to reach the person."""

    store: Store
    place: str
    """The store as people call it: a path or a host."""
    settings: Settings
    now: Callable[[], int]
    """The present, in milliseconds."""
    draw: Callable[[], str]
    """A new random identifier."""
    confirm: Callable[[str], None]
    """Ask; AbortedError unless the answer is yes."""
    progress: Callable[[int, int], None]
    """Show how many of how many bytes are done."""
    write_config: Callable[[], Path | None]
    """Write a new config file if there is none; return its path if so."""
    other: "Callable[[str, str], AbstractContextManager[tuple[Store, str]]]" = _nowhere
    """Open another store by its address and the config that has its credentials, or, without an address, a scratch one."""
    bench: Callable[..., dict[str, Any]] = dict
    """Measure dca on books beside the real ones."""
    secret: Callable[[str], str] = _nothing_said
    """Ask for a secret without showing it; empty if nothing is said."""


class Session:
    """One run of one command: what it reads, decides and commits."""

    def __init__(self, surroundings: Surroundings, command: Command, *, key: str = "", dry_run: bool = False) -> None:
        """Prepare the run of a command."""
        self.store = surroundings.store
        self.place = surroundings.place
        self.settings = surroundings.settings
        self.confirm = surroundings.confirm
        self.progress = surroundings.progress
        self.write_config = surroundings.write_config
        self.other = surroundings.other
        self.bench = surroundings.bench
        self.draw = surroundings.draw
        self.command = command
        self.key = key
        self.dry_run = dry_run
        self.now = surroundings.now()
        self.previewed: list[Change] = []
        """What a dry run would change."""
        self.summed_up = False
        """Whether the answer tells it by totals instead of record by record."""
        self.content = ""
        """Digest of the command and its arguments, which a repeated key must come with."""
        self.key_kept = False
        """Whether an entry of the command keeps its key, so that no further one has to."""
        self.secret = surroundings.secret
        self._actor = ""
        self._held: tuple[Book, tuple[Power, ...]] | None = None
        """What the caller may do, by the book that said it."""
        self._admitted: set[str] = set()
        """The scopes on which the command was found to be permitted."""

    @property
    def actor(self) -> str:
        """Return who runs the command."""
        self._actor = self._actor or self.store.actor()
        return self._actor

    # -- permission ----------------------------------------------------------------------------------------------

    def powers(self, book: Book) -> "tuple[Power, ...]":
        """Return what the caller may do, by the records of the books as this very book sees them."""
        if self._held is None or self._held[0] is not book:
            self._held = book, access.powers(book, self.actor)
            self._admitted.clear()
        return self._held[1]

    def admit(self, book: Book, values: Mapping[str, Any]) -> None:
        """Refuse the command where its caller may not run it with these values; DeniedError says what is missing."""
        if self.command.is_open:
            return
        guard = self.store.guard()
        if guard is None and access.is_open(book):
            return
        held = self.powers(book) if guard is None else ()
        for scope in access.scopes(self.command, values):
            if scope in self._admitted:
                continue
            if guard is not None:
                access.check_by_guard(guard, self.command, scope, access.routed(book))
            else:
                access.check_by_books(book, self.actor, self.command, scope, held)
            self._admitted.add(scope)

    def admit_first(self, values: Mapping[str, Any], *, beside: bool) -> None:
        """Refuse the command before anything is read or asked for it.

        Where the books decide, one that reads or changes them in one go is judged by the very view that it works on; for the
        others (beside) they are looked at before. Books that cannot be read stop nobody who may open their file: what is
        wrong with them, the command itself finds out and says.
        """
        if self.command.is_open or self.command.beside.lstrip("-") in values:
            return
        guard = self.store.guard()
        if guard is not None:
            with suppress(*((UnreachableError,) if self.command.examines else ())):
                for scope in access.scopes(self.command, values):
                    access.check_by_guard(guard, self.command, scope, self._route)
                    self._admitted.add(scope)
        elif beside:
            with suppress(DamagedError, UnreachableError):
                self.store.preview(lambda view: self.admit(Book(view, self.now), values))

    def _route(self, project: str) -> str:
        return self.store.preview(lambda view: view.route([project])[0])

    # -- questions and changes -----------------------------------------------------------------------------------

    def ask(self, question: Callable[[Book], T]) -> T:
        """Answer a question from the books."""
        reader = self.store.preview if self.dry_run else self.store.read
        return reader(lambda view: question(Book(view, self.now)))

    def ask_as_of(self, given: str, question: Callable[[Book], dict[str, Any]]) -> dict[str, Any]:
        """Answer a question from the books as they stood at a moment; from the present ones if that is now."""
        readable = text(given, "--as-of")
        moment = self.ask(lambda book: book.moment(readable, "--as-of"))
        if moment > self.now + CLOCK_BEHIND_MAX:
            raise UsageError(f"--as-of {shown(given)} lies in the future.")
        if moment >= self.now:
            return {**self.ask(question), "as_of": iso(self.now)}
        from dca.store.past import Past

        past = Past(self.store, moment, self.command.reads)
        try:
            answer = past.ask(lambda view: question(Book(view, moment)))
        except RefusedError as error:
            error.sentence = f"as of {iso(moment)}: {error.sentence}"
            raise
        return {**answer, "as_of": iso(moment)}

    def kept(self) -> Key | None:
        """Return what is kept in the global stream under the key of the command; nothing where there are no books."""
        found: Key | None = self.store.preview(
            lambda view: Book(view, self.now).get(KEY, key_id(GLOBAL_STREAM, self.key))
        )
        return found

    def decide(self, words: str, work: Callable[[Book], T], *, stream: str, details: str) -> T:
        """Do a piece of work and commit it as one entry of a stream; a dry run only notes what it would change."""
        return self.commit(words, lambda book: _chosen(book, stream, work), details=details)

    def decide_once(
        self, words: str, work: Callable[[Book], dict[str, Any]], *, stream: str, details: str
    ) -> dict[str, Any]:
        """Do all the work of the command as one entry, which also keeps the command's key, if it has one."""
        return self.decide(words, lambda book: self.once(book, work), stream=stream, details=details)

    def once(self, book: Book, work: Callable[[Book], dict[str, Any]]) -> dict[str, Any]:
        """Do all the work of the command in the book of its only entry: if it has a key, once."""
        self.key_kept = True
        return once(book, self.key, self.content, work) if self.key else work(book)

    def commit(self, words: str, work: Callable[[Book], T], *, details: str) -> T:
        """Do a piece of work that chooses its stream itself and commit it as one entry."""
        category, action = logged(words)
        commit = self.draw()

        def decide(reader: Reader) -> Decision:
            book = Book(reader, self.now)
            answer = work(book)
            changes = book.changes()
            if not changes:
                return Decision(answer, None)
            draft = Draft(
                stream=book.stream,
                actor=self.actor,
                category=category,
                action=action,
                details=details,
                tenant=book.tenant_id(),
                projects=book.projects(),
                commit=commit,
                time=book.now,
                changes=changes,
                claim=book.claim,
            )
            return Decision(answer, draft)

        while True:
            try:
                if self.dry_run:
                    decision = self.store.preview(decide)
                    if decision.draft is not None and not self.summed_up:
                        self.previewed += decision.draft.changes
                else:
                    decision = self.store.write(decide)
            except ClaimedElsewhere as elsewhere:
                if self.dry_run:
                    raise RefusedError(
                        f"the name {elsewhere.claim.id} was claimed by tenant {elsewhere.claim.tenant}, which may not "
                        "have used it; only the command itself can find out and take it over."
                    ) from None
                self._release(elsewhere.claim, elsewhere.tenant)
                continue
            answer: T = decision.answer
            return answer

    def _release(self, claim: Claim, tenant: str) -> None:
        """Let a tenant have a project name that another claimed and never used, by an entry in the other's stream."""

        def work(book: Book) -> None:
            current: Claim | None = book.get(CLAIM, claim.id)
            if current is None or current.tenant != claim.tenant:
                return
            if book.get(PROJECT, claim.id) is not None:
                raise RefusedError(f"project {claim.id} exists already; project names are unique over all tenants.")
            book.put(current._replace(tenant=tenant, generation=current.generation + 1))

        self.decide(
            RELEASE_CLAIM,
            work,
            stream=tenant_stream(claim.tenant),
            details=f"the unused name {claim.id} goes to {tenant}",
        )


def _chosen(book: Book, stream: str, work: Callable[[Book], T]) -> T:
    book.choose(stream)
    return work(book)


def once(book: Book, key: str, content: str, work: Callable[[Book], dict[str, Any]]) -> dict[str, Any]:
    """Answer a repeated key with its first answer; else do the work and keep its answer under the key."""
    record_id = key_id(book.stream, key)
    kept: Key | None = book.get(KEY, record_id)
    if kept is not None:
        return _first_answer(kept, content)
    answer = work(book)
    booking = book.booking(record_id)
    book.add(
        Key(
            id=booking.id,
            stream=booking.stream,
            seq=booking.seq,
            key=key,
            content=content,
            answer=render(answer, mini=True),
            time=booking.time,
        )
    )
    return answer


def _first_answer(kept: Key, content: str) -> dict[str, Any]:
    if kept.content != content:
        raise RefusedError(f"key {shown(kept.key)} was used already by a command with other arguments; use a new key.")
    import json

    answer: dict[str, Any] = json.loads(kept.answer, parse_float=decimal)
    return {**answer, "repeated": True}


def run(
    surroundings: Surroundings,
    command: Command,
    given: Mapping[str, Any],
    *,
    key: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Run a command with the options given, as texts, and return its answer."""
    work = function(command.does)
    as_of = None if command.session else given.get("--as-of")
    values = convert(work, given if as_of is None else {**given, "--as-of": None})
    if key is not None:
        check_key(key, "--key")
    session = Session(surroundings, command, key=key or "", dry_run=dry_run)
    session.content = content_of(command, values) if session.key else ""
    session.admit_first(values, beside=command.session or as_of is not None)
    if command.confirm:
        session.confirm(command.confirm.format(**values))
    if command.session:
        answer = _run_session(session, work, values)
    elif command.changes:
        answer = _run_change(session, work, values)
    elif as_of is not None:
        answer = session.ask_as_of(as_of, lambda book: work(book, **values))
    else:
        answer = session.ask(lambda book: _admitted(session, book, work, values))
    if dry_run:
        answer = {**answer, "dry_run": True}
        if not session.summed_up:
            answer["changes"] = [figures.change(change) for change in session.previewed]
    return answer


def _admitted(session: Session, book: Book, work: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    session.admit(book, values)
    answer: dict[str, Any] = work(book, **values)
    return answer


def _run_change(session: Session, work: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    command = session.command

    def do(book: Book) -> dict[str, Any]:
        session.admit(book, values)
        book.choose(_stream(command, book, values))
        if session.key:
            return once(book, session.key, session.content, lambda chosen: work(chosen, **values))
        answer: dict[str, Any] = work(book, **values)
        return answer

    return session.commit(command.words, do, details=_details(values))


def _run_session(session: Session, work: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command of several commits; each can be repeated, so its key is kept once, in the global stream.

    What the books let somebody do to somebody else is judged by whom it concerns before a kept answer is given.
    """
    is_judged = session.command.scope == ANYWHERE and session.store.guard() is None
    if not session.key or session.dry_run or is_judged:
        answer: dict[str, Any] = work(session, **values)
        return answer
    kept = session.kept()
    if kept is not None:
        return _first_answer(kept, session.content)
    answer = work(session, **values)
    if not session.key_kept:
        session.decide(
            session.command.words,
            lambda book: once(book, session.key, session.content, lambda _: answer),
            stream=GLOBAL_STREAM,
            details=f"key {session.key}",
        )
    return answer


def content_of(command: Command, values: Mapping[str, Any]) -> str:
    """Return the digest of a command and its arguments, which a repeated key must come with."""
    return sha256(canonical([command.words, dict(values)]).encode("utf-8", "surrogatepass")).hexdigest()


def _stream(command: Command, book: Book, values: Mapping[str, Any]) -> str:
    """Return the stream that a command writes to."""
    if command.scope == GLOBAL:
        return GLOBAL_STREAM
    if command.scope == BY_TENANT:
        return stream_of_tenant(values["tenant"])
    if command.scope == BY_PROJECT:
        return tenant_stream(book.owner(values["project"]))
    assert command.scope == MOVE, command
    if values["type"] == "t2p":
        return stream_of_tenant(values["from_"])
    return tenant_stream(book.owner(values["from_"]))


def _details(values: Mapping[str, Any]) -> str:
    """Return the arguments of a command as the log keeps them."""
    return " ".join(
        [f"{_option(name)}={money.text(value) if name in _AMOUNTS else value}" for name, value in values.items()]
    )


@cache
def _option(name: str) -> str:
    """Return the option that gives a parameter."""
    return f"--{name.rstrip('_').replace('_', '-')}"
