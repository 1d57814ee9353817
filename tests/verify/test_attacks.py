"""Everything that can be done to books around dca is found, and the first bad entry or record is named."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dca.commands.table import PERMITTED
from dca.store.crew import Crew
from dca.store.verify import Inline, Verification
from tests.contract import deeds
from tests.verify.attacked import changed, found, hashed, heads_of, verified

if TYPE_CHECKING:
    from collections import Counter

    from tests.verify.attacked import Attacked, AttackedFile, AttackedServer

ACME, BOLT = 12, 5
"""Sequences of the last entries of two streams."""
STREAMS = ("g", "t:acme", "t:bolt")
PAID = "t:acme:2"


def test_books_in_order(books: Attacked) -> None:
    """Everything is counted, nothing is found."""
    verification = verified(books.store, heads_of(books.store, STREAMS))
    assert found(verification) == []
    assert not [one for one in verification.findings.notes.values() if one["note"] != "unsigned"]
    counts = verification.counts
    assert (counts["streams"], counts["entries"], counts["heads"]) == (3, 18, 3)
    assert (counts["payments"], counts["records"], counts["changes"]) == (3, 23, 39)


# -- the five attacks ------------------------------------------------------------------------------------------------


def test_an_entry_is_edited(books: Attacked) -> None:
    """More was paid than was paid: the entry does not have its own hash."""
    books.put_entry("t:acme", 2, changed(books.entry("t:acme", 2), "balance", 1_000_000))
    assert found(verified(books.store))[0] == ("hash", PAID)


def test_an_entry_is_edited_and_hashed_again(books: Attacked) -> None:
    """With its arithmetic right: the one after it shows that it was another."""
    entry = changed(changed(books.entry("t:acme", 2), "balance", 7), "amount", 7, 1)
    books.put_entry("t:acme", 2, hashed(entry))
    assert found(verified(books.store))[0] == ("chain", "t:acme:3")


def test_the_last_entry_is_edited_and_hashed_again(books: Attacked) -> None:
    """The head shows that it was another."""
    last = books.entry("t:bolt", BOLT)
    books.put_entry("t:bolt", BOLT, hashed({**last, "details": "something else"}))
    assert found(verified(books.store))[0][0] in ("head", "void")


@pytest.mark.parametrize("seq", [1, 5, ACME - 1])
def test_an_entry_is_deleted(books: Attacked, seq: int) -> None:
    """The gap is named, and nothing that lies behind it is taken for good without being looked at."""
    books.drop_entry("t:acme", seq)
    verification = verified(books.store)
    assert ("gap", f"t:acme:{seq}") in found(verification)
    (gap,) = (one for one in verification.findings.listed() if one["damage"] == "gap")
    assert (gap["sentence"], gap["count"]) == (f"entry {seq} of stream t:acme missing, before entry {seq + 1}", 1)
    assert verification.counts["entries"] == 18 - 1


def test_two_entries_are_swapped(books: Attacked) -> None:
    """Each lies at the other's place."""
    first, second = books.entry("t:acme", 4), books.entry("t:acme", 5)
    books.put_entry("t:acme", 4, {**second, "seq": 4})
    books.put_entry("t:acme", 5, {**first, "seq": 5})
    assert found(verified(books.store))[0][1] == "t:acme:4"


def test_two_entries_are_swapped_and_hashed_again(books: Attacked) -> None:
    """They do not depend on each other: the one behind them shows that they were others."""
    first, second = books.entry("t:acme", 4), books.entry("t:acme", 5)
    books.put_entry("t:acme", 4, hashed({**second, "seq": 4, "previous": first["previous"]}))
    books.put_entry("t:acme", 5, hashed({**first, "seq": 5, "previous": books.entry("t:acme", 4)["hash"]}))
    assert found(verified(books.store))[0][1] == "t:acme:6"


@pytest.mark.parametrize("many", [1, 4])
def test_the_log_is_truncated(books: Attacked, many: int) -> None:
    """The head names entries that are not there."""
    for seq in range(ACME, ACME - many, -1):
        books.drop_entry("t:acme", seq)
    assert found(verified(books.store))[0] == ("gap", f"t:acme:{ACME - many + 1}")


def truncate(books: Attacked) -> None:
    """Take away the last entry of bolt, a payment with a key, and all traces of it."""
    last, before = books.entry("t:bolt", BOLT), books.entry("t:bolt", BOLT - 1)
    books.drop_entry("t:bolt", BOLT)
    for change in last["changes"]:
        if "was" not in change:
            books.drop_record(change["kind"], change["record"]["id"])
    bolt = books.record("tenant", "bolt") | {"balance": books.record("tenant", "bolt")["balance"] - 5}
    books.drop_record("tenant", "bolt")
    books.put_record("tenant", "bolt", bolt)
    books.put_head("t:bolt", BOLT - 1, before["hash"], before["time"])


def test_the_log_is_truncated_with_all_traces(books: Attacked) -> None:
    """Only a checkpoint shows it, since the books are what they were before that entry."""
    pinned = heads_of(books.store, STREAMS)
    truncate(books)
    assert [one for one in found(verified(books.store)) if one[0] != "version"] == []
    assert ("checkpoint", f"t:bolt:{BOLT}") in found(verified(books.store, pinned))


def test_everything_is_rewritten_consistently(books: Attacked) -> None:
    """Other books stand in the place of these: only a checkpoint shows it, and which entry is the first that it names."""
    pinned = heads_of(books.store, STREAMS)
    rewrite(books)
    assert found(verified(books.store)) == []
    assert [one for one in found(verified(books.store, pinned)) if one[0] == "checkpoint"] == [
        ("checkpoint", "g:1"),
        ("checkpoint", f"t:acme:{ACME}"),
        ("checkpoint", f"t:bolt:{BOLT}"),
    ]


def rewrite(books: Attacked) -> None:
    """Destroy the books and write others, in which acme paid more."""
    books.empty()
    different = [deeds.pay("acme", 1_900_000_000) if n == 3 else deed for n, deed in enumerate(deeds.begin())]
    for deed in [*different, deeds.reserve("acme", "beta", 60, "main/7/700"), deeds.pay("bolt", 5, key="k1")]:
        books.store.write(deed)


# -- heads -----------------------------------------------------------------------------------------------------------


def test_a_head_is_moved_forward(books: Attacked) -> None:
    """Entries are missing that it names."""
    last = books.entry("t:acme", ACME)
    books.put_head("t:acme", ACME + 3, last["hash"], last["time"])
    assert found(verified(books.store))[0] == ("gap", f"t:acme:{ACME + 1}")


def test_a_head_is_moved_back(books: Attacked) -> None:
    """The log goes on behind it."""
    earlier = books.entry("t:acme", 4)
    books.put_head("t:acme", 4, earlier["hash"], earlier["time"])
    assert found(verified(books.store))[0][0] in ("head", "version", "altered")


def test_a_head_names_another_hash(books: Attacked) -> None:
    """Whichever."""
    books.put_head("t:acme", ACME, "0" * 64, books.entry("t:acme", ACME)["time"])
    assert ("head", f"t:acme:{ACME}") in found(verified(books.store))


# -- records ---------------------------------------------------------------------------------------------------------

ALTERED: dict[str, tuple[str, str, str, object]] = {
    "a tenant": ("tenant", "acme", "balance", 1),
    "a tenant's sums": ("tenant", "bolt", "allocated_balance", 1),
    "a project": ("project", "beta", "requested", 0),
    "a user": ("association", "acme:alpha:ann", "state", "removed"),
    "a hold": ("hold", "acme:h:main/7/700", "amount", 5),
    "a settled hold": ("hold", "acme:h:main/1/100", "state", "open"),
    "a transaction": ("transaction", "acme:9:0", "cost", 1),
    "a payment": ("payment", "acme:2:0", "amount", 1),
    "a rate": ("rate", "g:1:0", "rate", 1),
    "the site": ("site", "site", "rate", 1),
    "a key": ("key", "t:bolt:k:k1", "answer", "other"),
    "a claim": ("claim", "alpha", "tenant", "bolt"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_a_record_is_altered(file_books: AttackedFile, what: str) -> None:
    """It is named, and nothing else is."""
    alter(file_books, what)
    kind, record_id, _, _ = ALTERED[what]
    assert found(verified(file_books.store)) == [("altered", f"{kind} {record_id}")]


def alter(books: Attacked, what: str) -> None:
    """Alter a record."""
    kind, record_id, field, value = ALTERED[what]
    books.put_record(kind, record_id, books.record(kind, record_id) | {field: value})


@pytest.mark.parametrize("what", ALTERED)
def test_a_record_is_deleted(file_books: AttackedFile, what: str) -> None:
    """It is named, and nothing else is."""
    kind, record_id, _, _ = ALTERED[what]
    file_books.drop_record(kind, record_id)
    assert found(verified(file_books.store)) == [("missing", f"{kind} {record_id}")]


@pytest.mark.parametrize("what", ALTERED)
def test_a_foreign_record(file_books: AttackedFile, what: str) -> None:
    """One more than the log brings is named, whatever it says; a name that nobody uses is none."""
    kind = add_twin(file_books, what)
    verification = verified(file_books.store)
    idle = [one["note"] for one in verification.findings.notes.values()]
    assert (found(verification), idle) == (
        ([], ["idle"]) if kind == "claim" else ([("foreign", f"{kind} other:x")], [])
    )


def add_twin(books: Attacked, what: str) -> str:
    """Add a record like another, under an id of its own; return its kind."""
    kind, record_id, _, _ = ALTERED[what]
    books.put_record(kind, "other:x", {**books.record(kind, record_id), "id": "other:x"})
    return kind


ONE_OF_EACH = [what for what in ALTERED if what not in ("a settled hold", "a tenant's sums")]


def test_documents_are_altered(server_books: AttackedServer) -> None:
    """One of each kind, each of them is named."""
    for what in ONE_OF_EACH:
        alter(server_books, what)
    wanted = {("altered", "{} {}".format(*ALTERED[what])) for what in ONE_OF_EACH}
    assert {one for one in found(verified(server_books.store)) if one[0] != "version"} == wanted


def test_documents_are_deleted(server_books: AttackedServer) -> None:
    """One of each kind, but for the site: its stream has one entry, which counts as not carried out yet."""
    for what in ONE_OF_EACH:
        server_books.drop_record(*ALTERED[what][:2])
    wanted = {("missing", "{} {}".format(*ALTERED[what])) for what in ONE_OF_EACH}
    verification = verified(server_books.store)
    named = {*found(verification)}
    assert wanted - named <= {("missing", "site site"), ("missing", "rate g:1:0")} | late(wanted)
    assert named <= wanted
    unfinished = {one["stream"] for one in verification.findings.notes.values() if one["note"] == "unfinished"}
    assert unfinished == {"g", "t:acme"}


def late(wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the records of acme: with the head they may count as not carried out yet, but for the tenant itself."""
    return {one for one in wanted if "acme" in one[1] or "alpha" in one[1] or "beta" in one[1]} - {
        ("missing", "tenant acme")
    }


def test_foreign_documents(server_books: AttackedServer) -> None:
    """One of each kind."""
    kinds = {add_twin(server_books, what) for what in ONE_OF_EACH}
    named = {one for one in found(verified(server_books.store)) if one[0] == "foreign"}
    assert named == {("foreign", f"{kind} other:x") for kind in kinds - {"claim"}}


def test_money_that_does_not_add_up_is_told(books: Attacked) -> None:
    """Where entries say so themselves: here a charge that takes less from the tenant than from the project."""
    seq = 9
    entry = changed(books.entry("t:acme", seq), "balance", 1_000_000)
    books.put_entry("t:acme", seq, entry)
    names = [damage for damage, _ in found(verified(books.store))]
    assert names[0] == "hash"
    assert "money" in names or "unfit" in names


# -- what is no damage -----------------------------------------------------------------------------------------------


def test_tenants_come_while_verify_works(server_books: AttackedServer) -> None:
    """A tenant that is added when the list of streams is read already, and one in each part after that, is no stray."""
    store = server_books.store
    parts = 0

    def progress(_: int, __: int) -> None:
        nonlocal parts
        parts += 1
        store.write(deeds.add_tenant(f"new{parts}"))
        store.write(deeds.pay(f"new{parts}", 5))

    with store.archive() as archive:
        verification = Verification(archive, signed=archive.signed)
        verification.whole(Inline(archive, PERMITTED), progress)
    assert found(verification) == []
    assert verification.counts["streams"] > len(STREAMS)


def test_a_tenant_behind_a_void_entry_is_not_written_yet(server_books: AttackedServer) -> None:
    """Of the two entries of its stream only one counts, and nobody may have carried that out: the tenant is not missing."""
    server_books.put_entry("t:new", 1, {"stream": "t:new", "seq": 1})
    server_books.store.write(deeds.add_tenant("new"))
    server_books.drop_record("tenant", "new")
    assert found(verified(server_books.store)) == [("void", "t:new:1")]
    server_books.store.write(deeds.pay("new", 5))
    server_books.drop_record("tenant", "new")
    assert found(verified(server_books.store)) == [("void", "t:new:1"), ("missing", "tenant new")]


def test_an_unused_claim_is_a_note(books: Attacked) -> None:
    """It is idle."""
    books.put_record("claim", "omega", {"id": "omega", "tenant": "acme", "generation": 1})
    verification = verified(books.store)
    assert found(verification) == []
    assert [one["id"] for one in verification.findings.notes.values() if one["note"] == "idle"] == ["omega"]


@pytest.mark.parametrize("most", [0, 3])
def test_many_records_do_not_fill_the_memory(file_books: AttackedFile, most: int) -> None:
    """What the log says of them goes to a file without a name, with the same outcome."""
    hold = file_books.record("hold", "acme:h:main/7/700")
    file_books.put_record("hold", "acme:h:main/7/700", hold | {"amount": 5})
    verification = verified(file_books.store, records_max=most)
    assert found(verification, but=("author", "version")) == [("altered", "hold acme:h:main/7/700")]
    assert verification.states.is_filed


def test_several_processes_find_what_one_finds(file_books: AttackedFile) -> None:
    """In books in order, and in damaged ones."""
    assert by_crew(file_books) == verified(file_books.store).counts
    alter(file_books, "a payment")
    file_books.put_entry("t:acme", 5, file_books.entry("t:acme", 5) | {"details": "other"})
    file_books.drop_entry("t:bolt", 3)
    alone = verified(file_books.store)
    assert len(found(alone)) >= 3
    assert by_crew(file_books, alone) == alone.counts


def test_processes_do_not_hear_ctrl_c(file_books: AttackedFile) -> None:
    """Not even while they start, before they could ignore it: whoever asked for the verification ends it, in one line."""
    with (
        file_books.store.archive() as archive,
        Crew(archive, file_books.store.again(), PERMITTED, least=0, at_once=2),
    ):
        crew = multiprocessing.active_children()
        status = [Path(f"/proc/{one.pid}/status").read_text(encoding="ascii") for one in crew]
    blocked = [int(line.split()[1], 16) for text in status for line in text.splitlines() if line.startswith("SigBlk")]
    assert blocked
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in blocked)


def by_crew(books: AttackedFile, alone: Verification | None = None) -> Counter[str]:
    """Verify with several processes, see that they find what one process found, and return what they counted."""
    with (
        books.store.archive() as archive,
        Crew(archive, books.store.again(), PERMITTED, least=0, at_once=2) as crew,
    ):
        verification = Verification(archive, signed=archive.signed)
        verification.whole(crew, lambda done, total: None)
    assert verification.findings.damage == (alone.findings.damage if alone is not None else {})
    return verification.counts
