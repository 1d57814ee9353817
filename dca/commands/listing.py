"""The list: tenants, their projects and the users in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core.errors import NotFoundError
from dca.core.model import ACTIVE, DISABLED, Association, Project, Tenant
from dca.core.money import Decimal
from dca.core.names import EXTENDED, check_name, folded
from dca.store.port import Condition, Query
from dca.store.schema import ASSOCIATION, PROJECT, TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Flag, Name


def show(
    book: Book, tenant: Name | None = None, project: Name | None = None, user: Name | None = None, *, all_: Flag = False
) -> dict[str, Any]:
    """List tenants with their projects and users; each option narrows the list.

    With --user only tenants and projects the user is in. Disabled ones are left out unless --all is given. With --as-of
    as it stood at that moment: a time, or a day, of which the beginning counts.
    """
    wanted = folded(check_name(user, EXTENDED, "user")) if user is not None else None
    where = _narrowed(book, tenant, project)
    rate = book.site().rate
    tenants: list[Tenant] = list(book.all(Query(TENANT, tuple(where[TENANT]))))
    projects: dict[str, list[Project]] = {}
    for record in book.all(Query(PROJECT, tuple(where[PROJECT]))):
        projects.setdefault(record.tenant, []).append(record)
    users = _users(book, where[ASSOCIATION])
    listed = []
    for one in tenants:
        if one.state == DISABLED and not all_:
            continue
        shown = [
            _project(record, one, rate, users.get(record.id, []), all_=all_)
            for record in projects.get(one.id, [])
            if (all_ or record.state != DISABLED)
            and (wanted is None or wanted in (association.user for association in users.get(record.id, [])))
        ]
        if shown or (project is None and user is None):
            listed.append(_tenant(one, shown, all_=all_))
    if not listed:
        raise NotFoundError("nothing found" + ("." if all_ else "; dca list --all also shows what is disabled."))
    return {"list": listed}


def _narrowed(book: Book, tenant: str | None, project: str | None) -> dict[str, list[Condition]]:
    """Return the conditions on each kind; unknown names are errors."""
    where: dict[str, list[Condition]] = {TENANT: [], PROJECT: [], ASSOCIATION: []}
    if tenant is not None:
        owner = book.tenant(tenant).id
        where = {kind: [Condition("id" if kind == TENANT else "tenant", "eq", owner)] for kind in where}
    if project is not None:
        record = book.accounts(project).project
        where[TENANT].append(Condition("id", "eq", record.tenant))
        where[PROJECT] += [Condition("tenant", "eq", record.tenant), Condition("id", "eq", record.id)]
        where[ASSOCIATION] += [Condition("tenant", "eq", record.tenant), Condition("project", "eq", record.id)]
    return where


def _users(book: Book, where: list[Condition]) -> dict[str, list[Association]]:
    found: dict[str, list[Association]] = {}
    for record in book.all(Query(ASSOCIATION, (*where, Condition("state", "eq", ACTIVE)))):
        found.setdefault(record.project, []).append(record)
    return found


def _tenant(record: Tenant, projects: list[dict[str, Any]], *, all_: bool) -> dict[str, Any]:
    return {
        "name": record.name,
        "balance": Decimal(record.balance),
        "credit": Decimal(record.credit),
        **({"state": record.state} if all_ else {}),
        "projects": projects,
    }


def _project(record: Project, owner: Tenant, rate: int, users: list[Association], *, all_: bool) -> dict[str, Any]:
    return {
        "tenant": owner.name,
        "project": record.name,
        "balance": Decimal(record.balance),
        "credit": Decimal(record.credit),
        "requested": Decimal(record.requested),
        "rate": Decimal(rate),
        **({"state": DISABLED if owner.state == DISABLED else record.state} if all_ else {}),
        "users": sorted(user.name for user in users),
    }


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each project, and one for a tenant without projects."""
    return [
        {
            "tenant": tenant["name"],
            "tenant_balance": tenant["balance"],
            "tenant_credit": tenant["credit"],
            **{name: value for name, value in project.items() if name != "tenant"},
        }
        for tenant in answer["list"]
        for project in tenant["projects"] or [{"project": ""}]
    ]
