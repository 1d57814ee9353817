"""Books go through a file, and from store to store, and are the same afterwards."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from dca.store.indices import NAMES
from dca.store.schema import KINDS, LATER
from dca.store.sqlite import SqliteStore
from tests.backups import versions
from tests.cli import checks
from tests.cli.shell import Shell, room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elastic.server import BookServer

CHARGE = ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=1", "--job=lab/77/1740826800")
BRINGING = ("restore", "store")
"""Categories of entries that say what was brought."""


def at(folder: Path, name: str) -> Shell:
    """Return a shell whose books are another file in a folder."""
    return Shell(folder, f"sqlite:{folder / name}")


def told(shell: Shell) -> dict[str, Any]:
    """Return what books answer, but for the entries that brought them and the stamps of a store."""
    answers = versions.answers(shell)
    log = [line for line in answers["log list"]["log"] if line["category"] not in BRINGING]
    answers["log list"] = [{name: value for name, value in line.items() if name != "author"} for line in log]
    return answers


def records(shell: Shell) -> dict[str, list[tuple[Any, ...]]]:
    """Return all records of books on SQLite, but for those that declare what was brought."""
    with contextlib.closing(sqlite3.connect(shell.file)) as connection:
        found = {kind: sorted(connection.execute(f'SELECT * FROM "{kind}"').fetchall()) for kind in KINDS}  # noqa: S608
    found["key"] = [row for row in found["key"] if not row[0].startswith("g:k:brought ")]
    return found


def documents(shell: Shell) -> dict[str, list[dict[str, Any]]]:
    """Return all entries of books on SQLite, as they lie there."""
    with SqliteStore(shell.file).archive() as archive:
        return {stream: archive.documents(stream, 1, 10_000) for stream in archive.streams()}


def brought(found: dict[str, list[dict[str, Any]]], ends: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the first entries of each stream, as many as there are in others."""
    return {stream: entries[: len(ends.get(stream, ()))] for stream, entries in found.items()}


def test_through_a_file(sqlite: Shell) -> None:
    """Restored books hold the same entries and records, answer the same, and can be worked with."""
    made = sqlite.ok("backup", "a.backup")["backup"]
    assert sqlite.ok("backup", "check", "a.backup")["backup"]["content"] == made["content"]
    other = at(sqlite.folder, "other.db")
    other.ok("restore", "a.backup")
    assert told(other) == told(sqlite)
    assert records(other) == records(sqlite)
    assert brought(documents(other), documents(sqlite)) == documents(sqlite)
    assert other.ok(*CHARGE)["project"] == sqlite.ok(*CHARGE)["project"]
    # A backup of restored books is one like any other.
    other.ok("backup", "b.backup")
    third = at(sqlite.folder, "third.db")
    third.ok("restore", "b.backup")
    assert told(third) == told(other)
    declared = [line["details"] for line in third.ok("log", "list", "--category=restore")["log"]]
    assert len(declared) == 2
    for shell in (other, third):
        shell.ok("log", "verify")


def test_to_elasticsearch_and_back(sqlite: Shell, distant: Shell) -> None:
    """A site that moves keeps every digest; authors that the server stamped come back with the books."""
    sqlite.ok("store", "copy", f"--to={distant.store}")
    assert told(distant) == told(sqlite)
    heads = [{**one, "time": 0} for one in sqlite.ok("backup", "a.backup")["backup"]["heads"]]
    theirs = distant.ok("backup", "b.backup")["backup"]["heads"]
    assert [one for one in theirs if one["stream"] != "g"] == [
        {name: value for name, value in one.items() if name != "time"} for one in heads if one["stream"] != "g"
    ]
    assert distant.ok(*CHARGE)["project"] == sqlite.ok(*CHARGE)["project"]
    home = at(sqlite.folder, "home.db")
    distant.ok("store", "copy", f"--to={home.store}")
    assert told(home)["list --all"] == told(distant)["list --all"] == told(sqlite)["list --all"]
    stamped = documents(home)
    assert stamped["t:acme"][-1]["author"]["username"] == distant.actor
    assert stamped["g"][-2]["author"]["username"] == distant.actor
    assert "author" not in stamped["t:acme"][0]
    assert home.ok("tenant", "payment", "--tenant=acme", "--payment=1")
    for declared, shell in enumerate((sqlite, distant, home)):
        notes = shell.ok("log", "verify")["notes"]
        assert sum(one["count"] for one in notes if one["note"] == "brought") == declared
    refused = checks.failure(home.run("store", "copy", f"--to={distant.store}"), 1)
    assert "there are books" in refused["error"]


def test_who_may_not_fill_books(sqlite: Shell, distant: Shell, clean_server: BookServer) -> None:
    """A user who may not make indices cannot restore, is told so, and leaves everything as it was."""
    distant.ok("setup")
    before = distant.state()
    prefix = clean_server.prefix
    indices = [
        {"names": [f"{prefix}*"], "privileges": ["read", "create_doc", "index", "maintenance", "view_index_metadata"]}
    ]
    clean_server.must("PUT", f"/_security/role/{prefix}writer", {"cluster": ["monitor"], "indices": indices})
    user = {"password": "their-secret", "roles": [f"{prefix}writer"]}
    clean_server.must("PUT", f"/_security/user/{prefix}joe", user)
    (sqlite.folder / "joe.toml").write_text(f'username = "{prefix}joe"\npassword = "their-secret"\n', encoding="utf-8")
    to = f"http://{clean_server.server.host}:{clean_server.server.port}/{prefix}"
    result = sqlite.run("store", "copy", f"--to={to}", "--to-config=joe.toml")
    assert "may not fill the books" in checks.failure(result, 4)["error"]
    assert "secret" not in result.out
    assert "others may read it" in result.err
    assert distant.state() == before
    assert distant.ok("log", "list")["log"] == []


def test_void_entries_stay_void(sqlite: Shell, distant: Shell, clean_server: BookServer) -> None:
    """What was forged into a log goes with it, changes nothing anywhere, and is the same rubbish afterwards."""
    sqlite.ok("store", "copy", f"--to={distant.store}")
    seq = len(documents(sqlite)["t:acme"]) + 1
    rubbish = {"stream": "t:acme", "seq": seq, "details": "gimme", "actor": 5, "time": 12}
    assert clean_server.create("log", f"t:acme:{seq}", rubbish).status == 201
    distant.ok("tenant", "payment", "--tenant=acme", "--payment=3")
    forged = {**documents(sqlite)["t:idle"][0], "seq": 2}
    assert clean_server.create("log", "t:idle:2", forged).status == 201
    distant.ok("backup", "a.backup")
    found = distant.ok("backup", "check", "a.backup")["notes"]
    void = [(one["damage"], one["stream"]) for one in found if "damage" in one]
    assert void == [("void", "t:acme"), ("void", "t:idle")]
    home = at(sqlite.folder, "home.db")
    home.ok("restore", "a.backup")
    assert home.ok("list", "--all") == distant.ok("list", "--all")
    found = documents(home)
    kept = found["t:acme"][seq - 1]
    assert {name: value for name, value in kept.items() if name != "author"} == rubbish
    assert kept["author"]["username"] == distant.actor
    distant.ok("setup", "--wipe", "-y")
    home.ok("store", "copy", f"--to={distant.store}")
    assert home.ok("list", "--all") == distant.ok("list", "--all")
    for shell in (home, distant):
        shell.ok("tenant", "payment", "--tenant=acme", "--payment=3")
        shell.ok("tenant", "payment", "--tenant=idle", "--payment=3")
    assert home.ok("list", "--all") == distant.ok("list", "--all")


def test_half_filled_indices(sqlite: Shell, distant: Shell, clean_server: BookServer) -> None:
    """Indices that are being filled are no books for anybody, are never taken for any, and are filled again."""
    sqlite.ok("backup", "a.backup")
    distant.ok("setup")
    actions = []
    for name in NAMES:
        index, alias = clean_server.index(name), f"{clean_server.prefix}{name}"
        actions.append({"remove": {"index": index, "alias": alias}})
        actions.append({"add": {"index": index, "alias": f"{alias}-filling-1"}})
    clean_server.must("POST", "/_aliases", {"actions": actions})
    clean_server.must("PUT", f"/{clean_server.index('log')}/_create/g:1", {"seq": 1})
    for words in (("list",), CHARGE):
        assert "are being filled" in checks.failure(distant.run(*words), 3)["error"]
    assert "being filled" in checks.failure(distant.run("setup"), 1)["error"]
    distant.ok("restore", "a.backup")
    assert told(distant) == told(sqlite)
    assert not [line for line in distant.ok("setup")["done"] if "alias" in line]


def test_books_of_a_newer_dca_on_elasticsearch(distant: Shell, clean_server: BookServer) -> None:
    """Indices of a newer schema are refused by name, and stay as they are."""
    distant.ok("setup")
    meta = {"dca": {"kind": "hold", "schema": 2}}
    clean_server.must("PUT", f"/{clean_server.index('hold')}/_mapping", {"_meta": meta})
    before = distant.state()
    distant.ok("backup", "a.backup")
    for words in (("setup",), ("restore", "a.backup")):
        assert "was made by a newer dca (schema 2)" in checks.failure(distant.run(*words), 3)["error"]
    assert distant.state() == before


@pytest.mark.parametrize("amount", [1, 20_000, 300_000])
def test_no_room_to_restore(amount: int, sqlite: Shell) -> None:
    """Where the disk is full nothing is restored, and with more room everything is."""
    sqlite.ok("backup", "a.backup")
    other = at(sqlite.folder, "other.db")
    with room(amount):
        answer = checks.failure(other.run("restore", "a.backup"), 3)
    assert "nothing was changed" in answer["error"]
    other.ok("restore", "a.backup")
    assert records(other) == records(sqlite)


def damaged(sqlite: Shell, statement: str) -> str:
    """Damage books, back them up, and return why the backup is not restored."""
    with contextlib.closing(sqlite3.connect(sqlite.file)) as connection, connection:
        connection.execute(statement)
    sqlite.ok("backup", "a.backup")
    other = at(sqlite.folder, "other.db")
    checks.failure(sqlite.run("backup", "check", "a.backup"), 1, 3)
    error = checks.failure(other.run("restore", "a.backup"), 3)["error"]
    assert (
        checks.failure(other.run("log", "list"), 0, 3) if other.state() == "" else other.ok("log", "list")["log"] == []
    )
    assert isinstance(error, str)
    return error


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "UPDATE log SET details = 'x' WHERE stream = 't:acme' AND seq = 3",
            "entry 3 of stream t:acme is damaged: its hash",
        ),
        ("UPDATE log SET details = 'x' WHERE stream = 't:idle'", "entry 1 of stream t:idle is damaged: its hash"),
        ("UPDATE log SET changes = '[]' WHERE stream = 'g' AND seq = 1", "entry 1 of stream g is damaged"),
        ("UPDATE claim SET tenant = 'idle' WHERE id = 'kites'", "project kites has no claim"),
        ("UPDATE head SET hash = 'x' WHERE stream = 't:idle'", "the head of stream t:idle"),
    ],
)
def test_a_log_that_is_damaged(statement: str, reason: str, sqlite: Shell) -> None:
    """A backup of damaged books is whole, but is not restored: the first damage is named."""
    assert reason in damaged(sqlite, statement)


def test_a_log_with_a_gap(sqlite: Shell) -> None:
    """Books that lack an entry cannot be backed up, and nothing is left of the file."""
    with contextlib.closing(sqlite3.connect(sqlite.file)) as connection, connection:
        connection.execute("DELETE FROM log WHERE stream = 't:acme' AND seq = 3")
    answer = checks.failure(sqlite.run("backup", "a.backup"), 3)
    assert "entry 3 of stream t:acme is missing" in answer["error"]
    assert not list(sqlite.folder.glob("[a.]*backup*"))


def test_secrets_stay_where_they_are(sqlite: Shell, folder: Path) -> None:
    """Neither an answer nor the log shows the password of the other store, and this store's config is not used for it."""
    (folder / "own.toml").write_text('username = "me"\npassword = "own-secret"\n', encoding="utf-8")
    (folder / "own.toml").chmod(0o600)
    for to in (
        "http://joe:their-secret@127.0.0.1:1/x",
        "http://joe:their-secret@[::1",
        "ftp://joe:their-secret@host/x",
    ):
        result = sqlite.run("store", "copy", f"--to={to}", "--wait=0", environment={"DCA_CONFIG": "own.toml"})
        checks.failure(result, 2, 3)
        assert "secret" not in result.out + result.err
    other = at(folder, "copy.db")
    sqlite.ok("store", "copy", f"--to={other.store}", "--to-config=own.toml")
    assert "secret" not in json.dumps(other.ok("log", "list")) + json.dumps(sqlite.ok("log", "list"))


@pytest.mark.parametrize("name", ["books.db", "./books.db"])
def test_not_onto_itself(name: str, sqlite: Shell) -> None:
    """Books are not copied onto themselves."""
    before = sqlite.state()
    assert "the store to copy from" in checks.failure(sqlite.run("store", "copy", f"--to=sqlite:{name}"), 2)["error"]
    assert sqlite.state() == before


def test_many_streams(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many streams for one entry, several declare what was brought."""
    monkeypatch.setattr("dca.commands.backup.declaration.STREAMS_MAX", 3)
    shell = Shell(folder)
    for number in range(10):
        shell.ok("tenant", "add", f"--tenant=t{number}")
    other = at(folder, "other.db")
    shell.ok("store", "copy", f"--to={other.store}")
    lines = [document for document in documents(other)["g"] if document["action"] == "copy"]
    told_of = [json.loads(change["record"]["answer"])["streams"] for line in lines for change in line["changes"]]
    assert {name: end for streams in told_of for name, end in streams.items()}.keys() == {f"t:t{n}" for n in range(10)}
    assert len(lines) == 4
    other.ok("backup", "a.backup")
    other.ok("backup", "check", "a.backup")


def test_a_lost_claim_is_made_again(sqlite: Shell, folder: Path) -> None:
    """A project in the log tells whose its name is."""
    with contextlib.closing(sqlite3.connect(sqlite.file)) as connection, connection:
        before = connection.execute("SELECT id, tenant FROM claim ORDER BY id").fetchall()
        connection.execute("DELETE FROM claim WHERE id IN (SELECT id FROM project)")
    sqlite.ok("backup", "a.backup")
    other = at(folder, "other.db")
    other.ok("restore", "a.backup")
    with contextlib.closing(sqlite3.connect(other.file)) as connection:
        assert connection.execute("SELECT id, tenant FROM claim ORDER BY id").fetchall() == before


@pytest.mark.parametrize("lost", [("transaction",), ("tenant", "claim", "site", "key"), tuple(KINDS)], ids=" ".join)
def test_lost_indices_are_made_again_from_the_log(
    lost: tuple[str, ...], distant: Shell, clean_server: BookServer
) -> None:
    """As the sentence says that names them: a backup of the log alone, checked, is restored after what is left was wiped."""
    versions.fill(distant)
    before = [distant.ok("list", "--all"), distant.ok("transaction", "list"), distant.ok("transaction", "holds")]
    clean_server.must("DELETE", f"/{','.join(map(clean_server.index, lost))}")
    for words in (("transaction", "list"), ("setup",)):
        answer = checks.failure(distant.run(*words), 3)
        assert all(clean_server.index(name) in answer["error"] for name in lost if name not in LATER)
        assert "dca backup, dca backup check, dca setup --wipe and dca restore" in answer["error"]
    assert distant.run("log", "verify").status == 1
    for command in ("backup a.backup", "backup check a.backup", "setup --wipe -y", "restore a.backup", "log verify"):
        distant.ok(*command.split())
    assert [
        distant.ok("list", "--all"),
        distant.ok("transaction", "list"),
        distant.ok("transaction", "holds"),
    ] == before
