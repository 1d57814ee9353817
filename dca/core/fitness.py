"""Whether a log entry is fit to be carried out: its arithmetic done again, from nothing but the entry itself.

An unfit entry was forged or damaged; it is void, which means that it changes nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from dca.core import ledger, money
from dca.core.errors import DcaError
from dca.core.model import (
    ACTIVE,
    CHARGE,
    CORE_HOURS,
    DEFAULT_SITE,
    DIRECT,
    DISABLED,
    ENABLED,
    GLOBAL_STREAM,
    IMPORT,
    NODE_HOURS,
    OPEN,
    RELEASED,
    REMOVED,
    SERVICE,
    SETTLED,
    SITE_ID,
    UNDO,
    WALL_HOURS,
    Association,
    Change,
    Claim,
    Hold,
    Key,
    Login,
    Payment,
    Project,
    Rate,
    Record,
    Role,
    Site,
    Tenant,
    Transaction,
    association_id,
    counter_id,
    hold_id,
    key_id,
    tenant_stream,
)
from dca.core.names import ENTRY_BYTES_MAX, EXTENDED, RECORD_ID_BYTES_MAX, RULES, STRICT, TEXT_BYTES_MAX, folded
from dca.core.permissions import LEVEL_MAX, LEVEL_MIN, is_grant, is_scope

ADDS_TENANT = {"tenant add"}
ADDS_PROJECT = {"project add"}
SETS_CREDIT = {"tenant add", "tenant modify"}
SETS_SITE = {"setup setup"}
MOVES_EARMARKS = {"project add", "project movebudget"}
DISABLES_TENANT = {"tenant disable"}
DISABLES_PROJECT = {"project disable"}
GIVES_NAMES = {"project release"}


def flaw(*, command: str, stream: str, seq: int, time: int, changes: Collection[Change], kinds: Collection[str]) -> str:
    """Return why an entry is unfit, or an empty string; kinds are the record kinds its command may change."""
    try:
        return (
            _misplaced(stream, seq, time, changes, kinds)
            or next(filter(None, map(_misshapen, changes)), "")
            or _names_flaw(command, changes)
            or _holds_flaw(time, changes)
            or _transactions_flaw(changes)
            or _site_flaw(command, changes)
            or _roles_flaw(changes)
            or _projects_flaw(command, changes)
            or _tenant_flaw(command, changes)
        )
    except DcaError as error:
        return error.sentence


def takes_back(counter: Transaction, charged: Transaction) -> bool:
    """Tell whether a counter-record takes a transaction back exactly."""
    booking = ledger.Booking(counter.id, counter.stream, counter.seq, counter.time)
    return counter == ledger.counter_of(charged, booking, counter.source, late=counter.late)


# -- where the records belong ------------------------------------------------------------------------------------


def _misplaced(stream: str, seq: int, time: int, changes: Iterable[Change], kinds: Collection[str]) -> str:
    seen = set()
    for kind, record, was in changes:
        if kind not in kinds:
            return f"its command may not change a {kind}"
        if (kind, record.id) in seen:
            return f"it changes the {kind} {record.id} twice"
        seen.add((kind, record.id))
        if _stream_of(record, was) != stream or not _is_named_rightly(record):
            return f"the {kind} {record.id} does not belong to its stream"
        if isinstance(record, (Transaction, Payment, Rate, Key)) and (
            was is not None or (record.seq, record.time) != (seq, time)
        ):
            return f"the {kind} {record.id} is not new in it"
        if was is not None and was.id != record.id:
            return f"the {kind} {record.id} replaces another, {was.id}"
    return ""


def _stream_of(record: Record, was: Record | None) -> str:
    """Return the stream in which a record may be written; empty if it says two things about it."""
    if isinstance(record, (Site, Rate, Role, Login)):
        return GLOBAL_STREAM
    if isinstance(record, Key):
        return record.stream
    if isinstance(record, Claim):
        return tenant_stream(was.tenant) if isinstance(was, Claim) else ""
    stream = tenant_stream(record.id if isinstance(record, Tenant) else record.tenant)
    return "" if isinstance(record, (Transaction, Payment)) and record.stream != stream else stream


def _is_named_rightly(record: Record) -> bool:
    """Tell whether a record's id is one that its other fields lead to, so that it cannot stand in another's way."""
    if isinstance(record, (Tenant, Project)):
        return record.id == folded(record.name)
    if isinstance(record, Association):
        named = association_id(record.tenant, record.project, record.user)
        return (record.id, record.user) == (named, folded(record.name))
    if isinstance(record, Hold) and record.job:
        return record.id == hold_id(record.tenant, record.job)
    if isinstance(record, (Hold, Transaction, Payment)):
        return record.id.startswith(f"{record.tenant}:")
    if isinstance(record, Key):
        return record.id == key_id(record.stream, record.key)
    if isinstance(record, Role):
        return record.id == folded(record.name)
    if isinstance(record, Rate):
        return record.stream == GLOBAL_STREAM and record.id.startswith(f"{GLOBAL_STREAM}:")
    return record.id == SITE_ID if isinstance(record, Site) else bool(record.id)


def _misshapen(change: Change) -> str:
    """Tell what of a record a store may be unable to keep: a number or a text that is too large, or no text at all."""
    kind, record, _ = change
    if _is_plain(record):
        return ""
    for field, value in record._asdict().items():
        if isinstance(value, int):
            if abs(value) > (money.AMOUNT_MAX if field in AMOUNTS else NUMBER_MAX):
                return f"the {field} of a {kind} is out of range"
        elif not _is_text(value, BYTES_MAX.get(field, TEXT_BYTES_MAX)):
            return f"the {field} of a {kind} is too long, or no text"
    return ""


AMOUNTS = {"balance", "credit", "requested", "amount", "rate", "cost"}
NUMBER_MAX = 2**63 - 1
"""What every store can keep; sums of amounts may go beyond the largest amount."""
BYTES_MAX = {"id": RECORD_ID_BYTES_MAX, "answer": ENTRY_BYTES_MAX}


@cache
def _parts(record: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what takes the numbers of a record together, and what takes its texts, each with one more for company."""
    types = list(record.__annotations__.values())
    numbers = [number for number, of in enumerate(types) if of is int]
    texts = [number for number, of in enumerate(types) if of is str]
    return itemgetter(*numbers, *numbers[:1]) if numbers else lambda _: (0,), itemgetter(*texts, 0)


def _is_plain(record: Record) -> bool:
    """Tell whether all texts of a record together are shorter than any may be, and all numbers small, as nearly always."""
    of: Any = type(record)
    numbers_of, texts_of = _parts(of)
    numbers, text = numbers_of(record), "".join(texts_of(record))
    return (
        len(text) <= RECORD_ID_BYTES_MAX
        and text.isascii()
        and min(numbers) >= -money.AMOUNT_MAX
        and max(numbers) <= money.AMOUNT_MAX
    )


def _is_text(value: str, bytes_max: int) -> bool:
    try:
        return len(value.encode()) <= bytes_max
    except UnicodeEncodeError:
        return False


# -- what the records say ----------------------------------------------------------------------------------------


def _names_flaw(command: str, changes: Iterable[Change]) -> str:
    for _, record, was in changes:
        if isinstance(record, Claim) and not (
            command in GIVES_NAMES
            and isinstance(was, Claim)
            and was.tenant != record.tenant
            and was.generation + 1 == record.generation
        ):
            return f"the name {record.id} is not given away as names are"
    return ""


def _holds_flaw(time: int, changes: Collection[Change]) -> str:
    settling = {record.id: record for _, record, _ in changes if isinstance(record, Transaction)}
    for _, record, was in changes:
        if not isinstance(record, Hold):
            continue
        if record.amount != money.price(record.rate, record.estimate) or min(record.rate, record.estimate) < 0:
            return f"the amount of hold {record.id} is not its rate times its estimate"
        if not isinstance(was, Hold):
            if (record.state, record.opened, record.closed, record.transaction) != (OPEN, time, 0, ""):
                return f"hold {record.id} is not opened by it"
            continue
        same = was._replace(state=record.state, closed=record.closed, transaction=record.transaction)
        closes = (was.state, was.closed, was.transaction, record.closed) == (OPEN, 0, "", time)
        closes = closes and record.state in (SETTLED, RELEASED)
        if not closes or record != same:
            return f"hold {record.id} changes more than from open to closed"
        charged = settling.get(record.transaction)
        if (record.state == SETTLED) != (charged is not None) or (charged is None and record.transaction):
            return f"hold {record.id} is settled by no transaction"
        if charged is not None and (charged.hold, charged.project) != (record.id, record.project):
            return f"hold {record.id} is settled by the transaction of another"
    return ""


def _transactions_flaw(changes: Collection[Change]) -> str:
    held = {record.id: record for _, record, _ in changes if isinstance(record, Hold)}
    for _, record, _ in changes:
        if isinstance(record, Transaction):
            hold = held.get(record.hold)
            if record.hold and (hold is None or hold.transaction != record.id):
                return f"transaction {record.id} settles a hold that stays open"
            if record.released != (hold.amount if hold is not None else 0):
                return f"transaction {record.id} releases another amount than was held"
            flawed = _transaction_flaw(record)
            if flawed:
                return f"{flawed} of transaction {record.id}"
    return ""


def _transaction_flaw(record: Transaction) -> str:
    sign = -1 if record.source == UNDO else 1
    if record.source not in (CHARGE, IMPORT, UNDO) or bool(record.reverses) != (record.source == UNDO):
        return "the source is none that is known"
    if record.reverses and record.id != counter_id(record.reverses):
        return "the id is not that of its counter-record"
    if record.cost != money.price(record.rate, record.billed_seconds) or record.rate < 0:
        return "the cost is not the rate times the time"
    if record.project_balance + record.project_credit != record.cost:
        return "the cost is not the sum of the project's parts"
    if record.tenant_balance + record.tenant_credit != record.cost:
        return "the cost is not the sum of the tenant's parts"
    if min(sign * record.runtime, record.cores, record.nodes) < 0:
        return "a time or size is negative"
    if record.billed_seconds != record.runtime * {
        WALL_HOURS: 1,
        CORE_HOURS: record.cores,
        NODE_HOURS: record.nodes,
    }.get(record.unit, -1):
        return "the time is not billed by the unit"
    return "" if record.start <= record.end else "the end is before the start"


def _site_flaw(command: str, changes: Collection[Change]) -> str:
    rates = [record.rate for _, record, _ in changes if isinstance(record, Rate)]
    for _, record, was in changes:
        if isinstance(record, Site):
            before = was if isinstance(was, Site) else DEFAULT_SITE
            if record.rate not in (rates or [before.rate]):
                return "the rate of the site is not the one that is set"
            if command not in SETS_SITE and record != before._replace(rate=record.rate):
                return "it changes more of the site than its rate"
            if (before.names, record.names) == (EXTENDED, STRICT) or record.names not in RULES:
                return "the rule for names is narrowed, or none"
    return "the rate is negative" if any(rate < 0 for rate in rates) else ""


def _roles_flaw(changes: Iterable[Change]) -> str:
    for kind, record, was in changes:
        if isinstance(record, Role):
            before = (was.name, was.created) if isinstance(was, Role) else (record.name, record.created)
            good = LEVEL_MIN <= record.level <= LEVEL_MAX and record.form in (DIRECT, SERVICE)
            good = good and record.state in (ACTIVE, REMOVED) and (is_scope(record.scope) or not record.scope)
            good = good and before == (record.name, record.created)
        elif isinstance(record, Login):
            created = was.created if isinstance(was, Login) else record.created
            good = record.state in (ACTIVE, DISABLED) or (record.state == REMOVED and not record.grants)
            good = good and all(map(is_grant, filter(None, record.grants.split(",")))) and record.created == created
        else:
            continue
        if not good:
            return f"the {kind} {record.id} is none that can be"
    return ""


# -- what the accounts say ---------------------------------------------------------------------------------------


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
    projects = {
        record.id: (record, was if isinstance(was, Project) else None)
        for _, record, was in changes
        if isinstance(record, Project)
    }
    for name, (transactions, held) in doings.items():
        if name not in projects and (
            held != [0, 0] or any(one.project_balance or one.project_credit for one in transactions)
        ):
            return f"the project {name} is charged or held but not changed"
    for name, (record, was) in projects.items():
        flawed = _project_flaw(command, record, was, doings[name])
        if flawed:
            return f"{flawed} project {name}"
    return _moves_flaw(command, list(projects.values()))


def _project_flaw(command: str, record: Project, was: Project | None, doings: _Doings) -> str:
    before = was or record._replace(balance=0, credit=0, requested=0, holds_open=0, state=ENABLED)
    if (record.tenant, record.name, record.created) != (before.tenant, before.name, before.created):
        return "there is another tenant, name or birthday of"
    if (was is None) != (command in ADDS_PROJECT):
        return "it is not for its command to make, or to change,"
    if not _is_state_after(before.state, record, disables=command in DISABLES_PROJECT):
        return "there is another state of"
    if [record.requested - before.requested, record.holds_open - before.holds_open] != doings.held:
        return "the holds do not come to what is held of"
    if record.requested > before.requested and ledger.available(record) < 0:
        return "more is held than there is in"
    balance, credit = before.balance, before.credit
    for transaction in doings.transactions:
        parts = ledger.Parts(transaction.project_balance, transaction.project_credit)
        if transaction.source != UNDO and parts != ledger.split(balance, credit, transaction.cost):
            return f"transaction {transaction.id} takes in the wrong order from"
        balance, credit = balance - parts.balance, credit - parts.credit
    if command not in MOVES_EARMARKS and (record.balance, record.credit) != (balance, credit):
        return "the transactions do not come to the figures of"
    return ""


def _is_state_after(before: str, record: Tenant | Project, *, disables: bool) -> bool:
    """Tell whether an account's state may follow the one before: the same, or disabled, once and without open holds."""
    if disables and not record.holds_open:
        return (before, record.state) == (ENABLED, DISABLED)
    return record.state == before


def _moves_flaw(command: str, projects: Collection[tuple[Project, Project | None]]) -> str:
    """Tell what is wrong with moved earmarks: nothing goes below what is there, between projects nothing is lost."""
    if command not in MOVES_EARMARKS:
        return ""
    moved = [0, 0]
    for record, was in projects:
        balance = record.balance - (was.balance if was is not None else 0)
        credit = record.credit - (was.credit if was is not None else 0)
        moved = [moved[0] + balance, moved[1] + credit]
        if (balance < 0 and record.balance < 0) or (credit < 0 and record.credit < 0):
            return f"more is taken from project {record.id} than it has"
        if min(balance, credit) < 0 and ledger.available(record) < 0:
            return f"what open holds need is taken from project {record.id}"
    return "what one project gives is not what the other gets" if len(projects) > 1 and moved != [0, 0] else ""


NO_TENANT = Tenant("", "", 0, 0, 0, 0, 0, ENABLED, 0)


def _tenant_flaw(command: str, changes: Collection[Change]) -> str:
    tenants = [(record, was) for _, record, was in changes if isinstance(record, Tenant)]
    record, was = tenants[0] if tenants else (NO_TENANT, NO_TENANT)
    empty = record._replace(balance=0, credit=0, allocated_balance=0, allocated_credit=0, holds_open=0, state=ENABLED)
    before = was if isinstance(was, Tenant) else empty
    if tenants and (was is None) != (command in ADDS_TENANT):
        return "it is not for its command to make, or to change, the tenant"
    if not _is_state_after(before.state, record, disables=command in DISABLES_TENANT):
        return "there is another state of the tenant"
    payments = [payment.amount for _, payment, _ in changes if isinstance(payment, Payment)]
    if any(amount <= 0 for amount in payments):
        return "a payment is nothing, or less"
    balance, credit = before.balance + sum(payments), before.credit
    for transaction in (record for _, record, _ in changes if isinstance(record, Transaction)):
        parts = ledger.Parts(transaction.tenant_balance, transaction.tenant_credit)
        if transaction.source != UNDO and parts != ledger.split(balance, credit, transaction.cost):
            return f"transaction {transaction.id} takes from the tenant in the wrong order"
        balance, credit = balance - parts.balance, credit - parts.credit
    if command in SETS_CREDIT:
        credit = max(record.credit, record.allocated_credit, 0)
    expected = _with_projects(before, changes)._replace(balance=balance, credit=credit, state=record.state)
    if record != expected:
        return "the figures of the tenant are not what the entry's other records say"
    if command in MOVES_EARMARKS:
        ledger.check_allocation(before, record)
    return ""


def _with_projects(tenant: Tenant, changes: Iterable[Change]) -> Tenant:
    """Return a tenant with its sums brought up to date with the projects that an entry changes."""
    for _, project, was in changes:
        if isinstance(project, Project):
            tenant = ledger.with_project(tenant, was if isinstance(was, Project) else None, project)
    return tenant
