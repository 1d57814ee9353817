"""Index settings of each kind of record, for a store of documents; `setup_indices/*.json` is generated from here."""

import json
from pathlib import Path
from typing import Any

from dca.store.schema import FIELD_TYPES, KINDS, LOG, SITE, TENANT, VERSION

NAMES: tuple[str, ...] = (*KINDS, LOG)
"""What the indices are called, behind the prefix."""
HEAD_CARRIERS = (TENANT, SITE)
"""Kinds whose documents carry the head of a stream beside the record."""

_KEYWORD = {"type": "keyword"}
_KEPT = {"type": "keyword", "index": False, "doc_values": False}
"""A text of any length that is kept and never searched."""
_LONG = {"type": "long"}
_INSTANT = {"type": "date", "format": "epoch_millis"}

_HEAD: dict[str, Any] = {"head_seq": _LONG, "head_hash": _KEPT, "head_time": _INSTANT}
_AUTHOR: dict[str, Any] = {
    "dynamic": "false",
    "properties": {
        "username": _KEYWORD,
        "realm": {"properties": {"name": _KEYWORD}},
        "api_key": {"properties": {"id": _KEYWORD, "name": _KEYWORD}},
    },
}
_LOG: dict[str, Any] = {
    "stream": _KEYWORD,
    "seq": _LONG,
    "time": _INSTANT,
    "actor": _KEYWORD,
    "category": _KEYWORD,
    "action": _KEYWORD,
    "details": _KEPT,
    "tenant": _KEYWORD,
    "projects": _KEYWORD,
    "commit": _KEYWORD,
    "previous": _KEYWORD,
    "hash": _KEYWORD,
    "schema": _LONG,
    "changes": {"type": "object", "enabled": False},
    "author": _AUTHOR,
}

_SETTINGS: dict[str, Any] = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",
    "translog": {"durability": "request"},
    "mapping": {"coerce": False},
    "default_pipeline": "_none",
    "final_pipeline": "_none",
}


def index_settings(name: str) -> dict[str, Any]:
    """Return settings and mappings of the index for a kind of record, or for the log.

    As many fields as there are is the limit: Elasticsearch lets whoever may create a document add fields to the mapping, and
    one that is made up for searches could take the place of another.
    """
    properties = _LOG if name == LOG else _properties(name)
    mapping = {**_SETTINGS["mapping"], "total_fields": {"limit": _count(properties)}}
    return {
        "settings": {"index": {**_SETTINGS, "mapping": mapping}},
        "mappings": {
            "dynamic": "strict",
            "_meta": {"dca": {"kind": name, "schema": VERSION}},
            "properties": properties,
        },
    }


def _count(properties: dict[str, Any]) -> int:
    return sum(1 + _count(field.get("properties", {})) for field in properties.values())


def _properties(name: str) -> dict[str, Any]:
    kind = KINDS[name]
    properties: dict[str, Any] = {}
    for field, of in FIELD_TYPES[name].items():
        if field in kind.dates:
            properties[field] = _INSTANT
        elif field in kind.unindexed:
            properties[field] = _KEPT
        else:
            properties[field] = _LONG if of is int else _KEYWORD
    return properties | (_HEAD if name in HEAD_CARRIERS else {})


def index_file(name: str) -> str:
    """Return the text of an index's file in `setup_indices`."""
    return json.dumps(index_settings(name), indent=2) + "\n"


def load(name: str) -> dict[str, Any]:
    """Read settings and mappings of an index from its file: beside the package, or in it where dca is installed."""
    from importlib.resources import files

    file = f"setup_indices/{name}.json"
    beside = Path(__file__).parents[2] / file
    packed = files("dca") / file
    settings: dict[str, Any] = json.loads((packed if packed.is_file() else beside).read_text(encoding="utf-8"))
    return settings
