"""dca log repair: whatever is wrong with records and heads is put right from the log, and nothing else is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import BY_WORDS
from dca.core.errors import AbortedError, UnsoundError
from dca.engine import Surroundings, run
from dca.store.schema import KINDS
from tests.contract import deeds
from tests.model.side import SETTINGS
from tests.verify.attacked import changed, found, verified
from tests.verify.test_attacks import ALTERED, ONE_OF_EACH, add_twin, alter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.verify.attacked import Attacked, AttackedFile, AttackedServer


def repair(books: Attacked, *, dry_run: bool = False, confirm: Callable[[str], None] = lambda _: None) -> Any:
    """Run the command."""
    around = Surroundings(
        store=books.store,
        place="the books",
        settings=SETTINGS,
        now=lambda: deeds.NOW,
        draw=lambda: "0" * 24,
        confirm=confirm,
        progress=lambda _, __: None,
        write_config=lambda: None,
    )
    return run(around, BY_WORDS["log repair"], {}, dry_run=dry_run)


def everything(books: Attacked) -> dict[str, Any]:
    """Return all records, and the entries."""
    with books.store.archive() as archive:
        records = {kind: {one.id: one.record for one in archive.stored(kind)} for kind in KINDS}
        streams = [stream for stream in archive.streams() if archive.last(stream)]
        log: dict[str, list[Any]] = {stream: [] for stream in streams}
        for stream, documents in log.items():
            while some := archive.documents(stream, len(documents) + 1, 100):
                documents.extend(some)
        return {**records, "log": log}


def check_repaired(books: Attacked, before: dict[str, Any]) -> None:
    """See that the books are what they were, but for the entry that tells of the repair."""
    assert found(verified(books.store)) == []
    after = everything(books)
    told = after["log"]["g"].pop()
    assert (told["category"], told["action"]) == ("log", "repair")
    (change,) = told["changes"]
    del after["key"][change["record"]["id"]]
    assert after == before


def test_nothing_to_repair(books: Attacked) -> None:
    """Nothing is done, and no entry tells of it."""
    before = everything(books)
    assert repair(books)["repair"] == {"written": 0, "removed": 0, "heads": 0, "first": []}
    assert everything(books) == before


def spoil(books: Attacked, how: str) -> int:
    """Spoil records and heads in one way; return how many."""
    if how == "altered":
        for what in ONE_OF_EACH:
            alter(books, what)
        return len(ONE_OF_EACH)
    if how == "deleted":
        for what in ONE_OF_EACH:
            books.drop_record(*ALTERED[what][:2])
        return len(ONE_OF_EACH)
    if how == "foreign":
        # A tenant that carries a head names a stream, which would be missing.
        some = [what for what in ONE_OF_EACH if what not in ("a claim", "a tenant")]
        return len({add_twin(books, what) for what in some})
    for stream, seq in (("t:acme", 4), ("t:bolt", 2)):
        entry = books.entry(stream, seq)
        books.put_head(stream, seq, entry["hash"], entry["time"])
    books.put_head("g", 1, "0" * 64, 1)
    return 3


@pytest.mark.parametrize("how", ["altered", "deleted", "foreign", "heads"])
def test_whatever_is_wrong_is_put_right(books: Attacked, how: str) -> None:
    """A dry run says what would be done; a no changes nothing; a yes leaves the books as they were, and says so."""
    before = everything(books)
    number = spoil(books, how)
    spoilt = everything(books)
    dry = repair(books, dry_run=True)["repair"]
    assert dry["written"] + dry["removed"] + dry["heads"] >= number

    def no(question: str) -> None:
        assert question.startswith("Repair the books:")
        raise AbortedError("no.")

    with pytest.raises(AbortedError):
        repair(books, confirm=no)
    assert everything(books) == spoilt
    answer = repair(books)
    assert [one for one in answer["left"] if one["damage"] != "author"] == []
    check_repaired(books, before)
    assert repair(books)["repair"]["first"] == []


def test_what_was_removed_stands_in_the_entry(file_books: AttackedFile) -> None:
    """So that nothing is lost."""
    add_twin(file_books, "a payment")
    repair(file_books)
    assert '"id":"other:x"' in file_books.entry("g", 2)["changes"][0]["record"]["answer"]


def test_a_damaged_log_is_left_alone(books: Attacked) -> None:
    """Only a backup says what was there."""
    books.put_entry("t:acme", 2, changed(books.entry("t:acme", 2), "balance", 1))
    books.drop_record("payment", "acme:2:0")
    before = everything(books)
    with pytest.raises(UnsoundError, match="restore a backup"):
        repair(books)
    assert everything(books) == before


def test_writers_go_on_after_a_repair(books: Attacked) -> None:
    """From what the log says."""
    spoil(books, "altered")
    repair(books)
    for _ in range(2):
        books.store.write(deeds.pay("acme", 1))
        books.store.write(deeds.set_rate(7))
        books.store.write(deeds.add_user("acme", "beta", f"user{_}"))
    assert found(verified(books.store)) == []


def test_a_version_of_the_future_is_told(server_books: AttackedServer) -> None:
    """It cannot be taken back, and keeps out what is written until then."""
    server_books.put_record("project", "beta", server_books.record("project", "beta"), version=1_000)
    assert found(verified(server_books.store)) == [("version", "project beta")]
    with pytest.raises(UnsoundError):
        repair(server_books)
