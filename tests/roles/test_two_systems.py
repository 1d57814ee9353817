"""A change of a role or login concerns the log and Elasticsearch: whatever breaks off between, the same command ends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.cli.shell import Shell
from tests.elastic.proxy import Fault, proxy
from tests.elasticsearch_server.cleaning import clean_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.elasticsearch_server.server import Server

FAR = 10**9


class Case(NamedTuple):
    """A command, and the request at Elasticsearch without which it is not done."""

    words: tuple[str, ...]
    method: str
    path: str
    before: tuple[tuple[str, ...], ...] = ()
    """What must be done for it to be good."""
    subject: str = "login"
    reaches: bool = False
    """Whether the request is done and its answer lost, or never comes there."""


ADD = ("login", "add", "--login=@ada", "--no-password")
CREATE = ("role", "create", "--role=@night", "--commands=list")
WITH_ROLE = (*ADD, "--role=viewer")
CASES = (
    Case(("role", "install"), "PUT", "/_security/role/", subject="role"),
    Case(CREATE, "PUT", "/_security/role/", subject="role"),
    Case(("role", "modify", "--role=@night", "--level=20"), "PUT", "/_security/role/", (CREATE,), "role", reaches=True),
    Case(("role", "delete", "--role=@night", "-y"), "DELETE", "/_security/role/", (CREATE,), "role"),
    Case(("role", "delete", "--role=@night", "-y"), "DELETE", "/_security/role/", (CREATE,), "role", reaches=True),
    Case((*ADD, "--role=operator"), "PUT", "/_security/user/"),
    Case((*ADD, "--role=operator"), "PUT", "/_security/user/", reaches=True),
    Case(("role", "grant", "--role=viewer", "--login=@ada"), "PUT", "/_security/user/", (ADD,)),
    Case(("role", "revoke", "--role=viewer", "--login=@ada"), "PUT", "/_security/user/", (WITH_ROLE,)),
    Case(("role", "revoke", "--role=viewer", "--login=@ada"), "PUT", "/_security/user/", (WITH_ROLE,), reaches=True),
    Case(("login", "disable", "--login=@ada", "-y"), "PUT", "_disable", (ADD,), reaches=True),
    Case(("login", "delete", "--login=@ada", "-y"), "DELETE", "/_security/user/", (ADD,)),
    Case(("login", "delete", "--login=@ada", "-y"), "DELETE", "/_security/user/", (ADD,), reaches=True),
    Case(("login", "password", "--login=@ada"), "PUT", "_password", (ADD,)),
)


class Site:
    """Books on Elasticsearch, reached directly and through a proxy; each case has a login and a role of its own."""

    def __init__(self, folder: Path, server: Server, prefix: str) -> None:
        """Set the books up."""
        self.server, self.prefix = server, prefix
        self.direct = Shell(folder, f"{server.url}/{prefix}")
        self.direct.ok("setup")
        self.direct.ok("role", "install")
        self.number = 0

    def words(self, words: tuple[str, ...]) -> list[str]:
        """Return words with the login and the role of the case."""
        return [
            word.replace("@ada", f"{self.prefix}{self.number}").replace("@night", f"night{self.number}")
            for word in words
        ]

    def do(self, words: tuple[str, ...]) -> dict[str, Any]:
        """Run a command directly."""
        return self.direct.ok(*self.words(words), stdin=b"a-password\n")

    def through(self, url: str) -> Shell:
        """Return a shell that reaches the books by way of a proxy."""
        place = urlsplit(self.server.url)
        return Shell(
            self.direct.folder, self.direct.store.replace(f"{place.hostname}:{place.port}", urlsplit(url).netloc)
        )

    def security(self) -> Any:
        """Return the roles and users of these books."""
        roles, users = self.server.call("GET", "/_security/role"), self.server.call("GET", "/_security/user")
        return [{name: body for name, body in found.items() if self.prefix in name} for found in (roles, users)]


@pytest.fixture(scope="module")
def books(elasticsearch: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Make books with the roles that every site has, once."""
    prefix = f"two{os.getpid()}-"
    clean_up(elasticsearch, prefix)
    yield Site(tmp_path_factory.mktemp("two"), elasticsearch, prefix)
    clean_up(elasticsearch, prefix)


@pytest.fixture
def site(books: Site) -> Site:
    """Return the books for another case."""
    books.number += 1
    return books


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{' '.join(case.words[:2])}, {'unanswered' if case.reaches else 'lost'}"
)
def test_what_was_begun_is_ended_by_the_same_command(case: Case, site: Site) -> None:
    """The server is gone when the call comes, or its answer is lost: whoami tells of it, and the command again ends it."""
    for words in case.before:
        site.do(words)
    fault = Fault(case.path, FAR, reaches=case.reaches, method=case.method)
    with proxy(site.server.host, site.server.port, fault) as between:
        broken = site.through(between.url).run(*site.words(case.words), "--wait=3", stdin=b"a-password\n")
    assert broken.status == 3, broken
    command = " ".join(case.words[:2])
    begun = site.direct.ok("whoami")["pending"]
    assert begun, "what was begun is told"
    assert all(one.endswith(f": dca {command} was begun and not ended; run it again") for one in begun)
    assert {one.split()[0] for one in begun} == {case.subject}
    site.do(case.words)
    assert site.direct.ok("whoami")["pending"] == []
    mended = site.security()
    told = [one["details"] for one in site.direct.ok("log", "list", f"--action={case.words[1]}", "--limit=3")["log"]]
    assert told[0].endswith("was done")
    assert not any("password" in one.replace("no-password", "") for one in told)
    again = site.direct.run(*site.words(case.words), stdin=b"a-password\n")
    assert again.status in (0, 1), again
    assert site.security() == mended, "a command that is done changes nothing when it is run again"


def test_a_refusal_of_elasticsearch_leaves_nothing_pending(site: Site) -> None:
    """Where Elasticsearch, or what lies there, says no after all, the entry after it says so, and all is as before."""
    login = f"{site.prefix}{site.number}"
    foreign = {"password": "a-password", "roles": [], "enabled": False}
    site.server.call("PUT", f"/_security/user/{login}", foreign)
    before = site.security()
    refused = site.direct.run("login", "add", f"--login={login}", "--no-password")
    assert refused.status == 1, refused
    assert "was not made by dca" in refused.answer["error"]
    assert site.security() == before
    assert site.direct.ok("whoami")["pending"] == []
    last, *_ = site.direct.ok("log", "list", "--action=add", "--category=login")["log"]
    assert "was refused: " in last["details"]
