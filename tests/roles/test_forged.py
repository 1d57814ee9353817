"""Somebody with a lesser role appends entries to the log with a raw client: nobody carries out what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dca.store import declaration
from dca.store.schema import TENANT
from tests.contract import deeds
from tests.elastic.test_forged import FORGERIES
from tests.roles.people import hashed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.deeds import Deed
    from tests.roles.people import Document, Site

HOLD = ("transaction", "reservebudget", "--estimate=3600")
EVERYTHING = "list,rate set,tenant payment,role grant,login add"


def pay(tenant: str) -> Callable[[], Deed]:
    """Return what makes a payment of a thousand dollars."""
    return lambda: deeds.pay(tenant, 1_000_000_000)


def kinds(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return which findings there are, and how many of each."""
    return [(one.get("damage") or one["note"], one["count"]) for one in found]


def test_payments_that_do_not_fit(peopled: Site) -> None:
    """Each is void as soon as it is there; the hook and the administrator go on behind them."""
    stream, forger = peopled.tenant("forge"), peopled.login("operator")
    before = peopled.store.read(lambda reader: reader.get(TENANT, ["forge"]))
    for forge in FORGERIES.values():
        document = forge(peopled.proper(pay("forge"), forger))
        peopled.forge(document, f"{stream}:{peopled.end(stream) + 1}")
        assert peopled.store.read(lambda reader: reader.get(TENANT, ["forge"])) == before
    in_a_wrong_stream = peopled.proper(lambda: deeds.grant(forger, "root"), forger)
    peopled.forge(in_a_wrong_stream, f"{stream}:{peopled.end(stream) + 1}")
    as_somebody_else = peopled.proper(pay("forge"), peopled.login("administrator"))
    as_somebody_else["changes"][0]["record"]["balance"] += 1
    peopled.forge(hashed(as_somebody_else), f"{stream}:{peopled.end(stream) + 1}")
    assert peopled.end(stream) == 4 + len(FORGERIES) + 2
    peopled.job("forge", "c/1/1")
    peopled.shell("administrator").ok("tenant", "payment", "--tenant=forge", "--payment=1")
    assert [peopled.balance(role, "forge") for role in ("operator", "auditor")] == [100, 100]
    assert peopled.head(stream) == peopled.end(stream)
    (void,) = peopled.found(stream)
    assert kinds([void]) == [("void", len(FORGERIES) + 2)]
    assert void["author"] == forger
    assert f"entry 5 of stream {stream}, written by {forger}, is void: " in void["sentence"]


def test_rates_and_grants_that_do_not_fit(peopled: Site) -> None:
    """In the global stream, which the forger reads and does not write otherwise."""
    forger, first = peopled.login("operator"), peopled.end("g") + 1
    peopled.tenant("globe")
    rate = peopled.proper(lambda: deeds.set_rate(9_000_000), forger)
    grant = peopled.proper(lambda: deeds.grant(forger, "root"), forger)
    was, key = grant["changes"][0]["record"], {"kind": "key", "record": {"id": "g:k:x"}}
    forged: list[Document] = [
        {**rate, "changes": [{**one, "record": {**one["record"], "rate": 1}} for one in rate["changes"][:1]]},
        {**rate, "changes": rate["changes"] + grant["changes"]},
        {**rate, "previous": "0" * 64},
        {**grant, "changes": [{**grant["changes"][0], "was": {**was, "grants": "viewer"}}]},
        {**grant, "changes": [{**grant["changes"][0], "record": {**was, "id": "somebody"}}], "action": "gift"},
        {**grant, "changes": [*grant["changes"], key]},
        {"stream": "g", "seq": 7, "changes": [7]},
    ]
    for number, document in enumerate(forged):
        there = {**document, "seq": first + number} if "hash" in document else document
        peopled.forge(hashed(there) if "hash" in there else there, f"g:{first + number}")
        assert peopled.end("g") == first + number
    assert peopled.shell("operator").ok("rate", "get")["rate"] == 1
    peopled.job("globe", "c/1/1")
    peopled.shell("administrator").ok("rate", "set", "--rate=1")
    assert peopled.balance("operator", "globe") == 99
    assert peopled.head("g") == peopled.end("g") == first + len(forged)
    (void,) = [one for one in peopled.found("g") if one.get("damage")]
    assert (void["damage"], void["count"], void["author"]) == ("void", len(forged), forger)


def test_a_payment_that_fits_counts_and_is_told(peopled: Site) -> None:
    """It is what dca would have written: the next who may carries it out, and verify names who may not have written it."""
    stream, forger = peopled.tenant("gift"), peopled.hire("giver", "--role=operator")
    for _ in range(2):
        peopled.forge(peopled.proper(pay("gift"), forger), f"{stream}:{peopled.end(stream) + 1}", "giver")
    peopled.shell("administrator").ok("tenant", "payment", "--tenant=gift", "--payment=1")
    assert peopled.balance("auditor", "gift") == 2_101
    (note,) = peopled.found(stream)
    assert note == {
        "note": "unpermitted",
        "stream": stream,
        "seq": 5,
        "author": forger,
        "command": "tenant payment",
        "sentence": f"entry 5 of stream {stream} (tenant payment) was written by {forger}, whose role (operator) does not "
        "permit it",
        "count": 2,
    }
    assert peopled.found(stream, "auditor") == [note]
    peopled.root.ok("role", "create", "--role=prover", "--commands=log verify")
    prover = peopled.hire("prover", "--role=prover")
    assert peopled.found(stream, "prover") == []
    (unasked,) = [
        one for one in peopled.shell("prover").run("log", "verify").answer["notes"] if one["note"] == "unasked"
    ]
    assert unasked["sentence"] == (
        f"whether authors may do what they wrote was not looked at: {prover} may not read roles and users"
    )
    assert "unasked" not in [one["note"] for one in peopled.root.run("log", "verify").answer["notes"]]


def test_an_entry_in_the_name_of_somebody_else_is_told(peopled: Site) -> None:
    """Whatever it says, the stamp says who wrote it."""
    stream, administrator = peopled.tenant("alias"), peopled.login("administrator")
    forger = peopled.hire("masked", "--role=operator")
    peopled.forge(peopled.proper(pay("alias"), administrator), f"{stream}:5", "masked")
    peopled.shell("administrator").ok("tenant", "payment", "--tenant=alias", "--payment=1")
    assert kinds(peopled.found(stream)) == [("author", 1), ("unpermitted", 1)]
    author, _ = peopled.found(stream, "auditor")
    assert (author["author"], author["actor"]) == (forger, administrator)


def test_a_role_on_one_tenant_permits_nothing_on_another(peopled: Site) -> None:
    """A biller of the one who charges the other with a raw client is named; what he did on his own is not."""
    own, foreign = peopled.tenant("mine"), peopled.tenant("yours")
    biller = peopled.hire("biller", "--role=biller", "--tenant=mine")
    peopled.shell("biller").ok("tenant", "payment", "--tenant=mine", "--payment=1")
    peopled.forge(peopled.proper(pay("yours"), biller), f"{foreign}:5", "biller")
    assert peopled.found(own) == []
    (note,) = [one for one in peopled.found(foreign) if one.get("note") == "unpermitted"]
    assert note["sentence"].endswith(f"was written by {biller}, whose role (biller@tenant/mine) does not permit it")


def test_nobody_becomes_root_by_the_log(peopled: Site) -> None:
    """A forged grant that fits gives nothing at Elasticsearch, also when a root grants its author something else."""
    forger = peopled.hire("climber", "--role=operator")
    peopled.root.ok("role", "create", "--role=day", "--commands=list")
    there = peopled.server.server.call("GET", f"/_security/role/dca-{peopled.prefix}.day")

    def more() -> Deed:
        return deeds.deed("role modify", "g", _more, "day")

    for deed in (
        lambda: deeds.grant(forger, "root"),
        lambda: deeds.grant(f"{forger}2", "root"),
        lambda: deeds.create_role("night", 99),
        more,
    ):
        peopled.forge(peopled.proper(deed, forger), f"g:{peopled.end('g') + 1}", "climber")
    hook = peopled.shell("climber")
    assert not hook.ok("whoami")["root"]
    assert hook.run("role", "grant", "--role=root", f"--login={forger}").status == 4
    for words in (("role", "grant", f"--login={forger}"), ("login", "add", "--no-password", f"--login={forger}2")):
        peopled.root.ok(*words, "--role=viewer")
    peopled.root.ok("role", "grant", "--role=day", f"--login={forger}")
    assert peopled.root.run("role", "grant", "--role=night", f"--login={forger}").answer["code"] == "not_found"
    assert peopled.server.server.call("GET", f"/_security/role/dca-{peopled.prefix}.day") == there
    told = hook.ok("whoami")
    assert (told["root"], told["roles"]) == (False, ["day", "operator", "viewer"])
    logins = {one["login"]: one["roles"] for one in peopled.root.ok("login", "list")["logins"]}
    assert (logins[forger], logins[f"{forger}2"]) == (["day", "operator", "viewer"], ["viewer"])
    named = {
        one["command"] for one in peopled.found("g") if one.get("note") == "unpermitted" and one["author"] == forger
    }
    assert named == {"role grant", "role create", "role modify"}


def _more(self: Deed, reader: Any, role: str) -> Any:
    """Give a role more commands."""
    (before,) = reader.get("role", [role])
    return self.drafted(reader, [(before._replace(level=99, commands=EVERYTHING), before)])


def test_nobody_hides_by_saying_that_entries_were_brought(peopled: Site) -> None:
    """A forged declaration of a restore, which would excuse all authors before it, is not believed of who may not restore."""
    stream, forger = peopled.tenant("hide"), peopled.hire("hider", "--role=operator")
    peopled.forge(peopled.proper(pay("hide"), "somebody"), f"{stream}:5", "hider")
    before = peopled.found(stream)

    def declared(self: Deed, reader: Any) -> Any:
        told = declaration.Bringing(forger, "restore", deeds.NOW, self.commit, "nowhere", "")
        ends = {name: reader.end(name)._replace(seq=10**6) for name in ("g", stream)}
        draft = declaration.draft(told, ends, ends, reader.end("g"))
        return self.drafted(reader, [])._replace(draft=draft)

    peopled.forge(
        peopled.proper(lambda: deeds.deed("restore", "g", declared), forger), f"g:{peopled.end('g') + 1}", "hider"
    )
    assert kinds(before) == kinds(peopled.found(stream)) == [("author", 1), ("unfinished", 1), ("unpermitted", 1)]
    named = [one for one in peopled.found("g") if one.get("author") == forger and one.get("note") == "unpermitted"]
    assert "restore restore" in {one["command"] for one in named}


@pytest.mark.parametrize("ahead", [2, 1_000])
def test_entries_far_ahead(peopled: Site, ahead: int) -> None:
    """Rubbish and well-formed ones under numbers to come: no gap, since nothing came of them, and void once it is their turn."""
    name = f"ahead{ahead}"
    stream, forger = peopled.tenant(name), peopled.login("operator")
    good = peopled.proper(pay(name), forger)
    first = 4 + ahead
    peopled.forge({"stream": stream, "seq": first}, f"{stream}:{first}")
    peopled.forge(hashed({**good, "seq": first + 1, "previous": good["hash"]}), f"{stream}:{first + 1}")
    found = peopled.found(stream)
    assert kinds(found) == [("ahead", 2)]
    assert (
        found[0]["sentence"]
        == f"entry {first} of stream {stream}, written by {forger}, lies ahead of the end of its stream"
    )
    peopled.job(name, "c/1/1")
    peopled.shell("administrator").ok("tenant", "payment", f"--tenant={name}", "--payment=1")
    assert peopled.balance("auditor", name) == 100
    assert kinds(peopled.found(stream)) == [("void", 2) if ahead == 2 else ("ahead", 2)]
    peopled.root.ok("log", "repair", "-y")


def test_an_entry_of_a_time_to_come_is_told(peopled: Site) -> None:
    """It stops its stream until its time has come: verify names who wrote it, and a root can take it away."""
    stream, forger = peopled.tenant("future"), peopled.login("operator")
    good = peopled.proper(lambda: deeds.reserve("future", "pfuture", 60, "c/9/9"), forger, days=10)
    peopled.forge(good, f"{stream}:5")
    refused = peopled.shell("operator").run(*HOLD, "--project=pfuture", "--job=c/1/1")
    assert refused.status == 3, refused
    assert "set the clock" in refused.answer["error"]
    (note,) = [one for one in peopled.found(stream) if one.get("note") == "future"]
    assert (note["seq"], note["author"]) == (5, forger)
    peopled.server.must("DELETE", f"/{peopled.server.index('log')}/_doc/{stream.replace(':', '%3A')}%3A5")
    peopled.job("future", "c/1/1")
    assert peopled.found(stream) == []
