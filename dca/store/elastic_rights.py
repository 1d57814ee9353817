"""Which rights at Elasticsearch each command needs, and the roles that give them; nothing here speaks to a server."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.store.elastic_door import FILLING, index_of
from dca.store.guard import EVERYWHERE, ROOT_LEVEL, SERVICE, action_of, application_of, privilege_of
from dca.store.schema import (
    ASSOCIATION,
    CLAIM,
    HOLD,
    KEY,
    KINDS,
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
    from collections.abc import Iterable, Mapping

    from dca.store.guard import Guarded, Row, Rows

ALL = (*KINDS, LOG)
GLOBAL_KINDS = frozenset((SITE, RATE, ROLE, LOGIN))
"""Kinds of records that only entries of the global stream change."""

READ, REFRESH, LOOK, MANAGE = "read", "maintenance", "view_index_metadata", "manage"
PUT, APPEND, DELETE = "index", "create_doc", "delete"
SPELLED: Mapping[str, tuple[str, ...]] = {
    APPEND: ("indices:data/write/bulk*", "indices:data/write/index:op_type/create"),
    PUT: ("indices:data/write/bulk*", "indices:data/write/index*"),
}
"""The actions that a role gives in the place of these privileges: by their names Elasticsearch also lets change mappings,
and what a mapping says can hide in a search what lies in the documents, or have every new one refused."""

CONTAINED: Mapping[str, frozenset[str]] = {MANAGE: frozenset((REFRESH, LOOK)), PUT: frozenset((APPEND,))}
"""Privileges that one has with another one."""

SEARCHED: Mapping[str, tuple[str, ...]] = {
    "list": (TENANT, PROJECT, ASSOCIATION, LOG),
    "rate get": (RATE,),
    "transaction charge": (HOLD,),
    "transaction release": (HOLD, TENANT, LOG),
    "transaction holds": (HOLD, TENANT, LOG),
    "transaction list": (TRANSACTION, TENANT, LOG),
    "bill generate": (TRANSACTION, PAYMENT),
    "job undo": (TRANSACTION, TENANT, LOG),
    "log list": (LOG,),
    "log show": tuple(kind for kind in ALL if kind not in (SITE, KEY, CLAIM)),
    "log verify": ALL,
    "log repair": ALL,
    "log checkpoint": (TENANT, LOG),
    "backup": (TENANT, CLAIM, LOG),
    "restore": ALL,
    "store copy": (TENANT, CLAIM, LOG),
    "doctor": (HOLD, TENANT, LOG),
    "setup": (TRANSACTION, TENANT, LOG),
}
"""What a command searches, and therefore refreshes before; everything else it reads by id."""
LOOKED: Mapping[str, tuple[str, ...]] = {
    "log verify": ALL,
    "log repair": ALL,
    "backup": (LOG,),
    "store copy": (LOG,),
}
"""What a command looks at: an index that cannot be looked at would seem lost, and its records missing."""
OF_SECURITY = ("role", "login")
BENCH = "bench-"
"""What the prefix of books that are measured ends with, but for a random number."""
EVERYTHING = "*"
"""All privileges of an application."""


class Needs(NamedTuple):
    """Rights: of the cluster, and on indices and aliases, by their names behind the prefix."""

    cluster: tuple[str, ...]
    indices: Mapping[str, tuple[str, ...]]


def needs(command: str, row: Row) -> Needs:
    """Return the rights without which a command fails, or would leave undone what it should do.

    Whatever reads the books reads all kinds: an entry that another writer has not carried out yet is judged by the
    records that it changes, of whatever kind they are.
    """
    indices: dict[str, set[str]] = defaultdict(set)
    for kind in ALL if row.reads or row.writes else ():
        indices[kind].add(READ)
    for kind in SEARCHED.get(command, ()):
        indices[kind].add(REFRESH)
    for kind in LOOKED.get(command, ()):
        indices[kind].add(LOOK)
    for kind in _written(row.writes):
        indices[kind].add(PUT if _is_mutable(kind) else APPEND)
    cluster = _further(command, row, indices)
    return _sorted(cluster, indices)


def _written(writes: Iterable[str]) -> set[str]:
    """Return the kinds that an entry's author writes: its records, the entry, and what carries the head of its stream."""
    written = {*writes}
    if not written:
        return written
    is_global = not written - GLOBAL_KINDS - {KEY}
    return written | {LOG, SITE if is_global else TENANT}


def _is_mutable(kind: str) -> bool:
    return kind in KINDS and KINDS[kind].mutable


def _further(command: str, row: Row, indices: dict[str, set[str]]) -> set[str]:
    """Add what a command needs beyond reading and booking; return the rights of the cluster."""
    cluster: set[str] = set()
    if command in ("setup", "restore"):
        cluster |= {"monitor", "manage_ingest_pipelines"}
        for kind in ALL:
            indices[kind].add(MANAGE)
            indices[f"{kind}-v*"].add(
                "all"
            )  # an alias is given only to an index on which one has as much as on the alias
    if command == "restore":
        for kind in ALL:
            indices[f"{kind}{FILLING}*"] |= {MANAGE, PUT if _is_mutable(kind) else APPEND}
    if command == "log repair":
        for kind in ALL[:-1]:
            indices[kind] |= {PUT, DELETE}
    if command == "bench":
        cluster |= {"monitor", "manage_ingest_pipelines"}
        indices[f"{BENCH}*"].add("all")
    if command.partition(" ")[0] in OF_SECURITY:
        cluster.add("manage_security" if row.writes else "read_security")
        indices[ROLE].add(REFRESH)
        indices[LOGIN].add(REFRESH)
    return cluster


def helps(command: str, row: Row) -> Needs:
    """Return rights that a command does without, but then says less: whether an index is lost, or what it cannot see."""
    indices = {kind: {LOOK} for kind in ALL if row.reads or row.writes}
    return _sorted(("monitor", "read_pipeline") if command == "doctor" else (), indices)


def _sorted(cluster: Iterable[str], indices: Mapping[str, Iterable[str]]) -> Needs:
    order = [*ALL, *sorted(name for name in indices if name not in ALL)]
    return Needs(tuple(sorted(cluster)), {name: _least(indices[name]) for name in order if indices.get(name)})


def _least(rights: Iterable[str]) -> tuple[str, ...]:
    """Return privileges without those that others of them contain."""
    listed = frozenset(rights)
    contained = frozenset().union(*(CONTAINED.get(right, frozenset()) for right in listed))
    return tuple(sorted(listed - contained))


def is_for_root(command: str, row: Row) -> bool:
    """Tell whether a command needs rights with which whoever has them can rewrite the books, or give himself any right.

    With direct access only root has these commands.
    """
    wanted = needs(command, row)
    if any(right.startswith("manage") for right in wanted.cluster):
        return True
    return any(
        {MANAGE, DELETE, "all"} & {*rights} or (PUT in rights and not _is_mutable(name))
        for name, rights in wanted.indices.items()
    )


def union(all_needs: Iterable[Needs]) -> Needs:
    """Return all rights together."""
    cluster: set[str] = set()
    indices: dict[str, set[str]] = defaultdict(set)
    for one in all_needs:
        cluster |= {*one.cluster}
        for name, rights in one.indices.items():
            indices[name] |= {*rights}
    return _sorted(cluster, indices)


def given(indices: Mapping[str, tuple[str, ...]], prefix: str) -> list[dict[str, Any]]:
    """Return rights on indices as a role gives them: names with the same rights together.

    Whoever may do something through an alias may do it in the index behind it: when a role or privilege of anybody changes
    in the middle of a request, Elasticsearch asks again for the rest of it, and then by the name of the index.
    """
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, rights in indices.items():
        spelled = {one for right in rights for one in SPELLED.get(right, (right,))}
        if spelled:
            names[tuple(sorted(spelled))] += [prefix + name, *([index_of(prefix, name)] if name in ALL else [])]
    return [{"names": listed, "privileges": list(rights)} for rights, listed in names.items()]


def asked(indices: Mapping[str, tuple[str, ...]], prefix: str) -> list[dict[str, Any]]:
    """Return rights on indices as they are asked for: by name, as others may have given them, and by their actions."""
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, rights in indices.items():
        if rights:
            spelled = {one for right in rights for one in SPELLED.get(right, ())}
            names[tuple(sorted({*rights, *spelled}))].append(prefix + name)
    return [{"names": listed, "privileges": list(rights)} for rights, listed in names.items()]


def has(answered: Mapping[str, bool], right: str) -> bool:
    """Tell from an answer whether the caller has a right, by its name or by its actions."""
    spelled = SPELLED.get(right, ())
    return answered[right] or (bool(spelled) and all(answered[one] for one in spelled))


def role_body(role: Guarded, application: str, prefix: str, rows: Rows) -> dict[str, Any]:
    """Return a role as Elasticsearch takes it.

    The direct form has the least rights on indices that its commands need. Below root it leaves out the commands that are
    for root alone: Elasticsearch's own right to manage security is as good as root, and who may destroy or replace an
    index may rewrite the log.
    """
    is_direct, is_root = role.form != SERVICE, role.level >= ROOT_LEVEL and not role.scope
    commands = [words for words in rows if words in role.commands]
    if is_direct and not is_root:
        commands = [words for words in commands if not is_for_root(words, rows[words])]
    body: dict[str, Any] = {
        "applications": _of_root(application, prefix)
        if is_root
        else _applications(commands, role.scope, application, rows),
        "metadata": {
            "dca": {
                "role": role.name,
                "level": role.level,
                "commands": ",".join(commands),
                "scope": role.scope,
                "form": role.form,
                "books": prefix,
            }
        },
    }
    if is_direct:
        wanted = union([one(words, rows[words]) for words in commands for one in (needs, helps)])
        body["cluster"] = list(wanted.cluster)
        body["indices"] = given(wanted.indices, prefix)
        if is_root:
            body["cluster"] = sorted({*wanted.cluster, "manage_security"})
            body["run_as"] = [EVERYWHERE]
    return {"description": _description(role), **body}


def _of_root(application: str, prefix: str) -> list[dict[str, Any]]:
    """Return the privileges of root: everything, before anybody registered it, and on the books of a bench."""
    names = (application, f"{application_of(f'{prefix}{BENCH}')}*")
    return [{"application": name, "privileges": [EVERYTHING], "resources": [EVERYWHERE]} for name in names]


def _applications(commands: list[str], scope: str, application: str, rows: Rows) -> list[dict[str, Any]]:
    permitted: dict[str, list[str]] = defaultdict(list)
    for words in commands:
        permitted[EVERYWHERE if rows[words].everywhere or not scope else scope].append(privilege_of(words))
    return [
        {"application": application, "privileges": privileges, "resources": [resource]}
        for resource, privileges in permitted.items()
    ]


def _description(role: Guarded) -> str:
    where = f" on {role.scope}" if role.scope else ""
    return f"dca: the commands of {role.name}{where}, level {role.level}, {role.form} form."


def registration(application: str, rows: Rows) -> dict[str, Any]:
    """Return the commands as privileges of an application, as Elasticsearch takes them."""
    return {
        application: {
            privilege_of(words): {"actions": [action_of(words)], "metadata": {"command": words}} for words in rows
        }
    }
