"""Books that are older than some kinds of records: used without indices for them, until setup makes these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dca.core.errors import DamagedError, UnreachableError
from dca.core.model import GLOBAL_STREAM
from dca.store.port import Condition, Query
from dca.store.schema import KINDS, LATER, LOGIN, ROLE, TENANT
from tests.contract import deeds

if TYPE_CHECKING:
    from tests.elastic.server import BookServer


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
