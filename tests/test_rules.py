"""The rules of the money as properties: none is lost, none is made, and every entry bears checking."""

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.core import clock, fitness, ledger, money, names
from dca.core.clock import DAY, Period
from dca.core.errors import DcaError, RefusedError, UsageError
from dca.core.ledger import Accounts, Booking, Usage
from dca.core.model import (
    CHARGE,
    ENABLED,
    OPEN,
    RELEASED,
    UNDO,
    Change,
    Hold,
    Project,
    Tenant,
    Transaction,
    tenant_stream,
)

DOLLAR = money.MICRO
SECOND_RATE = 3600 * DOLLAR
"""A dollar a second."""
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "America/New_York")

amounts = st.integers(0, 10**12)
signed = st.integers(-(10**12), 10**12)
seconds = st.integers(0, 10**9)
rates = st.integers(0, 10**9)


def tenant(balance: int, credit: int) -> Tenant:
    """Return a tenant without projects."""
    return Tenant("acme", "acme", balance, credit, 0, 0, 0, ENABLED, 1)


def project(name: str, balance: int = 0, credit: int = 0) -> Project:
    """Return a project without holds."""
    return Project(name, name, "acme", balance, credit, 0, 0, ENABLED, 1)


def accounts(balance: int, credit: int, own_balance: int, own_credit: int) -> Accounts:
    """Return a tenant and its one project."""
    one = project("p", own_balance, own_credit)
    return Accounts(ledger.with_project(tenant(balance, credit), None, one), one)


def held(estimate: int, rate: int, name: str = "acme:2:0") -> Hold:
    """Return an open hold."""
    return Hold(name, "acme", "p", "", "", estimate, rate, money.price(rate, estimate), OPEN, 2, 0, "")


def usage(billed: int) -> Usage:
    """Return what a job used."""
    return Usage("anna", "", "", CHARGE, 1000, 1000 + 1000 * billed, billed, 0, 0, "wall-hours", billed)


def booking(number: int = 0) -> Booking:
    """Return a place in the log."""
    return Booking(f"acme:3:{number}", tenant_stream("acme"), 3, 5)


@given(rates, seconds)
def test_price_is_rounded_half_to_even(rate: int, duration: int) -> None:
    """A price is the nearest micro-dollar to rate x seconds / 3600, and of two the even one."""
    exact = Fraction(rate * duration, 3600)
    assert money.price(rate, duration) == round(exact)


@given(st.integers(0, money.AMOUNT_MAX))
def test_amounts_survive_text(amount: int) -> None:
    """What is shown reads back as the same amount."""
    assert money.parse(money.text(amount)) == amount
    assert "e" not in money.text(amount)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1e400", "-1", "0.0000001", "1" * 30, "1,5", "", ".", "0x10", "१", "1_000"]
)
def test_no_amount(text: str) -> None:
    """What is no amount of dollars is told so."""
    with pytest.raises(UsageError):
        money.parse(text)


@given(signed, amounts, amounts)
def test_order_of_spending(balance: int, credit: int, cost: int) -> None:
    """First the balance while it lasts, then the credit, the rest makes the balance negative."""
    parts = ledger.split(balance, credit, cost)
    assert parts.balance + parts.credit == cost
    assert 0 <= parts.credit <= credit
    if parts.credit:
        assert parts.balance >= max(0, balance)
    if parts.balance > max(0, balance):
        assert parts.credit == credit


@given(signed, amounts, signed, amounts, seconds, rates)
def test_a_charge_takes_its_cost_and_an_undo_gives_it_back(
    balance: int, credit: int, own_balance: int, own_credit: int, billed: int, rate: int
) -> None:
    """Tenant and project each lose exactly the cost; the counter-record restores both to the micro-dollar."""
    before = accounts(balance, credit, own_balance, own_credit)
    after, charged, _ = ledger.charge(before, usage(billed), None, rate, booking())
    both: list[tuple[Tenant | Project, Tenant | Project]] = [
        (before.tenant, after.tenant),
        (before.project, after.project),
    ]
    for old, new in both:
        assert (old.balance + old.credit) - (new.balance + new.credit) == charged.cost == money.price(rate, billed)
    restored, counter = ledger.reverse(after, charged, booking(1), UNDO)
    assert restored == before
    assert charged.cost + counter.cost == charged.billed_seconds + counter.billed_seconds == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), rates), min_size=1, max_size=8), rates, st.data())
def test_holds_cancel_exactly(holds: list[tuple[int, int]], later_rate: int, data: st.DataObject) -> None:
    """Whatever the rate is by then, closing gives back exactly what the hold took: nothing stays held."""
    books = accounts(money.AMOUNT_MAX, 0, money.AMOUNT_MAX, 0)
    before = books
    open_holds = [held(estimate, rate, f"acme:2:{number}") for number, (estimate, rate) in enumerate(holds)]
    for one in open_holds:
        books = ledger.hold(books, one)
    assert books.project.requested == sum(one.amount for one in open_holds)
    spent = 0
    for one in data.draw(st.permutations(open_holds)):
        if data.draw(st.booleans()):
            books, closed = ledger.close(books, one, state=RELEASED, now=9)
            assert closed.state == RELEASED
        else:
            books, charged, _ = ledger.charge(books, usage(7), one, later_rate, booking())
            spent += charged.cost
            assert charged.released == one.amount
    assert (books.project.requested, books.project.holds_open, books.tenant.holds_open) == (0, 0, 0)
    assert before.project.balance - books.project.balance == spent


@given(amounts, amounts, st.integers(1, 10**12))
def test_a_hold_is_refused_only_beyond_what_is_free(balance: int, credit: int, amount: int) -> None:
    """Equality is allowed, a micro-dollar more is not."""
    one = held(amount, 3600)
    assert one.amount == amount
    books = accounts(balance, credit, balance, credit)
    if amount <= balance + credit:
        assert ledger.available(ledger.hold(books, one).project) == balance + credit - amount
    else:
        with pytest.raises(RefusedError):
            ledger.hold(books, one)


def test_projects_that_hold_more_than_their_tenant_has() -> None:
    """Projects may come to hold more than the tenant has; then only what would raise that further is refused."""
    p1, p2 = project("p1", 100 * DOLLAR), project("p2", 0, 10 * DOLLAR)
    books = ledger.add_project(ledger.add_project(tenant(100 * DOLLAR, 10 * DOLLAR), p1).tenant, p2)
    (payer, p2), _, _ = ledger.charge(books, usage(5), None, SECOND_RATE, booking())
    assert (payer.balance, payer.credit) == (95 * DOLLAR, 10 * DOLLAR)
    assert (p2.balance, p2.credit) == (0, 5 * DOLLAR)
    with pytest.raises(RefusedError):
        ledger.earmark(Accounts(payer, p1), balance=DOLLAR, credit=0)
    assert ledger.pay(payer, DOLLAR).balance == 96 * DOLLAR
    assert ledger.give_back(Accounts(payer, p1), balance=DOLLAR, credit=0).project.balance == 99 * DOLLAR
    assert ledger.hold(Accounts(payer, p2), held(5, SECOND_RATE)).project.requested == 5 * DOLLAR
    assert ledger.add_project(payer, project("p3")).project.id == "p3"


@given(amounts, amounts, amounts, amounts)
def test_earmarks_never_pass_the_tenant(balance: int, credit: int, more_balance: int, more_credit: int) -> None:
    """The sum that projects hold can reach the tenant's figure and not pass it; the tenant's own figures stay."""
    books = ledger.add_project(tenant(balance, credit), project("p"))
    try:
        after = ledger.earmark(books, balance=more_balance, credit=more_credit)
    except RefusedError:
        assert more_balance > balance or more_credit > credit
        return
    assert (after.tenant.balance, after.tenant.credit) == (balance, credit)
    assert after.tenant.allocated_balance == more_balance <= balance
    assert after.tenant.allocated_credit == more_credit <= credit
    assert ledger.give_back(after, balance=more_balance, credit=more_credit) == books


KINDS = ("tenant", "project", "hold", "transaction")


def entry_of(before: Accounts, after: Accounts, charged: Transaction, was: Hold, settled: Hold) -> list[Change]:
    """Return the changes of a charge that settles a hold."""
    return [
        Change("tenant", after.tenant, before.tenant),
        Change("project", after.project, before.project),
        Change("hold", settled, was),
        Change("transaction", charged, None),
    ]


def judged(changes: list[Change]) -> str:
    """Return what is wrong with a charge's changes."""
    return fitness.flaw(
        command="transaction charge", stream=tenant_stream("acme"), seq=3, time=5, changes=changes, kinds=KINDS
    )


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 10**9), st.data())
def test_an_entry_bears_checking_and_no_tampering(own: int, estimate: int, billed: int, data: st.DataObject) -> None:
    """What the rules make is fit; one amount changed by a micro-dollar is not."""
    one = held(estimate, 3600)
    before = ledger.hold(accounts(10**12, 10**12, own + one.amount, own), one)
    after, charged, settled = ledger.charge(before, usage(billed), one, 3600, booking())
    assert settled is not None
    changes = entry_of(before, after, charged, one, settled)
    assert judged(changes) == ""
    number = data.draw(st.sampled_from(range(len(changes))))
    change = changes[number]
    figures = {
        0: ("balance", "credit", "allocated_balance", "allocated_credit", "holds_open"),
        1: ("balance", "credit", "requested", "holds_open"),
        2: ("amount", "estimate"),
        3: ("cost", "project_balance", "project_credit", "tenant_balance", "tenant_credit"),
    }
    field = data.draw(st.sampled_from(figures[number]))
    delta = data.draw(st.sampled_from((-1, 1)))
    forged = change.record._replace(**{field: getattr(change.record, field) + delta})
    assert judged([*changes[:number], change._replace(record=forged), *changes[number + 1 :]]) != ""


@given(st.dates(date(1975, 1, 1), date(2035, 1, 1)), st.integers(0, 40), st.sampled_from(ZONES))
def test_days_cover_a_period_without_gap(first: date, length: int, zone: str) -> None:
    """The days of a period follow each other from its begin to its end, each where its midnight falls."""
    last = first + timedelta(days=length)
    period = clock.period(f"{first},{last}", 0, zone)
    days = clock.days(period, zone)
    assert days[0].begin == period.begin
    assert days[-1].end == period.end
    assert all(one.end == other.begin for one, other in pairwise(days))
    assert all(22 * clock.HOUR <= day.end - day.begin <= 26 * clock.HOUR for day in days)
    assert sum(day.end - day.begin for day in days) == period.end - period.begin


@given(st.integers(1, 4 * 10**9), st.sampled_from(ZONES))
def test_local_times_read_back(moment: int, zone: str) -> None:
    """A local time that is shown reads back; of two that look alike the first is taken."""
    shown = clock.local_text(moment * clock.SECOND, zone)[:19]
    read = clock.local_seconds(shown.replace(" ", "T"), zone)
    assert read == clock.instant(shown, zone) // clock.SECOND
    assert moment - 2 * 3600 <= read <= moment
    assert clock.local_text(read * clock.SECOND, zone)[:19] == shown


def test_local_times_that_do_not_exist() -> None:
    """The hour that a clock skips is refused, the one it shows twice is its first."""
    with pytest.raises(UsageError, match="does not exist"):
        clock.local_seconds("2026-03-29T02:30:00", "Europe/Berlin")
    twice = clock.local_seconds("2026-10-25T02:30:00", "Europe/Berlin")
    assert clock.local_text(twice * clock.SECOND, "Europe/Berlin").endswith("+0200")
    apia = clock.days(clock.period("2011-12-29,2011-12-31", 0, "Pacific/Apia"), "Pacific/Apia")
    assert [day.date for day in apia] == ["2011-12-29", "2011-12-31"]


def test_periods() -> None:
    """Named periods reach back from now; reversed ones are refused."""
    assert clock.period("last_week", 8 * DAY, "UTC") == Period(DAY, 8 * DAY)
    with pytest.raises(UsageError, match="ends before it begins"):
        clock.period("2026-02-01,2026-01-01", 0, "UTC")


@given(st.text(max_size=70))
def test_names(text: str) -> None:
    """A strict name is an extended one; neither holds anything that could be something else in a path or a query."""
    if names.is_name(text, names.STRICT):
        assert names.is_name(text, names.EXTENDED)
        assert len(text) <= names.STRICT_LENGTH_MAX
    if names.is_name(text, names.EXTENDED):
        assert text.isascii()
        assert not set(text) & set('/:*?"<>| ,#\\')
    else:
        with pytest.raises(DcaError):
            names.check_name(text, names.EXTENDED, "name")
