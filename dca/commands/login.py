"""Logins: who may come in, with which roles, and who is asking."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from dca.book import Book
from dca.commands import access, roster
from dca.commands.roster import Plan, Roster, change, needed_holder
from dca.commands.table import COMMANDS
from dca.core.clock import iso
from dca.core.errors import DeniedError, RefusedError, UsageError
from dca.core.model import ACTIVE, DISABLED, REMOVED
from dca.core.permissions import SITE, split_grant
from dca.store.schema import LOGIN

if TYPE_CHECKING:
    from dca.commands.arguments import Days, Flag, Login, Name
    from dca.engine import Session
    from dca.store.guard import Guard

PASSWORD_MIN, PASSWORD_MAX = 6, 1_000
"""Characters of a password; the least is Elasticsearch's."""


def add(
    session: Session,
    login: Login,
    role: Name | None = None,
    tenant: Name | None = None,
    project: Name | None = None,
    *,
    no_password: Flag = False,
) -> dict[str, Any]:
    """Make a login, with a role if one is named; a disabled one is enabled again.

    On Elasticsearch its password is asked for, or read from the first line of standard input; with --no-password it gets
    one that nobody knows, which is right for scripts that come with an API key (dca login key). On SQLite a login is one of
    the operating system, which knows the password.
    """
    roster.check_everybody(session, login)
    if role is None and (tenant or project):
        raise UsageError("--tenant and --project say where the role is granted; name it: --role=<name>.")
    secret = _first_password(session, login, asked=not no_password)

    def plan(book: Book, roles: Roster) -> Plan:
        holder = roles.holder(login)
        record = book.get(LOGIN, login)
        goes_on = record is not None and record.pending == session.command.words
        is_there = holder is not None and holder.state == ACTIVE and not goes_on
        already = RefusedError(f"login {login} is there already; give it roles with dca role grant.")
        if is_there and not session.key:
            raise already
        if holder is not None and not is_there:
            roster.check_stands_above(book, roles, session.command.words, holder)
            roster.check_stands_above_everybody(session, book, roles, holder)
        holder = (holder or roster.Holder(login, (), ACTIVE))._replace(state=ACTIVE)
        if role is None:
            made = roster.ungranted(session, book, holder)
        else:
            made = roster.granted(session, book, roles, holder, role, tenant=tenant, project=project)
        if is_there:  # under a key it may be this very command that made it, if the caller may run it
            raise already

        def apply(guard: Guard) -> dict[str, Any]:
            done = made.apply(guard, secret or None)
            return roster.told(done.get("done", ()), guard.enable(login, enabled=True))

        return Plan(made.records, apply, {"login": login, "roles": list(made.grants)})

    given = {"login": login, "role": role, "tenant": tenant, "project": project}
    return change(session, " ".join(f"--{name}={value}" for name, value in given.items() if value is not None), plan)


def _first_password(session: Session, login: str, *, asked: bool) -> str:
    """Return the password of a login that is to be made; empty where it has none of its own."""
    guard = session.store.guard()
    if guard is None:
        if not asked:
            raise UsageError("--no-password is for Elasticsearch; on SQLite the operating system knows the passwords.")
        return ""
    roster.check_on(guard, session)
    roster.GuardRoster(guard).own(session.command.words)
    there = guard.account(login)
    needed = asked and not session.dry_run and (there is None or not there.enabled)
    return password(session, login) if needed else ""


def password(session: Session, login: str) -> str:
    """Ask for a password; it is never an argument and never in the log."""
    secret = session.secret(f"Password of {login}")
    if not secret:
        raise UsageError("no password was given; type it, or write it to standard input.")
    if not PASSWORD_MIN <= len(secret) <= PASSWORD_MAX:
        raise UsageError(f"the password has {len(secret)} characters; {PASSWORD_MIN} to {PASSWORD_MAX} are possible.")
    return secret


def disable(session: Session, login: Login) -> dict[str, Any]:
    """Disable a login: it may do nothing more, and keeps its roles for dca login add; the last root stays."""
    return _end(session, login, DISABLED)


def delete(session: Session, login: Login) -> dict[str, Any]:
    """Delete a login with its roles and API keys; what it did stays in the log. The last root stays."""
    return _end(session, login, REMOVED)


def _end(session: Session, login: str, state: str) -> dict[str, Any]:
    roster.check_everybody(session, login)
    words = session.command.words

    def plan(book: Book, roles: Roster) -> Plan:
        record = book.get(LOGIN, login)
        goes_on = record is not None and record.pending == words
        holder = roles.holder(login) if goes_on else needed_holder(roles, login)
        holder = holder or roster.Holder(login, (), state)
        roster.check_stands_above(book, roles, words, holder)
        if DISABLED in (state, holder.state):
            roster.check_stands_above_everybody(session, book, roles, holder)
        roster.check_leaves_root(book, roles, words, holder)
        if state == REMOVED and not holder.is_ours:
            raise RefusedError(f"login {login} was not made by dca; take its roles with dca role revoke.")
        if state == REMOVED:
            roster.check_not_own(session, login, ends=True)
        grants = holder.grants if state == DISABLED else ()

        def apply(guard: Guard) -> dict[str, Any]:
            if state == DISABLED:
                return roster.told(guard.enable(login, enabled=False))
            ended = guard.drop_keys(login)
            return roster.told([f"ended its API keys: {ended}"] if ended else [], guard.drop_account(login))

        answer = {"login": login, "state": "disabled" if state == DISABLED else "deleted", "roles": list(grants)}
        return Plan((roster.login_record(book, login, grants, state),), apply, answer)

    return change(session, f"--login={login}", plan)


def password_set(session: Session, login: Login) -> dict[str, Any]:
    """Give a login of Elasticsearch a new password, asked for or read from the first line of standard input."""
    guard = _guard(session, "passwords")
    roster.check_everybody(session, login)
    roster.GuardRoster(guard).own(session.command.words)
    secret = "" if session.dry_run else password(session, login)

    def plan(book: Book, roles: Roster) -> Plan:
        holder = needed_holder(roles, login)
        roster.check_stands_above(book, roles, session.command.words, holder)
        record = roster.login_record(book, login, holder.grants, holder.state)

        def apply(guard: Guard) -> dict[str, Any]:
            guard.set_password(login, secret)
            return {}

        return Plan((record,), apply, {"login": login})

    return change(session, f"--login={login}", plan)


def key(session: Session, login: Login, expires: Days | None = None, *, revoke: Flag = False) -> dict[str, Any]:
    """Make an API key of a login of Elasticsearch, which is shown once; --revoke ends all keys that dca made for it.

    The key may do what the login may at that moment. --expires says after how many days it ends; else it does not. There is
    no --key: the books would keep the answer.
    """
    guard = _guard(session, "API keys")
    if expires == 0:
        raise UsageError("--expires 0 would make a key that never works; write 1 day or more.")
    roster.check_everybody(session, login)
    roster.GuardRoster(guard).own(session.command.words)

    def plan(book: Book, roles: Roster) -> Plan:
        holder = needed_holder(roles, login)
        roster.check_stands_above(book, roles, session.command.words, holder)
        if holder.state != ACTIVE and not revoke:
            raise RefusedError(f"login {login} is disabled; dca login add --login={login} enables it again.")
        if revoke:
            roster.check_not_own(session, login, ends=False)
        record = roster.login_record(book, login, holder.grants, holder.state)

        def apply(guard: Guard) -> dict[str, Any]:
            if revoke:
                return {"revoked": guard.drop_keys(login)}
            made = guard.make_key(login, f"dca {login}", expires)
            until = {"expires": iso(int(str(made["expires"])))} if made["expires"] is not None else {}
            return {"id": made["id"], "name": made["name"], "api_key": made["encoded"], **until}

        return Plan((record,), apply, {"login": login})

    given = f" --expires={expires}" if expires else ""
    return change(session, f"--login={login}{given}{' --revoke' if revoke else ''}", plan)


def _guard(session: Session, what: str) -> Guard:
    guard = session.store.guard()
    if guard is None:
        raise RefusedError(f"{what} are Elasticsearch's; on SQLite the operating system says who you are.")
    roster.check_on(guard, session)
    return guard


def listed(session: Session) -> dict[str, Any]:
    """Show the logins that the caller's scope holds: their state and roles."""
    guard = session.store.guard()
    if guard is not None:
        roster.check_on(guard, session)
        found = roster.GuardRoster(guard).holders()
    else:
        found = session.ask(lambda book: _within(session, book))
    return {
        "logins": [
            {"login": one.login, "state": one.state, "roles": list(one.grants)}
            for one in sorted(found, key=lambda one: one.login)
        ]
    }


def _within(session: Session, book: Book) -> list[roster.Holder]:
    """Return the logins that have a role on a scope which the caller's holds, with those roles; to the site's, all."""
    is_seen = roster.seen(session, book)
    found = []
    for holder in roster.BookRoster(session, book).holders():
        grants = tuple(grant for grant in holder.grants if is_seen(split_grant(grant)[1]))
        if grants or is_seen(SITE):
            found.append(holder._replace(grants=grants))
    return found


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each login."""
    return [{**one, "roles": ", ".join(one["roles"])} for one in answer["logins"]]


def whoami(session: Session) -> dict[str, Any]:
    """Say who you are for this store, which roles you have and which commands you may run where.

    Also what was begun on roles or logins and not ended. Everyone may ask.
    """
    guard = session.store.guard()
    answer: dict[str, Any] = {"store": session.place}
    if guard is None:
        answer |= session.store.preview(lambda view: _by_books(session, Book(view, session.now)))
    elif guard.on():
        caller = guard.caller()
        may = guard.may()
        roles = [name.removeprefix(f"{guard.application}.") for name in caller.roles]
        answer |= {"login": caller.login, "decides": "Elasticsearch", "root": caller.root, "roles": roles}
        answer["may"] = [{"on": place, "commands": _in_order(may[place])} for place in sorted(may)]
    else:
        answer |= {"login": "", "decides": "nobody: the security of Elasticsearch is switched off", "root": True}
        answer |= {"roles": [], "may": [{"on": "*", "commands": _in_order(access.all_powers()[0].commands)}]}
    with contextlib.suppress(DeniedError):  # who may not read the books is told of none
        answer["pending"] = session.store.preview(lambda view: roster.pending(Book(view, session.now)))
    return answer


def _by_books(session: Session, book: Book) -> dict[str, Any]:
    own = session.powers(book)
    places: dict[str, set[str]] = {}
    for one in own:
        places.setdefault(one.scope or "*", set()).update(one.commands)
    is_open = access.is_open(book)
    record = None if is_open else book.get(LOGIN, session.actor)
    return {
        "login": session.actor,
        "decides": "nobody: whoever may open the file may do everything" if is_open else "the books",
        "root": any(one.is_root for one in own),
        "roles": [] if is_open else sorted(power_text(one.role, one.scope) for one in own),
        "may": [{"on": place, "commands": _in_order(places[place])} for place in sorted(places)],
        **({"disabled": True} if record is not None and record.state == DISABLED else {}),
    }


def power_text(role: str, scope: str) -> str:
    """Return a role with where one has it."""
    return f"{role}@{scope}" if scope else role


def _in_order(commands: Any) -> list[str]:
    return [command.words for command in COMMANDS if command.words in commands]
