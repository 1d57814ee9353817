"""Users and API keys as Elasticsearch itself keeps them, as far as they are about one set of books."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dca.core.errors import NotFoundError, RefusedError
from dca.core.names import shown
from dca.store.elastic_security import Security, check_login, check_role
from dca.store.guard import Account, application_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dca.store.elastic_door import Door

KEPT = ("full_name", "email", "metadata", "enabled")
"""What a user loses when it is written without."""
NATIVE = "native"
KEY_MAKER = "@keys"
"""The role that lets its holder make keys; no role of dca's is called so. A user has it while a key is made for it."""
PASSWORD_BYTES = 32


class Accounts:
    """Users, roles and keys of one set of books."""

    def __init__(self, door: Door, deadline: Callable[[], float]) -> None:
        """Take the door, and what says until when a request that begins now may take."""
        self._security = Security(door, deadline)
        self._prefix = door.address.prefix
        self.application = application_of(self._prefix)

    def name_of(self, granted: str) -> str:
        """Return what a role of these books is called at Elasticsearch."""
        return f"{self.application}.{check_role(granted)}"

    def own_roles(self) -> dict[str, dict[str, Any]]:
        """Return the roles of these books as Elasticsearch has them, by its names."""
        listed = self._security.ask("look at the roles", "GET", "role")
        return {name: body for name, body in listed.items() if self._is_named(name) and self.is_ours(body)}

    def is_ours(self, body: Mapping[str, Any]) -> bool:
        """Tell whether the metadata of a role say that it is of these books."""
        of_dca = body.get("metadata", {}).get("dca")
        return isinstance(of_dca, dict) and of_dca.get("books") == self._prefix

    def _is_named(self, name: str) -> bool:
        return name.startswith(f"{self.application}.")

    # -- users -----------------------------------------------------------------------------------------------------

    def account(self, login: str) -> Account | None:
        """Return a user that Elasticsearch itself keeps."""
        user = self._user(login, "look at the login")
        return self._read(user) if user is not None else None

    def accounts(self) -> list[Account]:
        """Return all users who have to do with these books."""
        listed = self._security.ask("look at the logins", "GET", "user")
        found = map(self._read, listed.values())
        return sorted(one for one in found if one.ours or one.roles)

    def _user(self, login: str, doing: str) -> dict[str, Any] | None:
        path = f"user/{quote(check_login(login), safe='')}"
        found: dict[str, Any] | None = self._security.reach(doing, "GET", path).body.get(login)
        return found

    def _read(self, user: Mapping[str, Any]) -> Account:
        begin = f"{self.application}."
        own = [name.removeprefix(begin) for name in user["roles"] if self._is_named(name)]
        return Account(
            login=user["username"],
            roles=tuple(sorted(name for name in own if name != KEY_MAKER)),
            others=tuple(sorted(name for name in user["roles"] if not self._is_named(name))),
            enabled=user["enabled"],
            ours=self._prefix in _books(user),
            reserved=bool(user["metadata"].get("_reserved")),
        )

    def _needed(self, login: str, doing: str) -> dict[str, Any]:
        user = self._user(login, doing)
        if user is None:
            raise NotFoundError(
                f"cannot {doing}: Elasticsearch keeps no user {login}; those of LDAP and other realms are changed there."
            )
        if self._read(user).reserved:
            raise RefusedError(f"cannot {doing}: {login} is a user of Elasticsearch's own, which dca leaves alone.")
        return user

    def _own(self, login: str, doing: str) -> dict[str, Any]:
        """Return a user whom dca made for these books alone, so that nobody else is concerned."""
        user = self._needed(login, doing)
        if _books(user) != [self._prefix]:
            raise RefusedError(
                f"cannot {doing}: the user {login} was not made by dca for these books alone; do it with Elasticsearch, or "
                "take only the roles away (dca role revoke)."
            )
        return user

    def put_account(self, login: str, roles: Sequence[str], password: str | None) -> list[str]:
        """Write a user: a new one, or one with other roles of these books, and all else as it was."""
        doing = f"write the login {shown(login)}"
        user = self._user(login, doing)
        wanted = [self.name_of(granted) for granted in roles]
        self._refuse_unknown(wanted, user, doing)
        body: dict[str, Any] = {"password": password} if password is not None else {}
        if user is None:
            body |= {"metadata": {"dca": {"books": [self._prefix]}}, "roles": wanted}
            body.setdefault("password", secrets.token_urlsafe(PASSWORD_BYTES))
        else:
            user = self._needed(login, doing)
            others = [name for name in user["roles"] if not self._is_named(name)]
            body |= {**_kept(user), "roles": [*others, *wanted]}
            books = _books(user)
            if books and self._prefix not in books:
                body["metadata"] = {**user["metadata"], "dca": {"books": [*books, self._prefix]}}
        self._write(login, body, doing)
        return self.end_stale_keys(login)

    def _refuse_unknown(self, wanted: Sequence[str], user: Mapping[str, Any] | None, doing: str) -> None:
        """Refuse roles that are not there: Elasticsearch takes any name, and would give the role to him once it is made."""
        new = {*wanted} - {*(user["roles"] if user is not None else ())}
        missing = sorted(new - self.own_roles().keys()) if new else []
        if missing:
            raise NotFoundError(
                f"cannot {doing}: Elasticsearch has no role {missing[0]}; dca role install makes the usual ones."
            )

    def _write(self, login: str, body: Mapping[str, Any], doing: str) -> None:
        self._security.ask(doing, "PUT", f"user/{quote(login, safe='')}", body)

    def enable(self, login: str, *, enabled: bool) -> list[str]:
        """Let a user in, or shut him out: his keys would still let him in, so they end."""
        doing = f"{'enable' if enabled else 'disable'} the login {shown(login)}"
        if self._needed(login, doing)["enabled"] != enabled:
            self._own(login, doing)
            self._security.ask(doing, "PUT", f"user/{quote(login, safe='')}/_{'enable' if enabled else 'disable'}")
        return self.end_stale_keys(login)

    def drop_account(self, login: str) -> list[str]:
        """Delete a user, or take the roles of these books from one who is not ours alone; one who is gone is no error."""
        doing = f"delete the login {shown(login)}"
        user = self._user(login, doing)
        if user is not None:
            account = self._read(user)
            books = _books(self._needed(login, doing))
            if books == [self._prefix] and not account.others:
                self._security.reach(doing, "DELETE", f"user/{quote(login, safe='')}")
            else:
                body = {**_kept(user), "roles": list(account.others)}
                if self._prefix in books:
                    left = [one for one in books if one != self._prefix]
                    body["metadata"] = {**user["metadata"], "dca": {"books": left}}
                self._write(login, body, doing)
        return self.end_stale_keys(login)

    def set_password(self, login: str, password: str) -> None:
        """Give a user of ours another password."""
        doing = f"change the password of {shown(login)}"
        self._own(login, doing)
        self._security.ask(doing, "PUT", f"user/{quote(login, safe='')}/_password", {"password": password})
        self._security.renewed(login, password)

    def take_role(self, name: str) -> None:
        """Take a role from all users who have it, so that nobody has it if it is made again."""
        doing = "take away the role"
        for login, user in self._security.ask(doing, "GET", "user").items():
            if name in user["roles"]:
                self._write(login, {**_kept(user), "roles": [one for one in user["roles"] if one != name]}, doing)

    # -- keys ------------------------------------------------------------------------------------------------------

    def make_key(self, login: str, name: str, days: int | None) -> dict[str, object]:
        """Make a key by running as its owner, who may make keys for that moment only.

        Of somebody who also has other roles it gets none but those of these books.
        """
        doing = f"make an API key for {shown(login)}"
        user = self._needed(login, doing)
        account = self._read(user)
        if not account.enabled:
            raise RefusedError(f"cannot {doing}: the login is disabled.")
        own = [self.name_of(granted) for granted in account.roles]
        body: dict[str, Any] = {"name": name, "metadata": {"dca": {"books": self._prefix, "roles": own}}}
        if days is not None:
            body["expiration"] = f"{days}d"
        if account.others:
            there = self.own_roles()
            body["role_descriptors"] = {one: _descriptor(there[one]) for one in own if one in there} or {"none": {}}
        made = self._made_as(user, body, doing)
        return {name: made.get(field) for name, field in
                (("id", "id"), ("name", "name"), ("encoded", "encoded"), ("expires", "expiration"))}  # fmt: skip

    def _made_as(self, user: Mapping[str, Any], body: Mapping[str, Any], doing: str) -> dict[str, Any]:
        login, kept = user["username"], _kept(user)
        helper = f"{self.application}.{KEY_MAKER}"
        lasting = [name for name in user["roles"] if name != helper]
        role = {"cluster": ["manage_own_api_key"], "metadata": {"dca": {"books": self._prefix}}}
        self._security.ask(doing, "PUT", f"role/{quote(helper, safe='')}", role)
        self._write(login, {**kept, "roles": [*lasting, helper]}, doing)
        try:
            made: dict[str, Any] = self._security.ask(doing, "POST", "api_key", body, acting_as=login)
        finally:
            self._write(login, {**kept, "roles": lasting}, doing)
        return made

    def drop_keys(self, login: str) -> int:
        """End all keys of a user that reach these books."""
        return len(self._end([key for key in self._keys(check_login(login)) if self._reaches(key)]))

    def end_stale_keys(self, login: str = "") -> list[str]:
        """End the keys, of one user or of all, that still give what a role of these books or their owner lost since.

        A key keeps what its owner had when it was made, whatever becomes of him and of his roles. One whose role was given
        more stays as it was: a new version of dca must not shut out the hooks of a scheduler.
        """
        keys = [key for key in self._keys(login) if self._reaches(key)]
        if not keys:
            return []
        roles = self.own_roles()
        users = self._security.ask("look at the logins", "GET", "user")
        stale = [key for key in keys if self._is_stale(key, roles, users)]
        return [
            f"ended the API key {shown(key['name'])} of {key['username']}, which would have kept what was taken away"
            for key in self._end(stale)
        ]

    def _keys(self, login: str) -> list[dict[str, Any]]:
        of_one = f"&username={quote(login, safe='')}" if login else ""
        path = f"api_key?active_only=true&with_limited_by=true{of_one}"
        listed: list[dict[str, Any]] = self._security.ask("look at the API keys", "GET", path)["api_keys"]
        return listed

    def _reaches(self, key: Mapping[str, Any]) -> bool:
        return any(map(self._is_named, _limits(key))) or key["metadata"].get("dca", {}).get("books") == self._prefix

    def _is_stale(
        self, key: Mapping[str, Any], roles: Mapping[str, dict[str, Any]], users: Mapping[str, dict[str, Any]]
    ) -> bool:
        owner = users.get(key["username"])
        if key["realm_type"] == NATIVE and (owner is None or not owner["enabled"]):
            return True
        for name, body in _limits(key).items():
            if not self._is_named(name) or name.endswith(f".{KEY_MAKER}"):
                continue
            if name not in roles or not _rights(body) <= _rights(roles[name]):
                return True
            if key["realm_type"] == NATIVE and owner is not None and name not in owner["roles"]:
                return True
        return False

    def _end(self, keys: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        if keys:
            self._security.ask("end API keys", "DELETE", "api_key", {"ids": [key["id"] for key in keys]})
        return keys


def _books(user: Mapping[str, Any]) -> list[str]:
    """Return the prefixes of the books for which dca made a user; none if it did not."""
    of_dca = user["metadata"].get("dca")
    books = of_dca.get("books") if isinstance(of_dca, dict) else None
    return [str(one) for one in books] if isinstance(books, list) else []


def _kept(user: Mapping[str, Any]) -> dict[str, Any]:
    return {name: user[name] for name in KEPT}


def _limits(key: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the roles that the owner of a key had when it was made, by name."""
    return {name: body for limit in key.get("limited_by", ()) for name, body in limit.items()}


def _descriptor(role: Mapping[str, Any]) -> dict[str, Any]:
    return {part: role.get(part, []) for part in ("cluster", "indices", "applications", "run_as")}


def _rights(role: Mapping[str, Any]) -> set[tuple[object, ...]]:
    """Return the rights of a role, one by one."""
    rights: set[tuple[object, ...]] = {("cluster", one) for one in role.get("cluster", ())}
    rights |= {("run as", one) for one in role.get("run_as", ())}
    for group in role.get("indices", ()):
        restricted = bool(group.get("allow_restricted_indices"))
        rights |= {("index", name, one, restricted) for name in group["names"] for one in group["privileges"]}
    for given in role.get("applications", ()):
        on = [(given["application"], resource) for resource in given["resources"]]
        rights |= {("application", *where, one) for where in on for one in given["privileges"]}
    return rights
