"""Several Elasticsearch nodes from Maven Central on this machine, one cluster; any of them can be killed and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from tests.elasticsearch_server.distribution import environment_of, kept, run_directory
from tests.elasticsearch_server.installation import STEP_SECONDS_MAX, find_java_home, installed
from tests.elasticsearch_server.server import START_SECONDS_MAX, MissingServerError, Server, poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.elasticsearch_server.distribution import Keeper

NODES = 3
CERTIFICATE = "transport.p12"
JAVA_OPTIONS = "-Xms512m -Xmx512m -XX:-AlwaysPreTouch -XX:TieredStopAtLevel=1"
# Nodes with security insist on TLS between them; one certificate serves them all, and is made anew for each cluster.
SETTINGS = """\
cluster.name: {cluster}
node.name: {name}
network.host: 127.0.0.1
http.port: {http}
transport.port: {transport}
discovery.seed_hosts: [{seeds}]
cluster.initial_master_nodes: [{names}]
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: true
xpack.security.transport.ssl.verification_mode: none
xpack.security.transport.ssl.keystore.path: {certificate}
cluster.routing.allocation.disk.threshold_enabled: false
cluster.fault_detection.follower_check.interval: 200ms
cluster.fault_detection.leader_check.interval: 200ms
path.data: {run}/data
path.logs: {run}/logs
"""


class Node:
    """One node: it can be killed, and started again on what it had written."""

    def __init__(self, name: str, server: Server, keeper: Keeper) -> None:
        """Take a node that is starting."""
        self.name = name
        self.server = server
        self.keeper = keeper

    def kill(self) -> None:
        """Kill it by SIGKILL, and wait until it is gone."""
        self.keeper.process.send_signal(signal.SIGUSR1)
        assert poll(lambda: not self.listens(), seconds=START_SECONDS_MAX), f"{self.name} does not die"

    def start(self) -> None:
        """Start it again."""
        self.keeper.process.send_signal(signal.SIGUSR2)

    def listens(self) -> bool:
        """Tell whether anybody listens on its port."""
        with socket.socket() as probe:
            return probe.connect_ex((self.server.host, self.server.port)) == 0

    @property
    def is_lost(self) -> bool:
        """Tell whether nobody keeps it any more."""
        return self.keeper.process.poll() is not None


class Cluster:
    """A running cluster."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Take its nodes."""
        self.nodes = nodes

    @property
    def urls(self) -> list[str]:
        """Return the addresses of all nodes, with user and password."""
        return [node.server.url for node in self.nodes]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the first node that answers."""
        for node in self.nodes:
            try:
                return node.server.call(method, path, body)
            except (OSError, HTTPException):
                continue
        raise MissingServerError("no node of the cluster answers.")

    def is_whole(self) -> bool:
        """Tell whether each node sees all nodes, and all copies of all indices in use."""
        return all(self._sees_all(node) for node in self.nodes)

    def _sees_all(self, node: Node) -> bool:
        try:
            health = node.server.call("GET", "/_cluster/health?timeout=1s")
        except (OSError, HTTPException, ValueError):
            return False
        return bool(health["number_of_nodes"] == len(self.nodes) and health["status"] == "green")

    def wait_until_whole(self) -> None:
        """Wait until it is whole; a node that cannot come back is an error."""
        whole = poll(self.is_whole, seconds=START_SECONDS_MAX, alive=lambda: not any(one.is_lost for one in self.nodes))
        if not whole:
            said = "\n".join(one.keeper.said for one in self.nodes if one.is_lost)
            raise MissingServerError(f"the nodes of the cluster do not come together: {said}")

    def master(self) -> Node:
        """Return the elected master."""
        (found,) = self.call("GET", "/_cat/master?format=json")
        return next(node for node in self.nodes if node.name == found["node"])


@contextmanager
def cluster(nodes: int = NODES) -> Iterator[Cluster]:
    """Lend a cluster with nothing in it."""
    java_home = find_java_home()
    home = installed(java_home)
    account = "nobody" if os.geteuid() == 0 else ""
    names = [f"n{number}" for number in range(nodes)]
    ports = _free_ports(2 * nodes)
    with ExitStack() as stack:
        made = Path(mkdtemp(prefix="dca-certificate-"))
        stack.callback(shutil.rmtree, made)
        certificate = _certificate(home, java_home, made)
        started = []
        for name, http, transport in zip(names, ports[:nodes], ports[nodes:], strict=True):
            settings = SETTINGS.format(
                cluster=f"dca-test-{ports[0]}",
                name=name,
                http=http,
                transport=transport,
                seeds=", ".join(f'"127.0.0.1:{port}"' for port in ports[nodes:]),
                names=", ".join(names),
                certificate=CERTIFICATE,
                run="{run}",
            )
            run = run_directory(home, account, settings, [certificate])
            environment = environment_of(java_home, run, JAVA_OPTIONS)
            keeper = stack.enter_context(kept(run, account, home, environment))
            started.append(Node(name, Server("127.0.0.1", http), keeper))
        lent = Cluster(started)
        lent.wait_until_whole()
        yield lent


def _certificate(home: Path, java_home: Path, folder: Path) -> Path:
    """Make a certificate that all nodes share."""
    out = folder / CERTIFICATE
    done = subprocess.run(
        [home / "bin/elasticsearch-certutil", "cert", "--silent", "--self-signed", "--pass", "", "--out", out],
        env={**os.environ, "ES_JAVA_HOME": str(java_home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=STEP_SECONDS_MAX,
    )
    if done.returncode:
        raise MissingServerError(f"no certificate for the nodes could be made:\n{done.stdout}")
    return out


def _free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on: a node that comes back must be found where it was."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
