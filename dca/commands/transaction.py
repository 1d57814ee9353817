"""Transactions: money held before a job, charged after it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from dca.book import in_tenant
from dca.commands import figures
from dca.core import clock, ledger, money
from dca.core.errors import RefusedError, UsageError
from dca.core.ledger import Accounts, Usage
from dca.core.model import (
    CHARGE,
    CORE_HOURS,
    IMPORT,
    OPEN,
    RELEASED,
    SITE_ID,
    WALL_HOURS,
    Association,
    Hold,
    Transaction,
    association_id,
    charge_id,
    hold_id,
)
from dca.core.money import Decimal
from dca.core.names import EXTENDED, SECONDS_MAX, check_name, folded, shown
from dca.store.port import Condition, Query
from dca.store.schema import ASSOCIATION, HOLD, PROJECT, SITE, TENANT, TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Count, Days, JobKey, Name, Seconds, Size, Text

FUTURE_MAX = 300 * clock.SECOND


def reserve(
    book: Book, project: Name, estimate: Seconds, cores: Count = 1, user: Name | None = None, job: JobKey = ""
) -> dict[str, Any]:
    """Hold money for a job: rate x estimate / 3600 (times --cores). Refused when the project cannot afford it.

    With --job=<key> the same hold sent again is made once, and the charge of that job settles it; for a job that is
    charged already nothing is held. With --file=<file>, - for standard input, each line is a JSON object with a hold's
    options and perhaps its key, and is answered on a line of its own; the exit status is 0 if all succeeded.
    """
    owner = book.tenant_id()
    book.reader.need(needed(owner, project, user, job))
    accounts = book.enabled_accounts(project)
    member = book.member(accounts.project, user, present=True).user if user is not None else ""
    seconds = _times(estimate, cores, "--estimate")
    booking = book.booking(hold_id(owner, job) if job else "")
    if job:
        existing: Hold | None = book.get(HOLD, booking.id)
        if existing is not None:
            return _same_hold(existing, accounts, member, seconds)
        charged = book.charged(owner, job).transaction
        if charged is not None:
            of_project = figures.project(accounts.project, accounts.tenant)
            return {"hold": None, "project": of_project, "charged": charged.id, "repeated": True}
    rate = book.site().rate
    record = Hold(
        id=booking.id,
        tenant=owner,
        project=accounts.project.id,
        user=member,
        job=job,
        estimate=seconds,
        rate=rate,
        amount=money.check(money.price(rate, seconds), "the hold"),
        state=OPEN,
        opened=booking.time,
        closed=0,
        transaction="",
    )
    accounts = ledger.hold(accounts, record)
    book.put_accounts(accounts)
    book.add(record)
    return _hold_answer(record, accounts)


def _times(seconds: int, cores: int, what: str) -> int:
    if seconds * cores > SECONDS_MAX:
        raise UsageError(f"{what} times --cores is more than {SECONDS_MAX} seconds.")
    return seconds * cores


def needed(tenant: str, project: str, user: str | None = None, job: str = "", **_: object) -> list[tuple[str, str]]:
    """Return the records that a hold or a charge reads, by kind and id, so that they are brought in one go."""
    project_id = folded(project)
    keys = [(PROJECT, project_id), (TENANT, tenant), (SITE, SITE_ID)]
    if user is not None:
        keys.append((ASSOCIATION, association_id(tenant, project_id, folded(user))))
    if job:
        keys += [(HOLD, hold_id(tenant, job)), (TRANSACTION, charge_id(tenant, job, 1))]
    return keys


def _hold_answer(record: Hold, accounts: Accounts) -> dict[str, Any]:
    names = {accounts.project.id: accounts.project.name}
    return {"hold": figures.hold(record, names), "project": figures.project(accounts.project, accounts.tenant)}


def _same_hold(existing: Hold, accounts: Accounts, user: str, seconds: int) -> dict[str, Any]:
    if (existing.project, existing.user, existing.estimate) != (accounts.project.id, user, seconds):
        raise RefusedError(
            f"a hold for job {existing.job} exists already with another project, user or estimate; a key names one job."
        )
    if existing.state == RELEASED:
        raise RefusedError(
            f"the hold for job {existing.job} was given back; nothing is held: a new hold needs a new key."
        )
    return {**_hold_answer(existing, accounts), "repeated": True}


def charge(
    book: Book,
    project: Name,
    user: Name,
    jobtime: Seconds,
    estimate: Seconds | None = None,
    start: Text | None = None,
    cores: Count | None = None,
    job: JobKey = "",
) -> dict[str, Any]:
    """Charge what a job cost: rate x jobtime / 3600 (times --cores), and settle its hold.

    The hold is the one with the same job key or, without a key, the oldest open one of the project with that estimate.
    A hold with that key for another project of the tenant is given back. A charge is never refused for lack of money.
    Job time 0 cancels a hold. Without --start the job ended now. With --file=<file>, - for standard input, each line is
    a JSON object with a charge's options and perhaps its key, and is answered on a line of its own; the exit status is 0
    if all succeeded.
    """
    owner = book.tenant_id()
    book.reader.need(needed(owner, project, user, job))
    accounts = book.accounts(project)
    member = book.member(accounts.project, user, present=False)
    billed = _times(jobtime, cores or 1, "--jobtime")
    begin = book.moment(start, "--start") if start is not None else book.now - jobtime * clock.SECOND
    if begin <= 0:
        raise UsageError(f"--jobtime {jobtime} reaches back to before 1970.")
    if begin + jobtime * clock.SECOND > book.now + FUTURE_MAX:
        raise UsageError(
            f"the job ends in the future ({jobtime} s from {shown(start)} on); charge it when it has ended."
        )
    usage = Usage(
        user=member.user, job=job, batch="", source=CHARGE, start=begin, end=begin + jobtime * clock.SECOND,
        runtime=jobtime, cores=cores or 0, nodes=0, unit=WALL_HOURS if cores is None else CORE_HOURS,
        billed_seconds=billed,
    )  # fmt: skip
    if job:
        known = book.charged(owner, job)
        if known.transaction is not None:
            _check_same(known.transaction, usage, accounts, exact=start is not None)
            given_back = _give_back(book, owner, job)
            accounts = book.accounts(project)
            return {**_charge_answer(known.transaction, accounts, member), **given_back, "repeated": True}
        booking = book.booking(charge_id(owner, job, known.generation + 1))
    else:
        booking = book.booking()
    if ledger.is_disabled(accounts):
        raise RefusedError(f"project {accounts.project.name} is disabled; late jobs come in by dca job import.")
    held = _hold_for(book, accounts, job, _times(estimate, cores or 1, "--estimate") if estimate is not None else None)
    accounts, record, settled = ledger.charge(accounts, usage, held, book.site().rate, booking)
    book.put_accounts(accounts)
    if settled is not None:
        book.put(settled)
    book.add(record)
    given_back = _give_back(book, owner, job) if job else {}
    return {**_charge_answer(record, accounts, member), **given_back}


def _give_back(book: Book, tenant: str, job: str) -> dict[str, Any]:
    """Give back the hold of a job that is charged, if it is still open: it was made for another project of the tenant."""
    held: Hold | None = book.get(HOLD, hold_id(tenant, job))
    if held is None or held.state != OPEN:
        return {}
    from dca.commands.release import give_back

    (closed,) = give_back(book, [held])
    return {"given_back": figures.hold(closed, book.names_of(PROJECT, [closed.project]))}


def _hold_for(book: Book, accounts: Accounts, job: str, estimate: int | None) -> Hold | None:
    """Return the open hold that a charge settles."""
    if job:
        held: Hold | None = book.get(HOLD, hold_id(accounts.tenant.id, job))
        return held if held is not None and held.state == OPEN and held.project == accounts.project.id else None
    if estimate is None or not accounts.project.holds_open:
        return None
    where = (
        in_tenant(accounts.tenant.id),
        Condition("project", "eq", accounts.project.id),
        Condition("state", "eq", OPEN),
        Condition("estimate", "eq", estimate),
        Condition("job", "eq", ""),
    )
    oldest: Hold | None = book.first(Query(HOLD, where, order=("opened", "id")))
    return oldest


def _charge_answer(record: Transaction, accounts: Accounts, member: Association) -> dict[str, Any]:
    projects, users = {record.project: accounts.project.name}, {f"{record.project}:{record.user}": member.name}
    return {
        "transaction": figures.transaction(record, projects, users),
        "project": figures.project(accounts.project, accounts.tenant),
    }


def _check_same(existing: Transaction, usage: Usage, accounts: Accounts, *, exact: bool) -> None:
    """Refuse a charge that is booked already as another; a job that an import charged is known however it was measured."""
    same = (existing.project, existing.user) == (accounts.project.id, usage.user) and (
        existing.source == IMPORT
        or (
            (existing.runtime, existing.billed_seconds) == (usage.runtime, usage.billed_seconds)
            and (not exact or existing.start == usage.start)
        )
    )
    if not same:
        raise RefusedError(
            f"job {existing.job} was charged already with another project, user or time ({existing.id}); "
            "a key names one job."
        )


def holds(
    book: Book,
    tenant: Name | None = None,
    project: Name | None = None,
    user: Name | None = None,
    older_than: Days | None = None,
    limit: Size = 1000,
    after: Text | None = None,
) -> dict[str, Any]:
    """Show open holds, the oldest first; with --older-than=<days> only those made that long ago.

    With --as-of those that were open at that moment.
    """
    where = [*narrowed(book, tenant, project, user), Condition("state", "eq", OPEN)]
    if older_than is not None:
        where.append(Condition("opened", "le", book.instant_now - older_than * clock.DAY))
    order = ("opened", "id")
    found: list[Hold] = book.reader.find(Query(HOLD, tuple(where), order, limit, unmark(after, "is")))
    names = book.names_of(PROJECT, [record.project for record in found])
    return {
        "holds": [figures.hold(record, names) for record in found],
        "total": Decimal(sum(record.amount for record in found)),
        **mark(found, order, limit),
    }


def hold_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each hold."""
    return list(answer["holds"])


def show(
    book: Book,
    tenant: Name | None = None,
    project: Name | None = None,
    user: Name | None = None,
    job: JobKey | None = None,
    batch: Text | None = None,
    time_period: Text | None = None,
    limit: Size = 100,
    after: Text | None = None,
) -> dict[str, Any]:
    """List transactions, those that ended last first; `next` is the mark for --after that brings the next page."""
    where = narrowed(book, tenant, project, user)
    where += [Condition(name, "eq", value) for name, value in (("job", job), ("batch", batch)) if value is not None]
    if time_period is not None:
        period = book.period(time_period)
        where += [Condition("end", "ge", period.begin), Condition("end", "lt", period.end)]
    order = ("-end", "id")
    found: list[Transaction] = book.reader.find(Query(TRANSACTION, tuple(where), order, limit, unmark(after, "is")))
    projects = book.names_of(PROJECT, [record.project for record in found])
    ids = {
        f"{record.project}:{record.user}": association_id(record.tenant, record.project, record.user)
        for record in found
    }
    given = book.names_of(ASSOCIATION, list(ids.values()))
    users = {pair: given[record_id] for pair, record_id in ids.items()}
    return {
        "transactions": [figures.transaction(record, projects, users) for record in found],
        **mark(found, order, limit),
    }


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each transaction."""
    return list(answer["transactions"])


def narrowed(book: Book, tenant: str | None, project: str | None, user: str | None) -> list[Condition]:
    """Return the conditions that narrow a listing to a tenant, a project and a user; unknown names are errors."""
    where = []
    if tenant is not None:
        where.append(in_tenant(book.tenant(tenant).id))
    if project is not None:
        record = book.accounts(project).project
        where += [in_tenant(record.tenant), Condition("project", "eq", record.id)]
    if user is not None:
        where.append(Condition("user", "eq", folded(check_name(user, EXTENDED, "user"))))
    return where


def mark(found: list[Any], order: tuple[str, ...], limit: int) -> dict[str, str]:
    """Return the mark that brings the next page, where there may be one."""
    if len(found) < limit:
        return {}
    values = [getattr(found[-1], name.lstrip("-")) for name in order]
    return {"next": urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")}


def unmark(text: str | None, shape: str) -> tuple[Any, ...] | None:
    """Read a mark back; shape tells the types of its values, i for a number and s for a text."""
    if text is None:
        return None
    types = {"i": int, "s": str}
    try:
        values = json.loads(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
        if [type(value) for value in values] == [types[letter] for letter in shape] and all(map(_storable, values)):
            return tuple(values)
    except (ValueError, TypeError):
        pass
    raise UsageError(f"--after {shown(text)} is no mark of a page; take `next` of the page before.")


def _storable(value: int | str) -> bool:
    """Tell whether a store could hold a value at all: no huge number, no half of a character."""
    return abs(value) <= clock.INSTANT_MAX if isinstance(value, int) else bool(value.encode())


__all__ = ["charge", "hold_rows", "holds", "mark", "narrowed", "reserve", "rows", "show", "unmark"]
