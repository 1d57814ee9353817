"""Elasticsearch from Maven Central, on this machine and for as long as this process lives."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp

from tests.elasticsearch_server.installation import cache_directory, find_java_home, installed
from tests.elasticsearch_server.server import START_SECONDS_MAX, MissingServerError, Server, poll

KEEPER = Path(__file__).with_name("keeper.py")
# A run lasts minutes: the quick compiler alone, and memory taken only when it is needed, bring the server up sooner.
JAVA_OPTIONS = "-Xms1g -Xmx1g -XX:-AlwaysPreTouch -XX:TieredStopAtLevel=1"
# The server takes free ports and writes them to logs/http.ports, so that no two runs can want the same one.
SETTINGS = """\
discovery.type: single-node
network.host: 127.0.0.1
http.port: 0
transport.port: 0
node.portsfile: true
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
path.data: {run}/data
path.logs: {run}/logs
"""


@contextmanager
def running() -> Iterator[Server]:
    """Lend a server with nothing in it."""
    java_home = find_java_home()
    home = installed(java_home)
    account = "nobody" if os.geteuid() == 0 else ""  # Elasticsearch refuses to run as root
    run = _run_directory(home, account)
    with TemporaryFile() as console:
        keeper = subprocess.Popen(
            [sys.executable, KEEPER, str(os.getpid()), account, run, home / "bin/elasticsearch"],
            env=_environment(java_home, run),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,  # Ctrl-C is for the tests, which end the server after their own last words to it
        )
        try:
            server = poll(lambda: _listening(run), seconds=START_SECONDS_MAX, alive=lambda: keeper.poll() is None)
            if not server:
                console.seek(0)
                raise MissingServerError(f"Elasticsearch did not start:\n{console.read().decode()[-3000:]}")
            yield server._replace(home=home, java_home=java_home)
        finally:
            keeper.terminate()
            keeper.wait()


def _run_directory(home: Path, account: str) -> Path:
    run = Path(mkdtemp(prefix="run-", dir=cache_directory()))
    shutil.copytree(home / "config", run / "config")
    (run / "config/elasticsearch.yml").write_text(SETTINGS.format(run=run))
    (run / "tmp").mkdir()
    if account:
        for path in (run, *run.rglob("*")):
            shutil.chown(path, account)
    return run


def _environment(java_home: Path, run: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ES_JAVA_HOME": str(java_home),
        "ES_JAVA_OPTS": JAVA_OPTIONS,
        "ES_PATH_CONF": str(run / "config"),
        "ES_TMPDIR": str(run / "tmp"),
        "HOME": str(run),
    }


def _listening(run: Path) -> Server | None:
    try:
        port = int((run / "logs/http.ports").read_text().split()[0].rpartition(":")[2])
    except (OSError, IndexError, ValueError):
        return None
    server = Server("127.0.0.1", port)
    return server if server.is_ready() else None
