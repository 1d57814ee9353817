"""A real Elasticsearch with security for the tests: one that is named, one in Docker, or one from Maven Central."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext

from tests.elasticsearch_server import distribution
from tests.elasticsearch_server.server import VARIABLE, MissingServerError, Server, named

__all__ = ["VARIABLE", "MissingServerError", "Server", "running", "running_with_tls"]


@contextmanager
def running() -> Iterator[Server]:
    """Lend a server for as long as the context lasts; a named one goes before Docker, and Docker before Maven."""
    from tests.elasticsearch_server import container

    if url := os.environ.get(VARIABLE):
        yield named(url)
        return
    with container.running() if container.engine_answers() else distribution.running() as server:
        yield server


@contextmanager
def running_with_tls(folder: Path, context: SSLContext) -> Iterator[Server]:
    """Lend a server that is asked by HTTPS, and that has the certificate `server.crt` and the key of a folder `tls`."""
    from tests.elasticsearch_server import container

    start = container.running if container.engine_answers() else distribution.running
    with start(folder, context) as server:
        yield server
