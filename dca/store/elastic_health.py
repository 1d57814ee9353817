"""An examination of books in Elasticsearch: it only reads, and says which privilege is missing where it may not."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from dca.core.errors import DcaError, DeniedError, UnreachableError
from dca.store import elastic_rights as rights
from dca.store.elastic_door import GOOD, MISSING, NOT_PERMITTED, Door, NoBooksError, Request, no_books, older
from dca.store.elastic_setup import NO_PIPELINE, PIPELINE, SECURITY_OFF, Indices
from dca.store.health import FAILED, NOTE, WARNING, Finding, amount, clocks, ok
from dca.store.indices import NAMES
from dca.store.schema import KINDS, LOG, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    Check: TypeAlias = Callable[[], Iterable[Finding]]

LOOKING = "look at the indices"
PING_SECONDS = 3.0
FLOOD, HIGH, LOW = 95.0, 90.0, 85.0
"""Percent of a disk in use at which Elasticsearch stops writes, moves shards away, and sends no new ones."""
READING = ("read",)
"""Index privileges that every reading command needs."""
SEARCHING = ("maintenance", "view_index_metadata")
"""What those need that search, which refresh first, or look for lost indices."""
SETTING_UP = ("create_index", "manage")
CLUSTER = ("monitor", "read_pipeline", "manage_ingest_pipelines")


class Examination:
    """One examination: what is asked, and what was learnt on the way."""

    def __init__(self, door: Door, until: float, *, now: int) -> None:
        """Take the door, until when all must be done, and the own clock in milliseconds."""
        self._door = door
        self._indices = Indices(door, until, LOOKING)
        self._until = until
        self._now = now
        self._began = time.monotonic()
        self._signed = False
        self._present: dict[str, Any] = {}
        self._data_nodes = 1

    def findings(self, heads: Callable[[], tuple[int, list[str]]]) -> Iterator[Finding]:
        """Yield a line for each thing looked at; an error where there is nothing to look at."""
        yield from self._hosts()
        yield from self._caller()
        of_server: tuple[tuple[str, Check], ...] = (
            ("server", self._server),
            ("privileges", self._privileges),
            ("disk", self._disk),
            ("clock", self._clock),
        )
        of_indices: tuple[tuple[str, Check], ...] = (
            ("indices", self._names),
            ("mappings", self._mappings),
            ("durability", self._durability),
            ("author", self._author),
            ("cluster", self._cluster),
            ("replicas", self._replicas),
        )
        of_books: tuple[tuple[str, Check], ...] = (
            ("pipeline", self._pipeline),
            ("shards", self._shards),
            ("heads", lambda: [_heads(*heads())]),
        )
        for name, check in of_server:
            yield from self._looked(name, check)
        try:
            self._present = self._indices.present()
        except DeniedError as denied:
            yield _unseen("indices", denied)
        else:
            if not self._present:
                raise NoBooksError(no_books(self._door.address, self._door.hosts))
            for name, check in of_indices:
                yield from self._looked(name, check)
        for name, check in of_books:
            yield from self._looked(name, check)

    def _looked(self, name: str, check: Check) -> Iterator[Finding]:
        """Yield what a check finds; what keeps it from looking is a line, too."""
        try:
            yield from check()
        except DeniedError as denied:
            yield _unseen(name, denied)
        except DcaError as error:
            yield Finding(name, FAILED, error.sentence.rstrip("."), "")

    def _ask(self, path: str, doing: str, method: str = "GET", body: Any = None) -> Any:
        return self._door.ask(Request(doing, method, path, body), until=self._until)

    # -- the server ----------------------------------------------------------------------------------------------

    def _hosts(self) -> Iterator[Finding]:
        """Ask each host by itself: a command would go on to the next and tell nobody."""
        address = self._door.address
        if len(address.hosts) == 1:
            return
        silent = []
        for host in address.hosts:
            door = Door(address._replace(hosts=(host,)))
            try:
                door.call(Request("reach it", "GET", "/"), seconds=PING_SECONDS)
            except UnreachableError:
                silent.append(host)
            finally:
                door.close()
        if silent and len(silent) < len(address.hosts):
            found = f"{len(silent)} of {len(address.hosts)} hosts do not answer: {', '.join(silent)}"
            yield Finding("hosts", WARNING, found, "start them, or take them out of hosts")
        elif not silent:
            yield ok("hosts", f"all {len(address.hosts)} answer")

    def _server(self) -> Iterator[Finding]:
        number = self._indices.check_version()
        yield ok("server", f"Elasticsearch {number} at {self._door.hosts}")

    def _caller(self) -> Iterator[Finding]:
        request = Request("ask who is asking", "GET", "/_security/_authenticate")
        answer = self._door.reach(request, until=self._until)
        if answer.status in SECURITY_OFF:
            yield Finding(
                "security", WARNING, "switched off: entries are unsigned, and whoever reaches the server can change the books",
                "switch it on (xpack.security.enabled: true), then run dca setup",
            )  # fmt: skip
            return
        body = self._door.body_of(answer, request)
        self._signed = True
        roles = ", ".join(body.get("roles", ())) or "none of its own"
        address = self._door.address
        plain = [host for host in address.hosts if host.startswith("http://") and not _is_near(host)]
        if plain:
            found = f"on, but {plain[0]} is spoken to without TLS: passwords can be read on the way"
            yield Finding("security", WARNING, found, "switch TLS on and write https:// in the address")
        else:
            yield ok("security", "on")
        kind = "API key of user" if address.api_key else "user"
        yield ok("caller", f"{kind} {body['username']}, roles: {roles}")

    def _privileges(self) -> Iterator[Finding]:
        """Ask which of the privileges that dca needs the caller has."""
        if not self._signed:
            return
        prefix = self._door.address.prefix
        booking = {name: ("index",) if name in KINDS and KINDS[name].mutable else ("create_doc",) for name in NAMES}
        wanted = {name: (*READING, *SEARCHING, *SETTING_UP, *booking[name]) for name in NAMES}
        body = {"cluster": list(CLUSTER), "index": rights.asked(wanted, prefix)}
        answer = self._ask("/_security/user/_has_privileges", "ask for the privileges", "POST", body)
        given = {name: answer["index"][self._indices.aliases[name]] for name in NAMES}

        def lacking(needed: Callable[[str], Iterable[str]]) -> list[str]:
            return [
                f"{one} on {prefix}{name}" for name in NAMES for one in needed(name) if not rights.has(given[name], one)
            ]

        reading = lacking(lambda name: READING)
        writing = [*lacking(lambda name: SEARCHING), *lacking(lambda name: booking[name])]
        making = lacking(lambda name: SETTING_UP)
        making += [f"cluster {one}" for one in CLUSTER[2:] if not answer["cluster"].get(one)]
        if reading:
            yield Finding("privileges", FAILED, f"reading lacks {_some(reading)}", "give the caller a role with them")
        elif writing:
            found = f"the caller may read and not do everything: {_some(writing)} is missing"
            yield Finding("privileges", NOTE, found, "right for auditors; who books needs a role with them")
        elif making:
            yield ok("privileges", f"the caller may read and change; dca setup would need {_some(making)}")
        else:
            yield ok("privileges", "the caller may read, change and set up")

    def _cluster(self) -> Iterator[Finding]:
        health = self._ask(f"/_cluster/health/{','.join(self._present)}", "look at the health of the cluster")
        self._data_nodes = health["number_of_data_nodes"]
        found = (
            f"{health['status']}, nodes: {health['number_of_nodes']}, unassigned shards: {health['unassigned_shards']}"
        )
        if health["status"] == "red":
            yield Finding("cluster", FAILED, found, "part of the books cannot be read: GET _cluster/allocation/explain")
        elif health["status"] == "yellow":
            yield Finding("cluster", WARNING, found, "copies are missing: GET _cluster/allocation/explain")
        else:
            yield ok("cluster", found)

    def _disk(self) -> Iterator[Finding]:
        """Hold each node's disk against the marks at which Elasticsearch stops taking documents."""
        path = "/_nodes/stats/fs?filter_path=nodes.*.name,nodes.*.roles,nodes.*.fs.total"
        nodes = self._ask(path, "look at the disks of the nodes")["nodes"].values()
        listed = [
            (100 - 100 * node["fs"]["total"]["available_in_bytes"] / node["fs"]["total"]["total_in_bytes"], node)
            for node in nodes
            if node["fs"].get("total", {}).get("total_in_bytes") and any("data" in role for role in node["roles"])
        ]
        if not listed:
            yield Finding("disk", NOTE, "the nodes do not tell about their disks", "look at GET _cat/allocation")
            return
        used, node = max(listed, key=lambda one: one[0])
        free = amount(node["fs"]["total"]["available_in_bytes"])
        found = f"{used:.0f} % in use on node {node['name']}, the fullest of {len(listed)}; {free} free"
        if used >= FLOOD:
            yield Finding("disk", FAILED, found, "make room: at 95 % Elasticsearch stops all writes")
        elif used >= HIGH:
            yield Finding("disk", WARNING, found, "make room: at 95 % Elasticsearch stops all writes")
        elif used >= LOW:
            yield Finding("disk", NOTE, found, "above 85 % Elasticsearch puts no new shards there")
        else:
            yield ok("disk", found)

    def _clock(self) -> Iterator[Finding]:
        before = time.monotonic()
        path = "/_nodes/stats/os?filter_path=nodes.*.name,nodes.*.os.timestamp"
        nodes = self._ask(path, "look at the clocks of the nodes")["nodes"].values()
        own = self._now + round(1000 * ((before + time.monotonic()) / 2 - self._began))
        ahead, name = max(
            ((node["os"]["timestamp"] - own, node["name"]) for node in nodes), key=lambda one: abs(one[0])
        )
        yield clocks("clock", f"the clock of node {name}", ahead)

    def _pipeline(self) -> Iterator[Finding]:
        if not self._signed:
            return
        name = self._indices.pipeline
        request = Request("look at the ingest pipeline", "GET", f"/_ingest/pipeline/{name}")
        answer = self._door.reach(request, until=self._until)
        if answer.status == MISSING:
            yield Finding("pipeline", FAILED, f"{name} is missing: no entry can be written", "run dca setup")
            return
        there = self._door.body_of(answer, request)[name]
        if there.get("processors") != PIPELINE["processors"] or there.get("on_failure"):
            found = f"{name} is not as dca made it: authors may be missing or wrong"
            yield Finding(
                "pipeline", FAILED, found, f"DELETE _ingest/pipeline/{name}, then run dca setup and dca log verify"
            )
        else:
            yield ok("pipeline", f"{name} is as dca made it")

    # -- the indices ---------------------------------------------------------------------------------------------

    def _each(self, check: Callable[[str, Any], None]) -> list[str]:
        """Return what a check says against our indices, one after the other."""
        said = []
        for name, index in self._indices.names.items():
            if index in self._present:
                try:
                    check(name, self._present[index])
                except DcaError as error:
                    said.append(error.sentence.rstrip(".").replace("; nothing was changed", ""))
        return said

    def _names(self) -> Iterator[Finding]:
        """See that each alias leads to its index and to nothing else."""
        try:
            self._indices.check_names(self._present)
        except DcaError as error:
            yield Finding("indices", FAILED, error.sentence.rstrip("."), "")
            return
        absent = None if {*self._indices.names.values()} <= self._present.keys() else self._door.absent(self._until)
        unmade = absent.unmade if absent is not None else []
        wrong = []
        for name, index in self._indices.names.items():
            if name in unmade:
                continue
            alias = self._indices.aliases[name]
            state = self._present.get(index)
            if state is None:
                wrong.append(f"{index} is missing or closed")
            elif alias not in state["aliases"]:
                wrong.append(f"{index} has lost its alias {alias}")
            elif state["aliases"][alias].get("is_write_index") is False:
                wrong.append(f"the alias {alias} refuses writes (is_write_index is false)")
            elif "filter" in state["aliases"][alias]:
                wrong.append(f"the alias {alias} hides documents by a filter")
            blocks = [key for key, value in (state or {"settings": {}})["settings"].items() if _is_block(key, value)]
            wrong += [f"{index} has {block} set" for block in blocks]
        if unmade and not wrong:
            yield Finding("indices", WARNING, older(unmade, self._door.address), "run dca setup")
            return
        yield _judged("indices", wrong, f"all {len(NAMES)} there, each behind its alias",
                      "dca setup makes what is missing or says how it comes back; take blocks away when there is room")  # fmt: skip

    def _mappings(self) -> Iterator[Finding]:
        wrong = self._each(lambda name, state: self._indices.check_mappings(name, state["mappings"]))
        good = f"schema {VERSION}, every field as dca makes it"
        yield _judged("mappings", wrong, good, "dca setup says what to do about it")

    def _durability(self) -> Iterator[Finding]:
        wrong = self._each(
            lambda name, state: self._indices.check_settings(name, state["settings"], signed=self._signed)
        )
        good = "translog durability request: a commit is on the disks when it is acknowledged"
        yield _judged("durability", wrong, good, "put the setting right, then run dca doctor again")

    def _author(self) -> Iterator[Finding]:
        """See that the log goes through the pipeline that stamps authors."""
        log = self._present.get(self._indices.names[LOG])
        if not self._signed or log is None:
            return
        if log["settings"].get("index.final_pipeline", NO_PIPELINE) != self._indices.pipeline:
            yield Finding("author", WARNING, "log entries are not stamped with their authors", "run dca setup")
        else:
            yield ok("author", "every log entry is stamped with its author by the server")

    def _replicas(self) -> Iterator[Finding]:
        counts = {
            index: int(state["settings"].get("index.number_of_replicas", 0)) for index, state in self._present.items()
        }
        bare = [index for index, count in counts.items() if not count]
        if not bare:
            yield ok("replicas", f"at least {min(counts.values())} of every index")
        elif self._data_nodes > 1:
            advice = "set index.auto_expand_replicas to 0-1, or number_of_replicas to 1"
            yield Finding("replicas", WARNING, f"{_some(bare)} has none on {self._data_nodes} data nodes", advice)
        else:
            found = "one data node, so no copies: its disk is the only one with the books"
            yield Finding("replicas", NOTE, found, "make backups (dca backup), or add a second data node")

    def _shards(self) -> Iterator[Finding]:
        """Search all of the books, which needs no more than to read them."""
        aliases = ",".join(self._indices.aliases.values())
        path = f"/{aliases}/_search?size=0&allow_partial_search_results=true&ignore_unavailable=true"
        request = Request("search", "POST", path, {"track_total_hits": True})
        answer = self._door.reach(request, until=self._until)
        body = self._door.body_of(answer, request) if answer.status in GOOD or answer.kind == NOT_PERMITTED else {}
        shards = body.get("_shards", {"total": 0, "failed": 0, "successful": 0})
        if not shards["total"] or shards["failed"] or shards["successful"] < shards["total"]:
            found = f"{shards['successful']} of {shards['total']} shards answered a search"
            yield Finding("shards", FAILED, found, "look at GET _cat/shards and the logs of the nodes")
        else:
            yield ok("shards", f"all {shards['total']} answer a search; {body['hits']['total']['value']} documents")


def _unseen(name: str, denied: DeniedError) -> Finding:
    return Finding(name, NOTE, f"not looked at: {denied.sentence.rstrip('.')}", "ask as a user who may")


def _judged(name: str, wrong: list[str], good: str, advice: str) -> Finding:
    return Finding(name, FAILED, _some(wrong), advice) if wrong else ok(name, good)


def _some(what: list[str]) -> str:
    return f"{what[0]} (and {len(what) - 1} more)" if len(what) > 1 else what[0]


def _heads(streams: int, unfinished: list[str]) -> Finding:
    if unfinished:
        found = f"{len(unfinished)} of {streams} streams have an entry whose records may be unwritten, the first is {unfinished[0]}"
        return Finding("heads", NOTE, found, "the next writer of the stream finishes it; dca log repair does so now")
    return ok("heads", f"{streams} streams end where their heads say")


def _is_block(setting: str, value: object) -> bool:
    return setting.startswith("index.blocks.") and str(value) == "true"


def _is_near(host: str) -> bool:
    """Tell whether a host is this machine, so that nobody listens on the way."""
    return bool(re.match(r"http://(127\.|localhost[:/]|\[::1\])", host))
