"""Log entries: sealing a draft with its hash, and an entry's form as text and back."""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any

from dca.core import fitness
from dca.core.clock import INSTANT_MAX, SECOND, iso
from dca.core.errors import DamagedError, RefusedError, UnreachableError
from dca.core.model import Change, Record
from dca.core.names import CHANGES_MAX, ENTRY_BYTES_MAX
from dca.store.port import Draft, Entry, Head
from dca.store.schema import FIELD_TYPES, VERSION, from_dict

CLOCK_BEHIND_MAX = 300 * SECOND

Permitted = Mapping[str, Collection[str]]
"""Which record kinds each command ('tenant add') may change."""

_dump = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical(value: object) -> str:
    """Return canonical JSON: keys sorted, no blanks, characters as they are."""
    return _dump(value)


@cache
def _writer(kind: str) -> Callable[[Record], str]:
    """Return what writes records of a kind as canonical JSON, three times as fast as what writes any value."""
    types = FIELD_TYPES[kind]
    names = sorted(types)
    template = "{" + ",".join(f'"{name}":{"%d" if types[name] is int else "%s"}' for name in names) + "}"
    texts = [number for number, of in enumerate(types.values()) if of is str]
    in_order = itemgetter(*map(list(types).index, names))

    def write(record: Record) -> str:
        values: list[Any] = list(record)
        for number in texts:
            values[number] = encode_basestring(values[number])
        text: str = template % in_order(values)
        return text

    return write


def record_text(kind: str, record: Record) -> str:
    """Return a record as canonical JSON."""
    return _writer(kind)(record)


def changes_text(changes: Collection[Change]) -> str:
    """Return changes as canonical JSON."""
    listed = []
    for kind, record, was in changes:
        write = _writer(kind)
        before = f',"was":{write(was)}' if was is not None else ""
        listed.append(f'{{"kind":"{kind}","record":{write(record)}{before}}}')
    return f"[{','.join(listed)}]"


def parse_changes(listed: Any) -> tuple[Change, ...]:
    """Read changes back from what JSON made of them; DamagedError where they are none."""
    try:
        return tuple(
            Change(
                change["kind"],
                from_dict(change["kind"], change["record"]),
                from_dict(change["kind"], change["was"]) if "was" in change else None,
            )
            for change in listed
        )
    except (TypeError, KeyError, AttributeError):
        raise DamagedError("a log entry holds changes that dca does not write.") from None


def fields_of(entry: Entry | Draft, end: Head, time: int) -> dict[str, Any]:
    """Return what the hash of an entry covers, without its changes."""
    return {
        "action": entry.action,
        "actor": entry.actor,
        "category": entry.category,
        "commit": entry.commit,
        "details": entry.details,
        "previous": end.hash,
        "projects": list(entry.projects),
        "schema": VERSION if isinstance(entry, Draft) else entry.schema,
        "seq": end.seq + 1,
        "stream": entry.stream,
        "tenant": entry.tenant,
        "time": time,
    }


def digest(fields: dict[str, Any], changes: str) -> str:
    """Return the SHA-256 of an entry's canonical JSON, given its fields and its changes as canonical JSON."""
    return sha256(_together(fields, changes).encode("utf-8", "surrogatepass")).hexdigest()


def _together(fields: dict[str, Any], changes: str) -> str:
    template, in_order = _form((*fields, "changes"))
    written = [_WRITERS.get(type(value), _dump)(value) for value in fields.values()]
    text: str = template % in_order((*written, changes))
    return text


@lru_cache(maxsize=16)
def _form(names: tuple[str, ...]) -> tuple[str, Callable[[Any], Any]]:
    """Return the form of canonical JSON with these names, and what puts their values in its order."""
    ordered = sorted(names)
    listed = ",".join(f'"{name.replace("%", "%%")}":%s' for name in ordered)
    return f"{{{listed}}}", itemgetter(*map(names.index, ordered))


def list_text(values: list[Any] | tuple[str, ...]) -> str:
    """Return a list as canonical JSON, quickly where it holds nothing but texts."""
    try:
        return f"[{','.join(map(encode_basestring, values))}]"
    except TypeError:
        return _dump(values)


_WRITERS: dict[type, Callable[[Any], str]] = {str: encode_basestring, int: str, list: list_text}
"""What writes the fields that an entry has, faster than what writes any value."""


def entry_time(now: int, end: Head) -> int:
    """Return the time of the next entry: the own clock's, but never before the entry it follows."""
    if end.time - now > CLOCK_BEHIND_MAX:
        raise UnreachableError(
            f"this machine's clock says {iso(now)}, the last entry was written at {iso(end.time)}; set the clock."
        )
    return max(now, end.time)


def seal(draft: Draft, end: Head) -> tuple[Entry, str]:
    """Make a draft the next entry of its stream; return it with its changes as canonical JSON."""
    if len(draft.changes) > CHANGES_MAX:
        raise RefusedError(
            f"this would change {len(draft.changes)} records at once; at most {CHANGES_MAX} are possible."
        )
    changes = changes_text(draft.changes)
    if len(changes) > ENTRY_BYTES_MAX:
        raise RefusedError(f"this would write {len(changes)} bytes at once; at most {ENTRY_BYTES_MAX} are possible.")
    fields = fields_of(draft, end, draft.time)
    return (
        Entry(
            stream=draft.stream,
            seq=end.seq + 1,
            time=draft.time,
            actor=draft.actor,
            category=draft.category,
            action=draft.action,
            details=draft.details,
            tenant=draft.tenant,
            projects=draft.projects,
            commit=draft.commit,
            previous=end.hash,
            hash=digest(fields, changes),
            schema=VERSION,
            changes=draft.changes,
        ),
        changes,
    )


def to_document(entry: Entry) -> dict[str, Any]:
    """Return an entry as the dictionary that stores of documents keep."""
    document = fields_of(entry, Head(entry.seq - 1, entry.previous, 0), entry.time)
    document["changes"] = json.loads(changes_text(entry.changes))
    document["hash"] = entry.hash
    return document


def document_text(entry: Entry, changes: str) -> str:
    """Return the same as canonical JSON, given the changes as such."""
    fields = fields_of(entry, Head(entry.seq - 1, entry.previous, 0), entry.time)
    return _together({**fields, "hash": entry.hash}, changes)


_TEXTS = ("action", "actor", "category", "commit", "details", "hash", "previous", "stream", "tenant")
_FIELDS = frozenset((*_TEXTS, "seq", "time", "schema", "projects", "changes", "author"))
"""A further field could say something to those who search the log with other programs: a second author, for one."""


def from_document(document: dict[str, Any]) -> Entry:
    """Read an entry from the dictionary that stores of documents keep; DamagedError where it is none."""
    try:
        if not (document.keys() <= _FIELDS and all(type(document[name]) is str for name in _TEXTS)):
            raise TypeError
        if not all(type(document[name]) is int for name in ("seq", "time", "schema")):
            raise TypeError
        projects, author = document["projects"], document.get("author")
        if type(projects) is not list or not all(type(project) is str for project in projects):
            raise TypeError
        return Entry(
            projects=tuple(projects),
            changes=parse_changes(document["changes"]),
            author=str(author.get("username", "")) if isinstance(author, dict) else "",
            seq=document["seq"],
            time=document["time"],
            schema=document["schema"],
            **{name: document[name] for name in _TEXTS},
        )
    except (TypeError, KeyError):
        raise DamagedError("a log entry does not have the fields of one.") from None


class Document(dict[str, Any]):
    """A log document, made from a row in which its changes stand as text."""

    __slots__ = ("changes_text",)

    def __init__(self, fields: Mapping[str, Any], changes_text: str) -> None:
        """Keep the text: what was hashed is as it stands there."""
        super().__init__(fields)
        self.changes_text = changes_text


def document_digest(document: dict[str, Any]) -> str:
    """Return the SHA-256 of what a document holds beside its hash and its author, whatever that is."""
    if isinstance(document, Document):
        fields = {name: value for name, value in document.items() if name not in ("changes", "hash", "author")}
        return digest(fields, document.changes_text)
    covered = {name: value for name, value in document.items() if name not in ("hash", "author")}
    return sha256(_dump(covered).encode("utf-8", "surrogatepass")).hexdigest()


def flaw(document: dict[str, Any], stream: str, end: Head, permitted: Permitted) -> tuple[Entry | None, str]:
    """Judge the document that follows an end: the entry if it is fit to be carried out, else None and why not.

    What the judgement needs beyond the document, that its records were before what it says they were, is the caller's.
    """
    try:
        entry = from_document(document)
    except DamagedError as error:
        return None, error.sentence
    if (entry.stream, entry.seq, entry.previous) != (stream, end.seq + 1, end.hash):
        return None, "it does not follow the entry before it"
    if not end.time <= entry.time <= INSTANT_MAX:
        return None, "it is older than the entry before it, or of no year there is"
    if document_digest(document) != entry.hash:
        return None, "its hash is wrong"
    reason = unfit(entry, permitted)
    return (None, reason) if reason else (entry, "")


def unfit(entry: Entry, permitted: Permitted) -> str:
    """Return why the changes of an entry cannot be the doing of its command, or an empty string."""
    command = f"{entry.category} {entry.action}"
    if command not in permitted:
        return f"no command is called {command!r}"
    if len(entry.changes) > CHANGES_MAX:
        return "it changes too many records"
    return fitness.flaw(
        command=command,
        stream=entry.stream,
        seq=entry.seq,
        time=entry.time,
        changes=entry.changes,
        kinds=permitted[command],
    )


def passed(end: Head, document: dict[str, Any]) -> Head:
    """Return the end of a stream after an entry that is void.

    Its hash is another than the entry's, so that the one that follows tells by its `previous` how this was judged.
    """
    return passed_digest(end, document_digest(document))


def passed_digest(end: Head, digested: str) -> Head:
    """Return the end of a stream after a void entry, given the digest of its document."""
    return Head(
        end.seq + 1, sha256(f"void {end.hash} {digested}".encode("utf-8", "surrogatepass")).hexdigest(), end.time
    )
