"""Who may give, change and take roles and logins, by the real commands on SQLite."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import BY_WORDS
from dca.lines import run_lines
from dca.store.sqlite import SqliteStore
from tests.cli.shell import Shell, dump, scratch
from tests.roles.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT, ADMINISTRATOR, CHIEF = "the.root", "adam", "tina"
"""Chief is the tenant-administrator of acme."""
VIEWER = {"--role": "viewer", "--login": "vera"}


def opened(folder: Path) -> Site:
    """Return the site whose books lie in a folder."""
    file = folder / "books.db"
    return Site(folder, lambda login: SqliteStore(file, actor=login or ROOT), lambda: dump(file))


@pytest.fixture(scope="module")
def first() -> Iterator[Path]:
    """Return a folder with books that have a root, an administrator, and an administrator of a tenant."""
    with scratch() as folder:
        site = opened(folder)
        site.begin()
        for role, login, place in (
            ("root", ROOT, {}),
            ("administrator", ADMINISTRATOR, {}),
            ("tenant-administrator", CHIEF, {"--tenant": "acme"}),
            ("operator", "hook", {"--tenant": "acme"}),
        ):
            site.must("role grant", {"--role": role, "--login": login, **place})
        site.close()
        yield folder


@pytest.fixture
def site(first: Path) -> Iterator[Site]:
    """Return such a site, which the test may change."""
    with tempfile.TemporaryDirectory(dir=first.parent, prefix="dca-test-") as name:
        shutil.copy(first / "books.db", name)
        site = opened(Path(name))
        yield site
        site.close()


def refused(site: Site, login: str, words: str, options: dict[str, Any], code: str = "not_permitted") -> str:
    """Check that a command is refused and changes nothing; return what is said."""
    before = site.state()
    outcome = site.run(login, words, options)
    assert outcome.code == code, (login, words, options, outcome)
    assert site.state() == before
    return outcome.sentence


def test_a_tenant_administrator_rules_the_tenant(site: Site) -> None:
    """Gives what is below on its tenant and projects, and takes it back."""
    site.must("role grant", {**VIEWER, "--tenant": "acme"}, CHIEF)
    site.must("role grant", {**VIEWER, "--role": "project-manager", "--project": "rockets"}, CHIEF)
    assert site.run("vera", "list", {"--tenant": "acme"}).code == ""
    site.must("role revoke", {**VIEWER, "--tenant": "acme"}, CHIEF)
    assert site.run("vera", "list", {"--tenant": "acme"}).code == "not_permitted"
    assert site.run("vera", "list", {"--project": "rockets"}).code == ""
    site.must("login disable", {"--login": "vera"}, CHIEF)
    assert site.run("vera", "list", {"--project": "rockets"}).code == "not_permitted"


@pytest.mark.parametrize(
    ("login", "words", "options"),
    [
        (CHIEF, "role grant", {**VIEWER, "--tenant": "blue"}),
        (CHIEF, "role grant", {**VIEWER, "--project": "boats"}),
        (CHIEF, "role grant", VIEWER),
        (CHIEF, "role grant", {"--role": "tenant-administrator", "--login": "vera", "--tenant": "acme"}),
        (CHIEF, "role grant", {"--role": "tenant-administrator", "--login": CHIEF, "--tenant": "blue"}),
        (CHIEF, "role grant", {"--role": "administrator", "--login": CHIEF, "--tenant": "acme"}),
        (CHIEF, "role grant", {"--role": "operator", "--login": "vera", "--tenant": "acme"}),
        (CHIEF, "role revoke", {"--role": "administrator", "--login": ADMINISTRATOR}),
        (CHIEF, "role create", {"--role": "mine", "--commands": "list"}),
        (CHIEF, "role create", {"--role": "mine", "--commands": "list", "--tenant": "blue"}),
        (CHIEF, "role create", {"--role": "mine", "--commands": "tenant payment", "--tenant": "acme"}),
        (CHIEF, "role create", {"--role": "mine", "--commands": "list", "--tenant": "acme", "--level": "60"}),
        (CHIEF, "role create", {"--role": "mine", "--like": "root", "--tenant": "acme"}),
        (CHIEF, "login disable", {"--login": ADMINISTRATOR}),
        (CHIEF, "login delete", {"--login": ROOT}),
        (CHIEF, "login disable", {"--login": CHIEF}),
        (ADMINISTRATOR, "role grant", {"--role": "root", "--login": ADMINISTRATOR}),
        (ADMINISTRATOR, "role grant", {"--role": "root", "--login": ADMINISTRATOR, "--tenant": "acme"}),
        (ADMINISTRATOR, "role grant", {"--role": "administrator", "--login": "vera"}),
        (ADMINISTRATOR, "role revoke", {"--role": "root", "--login": ROOT}),
        (ADMINISTRATOR, "role create", {"--role": "mine", "--commands": "restore", "--level": "1"}),
        (ADMINISTRATOR, "login disable", {"--login": ROOT}),
        (ADMINISTRATOR, "login delete", {"--login": ROOT}),
        ("hook", "role grant", {"--role": "operator", "--login": "vera", "--tenant": "acme"}),
        ("nobody.known", "role grant", {"--role": "root", "--login": "nobody.known"}),
    ],
)  # fmt: skip
def test_what_is_not_below_stays(site: Site, login: str, words: str, options: dict[str, Any]) -> None:
    """Nobody gives, changes or takes what is beyond their scope, at or above their level, or more than they have."""
    refused(site, login, words, options)


def test_what_others_have_elsewhere_is_not_shown(site: Site) -> None:
    """An administrator of a tenant sees the logins of the tenant, and of their roles those on it."""
    site.must("role grant", {**VIEWER, "--tenant": "acme"})
    site.must("role grant", {**VIEWER, "--tenant": "blue"})
    logins = site.run(CHIEF, "login list", {}).answer["logins"]
    assert {one["login"]: one["roles"] for one in logins} == {
        CHIEF: ["tenant-administrator@tenant/acme"],
        "hook": ["operator@tenant/acme"],
        "vera": ["viewer@tenant/acme"],
    }
    assert len(site.run(ROOT, "login list", {}).answer["logins"]) > len(logins)


def test_what_others_have_elsewhere_is_in_no_answer(site: Site) -> None:
    """Whoever gives or takes a role on a tenant is told what its login has there, also by a dry run and a refusal."""
    site.must("role grant", {**VIEWER, "--role": "administrator"})
    site.must("role grant", {**VIEWER, "--tenant": "blue"})
    here = {**VIEWER, "--tenant": "acme"}
    tried = site.run(CHIEF, "role grant", here, dry_run=True)
    given = site.run(CHIEF, "role grant", here, key="a-key")
    again = site.run(CHIEF, "role grant", here, key="a-key")
    assert again.answer["repeated"]
    assert [one.answer["roles"] for one in (tried, given, again)] == [["viewer@tenant/acme"]] * 3
    said = refused(site, CHIEF, "role revoke", {**VIEWER, "--project": "rockets"}, "not_found")
    assert said.endswith("its roles: viewer@tenant/acme.")
    taken = site.run(CHIEF, "role revoke", here)
    assert not any(word in one.text + said for one in (tried, given, again, taken) for word in ("blue", "admin"))
    assert site.must("whoami", {}, "vera")["roles"] == ["administrator", "viewer@tenant/blue"]


def test_a_key_lends_no_power(site: Site) -> None:
    """Whoever may not give a role gets no answer that was kept for one who gave it; whoever did, gets it again."""
    low = {**VIEWER, "--login": "dora", "--tenant": "acme"}
    for number, (words, options) in enumerate(
        (
            ("role grant", {**VIEWER, "--role": "administrator"}),
            ("login add", {**VIEWER, "--role": "administrator", "--login": "carl"}),
            ("role create", {"--role": "night", "--commands": "list"}),
            ("role revoke", {**VIEWER, "--role": "administrator"}),
        )
    ):
        key = f"key-{number}"
        first = site.run(ROOT, words, options, key=key)
        assert not first.code, first
        outcome = site.run(CHIEF, words, options, key=key)
        assert (outcome.code, outcome.exit_status) == ("not_permitted", 4), (words, outcome)
        assert site.run(ROOT, words, options, key=key).answer == {**first.answer, "repeated": True}
    assert not site.run(CHIEF, "login add", low, key="own").code
    assert site.run(CHIEF, "login add", low, key="own").answer["repeated"]


def test_the_last_root_stays(site: Site) -> None:
    """Neither taken, nor disabled, nor deleted, by itself; a second root may go."""
    for words, options in (
        ("role revoke", {"--role": "root", "--login": ROOT}),
        ("login disable", {"--login": ROOT}),
        ("login delete", {"--login": ROOT}),
    ):
        assert "without a root" in refused(site, ROOT, words, options, "refused")
    site.must("role grant", {"--role": "root", "--login": "rita"})
    site.must("login disable", {"--login": ROOT}, "rita")
    assert "without a root" in refused(site, "rita", "role revoke", {"--role": "root", "--login": "rita"}, "refused")
    refused(site, ROOT, "list", {})


def test_a_disabled_login_does_nothing(site: Site) -> None:
    """Until it is enabled again, with the roles that it had; also where everybody else may."""
    site.must("role grant", {"--role": "viewer", "--login": "*"})
    site.must("login disable", {"--login": ADMINISTRATOR})
    said = refused(site, ADMINISTRATOR, "list", {})
    assert said.endswith(f"can enable it again: dca login add --login={ADMINISTRATOR}.")
    refused(site, ADMINISTRATOR, "rate get", {})
    refused(site, CHIEF, "login add", {"--login": ADMINISTRATOR})
    assert "is disabled" in refused(site, ROOT, "role grant", {"--role": "viewer", "--login": ADMINISTRATOR}, "refused")
    site.must("login add", {"--login": ADMINISTRATOR})
    assert site.run(ADMINISTRATOR, "tenant add", {"--tenant": "coal"}).code == ""


def test_what_everybody_may_is_not_given_back_from_below(site: Site) -> None:
    """Whoever may not give what * has neither enables a disabled login nor deletes it, after which it would have that."""
    site.must("role grant", {"--role": "viewer", "--login": "*"})
    site.must("login add", {"--login": "mallory"})
    site.must("login disable", {"--login": "mallory"})
    for words in ("login add", "login delete"):
        assert "viewer on the whole site" in refused(site, CHIEF, words, {"--login": "mallory"})
        refused(site, "mallory", "list", {})
    site.must("login add", {"--login": "mallory"}, ADMINISTRATOR)
    assert site.run("mallory", "list", {}).code == ""


def test_a_level_is_not_lent_to_another_command(site: Site) -> None:
    """Who grants from high and disables from low does not give himself a role to disable from high."""
    for role, level, commands in (("granter", "60", "role grant,role create,list"), ("closer", "10", "login disable")):
        site.must("role create", {"--role": role, "--level": level, "--commands": commands, "--tenant": "acme"})
        site.must("role grant", {"--role": role, "--login": "gus"})
    high = {"--role": "mine", "--level": "59", "--commands": "login disable", "--tenant": "acme"}
    assert "above that level" in refused(site, "gus", "role create", high)
    site.must("role create", {**high, "--level": "9"}, "gus")


def test_root_is_whole(site: Site) -> None:
    """It is not granted on a tenant or a project, where it would be another role."""
    for place in ({"--tenant": "acme"}, {"--project": "rockets"}):
        said = refused(site, ROOT, "role grant", {"--role": "root", "--login": "vera", **place}, "refused")
        assert said.startswith("role root is for the whole site")


def test_everybody(site: Site) -> None:
    """The login * is who has no record; nobody but whoever is above may grant it, and root never."""
    refused(site, "anna", "list", {})
    refused(site, CHIEF, "role grant", {"--role": "viewer", "--login": "*"})
    site.must("role grant", {"--role": "viewer", "--login": "*", "--tenant": "acme"}, CHIEF)
    assert site.run("anna", "list", {"--tenant": "acme"}).code == ""
    refused(site, "anna", "list", {"--tenant": "blue"})
    refused(site, ROOT, "role grant", {"--role": "root", "--login": "*"}, "refused")


def test_a_role_that_is_gone_permits_nothing(site: Site) -> None:
    """It cannot be deleted while somebody has it; one whose record goes all the same gives its login nothing."""
    site.must("role create", {"--role": "night", "--commands": "list,rate get"})
    site.must("role grant", {"--role": "night", "--login": "nora"})
    assert site.run("nora", "list", {}).code == ""
    assert "revoke it first" in refused(site, ROOT, "role delete", {"--role": "night"}, "refused")
    site.must("login disable", {"--login": "nora"})
    assert "revoke it first" in refused(site, ROOT, "role delete", {"--role": "night"}, "refused")
    site.must("login delete", {"--login": "nora"})
    site.must("role delete", {"--role": "night"})
    refused(site, "nora", "list", {})
    site.must("role create", {"--role": "night", "--commands": "list"})
    refused(site, "nora", "list", {})


def test_a_role_that_changes_counts_at_once(site: Site) -> None:
    """For those who have it, from the next command on."""
    site.must("role create", {"--role": "night", "--commands": "list"})
    site.must("role grant", {"--role": "night", "--login": "nora"})
    refused(site, "nora", "rate get", {})
    site.must("role modify", {"--role": "night", "--commands": "rate get"})
    assert site.run("nora", "rate get", {}).code == ""
    refused(site, "nora", "list", {})


def test_a_refusal_advises_what_would_do(site: Site) -> None:
    """No option that does not narrow the command, and no grant on a tenant that is still to be made."""
    for words, options, advised in (
        ("job import", {"--tenant": "acme", "--create-missing": True, "FILE": "jobs"}, "--role=operator --login=hook."),
        ("tenant add", {"--tenant": "coal"}, "--role=administrator --login=hook."),
    ):
        assert refused(site, "hook", words, options).endswith(f"can give it: dca role grant {advised}")
    assert refused(site, "hook", "list", {}).endswith("it is permitted with --tenant=acme.")


def test_a_stream_is_found_in_any_case(site: Site) -> None:
    """The stream of one's own tenant is one's own however it is written, and another's is another's."""
    assert site.run(CHIEF, "log show", {"--stream": "T:ACME", "--seq": "1"}).code == ""
    assert "on tenant blue;" in refused(site, CHIEF, "log show", {"--stream": "T:Blue", "--seq": "1"})


def test_many_grant_at_once(site: Site) -> None:
    """Two who grant to the same login at once both succeed, and so do two who take different roots, but for the last."""
    places = [{"--tenant": "acme"}, {"--tenant": "blue"}, {"--project": "rockets"}, {"--project": "boats"}]
    both: list[dict[str, Any]] = [
        {"--role": role, "--login": "vera", **place} for role in ("viewer", "auditor") for place in places
    ]
    outcomes = _at_once(site, [("role grant", options) for options in both])
    assert outcomes == [""] * len(both)
    assert len(site.must("whoami", {}, "vera")["roles"]) == len(both)
    site.must("role grant", {"--role": "root", "--login": "rita"})
    outcomes = _at_once(site, [("role revoke", {"--role": "root", "--login": login}) for login in ("rita", ROOT)])
    assert sorted(outcomes) in (["", "refused"], ["", "not_permitted"])


def _at_once(site: Site, commands: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Run commands of root at once, each with books of its own; return their codes."""
    codes = [""] * len(commands)
    barrier = Barrier(len(commands))

    def work(number: int, words: str, options: dict[str, Any]) -> None:
        own = opened(site.folder)
        own.draws = iter([f"draw.{number}"])  # type: ignore[assignment]
        barrier.wait()
        codes[number] = own.run("", words, options).code
        own.close()

    threads = [Thread(target=work, args=(number, *command)) for number, command in enumerate(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_line_is_permitted_by_itself(site: Site, tmp_path: Path, *, dry_run: bool) -> None:
    """Of a file of charges those on projects of others are refused, each on its line, and the rest is charged."""
    lines = [
        {"project": project, "user": "ann", "jobtime": 60, "cores": 1, **({"key": f"k{number}"} if number % 2 else {})}
        for number, project in enumerate(["rockets", "boats", "rockets", "nowhere", "boats", "rockets"])
    ]
    file = tmp_path / "charges"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    written: list[str] = []
    blue = site.must("list", {"--tenant": "blue"})
    done = run_lines(site.around("hook"), BY_WORDS["transaction charge"], str(file), written.append, dry_run=dry_run)
    answers = [json.loads(line) for text in written for line in text.splitlines()]
    assert not done
    assert [answer.get("code", "") for answer in answers] == [
        "",
        "not_permitted",
        "",
        "not_permitted",
        "not_permitted",
        "",
    ]
    assert "hook is not permitted to run dca transaction charge on project boats" in answers[1]["error"]
    assert site.must("list", {"--tenant": "blue"}) == blue
    charged = site.must("transaction list", {"--project": "rockets"})["transactions"]
    assert len(charged) == (1 if dry_run else 4)


def test_from_the_command_line(tmp_path: Path) -> None:
    """What is not permitted has exit status 4 and one sentence, in a process of its own as another login too."""
    shell = Shell(tmp_path)
    shell.ok("tenant", "add", "--tenant=acme")
    shell.ok("role", "grant", "--role=root", f"--login={shell.actor}")
    shell.ok("role", "grant", "--role=root", "--login=somebody.else")
    shell.ok("role", "revoke", "--role=root", f"--login={shell.actor}")
    before = shell.state()
    for words in (
        ["tenant", "add", "--tenant=blue"],
        ["list"],
        ["log", "verify"],
        ["role", "grant", "--role=root", f"--login={shell.actor}"],
        ["setup", "--wipe", "-y"],
        ["backup", "kept.backup"],
    ):
        result = shell.run(*words)
        assert result.status == 4, (words, result)
        assert result.answer["code"] == "not_permitted"
        assert result.answer["error"].startswith(f"{shell.actor} is not permitted to run dca {words[0]}")
    assert shell.process("tenant", "add", "--tenant=blue").status == 4
    assert shell.state() == before
    assert not (tmp_path / "kept.backup").exists()
    assert shell.ok("whoami")["may"] == []


def test_nobody_loses_what_everybody_may(site: Site) -> None:
    """Whoever gives somebody a role, or makes a login, takes nothing away that they could not give."""
    site.must("role grant", {"--role": "viewer", "--login": "*"})
    for words, options in (
        ("role grant", {"--role": "viewer", "--login": "bob", "--tenant": "acme"}),
        ("login add", {"--login": "carl"}),
    ):
        site.must(words, options, CHIEF)
        assert site.run(str(options["--login"]), "list", {"--tenant": "blue"}).code == ""
        refused(site, CHIEF, "login disable", {"--login": options["--login"]})
    site.must("login disable", {"--login": "bob"}, ROOT)
    refused(site, "bob", "list", {"--tenant": "acme"})
    site.must("login disable", {"--login": "*"}, ROOT)
    refused(site, "carl", "list", {"--tenant": "blue"})
