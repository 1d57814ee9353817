"""For every command calls that succeed for whoever is permitted them, and what a root must have done before.

In options, preparations and places {t} is a tenant and {p} its project, {n} a number that no call had before, {f} a new file,
{u} what all logins begin with.
What a preparation answers can be taken up under a name: {batch}, {hold}, {commit}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import BY_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN, FOREIGN = {"t": "acme", "p": "rockets"}, {"t": "blue", "p": "boats"}
"""A tenant with a project, on which the narrow roles are granted, and another."""
SITE, ANYWHERE = "", "anywhere"
"""Places beside tenants and projects: the whole site, and nowhere in particular."""
JOBS = """; UnixStartTime: 1740830400
{n} 0 10 20 4 -1 -1 4 -1 -1 1 7 3 -1 -1 -1 -1 -1
"""
JOB_FILE = "{f}.swf"
"""This file is there, with a job in it."""
BACKUP_FILE = "{backup}"


class Step(NamedTuple):
    """A command of root, with what of its answer is taken up under which name."""

    words: str
    options: Mapping[str, Any]
    take: tuple[str, ...] = ()
    """A name, and the way to it through the answer."""


class Call(NamedTuple):
    """A call of a command."""

    words: str
    options: Mapping[str, Any]
    about: tuple[str, ...]
    """All places on which it must be permitted."""
    before: tuple[Step, ...] = ()
    leaves: bool = False
    """Whether it leaves the books as they are although its command changes some."""
    code: str = ""
    """How it ends for whoever is permitted; empty for a success."""
    where: str = "site"
    """Own, foreign or site."""

    @property
    def name(self) -> str:
        """Return how a failed test calls it."""
        return f"{self.words} {dict(self.options)} ({self.where})"


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with its names replaced."""
    if isinstance(template, str):
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", str(value))
        return template
    if isinstance(template, dict):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, tuple):
        changed = [filled(value, values) for value in template]
        return type(template)(*changed) if hasattr(template, "_fields") else tuple(changed)
    return template


def step(words: str, *take: str, **options: Any) -> Step:
    """Return a step of root."""
    return Step(words, _options(options), take)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    spelled = {"file_": "FILE", "time_period": "--time_period"}
    return {spelled.get(name, f"--{name.rstrip('_').replace('_', '-')}"): value for name, value in given.items()}


def site(
    words: str, *before: Step, about: str = SITE, leaves: bool = False, code: str = "", **options: Any
) -> list[Call]:
    """Return a call that is about the whole site, or about nothing of anybody's."""
    return [Call(words, _options(options), (about,), before, leaves, code)]


def both(words: str, about: str, *before: Step, leaves: bool = False, code: str = "", **options: Any) -> list[Call]:
    """Return a call on one's own tenant or project, and the same on another's."""
    call = Call(words, _options(options), tuple(about.split()), before, leaves, code)
    return [filled(call._replace(where="own"), OWN), filled(call._replace(where="foreign"), FOREIGN)]


TENANT, PROJECT = "tenant/{t}", "project/{p}"
BEGUN = "1800000000"
"""A moment at which the books had begun."""
PERIOD = "2027-01-01,2027-02-01"


def _project(**options: Any) -> Step:
    return step("project add", project="{t}x{n}", tenant="{t}", **options)


def _role(words: str, **options: Any) -> Step:
    """Return what makes a role that holds no more than the very command, so that whoever has that may give it."""
    return step("role create", role="r{n}", commands=words, level="1", **options)


def _login(words: str) -> tuple[Step, ...]:
    return _role(words), step("login add", login="{u}l{n}", role="r{n}", tenant="{t}")


RESERVED = step(
    "transaction reservebudget", "hold", "hold", "hold", project="{p}", estimate="60", cores="1", job="j{n}"
)
IMPORT = {"input-format": "swf", "tenant": "acme", "cluster": "c{n}", "create-missing": True}
IMPORTED = Step(
    "job import", {**{f"--{name}": value for name, value in IMPORT.items()}, "FILE": JOB_FILE}, ("batch", "batch")
)
_SHOWN = step("log list", "commit", "log", "0", "commit", limit="1")

CALLS: tuple[Call, ...] = tuple(
    call
    for calls in (
        site("tenant add", about="tenant/newx{n}", tenant="newx{n}", credit="1"),
        site("tenant disable", step("tenant add", tenant="oldx{n}"), about="tenant/oldx{n}", tenant="oldx{n}"),
        both("tenant modify", TENANT, tenant="{t}", credit="100{n}"),
        both("tenant payment", TENANT, tenant="{t}", payment="1"),
        both("project add", TENANT, tenant="{t}", project="{t}x{n}", credit="1"),
        both("project disable", "project/{t}x{n}", _project(), project="{t}x{n}"),
        both("project movebudget", f"{TENANT} {PROJECT}", from_="{t}", to="{p}", balance="1", type="t2p"),
        both("project movebudget", f"{PROJECT} project/{{t}}x{{n}}", _project(),
             from_="{p}", to="{t}x{n}", balance="1", type="p2p"),
        both("project show", PROJECT, project="{p}"),
        both("project show", PROJECT, project="{p}", as_of=BEGUN),
        both("user add", PROJECT, project="{p}", user="u{n}"),
        both("user delete", PROJECT, step("user add", project="{p}", user="u{n}"), project="{p}", user="u{n}"),
        both("list", TENANT, tenant="{t}"),
        both("list", PROJECT, project="{p}", all_=True),
        site("list"),
        site("list", user="ann"),
        site("list", as_of=BEGUN),
        site("rate set", rate="1.{n}"),
        site("rate get", about=ANYWHERE),
        site("rate get", about=ANYWHERE, history=True),
        both("transaction reservebudget", PROJECT, project="{p}", estimate="60", cores="1", user="ann"),
        both("transaction charge", PROJECT, project="{p}", user="ann", jobtime="60", cores="1"),
        both("transaction release", PROJECT, RESERVED, project="{p}", job="j{n}"),
        both("transaction release", TENANT, RESERVED, hold="{hold}"),
        both("transaction release", TENANT, RESERVED, all_=True, older_than="0", tenant="{t}"),
        site("transaction release", filled(RESERVED, OWN), all_=True, older_than="0"),
        both("transaction holds", TENANT, tenant="{t}"),
        both("transaction holds", PROJECT, project="{p}"),
        site("transaction holds"),
        both("transaction list", TENANT, tenant="{t}"),
        both("transaction list", PROJECT, project="{p}"),
        site("transaction list", user="ann"),
        both("bill generate", PROJECT, project="{p}", time_period=PERIOD),
        [Call("job import", {**IMPORTED.options}, (SITE,))],
        site("job undo", IMPORTED, batch="{batch}"),
        both("log list", TENANT, tenant="{t}"),
        both("log list", PROJECT, project="{p}"),
        site("log list", limit="3"),
        both("log show", TENANT, stream="t:{t}", seq="1"),
        both("log show", TENANT, as_of=BEGUN, tenant="{t}"),
        site("log show", stream="g", seq="1"),
        site("log show", _SHOWN, commit="{commit}"),
        site("log verify"),
        site("log repair", leaves=True),
        site("log checkpoint", file_="{f}"),
        site("doctor"),
        site("backup", file_="{f}"),
        site("backup check", about=ANYWHERE, file_=BACKUP_FILE),
        site("restore", file_=BACKUP_FILE, code="refused"),
        site("store copy", to="sqlite:{f}", leaves=True),
        site("bench", quick=True),
        site("role list", about=ANYWHERE),
        site("role show", about=ANYWHERE, role="viewer"),
        site("role install", leaves=True),
        both("role create", TENANT, role="r{n}", commands="role create", level="1", tenant="{t}"),
        both("role modify", TENANT, _role("role modify", tenant="{t}"), role="r{n}", level="2"),
        both("role delete", TENANT, _role("role delete", tenant="{t}"), role="r{n}"),
        both("role grant", TENANT, _role("role grant"), step("login add", login="{u}l{n}"),
             role="r{n}", login="{u}l{n}", tenant="{t}"),
        both("role revoke", TENANT, *_login("role revoke"), role="r{n}", login="{u}l{n}", tenant="{t}"),
        both("login add", TENANT, _role("login add"), login="{u}l{n}", role="r{n}", tenant="{t}"),
        both("login disable", TENANT, *_login("login disable"), login="{u}l{n}"),
        both("login delete", TENANT, *_login("login delete"), login="{u}l{n}"),
        both("login password", TENANT, *_login("login password"), login="{u}l{n}"),
        both("login key", TENANT, *_login("login key"), login="{u}l{n}"),
        site("login list", about=ANYWHERE),
        site("whoami", about=ANYWHERE),
        site("config show", about=ANYWHERE),
        site("setup", leaves=True),
    )
    for call in calls
)  # fmt: skip


class Grant(NamedTuple):
    """A role with the place on which a login has it."""

    role: str
    place: str

    @property
    def name(self) -> str:
        """Return the login, which is also the name of the test."""
        return self.role + (f".{self.place.replace('/', '.')}" if self.place else "")


SITE_ROLES = ("root", "administrator", "operator", "biller", "auditor", "viewer")
NARROW_ROLES = ("tenant-administrator", "project-manager")
"""Roles that are granted on a tenant or a project only."""
GRANTS = tuple(
    Grant(role, place)
    for role in (*SITE_ROLES, *NARROW_ROLES)
    for place in (SITE, "tenant/acme", "project/rockets")
    if (place or role in SITE_ROLES) and not (place and role == "root")
)

# -- the rule, said again and otherwise ----------------------------------------------------------------------------


def tenant_of(place: str) -> str:
    """Return the tenant of a project that tests made."""
    name = place.removeprefix("project/")
    return "tenant/" + ({"rockets": "acme", "boats": "blue"}.get(name) or name.partition("x")[0])


def holds(place: str, inner: str) -> bool:
    """Tell whether a place holds another."""
    if inner == ANYWHERE or not place:
        return True
    return place == inner or (inner.startswith("project/") and place == tenant_of(inner))


def is_permitted(grant: Grant, call: Call) -> bool:
    """Tell whether whoever has a role somewhere may do something."""
    roles = BY_WORDS[call.words].roles
    has = roles == ("everyone",) or grant.role == "root" or grant.role in roles
    return roles == ("everyone",) or (has and all(holds(grant.place, place) for place in call.about))
