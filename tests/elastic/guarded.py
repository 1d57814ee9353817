"""Roles that tests give, and how a user of Elasticsearch looks who has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dca.commands.table import rows
from dca.store.guard import DIRECT, Account, Guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from dca.store.elastic_guard import ElasticGuard

    AsUser = Callable[..., ElasticGuard]

ROWS = rows()
PASSWORD = "a-password"
OPERATING = ("list", "rate get", "transaction reservebudget", "transaction charge")
VIEWER = Guarded("Viewer", 10, ("list", "rate get"), "tenant/acme", DIRECT)
VIEWING = "viewer@tenant/acme"
"""Under this it is granted."""
OPERATOR = Guarded("operator", 30, OPERATING, "", DIRECT)
ROOT = Guarded("root", 100, tuple(ROWS), "", DIRECT)


def account(login: str, *roles: str, others: tuple[str, ...] = (), enabled: bool = True, ours: bool = True) -> Account:
    """Return a user with roles."""
    return Account(login, roles, others, enabled=enabled, ours=ours, reserved=False)
