"""Somebody with more rights dies when his entry is there and its records are not: those with less go on beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.roles.people import Site

PAY = ("tenant", "payment", "--payment=7")


def check_left(site: Site, stream: str, first: int, last: int) -> None:
    """See that entries are not carried out, that this is no damage, and that the head has not passed the first."""
    assert site.head(stream) == first - 1
    which = f"entry {first}" if first == last else f"entries {first} to {last}"
    said = f"{which} of stream {stream} not carried out yet"
    assert [(one.get("note"), one["sentence"]) for one in site.found(stream)] == [("unfinished", said)]


def check_finished(site: Site, stream: str, known: Sequence[dict[str, Any]] = ()) -> None:
    """See that all is carried out, and the books in order, but for what other tests did to the stream before."""
    assert site.head(stream) == site.end(stream)
    assert site.found(stream) == [*known]


def payment(site: Site, record_id: str) -> Any:
    """Return a payment as it lies in the store."""
    return site.server.source("payment", record_id)


def test_the_hook_goes_on_beside_a_payment_of_one_who_was_killed(peopled: Site) -> None:
    """Its holds and charges are booked and add up; what it may not write waits for the next who may."""
    stream = peopled.tenant("acme")
    peopled.job("acme", "c/1/1")
    assert peopled.head(stream) == peopled.end(stream) == 6
    peopled.killed("administrator", *PAY, "--tenant=acme")
    assert peopled.end(stream) == 7
    assert (peopled.head(stream), payment(peopled, "acme:7:0")) == (6, None)
    for role in ("operator", "auditor"):
        assert peopled.balance(role, "acme") == 106
    peopled.job("acme", "c/2/2", hours=3)
    assert peopled.balance("operator", "acme") == 103
    jobs = [{"project": "pacme", "user": "wile", "jobtime": 3600, "job": f"c/{number}/3"} for number in range(20)]
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    batch = peopled.shell("operator").run("transaction", "charge", "--file=-", stdin=lines.encode())
    assert batch.status == 0, batch
    assert peopled.balance("auditor", "acme") == 83
    check_left(peopled, stream, 7, peopled.end(stream))
    assert payment(peopled, "acme:7:0") is None
    peopled.shell("administrator").ok("tenant", "payment", "--tenant=acme", "--payment=1")
    assert payment(peopled, "acme:7:0")["amount"] == 7_000_000
    assert peopled.balance("operator", "acme") == 84
    check_finished(peopled, stream)


def test_repair_finishes_what_was_left(peopled: Site) -> None:
    """Also where several died one after the other, with jobs between them."""
    stream = peopled.tenant("blue")
    peopled.stopped("administrator", *PAY, "--tenant=blue")
    peopled.job("blue", "c/1/1")
    peopled.stopped("administrator", "project", "add", "--tenant=blue", "--project=second", "--balance=20")
    peopled.stopped("administrator", *PAY, "--tenant=blue")
    peopled.job("blue", "c/2/2")
    hook = peopled.shell("operator")
    hook.ok("transaction", "reservebudget", "--project=second", "--estimate=3600", "--job=c/3/3")
    assert peopled.balance("operator", "blue") == 112
    check_left(peopled, stream, 5, peopled.end(stream))
    peopled.root.ok("log", "repair", "-y")
    hook.ok("transaction", "release", "--project=second", "--job=c/3/3")
    check_finished(peopled, stream)


def test_the_rate_of_one_who_was_killed_counts(peopled: Site) -> None:
    """Nobody but who sets rates may write it; the hook charges by it all the same."""
    peopled.tenant("cyan")
    before, known = peopled.head("g"), peopled.found("g")
    peopled.stopped("administrator", "rate", "set", "--rate=2")
    assert peopled.shell("operator").ok("rate", "get")["rate"] == 2
    peopled.job("cyan", "c/1/1")
    assert peopled.balance("operator", "cyan") == 98
    assert (peopled.head("g"), peopled.end("g")) == (before, before + 1)
    peopled.shell("administrator").ok("rate", "set", "--rate=1")
    peopled.job("cyan", "c/2/2")
    assert peopled.balance("operator", "cyan") == 97
    check_finished(peopled, "g", known)


def test_a_tenant_whose_first_entry_alone_is_there(peopled: Site) -> None:
    """The hook finds it, and can do nothing for what is not there yet."""
    peopled.stopped("administrator", "tenant", "add", "--tenant=dune")
    assert peopled.server.source("tenant", "dune") is None
    assert peopled.balance("operator", "dune") == 0
    refused = peopled.shell("operator").run("transaction", "reservebudget", "--project=pdune", "--estimate=1")
    assert refused.status in {1, 4}, refused
    peopled.shell("administrator").ok(*PAY, "--tenant=dune")
    check_finished(peopled, "t:dune")
