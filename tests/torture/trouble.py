"""Elasticsearch in trouble: a faulty network before it, and nodes of a cluster that are killed under load.

The writers and what is asked of them are those of a race. What they must say is what dca documents: 0, refused (1), out
of reach (3) or busy (5), where nothing was changed, and unknown (6), which can be found out later.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.concurrency.ledgers import distant_shell
from tests.elastic.proxy import Asked, Fault, Proxy, proxy
from tests.elastic.server import BookServer
from tests.elasticsearch_server.cleaning import clean_up
from tests.torture.race import run_race, scripts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Ended, Task
    from tests.elasticsearch_server.cluster import Cluster
    from tests.torture.figures import Figures
    from tests.torture.site import Site

WRITERS, COMMANDS = 64, 4
PROXIED_WRITERS, PROXIED_COMMANDS = 32, 4
TENANTS = 4
FAULTY = 0.08
"""Of how many requests one meets a fault."""
DOWN_SECONDS = (0.5, 5.0)
UP_SECONDS = (1.0, 4.0)
OVERLOADED = {"error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}, "status": 429}
NOT_READY = {"error": {"type": "unavailable_shards_exception", "reason": "primary shard is not active"}, "status": 503}
FAULTS: dict[str, Fault] = {
    "delayed": Fault("", truthful=True, seconds=0.4),
    "answer lost": Fault(""),
    "cut off before it arrived": Fault("", reaches=False),
    "answer cut off": Fault("", truthful=True, cut=True),
    "overloaded (429)": Fault("", reaches=False, status=429, body=OVERLOADED),
    "not ready (503)": Fault("", reaches=False, status=503, body=NOT_READY),
    "gateway's patience over (504)": Fault("", status=504, body={}),
    "sent twice": Fault("", truthful=True, sent=2),
}


class Weather:
    """Draws what goes wrong with each request that goes by."""

    def __init__(self, seed: int, figures: Figures) -> None:
        """Take the seed; which request meets which fault depends on when it comes, too."""
        self.chance = Random(f"{seed}/weather")
        self.figures = figures

    def __call__(self, _: Asked) -> Fault | None:
        """Draw a fault, or none."""
        if self.chance.random() >= FAULTY:
            return None
        name = self.chance.choice(list(FAULTS))
        self.figures.add(f"proxy: {name}")
        return FAULTS[name]._replace(seconds=self.chance.random() * FAULTS[name].seconds)


def config_of(shell: Shell, hosts: str, server: BookServer) -> dict[str, str]:
    """Write a config with several hosts; return what the environment says in place of one store."""
    path = shell.folder / "hosts.toml"
    lines = {"hosts": hosts, "prefix": server.prefix, "username": server.server.username}
    lines["password"] = server.server.password
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))
    path.chmod(0o600)
    return {"DCA_CONFIG": str(path), "DCA_STORE": ""}


def faulty(seed: int, site: Site, figures: Figures, *, writers: int = PROXIED_WRITERS) -> None:
    """Let many write to one Elasticsearch through a proxy that plays tricks on them."""
    server = site.servers[0]
    with site.folder() as folder, proxy(server.server.host, server.server.port) as between:
        server.empty()
        shell = distant_shell(folder, server)
        around = config_of(shell, between.url, server)

        def crowd(tasks: Sequence[Task]) -> Sequence[Ended]:
            between.draw = Weather(seed, figures)
            try:
                return site.nursery.run(*(one._replace(environment=one.environment | around) for one in tasks))
            finally:
                between.draw = lambda _: None

        scripts = scripts_of(seed, writers, PROXIED_COMMANDS, TENANTS)
        run_race(shell, TENANTS, scripts, [None] * writers, crowd, figures, "Elasticsearch behind a faulty proxy")
        figures.add("proxy: requests", len(between.asked))


def nodes(seed: int, site: Site, figures: Figures) -> None:
    """Let many write to a cluster whose nodes are killed and come back, in every second round behind faulty proxies."""
    with site.folder() as folder, emptied_cluster(site, proxied=bool(seed % 2)) as lent:
        shell = distant_shell(folder, lent.server)
        around = config_of(shell, lent.hosts, lent.server)

        def crowd(tasks: Sequence[Task]) -> Sequence[Ended]:
            with in_trouble(lent, seed, figures):
                return site.nursery.run(*(one._replace(environment=one.environment | around) for one in tasks))

        scripts = scripts_of(seed, WRITERS, COMMANDS, TENANTS)
        run_race(shell, TENANTS, scripts, [None] * WRITERS, crowd, figures, "three nodes")


class Lent(NamedTuple):
    """A cluster with empty books, and how to reach it."""

    cluster: Cluster
    server: BookServer
    between: list[Proxy]

    @property
    def hosts(self) -> str:
        """Return the addresses of all nodes, or of the proxies before them, as a config names them."""
        return ",".join([one.url for one in self.between] or [node.server.address for node in self.cluster.nodes])


@contextmanager
def emptied_cluster(site: Site, *, proxied: bool) -> Iterator[Lent]:
    """Lend a cluster with books that are set up and empty."""
    cluster = site.cluster
    cluster.wait_until_whole()
    server = BookServer(cluster.nodes[0].server, "torture-")
    clean_up(server.server, server.prefix)
    with server.store() as store:
        store.setup()
    cluster.wait_until_whole()
    with ExitStack() as stack:
        ports = [(node.server.host, node.server.port) for node in cluster.nodes] if proxied else []
        yield Lent(cluster, server, [stack.enter_context(proxy(*port)) for port in ports])


@contextmanager
def in_trouble(lent: Lent, seed: int, figures: Figures) -> Iterator[None]:
    """Let nodes be killed, and proxies be faulty, for as long as the context lasts; afterwards all is whole again."""
    for one in lent.between:
        one.draw = Weather(seed, figures)
    try:
        with killing(lent.cluster, seed, figures):
            yield
    finally:
        for one in lent.between:
            one.draw = lambda _: None
        lent.cluster.wait_until_whole()


@contextmanager
def killing(cluster: Cluster, seed: int, figures: Figures) -> Iterator[None]:
    """Kill one node after the other, the elected master every second time, and start it again, for as long as it lasts."""
    over = threading.Event()
    chance = Random(f"{seed}/nodes")
    wrong: list[BaseException] = []

    def work() -> None:
        number = 0
        while not over.wait(chance.uniform(*UP_SECONDS)):
            node = cluster.master() if number % 2 == 0 else chance.choice(cluster.nodes)
            figures.add(
                "three nodes: kills of the master" if node is cluster.master() else "three nodes: kills of others"
            )
            node.kill()
            time.sleep(chance.uniform(*DOWN_SECONDS))
            node.start()
            cluster.wait_until_whole()
            number += 1

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- it is told where it can be heard
            wrong.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not wrong, wrong
