"""What the README promises of roles: five commands set up a hook of the scheduler and a viewer of a tenant."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from tests.cli import checks
from tests.cli.shell import ROOT, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elasticsearch_server.server import Server

PASSWORD = "correct-horse"


def commands() -> list[str]:
    """Return the five commands."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Who may do what")[2]
    block = re.findall(r"^```\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)[0]
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def test_five_commands(tmp_path: Path, elasticsearch: Server, prefix: str) -> None:
    """The hook comes with its key and holds and charges; the viewer sees the one tenant; neither may do anything else."""
    root = Shell(tmp_path, f"{elasticsearch.url}/{prefix}")
    listed = commands()
    assert len(listed) == 5
    key: dict[str, Any] = {}
    for number, command in enumerate(listed):
        words = [re.sub(r"^--login=", f"--login={prefix}", word) for word in shlex.split(command)[1:]]
        answer = root.ok(*words, stdin=f"{PASSWORD}\n".encode())
        key = answer if "api_key" in answer else key
        if number == 0:
            root.ok("tenant", "add", "--tenant=acme")
            root.ok("tenant", "add", "--tenant=blue")
            root.ok("tenant", "payment", "--tenant=acme", "--payment=100")
            root.ok("project", "add", "--project=rockets", "--tenant=acme", "--balance=50")
            root.ok("user", "add", "--project=rockets", "--user=wile")

    address = f"http://{elasticsearch.host}:{elasticsearch.port}/{prefix}"
    config = tmp_path / "hook.toml"
    config.write_text(f'store = "{address}"\napi_key = "{key["api_key"]}"\n', encoding="utf-8")
    config.chmod(0o600)
    hook = Shell(tmp_path)
    hook.environment = {"HOME": str(tmp_path), "DCA_CONFIG": str(config)}
    hook.ok("transaction", "reservebudget", "--project=rockets", "--estimate=5", "--job=c/1/1")
    hook.ok("transaction", "charge", "--project=rockets", "--user=wile", "--jobtime=5", "--job=c/1/1")
    for refused in (
        ("tenant", "payment", "--tenant=acme", "--payment=1"),
        ("log", "list"),
        ("rate", "set", "--rate=1"),
    ):
        checks.failure(hook.run(*refused), 4)

    ada = Shell(tmp_path, f"http://{prefix}ada:{PASSWORD}@{elasticsearch.host}:{elasticsearch.port}/{prefix}")
    assert ada.ok("list", "--tenant=acme")["list"][0]["projects"][0]["balance"] == 50
    assert ada.ok("transaction", "list", "--project=rockets")["transactions"][0]["job"] == "c/1/1"
    for words in (["list", "--tenant=blue"], ["list"], ["project", "add", "--project=x", "--tenant=acme"]):
        checks.failure(ada.run(*words), 4)

    told = root.ok("log", "list", "--category=login")["log"]
    assert len(told) == 6
    assert PASSWORD not in str(told)
    assert key["api_key"] not in str(told)
    authors = {one["actor"] for one in root.ok("log", "list", "--category=transaction")["log"]}
    assert authors == {f"{prefix}slurm"}
    assert root.ok("log", "verify")["damage"] == []
