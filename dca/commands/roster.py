"""Roles and logins as they count: those of Elasticsearch where it has security, else the records of the books.

A change on Elasticsearch concerns two systems. So it is three steps: an entry that says what is intended, the call, which
can be repeated, and an entry that says it was done. What lies between the two is `pending`, and the same command again ends it.
What a role means and who has it is asked of Elasticsearch each time: an entry of the log may have been forged by a lesser user.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dca.commands import access
from dca.core.errors import DeniedError, NotFoundError, RefusedError, UsageError
from dca.core.model import ACTIVE, DISABLED, EVERYBODY, GLOBAL_STREAM, REMOVED, Login, Role
from dca.core.names import TEXT_BYTES_MAX, folded, shown
from dca.core.permissions import (
    BY_NAME,
    PROJECT_SCOPE,
    ROOT,
    SITE,
    TENANT_SCOPE,
    Definition,
    Power,
    check_gives,
    check_keeps_root,
    check_role_name,
    covers,
    grant_text,
    power,
    split_grant,
)
from dca.store.guard import BY_KEY
from dca.store.port import Condition, Query
from dca.store.schema import LOGIN, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dca.book import Book
    from dca.core.model import Change
    from dca.engine import Session
    from dca.store.guard import Guard


class Holder(NamedTuple):
    """A login with the roles it was granted."""

    login: str
    grants: tuple[str, ...]
    state: str
    is_ours: bool = True
    """Whether dca made it and may delete it."""


class Roster(Protocol):
    """Roles and logins."""

    def own(self, command: str) -> Sequence[Power]:
        """Return the powers of the caller; refuse where they can change nothing here."""

    def role(self, name: str) -> Definition | None:
        """Return a role by name."""

    def roles(self) -> list[Definition]:
        """Return all roles, those that every site has first; on Elasticsearch, those that are there."""

    def holder(self, login: str) -> Holder | None:
        """Return a login."""

    def holders(self) -> list[Holder]:
        """Return all logins."""


class BookRoster:
    """Roles and logins by the records of the books."""

    def __init__(self, session: Session, book: Book) -> None:
        """Read them from a book, for the caller of a session."""
        self._session = session
        self.book = book

    def own(self, command: str) -> Sequence[Power]:
        """Return the powers of the caller."""
        del command
        return self._session.powers(self.book)

    def role(self, name: str) -> Definition | None:
        """Return a role by name."""
        return access.known_role(self.book, name)

    def roles(self) -> list[Definition]:
        """Return all roles."""
        standing = [access.template(name) for name in BY_NAME]
        own = [access.definition(record) for record in self._all(ROLE) if record.id not in BY_NAME]
        return [*(one for one in standing if one is not None), *own]

    def holder(self, login: str) -> Holder | None:
        """Return a login."""
        record: Login | None = self.book.get(LOGIN, login)
        return _holder(record) if record is not None and record.state != REMOVED else None

    def holders(self) -> list[Holder]:
        """Return all logins."""
        return [_holder(record) for record in self._all(LOGIN)]

    def _all(self, kind: str) -> list[Any]:
        return [record for record in self.book.all(Query(kind)) if record.state != REMOVED]


def _holder(record: Login) -> Holder:
    return Holder(record.id, tuple(filter(None, record.grants.split(","))), record.state)


class GuardRoster:
    """Roles and logins by Elasticsearch."""

    def __init__(self, guard: Guard) -> None:
        """Ask a guard."""
        self._guard = guard

    def own(self, command: str) -> Sequence[Power]:
        """Return the powers of a root; nobody else may change roles or logins of Elasticsearch."""
        caller = self._guard.caller()
        if not caller.root:
            raise DeniedError(
                f"{caller.login} may not manage the security of Elasticsearch, which dca {command} needs and which is as "
                "good as root; ask a root."
            )
        return access.all_powers()

    def role(self, name: str) -> Definition | None:
        """Return a role by name: as Elasticsearch has it, else as every site has it."""
        wanted = folded(name)
        found = [one for one in self._guard.roles() if folded(one.name) == wanted]
        standing = access.template(name)
        if standing is not None:
            return standing._replace(form=found[0].form) if found else standing
        return found[0] if found else None

    def roles(self) -> list[Definition]:
        """Return the roles that are there."""
        return self._guard.roles()

    def holder(self, login: str) -> Holder | None:
        """Return a login."""
        account = self._guard.account(login)
        if account is None:
            return None
        if account.reserved:
            raise RefusedError(f"login {shown(login)} is one of Elasticsearch's own; dca leaves it alone.")
        return Holder(login, account.roles, ACTIVE if account.enabled else DISABLED, account.ours)

    def holders(self) -> list[Holder]:
        """Return all logins that have a role of these books, or were made for them."""
        return [
            Holder(one.login, one.roles, ACTIVE if one.enabled else DISABLED, one.ours)
            for one in self._guard.accounts()
            if one.roles or one.ours
        ]


# -- changes -------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What a command is to do."""

    records: tuple[Role | Login, ...]
    """As they are to be."""
    apply: Callable[[Guard], dict[str, Any]]
    """Does the same at Elasticsearch; what it returns goes into the answer, and what it says was `done` into the log, too."""
    answer: dict[str, Any]


def change(session: Session, details: str, plan: Callable[[Book, Roster], Plan]) -> dict[str, Any]:
    """Carry out a plan: in the books alone, or with Elasticsearch between an entry before and one after."""
    words = session.command.words
    guard = session.store.guard()
    if guard is None:
        return _change_in_books(session, details, plan)
    check_on(guard, session)
    roster = GuardRoster(guard)
    made: list[Plan] = []
    before: list[Role | Login | None] = []

    def intend(book: Book) -> dict[str, Any]:
        made[:] = [plan(book, roster)]
        before[:] = [book.get(_kind(record), record.id) for record in made[0].records]
        return _staged(book, made[0], words)

    answer = session.decide(words, intend, stream=GLOBAL_STREAM, details=details)
    if session.dry_run:
        return answer
    try:
        further = made[0].apply(guard)
    except (RefusedError, UsageError, DeniedError) as refused:
        _book_outcome(session, [_as_before(was, record) for was, record in zip(before, made[0].records, strict=True)],
                      f"{details} was refused: {refused.sentence}")  # fmt: skip
        raise
    done = "; ".join((f"{details} was done", *further.get("done", ())))
    _book_outcome(session, made[0].records, done)
    return {**answer, **further}


def _change_in_books(session: Session, details: str, plan: Callable[[Book, Roster], Plan]) -> dict[str, Any]:
    """Carry out a plan in the books; what somebody has beyond the caller's scope is not shown."""
    hidden: set[str] = set()

    def work(book: Book) -> dict[str, Any]:
        roster = BookRoster(session, book)
        if session.key:
            with suppress(NotFoundError, RefusedError):  # a command that was done already finds it so
                plan(book, roster)
        answer = session.once(book, lambda chosen: _staged(chosen, plan(chosen, roster), ""))
        is_seen = seen(session, book)
        hidden.clear()
        grants = answer["roles"] if "login" in answer else ()
        hidden.update(grant for grant in grants if not is_seen(split_grant(grant)[1]))
        return answer

    answer = session.decide(session.command.words, work, stream=GLOBAL_STREAM, details=details)
    if not hidden:
        return answer
    session.previewed[:] = [_without(hidden, change) for change in session.previewed]
    return {**answer, "roles": [grant for grant in answer["roles"] if grant not in hidden]}


def _without(hidden: Collection[str], change: Change) -> Change:
    """Return a change of a login without some grants."""

    def shown_part(record: Any) -> Any:
        if not isinstance(record, Login):
            return record
        return record._replace(grants=",".join(one for one in record.grants.split(",") if one not in hidden))

    return change._replace(record=shown_part(change.record), was=shown_part(change.was))


def told(*done: Sequence[str]) -> dict[str, Any]:
    """Return what an answer tells of what else was done: which API keys were ended."""
    sentences = list(dict.fromkeys(sentence for some in done for sentence in some))
    return {"done": sentences} if sentences else {}


def check_on(guard: Guard, session: Session) -> None:
    """Refuse to change roles and logins of an Elasticsearch whose security is switched off."""
    if not guard.on():
        raise RefusedError(
            f"the security of Elasticsearch at {session.place} is switched off: whoever reaches it may do everything, and "
            "roles have no effect; switch it on (xpack.security.enabled: true), then run dca setup."
        )


def _staged(book: Book, plan: Plan, pending: str) -> dict[str, Any]:
    for record in plan.records:
        book.put(record._replace(pending=pending))
    return plan.answer


def _book_outcome(session: Session, records: Sequence[Role | Login], details: str) -> None:
    def settle(book: Book) -> None:
        for record in records:
            book.put(record._replace(pending=""))

    session.decide(session.command.words, settle, stream=GLOBAL_STREAM, details=details)


def _as_before(was: Role | Login | None, record: Role | Login) -> Role | Login:
    if was is not None:
        return was
    return record._replace(state=REMOVED, grants="") if isinstance(record, Login) else record._replace(state=REMOVED)


def _kind(record: Role | Login) -> str:
    return ROLE if isinstance(record, Role) else LOGIN


# -- what plans are made of ----------------------------------------------------------------------------------------


def scope_of(book: Book, tenant: str | None, project: str | None) -> str:
    """Return the scope that options name: of a tenant or a project that is there, else the whole site."""
    if project is not None:
        return PROJECT_SCOPE + book.accounts(project).project.id
    return TENANT_SCOPE + book.tenant(tenant).id if tenant is not None else SITE


def seen(session: Session, book: Book) -> Callable[[str], bool]:
    """Return what tells whether the scope of a grant lies in one on which the caller may run the command."""
    words = session.command.words
    own = [one.scope for one in session.powers(book) if words in one.commands]
    route = access.routed(book)
    return lambda scope: SITE in own or (bool(scope) and any(covers(one, access.places(scope, route)) for one in own))


def needed_role(roster: Roster, name: str) -> Definition:
    """Return a role by name, or say that there is none."""
    check_role_name(name)
    found = roster.role(name)
    if found is None:
        raise NotFoundError(f"there is no role {shown(name)}; dca role list shows the roles.")
    return found


def needed_holder(roster: Roster, login: str) -> Holder:
    """Return a login, or say that there is none."""
    found = roster.holder(login)
    if found is None:
        raise NotFoundError(
            f"there is no login {shown(login)}; dca login list shows the logins, dca login add makes one."
        )
    return found


def check_everybody(session: Session, login: str) -> None:
    """Refuse the login that stands for everybody where Elasticsearch decides."""
    if login == EVERYBODY and session.store.guard() is not None:
        raise UsageError("login * stands for everybody, which Elasticsearch does not know; name a login.")


def checked_power(book: Book, roster: Roster, command: str, role: Definition, scope: str) -> Power:
    """Return what a role gives on a scope, if the caller may give, change or take that."""
    given = power(role, scope)
    check_gives(roster.own(command), command, given, access.places(given.scope, access.routed(book)))
    return given


def check_stands_above(book: Book, roster: Roster, command: str, holder: Holder) -> None:
    """Refuse to change a login that has a power which the caller could not give."""
    own = roster.own(command)
    for grant in holder.grants:
        name, scope = split_grant(grant)
        role = roster.role(name)
        if role is not None:
            given = power(role, scope)
            check_gives(own, command, given, access.places(given.scope, access.routed(book)))


def check_stands_above_everybody(session: Session, book: Book, roster: Roster, holder: Holder) -> None:
    """Refuse to disable a login, or to end that, where the caller could not give what everybody may: it goes, and returns."""
    everybody = roster.holder(EVERYBODY) if session.store.guard() is None and holder.login != EVERYBODY else None
    if everybody is not None:
        check_stands_above(book, roster, session.command.words, everybody)


def check_not_own(session: Session, login: str, *, ends: bool) -> None:
    """Refuse to take from oneself, at Elasticsearch, what one comes in with: it could not be noted any more that it was done.

    ends tells whether it takes root or the login itself; else it ends keys, with one of which the caller may be here.
    """
    guard = session.store.guard()
    caller = guard.caller() if guard is not None else None
    if caller is not None and caller.login == login and (ends or caller.kind == BY_KEY):
        way = "let another root do it" if ends else "come with the password instead, or let another root do it"
        raise RefusedError(
            f"login {login} is your own: after dca {session.command.words} you could not note that it was done; {way}."
        )


def check_leaves_root(book: Book, roster: Roster, command: str, holder: Holder) -> None:
    """Refuse to take the last root from a site; one from whom it is just being taken is none any more."""
    if ROOT not in holder.grants or holder.state != ACTIVE:
        return
    others = [one.login for one in roster.holders() if _has_root(one.grants, one.state) and one.login != holder.login]
    records: list[Login | None] = book.reader.get(LOGIN, others) if others else []
    going = [
        one for one in records if one is not None and one.pending and not _has_root(one.grants.split(","), one.state)
    ]
    check_keeps_root(command, len(others) - len(going))


def _has_root(grants: Sequence[str], state: str) -> bool:
    return ROOT in grants and state == ACTIVE


def login_record(book: Book, login: str, grants: Sequence[str], state: str) -> Login:
    """Return the record of a login as it is to be."""
    text = ",".join(sorted(set(grants)))
    if len(text) > TEXT_BYTES_MAX:
        raise RefusedError(f"login {login} would have more roles than {TEXT_BYTES_MAX} bytes hold; give it wider ones.")
    was: Login | None = book.get(LOGIN, login)
    created = was.created if was is not None else book.now
    return Login(id=login, grants=text, state=state, pending="", created=created)


class Granting(NamedTuple):
    """A login as it is to be, with the role that it gets, if any."""

    records: tuple[Login, ...]
    role: Definition | None = None
    """On the scope on which it is granted."""

    @property
    def grants(self) -> tuple[str, ...]:
        """Return all that the login then has."""
        return tuple(filter(None, self.records[0].grants.split(",")))

    def apply(self, guard: Guard, password: str | None) -> dict[str, Any]:
        """Do the same at Elasticsearch; return what else that did."""
        done = guard.put_role(self.role) if self.role is not None else []
        return told(done, guard.put_account(self.records[0].id, self.grants, password))


def ungranted(session: Session, book: Book, holder: Holder) -> Granting:
    """Return a login with what it has."""
    if session.store.guard() is None and access.is_open(book):
        raise _must_close(session)
    return Granting((login_record(book, holder.login, holder.grants, ACTIVE),))


def granted(
    session: Session, book: Book, roster: Roster, holder: Holder, role: str, *, tenant: str | None, project: str | None
) -> Granting:
    """Return a login with a role more; the first root of open books closes them to everybody else."""
    found = needed_role(roster, role)
    scope = scope_of(book, tenant, project)
    if found.scope and scope:
        raise RefusedError(
            f"role {found.name} is bound to {found.scope.replace('/', ' ', 1)}; grant it without a scope."
        )
    standing = BY_NAME.get(folded(found.name))
    if standing is not None and standing.bound != "site" and not scope:
        raise RefusedError(f"role {found.name} is for a tenant or a project; add --tenant=<name> or --project=<name>.")
    given = checked_power(book, roster, session.command.words, found, scope)
    if found.name == ROOT and scope:
        raise RefusedError(
            f"role {ROOT} is for the whole site; dca role create --role=<name> --like={ROOT} --{scope.replace('/', '=', 1)} "
            "makes a role of your own for a part of it."
        )
    record = login_record(book, holder.login, (*holder.grants, grant_text(found.name, given.scope)), ACTIVE)
    records: tuple[Login, ...] = (record,)
    if session.store.guard() is None:
        is_root = found.name == ROOT and given.is_root
        if is_root and holder.login == EVERYBODY:
            raise RefusedError("root for everybody would leave the books open; grant it to a login.")
        if access.is_open(book):
            if not is_root:
                raise _must_close(session)
            if holder.login != session.actor:
                raise RefusedError(
                    "the first root closes these books to everybody else, and must be you, lest a wrong name shut out all: "
                    f"dca role grant --role=root --login={access.shown_login(session.actor)}; then make others root"
                )
            records = (record, login_record(book, EVERYBODY, (), ACTIVE))
    return Granting(records, found._replace(scope=given.scope))


def _must_close(session: Session) -> RefusedError:
    return RefusedError(
        "these books are open to whoever may open their file; the first grant must make a root, and closes them: "
        f"dca role grant --role=root --login={access.shown_login(session.actor)}"
    )


def pending(book: Book) -> list[str]:
    """Return what was begun and not ended, in sentences."""
    return [
        f"{kind} {record.id}: dca {record.pending} was begun and not ended; run it again"
        for kind in (ROLE, LOGIN)
        for record in book.all(Query(kind, (Condition("pending", "gt", ""),)))
    ]
