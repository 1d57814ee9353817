"""What a root does to roles and logins of Elasticsearch, by the command line: nothing that shuts out the last one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.cli import checks
from tests.cli.shell import Shell
from tests.elastic.proxy import FOR_EVER, Fault, proxy
from tests.elasticsearch_server.cleaning import clean_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.shell import Result
    from tests.elastic.proxy import Asked
    from tests.elasticsearch_server.server import Server

PASSWORD = "a-password"
NEXT = "another-password"


def no(shell: Shell, *words: str, says: str) -> None:
    """Check that a command is refused with what it says."""
    assert says in checks.failure(shell.run(*words), 1)["error"]


class Site:
    """Books with a tenant, and a root who is no superuser."""

    def __init__(self, folder: Path, server: Server, prefix: str) -> None:
        """Set the books up."""
        self.server, self.prefix, self.folder = server, prefix, folder
        self.super = Shell(folder, f"{server.url}/{prefix}")
        for words in (["setup"], ["role", "install"], ["tenant", "add", "--tenant=acme"]):
            self.super.ok(*words)
        self.rita = self.hire("rita", "--role=root")

    def hire(self, name: str, *options: str) -> Shell:
        """Make a login; return its shell."""
        login = f"--login={self.prefix}{name}"
        self.super.ok("login", "add", login, *options, stdin=f"{PASSWORD}\n".encode())
        return self.shell(name)

    def shell(self, name: str, password: str = PASSWORD, place: str = "") -> Shell:
        """Return the shell of somebody, perhaps by way of another host."""
        place = place or f"{self.server.host}:{self.server.port}"
        return Shell(self.folder, f"http://{self.prefix}{name}:{password}@{place}/{self.prefix}")


@pytest.fixture(scope="module")
def site(elasticsearch: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Make the books."""
    prefix = f"govern{os.getpid()}-"
    clean_up(elasticsearch, prefix)
    yield Site(tmp_path_factory.mktemp("governing"), elasticsearch, prefix)
    clean_up(elasticsearch, prefix)


def test_root_on_a_tenant_is_none(site: Site) -> None:
    """Root has Elasticsearch's right to manage security, which is of the whole site or not at all."""
    login = f"--login={site.prefix}tom"
    site.super.ok("login", "add", login, "--no-password")
    for words in (["role", "grant", login], ["login", "add", f"--login={site.prefix}tim", "--no-password"]):
        no(site.super, *words, "--role=root", "--tenant=acme", says="is for the whole site")
    site.super.ok("role", "create", "--role=chief", "--like=root", "--tenant=acme")
    site.super.ok("role", "grant", "--role=chief", login)
    (body,) = site.server.call("GET", f"/_security/role/dca-{site.prefix}.chief@tenant%2Facme").values()
    assert {one for given in body["applications"] for one in given["resources"]} <= {"*", "tenant/acme"}
    assert not {"manage_security", "all"} & {*body["cluster"]}
    assert not body.get("run_as")


def test_the_form_of_the_service_leaves_a_root(site: Site) -> None:
    """Root keeps the rights to change roles when all others come through a service."""
    made = site.rita.ok("role", "install", "--form=service")["roles"]
    assert {one["name"]: one["form"] for one in made} == {
        one["name"]: "direct" if one["name"] == "root" else "service" for one in made
    }
    site.rita.ok("role", "install")
    assert site.rita.ok("whoami")["pending"] == []


def test_a_direct_role_says_what_it_holds(site: Site) -> None:
    """What is for root alone is left out of it, and told; the same command again is done already."""
    words = ("role", "create", "--role=much", "--commands=list,role *")
    made = site.rita.ok(*words)
    assert made["role"]["commands"] == ["list", "role list", "role show"]
    assert made["left_out"] == [f"role {one}" for one in ("install", "create", "modify", "delete", "grant", "revoke")]
    assert site.rita.ok(*words) == made
    assert site.rita.ok("role", "show", "--role=much")["role"]["commands"] == made["role"]["commands"]
    assert site.rita.ok("role", "create", "--role=none", "--commands=role grant")["role"]["commands"] == []
    for one in site.rita.ok("role", "install")["roles"]:
        assert one["commands"] == site.rita.ok("role", "show", f"--role={one['name']}")["role"]["commands"]


def test_a_password_is_not_kept_as_another(site: Site) -> None:
    """Bytes that are no text would be a question mark at Elasticsearch."""
    login = f"--login={site.prefix}ceci"
    failed = checks.failure(site.super.run("login", "add", login, stdin=b"caf\xe9-secret\n"), 2)
    assert "cannot be read as UTF-8" in failed["error"]
    no(site.super, "login", "delete", login, "-y", says="there is no login")


def test_a_role_is_shown_with_all_who_have_it(site: Site) -> None:
    """Wherever they have it, though Elasticsearch has a role of its own for each place."""
    site.hire("vera", "--role=viewer", "--tenant=acme")
    site.hire("vic", "--role=viewer")
    assert site.rita.ok("role", "show", "--role=viewer")["role"]["logins"] == [
        {"login": f"{site.prefix}vera", "on": "tenant/acme"},
        {"login": f"{site.prefix}vic", "on": ""},
    ]


def test_two_roots_do_not_end_each_other(site: Site) -> None:
    """While one takes root from the other, who is asked to give way to that one, at least one of them stays."""
    site.hire("rolf", "--role=root")
    refusals: list[Result] = []
    rita, rolf = (["role", "revoke", "--role=root", f"--login={site.prefix}{name}"] for name in ("rita", "rolf"))

    def take(asked: Asked) -> bool:
        if not refusals and f"/_security/user/{site.prefix}rolf" in asked.path:
            refusals.append(site.shell("rolf").run(*rita))
        return False

    with proxy(
        site.server.host, site.server.port, Fault("/_security/user/", FOR_EVER, when=take, method="PUT")
    ) as between:
        site.shell("rita", place=urlsplit(between.url).netloc).ok(*rolf)
    (refusal,) = refusals
    assert "without a root" in checks.failure(refusal, 1)["error"]
    assert site.rita.ok("whoami")["root"]


def test_lines_of_who_may_do_nothing(site: Site) -> None:
    """Are refused as the command alone is: what is missing, and which roles have it; else each line by itself."""
    site.super.ok("role", "create", "--role=outside", "--like=operator", "--form=service")
    line = b'{"project": "rockets", "user": "wile", "jobtime": 1}\n'
    for name, role, says in (
        ("nils", (), "is not permitted to run dca transaction charge; roles with it: root, administrator, operator; "),
        ("olga", ("--role=outside",), "may run dca transaction charge, but Elasticsearch does not give them "),
    ):
        done = site.hire(name, *role).run("transaction", "charge", "--file=-", stdin=line)
        assert says in checks.failure(done, 4)["error"]
    done = site.hire("hook", "--role=operator", "--tenant=acme").run("transaction", "charge", "--file=-", stdin=line)
    assert (done.status, done.answer["line"], done.answer["code"]) == (1, 1, "not_permitted")


def test_what_a_root_takes_from_oneself(site: Site) -> None:
    """A new password of one's own counts at once; neither root nor the login nor the key in use is taken by oneself."""
    ruth, login = site.hire("ruth", "--role=root"), f"--login={site.prefix}ruth"
    ruth.ok("login", "password", login, stdin=f"{NEXT}\n".encode())
    ruth = site.shell("ruth", NEXT)
    assert ruth.ok("whoami")["pending"] == []
    for words in (["role", "revoke", "--role=root", login], ["login", "delete", login, "-y"]):
        no(ruth, *words, says="let another root do it")
    key = site.rita.ok("login", "key", login)["api_key"]
    place = f"http://{site.server.host}:{site.server.port}/{site.prefix}"
    by_key = Shell(site.folder, place)
    by_key.environment["DCA_API_KEY"] = key
    no(by_key, "login", "key", login, "--revoke", says="come with the password instead")
    assert by_key.ok("whoami")["pending"] == []
    assert ruth.ok("login", "key", login, "--revoke")["revoked"] == 1
    site.rita.ok("login", "delete", login, "-y")
    assert site.rita.ok("whoami")["pending"] == []
