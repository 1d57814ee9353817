"""Bills: what a project's users cost in a period, day by day, and how its tenant's balance moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.commands import figures
from dca.core import clock
from dca.core.errors import UsageError
from dca.core.model import association_id, tenant_stream
from dca.core.money import Decimal
from dca.store.port import Condition, Sums
from dca.store.schema import ASSOCIATION, PAYMENT, TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Name, Text
    from dca.core.clock import Day, Period
    from dca.core.model import Project, Tenant
    from dca.store.port import Sum

DAYS_MAX = 36_600


def generate(book: Book, project: Name, time_period: Text) -> dict[str, Any]:
    """Generate the bill of a project: hours and cost by day and user, with totals.

    The period is last_day, last_week or last_month (24 hours, 7 or 30 days back from now) or two dates D1,D2, both days
    whole, in the site's time zone. A job is billed whole on the day of its end. bbalance and ebalance are the tenant's
    balance at begin and end of the period, payments what it paid in between.

    CSV holds the lines of days and users only; totals, payments and balances are in JSON and table.
    """
    accounts = book.accounts(project)
    period = book.period(time_period)
    if period.end - period.begin > DAYS_MAX * clock.DAY:
        raise UsageError("a bill can cover at most a hundred years.")
    zone = book.site().zone
    days = clock.days(period, zone)
    begin_balance, end_balance = (_balance_at(book, accounts.tenant, one) for one in (period.begin, period.end))
    payments, later = (
        _total(book, accounts.tenant, PAYMENT, "amount", "time", one) for one in (period.begin, period.end)
    )
    sums = _usage(book, accounts.project, days, period)
    names = _user_names(book, accounts.project, sums)
    return {
        "tenant": accounts.tenant.name,
        "project": accounts.project.name,
        "from": clock.iso(period.begin),
        "to": clock.iso(period.end),
        "zone": zone,
        "bill": _by_day(days, sums, names),
        "total_hours": figures.hours(sum(row.sums[0] for row in sums)),
        "total_cost": Decimal(sum(row.sums[1] for row in sums)),
        "bbalance": Decimal(begin_balance),
        "payments": Decimal(payments - later),
        "ebalance": Decimal(end_balance),
    }


def _usage(book: Book, project: Project, days: list[Day], period: Period) -> list[Sum]:
    where = (
        Condition("project", "eq", project.id),
        Condition("end", "ge", period.begin),
        Condition("end", "lt", period.end),
    )
    request = Sums(
        kind=TRANSACTION,
        stream=tenant_stream(project.tenant),
        where=where,
        group=("user",),
        fields=("billed_seconds", "cost"),
        day_field="end",
        days=tuple(days),
    )
    return book.reader.sums(request)


def _user_names(book: Book, project: Project, sums: list[Sum]) -> dict[str, str]:
    users = list(dict.fromkeys(row.group[0] for row in sums))
    ids = [association_id(project.tenant, project.id, user) for user in users]
    given = book.names_of(ASSOCIATION, ids)
    return {user: given[record_id] for user, record_id in zip(users, ids, strict=True)}


def _by_day(days: list[Day], sums: list[Sum], names: Mapping[str, str]) -> list[dict[str, Any]]:
    activity: dict[int, list[dict[str, Any]]] = {}
    for row in sums:
        if not any(row.sums):  # jobs that were taken back, or took no time
            continue
        line = {"user": names[row.group[0]], "hours": figures.hours(row.sums[0]), "cost": Decimal(row.sums[1])}
        activity.setdefault(row.day, []).append(line)
    return [{"date": days[number].date, "activity": lines} for number, lines in sorted(activity.items())]


def _balance_at(book: Book, tenant: Tenant, instant: int) -> int:
    """Return a tenant's balance at an instant: today's, less what was paid and plus what was spent since."""
    paid = _total(book, tenant, PAYMENT, "amount", "time", instant)
    spent = _total(book, tenant, TRANSACTION, "tenant_balance", "end", instant)
    return tenant.balance - paid + spent


def _total(book: Book, tenant: Tenant, kind: str, field: str, when: str, since: int) -> int:
    where = (Condition("tenant", "eq", tenant.id), Condition(when, "ge", since))
    rows = book.reader.sums(Sums(kind, tenant_stream(tenant.id), where, group=(), fields=(field,)))
    return sum(row.sums[0] for row in rows)


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each day and user."""
    return [{"date": day["date"], **line} for day in answer["bill"] for line in day["activity"]]
