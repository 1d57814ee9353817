"""Books for processes to work on, and what can be said of them afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import PERMITTED
from dca.store.elastic import Address, ElasticStore
from dca.store.sqlite import SqliteStore
from tests.cli.shell import Shell
from tests.model.invariants import Books, books_of, check
from tests.verify.attacked import verified

if TYPE_CHECKING:
    from pathlib import Path

    from dca.engine import Store
    from tests.elastic.server import BookServer

CHANCE = {"created", "opened", "closed", "time", "start", "end", "batch", "answer", "stream"}
"""Fields that hold the clock's or chance's word, which two runs of one command do not share."""
HEADER = "JobIDRaw|Cluster|Account|User|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes"
SUBMIT = 1_700_000_000


class Figures(NamedTuple):
    """What a project has, and its tenant's balance, in dollars."""

    balance: Any
    held: Any
    holds_open: int
    tenant_balance: Any


def distant_shell(folder: Path, server: BookServer) -> Shell:
    """Return a shell whose books are on Elasticsearch."""
    return Shell(folder, f"{server.server.url}/{server.prefix}")


def store_of(shell: Shell) -> Store:
    """Open the books of a shell around the command line."""
    if shell.store.startswith("sqlite:"):
        return SqliteStore(shell.file)
    url, _, prefix = shell.store.rpartition("/")
    return ElasticStore(Address.parse([url], prefix=prefix), PERMITTED)


def whole_books(shell: Shell) -> Books:
    """Return all that the books hold, after checking every invariant, and that verify finds them in order."""
    store = store_of(shell)
    try:
        books = books_of(store)
        damage = verified(store).findings.listed()
        assert damage == [], damage
    finally:
        store.close()
    check(books)
    return books


def figures(shell: Shell, project: str = "p") -> Figures:
    """Return what a project has."""
    (tenant,) = shell.ok("list", f"--project={project}")["list"]
    found = shell.ok("project", "show", f"--project={project}")["project"]
    return Figures(found["balance"], found["held"], found["holds_open"], tenant["balance"])


def essence(books: Books) -> dict[str, Any]:
    """Return all records, without what two runs of one command do not share."""
    return {
        kind: {
            record.id: [value for name, value in record._asdict().items() if name not in CHANCE]
            for record in of.values()
        }
        for kind, of in books.records.items()
    }


def course(books: Books, stream: str = "t:acme") -> list[tuple[Any, ...]]:
    """Return what the log says happened in a stream, without what two runs of one command do not share."""
    return [
        (entry.seq, entry.category, entry.action, sorted((change.kind, change.record.id) for change in entry.changes))
        for entry in books.log.get(stream, [])
    ]


def opened(shell: Shell, *, affordable: int = 7, tenant: str = "acme", project: str = "p") -> Shell:
    """Make a tenant with 100 dollars and a project that affords so many holds of 10 dollars, and 9 dollars over."""
    shell.ok("setup")
    shell.ok("rate", "set", "--rate=36")
    shell.ok("tenant", "add", f"--tenant={tenant}")
    shell.ok("tenant", "payment", f"--tenant={tenant}", f"--payment={10 * affordable + 30}")
    shell.ok("project", "add", f"--project={project}", f"--tenant={tenant}", f"--balance={10 * affordable + 9}")
    shell.ok("user", "add", f"--project={project}", "--user=anna")
    return shell


def log_of(*, jobs: int, account: str = "p", user: str = "anna", seconds: int = 100) -> str:
    """Return a log of finished jobs, each of one core."""
    lines = [
        f"{number}|lab|{account}|{user}|COMPLETED|{SUBMIT}|{SUBMIT}|{SUBMIT + seconds}|{seconds}|1|1"
        for number in range(1, jobs + 1)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def job_key(number: int) -> str:
    """Return the key under which a log's job is known."""
    return f"lab/{number}/{SUBMIT}"
