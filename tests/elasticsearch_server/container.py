"""Elasticsearch in Docker: the full distribution, as most sites run it."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext

from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.elasticsearch_server.server import PASSWORD, START_SECONDS_MAX, VERSION, MissingServerError, Server, poll

IMAGE = f"docker.elastic.co/elasticsearch/elasticsearch:{VERSION}"
PORT = 9200
SETTINGS = {
    "discovery.type": "single-node",
    "xpack.security.enabled": "true",
    "xpack.security.autoconfiguration.enabled": "false",
    "xpack.security.http.ssl.enabled": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "ingest.geoip.downloader.enabled": "false",
    "ELASTIC_PASSWORD": PASSWORD,
    "ES_JAVA_OPTS": "-Xms1g -Xmx1g",
}
WITH_TLS = SETTINGS | {
    "xpack.security.http.ssl.enabled": "true",
    "xpack.security.http.ssl.key": "tls/server.key",
    "xpack.security.http.ssl.certificate": "tls/server.crt",
    "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
}


def engine_answers() -> bool:
    """Tell whether there is a Docker engine; the client program alone is none."""
    with warnings.catch_warnings():
        # Without an engine the Docker library leaves the socket, which it could not connect, to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _ping()
        gc.collect()
    return answers


def _ping() -> bool:
    try:
        client = DockerClient(timeout=5).client
        client.ping()
        client.close()
    except Exception:  # noqa: BLE001 -- a missing engine shows itself in many ways, and Maven is the answer to them all
        return False
    return True


@contextmanager
def running(folder: Path | None = None, context: SSLContext | None = None) -> Iterator[Server]:
    """Lend a server in a container, which testcontainers removes even if this process is killed.

    With the folder of a certificate and a context for TLS it is asked by HTTPS.
    """
    container = DockerContainer(IMAGE, env=WITH_TLS if context else SETTINGS, ports=[PORT])
    if folder is not None:
        container.with_volume_mapping(str(folder), f"/usr/share/elasticsearch/config/{folder.name}", "ro")
    try:
        _start(container)
        host, port = container.get_container_host_ip(), container.get_exposed_port(PORT)
        server = Server("127.0.0.1" if context else host, port, scheme="https" if context else "http", context=context)
        if not poll(server.is_ready, seconds=START_SECONDS_MAX, alive=lambda: _is_running(container)):
            log = b"\n".join(container.get_logs()).decode(errors="replace")
            raise MissingServerError(f"{IMAGE} did not start:\n{log[-3000:]}")
        yield server
    finally:
        container.stop()


def _start(container: DockerContainer) -> None:
    try:
        container.start()
    except OSError as error:  # what the engine refuses, such as an image that it cannot fetch
        raise MissingServerError(f"Docker did not start {IMAGE}: {error}") from error


def _is_running(container: DockerContainer) -> bool:
    container.reload()
    return container.status == "running"
