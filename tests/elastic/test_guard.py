"""Permissions at a real Elasticsearch: what nobody granted is never allowed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from dca.core.errors import RefusedError, UnreachableError
from dca.store import elastic_rights as rights
from dca.store.guard import DIRECT, EVERYWHERE, SERVICE, Guarded, Lack
from tests.cli.shell import Shell
from tests.elastic.guarded import OPERATING, OPERATOR, PASSWORD, ROOT, ROWS, VIEWER, VIEWING, account
from tests.elastic.proxy import FOR_EVER, Fault, proxy

if TYPE_CHECKING:
    from pathlib import Path

    from dca.store.elastic_guard import ElasticGuard
    from tests.elastic.guarded import AsUser
    from tests.elastic.server import BookServer

# -- what is allowed -----------------------------------------------------------------------------------------------


def test_what_a_role_gives(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """A scoped role gives its commands there, and those that are about no tenant everywhere; all else is refused."""
    guard.put_role(VIEWER)
    guard.put_account(ann, [VIEWING], PASSWORD)
    asked = as_user(ann)
    assert not asked.lack("list", ["tenant/acme"])
    assert not asked.lack("list", ["project/rockets", "tenant/acme"])
    assert not asked.lack("rate get", [EVERYWHERE])
    assert asked.lack("list", ["tenant/bolt"]) == Lack(permission=True, rights=())
    assert asked.lack("list", [EVERYWHERE]).permission
    assert asked.lack("tenant add", ["tenant/acme"]).permission
    assert asked.may() == {EVERYWHERE: ["rate get"], "tenant/acme": ["list"]}
    caller = asked.caller()
    assert caller == (ann, "default_native", "realm", (f"{guard.application}.viewer@tenant/acme",), False)


def test_the_superuser_may_do_everything(guard: ElasticGuard) -> None:
    """Without any role of dca's."""
    assert not any(guard.lack(command, ["tenant/acme"]) for command in ROWS)
    assert guard.may() == {EVERYWHERE: list(ROWS)}
    assert guard.caller().root


def test_what_is_not_registered_is_never_allowed(
    guard: ElasticGuard, ann: str, as_user: AsUser, clean_server: BookServer
) -> None:
    """Neither a command that is no privilege yet, nor any command of books of which Elasticsearch never heard."""
    guard.unregister()
    guard.put_role(OPERATOR)
    guard.put_account(ann, ["operator"], PASSWORD)
    unknown = as_user(ann)
    assert all(unknown.lack(command, [EVERYWHERE, "tenant/acme"]).permission for command in ROWS)
    others = as_user(ann, prefix=clean_server.prefix)
    assert all(others.lack(command, [EVERYWHERE, "tenant/acme"]).permission for command in ROWS)
    assert others.may() == {}
    assert guard.register() == [f"registered the commands as privileges of the application {guard.application}"]
    assert guard.register() == []
    asked = as_user(ann)
    for command in ROWS:
        assert bool(asked.lack(command, [EVERYWHERE])) is (command not in OPERATING), command


@pytest.mark.parametrize("command", ["transaction charge", "list", "tenant payment"])
def test_each_missing_right_is_named(
    emptied_server: BookServer, guard: ElasticGuard, ann: str, as_user: AsUser, command: str
) -> None:
    """Whichever of the rights that a command needs is missing, the command is refused before it begins."""
    role = Guarded("single", 30, (command,), "", DIRECT)
    guard.put_role(role)
    guard.put_account(ann, ["single"], PASSWORD)
    wanted = rights.needs(command, ROWS[command]).indices
    assert not as_user(ann).lack(command, [EVERYWHERE])
    name = quote(f"{guard.application}.single", safe="")
    body = rights.role_body(role, guard.application, emptied_server.prefix, ROWS)
    for kind, privilege in [(kind, one) for kind, all_of_kind in wanted.items() for one in all_of_kind]:
        left = {**wanted, kind: tuple(one for one in wanted[kind] if one != privilege)}
        given = rights.given(left, emptied_server.prefix)
        emptied_server.must("PUT", f"/_security/role/{name}", {**body, "indices": given})
        lack = as_user(ann).lack(command, ["tenant/acme"])
        assert lack == Lack(permission=False, rights=(f"{privilege} on {emptied_server.prefix}{kind}",)), (
            kind,
            privilege,
        )


def test_rights_that_others_gave_by_name_count(
    emptied_server: BookServer, guard: ElasticGuard, ann: str, as_user: AsUser
) -> None:
    """A role made by hand says create_doc and index, where ours spells out what they are for."""
    name = f"{guard.application}.by-hand"
    indices = [
        {"names": [f"{emptied_server.prefix}{kind}"], "privileges": list(privileges)}
        for kind, privileges in rights.needs("tenant payment", ROWS["tenant payment"]).indices.items()
    ]
    body = {"applications": [{"application": guard.application, "privileges": ["tenant.payment"], "resources": ["*"]}]}
    emptied_server.must("PUT", f"/_security/role/{name}", {**body, "indices": indices})
    emptied_server.must("PUT", f"/_security/user/{ann}", {"password": PASSWORD, "roles": [name]})
    assert not as_user(ann).lack("tenant payment", ["tenant/acme"])


def test_whoever_may_read_need_not_see_the_indices(emptied_server: BookServer, ann: str) -> None:
    """What lies in the books is read all the same; whether an index is lost is for others to find out."""
    names = [f"{emptied_server.prefix}*"]
    role = {"indices": [{"names": names, "privileges": ["read", "maintenance"]}]}
    emptied_server.must("PUT", f"/_security/role/{ann}", role)
    emptied_server.must("PUT", f"/_security/user/{ann}", {"password": PASSWORD, "roles": [ann]})
    with emptied_server.store(username=ann, password=PASSWORD) as store, store.archive() as archive:
        assert archive.streams() == ["g"]
        assert archive.documents("g", 1, 10) == []


def test_rights_of_the_cluster_are_named(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """As those on indices are."""
    guard.put_role(Guarded("maker", 30, ("setup",), "", SERVICE))
    guard.put_account(ann, ["maker"], PASSWORD)
    lack = as_user(ann).lack("setup", [EVERYWHERE])
    assert not lack.permission
    assert {"cluster monitor", "cluster manage_ingest_pipelines"} <= {*lack.rights}


def test_what_is_allowed_is_remembered(guard: ElasticGuard, ann: str, emptied_server: BookServer) -> None:
    """For a command on a resource; what is refused is asked again."""
    guard.put_role(VIEWER)
    guard.put_account(ann, [VIEWING], PASSWORD)
    server = emptied_server.server
    with (
        proxy(server.host, server.port) as between,
        emptied_server.store(between.url, guarded=True, username=ann, password=PASSWORD) as store,
    ):
        for _ in range(3):
            assert not store.guard().lack("list", ["tenant/acme"])
            assert not store.guard().lack("rate get", [EVERYWHERE])
        assert len(between.asked) == 2
        for number in range(3):
            assert store.guard().lack("list", ["tenant/bolt"])
            assert len(between.asked) == 3 + number


def test_who_is_asking_comes_with_what_is_allowed(guard: ElasticGuard, ann: str, emptied_server: BookServer) -> None:
    """By password or by key, and also where something is refused: no request of its own."""
    guard.put_role(VIEWER)
    guard.put_account(ann, [VIEWING], PASSWORD)
    key = emptied_server.must("POST", "/_security/api_key", {"name": f"{ann}-key"})["encoded"]
    by_key = {"username": "", "password": "", "api_key": key}
    for login, address in ((ann, {"username": ann, "password": PASSWORD}), ("elastic", by_key)):
        with (
            proxy(emptied_server.server.host, emptied_server.server.port) as between,
            emptied_server.store(between.url, guarded=True, **address) as store,
        ):
            assert bool(store.guard().lack("tenant add", ["tenant/acme"])) == (login == ann)
            assert store.actor() == login
            assert between.count("_security") == 1
            assert store.guard().caller().login == login


def test_a_role_of_the_service_gives_no_rights_on_indices(
    guard: ElasticGuard, ann: str, as_user: AsUser, emptied_server: BookServer
) -> None:
    """Its commands are permitted, and whoever has only it gets nothing out of the indices."""
    guard.put_role(OPERATOR._replace(name="hook", form=SERVICE))
    guard.put_account(ann, ["hook"], PASSWORD)
    lack = as_user(ann).lack("list", [EVERYWHERE])
    assert not lack.permission
    assert f"read on {emptied_server.prefix}tenant" in lack.rights
    said = emptied_server.send("GET", f"/{emptied_server.prefix}tenant/_search", user=(ann, PASSWORD))
    assert said.status == 403


def test_two_books_share_nothing(guard: ElasticGuard, ann: str, as_user: AsUser, clean_server: BookServer) -> None:
    """A user of both has in each what was given there, and loses it there alone."""
    with clean_server.store(guarded=True) as store:
        other = store.guard()
        assert store.setup()
        guard.put_role(OPERATOR)
        other.put_role(VIEWER)
        guard.put_account(ann, ["operator"], PASSWORD)
        other.put_account(ann, [VIEWING], None)
        assert other.roles() == [VIEWER]
        assert OPERATOR in guard.roles()
        assert VIEWER not in [role for role in guard.roles() if role.name == "Viewer" and role.scope == ""]
        there = as_user(ann, prefix=clean_server.prefix)
        assert not as_user(ann).lack("transaction charge", ["tenant/acme"])
        assert there.lack("transaction charge", ["tenant/acme"]).permission
        assert not there.lack("list", ["tenant/acme"])
        assert there.may() == {EVERYWHERE: ["rate get"], "tenant/acme": ["list"]}
        there_too = account(ann, "viewer@tenant/acme", others=(f"{guard.application}.operator",))
        assert other.account(ann) == there_too
        with pytest.raises(RefusedError, match="not made by dca for these books alone"):
            other.enable(ann, enabled=False)
        other.drop_account(ann)
        assert other.account(ann) == there_too._replace(roles=(), ours=False)
        assert not as_user(ann).lack("transaction charge", ["tenant/acme"])
        store.wipe()
        assert other.roles() == []
        assert OPERATOR in guard.roles()
        assert clean_server.must("GET", f"/_security/privilege/{other.application}") == {}


# -- roles ---------------------------------------------------------------------------------------------------------


def test_roles_are_read_back_as_they_were_written(guard: ElasticGuard) -> None:
    """From their metadata, whatever else Elasticsearch has; a role of theirs that is not ours is left alone."""
    for role in (VIEWER, OPERATOR, ROOT):
        guard.put_role(role)
        guard.put_role(role)
    assert {VIEWER, OPERATOR, ROOT} <= {*guard.roles()}
    wider = OPERATOR._replace(commands=("list",), level=20)
    guard.put_role(wider)
    assert wider in guard.roles()
    assert OPERATOR not in guard.roles()
    guard.drop_role("operator")
    guard.drop_role("operator")
    assert wider not in guard.roles()


def test_a_role_of_others_is_left_alone(guard: ElasticGuard, emptied_server: BookServer) -> None:
    """Even if it has the name of one of ours."""
    name = f"{guard.application}.foreign"
    emptied_server.must("PUT", f"/_security/role/{name}", {"cluster": ["monitor"]})
    left_alone = r"\.foreign was not made by dca for these books; nothing was changed"
    with pytest.raises(RefusedError, match=left_alone):
        guard.put_role(OPERATOR._replace(name="foreign"))
    with pytest.raises(RefusedError, match=left_alone):
        guard.drop_role("foreign")
    assert emptied_server.must("GET", f"/_security/role/{name}")[name]["cluster"] == ["monitor"]
    assert "foreign" not in [role.name for role in guard.roles()]


@pytest.mark.parametrize("name", ["a,b", "a b", "\u00e9", "x" * 301])
def test_a_role_that_elasticsearch_would_refuse(guard: ElasticGuard, name: str) -> None:
    """It is refused in one sentence."""
    with pytest.raises(RefusedError, match=r"cannot be one of Elasticsearch"):
        guard.put_role(OPERATOR._replace(name=name))


def test_a_role_that_is_made_again_is_given_to_nobody(guard: ElasticGuard, ann: str, as_user: AsUser) -> None:
    """Whoever had one of its name before it was deleted has lost it."""
    guard.put_role(OPERATOR)
    guard.put_account(ann, ["operator"], PASSWORD)
    guard.drop_role("operator")
    guard.put_role(OPERATOR)
    assert as_user(ann).lack("list", [EVERYWHERE]).permission


# -- an Elasticsearch without security, or whose security is not ready ---------------------------------------------

NO_PAGE = {"error": "no handler found for uri [/_security/role] and method [GET]"}
NOT_READY = {
    "error": {
        "root_cause": [{"type": "index_closed_exception", "reason": "closed", "index": ".security-7"}],
        "type": "index_closed_exception",
        "reason": "closed",
        "index": ".security-7",
    },
    "status": 400,
}
"""Both as a real server answers."""


def test_security_that_is_switched_off(emptied_server: BookServer) -> None:
    """Nothing is lacking, everybody may do everything, and roles and users cannot be changed."""
    server = emptied_server.server
    off = Fault("/_security/", status=400, body=NO_PAGE, times=FOR_EVER)
    with proxy(server.host, server.port, off) as insecure, emptied_server.store(insecure.url, guarded=True) as store:
        guard = store.guard()
        assert not guard.on()
        assert not guard.lack("tenant add", ["tenant/acme"])
        assert guard.caller() == ("", "", "", (), False)
        assert store.actor() == ""
        assert guard.may() == {EVERYWHERE: list(ROWS)}
        assert guard.register() == []
        for change in (
            guard.roles,
            lambda: guard.put_role(OPERATOR),
            lambda: guard.put_account("ann", [], PASSWORD),
            lambda: guard.make_key("ann", "x", 1),
        ):
            with pytest.raises(
                UnreachableError, match=r"security is switched off at http.*, so that everybody .* dca setup\.$"
            ):
                change()
    with emptied_server.store(guarded=True) as store:
        assert store.guard().on()


def test_a_security_index_that_is_not_ready(emptied_server: BookServer) -> None:
    """Nothing is allowed then, and nothing changed."""
    server = emptied_server.server
    closed = Fault("/_security/", status=400, body=NOT_READY, times=FOR_EVER)
    with (
        proxy(server.host, server.port, closed) as broken,
        emptied_server.store(broken.url, guarded=True, wait_seconds=2) as store,
    ):
        guard = store.guard()
        for ask in (
            lambda: guard.lack("list", [EVERYWHERE]),
            guard.roles,
            lambda: guard.put_role(OPERATOR),
            lambda: guard.put_account("ann", [], PASSWORD),
        ):
            with pytest.raises(
                UnreachableError, match=r"keeps users and roles is not ready \(closed\); nothing was changed"
            ):
                ask()


# -- root ----------------------------------------------------------------------------------------------------------


def test_root_sets_up_and_rules_from_scratch(clean_server: BookServer, prefix: str, folder: Path) -> None:
    """Without being a superuser: books, roles, users, keys; a backup, a restore, a repair; and destroys it all again."""
    login = f"{prefix}root"
    with clean_server.store(guarded=True) as store:
        store.guard().put_role(ROOT)
        store.guard().put_account(login, ["root"], PASSWORD)
    with clean_server.store(guarded=True, username=login, password=PASSWORD) as store:
        guard = store.guard()
        lacking = {command: guard.lack(command, [EVERYWHERE]) for command in ROWS}
        assert not any(lacking.values()), {command: lack for command, lack in lacking.items() if lack}
        assert guard.caller().root
        shell = Shell(folder, f"{clean_server.server.url_as(login, PASSWORD)}/{prefix}")
        registered = f"registered the commands as privileges of the application dca-{prefix}"
        assert registered in shell.ok("setup")["done"]
        guard.put_role(OPERATOR)
        guard.put_account(f"{prefix}hook", ["operator"], None)
        made = guard.make_key(f"{prefix}hook", "hook", 365)
        with clean_server.store(guarded=True, username="", password="", api_key=str(made["encoded"])) as hook:
            assert not hook.guard().lack("transaction charge", ["tenant/acme"])
        assert guard.drop_keys(f"{prefix}hook") == 1
        shell.ok("tenant", "add", "--tenant=acme")
        shell.ok("backup", "books.backup")
        assert OPERATOR in guard.roles()
        store.wipe()
        assert guard.roles() == [ROOT]
        shell.ok("restore", "books.backup")
        assert shell.ok("log", "repair", "-y")["left"] == []
        assert [one["name"] for one in shell.ok("list", f"--as-of={int(time.time())}")["list"]] == ["acme"]
        assert not [one for one in shell.ok("doctor")["checks"] if "privilege is missing" in one["found"]]
