"""Bringing jobs into the books: what is done with one batch of one tenant's jobs, as one entry of the log."""

from collections.abc import Sequence
from typing import NamedTuple

from dca.book import Book
from dca.commands.project import new_project
from dca.commands.user import new_association
from dca.core import ledger, names
from dca.core.clock import SECOND
from dca.core.errors import DcaError
from dca.core.ledger import Accounts, Usage
from dca.core.model import (
    CHARGE,
    CORE_HOURS,
    IMPORT,
    NODE_HOURS,
    OPEN,
    RELEASED,
    SITE_ID,
    WALL_HOURS,
    Association,
    Hold,
    Transaction,
    association_id,
    charge_id,
    counter_id,
    hold_id,
    undo_id,
)
from dca.core.names import CHANGES_MAX, folded
from dca.schedulers.job import Job
from dca.store.schema import ASSOCIATION, CLAIM, HOLD, PROJECT, SITE, TENANT, TRANSACTION

UNITS = (CORE_HOURS, NODE_HOURS, WALL_HOURS)
CHARGED, KNOWN, CHANGED = "charged", "known", "changed"

CHANGES_OF_A_JOB = 4
"""A job changes at most its project, its user, its hold and its transaction."""


class Keyed(NamedTuple):
    """A job with the key that names its run."""

    key: str
    job: Job


class Portion(NamedTuple):
    """Jobs of one tenant that are booked together."""

    owner: str
    jobs: Sequence[Keyed]
    again: bool
    """Whether they may be known: those before them were."""


class Outcome(NamedTuple):
    """What became of one job: charged, known, changed, or why it was rejected; and what it cost."""

    job: Job
    what: str
    seconds: int
    cost: int


class Manner(NamedTuple):
    """How an import is to be done."""

    batch: str
    unit: str
    create: bool
    """Whether users who are missing are made."""
    tenant: str
    """Id of the tenant for projects that are missing, where they are to be made; else empty."""


def billed_seconds(job: Job, unit: str) -> int:
    """Return the seconds of a job that are priced: elapsed times its cores, its nodes or 1."""
    factor = {CORE_HOURS: job.cores, NODE_HOURS: job.nodes, WALL_HOURS: 1}[unit]
    return job.elapsed * factor


class Batch:
    """One batch at work: the accounts it changes, kept here until all its jobs are booked."""

    def __init__(self, book: Book, owner: str, manner: Manner) -> None:
        """Begin a batch of a tenant's jobs."""
        self.book = book
        self.owner = owner
        self.manner = manner
        self.rate = book.site().rate
        self.tenant = book.get(TENANT, owner)
        self.projects: dict[str, Accounts | str] = {}
        self.members: dict[str, Association] = {}
        self.charged: dict[str, Transaction] = {}
        self.generations: dict[str, int] = {}
        self.holds: dict[str, Hold] = {}
        self.count = 1
        """Records staged so far, the tenant's among them."""

    def prepare(self, jobs: Sequence[Keyed]) -> None:
        """Read what the jobs need beside what was asked for already."""
        owner, reader = self.owner, self.book.reader
        accounts, members = _accounts(jobs), _members(owner, jobs)
        holds = [hold_id(owner, keyed.key) for keyed in jobs] if self.tenant.holds_open else []
        reader.need([(HOLD, hold) for hold in holds])
        for account, project in zip(accounts, reader.get(PROJECT, accounts), strict=True):
            if project is None or project.tenant != owner:
                self.projects[account] = self._missing(account)
            else:
                self.projects[account] = Accounts(self.tenant, project)
        for record_id, member in zip(members, reader.get(ASSOCIATION, members), strict=True):
            if member is not None:
                self.members[record_id] = member
        self._find_charged([keyed.key for keyed in jobs], 1)
        for hold in reader.get(HOLD, holds):
            if hold is not None and hold.state == OPEN:
                self.holds[hold.job] = hold
        foreign = list(dict.fromkeys(one.project for one in self.holds.values() if one.project not in self.projects))
        reader.need([(PROJECT, project) for project in foreign])
        for project in reader.get(PROJECT, foreign):
            self.projects[project.id] = Accounts(self.tenant, project)

    def _missing(self, account: str) -> Accounts | str:
        """Make a project that is missing, in a dry run; else say why its jobs cannot be booked."""
        if not self.manner.tenant:
            return f"there is no project {names.shown(account)}"
        return new_project(self.book, self.tenant, account)

    def _find_charged(self, keys: Sequence[str], generation: int) -> None:
        """Find the charges that stand; one that was taken back may have been followed by another."""
        owner, reader = self.owner, self.book.reader
        found = reader.get(TRANSACTION, [charge_id(owner, key, generation) for key in keys])
        charges = {key: charge for key, charge in zip(keys, found, strict=True) if charge is not None}
        self.charged.update(charges)
        if not charges:
            return
        undone = reader.get(TRANSACTION, [undo_id(owner, key, generation) for key in charges])
        again = [key for key, counter in zip(charges, undone, strict=True) if counter is not None]
        for key in again:
            del self.charged[key]
            self.generations[key] = generation
        if again:
            self._find_charged(again, generation + 1)

    def book_job(self, keyed: Keyed) -> Outcome:
        """Book one job, or say why not."""
        job = keyed.job
        try:
            return self._book_job(keyed)
        except DcaError as error:
            return Outcome(job, error.sentence, 0, 0)

    def _book_job(self, keyed: Keyed) -> Outcome:
        key, job = keyed
        account = folded(job.account)
        found = self.projects[account]
        if isinstance(found, str):
            return Outcome(job, found, 0, 0)
        usage = self._usage(job, key)
        known = self.charged.get(key)
        if known is not None:
            self._give_back(key)
            return Outcome(job, KNOWN if _same(known, usage, account) else CHANGED, 0, 0)
        member = self._member(found, job.user)
        if member is None:
            return Outcome(job, f"user {names.shown(job.user)} was never in project {names.shown(job.account)}", 0, 0)
        booking = self.book.booking(charge_id(self.owner, key, self.generations.get(key, 0) + 1))
        if usage.billed_seconds > names.SECONDS_MAX:
            reason = f"the job's {usage.billed_seconds} billed seconds are more than {names.SECONDS_MAX}"
            return Outcome(job, reason, 0, 0)
        hold = self.holds.get(key)
        if hold is not None and hold.project != account:
            self._give_back(key)
            hold = None
        accounts = Accounts(self.tenant, found.project)
        (self.tenant, project), transaction, settled = ledger.charge(accounts, usage, hold, self.rate, booking)
        self.projects[account] = Accounts(self.tenant, project)
        self.members.setdefault(member.id, member)
        self.charged[key] = transaction
        self.book.add(transaction)
        if settled is not None:
            self.book.put(settled)
            del self.holds[key]
        self.count += CHANGES_OF_A_JOB if settled is not None else 1
        return Outcome(job, CHARGED, transaction.billed_seconds, transaction.cost)

    def _give_back(self, key: str) -> None:
        """Give back the open hold of a job that is charged already, or whose charge is another project's."""
        hold = self.holds.pop(key, None)
        if hold is None:
            return
        found = self.projects[hold.project]
        assert isinstance(found, Accounts), hold
        accounts = Accounts(self.tenant, found.project)
        (self.tenant, project), closed = ledger.close(accounts, hold, state=RELEASED, now=self.book.now)
        self.projects[hold.project] = Accounts(self.tenant, project)
        self.book.put(closed)
        self.count += CHANGES_OF_A_JOB

    def _member(self, accounts: Accounts, user: str) -> Association | None:
        record_id = association_id(self.owner, accounts.project.id, folded(user))
        member = self.members.get(record_id)
        if member is None and self.manner.create:
            names.check_name(user, self.book.site().names, "user")
            member = self.members[record_id] = new_association(accounts.project, user, self.book.now)
            self.book.add(member)
            self.count += 1
        return member

    def _usage(self, job: Job, key: str) -> Usage:
        return Usage(
            user=folded(job.user),
            job=key,
            batch=self.manner.batch,
            source=IMPORT,
            start=job.start * SECOND,
            end=job.end * SECOND,
            runtime=job.elapsed,
            cores=job.cores,
            nodes=job.nodes,
            unit=self.manner.unit,
            billed_seconds=billed_seconds(job, self.manner.unit),
        )

    def stage(self) -> None:
        """Stage the accounts that were changed."""
        if not self.book.staged:
            return
        self.book.put(self.tenant)
        for accounts in self.projects.values():
            if isinstance(accounts, Accounts):
                self.book.put(accounts.project)

    @property
    def full(self) -> bool:
        """Tell whether another job might not fit into the entry."""
        return self.count + len(self.projects) + CHANGES_OF_A_JOB > CHANGES_MAX


def _accounts(jobs: Sequence[Keyed]) -> list[str]:
    return list(dict.fromkeys(folded(keyed.job.account) for keyed in jobs))


def _members(owner: str, jobs: Sequence[Keyed]) -> list[str]:
    pairs = dict.fromkeys((keyed.job.account, keyed.job.user) for keyed in jobs)
    return list(dict.fromkeys(association_id(owner, folded(account), folded(user)) for account, user in pairs))


def own_keys(portion: Portion) -> list[tuple[str, str]]:
    """Return the kinds and ids of the records that only the jobs of a portion lead to.

    Where the jobs before were known, these may be too: then the counter-records are among them.
    """
    owner, jobs, again = portion
    charges = [charge_id(owner, keyed.key, 1) for keyed in jobs]
    return [
        *((ASSOCIATION, member) for member in _members(owner, jobs)),
        *((TRANSACTION, charge) for charge in charges),
        *((TRANSACTION, counter_id(charge)) for charge in charges if again),
    ]


def _same(known: Transaction, usage: Usage, account: str) -> bool:
    """Tell whether a job is booked as it comes now; what a hook charged counts, however it measured."""
    if known.source == CHARGE:
        return True
    return (known.project, known.user, known.start, known.end, known.runtime, known.billed_seconds, known.unit) == (
        account, usage.user, usage.start, usage.end, usage.runtime, usage.billed_seconds, usage.unit,
    )  # fmt: skip


def book_jobs(book: Book, portion: Portion, manner: Manner) -> list[Outcome]:
    """Book jobs, as many as one entry holds, and return what became of them."""
    owner, jobs, _ = portion
    accounts = _accounts(jobs)
    shared = [(SITE, SITE_ID), (TENANT, owner), *((PROJECT, account) for account in accounts)]
    book.reader.need([*shared, *((CLAIM, account) for account in accounts if manner.tenant), *own_keys(portion)])
    batch = Batch(book, owner, manner)
    batch.prepare(jobs)
    outcomes = []
    for keyed in jobs:
        if batch.full:
            break
        outcomes.append(batch.book_job(keyed))
    batch.stage()
    return outcomes
