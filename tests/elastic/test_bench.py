"""The benchmark on Elasticsearch: beside the books, under a prefix of its own, and gone afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from dca.bench.rows import ROWS
from tests.cli import checks
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.elastic.server import BookServer

MEASURED = tuple(
    name for name in ("one", "writers_8", "batch_100", "import", "again", "bill", "verify") if name in ROWS
)
PASSWORD = "a-password-of-tests"


def left(server: BookServer) -> list[str]:
    """Return what there is under the prefix beside the books themselves."""
    indices = server.must("GET", f"/{server.prefix}bench-*?expand_wildcards=all")
    pipelines = server.send("GET", f"/_ingest/pipeline/{server.prefix}bench-*").body
    return [*indices, *pipelines]


def test_rows(emptied_server: BookServer, tmp_path: Path) -> None:
    """Rows are measured beside the books, which are not written to, and nothing is left."""
    shell = Shell(tmp_path, f"{emptied_server.server.url}/{emptied_server.prefix}")
    before = shell.state()
    answer = checks.success(shell.run("bench", "--quick", "--jobs=100", f"--only={','.join(MEASURED)}"))
    rows = {row["row"]: row for row in answer["rows"]}
    assert tuple(rows) == MEASURED
    assert (rows["one"]["target"], rows["import"]["target"]) == ("ratio <= 6", "ratio >= 0.6")
    assert rows["writers_8"]["failures"] == 0
    assert shell.state() == before
    assert left(emptied_server) == []


def test_interruption(emptied_server: BookServer, tmp_path: Path) -> None:
    """Ctrl-C removes the scratch indices."""
    shell = Shell(tmp_path, f"{emptied_server.server.url}/{emptied_server.prefix}")
    command = [sys.executable, "-m", "dca", "bench", "--only=one", "--jobs=1000000"]
    with subprocess.Popen(
        command, env=shell.outside(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        while not left(emptied_server):
            assert child.poll() is None, child.communicate()
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert b"the scratch books were removed" in err
    assert left(emptied_server) == []


def test_no_right_to_make_them(emptied_server: BookServer, tmp_path: Path) -> None:
    """A user who may not make indices is told so in a sentence, and nothing else."""
    name = f"{emptied_server.prefix}user"
    role = {
        "cluster": ["monitor"],
        "indices": [{"names": [f"{emptied_server.prefix}*"], "privileges": ["read", "write"]}],
    }
    emptied_server.must("PUT", f"/_security/role/{name}", role)
    try:
        emptied_server.must("PUT", f"/_security/user/{name}", {"password": PASSWORD, "roles": [name]})
        server = emptied_server.server
        shell = Shell(tmp_path, f"http://{name}:{PASSWORD}@{server.host}:{server.port}/{emptied_server.prefix}")
        result = shell.run("bench", "--quick", "--jobs=100", "--only=one")
        assert name in checks.failure(result, 4)["error"]
        assert result.err == ""
        assert left(emptied_server) == []
    finally:
        emptied_server.send("DELETE", f"/_security/user/{name}")
        emptied_server.send("DELETE", f"/_security/role/{name}")
