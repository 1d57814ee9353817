"""Projects: what spends, and the money earmarked for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.book import ClaimedElsewhere, stream_of_tenant
from dca.commands import figures
from dca.core import ledger, money
from dca.core.errors import RefusedError, UsageError
from dca.core.ledger import Accounts
from dca.core.model import ENABLED, Claim, Project
from dca.core.money import Decimal
from dca.core.names import SECONDS_MAX, check_name, folded
from dca.store.schema import CLAIM, PROJECT

if TYPE_CHECKING:
    from dca.book import Book
    from dca.commands.arguments import Amount, Count, Move, Name, Seconds
    from dca.core.model import Tenant


def add(book: Book, project: Name, tenant: Name, balance: Amount = 0, credit: Amount = 0) -> dict[str, Any]:
    """Add a project to a tenant, with parts of the tenant's balance and credit earmarked for it.

    The name must be new among the projects of all tenants.
    """
    check_name(project, book.site().names, "project")
    owner = book.enabled_tenant(tenant)
    accounts = new_project(book, owner, project, balance=balance, credit=credit)
    book.put_accounts(accounts)
    return {"project": figures.project(accounts.project, accounts.tenant)}


def new_project(book: Book, owner: Tenant, name: str, *, balance: int = 0, credit: int = 0) -> Accounts:
    """Return a new project of a tenant, its name claimed for it."""
    project_id = folded(name)
    existing: Project | None = book.get(PROJECT, project_id)
    if existing is not None:
        raise RefusedError(f"project {existing.name} exists already; project names are unique over all tenants.")
    claim: Claim | None = book.get(CLAIM, project_id)
    if claim is None:
        book.claim = Claim(id=project_id, tenant=owner.id, generation=1)
    elif claim.tenant != owner.id:
        raise ClaimedElsewhere(claim, owner.id)
    record = Project(
        id=project_id,
        name=name,
        tenant=owner.id,
        balance=balance,
        credit=credit,
        requested=0,
        holds_open=0,
        state=ENABLED,
        created=book.now,
    )
    return ledger.add_project(owner, record)


def disable(book: Book, project: Name) -> dict[str, Any]:
    """Disable a project, for ever; refused while holds are open. What it held is the tenant's to give out again."""
    accounts = ledger.disable_project(book.enabled_accounts(project))
    book.put_accounts(accounts)
    return {"project": figures.project(accounts.project, accounts.tenant)}


def movebudget(
    book: Book,
    from_: Name,
    to: Name,
    type: Move,
    balance: Amount = 0,
    credit: Amount = 0,
) -> dict[str, Any]:
    """Move earmarked money: t2p from tenant to project, p2t back, p2p between two projects of one tenant.

    Balance stays balance and credit stays credit; the tenant's own figures do not change.
    """
    moves = {"t2p": _to_project, "p2t": _to_tenant, "p2p": _between}
    if balance == credit == 0:
        raise UsageError("nothing to move: give --balance, --credit or both.")
    return moves[type](book, from_, to, balance, credit)


def _to_project(book: Book, source: str, target: str, balance: int, credit: int) -> dict[str, Any]:
    accounts = _of_tenant(book, target, source)
    accounts = ledger.earmark(accounts, balance=balance, credit=credit)
    book.put_accounts(accounts)
    return {"from": figures.tenant(accounts.tenant), "to": figures.project(accounts.project, accounts.tenant)}


def _to_tenant(book: Book, source: str, target: str, balance: int, credit: int) -> dict[str, Any]:
    accounts = _of_tenant(book, source, target)
    accounts = ledger.give_back(accounts, balance=balance, credit=credit)
    book.put_accounts(accounts)
    return {"from": figures.project(accounts.project, accounts.tenant), "to": figures.tenant(accounts.tenant)}


def _between(book: Book, source: str, target: str, balance: int, credit: int) -> dict[str, Any]:
    if folded(source) == folded(target):
        raise RefusedError(f"project {source} is both source and target.")
    owner = book.owner(source)
    if book.owner(target) != owner:
        raise RefusedError(f"projects {source} and {target} belong to different tenants; their money stays apart.")
    book.choose(stream_of_tenant(owner))
    giving = book.enabled_accounts(source)
    taking = book.enabled_accounts(target)
    after = ledger.give_back(giving, balance=balance, credit=credit)
    both = ledger.receive(Accounts(after.tenant, taking.project), balance=balance, credit=credit)
    book.put(after.project)
    book.put_accounts(both)
    return {"from": figures.project(after.project, both.tenant), "to": figures.project(both.project, both.tenant)}


def _of_tenant(book: Book, project: str, tenant: str) -> Accounts:
    owner = book.enabled_tenant(tenant)
    accounts = book.enabled_accounts(project)
    if accounts.tenant.id != owner.id:
        raise RefusedError(f"project {accounts.project.name} belongs to another tenant than {owner.name}.")
    return accounts


def show(book: Book, project: Name, needs: Seconds | None = None, cores: Count = 1) -> dict[str, Any]:
    """Show what a project has: settled, held and free.

    With --needs=<estimate> the exit status tells whether a job of that many seconds (times --cores) can be afforded:
    0 or 1. With --as-of as it stood at that moment.
    """
    accounts = book.accounts(project)
    answer = {"project": {**figures.project(accounts.project, accounts.tenant), "rate": Decimal(book.site().rate)}}
    if needs is None:
        return answer
    if needs * cores > SECONDS_MAX:
        raise UsageError(f"--needs times --cores is more than {SECONDS_MAX} seconds.")
    price = money.price(book.site().rate, needs * cores)
    answer["needs"] = {"seconds": needs * cores, "amount": Decimal(price)}
    if ledger.is_disabled(accounts):
        raise RefusedError(f"project {accounts.project.name} is disabled.", **answer)
    free = ledger.available(accounts.project)
    if free < price:
        raise RefusedError(
            f"project {accounts.project.name} has {money.text(free)} free, {money.text(price)} is needed.", **answer
        )
    return answer
