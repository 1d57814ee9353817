"""What the ledger makes is fit; anything else that pretends to be an entry is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.commands.table import PERMITTED
from dca.core import fitness, ledger
from dca.core.model import (
    ACTIVE,
    DEFAULT_SITE,
    DIRECT,
    DISABLED,
    EVERYBODY,
    REMOVED,
    Change,
    Claim,
    Login,
    Project,
    Record,
    Role,
    Site,
    Transaction,
)
from dca.core.money import AMOUNT_MAX
from dca.core.names import RECORD_ID_BYTES_MAX, TEXT_BYTES_MAX
from dca.store.schema import KEY, LOGIN, ROLE
from tests.core.books import BEGIN, STREAM, Doing, Made, doings, every_command, figures, history, project, tenant


def flaw(made: Made, changes: tuple[Change, ...] | None = None, **other: object) -> str:
    """Return what is wrong with an entry, or with it after some of it was changed."""
    stated: dict[str, object] = {**made._asdict(), "kinds": PERMITTED[made.command], **other}
    if changes is not None:
        stated["changes"] = changes
    return fitness.flaw(**stated)  # type: ignore[arg-type]


@given(doings())
def test_what_commands_make_is_fit(steps: list[Doing]) -> None:
    """Every entry that the ledger's functions lead to is accepted."""
    for made in history(steps).entries:
        assert not flaw(made), made


def test_every_command_is_tried() -> None:
    """The books in which everything is tampered with hold an entry of each command that moves money."""
    done = {made.command for made in every_command().entries}
    moving = {command for command, kinds in PERMITTED.items() if not {*kinds} <= {ROLE, LOGIN, KEY}}
    assert moving - done == {"user add", "user delete", "setup setup"} & set(PERMITTED)
    assert not any(map(flaw, every_command().entries))


# -- tampering ---------------------------------------------------------------------------------------------------

TOLD = {"user", "batch", "job", "start", "end", "nodes", "late"}
"""What a transaction tells of its job, and nothing in the entry can confirm."""

FREE: dict[tuple[str, str], set[str]] = {
    # By command and kind: what the entry itself decides, or only tells. An id that is not led to by other fields must begin
    # with its stream's own, and a rate that is off by one may come to the same amount.
    ("tenant add", "tenant"): {"credit", "created"},
    ("tenant modify", "tenant"): {"credit"},
    ("tenant payment", "payment"): {"id", "reference"},
    ("project add", "project"): {"created"},
    ("project release", "claim"): {"tenant"},
    ("transaction reservebudget", "hold"): {"user", "rate"},
    ("transaction charge", "transaction"): {*TOLD, "id", "rate", "cores"},
    ("job import", "transaction"): {*TOLD, "id", "rate"},
    ("job import", "association"): {"created", "state"},
    ("job undo", "transaction"): {*TOLD, "rate"},
    ("rate set", "rate"): {"id"},
    ("rate set", "key"): {"content", "answer"},
}
WAS_FREE = {("tenant modify", "tenant"): {"credit"}, ("rate set", "site"): {"rate"}}
"""What an entry says was before it, and only the books can tell."""


def other_values(value: object) -> list[object]:
    """Return values beside a value: an amount by a micro-dollar up and down, a text with a letter more or gone."""
    if isinstance(value, int):
        return [value + 1, value - 1]
    assert isinstance(value, str)
    return [value + "x", value[:-1]] if value else ["x"]


def tampered(record: Record) -> list[tuple[str, Record]]:
    """Return a record with one field changed, in every way, with the field's name."""
    return [
        (field, record._replace(**{field: other}))  # type: ignore[arg-type]
        for field, value in figures(record).items()
        for other in other_values(value)
    ]


def accepted() -> tuple[dict[tuple[str, str], set[str]], dict[tuple[str, str], set[str]]]:
    """Return the fields, of records and of what they were, of which another value passes."""
    records: dict[tuple[str, str], set[str]] = {}
    befores: dict[tuple[str, str], set[str]] = {}
    for made in every_command().entries:
        for number, change in enumerate(made.changes):
            around = made.changes[:number], made.changes[number + 1 :]
            name = (made.command, change.kind)
            for field, forged in tampered(change.record):
                if not flaw(made, (*around[0], change._replace(record=forged), *around[1])):
                    records.setdefault(name, set()).add(field)
            for field, forged in tampered(change.was) if change.was is not None else ():
                if not flaw(made, (*around[0], change._replace(was=forged), *around[1])):
                    befores.setdefault(name, set()).add(field)
    return records, befores


def test_each_single_tampering_is_refused() -> None:
    """Every amount by a micro-dollar up or down, and every other field: all is seen but what is free to be so."""
    records, befores = accepted()
    assert records == FREE
    assert befores == WAS_FREE


@given(doings(), st.data())
def test_tampering_with_any_amount_is_refused(steps: list[Doing], data: st.DataObject) -> None:
    """In any entry of any history an amount, a sum or a count that is one up or down is seen."""
    sums = {"balance", "credit", "allocated_balance", "allocated_credit", "holds_open", "requested", "amount", "cost"}
    sums |= {"project_balance", "project_credit", "tenant_balance", "tenant_credit", "released", "billed_seconds"}
    made = data.draw(st.sampled_from(history(steps).entries))
    if not made.changes:
        return
    number = data.draw(st.sampled_from(range(len(made.changes))))
    change = made.changes[number]
    fields = sorted(sums & figures(change.record).keys() - _decided(made.command, change.kind))
    if not fields:
        return
    field = data.draw(st.sampled_from(fields))
    value = getattr(change.record, field) + data.draw(st.sampled_from((-1, 1)))
    forged = change.record._replace(**{field: value})
    changes = (*made.changes[:number], change._replace(record=forged), *made.changes[number + 1 :])
    assert flaw(made, changes)


def _decided(command: str, kind: str) -> set[str]:
    """Return the amounts that a command itself decides, so that another one is another command of its kind."""
    if kind == "project" and command in fitness.MOVES_EARMARKS:
        return {"balance", "credit"}  # of a project that is overdrawn, which counts for nothing in the tenant's sums
    return {"credit"} if command in fitness.SETS_CREDIT else set()


def test_leaving_something_out_is_refused() -> None:
    """No record that moves money can be left out of its entry."""
    harmless = {"key", "association", "claim", "site"}
    for made in every_command().entries:
        for number, change in enumerate(made.changes):
            rest = (*made.changes[:number], *made.changes[number + 1 :])
            if not rest:
                continue
            assert bool(flaw(made, rest)) == (change.kind not in harmless), (made.command, change.kind)


def test_bringing_something_twice_is_refused() -> None:
    """No record can be brought twice by one entry."""
    for made in every_command().entries:
        for change in made.changes:
            assert "twice" in flaw(made, (*made.changes, change))


def test_another_place_is_refused() -> None:
    """An entry cannot be taken for one of another stream, sequence, time or command."""
    for made in every_command().entries:
        assert flaw(made, stream="t:other")
        assert flaw(made, kinds=())
        brings = {change.kind for change in made.changes}
        if brings & {"transaction", "payment", "rate", "key"}:
            assert "is not new" in flaw(made, seq=made.seq + 1)
            assert "is not new" in flaw(made, time=made.time + 1)
        if brings & {"transaction", "payment", "hold", "rate", "claim"}:
            others = [command for command, kinds in PERMITTED.items() if not brings <= set(kinds)]
            assert others
            assert all(flaw(made, command=command, kinds=PERMITTED[command]) for command in others)


def test_what_only_one_command_may_do() -> None:
    """Only the command that is for it adds an account, moves earmarks, sets a credit, disables or gives a name away."""
    kinds = sorted({kind for permitted in PERMITTED.values() for kind in permitted})
    own = {
        "tenant add",
        "tenant modify",
        "tenant disable",
        "project add",
        "project movebudget",
        "project disable",
        "project release",
    }
    for made in every_command().entries:
        if made.command in own:
            assert [command for command in PERMITTED if not flaw(made, command=command, kinds=kinds)] == [made.command]


# -- what no command does ----------------------------------------------------------------------------------------


def entry(command: str) -> Made:
    """Return the first entry of a command."""
    return next(made for made in every_command().entries if made.command == command)


def with_record(made: Made, kind: str, **fields: object) -> tuple[Change, ...]:
    """Return an entry's changes with other fields in its first record of a kind."""
    number = next(number for number, change in enumerate(made.changes) if change.kind == kind)
    change = made.changes[number]
    forged = change._replace(record=change.record._replace(**fields))  # type: ignore[arg-type]
    return (*made.changes[:number], forged, *made.changes[number + 1 :])


@pytest.mark.parametrize(
    ("command", "kind", "fields", "reason"),
    [
        ("tenant payment", "payment", {"amount": 0}, "nothing, or less"),
        ("tenant payment", "payment", {"id": "other:2:0"}, "does not belong"),
        ("tenant payment", "payment", {"tenant": "other"}, "does not belong"),
        ("tenant payment", "payment", {"reference": "x" * (TEXT_BYTES_MAX + 1)}, "too long"),
        ("tenant payment", "payment", {"reference": "\ud800"}, "no text"),
        ("tenant payment", "payment", {"id": "acme:" + "x" * RECORD_ID_BYTES_MAX}, "too long"),
        ("tenant payment", "payment", {"amount": AMOUNT_MAX + 1}, "out of range"),
        ("tenant payment", "tenant", {"state": "disabled"}, "another state"),
        ("tenant add", "tenant", {"state": "disabled"}, "another state"),
        ("tenant modify", "tenant", {"credit": -1}, "figures of the tenant"),
        ("project add", "project", {"state": "disabled"}, "another state"),
        ("transaction charge", "transaction", {"source": "gift"}, "none that is known"),
        ("transaction charge", "transaction", {"unit": "lumen-hours"}, "not billed by the unit"),
        ("transaction charge", "transaction", {"hold": ""}, "transaction"),
        ("transaction charge", "hold", {"state": "released"}, "settled by no transaction"),
        ("transaction release", "hold", {"state": "settled"}, "settled by no transaction"),
        ("transaction reservebudget", "hold", {"state": "settled"}, "is not opened by it"),
        ("project release", "claim", {"generation": 3}, "not given away"),
        ("project release", "claim", {"tenant": "acme"}, "not given away"),
        ("rate set", "rate", {"rate": -1}, "not the one that is set"),
        ("rate set", "site", {"zone": "Europe/Berlin"}, "more of the site than its rate"),
        ("rate set", "site", {"names": "extended"}, "more of the site than its rate"),
    ],
)
def test_what_no_command_does(command: str, kind: str, fields: dict[str, object], reason: str) -> None:
    """Each is refused for its own reason."""
    made = entry(command)
    assert reason in flaw(made, with_record(made, kind, **fields))


def test_the_site() -> None:
    """Setup changes all but the rate, and the rule for names can only be widened."""

    def settled(record: Site, was: Site | None) -> str:
        change = Change("site", record, was)
        return fitness.flaw(command="setup setup", stream="g", seq=1, time=1, changes=[change], kinds=["site"])

    extended = DEFAULT_SITE._replace(zone="Europe/Berlin", names="extended", cluster="c")
    assert not settled(extended, DEFAULT_SITE)
    assert not settled(extended, None)
    assert "narrowed" in settled(DEFAULT_SITE, extended)
    assert "narrowed" in settled(DEFAULT_SITE._replace(names="any"), DEFAULT_SITE)
    assert "rate of the site" in settled(DEFAULT_SITE._replace(rate=1), DEFAULT_SITE)


def test_a_claim_is_not_made_by_an_entry() -> None:
    """A name is claimed by its own document; an entry can only give it away."""
    made = entry("project release")
    assert flaw(made, (Change("claim", Claim("new", "acme", 1), None),))


def moved(*projects: tuple[Project, Project]) -> str:
    """Return what is wrong with moving earmarks so that projects go from one state to another."""
    before = after = tenant(100, 100)
    for was, _ in projects:
        before = after = ledger.with_project(before, None, was)
    for was, record in projects:
        after = ledger.with_project(after, was, record)
    changes = [Change("project", record, was) for was, record in projects]
    if after != before:
        changes.append(Change("tenant", after, before))
    kinds = PERMITTED["project movebudget"]
    return fitness.flaw(command="project movebudget", stream=STREAM, seq=9, time=9, changes=changes, kinds=kinds)


def test_more_than_there_is_cannot_be_moved() -> None:
    """Neither below nothing, nor what open holds need, nor more to one project than another gives."""
    p, q, holding = project("p", 5, 5), project("q", 5, 5), project("p", 5, 5)._replace(requested=7, holds_open=1)
    assert not moved((p, p._replace(balance=0, credit=0)))
    assert not moved((p, p._replace(balance=90, credit=90)))
    assert not moved((p, p._replace(balance=1, credit=3)), (q, q._replace(balance=9, credit=7)))
    assert not moved((holding, holding._replace(balance=2)))
    overdrawn = holding._replace(balance=-50)
    assert not moved((overdrawn, overdrawn._replace(balance=-49)))
    assert not moved((overdrawn, overdrawn._replace(credit=6)))
    assert "more is taken" in moved((p, p._replace(balance=-1)))
    assert "more is taken" in moved((p, p._replace(credit=-1)))
    assert "open holds need" in moved((holding, holding._replace(balance=1)))
    assert "open holds need" in moved((holding, holding._replace(credit=1)))
    assert "not what the other gets" in moved((p, p._replace(balance=1)), (q, q._replace(balance=10)))
    assert "not what the other gets" in moved((p, p._replace(credit=1)), (q, q._replace(credit=8)))
    assert "can be given to a project" in moved((p, p._replace(balance=101)))
    assert "can be given to a project" in moved((p, p._replace(credit=101)))


def test_more_than_there_is_cannot_be_held() -> None:
    """A hold beyond what the project has is not fit, whoever wrote it."""
    made = entry("transaction reservebudget")
    short = tuple(
        Change(kind, record._replace(balance=0, credit=0), was._replace(balance=0, credit=0))
        if isinstance(record, Project) and isinstance(was, Project)
        else Change(kind, record, was)
        for kind, record, was in made.changes
    )
    assert "more is held than there is" in flaw(made, short)


def test_a_counter_record_takes_back_exactly() -> None:
    """Every field but the place where it is booked, and whether the project is disabled by then, must fit the charge."""
    books = every_command()
    counter = books.transactions[-1]
    charge = next(one for one in books.transactions if one.id == counter.reverses)
    assert fitness.takes_back(counter, charge)
    for field, forged in tampered(counter):
        assert isinstance(forged, Transaction)
        free = field in {"id", "stream", "seq", "time", "source", "late"}
        assert fitness.takes_back(forged, charge) == free, field


# -- roles and logins ----------------------------------------------------------------------------------------------

NIGHT = Role("night", "Night", 20, "list,rate get", "tenant/acme", DIRECT, ACTIVE, "", BEGIN)
ADA = Login("ada", "operator,viewer@tenant/acme", ACTIVE, "", BEGIN)


def judged(record: Role | Login, was: Role | Login | None = None, command: str = "role grant") -> str:
    """Return what is wrong with an entry that brings a role or a login."""
    change = Change(ROLE if isinstance(record, Role) else LOGIN, record, was)
    return fitness.flaw(command=command, stream="g", seq=1, time=BEGIN, changes=[change], kinds=PERMITTED[command])


def test_roles_and_logins_are_fit() -> None:
    """What dca writes of them is carried out: new, changed, disabled, removed, bound or not, begun and not ended."""
    assert judged(NIGHT) == judged(NIGHT._replace(level=100, scope="", state=REMOVED), NIGHT) == ""
    assert judged(ADA) == judged(ADA._replace(grants="", pending="role grant"), ADA) == ""
    assert judged(ADA._replace(state=DISABLED), ADA) == judged(ADA._replace(state=REMOVED, grants=""), ADA) == ""
    assert judged(ADA._replace(id=EVERYBODY, grants="")) == ""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"level": 0}, "none that can be"),
        ({"level": 101}, "none that can be"),
        ({"form": "both"}, "none that can be"),
        ({"state": DISABLED}, "none that can be"),
        ({"scope": "acme"}, "none that can be"),
        ({"scope": "tenant/Acme"}, "none that can be"),
        ({"name": "Day"}, "does not belong to its stream"),
        ({"id": "day"}, "does not belong to its stream"),
        ({"name": "NIGHT"}, "none that can be"),
        ({"created": BEGIN + 1}, "none that can be"),
    ],
)
def test_roles_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    """A forged role is void: another name, birthday, level, form or scope than there can be."""
    assert reason in judged(NIGHT._replace(**fields), NIGHT)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"grants": "Operator"}, "none that can be"),
        ({"grants": "operator@"}, "none that can be"),
        ({"grants": "operator@site/x"}, "none that can be"),
        ({"state": "asleep"}, "none that can be"),
        ({"state": REMOVED}, "none that can be"),
        ({"created": BEGIN + 1}, "none that can be"),
        ({"id": ""}, "does not belong to its stream"),
    ],
)
def test_logins_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    """A forged login is void: grants that are none, another birthday, a removed one that keeps roles."""
    assert reason in judged(ADA._replace(**fields), ADA)


@pytest.mark.parametrize(
    "command", sorted(command for command in PERMITTED if command.split()[0] not in ("role", "login"))
)
def test_only_their_own_commands_change_them(command: str) -> None:
    """No other command's entry carries a role or a login."""
    assert judged(ADA, command=command) == "its command may not change a login"
    assert judged(NIGHT, command=command) == "its command may not change a role"
