"""Whether who wrote an entry may run its command, by the roles that the store itself holds them to today."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.model import GLOBAL_STREAM, TENANT_STREAM_PREFIX
from dca.core.permissions import PROJECT_SCOPE, TENANT_SCOPE
from dca.store.guard import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dca.store.guard import Holding
    from dca.store.port import Entry

NATIVE = "native"
"""Users whom Elasticsearch itself keeps; what those of LDAP and other realms may do, nobody can be asked for."""


class Asked(NamedTuple):
    """What must be permitted to write an entry."""

    command: str
    everywhere: bool
    """Whether it is enough that the command is permitted anywhere."""


class Authors:
    """The users of a store, and what each may do."""

    def __init__(self, holdings: Mapping[str, Holding], commands: Mapping[str, Asked]) -> None:
        """Take what users may do, and the commands by category and action of their entries."""
        self._holdings, self._commands = holdings, commands

    def lacking(self, document: Mapping[str, Any], entry: Entry) -> str:
        """Return what is to be said of an entry's author who may not run its command; nothing of who is not known."""
        author = document.get("author")
        login = author.get("username") if isinstance(author, dict) and _is_native(author) else None
        holding = self._holdings.get(login) if isinstance(login, str) else None
        asked = self._commands.get(f"{entry.category} {entry.action}")
        if holding is None or asked is None or _permits(holding, asked, entry):
            return ""
        return f"was written by {login}, {_shown(holding.roles)}"


def _shown(roles: Sequence[str]) -> str:
    if not roles:
        return "who has no role"
    return f"whose role{'s' * (len(roles) > 1)} ({', '.join(roles)}) {'do' if len(roles) > 1 else 'does'} not permit it"


def _is_native(author: Mapping[str, Any]) -> bool:
    realm = author.get("realm")
    return isinstance(realm, dict) and realm.get("type") == NATIVE


def _permits(holding: Holding, asked: Asked, entry: Entry) -> bool:
    return any(
        asked.everywhere or any(fnmatchcase(place, resource) for place in _places(entry))
        for resource, commands in holding.commands.items()
        if asked.command in commands
    )


def _places(entry: Entry) -> Iterator[str]:
    """Yield the resources of which one is enough: what the entry is about."""
    if entry.stream == GLOBAL_STREAM:
        yield EVERYWHERE
        return
    yield TENANT_SCOPE + entry.stream.removeprefix(TENANT_STREAM_PREFIX)
    yield from (PROJECT_SCOPE + project for project in entry.projects)
