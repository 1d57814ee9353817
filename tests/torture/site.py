"""Where the rounds of the harness take place: processes, folders, and stores that are empty at the begin of each."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from tests.cli.shell import Shell, scratch
from tests.concurrency.ledgers import distant_shell
from tests.concurrency.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.elastic.server import BookServer
    from tests.elasticsearch_server.cluster import Cluster
    from tests.torture.figures import Figures

SQLITE, ELASTICSEARCH = "SQLite", "Elasticsearch"


class Site:
    """Lends what a round needs, and makes what takes its time only once."""

    def __init__(self, nursery: Nursery | None = None, servers: tuple[BookServer, BookServer] | None = None) -> None:
        """Take what is there already."""
        self._stack = ExitStack()
        self._nursery = nursery
        self._servers = servers
        self._cluster: Cluster | None = None

    def __enter__(self) -> Self:
        """Lend the site."""
        return self

    def __exit__(self, *_: object) -> None:
        """Clear away what was made."""
        self._stack.close()

    @property
    def nursery(self) -> Nursery:
        """Return what brings up processes."""
        if self._nursery is None:
            self._nursery = Nursery()
            self._stack.callback(self._nursery.close)
        return self._nursery

    @property
    def servers(self) -> tuple[BookServer, BookServer]:
        """Return an Elasticsearch with two sets of books that can be emptied."""
        if self._servers is None:
            from tests.elastic.fixtures import lasting
            from tests.elasticsearch_server import running

            node = self._stack.enter_context(running())
            lent = (self._stack.enter_context(lasting(node, name)) for name in ("torture", "torture-2"))
            self._servers = (next(lent), next(lent))
        return self._servers

    @property
    def cluster(self) -> Cluster:
        """Return a cluster of three nodes."""
        if self._cluster is None:
            from tests.elasticsearch_server.cluster import cluster

            self._cluster = self._stack.enter_context(cluster())
        return self._cluster

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Lend an empty folder, in memory if possible."""
        with scratch() as folder:
            yield folder

    @contextmanager
    def shell(self, store: str) -> Iterator[Shell]:
        """Lend a shell with empty books."""
        with self.folder() as folder:
            if store == SQLITE:
                yield Shell(folder)
                return
            self.servers[0].empty()
            yield distant_shell(folder, self.servers[0])


def verify(shell: Shell, figures: Figures, name: str) -> None:
    """Let dca itself say that the books are in order."""
    answer = shell.ok("log", "verify")
    assert answer["damage"] == [], answer
    figures.add(f"{name}: dca log verify")
