"""Who may do what: roles with a level and a scope, and the rules by which they are given and taken.

A role is a set of commands with a level. Somebody who was granted it has a power: its commands, on a scope. A scope is the
whole site (empty), a tenant with all its projects (tenant/acme) or a project (project/rockets).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from dca.core.errors import DeniedError, RefusedError, UsageError
from dca.core.model import DIRECT
from dca.core.names import EXTENDED, check_name, folded, is_name, shown

ROOT = "root"
LEVEL_MIN, LEVEL_MAX = 1, 100
LEVEL_DEFAULT = 10
"""Of a role that is created without one: that of a viewer."""
SITE = ""
TENANT_SCOPE, PROJECT_SCOPE = "tenant/", "project/"
LOGIN_LENGTH_MAX = 64
OVER_OTHERS = ("role", "login")
"""What the commands are about with which one rules others, each at the level of the role that has it."""


class Template(NamedTuple):
    """A role that every site has; the table of commands says which commands are its own."""

    name: str
    level: int
    bound: str
    """The widest scope on which it is granted: site, tenant or project."""
    meaning: str


TEMPLATES: tuple[Template, ...] = (
    Template(ROOT, LEVEL_MAX, "site", "everything, and alone what can destroy or replace the books"),
    Template("administrator", 80, "site", "keeps the books of all tenants, and who may do what below"),
    Template("tenant-administrator", 60, "tenant", "keeps a tenant's projects and users, and who may do what in them"),
    Template("project-manager", 40, "tenant", "keeps a project's users and sees what it spends"),
    Template("operator", 30, "site", "the hooks of a scheduler: holds, charges, releases, imports"),
    Template("biller", 30, "site", "books payments and writes bills"),
    Template("auditor", 30, "site", "reads everything, the log included, and changes nothing"),
    Template("viewer", 10, "site", "reads accounts, transactions and bills"),
)

BY_NAME = {template.name: template for template in TEMPLATES}


class Definition(NamedTuple):
    """What a role is: a level, commands, and the scope it is bound to, if any."""

    name: str
    level: int
    commands: tuple[str, ...]
    scope: str = SITE
    """Empty: it is granted on any scope."""
    form: str = DIRECT

    @property
    def granted(self) -> str:
        """Return it as a grant: its name in lower case, and its scope where it has one."""
        return grant_text(self.name, self.scope)


class Power(NamedTuple):
    """A role that somebody has, on a scope."""

    role: str
    level: int
    commands: frozenset[str]
    scope: str

    @property
    def is_root(self) -> bool:
        """Tell whether nothing is above it: the highest level, on the whole site."""
        return self.level == LEVEL_MAX and not self.scope


def power(role: Definition, scope: str) -> Power:
    """Return what a role gives on a scope."""
    return Power(role.name, role.level, frozenset(role.commands), role.scope or scope)


# -- grants and scopes as texts ------------------------------------------------------------------------------------


def grant_text(role: str, scope: str) -> str:
    """Return a grant as logins keep it: role, or role@scope."""
    return f"{folded(role)}@{scope}" if scope else folded(role)


def split_grant(text: str) -> tuple[str, str]:
    """Return role and scope of a grant."""
    role, _, scope = text.partition("@")
    return role, scope


def is_grant(text: str) -> bool:
    """Tell whether a text is a grant as `grant_text` writes it."""
    role, at, scope = text.partition("@")
    return is_role_name(role) and role == folded(role) and (is_scope(scope) if at else True)


def is_scope(text: str) -> bool:
    """Tell whether a text is the scope of a tenant or a project."""
    kind, slash, name = text.partition("/")
    return (
        bool(slash) and f"{kind}/" in (TENANT_SCOPE, PROJECT_SCOPE) and is_name(name, EXTENDED) and name == folded(name)
    )


def is_role_name(text: str) -> bool:
    """Tell whether a text can be the name of a role: a name under the extended rule without @."""
    return "@" not in text and is_name(text, EXTENDED)


def check_role_name(text: str) -> str:
    """Return the name of a role, or refuse it."""
    if "@" in text:
        raise RefusedError(f"role {shown(text)} is not a name: @ stands between a role and where it is granted.")
    return check_name(text, EXTENDED, "role")


def check_login(text: str) -> str:
    """Return a login, or refuse it: printable ASCII without blanks, commas and wildcards."""
    good = 0 < len(text) <= LOGIN_LENGTH_MAX and text.isascii() and text.isprintable()
    if not good or set(text) & set(' ,*?"/') or text[0] in "_-":
        raise UsageError(
            f"login {shown(text)} is none: 1 to {LOGIN_LENGTH_MAX} ASCII characters, no blank, comma, quote, slash or "
            "wildcard, and neither _ nor - in front."
        )
    return text


def check_level(level: int) -> int:
    """Return the level of a role, or refuse it."""
    if not LEVEL_MIN <= level < LEVEL_MAX:
        raise UsageError(f"--level {level} is not between {LEVEL_MIN} and {LEVEL_MAX - 1}; only root has {LEVEL_MAX}.")
    return level


# -- what somebody may do ------------------------------------------------------------------------------------------


def covers(scope: str, places: Collection[str]) -> bool:
    """Tell whether a scope covers something, given all scopes that cover it but the site: itself, and its tenant's."""
    return not scope or scope in places


def permitted(powers: Iterable[Power], command: str, places: Collection[str]) -> bool:
    """Tell whether powers permit a command on something, given the scopes that cover it (none: the whole site)."""
    return any(command in one.commands and covers(one.scope, places) for one in powers)


def permitted_anywhere(powers: Iterable[Power], command: str) -> bool:
    """Tell whether powers permit a command on any scope."""
    return any(command in one.commands for one in powers)


# -- the hierarchy -------------------------------------------------------------------------------------------------


def check_gives(powers: Sequence[Power], command: str, given: Power, places: Collection[str]) -> None:
    """Refuse to give, change or take a role at or above one's own level, beyond one's scope, or with more than one has.

    powers are those of whoever does it, command is what they do; places are the scopes that cover that of the role.
    What one has without that very command does not count: it gives no right over others; and a right over others is given
    only from above the level at which it is given. Root is bound by nothing.
    """
    acting = [one for one in powers if command in one.commands]
    if any(one.is_root for one in acting):
        return
    near = [one for one in acting if covers(one.scope, places)]
    if not near:
        where = given.scope or "the whole site"
        raise DeniedError(
            f"role {given.role} on {where} is outside your scope; someone whose scope holds it can do this."
        )
    if not any(one.level > given.level for one in near):
        own = max(one.level for one in near)
        raise DeniedError(
            f"role {given.role} has level {given.level} and yours is {own}; only what is below one's own level can be "
            "given, changed or taken."
        )
    own_commands = {command for one in powers if covers(one.scope, places) for command in one.commands}
    more = sorted(given.commands - own_commands)
    if more:
        raise DeniedError(f"role {given.role} holds {more[0]}, which you may not do yourself on that scope.")
    above = {words for one in powers if covers(one.scope, places) and one.level > given.level for words in one.commands}
    beyond = sorted(one for one in given.commands - above if one.partition(" ")[0] in OVER_OTHERS)
    if beyond:
        raise DeniedError(
            f"role {given.role} holds {beyond[0]} at level {given.level}, which you do not have yourself above that level."
        )


def check_keeps_root(command: str, roots: int) -> None:
    """Refuse to take root from the last one who has it; roots are those that would be left."""
    if not roots:
        raise RefusedError(f"dca {command} would leave the site without a root; grant root to somebody else first.")
