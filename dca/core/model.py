"""The records of the books: frozen, whole numbers and strings only, amounts in micro-dollars, times in milliseconds.

A text that does not apply is empty and a number that does not apply is 0, so that every record has every field.
Tenants, projects and users are referred to by id: their name in lower case.
"""

from typing import NamedTuple

ENABLED = "enabled"
DISABLED = "disabled"
ACTIVE = "active"
REMOVED = "removed"
DIRECT, SERVICE = "direct", "service"
EVERYBODY = "*"
"""The login of everybody: what it has, all have beside their own."""
OPEN = "open"
SETTLED = "settled"
RELEASED = "released"

WALL_HOURS = "wall-hours"
CORE_HOURS = "core-hours"
NODE_HOURS = "node-hours"

CHARGE = "charge"
IMPORT = "import"
UNDO = "undo"

GLOBAL_STREAM = "g"
SITE_ID = "site"
TENANT_STREAM_PREFIX = "t:"


class Tenant(NamedTuple):
    """Who pays."""

    id: str
    """The name in lower case."""
    name: str
    """The name as it was given."""
    balance: int
    """Paid in and not used, micro-dollars; negative when costs went beyond balance and credit."""
    credit: int
    """Allowance for overuse that is left, micro-dollars."""
    allocated_balance: int
    """Sum over the tenant's projects of the positive part of their balance, micro-dollars."""
    allocated_credit: int
    """Sum over the tenant's projects of their credit, micro-dollars."""
    holds_open: int
    """Number of open holds in all its projects."""
    state: str
    """enabled or disabled."""
    created: int
    """When it was added."""


class Project(NamedTuple):
    """What spends."""

    id: str
    """The name in lower case; unique over all tenants."""
    name: str
    """The name as it was given."""
    tenant: str
    """Id of the tenant that pays."""
    balance: int
    """Part of the tenant's balance earmarked for the project and not used, micro-dollars; may be negative."""
    credit: int
    """Part of the tenant's credit earmarked for the project and not used, micro-dollars."""
    requested: int
    """Sum of the open holds, micro-dollars."""
    holds_open: int
    """Number of open holds."""
    state: str
    """enabled or disabled."""
    created: int
    """When it was added."""


class Association(NamedTuple):
    """A user in a project."""

    id: str
    """tenant:project:user, by ids."""
    tenant: str
    """Id of the tenant."""
    project: str
    """Id of the project."""
    user: str
    """Id of the user: the login in lower case."""
    name: str
    """The login as it was given."""
    state: str
    """active or removed."""
    created: int
    """When the user was first added."""


class Hold(NamedTuple):
    """Money set aside for a job that is to run."""

    id: str
    """tenant:sequence:number, or tenant:h:job key."""
    tenant: str
    """Id of the tenant."""
    project: str
    """Id of the project."""
    user: str
    """Id of the user, where one was named."""
    job: str
    """Job key, where one was given."""
    estimate: int
    """Seconds the job was estimated to use."""
    rate: int
    """Rate at which the hold was priced, micro-dollars an hour."""
    amount: int
    """Amount held, micro-dollars."""
    state: str
    """open, settled (by a charge) or released (given back)."""
    opened: int
    """When the hold was made."""
    closed: int
    """When it was settled or released."""
    transaction: str
    """Id of the transaction that settled it."""


class Transaction(NamedTuple):
    """The cost of a job, or its counter-record; never changed."""

    id: str
    """tenant:sequence:number, tenant:jN:job key, or tenant:uN:job key for the counter-record of the latter."""
    stream: str
    """Stream of the entry that brought it."""
    seq: int
    """Sequence of the entry that brought it."""
    tenant: str
    """Id of the tenant."""
    project: str
    """Id of the project."""
    user: str
    """Id of the user."""
    job: str
    """Job key, where one was given."""
    batch: str
    """Id of the import that brought it."""
    source: str
    """charge, import or undo."""
    start: int
    """When the job began."""
    end: int
    """When the job ended; the day of its bill."""
    runtime: int
    """Seconds the job used its resources; negative in a counter-record."""
    cores: int
    """Cores, where the scheduler told."""
    nodes: int
    """Nodes, where the scheduler told."""
    unit: str
    """What was billed: core-hours, node-hours or wall-hours."""
    billed_seconds: int
    """Seconds that were priced: runtime times cores, nodes or 1; negative in a counter-record."""
    rate: int
    """Rate at which it was priced, micro-dollars an hour."""
    cost: int
    """Cost, micro-dollars; negative in a counter-record."""
    project_balance: int
    """Part of the cost taken from the project's balance, micro-dollars."""
    project_credit: int
    """Part of the cost taken from the project's credit, micro-dollars."""
    tenant_balance: int
    """Part of the cost taken from the tenant's balance, micro-dollars."""
    tenant_credit: int
    """Part of the cost taken from the tenant's credit, micro-dollars."""
    hold: str
    """Id of the hold it settled."""
    released: int
    """Amount of that hold, micro-dollars."""
    late: int
    """1 if the project was disabled when the job came in."""
    reverses: str
    """Id of the transaction that a counter-record takes back."""
    time: int
    """When it was booked."""


class Payment(NamedTuple):
    """Money received from a tenant; never changed."""

    id: str
    """tenant:sequence:number, or tenant:r:digest of the reference."""
    stream: str
    """Stream of the entry that brought it."""
    seq: int
    """Sequence of the entry that brought it."""
    tenant: str
    """Id of the tenant."""
    amount: int
    """Amount, micro-dollars."""
    reference: str
    """What the payer or the bank calls it."""
    time: int
    """When it was booked."""


class Rate(NamedTuple):
    """One setting of the rate; the history is kept, the present rate stands in the site record."""

    id: str
    """g:sequence:number."""
    stream: str
    """Stream of the entry that brought it."""
    seq: int
    """Sequence of the entry that brought it."""
    rate: int
    """Rate, micro-dollars an hour."""
    time: int
    """From when it holds."""


class Site(NamedTuple):
    """What holds for the whole site."""

    id: str
    """Always 'site'."""
    rate: int
    """Present rate, micro-dollars an hour."""
    zone: str
    """IANA time zone of the bills' days and of times given without a zone."""
    names: str
    """Rule for names: strict or extended."""
    cluster: str
    """Cluster of job records that name none."""


class Key(NamedTuple):
    """What a command with an idempotency key answered the first time; never changed."""

    id: str
    """Stream, then k, then the key: t:acme:k:KEY or g:k:KEY."""
    stream: str
    """Stream of the entry that brought it."""
    seq: int
    """Sequence of the entry that brought it."""
    key: str
    """The key as given."""
    content: str
    """SHA-256 of the command and its arguments."""
    answer: str
    """The answer, as JSON."""
    time: int
    """When it was booked."""


class Claim(NamedTuple):
    """Which tenant a project name belongs to; created before the project itself."""

    id: str
    """Project name in lower case."""
    tenant: str
    """Id of the tenant."""
    generation: int
    """1 at first, one more each time an unused claim went to another tenant."""


class Role(NamedTuple):
    """A role that somebody may be granted, beside those that every site has."""

    id: str
    """Name in lower case."""
    name: str
    """Name as it was given."""
    level: int
    """From 1 to 100, which is root: who has it gives, changes and takes what is below."""
    commands: str
    """Words of its commands, with commas between them, in the order of the table."""
    scope: str
    """tenant/<id> or project/<id> that it is bound to; empty where it is granted on any."""
    form: str
    """direct (with rights on the indices of Elasticsearch) or service (without)."""
    state: str
    """active or removed."""
    pending: str
    """Words of a command on it that was begun at Elasticsearch and of which no outcome is booked; else empty."""
    created: int
    """When it was made."""


class Login(NamedTuple):
    """Somebody who was granted roles."""

    id: str
    """Login as the store knows it, case and all; * for everybody."""
    grants: str
    """Roles, with commas between them: role, or role@scope."""
    state: str
    """active, disabled or removed."""
    pending: str
    """Words of a command on it that was begun at Elasticsearch and of which no outcome is booked; else empty."""
    created: int
    """When it was made."""


Record = Tenant | Project | Association | Hold | Transaction | Payment | Rate | Site | Key | Claim | Role | Login

DEFAULT_SITE = Site(id=SITE_ID, rate=0, zone="UTC", names="strict", cluster="cluster")


class Change(NamedTuple):
    """A record that an entry brings, and what it was before."""

    kind: str
    record: Record
    was: Record | None
    """The record before the entry; None for a new one."""


def tenant_stream(tenant: str) -> str:
    """Return the stream of a tenant's id."""
    return TENANT_STREAM_PREFIX + tenant


def association_id(tenant: str, project: str, user: str) -> str:
    """Return the id of a user in a project, by their ids."""
    return f"{tenant}:{project}:{user}"


def hold_id(tenant: str, job: str) -> str:
    """Return the id of the hold made for a job key."""
    return f"{tenant}:h:{job}"


def charge_id(tenant: str, job: str, generation: int) -> str:
    """Return the id of the transaction that charges a job key; a new generation follows each that was taken back."""
    return f"{tenant}:j{generation}:{job}"


def counter_id(charged: str) -> str:
    """Return the id of the counter-record of a charge with a job key: tenant:uN:key for tenant:jN:key."""
    tenant, _, rest = charged.partition(":j")
    return f"{tenant}:u{rest}"


def undo_id(tenant: str, job: str, generation: int) -> str:
    """Return the id of the counter-record of that generation."""
    return counter_id(charge_id(tenant, job, generation))


def payment_id(tenant: str, digest: str) -> str:
    """Return the id of the payment with a reference of that digest."""
    return f"{tenant}:r:{digest}"


def key_id(stream: str, key: str) -> str:
    """Return the id of an idempotency key in a stream."""
    return f"{stream}:k:{key}"


def booked_id(stream: str, seq: int, number: int) -> str:
    """Return the id of a record without a key of its own: where in the log it was booked."""
    return f"{stream.removeprefix(TENANT_STREAM_PREFIX)}:{seq}:{number}"
