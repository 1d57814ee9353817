"""The files in roles/ are what Elasticsearch takes, and do by hand what `dca role install` and `dca login add` do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dca.core.model import DIRECT, SERVICE
from dca.core.permissions import TEMPLATES
from tests.cli import checks
from tests.cli.shell import ROOT, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elasticsearch_server.server import Server

FILES = [f"{one.name}.{form}" for one in TEMPLATES for form in (DIRECT, SERVICE)]
TENANT = "tenant/TENANT"


def adapted(name: str, prefix: str) -> Any:
    """Return a file of the folder for books with a prefix and the tenant acme, as roles/README.md says."""
    text = (ROOT / "roles" / f"{name}.json").read_text(encoding="utf-8").replace(TENANT, "tenant/acme")
    body = json.loads(text)
    for given in body.get("applications", ()):
        given["application"] = f"dca-{prefix}"
    for given in body.get("indices", ()):
        given["names"] = [prefix + index for index in given["names"]]
    if "metadata" in body:
        body["metadata"]["dca"]["books"] = prefix
    return body


def put(server: Server, path: str, body: Any) -> None:
    """Write something into the security of a server."""
    server.call("PUT", f"/_security/{path}", body)


def test_every_file_is_taken(elasticsearch: Server, prefix: str) -> None:
    """Elasticsearch keeps each role as its file says it."""
    for name in FILES:
        body = adapted(name, prefix)
        role = f"dca-{prefix}.{name}"
        put(elasticsearch, f"role/{quote(role, safe='')}", body)
        kept = elasticsearch.call("GET", f"/_security/role/{quote(role, safe='')}")[role]
        assert kept["metadata"] == body["metadata"], name
        assert kept["applications"] == body["applications"], name
        assert sorted(kept["cluster"]) == sorted(body.get("cluster", [])), name
        assert len(kept["indices"]) == len(body.get("indices", [])), name


def test_a_hook_by_hand(tmp_path: Path, elasticsearch: Server, prefix: str) -> None:
    """With the files and three requests there is an operator; dca knows it, and it may what it should, and nothing else."""
    root = Shell(tmp_path, f"{elasticsearch.url}/{prefix}")
    root.ok("setup")
    for words in (["tenant", "add", "--tenant=acme"], ["project", "add", "--project=rockets", "--tenant=acme"]):
        root.ok(*words)
    privileges = json.loads((ROOT / "roles" / "privileges.json").read_text(encoding="utf-8"))
    put(elasticsearch, "privilege", {f"dca-{prefix}": privileges["dca"]})
    put(elasticsearch, f"role/dca-{prefix}.operator", adapted("operator.direct", prefix))
    login = f"{prefix}slurm"
    put(elasticsearch, f"user/{login}", {"password": "a-password", "roles": [f"dca-{prefix}.operator"]})

    hook = Shell(tmp_path, f"http://{login}:a-password@{elasticsearch.host}:{elasticsearch.port}/{prefix}")
    assert hook.ok("whoami")["roles"] == ["operator"]
    hook.ok("transaction", "reservebudget", "--project=rockets", "--estimate=5")
    checks.failure(hook.run("tenant", "payment", "--tenant=acme", "--payment=5"), 4)
    assert {"login": login, "on": ""} in root.ok("role", "show", "--role=operator")["role"]["logins"]
