"""Each role with each command as real users of a real Elasticsearch, which decides and enforces what they may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

from dca.commands.table import BY_WORDS, COMMANDS, PERMITTED, rows
from dca.core.permissions import TEMPLATES
from dca.store import elastic_rights as rights
from dca.store.elastic import ElasticStore
from dca.store.guard import application_of, privilege_of
from tests.cli.shell import Shell, scratch
from tests.elastic.fixtures import lasting
from tests.roles.cases import CALLS, Call, Grant, is_permitted
from tests.roles.site import PASSWORD, Outcome, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.elastic.server import BookServer
    from tests.elasticsearch_server.server import Server

GRANTS = (
    *(Grant(role, "") for role in ("root", "administrator", "operator", "biller", "auditor")),
    Grant("tenant-administrator", "tenant/acme"),
    Grant("viewer", "tenant/acme"),
    Grant("project-manager", "project/rockets"),
)
OF_ROOT = (
    "role create", "role modify", "role delete", "role grant", "role revoke", "login add", "login disable", "login delete",
    "login password", "login key", "bench",
)  # fmt: skip
"""What needs rights of Elasticsearch that are as good as root's, so that nobody else has it in direct form."""
SOME = tuple({(call.words, call.where): call for call in reversed(CALLS)}.values())
"""One call of a command on each of the places; SQLite is tried with all of them."""
GUARDED = [command.words for command in COMMANDS if not command.is_open]
CODES = {"doctor": ("", "unhealthy")}
"""The clock of the tests is not the server's, and whoever sees it is told."""
ROWS = rows()
SINGLE = "single"
QUICK = (
    "tenant add", "tenant payment", "project movebudget", "list", "transaction charge", "job import", "log verify",
    "log repair", "backup", "role grant", "login key",
)  # fmt: skip
"""Commands that are tried in a moment; all are, with each right, by test_each_single_right."""


class Books(Site):
    """A site on Elasticsearch."""

    def __init__(self, server: BookServer, folder: Any) -> None:
        """Take a server with empty books and a folder for files."""
        super().__init__(folder, self._open, self._state)
        self.server = server
        self.logins = server.prefix
        self.application = application_of(server.prefix)

    def _open(self, login: str) -> ElasticStore:
        address = self.server.address
        if login:
            address = address._replace(username=f"{self.logins}{login}", password=PASSWORD)
        return ElasticStore(address, PERMITTED, rows=ROWS, wait_seconds=20)

    def _state(self) -> str:
        """Return how often each index was written to, and all users and roles."""
        stats = self.server.must("GET", f"/{self.logins}*/_stats/indexing")["indices"]
        counts = {name: one["primaries"]["indexing"] for name, one in stats.items()}
        written = {name: (one["index_total"], one["delete_total"]) for name, one in counts.items()}
        users = self.server.must("GET", "/_security/user")
        roles = self.server.must("GET", "/_security/role")
        return json.dumps(
            [
                written,
                {name: body for name, body in users.items() if name.startswith(self.logins)},
                {name: body for name, body in roles.items() if name.startswith(f"{self.application}.")},
            ],
            sort_keys=True,
        )

    def write_role(self, cluster: Any, indices: Mapping[str, tuple[str, ...]], privileges: list[str]) -> None:
        """Give the single user exactly these rights."""
        application = {"application": self.application, "privileges": privileges, "resources": ["*"]}
        body = {
            "cluster": list(cluster),
            "indices": rights.given(indices, self.logins),
            "applications": [application] if privileges else [],
            "run_as": ["*"],  # what dca login key needs; it gives nothing without the name of a user
        }
        self.server.must("PUT", f"/_security/role/{quote(f'{self.logins}{SINGLE}', safe='')}", body)
        self.reopen(SINGLE)


@pytest.fixture(scope="module")
def books(elasticsearch: Server) -> Iterator[Books]:
    """Return a site whose users were made by dca, and one user with a role made by hand."""
    with scratch() as folder, lasting(elasticsearch, "roles") as server:
        site = Books(server, folder)
        site.begin()
        site.must("role install", {})
        for grant in GRANTS:
            kind, _, name = grant.place.partition("/")
            place = {f"--{kind}": name} if kind else {}
            site.must("login add", {"--login": f"{site.logins}{grant.name}", "--role": grant.role, **place})
        site.must("role create", {"--role": "service", "--like": "administrator", "--form": "service"})
        site.must("login add", {"--login": f"{site.logins}service", "--role": "service"})
        site.write_role((), {}, [])
        user = {"password": PASSWORD, "roles": [f"{site.logins}{SINGLE}"]}
        server.must("PUT", f"/_security/user/{site.logins}{SINGLE}", user)
        yield site
        site.close()


def is_expected(grant: Grant, call: Call) -> bool:
    """Tell whether somebody with direct access may do something."""
    return is_permitted(grant, call) and (grant.role == "root" or call.words not in OF_ROOT)


def check_refused(site: Books, login: str, call: Call, outcome: Outcome) -> None:
    """Check that a refusal names who, and what of which command."""
    assert (outcome.code, outcome.exit_status) == ("not_permitted", 4), (login, call.name, outcome)
    assert outcome.sentence.startswith(f"{site.logins}{login} "), outcome.sentence
    assert f"dca {call.words}" in outcome.sentence, outcome.sentence


def refuse(site: Books, login: str, calls: list[Call]) -> dict[str, str]:
    """Check that calls are refused and none changes anything; return what was said."""
    prepared = [site.ready(call) for call in calls]
    before = site.state()
    said = {}
    for call in prepared:
        outcome = site.run(login, call.words, dict(call.options))
        check_refused(site, login, call, outcome)
        said[call.words] = outcome.sentence
    if site.state() == before:
        return said
    for call in prepared:  # which of them was it
        before = site.state()
        site.run(login, call.words, dict(call.options))
        assert site.state() == before, call.name
    raise AssertionError(f"something changed the books when it was refused to {login}")


@pytest.mark.parametrize("grant", GRANTS, ids=[grant.name for grant in GRANTS])
def test_refused(books: Books, grant: Grant) -> None:
    """What a role does not permit is refused with what is missing and who has it, and changes neither books nor users."""
    said = refuse(books, grant.name, [call for call in SOME if not is_expected(grant, call)])
    for words, sentence in said.items():
        assert "roles with it: root" in sentence, sentence
        for role in [one.name for one in TEMPLATES if one.name in BY_WORDS[words].roles and words not in OF_ROOT]:
            assert role in sentence, sentence


@pytest.mark.parametrize("grant", GRANTS, ids=[grant.name for grant in GRANTS])
def test_permitted(books: Books, grant: Grant) -> None:
    """What a role permits works, with the rights that dca gave it."""
    for call in [call for call in SOME if is_expected(grant, call)]:
        ready = books.prepared(call)
        outcome = books.run(grant.name, ready.words, dict(ready.options))
        assert outcome.code in CODES.get(call.words, (call.code,)), (grant.name, ready.name, outcome)


def test_a_role_of_the_service(books: Books) -> None:
    """Gives nobody anything who comes without a service, and each refusal says so."""
    said = refuse(books, "service", [call for call in SOME if call.words in GUARDED])
    for command in COMMANDS:
        if "administrator" in command.roles:
            assert "through a service only" in said[command.words], said[command.words]
        elif not command.is_open:
            assert "roles with it: root" in said[command.words], said[command.words]


@pytest.mark.parametrize("words", QUICK)
def test_exactly_its_rights(books: Books, words: str) -> None:
    """A command works with the rights that it is said to need, and with one less it is refused, and changes nothing.

    Which one is missing differs from command to command; all commands with each of them: test_each_single_right.
    """
    check_exactly(books, words, all_of_them=False)


@pytest.mark.torture
@pytest.mark.parametrize("words", GUARDED)
def test_each_single_right(books: Books, words: str) -> None:
    """The same with each right that there is."""
    check_exactly(books, words, all_of_them=True)


def check_exactly(books: Books, words: str, *, all_of_them: bool) -> None:
    """Take one right after the other from somebody who has exactly those of a command, then give all back."""
    needed = rights.needs(words, ROWS[words])
    calls = [call for call in CALLS if call.words == words]
    refused = books.ready(calls[0])
    lacks = [Lack("", "roles with it: root", needed.cluster, needed.indices)]
    lacks += [
        Lack(
            privilege_of(words),
            f"{right} on {books.logins}{kind}",
            needed.cluster,
            _without(needed.indices, kind, right),
        )
        for kind, given in needed.indices.items()
        for right in given
    ]
    lacks += [
        Lack(
            privilege_of(words),
            f"cluster {right}",
            tuple(one for one in needed.cluster if one != right),
            needed.indices,
        )
        for right in needed.cluster
    ]
    if not all_of_them:
        lacks = [lacks[GUARDED.index(words) * 7 % len(lacks)]]
    before = books.state()
    for lack in lacks:
        books.write_role(lack.cluster, lack.indices, [lack.privilege] if lack.privilege else [])
        outcome = books.run(SINGLE, words, dict(refused.options))
        check_refused(books, SINGLE, refused, outcome)
        assert lack.said in outcome.sentence, (lack, outcome)
    assert books.state() == before
    books.write_role(needed.cluster, needed.indices, [privilege_of(words)])
    for call in calls if all_of_them else calls[:1]:
        ready = books.prepared(call)
        outcome = books.run(SINGLE, words, dict(ready.options))
        assert outcome.code in CODES.get(words, (call.code,)), (ready.name, outcome, outcome.answer)


class Lack(NamedTuple):
    """The rights of somebody who lacks one, and what is said of it."""

    privilege: str
    said: str
    cluster: tuple[str, ...]
    indices: Mapping[str, tuple[str, ...]]


def _without(indices: Mapping[str, tuple[str, ...]], kind: str, right: str) -> dict[str, tuple[str, ...]]:
    return {**indices, kind: tuple(one for one in indices[kind] if one != right)}


def test_from_the_command_line(books: Books) -> None:
    """A refusal has exit status 4, and what is permitted works, in a process of its own too."""
    url = books.server.server.url_as(f"{books.logins}viewer.tenant.acme", PASSWORD)
    with scratch() as folder:
        shell = Shell(folder, f"{url}/{books.logins}")
        before = books.state()
        result = shell.process("tenant", "payment", "--tenant=acme", "--payment=1")
        assert result.status == 4, result
        assert f"{books.logins}viewer.tenant.acme is not permitted to run dca tenant payment" in result.answer["error"]
        assert shell.run("list", "--tenant=blue").status == 4
        assert shell.ok("list", "--tenant=acme")["list"]
        assert books.state() == before
