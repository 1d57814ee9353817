"""Making, checking and destroying the indices of the books in Elasticsearch."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from dca.core.errors import DamagedError, RefusedError, UnreachableError
from dca.store.elastic_door import MISSING
from dca.store.indices import NAMES, load
from dca.store.schema import LOG, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.store.elastic_door import Door

VERSION_MIN = (8, 19)
SETTING_UP, WIPING = "set up the books", "destroy the books"
NO_PIPELINE = "_none"
IF_THERE = "?ignore_unavailable=true"
ALREADY_THERE = "resource_already_exists_exception"
SECURITY_OFF = frozenset((400, MISSING, 405))
"""What a server without security answers when asked who is asking: it has no such page."""

PIPELINE: dict[str, Any] = {
    "description": "Stamps every log entry of dca with the user who wrote it.",
    "_meta": {"dca": {"schema": VERSION}},
    "processors": [
        {
            "set_security_user": {
                "field": "author",
                "properties": ["username", "realm", "authentication_type", "api_key"],
            }
        }
    ],
}


def user(door: Door, until: float) -> str:
    """Return who the caller is for Elasticsearch; empty where its security is switched off."""
    doing = "ask who is asking"
    answer = door.call(doing, "GET", "/_security/_authenticate", seconds=until - time.monotonic())
    if answer.status in SECURITY_OFF:
        return ""
    return str(door.body_of(answer, doing)["username"])


def setup(door: Door, wait_seconds: float) -> list[str]:
    """Make what is missing, and nothing else; return what was done and what the administrator must know.

    It can be stopped at any point and run again, and two may run at once: every step is one request that either makes the
    whole thing or finds it made.
    """
    until = time.monotonic() + wait_seconds
    _check_version(door, until)
    signed = bool(user(door, until))
    _check(door, _present(door, until), signed=signed)
    done = _make_pipeline(door, until) if signed else []
    done += _make_all(door, _present(door, until), until, signed=signed)
    present = _present(door, until)
    _check(door, present, signed=signed)
    for name in NAMES:
        if _index(door, name) not in present:
            raise UnreachableError(f"cannot {SETTING_UP}: the index {_index(door, name)} cannot be seen; is it closed?")
    return [*done, *_warnings(door, present, until, signed=signed)]


def wipe(door: Door, wait_seconds: float) -> None:
    """Delete the indices and the pipeline of these books; refused if one of that name is not ours.

    The log goes last: as long as it is there, what went before can be made again from it.
    """
    until = time.monotonic() + wait_seconds
    present = _present(door, until)
    for name in NAMES:
        index = _index(door, name)
        if index in present and not _is_ours(present[index]["mappings"]):
            raise RefusedError(f"the index {index} at {door.hosts} was not made by dca; nothing was destroyed.")
    pipeline = _own_pipeline(door, until)
    records = ",".join(_index(door, name) for name in NAMES if name != LOG)
    for path in (
        records + IF_THERE,
        _index(door, LOG) + IF_THERE,
        *([f"_ingest/pipeline/{pipeline}"] if pipeline else []),
    ):
        answer = door.call(WIPING, "DELETE", f"/{path}", seconds=until - time.monotonic())
        if answer.status != MISSING:
            door.body_of(answer, WIPING)


def _alias(door: Door, name: str) -> str:
    return f"{door.address.prefix}{name}"


def _index(door: Door, name: str) -> str:
    return f"{_alias(door, name)}-v{VERSION}"


def _pipeline(door: Door) -> str:
    return f"{door.address.prefix}dca-author"


def _check_version(door: Door, until: float) -> None:
    number = str(door.ask(SETTING_UP, "GET", "/", until=until)["version"]["number"])
    match = re.match(r"(\d+)\.(\d+)", number)
    if match is None or (int(match[1]), int(match[2])) < VERSION_MIN:
        wanted = ".".join(map(str, VERSION_MIN))
        raise UnreachableError(f"cannot {SETTING_UP}: {door.hosts} runs Elasticsearch {number}; dca needs {wanted} or newer.")


def _present(door: Door, until: float) -> dict[str, Any]:
    """Return the indices that have one of our names or aliases: by name, with aliases, mappings and settings."""
    names = [named(door, name) for name in NAMES for named in (_alias, _index)]
    path = f"/{','.join(names)}{IF_THERE}&flat_settings=true"
    present: dict[str, Any] = door.ask(SETTING_UP, "GET", path, until=until)
    return present


def _check(door: Door, present: Mapping[str, Any], *, signed: bool) -> None:
    """Refuse what is in our way, or is not as it must be."""
    ours = {_index(door, name): name for name in NAMES}
    aliases = {_alias(door, name): _index(door, name) for name in NAMES}
    for index, state in present.items():
        if index not in ours:
            taken = sorted({index, *state["aliases"]} & aliases.keys())
            raise RefusedError(
                f"the index {index} at {door.hosts} has the name {', '.join(taken)}, which dca needs; nothing was changed: "
                "choose a prefix of its own for the books."
            )
        for alias in state["aliases"]:
            if aliases.get(alias, index) != index:
                raise RefusedError(f"the alias {alias} at {door.hosts} leads to {index}; nothing was changed: remove it.")
        _check_mappings(door, index, ours[index], state["mappings"])
        _check_settings(door, index, state["settings"], signed=signed)


def _is_ours(mappings: Mapping[str, Any]) -> bool:
    return "dca" in mappings.get("_meta", {})


def _check_mappings(door: Door, index: str, name: str, mappings: Mapping[str, Any]) -> None:
    if not _is_ours(mappings):
        raise RefusedError(
            f"the index {index} at {door.hosts} was not made by dca; nothing was changed: "
            "choose a prefix of its own for the books."
        )
    field = difference(load(name)["mappings"], mappings)
    if field:
        raise DamagedError(
            f"the index {index} at {door.hosts} is not as dca made it: {field} differs; nothing was changed: "
            "restore the index from a snapshot."
        )


def difference(ours: object, theirs: object, path: str = "") -> str:
    """Return the first place where two mappings differ, by the names of fields; empty if they are the same."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return "" if ours == theirs else path.removeprefix(".").replace("properties.", "")
    for name in sorted(ours.keys() | theirs.keys()):
        found = difference(ours.get(name), theirs.get(name), f"{path}.{name}")
        if found:
            return found
    return ""


def _check_settings(door: Door, index: str, settings: Mapping[str, Any], *, signed: bool) -> None:
    where = f"the index {index} at {door.hosts}"
    if settings.get("index.translog.durability", "request") != "request":
        raise RefusedError(
            f"{where} has index.translog.durability = async, which loses the commits of the last seconds when the power "
            "fails; set it to request."
        )
    if settings.get("index.default_pipeline", NO_PIPELINE) != NO_PIPELINE:
        raise RefusedError(f"{where} has an index.default_pipeline, which would change the books; remove it.")
    final = settings.get("index.final_pipeline", NO_PIPELINE)
    if final == NO_PIPELINE:
        return
    if index != _index(door, LOG) or final != _pipeline(door):
        raise RefusedError(f"{where} has index.final_pipeline = {final}, which dca did not set; remove it.")
    if not signed:
        raise RefusedError(
            f"{where} stamps its entries with their authors, but the security of Elasticsearch was switched off; "
            "switch it on again."
        )


def _make_pipeline(door: Door, until: float) -> list[str]:
    if _own_pipeline(door, until):
        return []
    door.ask(SETTING_UP, "PUT", f"/_ingest/pipeline/{_pipeline(door)}", PIPELINE, until=until)
    return [f"created the ingest pipeline {_pipeline(door)}, which stamps log entries with their authors"]


def _own_pipeline(door: Door, until: float) -> str:
    """Return the name of our pipeline if it is there; refuse a foreign one of that name."""
    name = _pipeline(door)
    answer = door.call(SETTING_UP, "GET", f"/_ingest/pipeline/{name}", seconds=until - time.monotonic())
    if answer.status == MISSING:
        return ""
    if door.body_of(answer, SETTING_UP)[name].get("processors") != PIPELINE["processors"]:
        raise RefusedError(f"the ingest pipeline {name} at {door.hosts} was not made by dca; nothing was changed: remove it.")
    return name


def _make_all(door: Door, present: Mapping[str, Any], until: float, *, signed: bool) -> list[str]:
    """Make all indices at once: each alone waits for the disks of the whole cluster."""
    from concurrent.futures import ThreadPoolExecutor

    def make(name: str) -> list[str]:
        return _make(door, name, present, until, signed=signed)

    with ThreadPoolExecutor(len(NAMES)) as makers:
        return [line for lines in makers.map(make, NAMES) for line in lines]


def _make(door: Door, name: str, present: Mapping[str, Any], until: float, *, signed: bool) -> list[str]:
    """Make one index with its alias, or what is missing of it."""
    index, alias = _index(door, name), _alias(door, name)
    pipeline = {"final_pipeline": _pipeline(door)} if signed and name == LOG else {}
    if index not in present:
        body = load(name)
        settings = {"index": {**body["settings"]["index"], **pipeline}}
        wanted = {"settings": settings, "mappings": body["mappings"], "aliases": {alias: {}}}
        answer = door.call(SETTING_UP, "PUT", f"/{index}", wanted, seconds=until - time.monotonic())
        if answer.kind == ALREADY_THERE:
            return []
        door.body_of(answer, SETTING_UP)
        return [f"created the index {index} with the alias {alias}"]
    done = []
    if alias not in present[index]["aliases"]:
        door.ask(SETTING_UP, "PUT", f"/{index}/_alias/{alias}", until=until)
        done.append(f"gave the index {index} its alias {alias} back")
    if pipeline and present[index]["settings"].get("index.final_pipeline", NO_PIPELINE) == NO_PIPELINE:
        door.ask(SETTING_UP, "PUT", f"/{index}/_settings", {"index": pipeline}, until=until)
        done.append(f"log entries in {index} are stamped with their authors from now on")
    return done


def _warnings(door: Door, present: Mapping[str, Any], until: float, *, signed: bool) -> list[str]:
    """Return what the administrator must know, as long as it is so."""
    listed = []
    if not signed:
        listed.append(
            f"the security of {door.hosts} is switched off: log entries are unsigned, and whoever reaches it can change the books"
        )
    log = _index(door, LOG)
    answer = door.call(SETTING_UP, "GET", "/_cluster/health", seconds=until - time.monotonic())
    nodes = answer.body.get("number_of_data_nodes", 1) if isinstance(answer.body, dict) else 1
    if nodes > 1 and present[log]["settings"].get("index.number_of_replicas") == "0":
        listed.append(f"the index {log} has no replica although there are {nodes} data nodes: set index.number_of_replicas to 1")
    return listed
