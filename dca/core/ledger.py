"""The rules of the money: how it is held, spent, moved and given back, and what must hold after every entry.

All functions are pure: they take records and return records, and refuse with one sentence.
"""

from typing import NamedTuple

from dca.core import money
from dca.core.errors import RefusedError
from dca.core.model import (
    DISABLED,
    OPEN,
    RELEASED,
    SETTLED,
    Hold,
    Project,
    Tenant,
    Transaction,
)


class Parts(NamedTuple):
    """How an amount was taken from an account: from its balance and from its credit, micro-dollars."""

    balance: int
    credit: int


class Accounts(NamedTuple):
    """A project together with the tenant that pays for it."""

    tenant: Tenant
    project: Project


class Usage(NamedTuple):
    """What a job used, and how it is to be booked."""

    user: str
    job: str
    batch: str
    source: str
    start: int
    end: int
    runtime: int
    cores: int
    nodes: int
    unit: str
    billed_seconds: int


def is_disabled(accounts: Accounts) -> bool:
    """Tell whether a project is disabled, by itself or with its tenant."""
    return DISABLED in (accounts.project.state, accounts.tenant.state)


def available(project: Project) -> int:
    """Return what a project can still set aside: balance + credit - held, micro-dollars."""
    return project.balance + project.credit - project.requested


def split(balance: int, credit: int, amount: int) -> Parts:
    """Take an amount: from the balance while it lasts, then from the credit, the rest from the balance again."""
    if 0 <= amount <= balance:
        return Parts(amount, 0)
    from_balance = min(max(balance, 0), amount)
    from_credit = min(max(credit, 0), amount - from_balance)
    return Parts(amount - from_credit, from_credit)


def earmarked(project: Project | None) -> Parts:
    """Return what a project counts for in its tenant's allocated sums: nothing when it is disabled."""
    if project is None or project.state == DISABLED:
        return Parts(0, 0)
    return Parts(max(0, project.balance), max(0, project.credit))


NOTHING = Parts(0, 0)


def with_project(tenant: Tenant, before: Project | None, after: Project, taken: Parts = NOTHING) -> Tenant:
    """Return the tenant after an amount was taken, with the sums that depend on its projects brought up to date."""
    old, new = earmarked(before), earmarked(after)
    return tenant._replace(
        balance=money.check(tenant.balance - taken.balance, "the balance of tenant", tenant.name),
        credit=money.check(tenant.credit - taken.credit, "the credit of tenant", tenant.name),
        allocated_balance=tenant.allocated_balance + new.balance - old.balance,
        allocated_credit=tenant.allocated_credit + new.credit - old.credit,
        holds_open=tenant.holds_open + after.holds_open - (before.holds_open if before else 0),
    )


def check_allocation(before: Tenant, after: Tenant) -> None:
    """Refuse a change that raises what the projects hold above what the tenant has."""
    for what in ("balance", "credit"):
        raised = getattr(after, f"allocated_{what}")
        if raised > getattr(before, f"allocated_{what}") and raised > getattr(after, what):
            free = getattr(before, what) - getattr(before, f"allocated_{what}")
            raise RefusedError(
                f"tenant {before.name} has {money.text(getattr(before, what))} {what}, of which projects hold "
                f"{money.text(getattr(before, f'allocated_{what}'))}: "
                f"at most {money.text(max(0, free))} more can be given to a project."
            )


def pay(tenant: Tenant, amount: int) -> Tenant:
    """Return the tenant after a payment."""
    return tenant._replace(balance=money.check(tenant.balance + amount, "the balance of tenant", tenant.name))


def set_credit(tenant: Tenant, credit: int) -> Tenant:
    """Return the tenant with its credit set; not below what its projects hold of it."""
    if credit < tenant.allocated_credit:
        raise RefusedError(
            f"the projects of tenant {tenant.name} hold {money.text(tenant.allocated_credit)} of its credit; "
            "move some back first (dca project movebudget --type=p2t)."
        )
    return tenant._replace(credit=credit)


def add_project(tenant: Tenant, project: Project) -> Accounts:
    """Return tenant and project after the project was added with its earmarked amounts."""
    after = with_project(tenant, None, project)
    check_allocation(tenant, after)
    return Accounts(after, project)


def earmark(accounts: Accounts, *, balance: int, credit: int) -> Accounts:
    """Return the accounts after amounts were earmarked for the project; refused beyond what the tenant has."""
    before = accounts.tenant
    after = receive(accounts, balance=balance, credit=credit)
    check_allocation(before, after.tenant)
    return after


def receive(accounts: Accounts, *, balance: int, credit: int) -> Accounts:
    """Return the accounts after the project received earmarked amounts, whether or not the tenant has them."""
    tenant, project = accounts
    after = project._replace(
        balance=money.check(project.balance + balance, "the balance of project", project.name),
        credit=money.check(project.credit + credit, "the credit of project", project.name),
    )
    return Accounts(with_project(tenant, project, after), after)


def give_back(accounts: Accounts, *, balance: int, credit: int) -> Accounts:
    """Return the accounts after earmarked amounts left the project; refused beyond what it has and does not need."""
    tenant, project = accounts
    for what, amount, held in (("balance", balance, project.balance), ("credit", credit, project.credit)):
        if amount > max(0, held):
            raise RefusedError(f"project {project.name} has {money.text(held)} {what}, less than {money.text(amount)}.")
    after = project._replace(balance=project.balance - balance, credit=project.credit - credit)
    if balance + credit and available(after) < 0:
        raise RefusedError(
            f"project {project.name} needs {money.text(project.requested)} for its open holds; "
            f"at most {money.text(max(0, available(project)))} can be moved away."
        )
    return Accounts(with_project(tenant, project, after), after)


def hold(accounts: Accounts, held: Hold) -> Accounts:
    """Return the accounts after money was set aside; refused when the project cannot afford it."""
    tenant, project = accounts
    if available(project) < held.amount:
        raise RefusedError(
            f"project {project.name} has {money.text(available(project))} available, "
            f"{money.text(held.amount)} is needed for {held.estimate} seconds.",
            available=money.Decimal(available(project)),
            needed=money.Decimal(held.amount),
        )
    after = project._replace(
        requested=money.check(project.requested + held.amount, "the held amount of project", project.name),
        holds_open=project.holds_open + 1,
    )
    return Accounts(with_project(tenant, project, after), after)


def close(accounts: Accounts, held: Hold, *, state: str, now: int, transaction: str = "") -> tuple[Accounts, Hold]:
    """Return the accounts after an open hold was closed, and the hold; exactly what it took is given back."""
    assert held.state == OPEN, held
    assert state in (SETTLED, RELEASED), state
    tenant, project = accounts
    assert project.requested >= held.amount, (project, held)
    after = project._replace(requested=project.requested - held.amount, holds_open=project.holds_open - 1)
    closed = held._replace(state=state, closed=now, transaction=transaction)
    return Accounts(with_project(tenant, project, after), after), closed


def spend(accounts: Accounts, cost: int) -> tuple[Accounts, Parts, Parts]:
    """Return the accounts after a cost, and its parts on the project and on the tenant; never refused for lack."""
    tenant, project = accounts
    on_project = split(project.balance, project.credit, cost)
    on_tenant = split(tenant.balance, tenant.credit, cost)
    return _take(accounts, on_project, on_tenant), on_project, on_tenant


def _take(accounts: Accounts, on_project: Parts, on_tenant: Parts) -> Accounts:
    tenant, project = accounts
    after = project._replace(
        balance=money.check(project.balance - on_project.balance, "the balance of project", project.name),
        credit=money.check(project.credit - on_project.credit, "the credit of project", project.name),
    )
    return Accounts(with_project(tenant, project, after, on_tenant), after)


class Booking(NamedTuple):
    """Where a transaction is booked."""

    id: str
    stream: str
    seq: int
    time: int


def charge(
    accounts: Accounts, usage: Usage, held: Hold | None, rate: int, booking: Booking
) -> tuple[Accounts, Transaction, Hold | None]:
    """Charge what a job used: settle its hold, take its cost; return accounts, transaction and the settled hold."""
    late = int(is_disabled(accounts))
    settled = None
    if held is not None:
        accounts, settled = close(accounts, held, state=SETTLED, now=booking.time, transaction=booking.id)
    cost = money.check(money.price(rate, usage.billed_seconds), "the cost of the job")
    accounts, on_project, on_tenant = spend(accounts, cost)
    transaction = Transaction(
        id=booking.id,
        stream=booking.stream,
        seq=booking.seq,
        tenant=accounts.tenant.id,
        project=accounts.project.id,
        user=usage.user,
        job=usage.job,
        batch=usage.batch,
        source=usage.source,
        start=usage.start,
        end=usage.end,
        runtime=usage.runtime,
        cores=usage.cores,
        nodes=usage.nodes,
        unit=usage.unit,
        billed_seconds=usage.billed_seconds,
        rate=rate,
        cost=cost,
        project_balance=on_project.balance,
        project_credit=on_project.credit,
        tenant_balance=on_tenant.balance,
        tenant_credit=on_tenant.credit,
        hold=settled.id if settled else "",
        released=settled.amount if settled else 0,
        late=late,
        reverses="",
        time=booking.time,
    )
    return accounts, transaction, settled


def reverse(accounts: Accounts, charged: Transaction, booking: Booking, source: str) -> tuple[Accounts, Transaction]:
    """Take a transaction back by its counter-record, which gives each part back to where it was taken from."""
    counter = counter_of(charged, booking, source, late=int(is_disabled(accounts)))
    on_project = Parts(counter.project_balance, counter.project_credit)
    on_tenant = Parts(counter.tenant_balance, counter.tenant_credit)
    return _take(accounts, on_project, on_tenant), counter


def counter_of(charged: Transaction, booking: Booking, source: str, *, late: int) -> Transaction:
    """Return the counter-record of a transaction."""
    return charged._replace(
        id=booking.id,
        stream=booking.stream,
        seq=booking.seq,
        source=source,
        runtime=-charged.runtime,
        billed_seconds=-charged.billed_seconds,
        cost=-charged.cost,
        project_balance=-charged.project_balance,
        project_credit=-charged.project_credit,
        tenant_balance=-charged.tenant_balance,
        tenant_credit=-charged.tenant_credit,
        hold="",
        released=0,
        late=late,
        reverses=charged.id,
        time=booking.time,
    )


def disable_project(accounts: Accounts) -> Accounts:
    """Return the accounts after the project was disabled; refused while holds are open."""
    tenant, project = accounts
    if project.holds_open:
        raise RefusedError(
            f"project {project.name} has {_open_holds(project.holds_open)}; charge or release first "
            f"(dca transaction holds --project={project.name})."
        )
    disabled = project._replace(state=DISABLED)
    return Accounts(with_project(tenant, project, disabled), disabled)


def disable_tenant(tenant: Tenant) -> Tenant:
    """Return the tenant disabled, and with it all its projects; refused while any hold is open."""
    if tenant.holds_open:
        raise RefusedError(
            f"tenant {tenant.name} has {_open_holds(tenant.holds_open)}; charge or release first "
            f"(dca transaction holds --tenant={tenant.name})."
        )
    return tenant._replace(state=DISABLED)


def _open_holds(count: int) -> str:
    return "1 open hold" if count == 1 else f"{count} open holds"
