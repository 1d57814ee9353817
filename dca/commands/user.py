"""Users: logins that may run jobs on a project's money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core.errors import RefusedError
from dca.core.model import ACTIVE, REMOVED, Association, association_id
from dca.core.names import check_name, folded

if TYPE_CHECKING:
    from dca.book import Book
    from dca.commands.arguments import Name
    from dca.core.model import Project


def add(book: Book, project: Name, user: Name) -> dict[str, Any]:
    """Add a user to a project; one who was deleted may come back."""
    check_name(user, book.site().names, "user")
    account = book.enabled_accounts(project).project
    existing = book.association(account, user)
    if existing is not None and existing.state == ACTIVE:
        raise RefusedError(f"user {existing.name} is in project {account.name} already.")
    record = existing._replace(state=ACTIVE) if existing else new_association(account, user, book.now)
    book.put(record)
    return {"project": account.name, "user": record.name, "state": record.state}


def new_association(project: Project, user: str, now: int) -> Association:
    """Return the association of a user who is new in a project."""
    return Association(
        id=association_id(project.tenant, project.id, folded(user)),
        tenant=project.tenant,
        project=project.id,
        user=folded(user),
        name=user,
        state=ACTIVE,
        created=now,
    )


def delete(book: Book, project: Name, user: Name) -> dict[str, Any]:
    """Delete a user from a project: no new holds for them; jobs that run already are still charged."""
    account = book.enabled_accounts(project).project
    record = book.member(account, user, present=True)._replace(state=REMOVED)
    book.put(record)
    return {"project": account.name, "user": record.name, "state": record.state}
