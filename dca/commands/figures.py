"""How records look in an answer: names instead of ids, dollars instead of micro-dollars, times in UTC."""

from collections.abc import Mapping
from typing import Any

from dca.core import clock, money
from dca.core.ledger import available
from dca.core.model import DISABLED, Change, Hold, Payment, Project, Record, Tenant, Transaction
from dca.core.money import Decimal
from dca.store.schema import KINDS

AMOUNTS = frozenset((
    "balance", "credit", "allocated_balance", "allocated_credit", "requested", "rate", "amount", "cost", "released",
    "project_balance", "project_credit", "tenant_balance", "tenant_credit",
))  # fmt: skip
"""Fields of records that hold micro-dollars."""


def hours(seconds: int) -> Decimal:
    """Return seconds as hours, rounded half to even to four decimals."""
    return Decimal(money.half_even(seconds * 10_000, money.SECONDS_PER_HOUR) * (money.MICRO // 10_000))


def tenant(record: Tenant) -> dict[str, Any]:
    """Return a tenant's figures; the projects of a disabled one are disabled with it and hold nothing."""
    disabled = record.state == DISABLED
    return {
        "name": record.name,
        "balance": Decimal(record.balance),
        "credit": Decimal(record.credit),
        "allocated_balance": Decimal(0 if disabled else record.allocated_balance),
        "allocated_credit": Decimal(0 if disabled else record.allocated_credit),
        "state": record.state,
    }


def project(record: Project, owner: Tenant) -> dict[str, Any]:
    """Return a project's figures: settled is what charges left, held what jobs may still cost, free the rest."""
    return {
        "tenant": owner.name,
        "project": record.name,
        "balance": Decimal(record.balance),
        "credit": Decimal(record.credit),
        "settled": Decimal(record.balance + record.credit),
        "held": Decimal(record.requested),
        "free": Decimal(available(record)),
        "holds_open": record.holds_open,
        "state": DISABLED if owner.state == DISABLED else record.state,
    }


def hold(record: Hold, projects: Mapping[str, str]) -> dict[str, Any]:
    """Return a hold."""
    return {
        "hold": record.id,
        "project": projects.get(record.project, record.project),
        "user": record.user,
        "job": record.job,
        "estimate": record.estimate,
        "rate": Decimal(record.rate),
        "amount": Decimal(record.amount),
        "state": record.state,
        "opened": clock.iso(record.opened),
        **({"closed": clock.iso(record.closed)} if record.closed else {}),
        **({"transaction": record.transaction} if record.transaction else {}),
    }


def transaction(record: Transaction, projects: Mapping[str, str], users: Mapping[str, str]) -> dict[str, Any]:
    """Return a transaction."""
    return {
        "transaction": record.id,
        "project": projects.get(record.project, record.project),
        "user": users.get(f"{record.project}:{record.user}", record.user),
        "start": clock.iso(record.start),
        "end": clock.iso(record.end),
        "runtime": record.runtime,
        "billed_seconds": record.billed_seconds,
        "unit": record.unit,
        "rate": Decimal(record.rate),
        "cost": Decimal(record.cost),
        "from_balance": Decimal(record.project_balance),
        "from_credit": Decimal(record.project_credit),
        "released": Decimal(record.released),
        "source": record.source,
        "job": record.job,
        "batch": record.batch,
        **({"late": True} if record.late else {}),
        **({"reverses": record.reverses} if record.reverses else {}),
    }


def payment(record: Payment) -> dict[str, Any]:
    """Return a payment."""
    return {
        "payment": record.id,
        "amount": Decimal(record.amount),
        "reference": record.reference,
        "time": clock.iso(record.time),
    }


def change(one: Change) -> dict[str, Any]:
    """Return a change of a record: which fields, from what, to what."""
    after = fields(one.kind, one.record)
    before = fields(one.kind, one.was) if one.was is not None else {}
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return {
        "kind": one.kind,
        "id": one.record.id,
        "before": {name: before[name] for name in changed if name in before},
        "after": changed,
    }


def fields(kind: str, record: Record) -> dict[str, Any]:
    """Return all fields of a record: dollars, and times in UTC."""
    shown: dict[str, Any] = {}
    for name, value in record._asdict().items():
        if name in AMOUNTS:
            shown[name] = Decimal(value)
        elif name in KINDS[kind].dates:
            shown[name] = clock.iso(value)
        else:
            shown[name] = value
    return shown
