"""Who may run which command on what: asked by the engine before each, of Elasticsearch or of the books themselves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from dca.commands.table import ANYWHERE, BY_PROJECT, BY_TENANT, BY_WORDS, COMMANDS, GLOBAL, MOVE, OWN, Command
from dca.core.errors import DeniedError
from dca.core.model import ACTIVE, DISABLED, EVERYBODY
from dca.core.names import folded, shown
from dca.core.permissions import (
    BY_NAME,
    LEVEL_MAX,
    PROJECT_SCOPE,
    ROOT,
    SITE,
    TEMPLATES,
    TENANT_SCOPE,
    Definition,
    Power,
    is_scope,
    permitted,
    permitted_anywhere,
    power,
    split_grant,
)
from dca.store.schema import LOGIN, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dca.book import Book
    from dca.core.model import Login
    from dca.core.model import Role as RoleRecord
    from dca.store.guard import Guard, Lack

OPEN = "anywhere"
"""In the place of a scope: of nobody in particular."""


# -- what a command is about ---------------------------------------------------------------------------------------


def scopes(command: Command, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the scopes that a command with these values is about; the whole site is an empty one."""
    if command.scope == ANYWHERE:
        return (OPEN,)
    if command.scope == GLOBAL:
        return (SITE,)
    if command.scope == BY_TENANT:
        return (of_tenant(values["tenant"]),)
    if command.scope == BY_PROJECT:
        return (of_project(values["project"]),)
    if command.scope == MOVE:
        source = of_tenant if values["type"] == "t2p" else of_project
        goal = of_tenant if values["type"] == "p2t" else of_project
        return source(values["from_"]), goal(values["to"])
    return (_own(values),)


def _own(values: Mapping[str, Any]) -> str:
    """Return the narrowest scope that the options of a command name."""
    if values.get("project"):
        return of_project(values["project"])
    if values.get("tenant"):
        return of_tenant(values["tenant"])
    stream = folded(str(values.get("stream", "")))
    if stream.startswith("t:"):
        return of_tenant(stream.removeprefix("t:"))
    if values.get("hold"):
        return of_tenant(str(values["hold"]).partition(":")[0])
    return SITE


def of_tenant(name: str) -> str:
    """Return the scope of a tenant."""
    return TENANT_SCOPE + folded(name)


def of_project(name: str) -> str:
    """Return the scope of a project."""
    return PROJECT_SCOPE + folded(name)


def places(scope: str, route: Callable[[str], str]) -> tuple[str, ...]:
    """Return the scopes that cover a scope, but for the whole site: itself, and the tenant of a project."""
    if not scope.startswith(PROJECT_SCOPE):
        return (scope,) if scope else ()
    owner = route(scope.removeprefix(PROJECT_SCOPE))
    return (scope, TENANT_SCOPE + owner) if owner else (scope,)


def routed(book: Book) -> Callable[[str], str]:
    """Return what tells the tenant of a project's id, from a book; empty where there is none."""
    return lambda project: book.reader.route([project])[0]


# -- roles ---------------------------------------------------------------------------------------------------------


def commands_of(template: str) -> tuple[str, ...]:
    """Return the commands of a role template, in the order of the table."""
    return tuple(
        command.words for command in COMMANDS if not command.is_open and (template == ROOT or template in command.roles)
    )


@cache
def template(name: str) -> Definition | None:
    """Return a role that every site has, or None."""
    found = BY_NAME.get(folded(name))
    return Definition(found.name, found.level, commands_of(found.name)) if found else None


def definition(record: RoleRecord) -> Definition:
    """Return what the record of a role says; commands of another version of dca are left out."""
    listed = tuple(words for words in record.commands.split(",") if words in BY_WORDS)
    return Definition(record.name, record.level, listed, record.scope, record.form)


@cache
def all_powers() -> tuple[Power, ...]:
    """Return the powers of root."""
    root = template(ROOT)
    assert root is not None
    return (power(root, SITE),)


def known_role(book: Book, name: str) -> Definition | None:
    """Return a role by name: one that every site has, or as its record says; None if there is none."""
    standing = template(name)
    if standing is not None:
        return standing
    record: RoleRecord | None = book.get(ROLE, folded(name))
    return definition(record) if record is not None and record.state == ACTIVE else None


# -- permission by the records of the books ------------------------------------------------------------------------


def is_open(book: Book) -> bool:
    """Tell whether no root was ever named: whoever may open the books may do everything."""
    return book.get(LOGIN, EVERYBODY) is None


def powers(book: Book, login: str) -> tuple[Power, ...]:
    """Return what a login may do, by the records of the books: its own grants and everybody's; a disabled one nothing."""
    own: Login | None
    rest: Login | None
    own, rest = book.reader.get(LOGIN, [login, EVERYBODY])
    if rest is None:
        return all_powers()
    if own is not None and own.state == DISABLED:
        return ()
    active = [record for record in (own, rest) if record is not None and record.state == ACTIVE]
    return powers_of(book, dict.fromkeys(grant for record in active for grant in record.grants.split(",")))


def powers_of(book: Book, grants: Iterable[str]) -> tuple[Power, ...]:
    """Return what grants permit; those of roles that are there no more permit nothing."""
    found = []
    for grant in grants:
        name, scope = split_grant(grant)
        role = known_role(book, name) if name else None
        if role is not None:
            found.append(power(role, scope))
    return tuple(found)


def check_by_books(book: Book, login: str, command: Command, scope: str, held: Sequence[Power]) -> None:
    """Refuse a command that the powers of a login do not permit on a scope."""
    words = command.words
    if permitted(held, words, ()) or (scope == OPEN and permitted_anywhere(held, words)):
        return
    if is_scope(scope) and permitted(held, words, places(scope, routed(book))):
        return
    record: Login | None = book.get(LOGIN, login)
    if record is not None and record.state == DISABLED:
        again = f"dca login add --login={shown_login(login)}"
        raise DeniedError(f"{login} is disabled and may do nothing; someone above it can enable it again: {again}.")
    raise refusal(login, command, scope, sorted({one.scope for one in held if words in one.commands}))


# -- permission by Elasticsearch -----------------------------------------------------------------------------------

EVERYTHING = "*"


def check_by_guard(guard: Guard, command: Command, scope: str, route: Callable[[str], str]) -> None:
    """Refuse a command that Elasticsearch does not permit its caller on a scope, or could not carry out for them."""
    words = command.words
    wanted = [EVERYTHING, scope] if is_scope(scope) else [EVERYTHING]
    lack = guard.lack(words, wanted)
    if lack.permission and scope.startswith(PROJECT_SCOPE):
        try:
            owner = route(scope.removeprefix(PROJECT_SCOPE))
        except DeniedError:
            owner = ""
        if owner:
            lack = guard.lack(words, [TENANT_SCOPE + owner])
    if lack.permission:
        elsewhere = sorted(place for place, listed in guard.may().items() if words in listed and place != EVERYTHING)
        roles = () if guard.is_for_root(words) else command.roles
        raise refusal(guard.caller().login, command._replace(roles=roles), scope, elsewhere)
    if lack.rights:
        raise DeniedError(_powerless(guard.caller().login, command, scope, lack))


def check_by_guard_anywhere(guard: Guard, command: Command) -> None:
    """Refuse a command that Elasticsearch permits its caller nowhere, or could not carry out for them."""
    lack = guard.lack(command.words, [EVERYTHING])
    if lack.permission and not any(command.words in listed for listed in guard.may().values()):
        raise refusal(guard.caller().login, command, OPEN, ())
    if lack.rights:
        raise DeniedError(_powerless(guard.caller().login, command, OPEN, lack))


def _powerless(login: str, command: Command, scope: str, lack: Lack) -> str:
    lacking = ", ".join(lack.rights)
    return (
        f"{login} may run dca {command.words}{_on(scope)}, but Elasticsearch does not give them {lacking}: their role "
        "permits it through a service only, or is not as dca made it; a root mends it with dca role install."
    )


# -- how a refusal is said -----------------------------------------------------------------------------------------


def refusal(login: str, command: Command, scope: str, elsewhere: Sequence[str]) -> DeniedError:
    """Return the error that says what is missing where, which roles have it, and what to do."""
    having = [one for one in TEMPLATES if one.name == ROOT or one.name in command.roles]
    least = min(having, key=lambda one: one.level)
    is_new = command.words == "tenant add"  # nobody can have a role on a tenant that is not there
    where = "" if scope in (SITE, OPEN) or is_new else " --" + scope.replace("/", "=", 1)
    if not where and least.bound != "site":
        least = min((one for one in having if one.bound == "site"), key=lambda one: one.level)
    who = f"{login} is" if login else "nobody who does not say who they are is"
    sentence = f"{who} not permitted to run dca {command.words}{_on(scope)}; roles with it: "
    sentence += ", ".join(one.name for one in having)
    narrowed = [
        place for place in elsewhere if command.scope == OWN and f"--{place.partition('/')[0]}=" in command.usage
    ]
    if scope == SITE and narrowed:
        return DeniedError(f"{sentence}; it is permitted with --{narrowed[0].replace('/', '=', 1)}.")
    level = "a root" if least.level == LEVEL_MAX else "someone above it"
    return DeniedError(
        f"{sentence}; {level} can give it: dca role grant --role={least.name} --login={shown_login(login)}{where}."
    )


def shown_login(login: str) -> str:
    """Return a login as a command line takes it."""
    return login if login and login.isascii() and " " not in login else shown(login)


def _on(scope: str) -> str:
    if scope == OPEN:
        return ""
    return f" on {scope.replace('/', ' ', 1)}" if scope else " on the whole site"
