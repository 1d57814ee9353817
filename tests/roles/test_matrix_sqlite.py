"""Each role, on the site, a tenant and a project, with each command, on SQLite, where the books decide."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dca.commands.table import BY_WORDS, COMMANDS
from dca.store.sqlite import SqliteStore
from tests.cli.shell import dump, scratch
from tests.roles.cases import ANYWHERE, CALLS, GRANTS, Call, Grant, is_permitted
from tests.roles.site import Outcome, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "the.root"
ELSEWHERE = {"login password": "refused", "login key": "refused", "role install": ""}
"""What SQLite leaves to the operating system, and how whoever may run it is told."""
COMMANDS_GUARDED = [command.words for command in COMMANDS if not command.is_open]


def opened(folder: Path) -> Site:
    """Return the site whose books lie in a folder."""
    file = folder / "books.db"
    return Site(folder, lambda login: SqliteStore(file, actor=login or ROOT), lambda: dump(file))


@pytest.fixture(scope="module")
def first() -> Iterator[Path]:
    """Return a folder with the books of a site in which everybody is granted what they have."""
    with scratch() as folder:
        site = opened(folder)
        site.begin()
        site.must("role grant", {"--role": "root", "--login": ROOT})
        for grant in GRANTS:
            kind, _, name = grant.place.partition("/")
            site.must(
                "role grant", {"--role": grant.role, "--login": grant.name, **({f"--{kind}": name} if kind else {})}
            )
        site.must("role grant", {"--role": "viewer", "--login": "somebody.else", "--tenant": "blue"})
        site.close()
        yield folder


@pytest.fixture
def site(first: Path) -> Iterator[Site]:
    """Return such a site, which the test may change."""
    with tempfile.TemporaryDirectory(dir=first.parent, prefix="dca-test-") as name:
        folder = Path(name)
        for file in ("books.db", "first.backup"):
            shutil.copy(first / file, folder)
        site = opened(folder)
        yield site
        site.close()


def check_refused(outcome: Outcome, login: str, call: Call) -> None:
    """Check that a refusal says who may not do what, and which roles have it."""
    assert (outcome.code, outcome.exit_status) == ("not_permitted", 4), (login, call.name, outcome)
    sentence = outcome.sentence
    if "; roles with it: " in sentence:
        assert sentence.startswith(f"{login} is not permitted to run dca {call.words}"), sentence
        listed = re.search(r"roles with it: ([a-z, -]+);", sentence)
        assert listed is not None, sentence
        assert listed[1].split(", ") == ["root", *sorted(BY_WORDS[call.words].roles, key=_rank)], sentence
        places = [place for place in call.about if place not in ("", "anywhere")]
        if BY_WORDS[call.words].scope == "anywhere":
            return
        if places:
            assert any(f" on {place.replace('/', ' ')};" in sentence for place in places), sentence
        else:
            assert " on the whole site;" in sentence, sentence
    else:  # the hierarchy
        assert "outside your scope" in sentence or "level" in sentence or "may not do yourself" in sentence, sentence


def _rank(role: str) -> int:
    order = ("administrator", "tenant-administrator", "project-manager", "operator", "biller", "auditor", "viewer")
    return order.index(role)


@pytest.mark.parametrize("grant", GRANTS, ids=[grant.name for grant in GRANTS])
def test_matrix(site: Site, grant: Grant) -> None:
    """What is permitted works and shows nothing of others; what is not is refused, also dry, and changes nothing."""
    for template in CALLS:
        call = site.prepared(template)
        if ELSEWHERE.get(call.words):  # whoever may run it anywhere is told
            call = call._replace(about=(ANYWHERE,))
        before = site.state()
        if not is_permitted(grant, call):
            for dry_run in (False, True) if BY_WORDS[call.words].changes else (False,):
                check_refused(site.run(grant.name, call.words, dict(call.options), dry_run=dry_run), grant.name, call)
            assert site.state() == before, call.name
            continue
        outcome = site.run(grant.name, call.words, dict(call.options))
        assert outcome.code == ELSEWHERE.get(call.words, call.code), (call.name, outcome)
        changes = BY_WORDS[call.words].changes and not call.leaves and call.words not in ELSEWHERE
        assert (site.state() != before) is (changes and not outcome.code), call.name
        if grant.place and not changes and "FILE" not in call.options:
            assert not re.search("blue|boats|somebody", outcome.text), (call.name, outcome.text)


@pytest.mark.parametrize("words", COMMANDS_GUARDED)
def test_exactly_its_right(site: Site, words: str) -> None:
    """A role of one command, of a level that may give, is enough for it; one of all others is not."""
    site.must("role create", {"--role": "single", "--commands": words, "--level": "99"})
    site.must("role grant", {"--role": "single", "--login": "only"})
    others = ",".join(other for other in COMMANDS_GUARDED if other != words)
    site.must("role create", {"--role": "rest", "--commands": others, "--level": "99"})
    site.must("role grant", {"--role": "rest", "--login": "other"})
    for template in [call for call in CALLS if call.words == words]:
        call = site.prepared(template)
        before = site.state()
        check_refused(site.run("other", words, dict(call.options)), "other", call)
        check_refused(site.run("stranger", words, dict(call.options)), "stranger", call)
        check_refused(site.run("other", words, dict(call.options), key="a-key"), "other", call)
        assert site.state() == before
        outcome = site.run("only", words, dict(call.options))
        assert outcome.code == ELSEWHERE.get(words, call.code), (call.name, outcome)


def test_a_key_gives_no_rights(site: Site) -> None:
    """Whoever may not run a command gets no answer that was kept under a key."""
    for words in ("tenant payment", "tenant modify", "user add", "role grant", "transaction charge"):
        call = site.prepared(next(call for call in CALLS if call.words == words))
        key = f"key-{words.replace(' ', '-')}"
        assert not site.run("", words, dict(call.options), key=key).code
        before = site.state()
        check_refused(site.run("viewer", words, dict(call.options), key=key), "viewer", call)
        assert site.state() == before
        assert site.run("administrator", words, dict(call.options), key=key).answer["repeated"]
