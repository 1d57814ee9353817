"""Making, checking and destroying the indices of the books in Elasticsearch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dca.core.errors import DamagedError, RefusedError, UnreachableError
from dca.store.elastic_door import FILLING, MISSING, Request, index_of, loss
from dca.store.indices import NAMES, load
from dca.store.schema import LOG, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dca.store.elastic_door import Answer, Door

VERSION_MIN = (8, 19)
SETTING_UP, WIPING, ASKING = "set up the books", "destroy the books", "ask who is asking"
NO_PIPELINE = "_none"
FIELDS_MAX = "index.mapping.total_fields.limit"
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


class Indices:
    """The indices of one set of books, each `<prefix><name>-v<schema>` behind its alias `<prefix><name>`."""

    def __init__(self, door: Door, until: float, doing: str = SETTING_UP) -> None:
        """Take the door, until when everything must be done, on the monotonic clock, and what it is for."""
        self._door = door
        self._until = until
        self._doing = doing
        self._host = door.hosts
        self._prefix = door.address.prefix
        self.aliases = {name: f"{door.address.prefix}{name}" for name in NAMES}
        self.names = {name: index_of(door.address.prefix, name) for name in NAMES}
        self.pipeline = f"{door.address.prefix}dca-author"

    def user(self) -> str:
        """Return who the caller is for Elasticsearch; empty where its security is switched off."""
        request = Request(ASKING, "GET", "/_security/_authenticate")
        answer = self._reach(request)
        return "" if answer.status in SECURITY_OFF else str(self._door.body_of(answer, request)["username"])

    def setup(self, register: Callable[[], list[str]] = list) -> list[str]:
        """Make what is missing, and nothing else; return what was done and what the administrator must know.

        With security, register is called to make the commands known to it.

        It can be stopped at any point and run again, and two may run at once: every step is one request that either
        makes the whole thing or finds it made. An index that was lost from books in use is not made: an empty one in its
        place would make the books forget what it held.
        """
        self.check_version()
        signed = bool(self.user())
        present = self.present()
        self._check(present, signed=signed)
        if present:
            self._check_lost(present)
        done = self._make_pipeline() if signed else []
        done += self._make_all(self.present(), signed=signed)
        present = self.present()
        self._check(present, signed=signed)
        for index in self.names.values():
            if index not in present:
                raise UnreachableError(
                    f"cannot {SETTING_UP}: the index {index} at {self._host} is hidden; is it closed?"
                )
        done += register() if signed else []
        return [*done, *self._warnings(present, signed=signed)]

    def wipe(self) -> None:
        """Delete the indices and the pipeline of these books; refused if one of that name is not ours.

        The log goes last: as long as it is there, what went before can be made again from it.
        """
        present = self.present()
        for index in self.names.values():
            if index in present and not _is_ours(present[index]["mappings"]):
                raise RefusedError(f"the index {index} at {self._host} was not made by dca; nothing was destroyed.")
        pipelines = [f"_ingest/pipeline/{self.pipeline}"] if self._has_pipeline() else []
        records = ",".join(index for name, index in self.names.items() if name != LOG)
        for path in (records + IF_THERE, self.names[LOG] + IF_THERE, *pipelines):
            request = Request(WIPING, "DELETE", f"/{path}")
            answer = self._reach(request)
            if answer.status != MISSING:
                self._door.body_of(answer, request)

    def _reach(self, request: Request) -> Answer:
        return self._door.reach(request, until=self._until)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._door.ask(Request(self._doing, method, path, body), until=self._until)

    # -- checking ------------------------------------------------------------------------------------------------

    def check_version(self) -> str:
        """Return the version of the server; refuse one that is too old."""
        number = str(self._ask("GET", "/")["version"]["number"])
        match = re.match(r"(\d+)\.(\d+)", number)
        if match is None or (int(match[1]), int(match[2])) < VERSION_MIN:
            wanted = ".".join(map(str, VERSION_MIN))
            raise UnreachableError(
                f"cannot {self._doing}: {self._host} runs Elasticsearch {number}; dca needs {wanted} or newer."
            )
        return number

    def present(self) -> dict[str, Any]:
        """Return the indices that have one of our names or aliases: by name, with aliases, mappings and settings."""
        names = ",".join([*self.aliases.values(), *self.names.values()])
        present: dict[str, Any] = self._ask("GET", f"/{names}{IF_THERE}&flat_settings=true")
        return present

    def _check(self, present: Mapping[str, Any], *, signed: bool) -> None:
        """Refuse what is in our way, or is not as it must be."""
        self.check_names(present)
        for name, index in self.names.items():
            if index in present:
                self.check_mappings(name, present[index]["mappings"])
                self.check_settings(name, present[index]["settings"], signed=signed)

    def _check_lost(self, present: Mapping[str, Any]) -> None:
        """Refuse books in use of which an index is missing; another setup may just be making them all."""
        if present.keys() >= set(self.names.values()):
            return
        absent = self._door.absent(self._until)
        if absent is not None and absent.lost:
            raise DamagedError(f"cannot {SETTING_UP}: {loss(absent.lost, self._door.address)}")

    def check_names(self, present: Mapping[str, Any]) -> None:
        """Refuse indices and aliases of others that have our names."""
        names = set(self.names.values())
        owners = {self.aliases[name]: index for name, index in self.names.items()}
        for index, state in present.items():
            if index not in names:
                taken = ", ".join(sorted({index, *state["aliases"]} & owners.keys()))
                raise RefusedError(
                    f"the index {index} at {self._host} has the name {taken}, which dca needs; nothing was changed: "
                    "choose a prefix of its own for the books."
                )
            if is_being_filled(state):
                raise RefusedError(
                    f"the books at {self._host} are being filled by dca restore or dca store copy, or that was stopped; "
                    "run it again, or destroy them: dca setup --wipe."
                )
            for alias in state["aliases"]:
                if owners.get(alias, index) != index:
                    raise RefusedError(
                        f"the alias {alias} at {self._host} leads to {index}; nothing was changed: remove it."
                    )

    def check_mappings(self, name: str, mappings: Mapping[str, Any]) -> None:
        """Refuse an index of our name that is not ours, or whose fields are not as we made them."""
        index = self.names[name]
        if not _is_ours(mappings):
            raise RefusedError(
                f"the index {index} at {self._host} was not made by dca; nothing was changed: "
                "choose a prefix of its own for the books."
            )
        meta = mappings["_meta"]
        schema = meta["dca"].get("schema") if isinstance(meta["dca"], dict) else None
        if isinstance(schema, int) and schema > VERSION:
            raise UnreachableError(
                f"the index {index} at {self._host} was made by a newer dca (schema {schema}); install that version."
            )
        field = difference(load(name)["mappings"], mappings)
        if field:
            raise DamagedError(
                f"the index {index} at {self._host} is not as dca made it: {field} differs; nothing was changed: "
                "restore the index from a snapshot."
            )

    def check_settings(self, name: str, settings: Mapping[str, Any], *, signed: bool) -> None:
        """Refuse settings with which an index could lose or change what is written."""
        index = self.names[name]
        where = f"the index {index} at {self._host}"
        if settings.get("index.translog.durability", "request") != "request":
            raise RefusedError(
                f"{where} has index.translog.durability = async, which loses the commits of the last seconds when the "
                "power fails; set it to request."
            )
        if settings.get("index.default_pipeline", NO_PIPELINE) != NO_PIPELINE:
            raise RefusedError(f"{where} has an index.default_pipeline, which would change the books; remove it.")
        final = settings.get("index.final_pipeline", NO_PIPELINE)
        if final == NO_PIPELINE:
            return
        if name != LOG or final != self.pipeline:
            raise RefusedError(f"{where} has index.final_pipeline = {final}, which dca did not set; remove it.")
        if not signed:
            raise RefusedError(
                f"{where} stamps its entries with their authors, but the security of Elasticsearch was switched off; "
                "switch it on again."
            )

    # -- making --------------------------------------------------------------------------------------------------

    def _make_pipeline(self) -> list[str]:
        if self._has_pipeline():
            return []
        self._ask("PUT", f"/_ingest/pipeline/{self.pipeline}", PIPELINE)
        return [f"created the ingest pipeline {self.pipeline}, which stamps log entries with their authors"]

    def _has_pipeline(self) -> bool:
        """Tell whether our pipeline is there; refuse another one of its name."""
        request = Request(SETTING_UP, "GET", f"/_ingest/pipeline/{self.pipeline}")
        answer = self._reach(request)
        if answer.status == MISSING:
            return False
        there = self._door.body_of(answer, request)[self.pipeline]
        if there.get("processors") != PIPELINE["processors"]:
            raise RefusedError(
                f"the ingest pipeline {self.pipeline} at {self._host} was not made by dca; "
                "nothing was changed: remove it."
            )
        return True

    def _make_all(self, present: Mapping[str, Any], *, signed: bool) -> list[str]:
        """Make all indices at once: one after the other, each would wait for the disks of the whole cluster."""
        from concurrent.futures import ThreadPoolExecutor

        def make(name: str) -> list[str]:
            pipeline = {"final_pipeline": self.pipeline} if signed and name == LOG else {}
            there = present.get(self.names[name])
            return self._mend(name, there, pipeline) if there else self._make(name, pipeline)

        with ThreadPoolExecutor(len(NAMES)) as makers:
            return [line for lines in makers.map(make, NAMES) for line in lines]

    def _make(self, name: str, pipeline: Mapping[str, str]) -> list[str]:
        """Make an index together with its alias, unless somebody else has just done it."""
        index, alias = self.names[name], self.aliases[name]
        wanted = load(name)
        settings = {"index": {**wanted["settings"]["index"], **pipeline}}
        body = {"settings": settings, "mappings": wanted["mappings"], "aliases": {alias: {}}}
        request = Request(SETTING_UP, "PUT", f"/{index}", body)
        answer = self._reach(request)
        if answer.kind == ALREADY_THERE:
            return []
        self._door.body_of(answer, request)
        return [f"created the index {index} with the alias {alias}"]

    def _mend(self, name: str, there: Mapping[str, Any], pipeline: Mapping[str, str]) -> list[str]:
        """Give an index of ours the alias, the limit or the pipeline that it lacks."""
        index, alias = self.names[name], self.aliases[name]
        done = []
        if alias not in there["aliases"]:
            self._ask("PUT", f"/{index}/_alias/{alias}")
            done.append(f"gave the index {index} its alias {alias} back")
        limit = load(name)["settings"]["index"]["mapping"]["total_fields"]["limit"]
        if there["settings"].get(FIELDS_MAX) != str(limit):
            self._ask("PUT", f"/{index}/_settings", {FIELDS_MAX: limit})
            done.append(f"nobody adds fields to the index {index} from now on")
        if pipeline and there["settings"].get("index.final_pipeline", NO_PIPELINE) == NO_PIPELINE:
            self._ask("PUT", f"/{index}/_settings", {"index": pipeline})
            done.append(f"log entries in {index} are stamped with their authors from now on")
        return done

    def _warnings(self, present: Mapping[str, Any], *, signed: bool) -> list[str]:
        """Return what the administrator must know, as long as it is so."""
        listed = []
        if not signed:
            listed.append(
                f"the security of {self._host} is switched off: log entries are unsigned, "
                "and whoever reaches it can change the books"
            )
        answer = self._reach(Request(SETTING_UP, "GET", "/_cluster/health"))
        nodes = answer.body.get("number_of_data_nodes", 1) if isinstance(answer.body, dict) else 1
        log = self.names[LOG]
        if nodes > 1 and present[log]["settings"].get("index.number_of_replicas") == "0":
            listed.append(
                f"the index {log} has no replica although there are {nodes} data nodes: "
                "set its index.number_of_replicas to 1"
            )
        return listed


def _is_ours(mappings: Mapping[str, Any]) -> bool:
    return "dca" in mappings.get("_meta", {})


def is_being_filled(state: Mapping[str, Any]) -> bool:
    """Tell whether an index is being filled with books from elsewhere, or was when that was stopped."""
    return any(FILLING in alias for alias in state["aliases"])


def difference(ours: object, theirs: object, path: str = "") -> str:
    """Return the first place where two mappings differ, by the names of fields; empty if they are the same."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return "" if ours == theirs else path.removeprefix(".").replace("properties.", "")
    for name in sorted(ours.keys() | theirs.keys()):
        found = difference(ours.get(name), theirs.get(name), f"{path}.{name}")
        if found:
            return found
    return ""
