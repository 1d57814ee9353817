"""The unit of work: a command reads records by name from a book and stages what it changes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dca.core import clock, names
from dca.core.clock import Period
from dca.core.errors import NotFoundError, RefusedError, UsageError
from dca.core.ledger import Accounts, Booking, is_disabled
from dca.core.model import (
    ACTIVE,
    DEFAULT_SITE,
    DISABLED,
    GLOBAL_STREAM,
    SITE_ID,
    TENANT_STREAM_PREFIX,
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
    booked_id,
    charge_id,
    tenant_stream,
    undo_id,
)
from dca.core.names import folded, shown
from dca.store.entry import entry_time
from dca.store.port import Condition, Head, Query, Reader
from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    FIELD_TYPES,
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

_KIND_OF: dict[type, str] = {
    Tenant: TENANT,
    Project: PROJECT,
    Association: ASSOCIATION,
    Hold: HOLD,
    Transaction: TRANSACTION,
    Payment: PAYMENT,
    Rate: RATE,
    Site: SITE,
    Key: KEY,
    Claim: CLAIM,
    Role: ROLE,
    Login: LOGIN,
}
_PROJECT_IN = {kind: "project" for kind, types in FIELD_TYPES.items() if "project" in types} | {PROJECT: "id"}
"""The field of each kind that holds the id of a project."""
PAGE = 5_000


class ClaimedElsewhere(Exception):  # noqa: N818 -- no error: the sign that an unused claim has to be released first
    """A project name that is to be added is claimed, but not used, by another tenant."""

    def __init__(self, claim: Claim, tenant: str) -> None:
        """Name the claim and the tenant that wants it."""
        super().__init__()
        self.claim = claim
        self.tenant = tenant


class Charged(NamedTuple):
    """What the books know of a job key: how often it was charged, and the charge that stands, if one does."""

    generation: int
    transaction: Transaction | None


class _Search:
    """A search whose records are taken one by one."""

    def __init__(self, following: Iterator[Any]) -> None:
        self.following = following
        self.record: Any = None


class Book:
    """What one command sees and stages; its records are as they were before the command, or as it staged them."""

    def __init__(self, reader: Reader, now: int) -> None:
        """Open the book on a reader, at an instant."""
        self.reader = reader
        self.instant_now = now
        self.staged: dict[tuple[str, str], Change] = {}
        self.claim: Claim | None = None
        self.stream = ""
        self._time = 0
        """The time of the entry that is being made, once it was asked for."""
        self._searches: dict[Query, _Search] = {}

    # -- where and when ------------------------------------------------------------------------------------------

    def choose(self, stream: str) -> None:
        """Say which stream the command writes to."""
        assert self.stream in ("", stream), (self.stream, stream)
        self.stream = stream

    @property
    def end(self) -> Head:
        """Return the end of the stream that is written to."""
        return self.reader.end(self.stream)

    @property
    def now(self) -> int:
        """Return the time of the entry that is being made."""
        if not self.stream:
            return self.instant_now
        self._time = self._time or entry_time(self.instant_now, self.end)
        return self._time

    def booking(self, record_id: str = "") -> Booking:
        """Return where the next record is booked; its id says so unless it has one of its own."""
        seq = self.end.seq + 1
        return Booking(
            id=record_id or booked_id(self.stream, seq, len(self.staged)), stream=self.stream, seq=seq, time=self.now
        )

    def moment(self, text: str, what: str = "time") -> int:
        """Read an instant, in the site's zone unless it names its own."""
        try:
            return clock.instant(text, self.site().zone, what)
        except UsageError:
            other = _other_iso_form(text)
            if other is None:
                raise
            return other

    def period(self, text: str) -> Period:
        """Read a period, its days in the site's zone."""
        return clock.period(text, self.instant_now, self.site().zone)

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, kind: str, record_id: str) -> Any:
        """Return a record by id, as staged or as stored; None if there is none."""
        change = self.staged.get((kind, record_id))
        return change.record if change else self.reader.get(kind, [record_id])[0]

    def site(self) -> Site:
        """Return what holds for the whole site."""
        site: Site = self.get(SITE, SITE_ID) or DEFAULT_SITE
        return site

    def find_tenant(self, name: str) -> Tenant | None:
        """Return a tenant by name, or None."""
        found: Tenant | None = self.get(TENANT, folded(_name(name, "tenant")))
        return found

    def tenant(self, name: str) -> Tenant:
        """Return a tenant by name."""
        found = self.find_tenant(name)
        if found is None:
            raise NotFoundError(f"there is no tenant {shown(name)}; dca list --all shows the tenants.")
        return found

    def enabled_tenant(self, name: str) -> Tenant:
        """Return a tenant that is not disabled."""
        tenant = self.tenant(name)
        if tenant.state == DISABLED:
            raise RefusedError(f"tenant {tenant.name} is disabled; disabling is permanent.")
        return tenant

    def owner(self, project: str) -> str:
        """Return the id of the tenant that a project belongs to."""
        (tenant,) = self.reader.route([folded(_name(project, "project"))])
        if not tenant:
            raise _no_project(project)
        return tenant

    def accounts(self, project: str) -> Accounts:
        """Return a project and its tenant by the project's name."""
        found: Project | None = self.get(PROJECT, folded(_name(project, "project")))
        if found is None:
            raise _no_project(project)
        tenant = self.get(TENANT, found.tenant)
        assert tenant is not None, found
        return Accounts(tenant, found)

    def enabled_accounts(self, project: str) -> Accounts:
        """Return a project and its tenant, neither of them disabled."""
        accounts = self.accounts(project)
        if is_disabled(accounts):
            raise RefusedError(f"project {accounts.project.name} is disabled; disabling is permanent.")
        return accounts

    def association(self, project: Project, user: str) -> Association | None:
        """Return a user's association with a project, active or removed, or None."""
        found: Association | None = self.get(
            ASSOCIATION, association_id(project.tenant, project.id, folded(_name(user, "user")))
        )
        return found

    def member(self, project: Project, user: str, *, present: bool) -> Association:
        """Return the association of a user who is in a project, or, if not `present`, ever was."""
        found = self.association(project, user)
        if found is None or (present and found.state != ACTIVE):
            raise NotFoundError(
                f"user {shown(user)} is not in project {project.name}; "
                f"add them with dca user add --project={project.name} --user={user}."
            )
        return found

    def charged(self, tenant: str, job: str) -> Charged:
        """Return what is known of a job key: its last charge, unless that was taken back."""
        generation = 1
        while True:
            transaction: Transaction | None = self.get(TRANSACTION, charge_id(tenant, job, generation))
            if transaction is None:
                return Charged(generation - 1, None)
            if self.get(TRANSACTION, undo_id(tenant, job, generation)) is None:
                return Charged(generation, transaction)
            generation += 1

    def all(self, query: Query) -> Iterator[Any]:
        """Yield all that a search finds, page by page."""
        after = query.after
        while True:
            page = self.reader.find(query._replace(limit=PAGE, after=after))
            yield from page
            if len(page) < PAGE:
                return
            after = tuple(getattr(page[-1], name.lstrip("-")) for name in query.order)

    def first(self, query: Query) -> Any:
        """Return the first record that a search finds and the command has not changed; None if there is none."""
        search = self._searches.setdefault(query, _Search(self._growing(query)))
        while search.record is None or (query.kind, search.record.id) in self.staged:
            search.record = next(search.following, None)
            if search.record is None:
                return None
        return search.record

    def _growing(self, query: Query) -> Iterator[Any]:
        """Yield what a search finds: the first record is often the only one that is wanted."""
        limit, after = 1, query.after
        while True:
            page = self.reader.find(query._replace(limit=limit, after=after))
            yield from page
            if len(page) < limit:
                return
            after = tuple(getattr(page[-1], name.lstrip("-")) for name in query.order)
            limit = min(30 * limit, PAGE)

    def names_of(self, kind: str, ids: Sequence[str]) -> dict[str, str]:
        """Return the names that records were given, by id."""
        unique = list(dict.fromkeys(ids))
        return {
            record_id: (record.name if record is not None else record_id)
            for record_id, record in zip(unique, self.reader.get(kind, unique) if unique else [], strict=True)
        }

    # -- staging -------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        """Stage a record: new, or in the place of the one with its id."""
        kind = _KIND_OF[type(record)]
        staged = self.staged.get((kind, record.id))
        if staged is not None:
            was = staged.was
        elif kind == SITE:
            was = self.site()
        else:
            (was,) = self.reader.get(kind, [record.id])
        if record == was:
            self.staged.pop((kind, record.id), None)
        else:
            self.staged[kind, record.id] = Change(kind, record, was)

    def add(self, record: Record) -> None:
        """Stage a record that is known to be new."""
        kind = _KIND_OF[type(record)]
        assert (kind, record.id) not in self.staged, record
        self.staged[kind, record.id] = Change(kind, record, None)

    def put_accounts(self, accounts: Accounts) -> None:
        """Stage a project and its tenant."""
        self.put(accounts.tenant)
        self.put(accounts.project)

    def changes(self) -> tuple[Change, ...]:
        """Return what was staged."""
        return tuple(self.staged.values())

    def tenant_id(self) -> str:
        """Return the id of the tenant whose stream is written to; empty for the global one."""
        return "" if self.stream == GLOBAL_STREAM else self.stream.removeprefix(TENANT_STREAM_PREFIX)

    def projects(self) -> tuple[str, ...]:
        """Return the ids of the projects that the staged records concern."""
        ids = {getattr(record, _PROJECT_IN[kind]) for kind, record, _ in self.staged.values() if kind in _PROJECT_IN}
        return tuple(sorted(ids))


def _other_iso_form(text: str) -> int | None:
    """Read the rarer forms of ISO 8601 that carry an offset, such as 20261123T120000Z; None for anything else."""
    from dateutil.parser import isoparse

    try:
        moment = isoparse(text.strip())
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None or "T" not in text:
        return None
    instant = clock.milliseconds(moment)
    return instant if 0 < instant <= clock.INSTANT_MAX else None


def in_tenant(tenant: str) -> Condition:
    """Return the condition that a record belongs to a tenant."""
    return Condition("tenant", "eq", tenant)


def stream_of_tenant(name: str) -> str:
    """Return the stream of a tenant's name."""
    return tenant_stream(folded(_name(name, "tenant")))


def _name(text: str, what: str) -> str:
    return names.check_name(text, names.EXTENDED, what)


def _no_project(name: str) -> NotFoundError:
    return NotFoundError(f"there is no project {shown(name)}; dca list --all shows the projects.")
