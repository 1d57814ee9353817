"""The judged walk over a log: what counts, what is void, and what was changed afterwards."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.model import GLOBAL_STREAM
from dca.store import entry as entries
from dca.store.memory import MemoryStore
from dca.store.port import EMPTY_HEAD, Head
from dca.store.replay import CHAIN, HASH, UNFIT, UNREADABLE, VOID, Judged, Remembered, examine, walk
from dca.store.schema import CLAIM, KINDS
from tests.contract import deeds
from tests.contract.deeds import PERMITTED

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]


def books() -> MemoryStore:
    """Return books that have begun."""
    model = MemoryStore()
    for deed in [*deeds.begin(), *deeds.powers()]:
        model.write(deed)
    return model


def log_of(model: MemoryStore, stream: str = "t:acme") -> list[Document]:
    """Return the documents of a stream."""
    with model.archive() as archive:
        return archive.documents(stream, 1, 1_000)


def replayed(documents: list[Document], *, head: Head | None = None, stream: str = "t:acme") -> list[Judged]:
    """Walk over documents from the first on."""
    return list(walk(stream, (examine(one, PERMITTED) for one in documents), Remembered(), head=head))


def hashed(document: Document, **changed: Any) -> Document:
    """Change a document and give it the hash that fits."""
    changed = {**document, **changed}
    return {**changed, "hash": entries.document_digest(changed)}


def follow(document: Document, end: Head) -> Document:
    """Put a document behind another end than it had."""
    return hashed(document, previous=end.hash, seq=end.seq + 1)


def damaged(judged: list[Judged]) -> list[tuple[int, str]]:
    """Return sequence and kind of what is wrong."""
    return [(seq, one.damage) for seq, one in enumerate(judged, 1) if one.damage]


def test_a_replay_brings_about_the_books() -> None:
    """All records, and the heads."""
    model = books()
    replay = Remembered()
    for stream in (GLOBAL_STREAM, "t:acme", "t:bolt"):
        judged = list(walk(stream, (examine(one, PERMITTED) for one in log_of(model, stream)), replay))
        assert not damaged(judged)
        assert judged[-1].end == model.end(stream)
        assert [one.entry for one in judged] == model.entries(stream, 1, 100)
    wanted = {(kind, one): record for kind in KINDS if kind != CLAIM for one, record in model.records[kind].items()}
    assert replay.records == wanted


def void_then_next(forged: Document, end: Head, following: Document) -> tuple[list[Document], Head]:
    """Return a forged document, and the next one as its writer wrote it, having passed over the former."""
    passed = entries.passed(end, forged)
    return [forged, follow(following, passed)], passed


def richer(document: Document) -> list[Any]:
    """Return changes that begin with another balance than the books have."""
    changes: list[Any] = copy.deepcopy(document["changes"])
    for side in ("was", "record"):
        changes[0][side]["balance"] += 1
    return changes


FORGED: dict[str, Callable[[Document], Document]] = {
    "nothing": lambda _: {},
    "a wrong hash": lambda one: {**one, "details": "other"},
    "an unknown command": lambda one: hashed(one, action="gift"),
    "another place": lambda one: hashed(one, seq=77),
    "a stale start": lambda one: hashed(one, changes=richer(one)),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_entry_is_void_also_in_a_replay(what: str) -> None:
    """Whether it is the last, or others were written behind it; nothing else is wrong then."""
    model = books()
    documents = log_of(model)
    model.write(deeds.pay("acme", 1_000))
    model.write(deeds.add_user("acme", "alpha", "eve"))
    proper, later = log_of(model)[-2:]
    end = Head(len(documents), documents[-1]["hash"], documents[-1]["time"])
    forged = FORGED[what](follow(proper, end))
    (first, second), passed = void_then_next(forged, end, later)
    for listed in ([*documents, first], [*documents, first, second]):
        judged = replayed(listed)
        assert damaged(judged) == [(len(documents) + 1, VOID)], judged
        assert judged[len(documents)].entry is None
        assert judged[len(documents)].end == passed
    assert replayed([*documents, first], head=passed)[-1].damage == VOID


def in_a_row(proper: Document, end: Head, how: str) -> list[Document]:
    """Return entries of one forger: none is fit, and each says of the one before it what suits him."""
    first = hashed(follow(proper, end), changes=richer(proper))
    second = hashed(first, seq=end.seq + 2, previous=first["hash"] if how != "of nothing" else "0" * 64)
    if how == "behind the void":
        second["previous"] = entries.passed(end, first).hash
        second = hashed(second)
    third = hashed(second, seq=end.seq + 3, previous=second["hash"])
    return [first, second, third]


@pytest.mark.parametrize("how", ["of nothing", "as if all counted", "behind the void"])
@pytest.mark.parametrize("head", ["none", "before", "behind", "unknown"])
def test_what_a_forger_says_of_himself_counts_for_nothing(how: str, head: str) -> None:
    """Several forged entries in a row, one behind the other, are void all the same; who comes later says so."""
    model = books()
    documents = log_of(model)
    model.write(deeds.pay("acme", 1_000))
    model.write(deeds.add_user("acme", "alpha", "eve"))
    proper, later = log_of(model)[-2:]
    end = Head(len(documents), documents[-1]["hash"], documents[-1]["time"])
    forged = in_a_row(proper, end, how)
    passed = end
    for one in forged:
        passed = entries.passed(passed, one)
    honest = follow(later, passed)
    heads = {"none": EMPTY_HEAD, "before": end, "behind": Head(honest["seq"], honest["hash"], 0), "unknown": None}
    judged = replayed([*documents, *forged, honest], head=heads[head])
    assert damaged(judged) == [(end.seq + number, VOID) for number in (1, 2, 3)]
    assert judged[-1].end.hash == honest["hash"]
    if head in {"none", "before"}:
        assert damaged(replayed([*documents, *forged], head=heads[head])) == damaged(judged)


@pytest.mark.parametrize("head", ["before", "behind", "unknown"])
def test_nobody_makes_a_good_entry_void_by_passing_over_it(head: str) -> None:
    """A forged entry names the end that would be there without the good one before it."""
    model = books()
    documents = log_of(model)
    model.write(deeds.pay("acme", 1_000))
    (good,) = log_of(model)[len(documents) :]
    before = Head(len(documents), documents[-1]["hash"], documents[-1]["time"])
    forged = follow(good, entries.passed(before, good))
    passed = entries.passed(Head(good["seq"], good["hash"], good["time"]), forged)
    model.write(deeds.add_user("acme", "alpha", "eve"))
    honest = follow(log_of(model)[-1], passed)
    heads = {"before": before, "behind": Head(honest["seq"], honest["hash"], 0), "unknown": None}
    judged = replayed([*documents, good, forged, honest], head=heads[head])
    assert damaged(judged) == [(forged["seq"], VOID)]
    assert judged[-1].end.hash == honest["hash"]
    if head == "before":
        assert damaged(replayed([*documents, good, forged], head=before)) == [(forged["seq"], VOID)]


def test_an_entry_that_was_changed_afterwards_is_named_and_nothing_else() -> None:
    """Those behind it bear out that it was another; the head does so for the last."""
    documents = log_of(books())
    for place in range(len(documents)):
        edited = [*documents]
        edited[place] = {**documents[place], "details": "other"}
        assert damaged(replayed(edited, head=Head(len(documents), documents[-1]["hash"], 0))) == [(place + 1, HASH)]


def test_an_entry_that_was_rewritten_breaks_the_chain_behind_it() -> None:
    """Also with a hash that fits; an arithmetic that does not is told as well."""
    documents = log_of(books())
    edited = [*documents]
    edited[2] = hashed(documents[2], details="other")
    assert damaged(replayed(edited)) == [(4, CHAIN)]
    changes = [{**one, "record": {**one["record"], "created": 5}} for one in documents[2]["changes"]]
    edited[2] = hashed(documents[2], changes=changes)
    assert damaged(replayed(edited))[:2] == [(3, UNFIT), (4, CHAIN)]


def test_swapped_missing_and_unreadable_entries() -> None:
    """The first that is wrong is named."""
    documents = log_of(books())
    swapped = [*documents[:4], documents[5], documents[4], *documents[6:]]
    assert damaged(replayed(swapped))[0] == (5, CHAIN)
    shortened = [*documents[:4], *documents[5:]]
    assert damaged(replayed(shortened))[0] == (5, CHAIN)
    spoiled = [*documents[:4], {"hash": documents[4]["hash"]}, *documents[5:]]
    assert damaged(replayed(spoiled))[0] == (5, UNREADABLE)


def test_a_walk_can_begin_in_the_middle() -> None:
    """With the books as they were there."""
    documents = log_of(books())
    whole, first = Remembered(), Remembered()
    list(walk("t:acme", (examine(one, PERMITTED) for one in documents), whole))
    *_, last = walk("t:acme", (examine(one, PERMITTED) for one in documents[:6]), first)
    rest = list(walk("t:acme", (examine(one, PERMITTED) for one in documents[6:]), first, end=last.end))
    assert not damaged(rest)
    assert first.records == whole.records


def test_any_rubbish_in_any_field_is_told() -> None:
    """And breaks nothing off: every field of an entry in turn holds what it should not."""
    documents = log_of(books())
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    rubbish: list[Any] = [None, -1, 2**70, 1.5, "x", "\ud800", [], [1], {}, {"kind": "tenant"}, True, "[" * 300]
    for _ in range(200):
        place = chance.randrange(len(documents))
        field = chance.choice(sorted(documents[place]))
        edited = [*documents]
        edited[place] = {**documents[place], field: chance.choice(rubbish)}
        if edited[place] == documents[place]:
            continue
        assert damaged(replayed(edited))[0][0] in (place + 1, place + 2), (place, field)
