"""Commands as the exploration runs them: straight-line decisions on a reader, their records made by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core import ledger, money
from dca.core.errors import BusyError, NotFoundError, RefusedError
from dca.core.ledger import Accounts, Booking, Usage
from dca.core.model import (
    ACTIVE,
    CHARGE,
    ENABLED,
    GLOBAL_STREAM,
    OPEN,
    SITE_ID,
    UNDO,
    Association,
    Change,
    Claim,
    Hold,
    Key,
    Payment,
    Project,
    Rate,
    Record,
    Tenant,
    association_id,
    booked_id,
    charge_id,
    counter_id,
    hold_id,
    key_id,
    tenant_stream,
)
from dca.core.money import MICRO
from dca.store.entry import entry_time
from dca.store.port import Condition, Decision, Draft, Query, Sums
from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    HOLD,
    KEY,
    PAYMENT,
    PROJECT,
    RATE,
    SITE,
    TENANT,
    TRANSACTION,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from dca.store.port import Reader

    Decide = Callable[[Reader], Decision]
    Question = Callable[[Reader], Any]

PATIENCE = 1
NOW = 1_700_000_000_000
DOLLAR_A_SECOND = 3600 * MICRO

PERMITTED: dict[str, tuple[str, ...]] = {
    "rate set": (SITE, RATE, KEY),
    "tenant add": (TENANT, KEY),
    "tenant payment": (TENANT, PAYMENT, KEY),
    "project add": (TENANT, PROJECT, CLAIM, KEY),
    "project movebudget": (TENANT, PROJECT, KEY),
    "project release": (CLAIM,),
    "user add": (ASSOCIATION, KEY),
    "transaction reservebudget": (TENANT, PROJECT, HOLD, KEY),
    "transaction charge": (TENANT, PROJECT, HOLD, TRANSACTION, KEY),
    "job undo": (TENANT, PROJECT, TRANSACTION, KEY),
}


class Elsewhere(Exception):  # noqa: N818 -- the sign that an unused claim has to be released first
    """The name of a new project is claimed by another tenant that does not use it."""

    def __init__(self, claim: Claim) -> None:
        """Name the claim."""
        super().__init__()
        self.claim = claim


def changed(kind: str, record: Record, was: Record | None) -> list[Change]:
    """Return the change from one record to another, or none where they are the same."""
    return [Change(kind, record, was)] if record != was else []


def booking(reader: Reader, stream: str, record_id: str = "", number: int = 0) -> Booking:
    """Return where the next record is booked."""
    end = reader.end(stream)
    seq = end.seq + 1
    return Booking(record_id or booked_id(stream, seq, number), stream, seq, entry_time(NOW, end))


def decision(
    reader: Reader, stream: str, words: str, commit: str, changes: Sequence[Change], claim: Claim | None = None
) -> Decision:
    """Return the decision to commit changes; its answer is what they come to."""
    category, action = words.split(" ")
    tenant = "" if stream == GLOBAL_STREAM else stream.removeprefix("t:")
    draft = Draft(
        stream=stream,
        actor=commit,
        category=category,
        action=action,
        details="",
        tenant=tenant,
        projects=(),
        commit=commit,
        time=entry_time(NOW, reader.end(stream)),
        changes=tuple(changes),
        claim=claim,
    )
    return Decision(tuple(change.record for change in changes), draft)


def accounts_of(reader: Reader, project: str, *further: tuple[str, str]) -> Accounts:
    """Return a project with its tenant, bringing further records along."""
    (owner,) = reader.route([project])
    if not owner:
        raise NotFoundError(f"there is no project {project}.")
    reader.need([(PROJECT, project), (TENANT, owner), *further])
    (account,) = reader.get(PROJECT, [project])
    if account is None:
        raise NotFoundError(f"there is no project {project}.")
    (tenant,) = reader.get(TENANT, [account.tenant])
    assert tenant is not None, account
    return Accounts(tenant, account)


def set_rate(commit: str, rate: int) -> Decide:
    """Set the rate."""

    def decide(reader: Reader) -> Decision:
        (site,) = reader.get(SITE, [SITE_ID])
        at = booking(reader, GLOBAL_STREAM)
        changes = changed(SITE, site._replace(rate=rate), site)
        changes.append(Change(RATE, Rate(at.id, at.stream, at.seq, rate, at.time), None))
        return decision(reader, GLOBAL_STREAM, "rate set", commit, changes)

    return decide


def add_tenant(commit: str, name: str, credit: int = 0) -> Decide:
    """Add a tenant."""

    def decide(reader: Reader) -> Decision:
        (tenant,) = reader.get(TENANT, [name])
        if tenant is not None:
            raise RefusedError(f"tenant {name} exists.")
        tenant = Tenant(name, name, 0, credit * MICRO, 0, 0, 0, ENABLED, NOW)
        return decision(reader, tenant_stream(name), "tenant add", commit, changed(TENANT, tenant, None))

    return decide


def pay(commit: str, tenant: str, amount: int) -> Decide:
    """Book a payment."""

    def decide(reader: Reader) -> Decision:
        (account,) = reader.get(TENANT, [tenant])
        if account is None:
            raise NotFoundError(f"there is no tenant {tenant}.")
        at = booking(reader, tenant_stream(tenant))
        paid = Payment(at.id, at.stream, at.seq, tenant, amount * MICRO, "", at.time)
        changes = [*changed(TENANT, ledger.pay(account, amount * MICRO), account), Change(PAYMENT, paid, None)]
        return decision(reader, at.stream, "tenant payment", commit, changes)

    return decide


def add_project(commit: str, name: str, tenant: str, balance: int = 0) -> Decide:
    """Add a project, claiming its name."""

    def decide(reader: Reader) -> Decision:
        (existing,) = reader.get(PROJECT, [name])
        if existing is not None:
            raise RefusedError(f"project {name} exists.")
        (claim,) = reader.get(CLAIM, [name])
        if claim is not None and claim.tenant != tenant:
            raise Elsewhere(claim)
        (account,) = reader.get(TENANT, [tenant])
        if account is None:
            raise NotFoundError(f"there is no tenant {tenant}.")
        project = Project(name, name, tenant, balance * MICRO, 0, 0, 0, ENABLED, NOW)
        after = ledger.add_project(account, project)
        changes = [*changed(TENANT, after.tenant, account), Change(PROJECT, project, None)]
        wanted = Claim(name, tenant, 1) if claim is None else None
        return decision(reader, tenant_stream(tenant), "project add", commit, changes, wanted)

    return decide


def release(commit: str, claim: Claim, tenant: str) -> Decide:
    """Let a tenant have a name that another claimed and never used."""

    def decide(reader: Reader) -> Decision:
        (current,) = reader.get(CLAIM, [claim.id])
        if current is None or current.tenant != claim.tenant:
            return Decision(None, None)
        (project,) = reader.get(PROJECT, [claim.id])
        if project is not None:
            raise RefusedError(f"project {claim.id} exists.")
        after = current._replace(tenant=tenant, generation=current.generation + 1)
        return decision(reader, tenant_stream(claim.tenant), "project release", commit, [Change(CLAIM, after, current)])

    return decide


def move(commit: str, source: str, target: str, balance: int) -> Decide:
    """Move earmarked balance between two projects of one tenant."""

    def decide(reader: Reader) -> Decision:
        giving = accounts_of(reader, source, (PROJECT, target))
        taking = accounts_of(reader, target)
        after = ledger.give_back(giving, balance=balance * MICRO, credit=0)
        both = ledger.receive(Accounts(after.tenant, taking.project), balance=balance * MICRO, credit=0)
        changes = [
            *changed(PROJECT, after.project, giving.project),
            *changed(PROJECT, both.project, taking.project),
            *changed(TENANT, both.tenant, giving.tenant),
        ]
        return decision(reader, tenant_stream(giving.tenant.id), "project movebudget", commit, changes)

    return decide


def add_user(commit: str, project: str, user: str) -> Decide:
    """Add a user to a project: an entry that leaves tenant and project alone."""

    def decide(reader: Reader) -> Decision:
        accounts = accounts_of(reader, project)
        record_id = association_id(accounts.tenant.id, project, user)
        (known,) = reader.get(ASSOCIATION, [record_id])
        if known is not None:
            raise RefusedError(f"user {user} is there.")
        record = Association(record_id, accounts.tenant.id, project, user, user, ACTIVE, NOW)
        stream = tenant_stream(accounts.tenant.id)
        return decision(reader, stream, "user add", commit, [Change(ASSOCIATION, record, None)])

    return decide


def hold(commit: str, project: str, seconds: int, job: str) -> Decide:
    """Hold money for a job."""

    def decide(reader: Reader) -> Decision:
        accounts = accounts_of(reader, project)
        (site,) = reader.get(SITE, [SITE_ID])
        record_id = hold_id(accounts.tenant.id, job)
        (known,) = reader.get(HOLD, [record_id])
        if known is not None:
            return Decision(known, None)
        at = booking(reader, tenant_stream(accounts.tenant.id), record_id)
        amount = money.price(site.rate, seconds)
        record = Hold(record_id, accounts.tenant.id, project, "", job, seconds, site.rate, amount, OPEN, at.time, 0, "")
        after = ledger.hold(accounts, record)
        changes = [
            *changed(TENANT, after.tenant, accounts.tenant),
            *changed(PROJECT, after.project, accounts.project),
            Change(HOLD, record, None),
        ]
        return decision(reader, at.stream, "transaction reservebudget", commit, changes)

    return decide


def charge(commit: str, project: str, seconds: int, job: str = "", key: str = "") -> Decide:
    """Charge a job, settling its hold; a job or key that is known gets its first answer."""

    def decide(reader: Reader) -> Decision:
        (owner,) = reader.route([project])
        further = [(HOLD, hold_id(owner, job)), (TRANSACTION, charge_id(owner, job, 1))] if job and owner else []
        accounts = accounts_of(reader, project, *further)
        (site,) = reader.get(SITE, [SITE_ID])
        stream = tenant_stream(owner)
        if key:
            (kept,) = reader.get(KEY, [key_id(stream, key)])
            if kept is not None:
                return Decision(kept.answer, None)
        held = None
        if job:
            (known,) = reader.get(TRANSACTION, [charge_id(owner, job, 1)])
            if known is not None:
                return Decision(known, None)
            (known_hold,) = reader.get(HOLD, [hold_id(owner, job)])
            held = known_hold if known_hold is not None and known_hold.state == OPEN else None
        at = booking(reader, stream, charge_id(owner, job, 1) if job else "")
        usage = Usage("u", job, "", CHARGE, NOW - 1000 * seconds, NOW, seconds, 0, 0, "wall-hours", seconds)
        after, transaction, settled = ledger.charge(accounts, usage, held, site.rate, at)
        changes = [
            *changed(TENANT, after.tenant, accounts.tenant),
            *changed(PROJECT, after.project, accounts.project),
            *(changed(HOLD, settled, held) if settled is not None else []),
            Change(TRANSACTION, transaction, None),
        ]
        if key:
            record = Key(key_id(stream, key), stream, at.seq, key, "content", f"answer {commit}", at.time)
            changes.append(Change(KEY, record, None))
        return decision(reader, stream, "transaction charge", commit, changes)

    return decide


def charge_oldest(commit: str, project: str, estimate: int) -> Decide:
    """Charge a job without a key: it settles the oldest open hold with its estimate, which a search finds."""

    def decide(reader: Reader) -> Decision:
        accounts = accounts_of(reader, project)
        (site,) = reader.get(SITE, [SITE_ID])
        where = (
            Condition("tenant", "eq", accounts.tenant.id),
            Condition("project", "eq", project),
            Condition("state", "eq", OPEN),
            Condition("estimate", "eq", estimate),
        )
        held = next(iter(reader.find(Query(HOLD, where, ("opened", "id"), 1))), None)
        at = booking(reader, tenant_stream(accounts.tenant.id))
        usage = Usage("u", "", "", CHARGE, NOW - 1000, NOW, 1, 0, 0, "wall-hours", 1)
        after, transaction, settled = ledger.charge(accounts, usage, held, site.rate, at)
        changes = [
            *changed(TENANT, after.tenant, accounts.tenant),
            *changed(PROJECT, after.project, accounts.project),
            *(changed(HOLD, settled, held) if settled is not None else []),
            Change(TRANSACTION, transaction, None),
        ]
        return decision(reader, at.stream, "transaction charge", commit, changes)

    return decide


def take_back(commit: str, project: str, job: str) -> Decide:
    """Take the charge of a job back by its counter-record, once."""

    def decide(reader: Reader) -> Decision:
        accounts = accounts_of(reader, project)
        charged_id = charge_id(accounts.tenant.id, job, 1)
        charged, counter = reader.get(TRANSACTION, [charged_id, counter_id(charged_id)])
        if charged is None:
            raise NotFoundError(f"job {job} is not charged.")
        if counter is not None:
            return Decision(counter, None)
        at = booking(reader, tenant_stream(accounts.tenant.id), counter_id(charged_id))
        after, counter = ledger.reverse(accounts, charged, at, UNDO)
        changes = [
            *changed(TENANT, after.tenant, accounts.tenant),
            *changed(PROJECT, after.project, accounts.project),
            Change(TRANSACTION, counter, None),
        ]
        return decision(reader, at.stream, "job undo", commit, changes)

    return decide


def pay_or_found(commit: str, tenant: str) -> Decide:
    """Book a payment of a tenant, or add the tenant if there is none."""

    def decide(reader: Reader) -> Decision:
        (account,) = reader.get(TENANT, [tenant])
        return (add_tenant(commit, tenant) if account is None else pay(commit, tenant, 1))(reader)

    return decide


def figures(tenant: str, *projects: str) -> Question:
    """Ask for the figures of a tenant and its projects and nothing else."""

    def question(reader: Reader) -> Any:
        if projects:
            reader.route(projects)
            reader.need([(TENANT, tenant), *((PROJECT, project) for project in projects)])
        stream = tenant_stream(tenant)
        accounts = reader.get(TENANT, [tenant]), reader.get(PROJECT, projects)
        return ((stream, reader.end(stream).seq),), accounts

    return question


def balances(tenant: str, *projects: str) -> Question:
    """Ask how a tenant stands, by every way there is: figures, sums, a search, and the end of its stream."""

    def question(reader: Reader) -> Any:
        stream = tenant_stream(tenant)
        (account,) = reader.get(TENANT, [tenant])
        figures = [
            (project.balance, project.credit, project.requested) if project else None
            for project in reader.get(PROJECT, projects)
        ]
        rows = reader.sums(Sums(TRANSACTION, stream, (), ("project",), ("cost", "tenant_balance")))
        where = (Condition("tenant", "eq", tenant),)
        found = reader.find(Query(TRANSACTION, where, ("-time", "id"), 100))
        spent = sum(row.sums[1] for row in rows)
        listed = sum(record.tenant_balance for record in found)
        holds = [record.id for record in reader.find(Query(HOLD, (*where, Condition("state", "eq", OPEN))))]
        end = reader.end(stream)
        return (
            ((stream, end.seq),),
            account,
            figures,
            [record.id for record in found],
            holds,
            account.balance + spent if account else None,
            account.balance + listed if account else None,
        )

    return question


def everything(*streams: str) -> Question:
    """Ask for all tenants and projects, by a search over all streams."""

    def question(reader: Reader) -> Any:
        tenants = reader.find(Query(TENANT))
        projects = reader.find(Query(PROJECT))
        transactions = reader.find(Query(TRANSACTION))
        ends = tuple((stream, reader.end(stream).seq) for stream in streams)
        return (ends, tenants, projects, [record.id for record in transactions])

    return question


def adding(
    name: str, project: str, tenant: str, write: Callable[[Decide], Generator[Any, Any, Decision]]
) -> Generator[Any, Any, Decision]:
    """Add a project as the engine does: have an unused claim of another tenant released, then try again, a few times."""
    number = 0
    while True:
        try:
            return (yield from write(add_project(name, project, tenant)))
        except Elsewhere as elsewhere:
            number += 1
            if number > PATIENCE:
                raise BusyError(f"others take the name {project} all the time.") from None
            commit = f"{name}-releases-{elsewhere.claim.tenant}-{number}"
            yield from write(release(commit, elsewhere.claim, tenant))
