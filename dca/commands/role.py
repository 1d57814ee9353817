"""Roles: what they hold, who has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.commands import access, roster
from dca.commands.roster import Plan, Roster, change, needed_holder, needed_role
from dca.commands.table import COMMANDS
from dca.core.errors import NotFoundError, RefusedError, UsageError
from dca.core.model import ACTIVE, DIRECT, REMOVED, Role
from dca.core.names import folded, shown
from dca.core.permissions import (
    BY_NAME,
    LEVEL_DEFAULT,
    ROOT,
    TEMPLATES,
    Definition,
    check_level,
    check_role_name,
    grant_text,
    split_grant,
)
from dca.store.schema import LOGIN, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dca.book import Book
    from dca.commands.arguments import Form, Level, Login, Name, Text
    from dca.engine import Session
    from dca.store.guard import Guard


def listed(session: Session) -> dict[str, Any]:
    """Show all roles: level, scope, form and commands of each, and which logins have it, as far as your scope holds them.

    Roles that every site has are there from the start; on Elasticsearch `installed` tells whether they are there already.
    """
    return {"roles": _with_roster(session, _all)}


def show(session: Session, role: Name) -> dict[str, Any]:
    """Show a role: its level, its commands, the logins that have it and where, as far as your scope holds them."""

    def one(_: Book, roles: Roster, is_seen: Callable[[str], bool]) -> dict[str, Any]:
        return _figure(_held(session, needed_role(roles, role)), roles, is_seen, everywhere=True)

    return {"role": _with_roster(session, one)}


def _with_roster(session: Session, question: Callable[[Book, Roster, Callable[[str], bool]], Any]) -> Any:
    guard = session.store.guard()
    if guard is None:
        return session.ask(lambda book: question(book, roster.BookRoster(session, book), roster.seen(session, book)))
    roster.check_on(guard, session)
    return session.ask(lambda book: question(book, roster.GuardRoster(guard), _anything))


def _anything(scope: str) -> bool:
    """See every grant: whoever may list the roles of Elasticsearch may read its users there."""
    del scope
    return True


def _all(_: Book, roles: Roster, is_seen: Callable[[str], bool]) -> list[dict[str, Any]]:
    there = roles.roles()
    names = {folded(one.name) for one in there}
    missing = [access.template(one.name) for one in TEMPLATES if one.name not in names]
    found = [{**_figure(one, roles, is_seen), "installed": True} for one in there]
    found += [{**_figure(one, roles, is_seen), "installed": False} for one in missing if one is not None]
    return sorted(found, key=lambda one: (-one["level"], one["name"], one["scope"]))


def _figure(
    role: Definition, roles: Roster, is_seen: Callable[[str], bool], *, everywhere: bool = False
) -> dict[str, Any]:
    by_scope = isinstance(roles, roster.GuardRoster) and not everywhere  # where each scope has a role of its own
    return {
        **_bare(role),
        "logins": [
            {"login": holder.login, "on": scope}
            for holder in roles.holders()
            for name, scope in map(split_grant, holder.grants)
            if name == folded(role.name) and (scope == role.scope or not by_scope) and is_seen(role.scope or scope)
        ],
    }


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each role, with the number of its commands; dca role show lists them."""
    return [
        {
            "role": one["name"],
            "level": one["level"],
            "scope": one["scope"],
            "form": one["form"],
            "commands": len(one["commands"]),
            "logins": ", ".join(f"{at['login']} on {at['on']}" if at["on"] else at["login"] for at in one["logins"]),
        }
        for one in answer["roles"]
    ]


def install(session: Session, form: Form = DIRECT) -> dict[str, Any]:
    """Put the roles that every site has into Elasticsearch, and bring all roles there up to date with this dca.

    --form=direct (the default) gives them the least index privileges that their commands need, for people and hooks that
    talk to Elasticsearch themselves; --form=service gives them none, but for root, or nobody could change roles any more.
    On SQLite there is nothing to install.
    """
    standing = [
        _held(
            session,
            Definition(one.name, one.level, access.commands_of(one.name), form=DIRECT if one.name == ROOT else form),
        )
        for one in TEMPLATES
        if one.bound == "site"
    ]

    def plan(book: Book, _: Roster) -> Plan:
        records = tuple(_record(book, one, ACTIVE) for one in standing) if session.store.guard() is not None else ()
        return Plan(records, _install(standing), {"roles": [{**_bare(one), "logins": []} for one in standing]})

    return change(session, f"--form={form}", plan)


def _install(standing: Sequence[Definition]) -> Callable[[Guard], dict[str, Any]]:
    def apply(guard: Guard) -> dict[str, Any]:
        done = [guard.register()]
        there = guard.roles()
        fresh = {folded(one.name): one for one in standing}
        done += [guard.put_role(role) for role in standing]
        for old in there:
            known = access.template(old.name)
            if old.scope or folded(old.name) not in fresh:
                done.append(guard.put_role(old._replace(commands=known.commands, level=known.level) if known else old))
        return roster.told(*done)

    return apply


def _bare(role: Definition) -> dict[str, Any]:
    return {
        "name": role.name,
        "level": role.level,
        "scope": role.scope,
        "form": role.form,
        "commands": list(role.commands),
    }


def create(
    session: Session,
    role: Name,
    commands: Text | None = None,
    like: Name | None = None,
    level: Level | None = None,
    tenant: Name | None = None,
    project: Name | None = None,
    form: Form = DIRECT,
) -> dict[str, Any]:
    """Make a role of some commands, or of those of another role; --tenant or --project binds it to one.

    --commands is a list by comma; a star stands for all that begin so: "transaction *,list". --level (1 to 99, 10 unless
    given) says what the role may give and change itself: roles and logins of lower levels, within its scope. At
    Elasticsearch the direct form is without the commands that are for root alone, which `left_out` names.
    """
    check_role_name(role)
    if folded(role) in BY_NAME:
        raise RefusedError(f"role {role} is one that every site has; choose another name.")
    wanted = parsed(commands) if commands is not None else None

    def plan(book: Book, roles: Roster) -> Plan:
        other = needed_role(roles, like) if like is not None else None
        asked = Definition(
            role,
            check_level(level if level is not None else min(other.level, 99) if other else LEVEL_DEFAULT),
            wanted if wanted is not None else other.commands if other else (),
            roster.scope_of(book, tenant, project),
            form,
        )
        made = _held(session, asked)
        there = roles.role(role)
        if there is not None and there != made:
            raise RefusedError(f"role {there.name} is there already; dca role modify changes it.")
        roster.checked_power(book, roles, session.command.words, made, "")
        return Plan((_record(book, made, ACTIVE),), _putting(made), {"role": _bare(made), **_left_out(asked, made)})

    return change(session, _details(role=role, commands=commands, like=like, level=level, tenant=tenant, project=project,
                                    form=form), plan)  # fmt: skip


def modify(session: Session, role: Name, commands: Text | None = None, level: Level | None = None) -> dict[str, Any]:
    """Change the commands or the level of a role; whoever has it has the new ones from then on."""
    if commands is None and level is None:
        raise UsageError("dca role modify needs --commands or --level.")
    wanted = parsed(commands) if commands is not None else None

    def plan(book: Book, roles: Roster) -> Plan:
        before = _own_role(roles, role)
        asked = before._replace(
            commands=wanted if wanted is not None else before.commands,
            level=check_level(level) if level is not None else before.level,
        )
        after = _held(session, asked)
        for one in (before, after):
            roster.checked_power(book, roles, session.command.words, one, "")
        return Plan((_record(book, after, ACTIVE),), _putting(after), {"role": _bare(after), **_left_out(asked, after)})

    return change(session, _details(role=role, commands=commands, level=level), plan)


def delete(session: Session, role: Name) -> dict[str, Any]:
    """Delete a role that nobody has; those that every site has stay."""

    def plan(book: Book, roles: Roster) -> Plan:
        record: Role | None = book.get(ROLE, folded(check_role_name(role)))
        if record is not None and record.pending == session.command.words and roles.role(role) is None:
            there = access.definition(record)  # Elasticsearch has done it, and its answer was lost
        else:
            there = _own_role(roles, role)
        roster.checked_power(book, roles, session.command.words, there, "")
        having = [
            holder.login
            for holder in roles.holders()
            if any(split_grant(grant)[0] == folded(there.name) for grant in holder.grants)
        ]
        if having:
            raise RefusedError(f"role {there.name} is granted to {', '.join(having[:5])}; revoke it first.")

        def apply(guard: Guard) -> dict[str, Any]:
            gone = [one for one in guard.roles() if folded(one.name) == folded(there.name)]
            return roster.told(*[guard.drop_role(one.granted) for one in gone])

        return Plan((_record(book, there, REMOVED),), apply, {"role": _bare(there)})

    return change(session, _details(role=role), plan)


def _own_role(roles: Roster, name: str) -> Definition:
    if folded(name) in BY_NAME:
        raise RefusedError(
            f"role {folded(name)} is one that every site has; make one of your own: dca role create --role=<name> "
            f"--like={folded(name)}"
        )
    return needed_role(roles, name)


def grant(
    session: Session, role: Name, login: Login, tenant: Name | None = None, project: Name | None = None
) -> dict[str, Any]:
    """Give a login a role, on the whole site, a tenant or a project.

    On SQLite a login is one of the operating system; the first grant must be root, and closes the books to all others;
    the login * then stands for everybody, beside what they have of their own. On Elasticsearch the login must be there.
    """
    roster.check_everybody(session, login)

    def plan(book: Book, roles: Roster) -> Plan:
        holder = roles.holder(login)
        if holder is None:
            holder = roster.Holder(login, (), ACTIVE) if session.store.guard() is None else needed_holder(roles, login)
        if holder.state != ACTIVE:
            raise RefusedError(f"login {login} is disabled; dca login add --login={login} enables it again.")
        made = roster.granted(session, book, roles, holder, role, tenant=tenant, project=project)
        return Plan(made.records, lambda guard: made.apply(guard, None), {"login": login, "roles": list(made.grants)})

    return change(session, _details(role=role, login=login, tenant=tenant, project=project), plan)


def revoke(
    session: Session, role: Name, login: Login, tenant: Name | None = None, project: Name | None = None
) -> dict[str, Any]:
    """Take a role from a login, on the scope on which it was granted; the last root stays."""
    roster.check_everybody(session, login)

    def plan(book: Book, roles: Roster) -> Plan:
        holder = needed_holder(roles, login)
        found = needed_role(roles, role)
        scope = roster.scope_of(book, tenant, project)
        grant = grant_text(found.name, found.scope or scope)
        was = book.get(LOGIN, login)
        roster.checked_power(book, roles, session.command.words, found, scope)
        if grant not in holder.grants and (was is None or was.pending != session.command.words):
            is_seen = roster.seen(session, book) if session.store.guard() is None else _anything
            has = ", ".join(one for one in holder.grants if is_seen(split_grant(one)[1])) or "none"
            raise NotFoundError(f"login {login} does not have {grant}; its roles: {has}.")
        if grant == ROOT:
            roster.check_leaves_root(book, roles, session.command.words, holder)
        roster.check_not_own(session, login, ends=grant == ROOT)
        left = [one for one in holder.grants if one != grant]

        def apply(guard: Guard) -> dict[str, Any]:
            return roster.told(guard.put_account(login, left, None))

        return Plan((roster.login_record(book, login, left, holder.state),), apply, {"login": login, "roles": left})

    return change(session, _details(role=role, login=login, tenant=tenant, project=project), plan)


def _record(book: Book, role: Definition, state: str) -> Role:
    was: Role | None = book.get(ROLE, folded(role.name))
    return Role(
        id=folded(role.name),
        name=was.name if was is not None else role.name,
        level=role.level,
        commands=",".join(role.commands),
        scope=role.scope,
        form=role.form,
        state=state,
        pending="",
        created=was.created if was is not None else book.now,
    )


def _held(session: Session, role: Definition) -> Definition:
    """Return a role as it is there: at Elasticsearch the direct form is without the commands that are for root alone."""
    guard = session.store.guard()
    if guard is None or role.form != DIRECT or role.name == ROOT:
        return role
    return role._replace(commands=tuple(words for words in role.commands if not guard.is_for_root(words)))


def _left_out(asked: Definition, made: Definition) -> dict[str, Any]:
    missing = [words for words in asked.commands if words not in made.commands]
    return {"left_out": missing} if missing else {}


def _putting(role: Definition) -> Callable[[Guard], dict[str, Any]]:
    """Return what puts a role into Elasticsearch, on every scope on which it is there."""

    def apply(guard: Guard) -> dict[str, Any]:
        others = [
            old.scope for old in guard.roles() if folded(old.name) == folded(role.name) and old.scope != role.scope
        ]
        return roster.told(*[guard.put_role(role._replace(scope=scope)) for scope in (role.scope, *others)])

    return apply


def parsed(text: str) -> tuple[str, ...]:
    """Return the commands that a list names, in the order of the table."""
    known = [command.words for command in COMMANDS if not command.is_open]
    wanted: set[str] = set()
    for item in text.split(","):
        pattern = " ".join(item.split())
        begin = pattern.removesuffix("*")
        found = [words for words in known if words == pattern or (begin != pattern and words.startswith(begin))]
        if not found:
            raise UsageError(f"--commands: there is no command {shown(pattern)}; dca help shows them all.")
        wanted.update(found)
    return tuple(words for words in known if words in wanted)


def _details(**given: object) -> str:
    return " ".join(f"--{name}={value}" for name, value in given.items() if value is not None)
