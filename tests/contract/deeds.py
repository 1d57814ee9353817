"""Small decisions to try a store with, written straight with records and the ledger; no command, no engine."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from dca.core import ledger, money
from dca.core.clock import HOUR
from dca.core.errors import RefusedError
from dca.core.ledger import Accounts, Booking, Usage
from dca.core.model import (
    ACTIVE,
    CHARGE,
    DIRECT,
    ENABLED,
    GLOBAL_STREAM,
    OPEN,
    SITE_ID,
    Association,
    Change,
    Claim,
    Hold,
    Key,
    Login,
    Payment,
    Project,
    Rate,
    Role,
    Site,
    Tenant,
    Transaction,
    association_id,
    booked_id,
    hold_id,
    key_id,
    tenant_stream,
)
from dca.store.entry import entry_time
from dca.store.port import Decision, Draft, Query, Reader, Sums
from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    HOLD,
    KEY,
    LOGIN,
    PAYMENT,
    PROJECT,
    RATE,
    ROLE,
    SITE,
    TENANT,
    TRANSACTION,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dca.core.model import Record

NOW = 1_795_500_000_000
"""The present in all of these tests, 2026-11-24."""
ACTOR = "alice"

PERMITTED: dict[str, tuple[str, ...]] = {
    "tenant add": (TENANT, KEY),
    "tenant payment": (TENANT, PAYMENT, KEY),
    "project add": (TENANT, PROJECT, CLAIM, KEY),
    "project release": (CLAIM,),
    "user add": (ASSOCIATION, KEY),
    "rate set": (SITE, RATE, KEY),
    "transaction reservebudget": (TENANT, PROJECT, HOLD, KEY),
    "transaction charge": (TENANT, PROJECT, HOLD, TRANSACTION, KEY),
    "role create": (ROLE, KEY),
    "role grant": (LOGIN, KEY),
}

_commits = count(1)


@dataclass(frozen=True)
class Deed:
    """A decision with the commit id that it keeps over all attempts."""

    words: str
    stream: str
    decision: Callable[..., Decision]
    arguments: tuple[Any, ...]
    commit: str

    def __call__(self, reader: Reader) -> Decision:
        """Decide."""
        return self.decision(self, reader, *self.arguments)

    def drafted(
        self,
        reader: Reader,
        changes: Sequence[tuple[Record, Record | None]],
        *,
        answer: Any = None,
        claim: Claim | None = None,
    ) -> Decision:
        """Return the decision to commit these changes, each a record and what it was."""
        end = reader.end(self.stream)
        category, _, action = self.words.partition(" ")
        listed = tuple(Change(_KINDS[type(record)], record, was) for record, was in changes)
        projects = {getattr(record, "project", "") for record, _ in changes} | {
            record.id for record, _ in changes if isinstance(record, Project)
        }
        draft = Draft(
            stream=self.stream,
            actor=ACTOR,
            category=category,
            action=action,
            details=" ".join(map(str, self.arguments)),
            tenant=self.stream.removeprefix("t:") if self.stream != GLOBAL_STREAM else "",
            projects=tuple(sorted(projects - {""})),
            commit=self.commit,
            time=entry_time(NOW, end),
            changes=listed,
            claim=claim,
        )
        return Decision(answer, draft)


_KINDS: dict[type, str] = {
    Tenant: TENANT,
    Project: PROJECT,
    Association: ASSOCIATION,
    Hold: HOLD,
    Payment: PAYMENT,
    Rate: RATE,
    Key: KEY,
    Claim: CLAIM,
    Site: SITE,
    Transaction: TRANSACTION,
    Role: ROLE,
    Login: LOGIN,
}


def deed(words: str, stream: str, decision: Callable[..., Decision], *arguments: Any) -> Deed:
    """Return a decision with a commit id of its own."""
    return Deed(words, stream, decision, arguments, f"c{next(_commits)}")


def add_tenant(name: str, credit: int = 0) -> Deed:
    """Add a tenant."""
    return deed("tenant add", tenant_stream(name.lower()), _add_tenant, name, credit)


def pay(tenant: str, amount: int, reference: str = "", key: str = "") -> Deed:
    """Take money from a tenant."""
    return deed("tenant payment", tenant_stream(tenant), _pay, tenant, amount, reference, key)


def pay_many(tenant: str, payments: int) -> Deed:
    """Take many payments of one micro-dollar in one entry, each with a reference of its own."""
    return deed("tenant payment", tenant_stream(tenant), _pay_many, tenant, payments)


def claim_name(tenant: str, project: str) -> Deed:
    """Claim a project name without using it, as a command does that stops half-way; it takes a payment instead."""
    return deed("tenant payment", tenant_stream(tenant), _claim_name, tenant, project)


def add_project(tenant: str, project: str, balance: int = 0) -> Deed:
    """Add a project, with a part of the tenant's balance."""
    return deed("project add", tenant_stream(tenant), _add_project, tenant, project, balance)


def release_name(tenant: str, project: str, to: str) -> Deed:
    """Let another tenant have a project name that this one claimed and never used."""
    return deed("project release", tenant_stream(tenant), _release_name, tenant, project, to)


def add_user(tenant: str, project: str, user: str) -> Deed:
    """Add a user to a project."""
    return deed("user add", tenant_stream(tenant), _add_user, tenant, project, user)


def set_rate(rate: int) -> Deed:
    """Set the rate of the whole site."""
    return deed("rate set", GLOBAL_STREAM, _set_rate, rate)


def reserve(tenant: str, project: str, seconds: int, job: str) -> Deed:
    """Set money aside for a job."""
    return deed("transaction reservebudget", tenant_stream(tenant), _reserve, tenant, project, seconds, job)


def charge(tenant: str, project: str, user: str, seconds: int, *, end: int = NOW, job: str = "") -> Deed:
    """Charge a job and settle its hold."""
    return deed("transaction charge", tenant_stream(tenant), _charge, tenant, project, user, seconds, end, job)


def create_role(name: str, level: int, pending: str = "") -> Deed:
    """Make a role, or give it another level; something may be begun with it and not finished."""
    return deed("role create", GLOBAL_STREAM, _create_role, name, level, pending)


def grant(login: str, grants: str, pending: str = "") -> Deed:
    """Grant roles to a login, in the place of those that it has; something may be begun with it and not finished."""
    return deed("role grant", GLOBAL_STREAM, _grant, login, grants, pending)


def _add_tenant(self: Deed, reader: Reader, name: str, credit: int) -> Decision:
    (known,) = reader.get(TENANT, [name.lower()])
    if known is not None:
        raise RefusedError(f"tenant {name} exists already.")
    tenant = Tenant(name.lower(), name, 0, credit, 0, 0, 0, ENABLED, NOW)
    return self.drafted(reader, [(tenant, None)], answer=tenant)


def _pay(self: Deed, reader: Reader, tenant: str, amount: int, reference: str, key: str) -> Decision:
    (before,) = reader.get(TENANT, [tenant])
    if before is None:
        raise RefusedError(f"there is no tenant {tenant}.")
    seq = reader.end(self.stream).seq + 1
    changes: list[tuple[Record, Record | None]] = []
    if key:
        (kept,) = reader.get(KEY, [key_id(self.stream, key)])
        if kept is not None:
            return Decision(kept.answer, None)
        answered = f"paid {amount}"
        record = Key(key_id(self.stream, key), self.stream, seq, key, str(self.arguments), answered, NOW)
        changes.append((record, None))
    payment = Payment(booked_id(self.stream, seq, 0), self.stream, seq, tenant, amount, reference, NOW)
    after = ledger.pay(before, amount)
    return self.drafted(reader, [(after, before), (payment, None), *changes], answer=after)


def _pay_many(self: Deed, reader: Reader, tenant: str, payments: int) -> Decision:
    (before,) = reader.get(TENANT, [tenant])
    seq = reader.end(self.stream).seq + 1
    many = [
        Payment(booked_id(self.stream, seq, number), self.stream, seq, tenant, 1, f"{seq}/{number}", NOW)
        for number in range(payments)
    ]
    after = ledger.pay(before, payments)
    return self.drafted(reader, [(after, before), *((one, None) for one in many)], answer=after)


def _claim_name(self: Deed, reader: Reader, tenant: str, project: str) -> Decision:
    (before,) = reader.get(TENANT, [tenant])
    seq = reader.end(self.stream).seq + 1
    payment = Payment(booked_id(self.stream, seq, 0), self.stream, seq, tenant, 1, "", NOW)
    after = ledger.pay(before, 1)
    return self.drafted(reader, [(after, before), (payment, None)], answer=after, claim=Claim(project, tenant, 1))


def _add_project(self: Deed, reader: Reader, tenant: str, name: str, balance: int) -> Decision:
    (owner,), (known,) = reader.get(TENANT, [tenant]), reader.get(PROJECT, [name.lower()])
    (claim,) = reader.get(CLAIM, [name.lower()])
    if known is not None or (claim is not None and claim.tenant != tenant):
        raise RefusedError(f"project {name} exists already.")
    project = Project(name.lower(), name, tenant, balance, 0, 0, 0, ENABLED, NOW)
    after, project = ledger.add_project(owner, project)
    wanted = Claim(name.lower(), tenant, 1) if claim is None else None
    return self.drafted(reader, [(after, owner), (project, None)], answer=project, claim=wanted)


def _release_name(self: Deed, reader: Reader, tenant: str, project: str, to: str) -> Decision:
    (claim,), (used,) = reader.get(CLAIM, [project]), reader.get(PROJECT, [project])
    if used is not None or claim is None or claim.tenant != tenant:
        raise RefusedError(f"the name {project} is not free to go from {tenant}.")
    after = claim._replace(tenant=to, generation=claim.generation + 1)
    return self.drafted(reader, [(after, claim)], answer=after)


def _add_user(self: Deed, reader: Reader, tenant: str, project: str, user: str) -> Decision:
    record_id = association_id(tenant, project, user.lower())
    (before,) = reader.get(ASSOCIATION, [record_id])
    after = Association(record_id, tenant, project, user.lower(), user, ACTIVE, NOW)
    return self.drafted(reader, [(after, before)], answer=after) if after != before else Decision(after, None)


def _set_rate(self: Deed, reader: Reader, rate: int) -> Decision:
    (site,) = reader.get(SITE, [SITE_ID])
    seq = reader.end(self.stream).seq + 1
    record = Rate(booked_id(self.stream, seq, 0), self.stream, seq, rate, NOW)
    return self.drafted(reader, [(site._replace(rate=rate), site), (record, None)], answer=rate)


def _accounts(reader: Reader, tenant: str, project: str) -> Accounts:
    (owner,), (record,) = reader.get(TENANT, [tenant]), reader.get(PROJECT, [project])
    if owner is None or record is None:
        raise RefusedError(f"there is no project {project}.")
    return Accounts(owner, record)


def _reserve(self: Deed, reader: Reader, tenant: str, project: str, seconds: int, job: str) -> Decision:
    before = _accounts(reader, tenant, project)
    (site,) = reader.get(SITE, [SITE_ID])
    amount = money.price(site.rate, seconds)
    held = Hold(hold_id(tenant, job), tenant, project, "", job, seconds, site.rate, amount, OPEN, NOW, 0, "")
    after = ledger.hold(before, held)
    return self.drafted(
        reader, [(after.tenant, before.tenant), (after.project, before.project), (held, None)], answer=held
    )


def _charge(
    self: Deed, reader: Reader, tenant: str, project: str, user: str, seconds: int, end: int, job: str
) -> Decision:
    before = _accounts(reader, tenant, project)
    (site,) = reader.get(SITE, [SITE_ID])
    held = reader.get(HOLD, [hold_id(tenant, job)])[0] if job else None
    seq = reader.end(self.stream).seq + 1
    booking = Booking(booked_id(self.stream, seq, 0), self.stream, seq, NOW)
    begin = end - seconds * 1000
    usage = Usage(user, job, "", CHARGE, begin, end, seconds, 1, 0, "core-hours", seconds)
    after, transaction, settled = ledger.charge(before, usage, held, site.rate, booking)
    changes: list[tuple[Record, Record | None]] = [
        (after.tenant, before.tenant),
        (after.project, before.project),
        (transaction, None),
    ]
    if settled is not None:
        changes.append((settled, held))
    return self.drafted(reader, changes, answer=transaction)


def _create_role(self: Deed, reader: Reader, name: str, level: int, pending: str) -> Decision:
    (before,) = reader.get(ROLE, [name.lower()])
    created = before.created if before is not None else NOW
    after = Role(name.lower(), name, level, "list,transaction charge", "", DIRECT, ACTIVE, pending, created)
    return self.drafted(reader, [(after, before)], answer=after)


def _grant(self: Deed, reader: Reader, login: str, grants: str, pending: str) -> Decision:
    (before,) = reader.get(LOGIN, [login])
    after = Login(login, grants, ACTIVE, pending, before.created if before is not None else NOW)
    return self.drafted(reader, [(after, before)], answer=after)


def begin() -> list[Deed]:
    """Return deeds that begin small books: a rate, two tenants with money, three projects, users, a hold, charges."""
    return [
        set_rate(3_600_000),
        add_tenant("Acme", credit=50),
        add_tenant("bolt"),
        pay("acme", 900_000_000, "Überweisung 上海 ✓"),
        pay("bolt", 400_000_000),
        add_project("acme", "Alpha", 300_000_000),
        add_project("acme", "beta", 200_000_000),
        add_project("bolt", "gamma"),
        add_user("acme", "alpha", "Ann"),
        add_user("acme", "alpha", "bob"),
        add_user("acme", "beta", "bob"),
        reserve("acme", "alpha", 7_200, "main/1/100"),
        charge("acme", "alpha", "ann", 3_600, end=NOW - 30 * HOUR, job="main/1/100"),
        charge("acme", "alpha", "bob", 10, end=NOW - 3 * HOUR),
        charge("acme", "beta", "bob", 1_800, end=NOW - 2 * HOUR),
        charge("bolt", "gamma", "carl", 60, end=NOW - HOUR),
    ]


def powers(other: str = "*") -> list[Deed]:
    """Return deeds that make a role and two logins, and change one of each; with the login *, dca lets nobody else in."""
    return [
        create_role("Night", 20),
        grant(other, ""),
        grant("slurm", "night"),
        create_role("Night", 30),
        grant("slurm", "night,viewer@tenant/acme"),
    ]


def everything(reader: Reader) -> dict[str, Any]:
    """Return all that a reader can see of the books, each way of asking beside the others."""
    tenants = reader.find(Query(TENANT))
    projects = reader.find(Query(PROJECT))
    return {
        "tenants": tenants,
        "tenants got": reader.get(TENANT, ["acme", "bolt", "delta"]),
        "projects": projects,
        "projects got": reader.get(PROJECT, ["alpha", "beta", "gamma", "delta"]),
        "site": reader.get(SITE, [SITE_ID]),
        **{kind: reader.find(Query(kind)) for kind in (ASSOCIATION, HOLD, TRANSACTION, PAYMENT, RATE, ROLE, LOGIN)},
        "powers": [*reader.get(ROLE, ["night", "day"]), *reader.get(LOGIN, ["slurm", "*", "Slurm"])],
        "sums": [
            reader.sums(_sums(kind, tenant, field))
            for tenant in ("acme", "bolt")
            for kind, field in ((PAYMENT, "amount"), (TRANSACTION, "cost"))
        ],
        "ends": [reader.end(tenant_stream(tenant)).seq for tenant in ("acme", "bolt")],
    }


def _sums(kind: str, tenant: str, field: str) -> Sums:
    return Sums(kind, tenant_stream(tenant), (), (), (field,))
