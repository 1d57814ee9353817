"""A shell for tests: runs dca in this process or in one of its own, and looks into the books behind its back."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import pwd
import resource
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from dca import cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent.parent
PROCESS_SECONDS_MAX = 60
SQLITE = "sqlite:"
NOBODY = 65_534


MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder in memory, where the machine has one


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Lend a new folder, in memory if possible: what tests write need not survive, and syncing a disk takes its time."""
    place = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dca-test-", dir=place) as name:
        yield Path(name).resolve()


class Result(NamedTuple):
    """What a run of dca left behind."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """Return the one JSON object on standard output; anything else there is a failed test."""
        answer = json.loads(self.out)
        assert isinstance(answer, dict), self.out
        return answer


class Shell:
    """A place to run dca in: a folder that is also its home, and one store."""

    def __init__(self, folder: Path, store: str = "") -> None:
        """Make the home folder; without a store the books are a file in the folder."""
        self.folder = folder
        self.store = store or f"{SQLITE}{folder / 'books.db'}"
        self.environment = {"HOME": str(folder), "DCA_STORE": self.store}

    @property
    def file(self) -> Path:
        """Return the file of books that are kept in SQLite."""
        assert self.store.startswith(SQLITE), self.store
        return Path(self.store.removeprefix(SQLITE))

    @property
    def place(self) -> str:
        """Return the store as dca calls it."""
        if self.store.startswith(SQLITE):
            return str(self.file)
        address = urlsplit(self.store)
        return f"{address.scheme}://{address.hostname}:{address.port}{address.path}"

    @property
    def actor(self) -> str:
        """Return who the caller is for the store."""
        if self.store.startswith(SQLITE):
            return pwd.getpwuid(os.geteuid()).pw_name
        return urlsplit(self.store).username or ""

    def run(
        self, *words: str, stdin: bytes | None = b"", environment: Mapping[str, str] | None = None, program: str = "dca"
    ) -> Result:
        """Run dca in this process; stdin None is a closed one."""
        out, err = _stream(b""), _stream(b"")
        kept = sys.argv, sys.stdin, sys.stdout, sys.stderr
        with _surrounded(self.folder, self.environment | dict(environment or {})):
            sys.argv = [program, *words]
            sys.stdin, sys.stdout, sys.stderr = None if stdin is None else _stream(stdin), out, err
            try:
                status = cli.setup_main() if program == "dca_setup" else cli.main(list(words))
            finally:
                sys.argv, sys.stdin, sys.stdout, sys.stderr = kept
        return Result(status, _written(out), _written(err))

    def ok(self, *words: str, **how: Any) -> dict[str, Any]:
        """Run dca in this process and return its answer, which must be a success."""
        result = self.run(*words, **how)
        assert result.status == 0, result
        return result.answer

    def process(
        self,
        *words: str,
        stdin: bytes | None = b"",
        environment: Mapping[str, str] | None = None,
        python: Sequence[str] = (),
        before: Sequence[str] = (),
        **how: Any,
    ) -> Result:
        """Run dca in a process of its own, perhaps with options for python or another program before it."""
        command = [*before, sys.executable, *python, "-m", "dca", *words]
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=self.outside(environment),
            timeout=PROCESS_SECONDS_MAX,
            **how,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def outside(self, further: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DCA_")}
        return kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | self.environment | dict(further or {})

    def state(self) -> str:
        """Return a text that changes whenever the books change."""
        return dump(self.file) if self.store.startswith(SQLITE) else writes(self.store)


def dump(file: Path) -> str:
    """Return all that a SQLite file holds; nothing for one that is not there."""
    if not file.exists():
        return ""
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        return "\n".join(connection.iterdump())


def writes(store: str) -> str:
    """Return how often the indices of a store were written to: where that stays, the books stay."""
    prefix = urlsplit(store).path.strip("/")
    stats = ask(store, "GET", f"/{prefix}*/_stats/indexing")["indices"]
    counts = {name: one["primaries"]["indexing"] for name, one in stats.items()}
    return "\n".join(f"{name} {one['index_total']} {one['delete_total']}" for name, one in sorted(counts.items()))


def ask(store: str, method: str, path: str, body: Any = None) -> Any:
    """Send one request to the Elasticsearch of a store's address; return what it answers, None for what is not there."""
    address = urlsplit(store)
    request = urllib.request.Request(
        f"{address.scheme}://{address.hostname}:{address.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    if address.username:
        credentials = f"{address.username}:{address.password}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(credentials).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=PROCESS_SECONDS_MAX) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise AssertionError(error.read().decode()) from None


def _stream(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="")


def _written(stream: io.TextIOWrapper) -> str:
    if stream.closed:
        return ""
    stream.flush()
    data = stream.buffer.getvalue()  # type: ignore[attr-defined]
    text: str = data.decode()
    return text


@contextlib.contextmanager
def _surrounded(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Work in a folder, with exactly these variables of dca in the environment."""
    outer, kept = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    try:
        for name in [name for name in os.environ if name.startswith("DCA_")]:
            del os.environ[name]
        os.environ.update(environment)
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
        os.chdir(outer)


def as_somebody(shell: Shell, *words: str, user: int = NOBODY, environment: Mapping[str, str] | None = None) -> Result:
    """Run dca in a process that gives up root's rights once all is imported: nobody may not even read Python's files.

    A variable that is to be empty is left out.
    """
    command = [sys.executable, str(Path(__file__).with_name("somebody.py")), str(user), *words]
    variables = {name: value for name, value in shell.outside(environment).items() if value}
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, cwd=shell.folder, env=variables
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def room(amount: int) -> Iterator[None]:
    """Let no file grow beyond an amount of bytes: what a full disk is like, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (amount, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
