"""Books that are older than some kinds of records: used without indices for them, until setup makes these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dca.core.errors import DamagedError, UnreachableError
from dca.core.model import GLOBAL_STREAM
from dca.store.port import Condition, Query
from dca.store.schema import KINDS, LATER, LOGIN, ROLE, TENANT
from tests.cli import checks
from tests.cli.shell import Shell
from tests.contract import deeds

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elastic.server import BookServer


CHARGE = ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=7")


def test_books_without_a_place_for_roles_are_used_and_completed(clean_server: BookServer, tmp_path: Path) -> None:
    """What reads no role goes on, what reads one says what to do, and setup does it without losing anything."""
    shell = Shell(tmp_path, f"{clean_server.server.url}/{clean_server.prefix}")
    shell.ok("setup", "--timezone=UTC")
    indices = [clean_server.index(kind) for kind in LATER]
    clean_server.must("DELETE", f"/{','.join(indices)}")
    for words in (
        ("rate", "set", "--rate=1"),
        ("tenant", "add", "--tenant=acme", "--credit=9"),
        ("project", "add", "--project=rockets", "--tenant=acme", "--credit=9"),
        ("user", "add", "--project=rockets", "--user=ada"),
        CHARGE,
        ("list",),
        ("rate", "get", "--as-of=2026-01-01"),
        ("log", "list"),
        ("log", "verify"),
        ("log", "repair", "-y"),
        ("backup", "a.backup"),
    ):
        shell.ok(*words)
    looked = {line["name"]: line for line in shell.run("doctor").answer["checks"]}
    assert (looked["indices"]["state"], looked["indices"]["advice"]) == ("warning", "run dca setup")
    assert looked["shards"]["state"] == "ok"
    for kind in ((), ("--kind=role",)):
        sentence = checks.failure(shell.run("log", "show", "--as-of=2026-01-01", *kind), 3)["error"]
        assert f"have no index {indices[0]} and {indices[1]} yet; run dca setup" in sentence
    before = shell.ok("list", "--all"), shell.ok("transaction", "list")
    done = shell.ok("setup")["done"]
    assert [line.split()[3] for line in done if line.startswith("created the index")] == indices
    assert not [line for line in shell.ok("setup")["done"] if "index" in line]
    assert shell.ok("log", "show", "--as-of=2026-01-01", "--kind=role")["records"] == []
    assert (shell.ok("list", "--all"), shell.ok("transaction", "list")) == before
    shell.ok("log", "verify")


def test_lost_roles_are_a_loss(clean_server: BookServer) -> None:
    """If an entry of the log changes a role, their indices were there; empty ones in their place would forget it."""
    server, role = clean_server, clean_server.index(ROLE)
    both = ",".join(map(server.index, LATER))
    with server.store() as store:
        store.setup()
        store.write(deeds.add_tenant("acme"))
        server.must("DELETE", f"/{both}")
        with pytest.raises(UnreachableError, match=r"are older than dca's roles .* run dca setup"):
            store.read(lambda reader: reader.find(Query(ROLE, (Condition("state", "eq", "active"),))))
        with pytest.raises(UnreachableError, match=r"are older than dca's roles .* run dca setup"):
            store.read(lambda reader: reader.get(LOGIN, ["ada"]))
        with pytest.raises(UnreachableError, match=r"are older than dca's roles .* run dca setup"):
            store.write(deeds.create_role("Night", 20))
        assert len(store.setup()) == len(LATER)
        store.write(deeds.create_role("Night", 20))
        store.write(deeds.pay("acme", 1))
        for lost in (ROLE, LOGIN):
            server.must("DELETE", f"/{server.index(lost)}")
            with pytest.raises(DamagedError, match=rf"{role}.* missing or closed .* dca backup"):
                store.setup()
            with pytest.raises(DamagedError, match=rf"{role}.* missing or closed .* dca backup"):
                store.read(lambda reader: reader.find(Query(ROLE)))
        store.write(deeds.pay("acme", 1))
        assert {one.name: one.state for one in store.examine(deeds.NOW)}["indices"] == "failed"
        with store.archive() as archive:
            assert list(archive.stored(ROLE)) == []
            assert archive.last(GLOBAL_STREAM) == 1
            assert archive.count(TENANT) == 1


def test_a_log_that_a_wipe_has_left(clean_server: BookServer) -> None:
    """Where all records are gone, those of later kinds were never there or not: the sentence has the way out."""
    records = ",".join(map(clean_server.index, KINDS))
    with clean_server.store() as store:
        store.setup()
        store.write(deeds.add_tenant("acme"))
        clean_server.must("DELETE", f"/{records}")
        with pytest.raises(DamagedError, match="dca setup --wipe destroys what a broken-off wipe has left"):
            store.setup()
