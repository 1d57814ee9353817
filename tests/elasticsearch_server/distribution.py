"""Elasticsearch from Maven Central, on this machine and for as long as this process lives."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from tempfile import TemporaryFile, mkdtemp
from typing import IO, NamedTuple

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


SMALL = "-Xms512m -Xmx512m -XX:-AlwaysPreTouch -XX:TieredStopAtLevel=1"
WITH_TLS = SETTINGS.replace(
    "http.ssl.enabled: false",
    "http.ssl: {{enabled: true, key: server.key, certificate: server.crt}}",
)


@contextmanager
def running(folder: Path | None = None, context: SSLContext | None = None) -> Iterator[Server]:
    """Lend a server with nothing in it; with the folder of a certificate and a context for TLS it is asked by HTTPS."""
    java_home = find_java_home()
    home = installed(java_home)
    account = "nobody" if os.geteuid() == 0 else ""  # Elasticsearch refuses to run as root
    run = run_directory(home, account, WITH_TLS if context else SETTINGS, sorted(folder.iterdir()) if folder else ())
    environment = environment_of(java_home, run, SMALL if context else JAVA_OPTIONS)
    with kept(run, account, home, environment) as keeper:
        server = poll(
            lambda: _listening(run, context),
            seconds=START_SECONDS_MAX,
            alive=lambda: keeper.process.poll() is None,
        )
        if not server:
            raise MissingServerError(f"Elasticsearch did not start:\n{keeper.said}")
        yield server._replace(home=home, java_home=java_home)


class Keeper(NamedTuple):
    """The process that keeps a server, and what both write on their console."""

    process: subprocess.Popen[bytes]
    console: IO[bytes]

    @property
    def said(self) -> str:
        """Return the last that was written."""
        self.console.seek(0)
        return self.console.read().decode(errors="replace")[-3000:]


@contextmanager
def kept(run: Path, account: str, home: Path, environment: dict[str, str]) -> Iterator[Keeper]:
    """Let a server run in its directory for as long as the context lasts."""
    with TemporaryFile() as console:
        keeper = subprocess.Popen(
            [sys.executable, KEEPER, str(os.getpid()), account, run, home / "bin/elasticsearch"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,  # Ctrl-C is for the tests, which end the server after their own last words to it
        )
        try:
            yield Keeper(keeper, console)
        finally:
            keeper.terminate()
            keeper.wait()


def run_directory(home: Path, account: str, settings: str, further: Sequence[Path] = ()) -> Path:
    """Make the directory where a server keeps all it writes, with its settings and further files beside them."""
    run = Path(mkdtemp(prefix="run-", dir=cache_directory()))
    shutil.copytree(home / "config", run / "config")
    (run / "config/elasticsearch.yml").write_text(settings.format(run=run))
    for path in further:
        shutil.copy(path, run / "config")
    (run / "tmp").mkdir()
    if account:
        for path in (run, *run.rglob("*")):
            shutil.chown(path, account)
    return run


def environment_of(java_home: Path, run: Path, java_options: str) -> dict[str, str]:
    """Return the variables of a server that runs in a directory."""
    return {
        **os.environ,
        "ES_JAVA_HOME": str(java_home),
        "ES_JAVA_OPTS": java_options,
        "ES_PATH_CONF": str(run / "config"),
        "ES_TMPDIR": str(run / "tmp"),
        "HOME": str(run),
    }


def _listening(run: Path, context: SSLContext | None) -> Server | None:
    try:
        port = int((run / "logs/http.ports").read_text().split()[0].rpartition(":")[2])
    except (OSError, IndexError, ValueError):
        return None
    server = Server("127.0.0.1", port, scheme="https" if context else "http", context=context)
    return server if server.is_ready() else None
