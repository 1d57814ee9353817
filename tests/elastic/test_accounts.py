"""Users and API keys at a real Elasticsearch: what is taken away is gone, and what others gave stays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dca.core.errors import DeniedError, NotFoundError, RefusedError, UnreachableError, UsageError
from dca.store.guard import EVERYWHERE
from tests.elastic.guarded import OPERATOR, PASSWORD, VIEWER, VIEWING, account

if TYPE_CHECKING:
    from collections.abc import Callable

    from dca.store.elastic_guard import ElasticGuard
    from tests.elastic.guarded import AsUser
    from tests.elastic.server import BookServer


# -- users ---------------------------------------------------------------------------------------------------------


def test_a_user_from_the_beginning_to_the_end(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """Made, shut out, let in, given another password and other roles, deleted; each step can be done twice."""
    guard.put_role(OPERATOR)
    guard.put_role(VIEWER)
    assert guard.account(ann) is None
    for _ in range(2):
        guard.put_account(ann, ["operator"], PASSWORD)
    assert guard.account(ann) == account(ann, "operator")
    assert ann in [one.login for one in guard.accounts()]
    for _ in range(2):
        guard.enable(ann, enabled=False)
    with pytest.raises(UnreachableError, match="does not accept the password"):
        as_user(ann).caller()
    guard.put_account(ann, ["viewer@tenant/acme", "operator"], None)
    assert guard.account(ann) == account(ann, "operator", "viewer@tenant/acme", enabled=False)
    guard.enable(ann, enabled=True)
    guard.set_password(ann, "another-password")
    assert as_user(ann, password="another-password").caller().login == ann
    for _ in range(2):
        guard.drop_account(ann)
    assert guard.account(ann) is None


def test_what_a_user_had_before_stays(guard: ElasticGuard, ann: str, emptied_server: BookServer) -> None:
    """Name, address and roles that are not of these books; nor is he deleted or disabled, who was not made here."""
    guard.put_role(OPERATOR)
    user = {"password": PASSWORD, "roles": ["kibana_admin"], "full_name": "Ann", "email": "a@b", "metadata": {"x": 1}}
    emptied_server.must("PUT", f"/_security/user/{ann}", user)
    guard.put_account(ann, ["operator"], None)
    assert guard.account(ann) == account(ann, "operator", others=("kibana_admin",), ours=False)
    guard.enable(ann, enabled=True)
    for change in (lambda: guard.enable(ann, enabled=False), lambda: guard.set_password(ann, "another-password")):
        with pytest.raises(RefusedError, match="was not made by dca for these books alone"):
            change()
    guard.drop_account(ann)
    there = emptied_server.must("GET", f"/_security/user/{ann}")[ann]
    assert there == {"username": ann, "enabled": True, **{k: v for k, v in user.items() if k != "password"}}
    assert emptied_server.send("GET", "/_security/_authenticate", user=(ann, PASSWORD)).status == 200


@pytest.mark.parametrize("login", ["", "_password", "a,b", "a b", "\u00e9", "a\n", "../x", "x" * 257])
def test_a_login_that_is_none(guard: ElasticGuard, login: str) -> None:
    """One that begins with an underscore would be a page of Elasticsearch's own: another password for the caller."""
    for change in (
        lambda: guard.put_account(login, [], PASSWORD),
        lambda: guard.drop_keys(login),
        lambda: guard.account(login),
    ):
        with pytest.raises(UsageError, match="cannot be one of Elasticsearch"):
            change()


def test_users_that_cannot_be_changed(guard: ElasticGuard, ann: str) -> None:
    """Each is refused in one sentence: there is none, or it is Elasticsearch's own."""
    for change in (
        lambda login: guard.enable(login, enabled=False),
        lambda login: guard.set_password(login, PASSWORD),
        lambda login: guard.make_key(login, "key", 1),
    ):
        with pytest.raises(NotFoundError, match=f"keeps no user {ann}"):
            change(ann)
        with pytest.raises(RefusedError, match="is a user of Elasticsearch's own"):
            change("kibana_system")
    with pytest.raises(RefusedError, match="is a user of Elasticsearch's own"):
        guard.put_account("kibana_system", [], PASSWORD)
    with pytest.raises(RefusedError, match="is a user of Elasticsearch's own"):
        guard.drop_account("kibana_system")


def test_a_password_that_is_too_short(guard: ElasticGuard, ann: str) -> None:
    """Elasticsearch says how long it must be."""
    with pytest.raises(RefusedError, match=r"passwords must be at least \[6\] characters long\.$"):
        guard.put_account(ann, [], "12345")
    assert guard.account(ann) is None
    guard.put_account(ann, [], PASSWORD)
    with pytest.raises(RefusedError, match=r"passwords must be at least \[6\] characters long\.$"):
        guard.set_password(ann, "12345")


def test_a_role_that_is_not_there_cannot_be_given(guard: ElasticGuard, ann: str) -> None:
    """Elasticsearch would take it, and give it to him as soon as somebody makes it."""
    with pytest.raises(NotFoundError, match=r"has no role .*\.nothing; dca role install"):
        guard.put_account(ann, ["nothing"], PASSWORD)
    assert guard.account(ann) is None


def test_who_may_not_manage_security_changes_nothing(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """The sentence names the right."""
    guard.put_role(OPERATOR)
    guard.put_account(ann, ["operator"], PASSWORD)
    asked = as_user(ann)
    assert asked.register() == []
    for change in (
        lambda: asked.put_role(VIEWER._replace(name="made")),
        lambda: asked.drop_role("operator"),
        lambda: asked.put_account(f"{ann}2", [], PASSWORD),
        lambda: asked.drop_account(ann),
        lambda: asked.enable(ann, enabled=False),
        lambda: asked.set_password(ann, "another-password"),
        lambda: asked.make_key(ann, "key", None),
        lambda: asked.drop_keys(ann),
        asked.roles,
        asked.accounts,
    ):
        with pytest.raises(DeniedError, match=r"may not .* manage_security"):
            change()
    assert guard.account(ann) == account(ann, "operator")
    assert OPERATOR in guard.roles()


# -- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_acts_as_its_owner(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """With his rights, and with nothing left over from its making."""
    guard.put_role(VIEWER)
    guard.put_account(ann, [VIEWING], PASSWORD)
    made = guard.make_key(ann, "night", 1)
    assert made.keys() == {"id", "name", "encoded", "expires"}
    assert made["name"] == "night"
    assert isinstance(made["expires"], int)
    assert guard.make_key(ann, "for-ever", None)["expires"] is None
    asked = as_user(api_key=str(made["encoded"]))
    caller = asked.caller()
    assert caller == (ann, "_es_api_key", "api_key", (f"{guard.application}.viewer@tenant/acme",), False)
    assert not asked.lack("list", ["tenant/acme"])
    assert asked.lack("list", [EVERYWHERE]).permission
    assert asked.may() == {EVERYWHERE: ["rate get"], "tenant/acme": ["list"]}
    assert guard.account(ann) == account(ann, "viewer@tenant/acme")
    assert guard.drop_keys(ann) == 2
    assert guard.drop_keys(ann) == 0
    with pytest.raises(UnreachableError, match="the API key, which was ended"):
        asked.caller()


def test_a_key_that_has_expired(emptied_server: BookServer, prefix: str, as_user: AsUser) -> None:
    """It is called so."""
    made = emptied_server.must("POST", "/_security/api_key", {"name": f"{prefix}key", "expiration": "1ms"})
    time.sleep(0.01)
    with pytest.raises(UnreachableError, match="does not accept the API key, which has expired; check the config"):
        as_user(api_key=made["encoded"]).caller()


def test_a_key_is_for_these_books_only(
    guard: ElasticGuard, ann: str, as_user: AsUser, emptied_server: BookServer
) -> None:
    """What else its owner may is not the key's; and he can ask with it what it may."""
    guard.put_role(VIEWER)
    user = {"password": PASSWORD, "roles": ["monitoring_user", "superuser"]}
    emptied_server.must("PUT", f"/_security/user/{ann}", user)
    guard.put_account(ann, [VIEWING], None)
    made = guard.make_key(ann, "night", 1)
    asked = as_user(api_key=str(made["encoded"]))
    assert not asked.caller().root
    assert not asked.lack("list", ["tenant/acme"])
    assert asked.lack("tenant add", ["tenant/acme"]).permission
    assert asked.may() == {EVERYWHERE: ["rate get"], "tenant/acme": ["list"]}
    guard.put_account(ann, [], None)
    with pytest.raises(UnreachableError, match="the API key, which was ended"):
        asked.caller()


def test_a_key_ends_with_what_it_gave(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """Elasticsearch alone would let it live: a key keeps the rights that its owner had when it was made."""
    changes: tuple[Callable[[], list[str]], ...] = (
        lambda: guard.put_account(ann, [VIEWING], None),
        lambda: guard.enable(ann, enabled=False),
        lambda: guard.drop_role("operator"),
        lambda: guard.put_role(OPERATOR._replace(commands=("list",))),
        lambda: guard.drop_account(ann),
    )
    guard.put_role(VIEWER)
    guard.put_account(f"{ann}2", [VIEWING], PASSWORD)
    of_another = as_user(api_key=str(guard.make_key(f"{ann}2", "day", 1)["encoded"]))
    for change in changes:
        guard.put_role(OPERATOR)
        guard.put_account(ann, ["operator", VIEWING], None)
        guard.enable(ann, enabled=True)
        asked = as_user(api_key=str(guard.make_key(ann, "night", 1)["encoded"]))
        assert guard.put_role(OPERATOR) == guard.put_account(ann, ["operator", VIEWING], None) == []
        if change is changes[0]:
            assert guard.put_role(OPERATOR._replace(commands=(*OPERATOR.commands, "tenant payment", "log list"))) == []
        assert not asked.lack("transaction charge", [EVERYWHERE])
        assert asked.lack("log list", [EVERYWHERE])
        assert change() == [f"ended the API key 'night' of {ann}, which would have kept what was taken away"]
        with pytest.raises(UnreachableError, match="the API key, which was ended"):
            asked.caller()
    assert not of_another.lack("list", ["tenant/acme"])


def test_a_key_for_somebody_who_is_disabled(guard: ElasticGuard, ann: str) -> None:
    """There is none."""
    guard.put_account(ann, [], PASSWORD)
    guard.enable(ann, enabled=False)
    with pytest.raises(RefusedError, match="the login is disabled"):
        guard.make_key(ann, "night", 1)


@pytest.mark.parametrize("name", ["", " x", "x" * 257])
def test_a_name_that_no_key_can_have(guard: ElasticGuard, ann: str, name: str) -> None:
    """And its owner is left as he was."""
    guard.put_account(ann, [], PASSWORD)
    with pytest.raises(RefusedError, match=r"cannot make an API key for .*: .* answers: api key name"):
        guard.make_key(ann, name, 1)
    assert guard.account(ann) == account(ann)
