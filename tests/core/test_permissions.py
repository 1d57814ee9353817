"""The rules of permission: what a power permits, and who may give, change or take one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.core.errors import DcaError, DeniedError, RefusedError, UsageError
from dca.core.permissions import (
    BY_NAME,
    LEVEL_MAX,
    ROOT,
    SITE,
    TEMPLATES,
    Definition,
    Power,
    check_gives,
    check_keeps_root,
    check_level,
    check_login,
    check_role_name,
    covers,
    grant_text,
    is_grant,
    is_scope,
    permitted,
    permitted_anywhere,
    power,
    split_grant,
)

TENANTS = {"project/rockets": "tenant/acme", "project/kites": "tenant/acme", "project/ships": "tenant/blue"}
SCOPES = (SITE, "tenant/acme", "tenant/blue", *TENANTS)
COMMANDS = ("list", "role grant", "login disable", "transaction charge", "project add")
OVER_OTHERS = {"role grant", "login disable"}

scopes = st.sampled_from(SCOPES)
powers = st.builds(
    Power,
    role=st.sampled_from(("a", "b")),
    level=st.sampled_from((10, 30, 60, LEVEL_MAX)),
    commands=st.frozensets(st.sampled_from(COMMANDS)),
    scope=scopes,
)


def places(scope: str) -> tuple[str, ...]:
    """Return the scopes that cover one, but for the site."""
    return tuple(filter(None, (scope, TENANTS.get(scope, ""))))


def inside(inner: str, outer: str) -> bool:
    """Tell whether a scope lies in another, said in another way: by what there is in them."""

    def projects(scope: str) -> set[str]:
        return {project for project, tenant in TENANTS.items() if scope in (SITE, tenant, project)}

    if outer == SITE:
        return True
    if inner == SITE or (inner.startswith("tenant/") and outer.startswith("project/")):
        return False
    return projects(inner) <= projects(outer)


@given(scopes, scopes)
def test_a_scope_covers_what_lies_in_it(inner: str, outer: str) -> None:
    """The site covers all, a tenant its projects, a project itself."""
    assert covers(outer, places(inner)) == inside(inner, outer)


@given(st.lists(powers, max_size=4), st.sampled_from(COMMANDS), scopes)
def test_a_command_is_permitted_by_a_power_that_has_it_and_holds_the_place(
    held: list[Power], command: str, scope: str
) -> None:
    """Two powers are never added up to a third: each permits its own commands on its own scope."""
    expected = any(command in one.commands and inside(scope, one.scope) for one in held)
    assert permitted(held, command, places(scope)) == expected
    assert permitted_anywhere(held, command) == any(command in one.commands for one in held)


def test_nothing_is_permitted_by_default() -> None:
    """Who has no power may do nothing anywhere."""
    assert not permitted((), "list", ())
    assert not permitted((), "list", ("tenant/acme",))
    assert not permitted_anywhere((), "list")


def gives(held: list[Power], wanted: Power) -> bool:
    """Tell whether the rule lets somebody give a power."""
    try:
        check_gives(held, "role grant", wanted, places(wanted.scope))
    except DeniedError:
        return False
    return True


@given(st.lists(powers, max_size=4), powers)
def test_nobody_gives_what_is_not_below_them(held: list[Power], wanted: Power) -> None:
    """Not at or above one's own level, not beyond one's scope, not more commands than one has there; root may all."""
    acting = [one for one in held if "role grant" in one.commands]
    root = any(one.level == LEVEL_MAX and one.scope == SITE for one in acting)
    level = any(one.level > wanted.level and inside(wanted.scope, one.scope) for one in acting)
    commands = set().union(*(one.commands for one in held if inside(wanted.scope, one.scope)))
    above = set().union(*(one.commands for one in held if inside(wanted.scope, one.scope) and one.level > wanted.level))
    rules = OVER_OTHERS & wanted.commands <= above
    assert gives(held, wanted) == (root or (level and wanted.commands <= commands and rules))


@given(st.lists(powers, max_size=4), st.lists(powers, max_size=6))
def test_nobody_makes_themselves_more_powerful(held: list[Power], wanted: list[Power]) -> None:
    """Whatever they give themselves, in any order, without root: nobody may do more, nor rule others at a higher level."""
    if any(one.is_root for one in held):
        return
    own = list(held)
    for one in wanted:
        with suppress(DeniedError):
            check_gives(own, "role grant", one, places(one.scope))
            own.append(one)
    for command in COMMANDS:
        for scope in SCOPES:
            assert permitted(own, command, places(scope)) == permitted(held, command, places(scope))
            if command in OVER_OTHERS:
                assert level(own, command, scope) == level(held, command, scope)


def level(held: list[Power], command: str, scope: str) -> int:
    """Return the highest level at which a command is permitted on a scope; 0 where it is not."""
    return max((one.level for one in held if command in one.commands and inside(scope, one.scope)), default=0)


ADMINISTRATOR = Power("administrator", 80, frozenset(COMMANDS), SITE)
OF_ACME = Power("tenant-administrator", 60, frozenset(COMMANDS), "tenant/acme")


@pytest.mark.parametrize(
    ("held", "wanted", "sentence"),
    [
        (
            OF_ACME,
            Power("viewer", 10, frozenset({"list"}), "tenant/blue"),
            "role viewer on tenant/blue is outside your scope; someone whose scope holds it can do this.",
        ),
        (
            OF_ACME,
            Power("viewer", 10, frozenset({"list"}), SITE),
            "role viewer on the whole site is outside your scope; someone whose scope holds it can do this.",
        ),
        (
            OF_ACME,
            Power("tenant-administrator", 60, frozenset({"list"}), "tenant/acme"),
            (
                "role tenant-administrator has level 60 and yours is 60; only what is below one's own level can be given, "
                "changed or taken."
            ),
        ),
        (
            ADMINISTRATOR,
            Power("root", 100, frozenset({"list"}), SITE),
            "role root has level 100 and yours is 80; only what is below one's own level can be given, changed or taken.",
        ),
        (
            ADMINISTRATOR,
            Power("night", 10, frozenset({"list", "store copy"}), SITE),
            "role night holds store copy, which you may not do yourself on that scope.",
        ),
    ],
)
def test_a_refusal_says_what_is_in_the_way(held: Power, wanted: Power, sentence: str) -> None:
    """Scope, level or commands: which of them, and what to do."""
    with pytest.raises(DeniedError) as refused:
        check_gives([held], "role grant", wanted, places(wanted.scope))
    assert refused.value.sentence == sentence


def test_a_level_counts_only_with_the_command_itself() -> None:
    """A high level without the right to grant gives no right over roles, beside a low one that has it."""
    high = Power("high", 90, frozenset({"list"}), SITE)
    low = Power("low", 20, frozenset({"role grant", "list"}), SITE)
    assert gives([high, low], Power("viewer", 10, frozenset({"list"}), SITE))
    assert not gives([high, low], Power("middle", 30, frozenset({"list"}), SITE))
    assert not gives([high], Power("viewer", 10, frozenset({"list"}), SITE))


def test_root_on_a_tenant_is_not_root() -> None:
    """The highest level counts as root on the whole site only."""
    assert power(Definition("root", LEVEL_MAX, ("role grant",)), SITE).is_root
    assert not power(Definition("root", LEVEL_MAX, ("role grant",)), "tenant/acme").is_root


def test_a_bound_role_is_where_it_is_bound() -> None:
    """Where a role is bound to a scope, no grant widens it."""
    assert power(Definition("night", 10, ("list",), "tenant/acme"), SITE).scope == "tenant/acme"
    assert power(Definition("night", 10, ("list",)), "project/kites").scope == "project/kites"


def test_the_last_root_stays() -> None:
    """Taking root is refused where nobody would be left who has it."""
    check_keeps_root("role revoke", 1)
    with pytest.raises(RefusedError, match="would leave the site without a root"):
        check_keeps_root("role revoke", 0)


def test_templates_stand_in_the_order_of_their_power() -> None:
    """Root is above all, levels never rise along the list, each has a known widest scope."""
    assert [one.level for one in TEMPLATES] == sorted((one.level for one in TEMPLATES), reverse=True)
    assert [one.name for one in TEMPLATES if one.level == LEVEL_MAX] == [ROOT]
    assert {one.bound for one in TEMPLATES} <= {"site", "tenant", "project"}
    assert all(is_grant(name) for name in BY_NAME)


@given(st.sampled_from(sorted(BY_NAME)), scopes)
def test_a_grant_is_read_as_it_was_written(role: str, scope: str) -> None:
    """Role and scope come back from the text that logins keep."""
    text = grant_text(role, scope)
    assert is_grant(text)
    assert split_grant(text) == (role, scope)


@pytest.mark.parametrize(
    "text", ["", "@", "viewer@", "viewer@site", "viewer@tenant/", "viewer@tenant/Acme", "Viewer", "viewer@x/acme", "a,b",
             "viewer@tenant/acme@tenant/blue", "viewer@tenant/a*"],
)  # fmt: skip
def test_what_is_no_grant_is_none(text: str) -> None:
    """A grant that dca does not write is not read as one."""
    assert not is_grant(text)


def test_scopes_are_of_tenants_and_projects() -> None:
    """A scope names one tenant or project, in lower case."""
    assert is_scope("tenant/acme")
    assert is_scope("project/a_b.c-d@e")
    assert not any(map(is_scope, ("", "*", "tenant", "tenant/", "tenant/A", "tenant/*", "user/ada", "tenant/a/b")))


@pytest.mark.parametrize("name", ["", "a b", "ä", "viewer@tenant", "-night", "a" * 65, "a,b", "*"])
def test_a_role_has_a_name(name: str) -> None:
    """A role's name follows the extended rule, without @."""
    with pytest.raises(RefusedError, match="is not a name"):
        check_role_name(name)


@pytest.mark.parametrize("login", ["", "a b", "ä", "a,b", "*", 'a"b', "_system", "-x", "a" * 65, "a/b", "a\n", "?"])
def test_a_login_is_one(login: str) -> None:
    """What neither system takes, or would take for something else, is refused."""
    with pytest.raises(UsageError, match=r"^login .* is none: "):
        check_login(login)


@pytest.mark.parametrize("login", ["ada", "Ada.L@example.org", "EXAMPLE\\ada", "slurm-hook", "ada$", "a" * 64])
def test_logins_of_operating_systems_and_directories_are_taken(login: str) -> None:
    """Case and punctuation stay as they are."""
    assert check_login(login) == login


@pytest.mark.parametrize("level", [0, -1, LEVEL_MAX, 1000])
def test_only_root_has_the_highest_level(level: int) -> None:
    """A role that is made has a level from 1 to 99."""
    with pytest.raises(UsageError, match="only root has 100"):
        check_level(level)


def test_refusals_of_the_core_are_sentences() -> None:
    """Each says one thing and ends with a stop."""
    for check, value in ((check_login, "a b"), (check_role_name, "a b")):
        with pytest.raises(DcaError) as refused:
            check(value)
        assert refused.value.sentence.endswith(".")
