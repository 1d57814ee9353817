"""The rules of the money: none is lost, none is made, and each amount goes where the rules say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.core import ledger, money
from dca.core.errors import RefusedError
from dca.core.ledger import Accounts, Booking, Parts
from dca.core.model import DISABLED, OPEN, RELEASED, SETTLED, UNDO, Transaction, counter_id
from dca.core.money import AMOUNT_MAX, MICRO
from tests.core.books import (
    BEGIN,
    DOLLAR_A_SECOND,
    STREAM,
    Books,
    Doing,
    accounts,
    doings,
    hold,
    project,
    tenant,
    usage,
)

amounts = st.integers(0, 10**9)
signed = st.integers(-(10**9), 10**9)
few = st.integers(-6, 6)
seconds = st.integers(0, 10**6)
rates = st.integers(0, 10**7)


def booking(number: int = 0) -> Booking:
    """Return a place in the log."""
    return Booking(f"acme:9:{number}", STREAM, 9, BEGIN)


def charged(before: Accounts, length: int, rate: int = DOLLAR_A_SECOND) -> tuple[Accounts, Transaction]:
    """Charge a job without a hold."""
    after, transaction, settled = ledger.charge(before, usage(length), None, rate, booking())
    assert settled is None
    return after, transaction


# -- any number of commands --------------------------------------------------------------------------------------


@given(doings())
def test_nothing_is_lost_and_nothing_is_made(steps: list[Doing]) -> None:
    """After every command each figure is the sum of what the commands brought and took."""
    books = Books()
    for step in steps:
        before = books.tenant, dict(books.projects), books.seq
        if not books.do(step):
            assert (books.tenant, books.projects, books.seq) == before
        check_sums(books)


def check_sums(books: Books) -> None:
    """Check all figures against payments, moves, holds and transactions."""
    payer = books.tenant
    assert payer.balance == books.paid - sum(one.tenant_balance for one in books.transactions)
    assert payer.credit == books.credit_given - sum(one.tenant_credit for one in books.transactions)
    for name, one in books.projects.items():
        own = [transaction for transaction in books.transactions if transaction.project == name]
        balance, credit = books.earmarked[name]
        assert one.balance == balance - sum(transaction.project_balance for transaction in own)
        assert one.credit == credit - sum(transaction.project_credit for transaction in own)
        held = [record for record in books.holds.values() if record.project == name and record.state == OPEN]
        assert (one.requested, one.holds_open) == (sum(record.amount for record in held), len(held))
        assert one.credit >= 0
    enabled = [one for one in books.projects.values() if one.state != DISABLED]
    assert payer.allocated_balance == sum(max(0, one.balance) for one in enabled)
    assert payer.allocated_credit == sum(one.credit for one in enabled)
    assert payer.holds_open == sum(one.holds_open for one in books.projects.values())
    assert payer.credit >= 0
    for transaction in books.transactions:
        assert transaction.cost == money.price(transaction.rate, transaction.billed_seconds)
        assert transaction.project_balance + transaction.project_credit == transaction.cost
        assert transaction.tenant_balance + transaction.tenant_credit == transaction.cost


# -- spending ----------------------------------------------------------------------------------------------------


def one_by_one(balance: int, credit: int, amount: int) -> tuple[int, int]:
    """Spend an amount a unit at a time, by the rule as people say it."""
    for _ in range(amount):
        if balance > 0:
            balance -= 1
        elif credit > 0:
            credit -= 1
        else:
            balance -= 1
    return balance, credit


@given(few, st.integers(0, 6), st.integers(0, 15))
def test_order_of_spending(balance: int, credit: int, amount: int) -> None:
    """First the balance, then the credit, and then the balance goes negative with credit 0."""
    parts = ledger.split(balance, credit, amount)
    assert (balance - parts.balance, credit - parts.credit) == one_by_one(balance, credit, amount)


@pytest.mark.parametrize(
    ("balance", "credit", "amount", "parts"),
    [
        (10, 5, 4, Parts(4, 0)),
        (10, 5, 10, Parts(10, 0)),
        (10, 5, 11, Parts(10, 1)),
        (10, 5, 15, Parts(10, 5)),
        (10, 5, 17, Parts(12, 5)),
        (0, 5, 3, Parts(0, 3)),
        (-2, 5, 3, Parts(0, 3)),
        (-2, 5, 9, Parts(4, 5)),
        (-2, 0, 3, Parts(3, 0)),
        (3, 0, 0, Parts(0, 0)),
    ],
)
def test_order_of_spending_by_example(balance: int, credit: int, amount: int, parts: Parts) -> None:
    """The order of spending at its corners."""
    assert ledger.split(balance, credit, amount) == parts


@given(signed, amounts, signed, amounts, st.lists(seconds, max_size=5), rates)
def test_each_account_pays_by_its_own_figures(
    balance: int, credit: int, own_balance: int, own_credit: int, lengths: list[int], rate: int
) -> None:
    """Tenant and project lose every cost, each in its own order, however much the other has."""
    books = accounts(tenant(balance, credit), own_balance, own_credit)
    spent = 0
    for length in lengths:
        before = books
        books, transaction = charged(books, length, rate)
        spent += money.price(rate, length)
        assert transaction.cost == money.price(rate, length)
        for old, new, part in (
            (before.project, books.project, Parts(transaction.project_balance, transaction.project_credit)),
            (before.tenant, books.tenant, Parts(transaction.tenant_balance, transaction.tenant_credit)),
        ):
            assert part == ledger.split(old.balance, old.credit, transaction.cost)
            assert (new.balance, new.credit) == (old.balance - part.balance, old.credit - part.credit)
    assert books.tenant.balance + books.tenant.credit == balance + credit - spent
    assert books.project.balance + books.project.credit == own_balance + own_credit - spent


def test_a_charge_is_never_refused_for_lack_of_money() -> None:
    """Nothing is left, and the job has run: the balance goes negative."""
    after, transaction = charged(accounts(tenant(), 0, 0), 5)
    assert (after.tenant.balance, after.project.balance) == (-5 * MICRO, -5 * MICRO)
    assert (transaction.late, transaction.hold, transaction.released) == (0, "", 0)


def test_a_late_job_is_marked() -> None:
    """A job that comes in after its project, or its tenant, was disabled is marked late."""
    one = accounts(tenant(5, 5))
    late_project = Accounts(one.tenant, one.project._replace(state=DISABLED))
    late_tenant = Accounts(one.tenant._replace(state=DISABLED), one.project)
    assert [charged(books, 1)[1].late for books in (one, late_project, late_tenant)] == [0, 1, 1]


# -- holds -------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 1000), rates), max_size=6), rates, st.data())
def test_holds_cancel_exactly(estimates: list[tuple[int, int]], later_rate: int, data: st.DataObject) -> None:
    """In whatever order holds are closed, and whatever the rate is then, exactly what each took is given back."""
    before = books = accounts(tenant(10**12, 10**12), 10**12, 10**12)
    open_holds = [hold(f"acme:h:{n}", seconds, rate) for n, (seconds, rate) in enumerate(estimates)]
    for one in open_holds:
        books = ledger.hold(books, one)
    assert books.project.requested == sum(money.price(rate, seconds) for seconds, rate in estimates)
    assert books.project.holds_open == books.tenant.holds_open == len(estimates)
    cost = 0
    for one in data.draw(st.permutations(open_holds)):
        if data.draw(st.booleans()):
            books, closed = ledger.close(books, one, state=RELEASED, now=BEGIN + 1)
            assert closed == one._replace(state=RELEASED, closed=BEGIN + 1)
        else:
            books, transaction, settled = ledger.charge(books, usage(7), one, later_rate, booking())
            assert settled == one._replace(state=SETTLED, closed=BEGIN, transaction=transaction.id)
            assert (transaction.hold, transaction.released) == (one.id, one.amount)
            cost += money.price(later_rate, 7)
    assert (books.project.requested, books.project.holds_open, books.tenant.holds_open) == (0, 0, 0)
    assert (books.project.balance, books.tenant.balance) == (
        before.project.balance - cost,
        before.tenant.balance - cost,
    )


@given(signed, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_hold_takes_what_is_available_and_no_more(balance: int, credit: int, requested: int) -> None:
    """A hold of all that is available is made; a micro-dollar more is refused, and only what is held grows."""
    one = project("p", balance, credit)._replace(requested=requested)
    books = Accounts(tenant(), one)
    free = balance + credit - requested
    assert ledger.available(one) == free
    if free >= 0:
        exact = hold("h", 1)._replace(amount=free)
        after = ledger.hold(books, exact).project
        assert after == one._replace(requested=requested + free, holds_open=1)
    with pytest.raises(RefusedError, match="is needed for"):
        ledger.hold(books, hold("h", 1)._replace(amount=free + 1))


def test_a_closed_hold_is_closed_once() -> None:
    """What was given back cannot be given back again."""
    books = ledger.hold(accounts(tenant(9 * MICRO), 9 * MICRO), hold("h", 4))
    after, closed = ledger.close(books, hold("h", 4), state=RELEASED, now=BEGIN)
    with pytest.raises(AssertionError):
        ledger.close(after, closed, state=RELEASED, now=BEGIN)
    with pytest.raises(AssertionError):
        ledger.close(after, hold("h", 4), state=RELEASED, now=BEGIN)
    with pytest.raises(AssertionError):
        ledger.close(books, hold("h", 4), state=OPEN, now=BEGIN)


# -- taking back -------------------------------------------------------------------------------------------------


@given(signed, amounts, signed, amounts, st.lists(seconds, min_size=1, max_size=5), rates, st.data())
def test_undo_restores_exactly(
    balance: int,
    credit: int,
    own_balance: int,
    own_credit: int,
    lengths: list[int],
    rate: int,
    data: st.DataObject,
) -> None:
    """Charges taken back in any order leave the accounts as they were, and the sums of transactions at 0."""
    before = books = accounts(tenant(balance, credit), own_balance, own_credit)
    done = []
    for length in lengths:
        books, transaction = charged(books, length, rate)
        done.append(transaction)
    for number, transaction in enumerate(data.draw(st.permutations(done))):
        books, counter = ledger.reverse(books, transaction, booking(number), UNDO)
        assert (counter.reverses, counter.source, counter.hold, counter.released) == (transaction.id, UNDO, "", 0)
        for field in ("cost", "billed_seconds", "runtime", "project_balance", "project_credit", "tenant_balance"):
            assert getattr(counter, field) == -getattr(transaction, field)
        assert (counter.end, counter.user, counter.rate) == (transaction.end, transaction.user, transaction.rate)
    assert books == before


def test_the_id_of_a_counter_record() -> None:
    """It names tenant, generation and job key of the charge, and that it is a counter-record."""
    assert counter_id("acme:j1:main/7/100") == "acme:u1:main/7/100"
    assert counter_id("a:j12:x:j3:y") == "a:u12:x:j3:y"


# -- earmarks ----------------------------------------------------------------------------------------------------


def dollars(*figures: int) -> tuple[int, ...]:
    """Return dollars as micro-dollars."""
    return tuple(figure * MICRO for figure in figures)


def test_the_example_of_the_rules() -> None:
    """Tenant 100/10, p1 100/0, p2 0/10, p2 is charged 5: all goes on but what would raise the sums further."""
    start = tenant(*dollars(100, 10))
    first = ledger.add_project(start, project("p1", *dollars(100, 0)))
    both = ledger.add_project(first.tenant, project("p2", *dollars(0, 10)))
    (payer, p2), _ = charged(both, 5)
    assert (payer.balance, payer.credit) == dollars(95, 10)
    assert (p2.balance, p2.credit) == dollars(0, 5)
    assert (payer.allocated_balance, payer.allocated_credit) == dollars(100, 5)
    p1 = first.project
    with pytest.raises(RefusedError, match=r"at most 0 more can be given"):
        ledger.earmark(Accounts(payer, p1), balance=MICRO, credit=0)
    with pytest.raises(RefusedError):
        ledger.earmark(Accounts(payer, p1), balance=1, credit=0)
    assert ledger.pay(payer, MICRO).balance == 96 * MICRO
    given_back = ledger.give_back(Accounts(payer, p1), balance=MICRO, credit=0)
    assert given_back.tenant.allocated_balance == 99 * MICRO
    assert ledger.hold(Accounts(payer, p2), hold("h", 5)._replace(project="p2")).project.requested == 5 * MICRO
    assert ledger.add_project(payer, project("p3")).project.balance == 0
    assert ledger.earmark(Accounts(payer, p2), balance=0, credit=5 * MICRO).tenant.allocated_credit == 10 * MICRO
    with pytest.raises(RefusedError):
        ledger.earmark(Accounts(payer, p2), balance=0, credit=5 * MICRO + 1)


@given(signed, amounts, signed, amounts, amounts, amounts)
def test_only_what_raises_a_sum_can_be_refused(
    balance: int, credit: int, own_balance: int, own_credit: int, more_balance: int, more_credit: int
) -> None:
    """An earmark is refused exactly where it raises a sum above the tenant's figure; the figure itself stays."""
    books = accounts(tenant(balance, credit), own_balance, own_credit)
    raised = max(0, own_balance + more_balance), own_credit + more_credit
    refused = (raised[0] > max(0, own_balance) and raised[0] > balance) or (
        raised[1] > own_credit and raised[1] > credit
    )
    if refused:
        with pytest.raises(RefusedError, match="can be given to a project"):
            ledger.earmark(books, balance=more_balance, credit=more_credit)
        return
    after = ledger.earmark(books, balance=more_balance, credit=more_credit)
    assert (after.tenant.balance, after.tenant.credit) == (balance, credit)
    assert (after.tenant.allocated_balance, after.tenant.allocated_credit) == raised
    assert (after.project.balance, after.project.credit) == (own_balance + more_balance, own_credit + more_credit)


@given(signed, amounts, amounts, st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_can_be_moved_away(own_balance: int, own_credit: int, requested: int, balance: int, credit: int) -> None:
    """A project gives what it has and open holds do not need; the tenant's own figures stay."""
    one = project("p", own_balance, own_credit)._replace(requested=requested)
    books = Accounts(ledger.with_project(tenant(7, 7), None, one), one)
    too_much = balance > max(0, own_balance) or credit > own_credit
    needed = balance + credit > 0 and own_balance + own_credit - requested < balance + credit
    if too_much or needed:
        with pytest.raises(RefusedError, match="less than" if too_much else "needs"):
            ledger.give_back(books, balance=balance, credit=credit)
        return
    after = ledger.give_back(books, balance=balance, credit=credit)
    assert after.project == one._replace(balance=own_balance - balance, credit=own_credit - credit)
    assert (after.tenant.balance, after.tenant.credit) == (7, 7)
    assert after.tenant.allocated_balance == max(0, own_balance - balance)


@pytest.mark.parametrize(("balance", "credit"), [(1, 0), (0, 1)])
def test_nothing_can_be_moved_away_from_nothing(balance: int, credit: int) -> None:
    """Not even a micro-dollar, nor from a project that owes."""
    for own in (0, -5):
        with pytest.raises(RefusedError, match=r"less than 0\.000001"):
            ledger.give_back(accounts(tenant(9, 9), own, 0), balance=balance, credit=credit)


@given(amounts, amounts)
def test_setting_the_credit(allocated: int, credit: int) -> None:
    """The credit is set, not added; what projects hold of it is the least."""
    payer = tenant(0, allocated)._replace(allocated_credit=allocated)
    if credit < allocated:
        with pytest.raises(RefusedError, match="hold"):
            ledger.set_credit(payer, credit)
    else:
        assert ledger.set_credit(payer, credit) == payer._replace(credit=credit)


# -- ends --------------------------------------------------------------------------------------------------------


def test_disabling() -> None:
    """Disabling is refused while a hold is open; what a disabled project held is the tenant's to give out again."""
    books = ledger.hold(accounts(tenant(9, 9), 9, 9), hold("h", 0))
    with pytest.raises(RefusedError, match="has 1 open hold;"):
        ledger.disable_project(books)
    with pytest.raises(RefusedError, match="has 1 open hold;"):
        ledger.disable_tenant(books.tenant)
    with pytest.raises(RefusedError, match="has 2 open holds;"):
        ledger.disable_project(ledger.hold(books, hold("i", 0)))
    free, _ = ledger.close(books, hold("h", 0), state=RELEASED, now=BEGIN)
    after = ledger.disable_project(free)
    assert after.project == free.project._replace(state=DISABLED)
    assert after.tenant == free.tenant._replace(allocated_balance=0, allocated_credit=0)
    assert ledger.is_disabled(after)
    assert ledger.disable_tenant(free.tenant) == free.tenant._replace(state=DISABLED)
    assert ledger.is_disabled(Accounts(ledger.disable_tenant(free.tenant), free.project))
    assert not ledger.is_disabled(free)


def test_amounts_stay_in_range() -> None:
    """What would pass the largest amount is refused, at either end; the largest amount itself is not."""
    assert ledger.pay(tenant(AMOUNT_MAX - 1), 1).balance == AMOUNT_MAX
    with pytest.raises(RefusedError, match="balance of tenant Acme"):
        ledger.pay(tenant(AMOUNT_MAX), 1)
    with pytest.raises(RefusedError, match="balance of project p"):
        ledger.receive(accounts(tenant(), AMOUNT_MAX), balance=1, credit=0)
    with pytest.raises(RefusedError, match="credit of project p"):
        ledger.receive(accounts(tenant(), 0, AMOUNT_MAX), balance=0, credit=1)
    whole = Accounts(tenant(), project("p", AMOUNT_MAX, 1)._replace(requested=AMOUNT_MAX))
    with pytest.raises(RefusedError, match="held amount"):
        ledger.hold(whole, hold("h", 1)._replace(amount=1))
    with pytest.raises(RefusedError, match="cost of the job"):
        charged(accounts(tenant()), 10**7, 10**15)
    with pytest.raises(RefusedError, match="balance of project p"):
        charged(accounts(tenant(), -AMOUNT_MAX), 1)
