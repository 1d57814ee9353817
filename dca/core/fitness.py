"""Whether a log entry is fit to be carried out: its arithmetic done again, from nothing but the entry itself.

An unfit entry was forged or damaged; it is void, which means that it changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from dca.core import ledger, money
from dca.core.errors import DcaError
from dca.core.model import (
    CHARGE,
    ENABLED,
    GLOBAL_STREAM,
    IMPORT,
    OPEN,
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
    Site,
    Tenant,
    Transaction,
    tenant_stream,
)

SETS_CREDIT = {"tenant add", "tenant modify"}
MOVES_EARMARKS = {"project add", "project movebudget"}


def flaw(*, command: str, stream: str, seq: int, changes: Collection[Change], kinds: Collection[str]) -> str:
    """Return why an entry is unfit, or an empty string; kinds are the record kinds its command may change."""
    try:
        return (
            _misplaced(stream, seq, changes, kinds)
            or _holds_flaw(changes)
            or _transactions_flaw(changes)
            or _projects_flaw(command, changes)
            or _tenant_flaw(command, changes)
        )
    except DcaError as error:
        return error.sentence


def _misplaced(stream: str, seq: int, changes: Collection[Change], kinds: Collection[str]) -> str:
    seen = set()
    for kind, record, was in changes:
        if kind not in kinds:
            return f"its command may not change a {kind}"
        if (kind, record.id) in seen:
            return f"it changes the {kind} {record.id} twice"
        seen.add((kind, record.id))
        if _stream_of(record, was) != stream:
            return f"the {kind} {record.id} does not belong to its stream"
        if isinstance(record, (Transaction, Payment, Rate, Key)) and (was is not None or record.seq != seq):
            return f"the {kind} {record.id} is not new in it"
        if was is not None and was.id != record.id:
            return f"the {kind} {record.id} replaces another, {was.id}"
        amounts: list[int] = [value for field, value in record._asdict().items() if field in _AMOUNTS]
        if any(abs(amount) > money.AMOUNT_MAX for amount in amounts):
            return f"an amount of the {kind} {record.id} is out of range"
    return ""


_AMOUNTS = {"balance", "credit", "requested", "amount", "rate", "cost"}


def _stream_of(record: Record, was: Record | None) -> str:
    if isinstance(record, (Transaction, Payment, Rate, Key)):
        return record.stream
    if isinstance(record, Tenant):
        return tenant_stream(record.id)
    if isinstance(record, (Project, Association, Hold)):
        return tenant_stream(record.tenant)
    if isinstance(record, Claim):
        return tenant_stream(was.tenant if isinstance(was, Claim) else record.tenant)
    assert isinstance(record, Site), record
    return GLOBAL_STREAM


def _holds_flaw(changes: Iterable[Change]) -> str:
    for _, record, was in changes:
        if not isinstance(record, Hold):
            continue
        if record.amount != money.price(record.rate, record.estimate):
            return f"the amount of hold {record.id} is not its rate times its estimate"
        if was is None and record.state != OPEN:
            return f"hold {record.id} is closed before it was open"
        if isinstance(was, Hold):
            same = was._replace(state=record.state, closed=record.closed, transaction=record.transaction)
            if was.state != OPEN or record.state == OPEN or record != same:
                return f"hold {record.id} changes more than from open to closed"
    return ""


def _transactions_flaw(changes: Iterable[Change]) -> str:
    for _, record, _ in changes:
        if not isinstance(record, Transaction):
            continue
        if record.source not in (CHARGE, IMPORT, UNDO) or bool(record.reverses) != (record.source == UNDO):
            return f"transaction {record.id} is of no known source"
        for who, balance, credit in (
            ("project", record.project_balance, record.project_credit),
            ("tenant", record.tenant_balance, record.tenant_credit),
        ):
            if balance + credit != record.cost:
                return f"the {who}'s parts of transaction {record.id} are not its cost"
        if record.source != UNDO and record.cost != money.price(record.rate, record.billed_seconds):
            return f"the cost of transaction {record.id} is not its rate times its time"
    return ""


class _Doings(NamedTuple):
    """What an entry does to one project: its transactions, and the amount and number by which its holds change."""

    transactions: list[Transaction]
    held: list[int]


def _doings(changes: Iterable[Change]) -> dict[str, _Doings]:
    found: dict[str, _Doings] = defaultdict(lambda: _Doings([], [0, 0]))
    for _, record, was in changes:
        if isinstance(record, Transaction):
            found[record.project].transactions.append(record)
        elif isinstance(record, Hold):
            sign = 1 if was is None else -1
            found[record.project].held[0] += sign * record.amount
            found[record.project].held[1] += sign
    return found


def _projects_flaw(command: str, changes: Collection[Change]) -> str:
    doings = _doings(changes)
    projects = {change.record.id: change for change in changes if isinstance(change.record, Project)}
    for name, (transactions, held) in doings.items():
        if name not in projects and (
            held != [0, 0] or any(one.project_balance or one.project_credit for one in transactions)
        ):
            return f"the project {name} is charged or held but not changed"
    for name, (_, record, was) in projects.items():
        assert isinstance(record, Project), record
        flawed = _project_flaw(command, record, was if isinstance(was, Project) else None, doings[name])
        if flawed:
            return flawed
    return ""


def _project_flaw(command: str, record: Project, was: Project | None, doings: _Doings) -> str:
    before = was or record._replace(balance=0, credit=0, requested=0, holds_open=0)
    if (record.tenant, record.name, record.created) != (before.tenant, before.name, before.created):
        return f"project {record.id} changes its tenant or name"
    if [record.requested - before.requested, record.holds_open - before.holds_open] != doings.held:
        return f"the held amount of project {record.id} is not what its holds say"
    balance, credit = before.balance, before.credit
    for transaction in doings.transactions:
        parts = ledger.Parts(transaction.project_balance, transaction.project_credit)
        if transaction.source != UNDO and parts != ledger.split(balance, credit, transaction.cost):
            return f"transaction {transaction.id} takes from the project in the wrong order"
        balance, credit = balance - parts.balance, credit - parts.credit
    if command not in MOVES_EARMARKS and (record.balance, record.credit) != (balance, credit):
        return f"the figures of project {record.id} are not what its transactions say"
    return ""


NO_TENANT = Tenant("", "", 0, 0, 0, 0, 0, ENABLED, 0)


def _tenant_flaw(command: str, changes: Collection[Change]) -> str:
    tenant = next((change for change in changes if isinstance(change.record, Tenant)), None)
    record = tenant.record if tenant is not None else NO_TENANT
    assert isinstance(record, Tenant), record
    was = tenant.was if tenant is not None else NO_TENANT
    empty = record._replace(balance=0, credit=0, allocated_balance=0, allocated_credit=0, holds_open=0)
    before = was if isinstance(was, Tenant) else empty
    expected = before
    for _, project, project_was in changes:
        if isinstance(project, Project):
            expected = ledger.with_project(expected, project_was if isinstance(project_was, Project) else None, project)
    balance = before.balance + sum(change.record.amount for change in changes if isinstance(change.record, Payment))
    credit = before.credit
    for _, transaction, _ in changes:
        if not isinstance(transaction, Transaction):
            continue
        parts = ledger.Parts(transaction.tenant_balance, transaction.tenant_credit)
        if transaction.source != UNDO and parts != ledger.split(balance, credit, transaction.cost):
            return f"transaction {transaction.id} takes from the tenant in the wrong order"
        balance, credit = balance - parts.balance, credit - parts.credit
    if command in SETS_CREDIT:
        credit = record.credit
    if record != expected._replace(balance=balance, credit=credit, state=record.state):
        return "the figures of the tenant are not what the entry's other records say"
    if command in MOVES_EARMARKS:
        ledger.check_allocation(before, record)
    return ""
