"""The table of commands: parser, help, reference pages, log entries, permissions and tests are read from it."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    HOLD,
    KEY,
    LOG,
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
    from dca.store.guard import Rows

GLOBAL, BY_TENANT, BY_PROJECT, MOVE, OWN = "global", "tenant", "project", "move", "own"
ANYWHERE = "anywhere"
"""What a command is about: the whole site, a tenant, a project, the two ends of a move, what its options say (else the
whole site), or nothing that belongs to somebody: whoever may run it somewhere may run it."""

ADMINISTRATOR, TENANT_ADMINISTRATOR, PROJECT_MANAGER = "administrator", "tenant-administrator", "project-manager"
OPERATOR, BILLER, AUDITOR, VIEWER = "operator", "biller", "auditor", "viewer"
EVERYONE = ("everyone",)
"""Who runs commands that need no permission."""


class Command(NamedTuple):
    """A row of the table."""

    words: str
    usage: str
    does: str
    """module.function below dca.commands; its docstring is the command's help."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    scope: str
    route: str
    """REST method and path."""
    roles: tuple[str, ...]
    """The role templates that have it, beside root, which has all."""
    confirm: str = ""
    """Question before it is done, with the options' values in braces."""
    rows: str = ""
    """module.function that turns its answer into the rows of table and CSV."""
    columns: str = ""
    """The columns of these rows where there may be none: what they say is then said by the header."""
    session: bool = False
    """Whether it works through several commits or beside the books, with a session instead of a book."""
    lines: str = ""
    """module.function that names the records a line of its --file needs; empty where it takes no lines."""
    beside: str = ""
    """The option with which it leaves the books alone and needs no permission."""
    examines: bool = False
    """Whether it looks at the store itself, and so goes on where that cannot even be asked who may do what."""
    secret: bool = False
    """Whether its answer holds a secret, which the books must not keep under a key."""

    @property
    def is_open(self) -> bool:
        """Tell whether everyone may run it."""
        return self.roles == EVERYONE

    @property
    def changes(self) -> bool:
        """Tell whether it changes anything."""
        return bool(self.writes)


@cache
def function(path: str) -> Any:
    """Return the function that a path of the table names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"dca.commands.{module}"), name)


_MONEY = (TENANT, PROJECT)
_PERIOD = "[--time_period=<period>]"
_AS_OF = "[--as-of=<time>]"
"""The engine's: it gives a command the books as they stood at that moment."""
_PAGE = "[--limit=<n>] [--after=<mark>]"
_ADMIN = (ADMINISTRATOR,)
_TENANTS = (*_ADMIN, TENANT_ADMINISTRATOR)
_PROJECTS = (*_TENANTS, PROJECT_MANAGER)
_OPERATING, _BILLING, _AUDITING = (*_ADMIN, OPERATOR), (*_ADMIN, BILLER), (*_ADMIN, AUDITOR)
_ALL_ROLES = (*_PROJECTS, OPERATOR, BILLER, AUDITOR, VIEWER)
_GOVERNING = (*_TENANTS, AUDITOR)
_POWERS = (ROLE, LOGIN)
_ALL = (SITE, *_MONEY, ASSOCIATION, HOLD, TRANSACTION, PAYMENT, RATE, KEY, CLAIM, ROLE, LOGIN, LOG)

COMMANDS: tuple[Command, ...] = (
    Command(
        "tenant add", "--tenant=<name> [--credit=<amount>]", "tenant.add",
        (SITE, TENANT), (TENANT, KEY), BY_TENANT, "POST /tenants", _ADMIN,
    ),
    Command(
        "tenant disable", "--tenant=<name> [-y]", "tenant.disable",
        (TENANT,), (TENANT, KEY), BY_TENANT, "POST /tenants/{tenant}/disable", _ADMIN,
        confirm="Disable tenant {tenant} with all its projects, for ever?",
    ),
    Command(
        "tenant modify", "--tenant=<name> --credit=<amount>", "tenant.modify",
        (TENANT,), (TENANT, KEY), BY_TENANT, "PATCH /tenants/{tenant}", _ADMIN,
    ),
    Command(
        "tenant payment", "--tenant=<name> --payment=<amount> [--reference=<text>]", "tenant.payment",
        (TENANT, PAYMENT), (TENANT, PAYMENT, KEY), BY_TENANT, "POST /tenants/{tenant}/payments", _BILLING,
    ),
    Command(
        "project add", "--project=<name> --tenant=<name> [--balance=<amount>] [--credit=<amount>]", "project.add",
        (SITE, *_MONEY, CLAIM), (*_MONEY, CLAIM, KEY), BY_TENANT, "POST /projects", _TENANTS,
    ),
    Command(
        "project disable", "--project=<name> [-y]", "project.disable",
        _MONEY, (*_MONEY, KEY), BY_PROJECT, "POST /projects/{project}/disable", _TENANTS,
        confirm="Disable project {project}, for ever?",
    ),
    Command(
        "project movebudget", "--from=<name> --to=<name> [--balance=<amount>] [--credit=<amount>] --type=<type>",
        "project.movebudget", _MONEY, (*_MONEY, KEY), MOVE, "POST /moves", _TENANTS,
    ),
    Command(
        "project show", f"--project=<name> [--needs=<estimate>] [--cores=<n>] {_AS_OF}", "project.show",
        (SITE, *_MONEY), (), BY_PROJECT, "GET /projects/{project}", _ALL_ROLES,
    ),
    Command(
        "user add", "--project=<name> --user=<name>", "user.add",
        (SITE, *_MONEY, ASSOCIATION), (ASSOCIATION, KEY), BY_PROJECT, "POST /projects/{project}/users", _PROJECTS,
    ),
    Command(
        "user delete", "--project=<name> --user=<name>", "user.delete",
        (*_MONEY, ASSOCIATION), (ASSOCIATION, KEY), BY_PROJECT, "DELETE /projects/{project}/users/{user}", _PROJECTS,
    ),
    Command(
        "list", f"[--tenant=<name>] [--project=<name>] [--user=<name>] [--all] {_AS_OF}", "listing.show",
        (SITE, *_MONEY, ASSOCIATION), (), OWN, "GET /list", _ALL_ROLES, rows="listing.rows",
        columns="tenant tenant_balance tenant_credit project balance credit requested rate users",
    ),
    Command("rate set", "--rate=<rate>", "rate.change", (SITE,), (SITE, RATE, KEY), GLOBAL, "PUT /rate", _ADMIN),
    Command(
        "rate get", f"[--history] {_AS_OF}", "rate.show", (SITE, RATE), (), ANYWHERE, "GET /rate", _ALL_ROLES, rows="rate.rows",
    ),
    Command(
        "transaction reservebudget",
        "(--file=<file> | --project=<name> --estimate=<time> [--cores=<n>] [--user=<name>] [--job=<key>])",
        "transaction.reserve", (SITE, *_MONEY, ASSOCIATION, HOLD, TRANSACTION), (*_MONEY, HOLD, KEY), BY_PROJECT,
        "POST /holds", _OPERATING,
        lines="transaction.needed",
    ),
    Command(
        "transaction charge",
        "(--file=<file> | --project=<name> --user=<name> --jobtime=<time> [--estimate=<time>] [--start=<time>] "
        "[--cores=<n>] [--job=<key>])", "transaction.charge",
        (SITE, *_MONEY, ASSOCIATION, HOLD, TRANSACTION), (*_MONEY, HOLD, TRANSACTION, KEY), BY_PROJECT,
        "POST /transactions", _OPERATING, lines="transaction.needed",
    ),
    Command(
        "transaction release",
        "(--hold=<id> | --project=<name> --job=<key> | --all --older-than=<days> [--tenant=<name>])",
        "release.release", (*_MONEY, HOLD), (*_MONEY, HOLD, KEY), OWN, "POST /holds/release",
        (*_TENANTS, OPERATOR), session=True,
    ),
    Command(
        "transaction holds",
        f"[--tenant=<name>] [--project=<name>] [--user=<name>] [--older-than=<days>] {_PAGE} {_AS_OF}",
        "transaction.holds",
        (SITE, *_MONEY, HOLD), (), OWN, "GET /holds", _ALL_ROLES, rows="transaction.hold_rows",
        columns="hold project user job estimate rate amount state opened",
    ),
    Command(
        "transaction list",
        "[--tenant=<name>] [--project=<name>] [--user=<name>] [--job=<key>] [--batch=<id>] "
        f"{_PERIOD} {_PAGE}", "transaction.show",
        (SITE, *_MONEY, ASSOCIATION, TRANSACTION), (), OWN, "GET /transactions", _ALL_ROLES, rows="transaction.rows",
        columns="transaction project user start end runtime billed_seconds unit rate cost from_balance from_credit released "
        "source job batch",
    ),
    Command(
        "bill generate", "--project=<name> --time_period=<period>", "bill.generate",
        (SITE, *_MONEY, ASSOCIATION, TRANSACTION, PAYMENT), (), BY_PROJECT, "GET /projects/{project}/bill",
        (*_PROJECTS, BILLER, AUDITOR, VIEWER), rows="bill.rows", columns="date user hours cost",
    ),
    Command(
        "job import",
        "[--input-format=<format>] [--cluster=<name>] [--timezone=<zone>] [--unit=<unit>] [--delimiter=<text>] "
        "[--tenant=<name> --create-missing] [--rejects=<file>] FILE", "job.bring",
        (SITE, *_MONEY, ASSOCIATION, HOLD, TRANSACTION, CLAIM),
        (*_MONEY, ASSOCIATION, HOLD, TRANSACTION, CLAIM, KEY), GLOBAL, "POST /jobs", _OPERATING,
        rows="job.rows", session=True, columns="project jobs hours cost",
    ),
    Command(
        "job undo", "--batch=<id> [-y]", "job.undo",
        (*_MONEY, TRANSACTION), (*_MONEY, TRANSACTION, KEY), GLOBAL, "POST /batches/{batch}/undo", _ADMIN, session=True,
        confirm="Take back all charges of batch {batch}?",
    ),
    Command(
        "log list",
        "[--tenant=<name>] [--project=<name>] [--actor=<name>] [--category=<word>] [--action=<word>] [--commit=<id>] "
        f"{_PERIOD} {_PAGE}", "log.show", (SITE, LOG), (), OWN, "GET /log", (*_TENANTS, AUDITOR), rows="log.rows",
        columns="time stream seq actor category action details",
    ),
    Command(
        "log show",
        "(--stream=<stream> --seq=<n> | --commit=<id> | --as-of=<time> [--kind=<kind>] [--tenant=<name>] "
        f"[--project=<name>] {_PAGE})", "history.show",
        (SITE, RATE, *_MONEY, ASSOCIATION, HOLD, PAYMENT, TRANSACTION, ROLE, LOGIN, LOG), (), OWN, "GET /log/show",
        (*_TENANTS, AUDITOR),
        rows="history.rows", session=True,
    ),
    Command(
        "log verify", "[--file=<backup>] [--checkpoint=<file>] [--public-key=<file>]", "verify.verify",
        _ALL, (), GLOBAL, "GET /log/verify", _AUDITING, session=True, beside="--file",
    ),
    Command(
        "log repair", "[-y]", "repair.repair", _ALL, (KEY,), GLOBAL, "POST /log/repair", (), session=True,
    ),
    Command(
        "log checkpoint", "[--overwrite] FILE", "verify.checkpoint",
        (TENANT, SITE, LOG), (), GLOBAL, "POST /log/checkpoints", _AUDITING, session=True,
    ),
    Command(
        "doctor", "", "doctor.examine", (SITE, HOLD, LOG), (), GLOBAL, "GET /doctor", _AUDITING, rows="doctor.rows",
        session=True, examines=True,
    ),
    Command(
        "backup", "[--overwrite] FILE", "backup.make", _ALL, (), GLOBAL, "POST /backups", _ADMIN, rows="backup.rows", session=True,
    ),
    Command(
        "backup check", "FILE", "backup.check", (), (), GLOBAL, "POST /backups/check", EVERYONE, rows="backup.rows", session=True,
    ),
    Command("restore", "FILE", "backup.restore", (), (KEY,), GLOBAL, "POST /restore", (), rows="backup.rows", session=True),
    Command(
        "store copy", "--to=<store> [--to-config=<file>]", "backup.copy",
        _ALL, (KEY,), GLOBAL, "POST /copies", (), rows="backup.rows", session=True,
    ),
    Command(
        "bench", "[--quick] [--only=<rows>] [--jobs=<n>]", "bench.measure", (), (), GLOBAL, "POST /bench", _ADMIN,
        rows="bench.rows", session=True,
    ),
    Command(
        "role list", "", "role.listed", _POWERS, (), ANYWHERE, "GET /roles", _GOVERNING, rows="role.rows", session=True,
        columns="role level scope form commands logins",
    ),
    Command("role show", "--role=<name>", "role.show", _POWERS, (), ANYWHERE, "GET /roles/{role}", _GOVERNING, session=True),
    Command(
        "role install", "[--form=<form>]", "role.install", _POWERS, (*_POWERS, KEY), GLOBAL, "POST /roles/install", (),
        rows="role.rows", session=True,
    ),
    Command(
        "role create",
        "--role=<name> (--commands=<list> | --like=<role>) [--level=<n>] [--tenant=<name> | --project=<name>] [--form=<form>]",
        "role.create", _POWERS, (*_POWERS, KEY), ANYWHERE, "POST /roles", _TENANTS, session=True,
    ),
    Command(
        "role modify", "--role=<name> [--commands=<list>] [--level=<n>]", "role.modify",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "PATCH /roles/{role}", _TENANTS, session=True,
    ),
    Command(
        "role delete", "--role=<name> [-y]", "role.delete", _POWERS, (*_POWERS, KEY), ANYWHERE, "DELETE /roles/{role}", _TENANTS,
        session=True, confirm="Delete role {role}?",
    ),
    Command(
        "role grant", "--role=<name> --login=<name> [--tenant=<name> | --project=<name>]", "role.grant",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "POST /logins/{login}/roles", _TENANTS, session=True,
    ),
    Command(
        "role revoke", "--role=<name> --login=<name> [--tenant=<name> | --project=<name>]", "role.revoke",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "DELETE /logins/{login}/roles/{role}", _TENANTS, session=True,
    ),
    Command(
        "login add", "--login=<name> [--role=<name>] [--tenant=<name> | --project=<name>] [--no-password]", "login.add",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "POST /logins", _TENANTS, session=True,
    ),
    Command(
        "login disable", "--login=<name> [-y]", "login.disable",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "POST /logins/{login}/disable", _TENANTS, session=True,
        confirm="Disable login {login}?",
    ),
    Command(
        "login delete", "--login=<name> [-y]", "login.delete",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "DELETE /logins/{login}", _TENANTS, session=True, confirm="Delete login {login}?",
    ),
    Command(
        "login password", "--login=<name>", "login.password_set",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "PUT /logins/{login}/password", _TENANTS, session=True,
    ),
    Command(
        "login list", "", "login.listed", _POWERS, (), ANYWHERE, "GET /logins", _GOVERNING, rows="login.rows", session=True,
        columns="login state roles",
    ),
    Command(
        "login key", "--login=<name> [--expires=<days> | --revoke]", "login.key",
        _POWERS, (*_POWERS, KEY), ANYWHERE, "POST /logins/{login}/keys", _TENANTS, session=True, secret=True,
    ),
    Command("whoami", "", "login.whoami", _POWERS, (), ANYWHERE, "GET /whoami", EVERYONE, session=True),
    Command("config show", "", "site.show_config", (), (), GLOBAL, "GET /config", EVERYONE, session=True),
    Command(
        "setup",
        "[--names=<rule>] [--timezone=<zone>] [--cluster=<name>] [--wipe] [-y]", "site.setup",
        (SITE,), (SITE, KEY), GLOBAL, "POST /setup", (), session=True,
    ),
)  # fmt: skip

BY_WORDS = {command.words: command for command in COMMANDS}

RELEASE_CLAIM = "project release"
"""An entry in the stream of a tenant that claimed a project name and never used it: another may have the name."""


def logged(words: str) -> tuple[str, str]:
    """Return category and action under which the log keeps a command; one word is both."""
    category, _, action = words.partition(" ")
    return category, action or category


PERMITTED: dict[str, tuple[str, ...]] = {
    " ".join(logged(command.words)): command.writes for command in COMMANDS if command.changes
}
"""Which record kinds an entry of the log may change, by its category and action."""
PERMITTED[RELEASE_CLAIM] = (CLAIM,)

OPTIONS_OF_ALL = (
    ("-m --mini", "One line of JSON instead of pretty JSON."),
    ("--format=<form>", "json (the default), table or csv."),
    ("--wait=<seconds>", "How long to wait for the store and for other writers [default: 30]."),
    ("-h --help", "Say what the command does."),
)
OPTIONS_OF_CHANGES = (
    ("--dry-run", "Show what would change; change nothing."),
    ("--key=<text>", "Idempotency key: sent again with the same key, the command answers as the first time."),
)
OPTIONS_OF_CONFIRMED = (("-y --yes", "Do not ask."),)


def options_of(command: Command) -> tuple[tuple[str, str], ...]:
    """Return the options that a command takes beside its own, each with its meaning."""
    return (
        *OPTIONS_OF_ALL,
        *(OPTIONS_OF_CHANGES[: 1 if command.secret else None] if command.changes else ()),
        *(OPTIONS_OF_CONFIRMED if "[-y]" in command.usage else ()),
    )


@cache
def rows() -> "Rows":
    """Return what a store that keeps permissions itself must know of the commands that need one."""
    from dca.store.guard import Row

    return {
        command.words: Row(command.reads, command.writes, everywhere=command.scope == ANYWHERE)
        for command in COMMANDS
        if not command.is_open
    }
