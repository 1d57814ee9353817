"""Log show on a log that forgers wrote into: what is void is shown with its author and the reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dca.store import entry as entries
from tests.cli.shell import Shell, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.elastic.server import BookServer

STREAM = "t:acme"


@pytest.fixture
def shell(emptied_server: BookServer) -> Iterator[Shell]:
    """Return a shell with a tenant that has paid twice."""
    with scratch() as folder:
        shell = Shell(folder, f"{emptied_server.server.url}/{emptied_server.prefix}")
        shell.ok("tenant", "add", "--tenant=acme")
        shell.ok("tenant", "payment", "--tenant=acme", "--payment=5")
        yield shell


def forged(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an entry that follows another, made from it, with a hash that fits."""
    kept = {name: value for name, value in document.items() if name not in ("author", "hash")}
    kept |= {"seq": document["seq"] + 1, "previous": document["hash"]} | fields
    return kept | {"hash": entries.document_digest(kept)}


def test_void_entries(shell: Shell, emptied_server: BookServer) -> None:
    """They stay what they are when the stream goes on; the entry of the same commit that counts is found by it."""
    paid = emptied_server.source("log", f"{STREAM}:2")
    changes = json.loads(
        json.dumps(paid["changes"]).replace("5000000", "9000000").replace(f"{STREAM}:2", f"{STREAM}:3")
    )
    documents = [
        forged(paid, changes=changes),
        forged(paid, action="gift") | {"seq": 4},
        {"stream": STREAM, "seq": 5, "commit": paid["commit"]},
    ]
    for document in documents:
        assert emptied_server.create("log", f"{STREAM}:{document['seq']}", document).status == 201
    for _ in range(2):
        shown = [shell.ok("log", "show", f"--stream={STREAM}", f"--seq={seq}") for seq in range(1, 6)]
        assert [one["entry"]["void"] for one in shown] == [False, False, True, True, True]
        assert shown[2]["entry"]["why"] == "the payment acme:2:0 is not new in it"
        assert shown[3]["entry"]["why"] == "it does not follow the entry before it"
        assert shown[4]["entry"]["why"] == "a log entry does not have the fields of one."
        assert {one["entry"]["author"] for one in shown[:4]} == {"elastic"}
        assert shown[2]["changes"][0]["after"] == {"balance": 9}
        assert json.loads(shown[4]["entry"]["document"])["commit"] == paid["commit"]
        assert shown[4]["changes"] == []
        assert shell.ok("log", "show", f"--commit={paid['commit']}")["entry"] == shown[1]["entry"]
        assert shell.run("log", "show", f"--stream={STREAM}", "--seq=5", "--format=table").status == 0
        shell.ok("tenant", "payment", "--tenant=acme", "--payment=7")
    after = shell.ok("log", "show", f"--stream={STREAM}", "--seq=6")
    assert after["changes"][0] == {"kind": "tenant", "id": "acme", "before": {"balance": 5}, "after": {"balance": 12}}


def test_an_entry_that_starts_from_other_books(shell: Shell, emptied_server: BookServer) -> None:
    """Its arithmetic is right and its hash fits; only the books before it tell that it is void."""
    paid = emptied_server.source("log", f"{STREAM}:2")
    text = json.dumps(paid["changes"]).replace('"balance": 0', '"balance": 1000000')
    text = text.replace('"balance": 5000000', '"balance": 6000000').replace('"seq": 2', '"seq": 3')
    changes = json.loads(text.replace("acme:2:", "acme:3:"))
    assert emptied_server.create("log", f"{STREAM}:3", forged(paid, changes=changes)).status == 201
    entry = shell.ok("log", "show", f"--stream={STREAM}", "--seq=3")["entry"]
    assert (entry["void"], entry["why"]) == (True, "it does not start from the books as they were before it")
    assert shell.ok("list")["list"][0]["balance"] == 5
