"""Books on Elasticsearch with real users, each with the direct rights of a role: through dca, and with a raw client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dca.commands.table import PERMITTED
from dca.store import entry as entries
from dca.store.elastic import ElasticStore
from tests.cli.shell import PROCESS_SECONDS_MAX, Shell
from tests.contract import deeds
from tests.elastic.proxy import FOR_EVER, Asked, Fault, proxy
from tests.elastic.server import BookServer
from tests.elasticsearch_server.cleaning import clean_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.deeds import Deed
    from tests.elastic.server import Said
    from tests.elasticsearch_server.server import Server

PASSWORD = "a-password"
DAY = 86_400_000
BULK = "/_bulk?require_alias=true&filter"
"""Where records are written, after the entry that brings them."""
ROLES = ("operator", "administrator", "auditor")
Document = dict[str, Any]


class Site:
    """Books, a root, and somebody of each of some roles."""

    def __init__(self, folder: Path, server: Server, prefix: str) -> None:
        """Set the books up."""
        self.server = BookServer(server, prefix)
        self.folder, self.prefix = folder, prefix
        self.root = Shell(folder, f"{server.url}/{prefix}")
        self.root.ok("setup")
        for role in ROLES:
            self.hire(role, f"--role={role}")
        self.root.ok("rate", "set", "--rate=1")
        self.store = ElasticStore(self.server.address, PERMITTED)

    def hire(self, name: str, *roles: str) -> str:
        """Make a login, with a role."""
        self.root.ok("login", "add", f"--login={self.login(name)}", *roles, stdin=f"{PASSWORD}\n".encode())
        return self.login(name)

    def login(self, name: str) -> str:
        """Return somebody's login; those who are called as their roles are there from the beginning."""
        return f"{self.prefix}{name}"

    def shell(self, role: str, place: str = "") -> Shell:
        """Return the shell of somebody, perhaps by way of another host."""
        place = place or f"{self.server.server.host}:{self.server.server.port}"
        return Shell(self.folder, f"http://{self.login(role)}:{PASSWORD}@{place}/{self.prefix}")

    def raw(self, role: str, method: str, path: str, body: Any = None) -> Said:
        """Send a raw request as somebody; {p} stands for the prefix."""
        return self.server.send(method, path.format(p=self.prefix), body, user=(self.login(role), PASSWORD))

    def tenant(self, name: str) -> str:
        """Make a tenant with a project of its own and a user in it; return its stream, whose next entry is the fifth."""
        self.root.ok("tenant", "add", f"--tenant={name}")
        self.root.ok("tenant", "payment", f"--tenant={name}", "--payment=100")
        self.root.ok("project", "add", f"--tenant={name}", f"--project=p{name}", "--balance=50")
        self.root.ok("user", "add", f"--project=p{name}", "--user=wile")
        return f"t:{name}"

    def balance(self, role: str, tenant: str) -> Any:
        """Return the balance of a tenant, as somebody sees it."""
        return self.shell(role).ok("list", f"--tenant={tenant}")["list"][0]["balance"]

    def job(self, tenant: str, job: str, hours: int = 1) -> None:
        """Hold and charge a job as the scheduler's hook does."""
        hook, seconds = self.shell("operator"), hours * 3600
        project = f"--project=p{tenant}"
        hook.ok("transaction", "reservebudget", project, f"--estimate={seconds}", f"--job={job}")
        hook.ok("transaction", "charge", project, "--user=wile", f"--jobtime={seconds}", f"--job={job}")

    def head(self, stream: str) -> int:
        """Return the stored head of a tenant's stream or the global one, as it lies there."""
        kind, record_id = ("site", "site") if stream == "g" else ("tenant", stream.removeprefix("t:"))
        return int(self.server.source(kind, record_id)["head_seq"])

    def end(self, stream: str) -> int:
        """Return the sequence of the last entry of a stream."""
        return self.store.read(lambda reader: reader.end(stream)).seq

    def found(self, stream: str, role: str = "") -> list[dict[str, Any]]:
        """Verify the books as root, or as somebody else; return what is said of a stream."""
        done = (self.shell(role) if role else self.root).run("log", "verify")
        assert done.status in {0, 1}, done
        return [one for one in (*done.answer["damage"], *done.answer["notes"]) if one.get("stream") == stream]

    # -- somebody who dies -----------------------------------------------------------------------------------------

    def killed(self, role: str, *words: str) -> None:
        """Run a command as somebody whose process is killed when its entry is there and nothing else yet."""
        running: list[subprocess.Popen[bytes]] = []

        def kill(_: Asked) -> bool:
            os.kill(running[0].pid, signal.SIGKILL)
            return True

        behind = self.server.server
        with proxy(behind.host, behind.port, Fault(BULK, FOR_EVER, reaches=False, when=kill)) as between:
            shell = self.shell(role, urlsplit(between.url).netloc)
            command = [sys.executable, "-m", "dca", *words]
            with subprocess.Popen(
                command, env=shell.outside(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                running.append(process)
                out, err = process.communicate(timeout=PROCESS_SECONDS_MAX)
        assert process.returncode == -signal.SIGKILL, (out, err)

    def stopped(self, role: str, *words: str) -> None:
        """Run a command as somebody whose records never arrive, as if it were killed; that is quicker than a process."""
        behind = self.server.server
        answer = {"errors": True, "items": [{"create": {"status": 500, "error": {"type": "io_exception"}}}]}
        with proxy(behind.host, behind.port, Fault(BULK, FOR_EVER, False, 200, answer)) as between:  # noqa: FBT003
            self.shell(role, urlsplit(between.url).netloc).ok(*words)

    # -- somebody who forges ---------------------------------------------------------------------------------------

    def proper(self, deed: Callable[[], Deed], actor: str, days: int = 0) -> Document:
        """Return the document that an entry would be, as the next of its stream, which says that an actor wrote it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deeds, "NOW", time.time_ns() // 1_000_000 + days * DAY)
            patch.setattr(deeds, "ACTOR", actor)
            made = deed()
            draft = self.store.read(made).draft
        assert draft is not None
        end = self.store.read(lambda reader: reader.end(draft.stream))
        document: Document = json.loads(entries.document_text(*entries.seal(draft, end)))
        return document

    def forge(self, document: Any, record_id: str, role: str = "operator") -> None:
        """Create a document in the log with a raw client; Elasticsearch takes it, since its author may write there."""
        user = (self.login(role), PASSWORD)
        assert self.server.create_alone("log", record_id, document, user=user) == 201


@contextmanager
def site(folder: Path, server: Server, name: str) -> Iterator[Site]:
    """Lend books with people."""
    prefix = f"{name}{os.getpid()}-"
    clean_up(server, prefix)
    made = Site(folder, server, prefix)
    with closing(made.store):
        yield made
    clean_up(server, prefix)


def hashed(document: Document) -> Document:
    """Give a document the hash that fits what it says."""
    return {**document, "hash": entries.document_digest(document)}
