"""The books as they stood: on every store what was read at that moment, whatever was written since, also by forgers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DamagedError
from dca.core.model import SITE_ID, tenant_stream
from dca.store import entry as entries
from dca.store.memory import MemoryStore
from dca.store.past import Past, chain
from dca.store.port import EMPTY_HEAD, Condition, Head, LogQuery, Query, Reader
from dca.store.schema import CLAIM, HOLD, KINDS, PAYMENT, PROJECT, RATE, SITE, TENANT, TRANSACTION
from dca.store.sqlite import SqliteStore
from tests.contract import deeds
from tests.elastic.test_forged import FORGERIES, Document, hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from dca.store.port import Store
    from tests.elastic.server import BookServer

SECOND = 1_000
ACME = "t:acme"


def tick(patch: pytest.MonkeyPatch, milliseconds: int = SECOND) -> int:
    """Let time pass; return what time it is."""
    now = deeds.NOW + milliseconds
    patch.setattr(deeds, "NOW", now)
    return now


def everything(reader: Reader) -> dict[str, Any]:
    """Return all that a reader can see, also in pages and by id."""
    held = Query(HOLD, (Condition("tenant", "eq", "acme"), Condition("state", "eq", "open")))
    return deeds.everything(reader) | {
        "routes": [owner for owner in reader.route(["alpha"]) if reader.get(PROJECT, ["alpha"])[0]],
        "transactions got": reader.get(TRANSACTION, ["acme:10:0", "acme:9:0", "bolt:5:0", "nothing"]),
        "payments got": reader.get(PAYMENT, ["acme:2:0"]),
        "holds got": reader.get(HOLD, ["acme:h:main/1/100", "acme:h:late"]),
        "open": reader.find(held),
        "of acme": reader.find(Query(PROJECT, (Condition("tenant", "eq", "acme"),), order=("-balance", "id"))),
        "pages": [list(pages(reader, kind)) for kind in (TENANT, PROJECT, HOLD, TRANSACTION, RATE)],
        "log": [(entry.id, entry.hash) for entry in reader.log(LogQuery())],
        "end": [reader.end(stream) for stream in ("g", ACME, "t:bolt")],
    }


def pages(reader: Reader, kind: str) -> Iterable[list[Any]]:
    """Yield all records of a kind, newest names first, two at a time."""
    query = Query(kind, order=("-id",), limit=2)
    while found := reader.find(query):
        yield found
        query = query._replace(after=(found[-1].id,))


def little(reader: Reader) -> dict[str, Any]:
    """Return what there is, asked in few ways: each costs a search on a distant store."""
    return {kind: reader.find(Query(kind)) for kind in (TENANT, PROJECT, HOLD, PAYMENT)} | {
        "site": reader.get(SITE, [SITE_ID])
    }


def lived(
    store: Store, patch: pytest.MonkeyPatch, look: Callable[[Reader], dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """Carry out deeds, one a second, some twice in a second; return what memory said after each second."""
    model = MemoryStore()
    said = {deeds.NOW - 1: model.read(look)}
    further = [
        deeds.reserve("acme", "alpha", 60, "late"),
        deeds.set_rate(7_200_000),
        deeds.add_tenant("Delta"),
        deeds.charge("acme", "alpha", "ann", 30, job="late"),
        deeds.reserve("acme", "beta", 90, "open"),
        deeds.add_project("delta", "omega"),
    ]
    for number, deed in enumerate([*deeds.begin(), *deeds.powers(), *further]):
        now = tick(patch) if number % 5 else deeds.NOW
        for books in (store, model):
            books.write(deed)
        said[now] = model.read(look)
    return said


def test_every_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a moment, and until the next entry, the books are what they were."""
    said = lived(store, monkeypatch, everything)
    far = not isinstance(store, (MemoryStore, SqliteStore))
    for moment, then in list(said.items())[:: 12 if far else 1]:
        for instant in (moment, moment + 1):
            if instant == moment or not (far or instant in said):
                assert Past(store, instant, KINDS).ask(everything) == then
    assert store.read(everything) == said[max(said)]


def test_books_go_on_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while an answer is being found is taken back, too; a stream may begin then."""
    said = lived(store, monkeypatch, little)
    moments = sorted(said)
    middle, last = Past(store, moments[9], KINDS), Past(store, moments[-1], KINDS)
    assert middle.ask(little) == said[moments[9]]
    assert last.ask(little) == said[moments[-1]]
    for some in (
        [deeds.charge("acme", "beta", "bob", 45, job="open")],
        [deeds.pay("acme", 7), deeds.add_tenant("echo"), deeds.pay("bolt", 8), deeds.reserve("acme", "beta", 5, "new")],
    ):
        for deed in some:
            tick(monkeypatch)
            store.write(deed)
        assert middle.ask(little) == said[moments[9]]
        assert last.ask(little) == said[moments[-1]]


def test_only_what_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of holds that were made later nothing, of other kinds nothing."""
    store = MemoryStore()
    for deed in deeds.begin():
        store.write(deed)
    moment = deeds.NOW
    tick(monkeypatch)
    for number in range(20):
        store.write(deeds.reserve("acme", "alpha", 1, f"job{number}"))
        store.write(deeds.charge("acme", "alpha", "ann", 1, job=f"job{number}"))
    past = Past(store, moment, (HOLD, PROJECT, TRANSACTION, CLAIM))
    assert past.ask(lambda reader: reader.find(Query(HOLD))) == store.read(
        lambda reader: reader.find(Query(HOLD, (Condition("opened", "le", moment),)))
    )
    assert past.streams[ACME].before == {HOLD: {}, PROJECT: {"alpha": past.streams[ACME].before[PROJECT]["alpha"]}}
    assert past.streams["t:bolt"].before == {}


# -- entries that dca did not write ------------------------------------------------------------------------------


def proper(store: Store, amount: int) -> Document:
    """Return the document that a payment of acme's would be as its next entry."""
    draft = store.read(deeds.pay("acme", amount)).draft
    assert draft is not None
    return entries.to_document(entries.seal(draft, store.read(lambda reader: reader.end(ACME)))[0])


def test_forged_entries_are_skipped(emptied_server: BookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One, or several in a row, in the middle and at the end; an entry that nobody finished counts."""
    forged = []
    with emptied_server.store() as store:
        said = lived(store, monkeypatch, little)

        def forge(what: str) -> None:
            seq = store.read(lambda reader: reader.end(ACME)).seq + 1
            document = FORGERIES[what](proper(store, 1_000))
            assert emptied_server.create("log", f"{ACME}:{seq}", document).status == 201
            forged.append(seq)

        for number, what in enumerate(FORGERIES):
            forge(what)
            if number % 3 == 2:
                now = tick(monkeypatch)
                store.write(deeds.pay("acme", number))
                said[now] = store.read(little)
        for what in list(FORGERIES)[:4]:
            forge(what)
        end = store.read(lambda reader: reader.end(ACME))
        emptied_server.create("log", f"{ACME}:{end.seq + 1}", proper(store, 99))
        last = max(said)
        for moment in (last - 1, last - SECOND, last - 3 * SECOND, last - 9 * SECOND):
            then = said[max(one for one in said if one <= moment)]
            assert Past(store, moment, KINDS).ask(little) == then
        further = [one for one in Past(store, last, KINDS).ask(little)[PAYMENT] if one not in said[last][PAYMENT]]
        assert [one.amount for one in further] == [99]
        with store.archive() as archive:
            links = list(chain(archive.documents, ACME, store.read(lambda reader: reader.end(ACME))))
        assert [link.seq for link in links if link.passed is not None] == forged[::-1]
        assert [link.seq for link in links] == list(range(end.seq + 1, 0, -1))


def documents_of(listed: Sequence[Document]) -> Any:
    """Return what reads a log that lies in a list."""
    return lambda _, first, limit: listed[first - 1 : first - 1 + limit]


@pytest.mark.parametrize(
    "pattern", ["", "v", "f", "vf", "fv", "vvf", "fvvvf", "ffvvffvv", "v" * 30, "f" * 1100, "fvv" * 9]
)
def test_the_chain_tells_void_entries(pattern: str) -> None:
    """Wherever they lie, and with the end that each one follows."""
    listed: list[Document] = []
    end = EMPTY_HEAD
    ends: list[Head | None] = []
    for seq, letter in enumerate(pattern, 1):
        document = {"previous": end.hash, "seq": seq, "time": seq, "changes": [{}] * (seq % 7)}
        if letter == "f":
            listed.append(hashed(document))
            ends.append(None)
            end = Head(seq, listed[-1]["hash"], seq)
            continue
        # One that looks right, one that names a wrong hash, and one that names the hash of the end behind it.
        listed.append([hashed(document), document | {"hash": "0" * 64}, document][seq % 3])
        ends.append(end)
        end = entries.passed(end, listed[-1])
        if seq % 3 == 2:
            listed[-1]["hash"] = end.hash
    links = list(chain(documents_of(listed), ACME, end))
    assert [link.seq for link in links] == list(range(len(pattern), 0, -1))
    assert [link.document for link in links] == listed[::-1]
    assert [link.passed for link in links] == ends[::-1]


def test_an_old_answer_of_a_forger_does_not_break_it() -> None:
    """A void entry may repeat a document that is fit elsewhere in the stream."""
    first = hashed({"previous": "", "seq": 1, "time": 1, "changes": []})
    end = Head(1, first["hash"], 1)
    passed = entries.passed(end, first)
    links = list(chain(documents_of([first, first]), ACME, passed))
    assert [(link.seq, link.passed) for link in links] == [(2, end), (1, None)]


# -- damage ------------------------------------------------------------------------------------------------------

DAMAGES = {
    "an entry is edited": "UPDATE log SET details = 'nothing' WHERE stream = 't:acme' AND seq = 5",
    "what an entry changed is edited": "UPDATE log SET changes = replace(changes, 'Ann', 'Any')"
    " WHERE stream = 't:acme' AND seq = 5",
    "its changes are no JSON": "UPDATE log SET changes = '[' WHERE stream = 't:acme' AND seq = 5",
    "its hash is edited": "UPDATE log SET hash = 'x' WHERE stream = 't:acme' AND seq = 5",
    "an entry is missing": "DELETE FROM log WHERE stream = 't:acme' AND seq = 5",
    "the last entry is missing": "DELETE FROM log WHERE stream = 't:acme' AND seq = 11",
    "the head is another": "UPDATE head SET hash = 'x' WHERE stream = 't:acme'",
    "what two entries changed is swapped": "UPDATE log SET changes = (SELECT changes FROM log AS other"
    " WHERE other.stream = 't:acme' AND other.seq = 10 - log.seq) WHERE stream = 't:acme' AND seq IN (4, 6)",
    "two streams are swapped": "UPDATE log SET stream = 't:x' WHERE stream = 't:acme' AND seq = 5",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_log_is_told(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer never rests on an entry that does not fit the chain; one that needs no such entry is given."""
    store = SqliteStore(tmp_path / "books.db")
    for deed in deeds.begin():
        tick(monkeypatch)
        store.write(deed)
    before = store.read(deeds.everything)
    with closing(sqlite3.connect(tmp_path / "books.db")) as connection, connection:
        assert connection.execute(DAMAGES[what]).rowcount > 0
    with pytest.raises(DamagedError, match=r"stream t:acme .*dca log verify"):
        Past(store, deeds.NOW - 60 * SECOND, KINDS).ask(everything)
    assert Past(store, deeds.NOW, KINDS).ask(deeds.everything) == before
    (bolt,) = Past(store, deeds.NOW - 60 * SECOND, KINDS).ask(lambda reader: [reader.end(tenant_stream("bolt"))])
    assert bolt == EMPTY_HEAD
    store.close()
