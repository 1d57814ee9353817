"""Permissions as Elasticsearch itself keeps and enforces them: one application privilege for each command."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dca.core.errors import DeniedError, RefusedError
from dca.core.names import shown
from dca.core.permissions import grant_text
from dca.store import elastic_rights as rights
from dca.store.elastic_accounts import Accounts
from dca.store.elastic_security import SecurityOffError
from dca.store.guard import EVERYWHERE, NOTHING, ROOT_LEVEL, Caller, Guarded, Holding, Lack, action_of, privilege_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dca.store.elastic_door import Door
    from dca.store.guard import Rows

REMEMBERED_SECONDS = 30.0
ASKING, REGISTERING = "ask for the permissions", "register the commands as privileges"
HAS = "user/_has_privileges"


class ElasticGuard(Accounts):
    """The roles and users of an Elasticsearch, as far as they are about one set of books."""

    def __init__(self, door: Door, rows: Rows, deadline: Callable[[], float]) -> None:
        """Take the door, the commands, and what says until when a request that begins now may take."""
        super().__init__(door, deadline)
        self._rows = rows
        self.login: str | None = None
        """Who the caller is, once the server has said it with his permissions; empty where security is switched off."""
        self._allowed: dict[tuple[str, str], float] = {}
        """Until when a command is allowed on a resource."""

    def on(self) -> bool:
        """Tell whether security is switched on at the server."""
        try:
            self._security.ask("ask who is asking", "GET", "_authenticate")
        except SecurityOffError:
            return False
        return True

    # -- what the caller may ---------------------------------------------------------------------------------------

    def lack(self, command: str, resources: Sequence[str]) -> Lack:
        """Ask for the permission on any of the resources, and for all rights, in one request."""
        now = time.monotonic()
        asked = tuple(dict.fromkeys((*resources, EVERYWHERE)))
        if any(self._allowed.get((command, resource), now) > now for resource in asked):
            return NOTHING
        privilege, wanted = privilege_of(command), rights.needs(command, self._rows[command])
        body = {
            "application": [{"application": self.application, "privileges": [privilege], "resources": list(asked)}],
            "index": rights.asked(wanted.indices, self._prefix),
            "cluster": list(wanted.cluster),
        }
        try:
            answer = self._security.ask(ASKING, "POST", HAS, body)
        except SecurityOffError:
            self.login = ""
            return NOTHING
        self.login = str(answer["username"])
        on_resources = answer["application"][self.application]
        permitted = [resource for resource in asked if on_resources[resource][privilege]]
        lack = Lack(not permitted, tuple(self._lacking(answer, wanted)))
        if not lack:
            self._allowed |= {(command, resource): now + REMEMBERED_SECONDS for resource in permitted}
        return lack

    def _lacking(self, answer: Mapping[str, Any], wanted: rights.Needs) -> Iterable[str]:
        for name, privileges in wanted.indices.items():
            given = answer["index"][f"{self._prefix}{name}"]
            yield from (f"{one} on {self._prefix}{name}" for one in privileges if not rights.has(given, one))
        yield from (f"cluster {one}" for one in wanted.cluster if not answer["cluster"][one])

    def caller(self) -> Caller:
        """Ask who is asking, and whether he may manage security."""
        try:
            who = self._security.ask("ask who is asking", "GET", "_authenticate")
            has = self._security.ask(ASKING, "POST", HAS, {"cluster": ["manage_security"]})
        except SecurityOffError:
            return Caller("", "", "", (), root=False)
        key = who.get("api_key")
        return Caller(
            login=who["username"],
            realm=who["authentication_realm"]["name"],
            kind=who.get("authentication_type", ""),
            roles=self._roles_of_key(key["id"]) if key else tuple(who["roles"]),
            root=has["has_all_requested"],
        )

    def _roles_of_key(self, key_id: str) -> tuple[str, ...]:
        """Return the roles that a key was made with, if dca made it: Elasticsearch does not tell them to the key itself."""
        metadata = self._own_key(key_id).get("metadata", {}).get("dca", {})
        return tuple(metadata.get("roles", ()))

    def _own_key(self, key_id: str) -> dict[str, Any]:
        """Return what a key may know of itself."""
        answer = self._security.reach("look at the API key", "GET", f"api_key?id={quote(key_id, safe='')}")
        found = answer.body.get("api_keys", [])
        return dict(found[0]) if found else {}

    def may(self) -> dict[str, list[str]]:
        """Return the commands that the application privileges of the caller permit, by resource.

        Rights on indices are not looked at: `lack` tells what is missing for one command.
        """
        may = self._permitted(self._own_privileges())
        return {resource: [command for command in self._rows if command in may[resource]] for resource in sorted(may)}

    def _permitted(self, applications: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
        """Return the commands that privileges of applications permit, by resource."""
        permitted: dict[str, set[str]] = {}
        for one in applications:
            if not fnmatchcase(self.application, one["application"]):
                continue
            words = {
                command for command in self._rows if any(_names(pattern, command) for pattern in one["privileges"])
            }
            for resource in one["resources"] if words else ():
                permitted.setdefault(resource, set()).update(words)
        return permitted

    def holdings(self) -> dict[str, Holding]:
        """Return what the users of these books may do, by all roles that they have."""
        bodies = self._security.ask("look at the roles", "GET", "role")
        found = {}
        for account in self.accounts():
            names = [*map(self.name_of, account.roles), *account.others]
            held = [one for name in names for one in bodies.get(name, {}).get("applications", ())]
            found[account.login] = Holding((*account.roles, *account.others), self._permitted(held))
        return found

    def _own_privileges(self) -> list[dict[str, Any]]:
        """Return the application privileges of the caller; a key with fewer rights than its owner tells them only so."""
        try:
            listed: list[dict[str, Any]] = self._security.ask(ASKING, "GET", "user/_privileges")["applications"]
        except SecurityOffError:
            return [{"application": EVERYWHERE, "privileges": [EVERYWHERE], "resources": [EVERYWHERE]}]
        except RefusedError:
            key = self._security.ask("ask who is asking", "GET", "_authenticate").get("api_key")
            if not key:
                raise
            described = self._own_key(key["id"]).get("role_descriptors", {})
            return [one for role in described.values() for one in role.get("applications", ())]
        return listed

    def is_for_root(self, command: str) -> bool:
        """Tell whether a command needs rights that are as good as root."""
        return rights.is_for_root(command, self._rows[command])

    # -- privileges and roles --------------------------------------------------------------------------------------

    def register(self) -> list[str]:
        """Make the commands known as privileges of the application of these books, where the caller may and they are not.

        Without it only root, whose role names them by a star, is permitted anything.
        """
        wanted = rights.registration(self.application, self._rows)
        if not self._rows:
            return []
        try:
            there = self._security.ask(REGISTERING, "GET", f"privilege/{self.application}").get(self.application, {})
            known = {name: {"actions": one["actions"], "metadata": one["metadata"]} for name, one in there.items()}
            if known == wanted[self.application]:
                return []
            gone = sorted(known.keys() - wanted[self.application].keys())
            if gone:
                self._security.reach(REGISTERING, "DELETE", f"privilege/{self.application}/{','.join(gone)}")
            self._security.ask(REGISTERING, "PUT", "privilege", wanted)
        except (SecurityOffError, DeniedError):
            return []
        return [f"registered the commands as privileges of the application {self.application}"]

    def unregister(self) -> None:
        """Forget the privileges and the roles of these books; users stay, and root, who may be just setting them up anew."""
        doing = "destroy the roles of the books"
        try:
            for name, body in self.own_roles().items():
                role = _read(body["metadata"]["dca"])
                if role is not None and role.level >= ROOT_LEVEL:
                    continue
                self._security.reach(doing, "DELETE", f"role/{quote(name, safe='')}")
            there = self._security.ask(doing, "GET", f"privilege/{self.application}").get(self.application, {})
            if there:
                self._security.reach(doing, "DELETE", f"privilege/{self.application}/{','.join(there)}")
        except (SecurityOffError, DeniedError):
            return

    def roles(self) -> list[Guarded]:
        """Return the roles whose metadata say that they are of these books."""
        found = [_read(body["metadata"]["dca"]) for body in self.own_roles().values()]
        return sorted(role for role in found if role is not None)

    def put_role(self, role: Guarded) -> list[str]:
        """Write a role; one of its name that is not of these books is refused."""
        granted = grant_text(role.name, role.scope)
        name, doing = self.name_of(granted), f"write the role {shown(granted)}"
        self._refuse_foreign(name, doing)
        body = rights.role_body(role, self.application, self._prefix, self._rows)
        self._security.ask(doing, "PUT", f"role/{quote(name, safe='')}", body)
        return self.end_stale_keys()

    def drop_role(self, granted: str) -> list[str]:
        """Delete a role and take it from all who have it; one that is gone is no error."""
        name, doing = self.name_of(granted), f"delete the role {shown(granted)}"
        if self._refuse_foreign(name, doing):
            self._security.reach(doing, "DELETE", f"role/{quote(name, safe='')}")
        self.take_role(name)
        return self.end_stale_keys()

    def _refuse_foreign(self, name: str, doing: str) -> bool:
        """Tell whether there is a role of a name; refuse one that is not of these books."""
        body = self._security.reach(doing, "GET", f"role/{quote(name, safe='')}").body.get(name)
        if body is not None and not self.is_ours(body):
            raise RefusedError(
                f"cannot {doing}: the role {name} was not made by dca for these books; nothing was changed."
            )
        return body is not None


def _names(pattern: str, command: str) -> bool:
    """Tell whether a privilege as a role names it is the permission to run a command."""
    return fnmatchcase(privilege_of(command), pattern) or fnmatchcase(action_of(command), pattern)


def _read(metadata: Mapping[str, Any]) -> Guarded | None:
    """Read a role from its metadata; None if they do not describe one."""
    try:
        return Guarded(
            name=str(metadata["role"]),
            level=int(metadata["level"]),
            commands=tuple(filter(None, str(metadata["commands"]).split(","))),
            scope=str(metadata["scope"]),
            form=str(metadata["form"]),
        )
    except (KeyError, ValueError, TypeError):
        return None
