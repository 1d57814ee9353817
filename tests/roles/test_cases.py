"""The table of calls: nothing is missing, and what is said of the most important ones agrees with the table of commands."""

from __future__ import annotations

import pytest

from dca.commands.table import COMMANDS
from dca.core.permissions import TEMPLATES
from tests.roles import facts
from tests.roles.cases import CALLS, FOREIGN, GRANTS, NARROW_ROLES, OWN, SITE_ROLES, Grant, is_permitted


def test_every_command_is_called() -> None:
    """On the own and on a foreign tenant or project where its options name one, else for the whole site."""
    assert {call.words for call in CALLS} == {command.words for command in COMMANDS}
    for command in COMMANDS:
        places = {call.where for call in CALLS if call.words == command.words}
        assert places >= {"own", "foreign"} or places == {"site"}, command.words


def test_every_role_is_granted() -> None:
    """Each on the widest place where it may be, and on narrower ones."""
    assert {one.name: one.bound == "site" for one in TEMPLATES} == {
        **dict.fromkeys(SITE_ROLES, True),
        **dict.fromkeys(NARROW_ROLES, False),
    }
    assert {grant.role for grant in GRANTS} == {one.name for one in TEMPLATES}


@pytest.mark.parametrize(("table", "verdict"), [(facts.NEVER, False), (facts.ALWAYS, True)])
def test_what_must_be_so(
    table: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...], *, verdict: bool
) -> None:
    """The facts written by hand, against the rule that the matrix is judged by."""
    for role, place, commands, places in table:
        for call in CALLS:
            if call.words in commands and call.where in places:
                assert is_permitted(Grant(role, place), call) is verdict, (role, place, call.name)
    assert OWN != FOREIGN
