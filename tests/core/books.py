"""Books of one tenant that do what commands do, entry by entry, with the ledger alone; each entry is kept as it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from dca.core import ledger, money
from dca.core.errors import RefusedError
from dca.core.ledger import Accounts, Booking, Usage
from dca.core.model import (
    ACTIVE,
    CHARGE,
    CORE_HOURS,
    DEFAULT_SITE,
    ENABLED,
    GLOBAL_STREAM,
    IMPORT,
    OPEN,
    RELEASED,
    UNDO,
    WALL_HOURS,
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
    Transaction,
    association_id,
    booked_id,
    charge_id,
    counter_id,
    hold_id,
    key_id,
    tenant_stream,
)
from dca.core.money import MICRO
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
    from collections.abc import Sequence

ACME = "acme"
STREAM = tenant_stream(ACME)
BEGIN = 1_700_000_000_000
DOLLAR_A_SECOND = 3600 * MICRO


class Made(NamedTuple):
    """An entry as it was made."""

    command: str
    stream: str
    seq: int
    time: int
    changes: tuple[Change, ...]


def tenant(balance: int = 0, credit: int = 0) -> Tenant:
    """Return a tenant without projects."""
    return Tenant(ACME, "Acme", balance, credit, 0, 0, 0, ENABLED, BEGIN)


def project(name: str, balance: int = 0, credit: int = 0) -> Project:
    """Return a project without holds."""
    return Project(name.lower(), name, ACME, balance, credit, 0, 0, ENABLED, BEGIN)


def accounts(payer: Tenant, balance: int = 0, credit: int = 0) -> Accounts:
    """Return a tenant and a project of it, whether or not the tenant has what the project holds."""
    one = project("p", balance, credit)
    return Accounts(ledger.with_project(payer, None, one), one)


def usage(seconds: int, job: str = "", *, cores: int = 0, source: str = CHARGE, batch: str = "") -> Usage:
    """Return what a job used."""
    unit, factor = (CORE_HOURS, cores) if cores else (WALL_HOURS, 1)
    end = BEGIN + 1000 * seconds
    return Usage("ann", job, batch, source, BEGIN, end, seconds, cores, 0, unit, seconds * factor)


def hold(record_id: str, estimate: int, rate: int = DOLLAR_A_SECOND, job: str = "", opened: int = BEGIN) -> Hold:
    """Return an open hold of the project p."""
    return Hold(record_id, ACME, "p", "", job, estimate, rate, money.price(rate, estimate), OPEN, opened, 0, "")


class Books:
    """The books: what there is, what came in and went out, and the entries."""

    def __init__(self) -> None:
        """Begin with a tenant that has nothing."""
        self.tenant = tenant()
        self.projects: dict[str, Project] = {}
        self.holds: dict[str, Hold] = {}
        self.charges: dict[str, Transaction] = {}
        self.transactions: list[Transaction] = []
        self.paid = 0
        self.credit_given = 0
        """Credit that was set, less what stood when it was set."""
        self.earmarked: dict[str, tuple[int, int]] = {}
        """Balance and credit that came to each project, less what was moved away."""
        self.rate = DOLLAR_A_SECOND
        self.seq = 0
        self.entries: list[Made] = []
        self._commit("tenant add", [Change(TENANT, self.tenant, None)])

    @property
    def time(self) -> int:
        """Return the time of the next entry."""
        return BEGIN + 1000 * self.seq

    def _commit(self, command: str, changes: Sequence[Change], *, stream: str = STREAM) -> None:
        self.seq += 1
        changed = tuple(change for change in changes if change.record != change.was)
        self.entries.append(Made(command, stream, self.seq, self.time - 1000, changed))

    def _booking(self, record_id: str = "", number: int = 0) -> Booking:
        seq = self.seq + 1
        return Booking(record_id or booked_id(STREAM, seq, number), STREAM, seq, self.time)

    def _project(self, number: int) -> Accounts:
        if not self.projects:
            raise RefusedError("there is no project.")
        chosen = list(self.projects.values())[number % len(self.projects)]
        if chosen.state != ENABLED:
            raise RefusedError("it is disabled.")
        return Accounts(self.tenant, chosen)

    def _put(self, command: str, after: Tenant, projects: Sequence[Project], *further: Change) -> None:
        changes = [Change(TENANT, after, self.tenant)]
        changes += [Change(PROJECT, one, self.projects.get(one.id)) for one in projects]
        self._commit(command, [*changes, *further])
        self.tenant = after
        self.projects |= {one.id: one for one in projects}

    def _move(self, name: str, balance: int, credit: int) -> None:
        before = self.earmarked.get(name, (0, 0))
        self.earmarked[name] = (before[0] + balance, before[1] + credit)

    # -- what commands do ----------------------------------------------------------------------------------------

    def pay(self, amount: int) -> None:
        """Take in a payment."""
        after = ledger.pay(self.tenant, amount)
        at = self._booking()
        record = Payment(at.id, STREAM, at.seq, ACME, amount, "", at.time)
        self._put("tenant payment", after, [], Change(PAYMENT, record, None))
        self.paid += amount

    def set_credit(self, credit: int) -> None:
        """Set the tenant's credit."""
        after = ledger.set_credit(self.tenant, credit)
        self.credit_given += credit - self.tenant.credit
        self._put("tenant modify", after, [])

    def add_project(self, balance: int, credit: int) -> None:
        """Add a project."""
        new = project(f"P{len(self.projects)}", balance, credit)
        after = ledger.add_project(self.tenant, new)
        self._put("project add", after.tenant, [new])
        self._move(new.id, balance, credit)

    def earmark(self, number: int, balance: int, credit: int) -> None:
        """Move from the tenant to a project."""
        after = ledger.earmark(self._project(number), balance=balance, credit=credit)
        self._put("project movebudget", after.tenant, [after.project])
        self._move(after.project.id, balance, credit)

    def give_back(self, number: int, balance: int, credit: int) -> None:
        """Move from a project to the tenant."""
        after = ledger.give_back(self._project(number), balance=balance, credit=credit)
        self._put("project movebudget", after.tenant, [after.project])
        self._move(after.project.id, -balance, -credit)

    def move(self, source: int, target: int, balance: int, credit: int) -> None:
        """Move from one project to another."""
        giving, taking = self._project(source), self._project(target)
        if giving.project.id == taking.project.id:
            raise RefusedError("they are one.")
        after = ledger.give_back(giving, balance=balance, credit=credit)
        both = ledger.receive(Accounts(after.tenant, taking.project), balance=balance, credit=credit)
        self._put("project movebudget", both.tenant, [after.project, both.project])
        self._move(after.project.id, -balance, -credit)
        self._move(both.project.id, balance, credit)

    def reserve(self, number: int, estimate: int) -> None:
        """Hold money."""
        before = self._project(number)
        at = self._booking(hold_id(ACME, f"job/{self.seq}"))
        record = hold(at.id, estimate, self.rate, f"job/{self.seq}", at.time)._replace(project=before.project.id)
        after = ledger.hold(before, record)
        self._put("transaction reservebudget", after.tenant, [after.project], Change(HOLD, record, None))
        self.holds[record.id] = record

    def _open_hold(self, number: int) -> Hold:
        still_open = [one for one in self.holds.values() if one.state == OPEN]
        if not still_open:
            raise RefusedError("no hold is open.")
        return still_open[number % len(still_open)]

    def release(self, number: int) -> None:
        """Give a hold back."""
        held = self._open_hold(number)
        before = Accounts(self.tenant, self.projects[held.project])
        after, closed = ledger.close(before, held, state=RELEASED, now=self.time)
        self._put("transaction release", after.tenant, [after.project], Change(HOLD, closed, held))
        self.holds[held.id] = closed

    def settle(self, number: int, seconds: int) -> None:
        """Charge the job of a hold."""
        held = self._open_hold(number)
        self._charge(held.project, seconds, held.job, held, CHARGE)

    def charge(self, number: int, seconds: int) -> None:
        """Charge a job without a hold."""
        self._charge(self._project(number).project.id, seconds, "", None, CHARGE)

    def _charge(self, name: str, seconds: int, job: str, held: Hold | None, source: str) -> None:
        before = Accounts(self.tenant, self.projects[name])
        at = self._booking(charge_id(ACME, job, 1) if job else "")
        after, transaction, settled = ledger.charge(before, usage(seconds, job, source=source), held, self.rate, at)
        further = [Change(TRANSACTION, transaction, None)]
        if settled is not None:
            further.append(Change(HOLD, settled, held))
            self.holds[settled.id] = settled
        self._put("transaction charge", after.tenant, [after.project], *further)
        self.transactions.append(transaction)

    def bring(self, lengths: Sequence[tuple[int, int]]) -> None:
        """Import jobs of any projects as one entry, with a new user."""
        if not self.projects:
            raise RefusedError("there is no project.")
        payer, changed, booked = self.tenant, dict(self.projects), []
        names = list(changed)
        user = f"user{self.seq}"
        member_id = association_id(ACME, names[0], user)
        member = Association(member_id, ACME, names[0], user, user, ACTIVE, self.time)
        for number, (which, seconds) in enumerate(lengths):
            name = names[which % len(names)]
            job = f"main/{self.seq}.{number}"
            used = usage(seconds, job, cores=2, source=IMPORT, batch="b")
            before = Accounts(payer, changed[name])
            (payer, changed[name]), transaction, _ = ledger.charge(
                before, used, None, self.rate, self._booking(charge_id(ACME, job, 1))
            )
            booked.append(transaction)
        further = [Change(TRANSACTION, one, None) for one in booked]
        projects = [one for name, one in changed.items() if one != self.projects[name]]
        self._put("job import", payer, projects, Change(ASSOCIATION, member, None), *further)
        self.transactions += booked
        self.charges |= {one.id: one for one in booked}

    def undo(self, number: int) -> None:
        """Take an imported job back."""
        if not self.charges:
            raise RefusedError("nothing is imported.")
        charged = self.charges.pop(list(self.charges)[number % len(self.charges)])
        before = Accounts(self.tenant, self.projects[charged.project])
        at = self._booking(counter_id(charged.id))
        after, counter = ledger.reverse(before, charged, at, UNDO)
        self._put("job undo", after.tenant, [after.project], Change(TRANSACTION, counter, None))
        self.transactions.append(counter)

    def disable_project(self, number: int) -> None:
        """Disable a project."""
        after = ledger.disable_project(self._project(number))
        self._put("project disable", after.tenant, [after.project])

    def disable_tenant(self) -> None:
        """Disable the tenant."""
        self._put("tenant disable", ledger.disable_tenant(self.tenant), [])

    def set_rate(self, rate: int) -> None:
        """Set the rate, which is an entry of the global stream, and give it a key."""
        site, seq = DEFAULT_SITE._replace(rate=self.rate), self.seq + 1
        changes = [
            Change(SITE, site._replace(rate=rate), site),
            Change(RATE, Rate(f"g:{seq}:1", GLOBAL_STREAM, seq, rate, self.time), None),
            Change(KEY, Key(key_id(GLOBAL_STREAM, "k"), GLOBAL_STREAM, seq, "k", "c", "{}", self.time), None),
        ]
        self._commit("rate set", changes, stream=GLOBAL_STREAM)
        self.rate = rate

    def give_name_away(self) -> None:
        """Let another tenant have a name that was claimed and not used."""
        was = Claim("unused", ACME, 1)
        self._commit("project release", [Change(CLAIM, Claim("unused", "other", 2), was)])

    def do(self, doing: Doing) -> bool:
        """Do something; tell whether the rules let it be done."""
        name, arguments = doing
        try:
            getattr(self, name)(*arguments)
        except RefusedError:
            return False
        return True


Doing = tuple[str, tuple[object, ...]]

_AMOUNTS = st.one_of(st.integers(0, 60), st.integers(0, 60).map(lambda dollars: dollars * MICRO), st.integers(0, 10**9))
_SECONDS = st.integers(0, 100)
_NUMBERS = st.integers(0, 5)
_MOVES = (_NUMBERS, _AMOUNTS, _AMOUNTS)

DOINGS: dict[str, tuple[st.SearchStrategy[object], ...]] = {
    "pay": (st.one_of(st.integers(1, 200).map(lambda dollars: dollars * MICRO), st.integers(1, 10**9)),),
    "set_credit": (_AMOUNTS,),
    "add_project": (_AMOUNTS, _AMOUNTS),
    "earmark": _MOVES,
    "give_back": _MOVES,
    "move": (_NUMBERS, *_MOVES),
    "reserve": (_NUMBERS, _SECONDS),
    "release": (_NUMBERS,),
    "settle": (_NUMBERS, _SECONDS),
    "charge": (_NUMBERS, _SECONDS),
    "bring": (st.lists(st.tuples(_NUMBERS, _SECONDS), min_size=1, max_size=4),),
    "undo": (_NUMBERS,),
    "disable_project": (_NUMBERS,),
    "set_rate": (st.sampled_from((0, 1, 1799, DOLLAR_A_SECOND, 2 * DOLLAR_A_SECOND + 1)),),
    "give_name_away": (),
}

RARE = ("disable_project", "give_name_away", "set_rate")


def doings() -> st.SearchStrategy[list[Doing]]:
    """Return sequences of anything that commands do, which begin with money and a project."""
    each = {name: st.tuples(st.just(name), st.tuples(*arguments)) for name, arguments in DOINGS.items()}
    often = [strategy for name, strategy in each.items() if name not in RARE]
    some = st.lists(st.one_of(*often, *often, *each.values()), max_size=30)
    return st.tuples(each["pay"], each["set_credit"], each["add_project"], each["add_project"]).flatmap(
        lambda first: some.map(lambda rest: [*first, *rest])
    )


def history(steps: Sequence[Doing]) -> Books:
    """Return books after all that could be done was done."""
    books = Books()
    for step in steps:
        books.do(step)
    return books


def every_command() -> Books:
    """Return books in which every command was done once or more, to accounts with figures of all kinds."""
    books = Books()
    steps: list[Doing] = [
        ("pay", (200 * MICRO,)),
        ("set_credit", (50 * MICRO,)),
        ("add_project", (90 * MICRO, 20 * MICRO)),
        ("add_project", (30 * MICRO, 10 * MICRO)),
        ("earmark", (0, 5 * MICRO, MICRO)),
        ("give_back", (0, 4 * MICRO, MICRO)),
        ("move", (0, 1, 3 * MICRO, MICRO)),
        ("reserve", (0, 20)),
        ("reserve", (0, 15)),
        ("release", (1,)),
        ("settle", (0, 12)),
        ("charge", (1, 40)),
        ("bring", ([(0, 7), (1, 3), (0, 50)],)),
        ("undo", (0,)),
        ("give_name_away", ()),
        ("set_rate", (DOLLAR_A_SECOND // 2,)),
        ("disable_project", (1,)),
        ("disable_tenant", ()),
    ]
    for step in steps:
        assert books.do(step), step
    return books


def figures(record: Record) -> dict[str, object]:
    """Return a record's fields."""
    return dict(zip(record._fields, record, strict=True))
