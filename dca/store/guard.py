"""The guard port: permissions that a store itself keeps and enforces, and how it calls them.

Elasticsearch is such a store: its roles and users are the truth there, and what the books say of them is a mirror for
the log. SQLite and memory are none: there the books decide.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from dca.core.permissions import Definition

EVERYWHERE = "*"
"""The resource that stands for the whole site."""
BY_KEY = "api_key"
"""How a caller is known who comes with an API key."""
DIRECT, SERVICE = "direct", "service"
"""Forms of a role: for people who reach the store themselves, and for those who reach it through a service only."""
ROOT_LEVEL = 100


class Row(NamedTuple):
    """What the store must know of a command to guard it."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    everywhere: bool = False
    """Whether it is about the whole site, and given with every role that has it whatever the role's scope."""


Rows = Mapping[str, Row]
"""Rows of the table of commands, by the command's words, in its order."""


class Lack(NamedTuple):
    """What a caller lacks to run a command; false if nothing."""

    permission: bool
    """Whether the command is permitted on none of the resources."""
    rights: tuple[str, ...]
    """Rights on what the store keeps, as people read them: "create_doc on transaction", "cluster monitor"."""

    def __bool__(self) -> bool:
        """Tell whether anything is lacking."""
        return self.permission or bool(self.rights)


NOTHING = Lack(permission=False, rights=())


Guarded = Definition
"""A role as the store holds it."""


class Account(NamedTuple):
    """A user as the store holds it."""

    login: str
    roles: tuple[str, ...]
    """Roles of these books, as they are granted: "operator", "viewer@tenant/acme"."""
    others: tuple[str, ...]
    """All other roles."""
    enabled: bool
    ours: bool
    """Whether dca made it for these books."""
    reserved: bool


class Holding(NamedTuple):
    """What a user may do, by all roles: those of these books and all others."""

    roles: tuple[str, ...]
    commands: Mapping[str, Collection[str]]
    """The commands that are permitted, by resource."""


class Caller(NamedTuple):
    """Who asks, for the store."""

    login: str
    realm: str
    kind: str
    """How the caller is known: "realm" by a password, BY_KEY by a key; empty where security is switched off."""
    roles: tuple[str, ...]
    """All roles; those that it was made with for a key of dca's, none for another key."""
    root: bool
    """Whether the caller may change roles and users: that is as good as every other right."""


class Guard(Protocol):
    """A store that keeps and enforces permissions.

    What changes roles and users can be run again: it leaves what is done already. It returns what else had to be done,
    in sentences, such as which API keys were ended: a key keeps the rights that its owner had when it was made.
    """

    application: str
    """Under which the permissions of these books are kept; what roles of these books are called begins with it and a dot."""

    def on(self) -> bool:
        """Tell whether it is switched on; if not, everybody may do everything."""

    def lack(self, command: str, resources: Sequence[str]) -> Lack:
        """Return what the caller lacks to run a command on any of some resources; what is allowed is remembered for 30 s."""

    def caller(self) -> Caller:
        """Return who asks."""

    def may(self) -> dict[str, list[str]]:
        """Return which commands the caller is permitted to run, by resource."""

    def is_for_root(self, command: str) -> bool:
        """Tell whether a command needs rights that are as good as root, so that directly only root has it."""

    def register(self) -> list[str]:
        """Make the commands known as privileges; return what was done."""

    def roles(self) -> list[Guarded]:
        """Return the roles of these books."""

    def put_role(self, role: Guarded) -> list[str]:
        """Make a role, or give it other commands."""

    def drop_role(self, granted: str) -> list[str]:
        """Delete a role, by the name under which it is granted, and take it from all who have it."""

    def account(self, login: str) -> Account | None:
        """Return a user; None if there is none, or if the user is kept by another realm, such as LDAP."""

    def accounts(self) -> list[Account]:
        """Return the users whom dca made for these books, or who have a role of them."""

    def holdings(self) -> Mapping[str, Holding]:
        """Return what each of these users may do; DeniedError where the caller may not know."""

    def put_account(self, login: str, roles: Sequence[str], password: str | None) -> list[str]:
        """Make a user, or give one other roles of these books; a new one without a password can only use keys."""

    def enable(self, login: str, *, enabled: bool) -> list[str]:
        """Let a user in, or shut him out with all his keys."""

    def drop_account(self, login: str) -> list[str]:
        """Delete a user whom dca made for these books alone; from others only take the roles of these books."""

    def set_password(self, login: str, password: str) -> None:
        """Give a user another password."""

    def make_key(self, login: str, name: str, days: int | None) -> dict[str, object]:
        """Make an API key that acts as a user: id, name, encoded and expires (milliseconds, or None)."""

    def drop_keys(self, login: str) -> int:
        """End all keys of a user that reach these books; return how many."""


def application_of(prefix: str) -> str:
    """Return the application under which the permissions of books are kept: each books' are its own."""
    return f"dca-{prefix}" if prefix else "dca"


def privilege_of(command: str) -> str:
    """Return what the permission to run a command is called."""
    return command.replace(" ", ".")


def action_of(command: str) -> str:
    """Return what running a command is called."""
    return f"command:{command.replace(' ', '/')}"
