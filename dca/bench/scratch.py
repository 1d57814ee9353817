"""Books to measure with: beside the real ones, on the same disk or server, and gone when the measuring is over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from dca import engine, lines
from dca.commands.table import BY_WORDS
from dca.core.errors import DcaError, DeniedError, RefusedError, UnreachableError
from dca.store.health import amount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dca.config import Settings
    from dca.engine import Surroundings

SQLITE = "sqlite:"
TENANTS = 8
MONEY = "1000000"
ROOM_LEFT = 1 << 30
"""Bytes that stay free beside the scratch books."""
SWEEPS = 4
SWEEP_SECONDS = 30.0
PAUSE_SECONDS = 0.25
IF_THERE = "?ignore_unavailable=true"


class Site(NamedTuple):
    """The store that is measured, and how to open another one beside it."""

    settings: Settings
    place: str
    """The file of the books, or the hosts as people call them."""
    environment: Mapping[str, str]
    open: Callable[[Settings], Surroundings]
    show: Callable[[str], None]
    """Tell a person at a terminal how far it is."""
    tell: Callable[[str], None]

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the books are a file."""
        return not self.settings.hosts and self.settings.store.startswith(SQLITE)


class Scratch:
    """Books of their own, with a folder for files."""

    def __init__(self, site: Site, needed: int) -> None:
        """Choose a name and a folder with room; nothing is made yet but the folder."""
        self.site = site
        drawn = os.urandom(4).hex()
        address = site.settings.hosts.split(",")[0].strip() or site.settings.store
        self.is_sqlite = site.is_sqlite
        if self.is_sqlite:
            books = Path(site.place)
            beside = next(folder for folder in books.parents if folder.exists())
            check_room(beside, needed)
            self.folder = Path(tempfile.mkdtemp(prefix=f"{books.name}.bench-", dir=beside))
            address = f"{SQLITE}{self.folder / 'books.db'}"
        else:
            self.folder = Path(tempfile.mkdtemp(prefix="dca-bench-"))
            url = urlsplit(address if "://" in address else f"http://{address}")
            prefix = url.path.strip("/") or site.settings.prefix
            address = urlunsplit(url._replace(path=f"/{prefix}bench-{drawn}-"))
        self.address = address
        self.around = self.opened()
        self.ready = False
        self.interrupted = False

    @property
    def file(self) -> Path:
        """Return the file of the books, on SQLite."""
        return Path(self.address.removeprefix(SQLITE))

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment for processes that are to work on these books."""
        return {**self.site.environment, "DCA_STORE": self.address}

    def opened(self) -> Surroundings:
        """Open these books once more: a process of its own needs its own connection."""
        return self.site.open(self.site.settings._replace(store=self.address, hosts=""))

    def make(self) -> None:
        """Set the books up: a rate, and tenants with a project and a user each."""
        self.around.store.setup()
        self.ready = True
        self.run("rate set", {"--rate": "0.05"})
        for number in range(TENANTS):
            tenant, project = f"tenant{number}", f"project{number}"
            self.tenant(tenant)
            self.run("tenant payment", {"--tenant": tenant, "--payment": MONEY})
            self.run("project add", {"--tenant": tenant, "--project": project, "--balance": MONEY})
            self.run("user add", {"--project": project, "--user": "ada"})

    def tenant(self, name: str) -> None:
        """Add a tenant."""
        self.run("tenant add", {"--tenant": name})

    def run(self, words: str, given: dict[str, Any]) -> dict[str, Any]:
        """Run a command on these books, in this process."""
        return engine.run(self.around, BY_WORDS[words], given)

    def run_lines(self, words: str, file: Path) -> int:
        """Run a command for each line of a file; return how many answers it wrote."""
        written: list[str] = []
        if not lines.run_lines(self.around, BY_WORDS[words], str(file), written.append, dry_run=False):
            raise UnreachableError("cannot measure: not all lines of a file were charged on the scratch books.")
        return sum(text.count("\n") + 1 for text in written)

    def bring(self, log: Path, tenant: str) -> dict[str, Any]:
        """Import a log for a tenant."""
        given = {"--tenant": tenant, "--create-missing": True, "--timezone": "UTC", "FILE": str(log)}
        return self.run("job import", given)

    def remove(self) -> None:
        """Remove everything again."""
        try:
            if not self.is_sqlite:
                self.around.store.wipe()
                self._sweep()
        finally:
            with contextlib.suppress(DcaError):
                self.around.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Delete every index under the scratch prefix, also those that an interrupted request makes a moment later."""
        from dca.store.elastic_door import Request

        store: Any = self.around.store
        prefix = store.door.address.prefix
        for _ in range(SWEEPS):
            until = time.monotonic() + SWEEP_SECONDS
            found = store.door.ask(Request("look for scratch indices", "GET", f"/{prefix}*"), until=until)
            if found:
                store.door.ask(
                    Request("delete scratch indices", "DELETE", f"/{','.join(found)}{IF_THERE}"), until=until
                )
            elif not self.interrupted:
                return
            time.sleep(PAUSE_SECONDS)


def check_room(folder: Path, needed: int) -> None:
    """Refuse to fill a disk on which real books may be."""
    free = shutil.disk_usage(folder).free
    if free < needed + ROOM_LEFT:
        raise RefusedError(
            f"measuring takes about {amount(needed)} and must leave {amount(ROOM_LEFT)}, but only {amount(free)} are free "
            f"in {folder}; use --quick or a smaller --jobs."
        )


@contextlib.contextmanager
def scratch(site: Site, needed: int) -> Iterator[Scratch]:
    """Lend scratch books that may take so many bytes; they are removed whatever happens, but for a SIGKILL."""
    with _stopping_politely():
        try:
            lent = Scratch(site, needed)
        except OSError as error:
            raise UnreachableError(
                f"no scratch books can be made beside {site.place} ({error.strerror}); nothing was measured."
            ) from None
        try:
            lent.make()
            yield lent
        except KeyboardInterrupt:
            lent.interrupted = True
            raise KeyboardInterrupt("the scratch books were removed, and the real ones never touched") from None
        finally:
            with _undisturbed():
                _remove(lent)


def _remove(lent: Scratch) -> None:
    try:
        lent.remove()
    except DeniedError as error:
        if lent.ready:  # else nothing could be made either
            lent.site.tell(_leftover(lent, error))
    except DcaError as error:
        lent.site.tell(_leftover(lent, error))


def _leftover(lent: Scratch, error: DcaError) -> str:
    prefix = urlsplit(lent.address).path.strip("/")
    return f"the scratch indices {prefix}* are left, delete them: {error.sentence}"


@contextlib.contextmanager
def _stopping_politely() -> Iterator[None]:
    """Let SIGTERM end the measuring as Ctrl-C does, so that the scratch books go."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Do not listen to Ctrl-C for a moment."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
