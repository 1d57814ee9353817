"""The rights that commands need and roles give, without a server."""

from __future__ import annotations

from dca.store import elastic_rights as rights
from dca.store.guard import DIRECT, SERVICE, Row
from tests.elastic.guarded import ROOT, ROWS

REWRITING = {"manage", "delete", "delete_index", "write", "all", "create"}
APPENDED = ("log", "transaction", "payment", "rate", "key")


def test_below_root_no_direct_role_can_rewrite_the_log() -> None:
    """Whatever commands it has: those for which it would need to are for root alone."""
    body = rights.role_body(ROOT._replace(name="administrator", level=99), "dca", "", ROWS)
    for group in body["indices"]:
        assert not REWRITING & {*group["privileges"]}, group
        privileges, names = {*group["privileges"]}, {name.removesuffix("-v1") for name in group["names"]}
        if {"index", "create_doc"} & privileges:  # by these names mappings can be changed
            assert names == {"log"}
            assert "index" not in privileges
        if "indices:data/write/index*" in privileges:
            assert not {*APPENDED} & names, group
    assert not [one for one in body["cluster"] if one.startswith("manage")]
    assert "run_as" not in body
    (given,) = body["applications"]
    assert {*ROWS} - {name.replace(".", " ") for name in given["privileges"]} >= {
        "setup",
        "restore",
        "log repair",
        "bench",
    }


def test_a_command_that_changes_roles_is_for_root() -> None:
    """The right that it needs is as good as root."""
    changing, reading = Row(("role",), ("role", "login", "key")), Row(("role",), ())
    assert rights.is_for_root("role grant", changing)
    assert rights.needs("login key", changing).cluster == ("manage_security",)
    assert not rights.is_for_root("role list", reading)
    assert rights.needs("role list", reading).cluster == ("read_security",)


def test_what_reads_the_books_may_read_all_kinds() -> None:
    """An entry of somebody else that is not carried out yet can be about any of them."""
    for command, row in ROWS.items():
        wanted = rights.needs(command, row).indices
        reading = {kind for kind, privileges in wanted.items() if "read" in privileges}
        assert reading >= {*rights.ALL} if row.reads or row.writes else not reading, command


def test_rights_on_an_alias_are_rights_on_its_index() -> None:
    """Else a request is refused in its middle when anybody's role changes just then."""
    body = rights.role_body(ROOT._replace(name="administrator", level=99), "dca", "site-", ROWS)
    for group in body["indices"]:
        names = {*group["names"]}
        assert {f"{name.removesuffix('-v1')}-v1" for name in names} <= names
        assert all(name.startswith("site-") for name in names)


def test_only_root_has_what_nobody_registered_yet() -> None:
    """All others have the commands that they are given, one by one, whatever their form."""
    for role in (ROOT, ROOT._replace(form=SERVICE)):
        body = rights.role_body(role, "dca-site-", "site-", ROWS)
        assert [one["application"] for one in body["applications"]] == ["dca-site-", "dca-site-bench-*"]
        assert all(one["privileges"] == ["*"] for one in body["applications"])
        assert ("indices" in body) is (role.form == DIRECT)
    for form in (DIRECT, SERVICE):
        body = rights.role_body(ROOT._replace(level=99, form=form), "dca-site-", "site-", ROWS)
        assert all("*" not in one["privileges"] and one["application"] == "dca-site-" for one in body["applications"])
