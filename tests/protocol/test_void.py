"""Entries that were forged: they change nothing, everybody passes them, and the stream goes on."""

from __future__ import annotations

import pytest

from dca.store import entry as entries
from dca.store.schema import TENANT
from tests.protocol import commands
from tests.protocol.commands import PERMITTED
from tests.protocol.explore import Luck
from tests.protocol.forgery import BY_THE_BOOKS, FORGED, books, forger, forgeries
from tests.protocol.stage import Stage, reader, writer

KINDS_OF_FORGERY = tuple(forgeries(books()))


@pytest.mark.parametrize("kind", KINDS_OF_FORGERY)
def test_one_writer_and_a_reader(kind: str) -> None:
    """A writer, who may crash, and a reader pass the forged entry, wherever it comes between them."""
    stage = books()
    forged = forger(forgeries(stage)[kind])
    charge = writer("a", commands.charge("a", "p", 5))
    stage.explore(forged, charge, reader("r", commands.balances("acme", "p", "q")), luck=Luck(crashes=1))


@pytest.mark.parametrize("kind", ["wrong sum", *BY_THE_BOOKS])
def test_two_writers(kind: str) -> None:
    """Two writers judge it alike, also when one of them reads what the other wrote after it."""
    stage = books()
    forged = forger(forgeries(stage)[kind])
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    stage.explore(forged, *actors, luck=Luck(crashes=1))


@pytest.mark.torture
@pytest.mark.parametrize("kind", BY_THE_BOOKS)
def test_two_writers_and_a_reader(kind: str) -> None:
    """Two writers and a reader judge it alike."""
    stage = books()
    forged = forger(forgeries(stage)[kind])
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    stage.explore(forged, *actors, reader("r", commands.balances("acme", "p")), luck=Luck(crashes=1, switches=2))


@pytest.mark.parametrize("kind", KINDS_OF_FORGERY)
def test_each_for_its_own_reason(kind: str) -> None:
    """Each forged entry is void by itself, except those that only the books can tell."""
    stage = books()
    (tenant,) = (
        found for (_, record_id), found in stage.shelf.of_kind(stage.judge.first, TENANT) if record_id == "acme"
    )
    entry, reason = entries.flaw(forgeries(stage)[kind], "t:acme", tenant.head, PERMITTED)
    assert (entry is not None) == (kind in BY_THE_BOOKS), reason
    assert bool(reason) != (kind in BY_THE_BOOKS)


def test_a_stream_that_begins_with_one() -> None:
    """A tenant can be added though the first entry of its stream is forged."""
    document = {"commit": FORGED, "stream": "t:new", "seq": 1}
    add = writer("a", commands.add_tenant("a", "new"))
    Stage(forged=[FORGED], to_come=["new"]).explore(forger(document, "t:new"), add, luck=Luck(crashes=1))
