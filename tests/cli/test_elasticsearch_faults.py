"""An Elasticsearch that is not there, is none, or does not want us: exit status 3 or 4, host and next step, in time."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.cli import checks
from tests.cli.shell import Shell, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.elasticsearch_server.server import Server

WORDS = (("list",), ("doctor",), ("tenant", "add", "--tenant=acme"), ("setup",), ("job", "import", "jobs.txt"))
each_command = pytest.mark.parametrize("words", WORDS, ids=" ".join)


def at(folder: Path, address: str) -> Shell:
    """Return a shell whose books are at an address, with a log to import and a config already there."""
    (folder / "jobs.txt").write_text("JobIDRaw|x\n", encoding="utf-8")
    shell = Shell(folder, address)
    (folder / ".dca").mkdir()
    (folder / ".dca" / "config").touch()
    return shell


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def serving(answer: bytes, *, kind: str = "application/json", status: int = 200, delay: float = 0.0) -> Iterator[str]:
    """Run a server that is no Elasticsearch and gives everybody the same answer; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            with suppress(ConnectionError):  # a client that waited long enough is gone, which concerns no later test
                super().handle_one_request()

        def do_GET(self) -> None:
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 -- what the base class calls

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class calls it that
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@each_command
def test_nobody_listens(words: tuple[str, ...], folder: Path) -> None:
    """A port at which nothing listens is told with host and port, well within the time that a command may wait."""
    address = f"http://127.0.0.1:{free_port()}"
    begin = time.monotonic()
    answer = checks.failure(at(folder, f"{address}/p-").run(*words, "--wait=3"), 3)
    assert answer["code"] == "unreachable"
    assert urlsplit(address).netloc in answer["error"]
    assert time.monotonic() - begin < 6


@each_command
def test_unknown_host(words: tuple[str, ...], folder: Path) -> None:
    """A host whose name is not known is told by its name; a password in the address is not told."""
    answer = checks.failure(at(folder, "http://me:geheim@nowhere.invalid:9200/p-").run(*words, "--wait=2"), 3)
    assert "nowhere.invalid" in answer["error"]
    assert "geheim" not in answer["error"]


@each_command
def test_not_elasticsearch(words: tuple[str, ...], folder: Path) -> None:
    """Servers that are no Elasticsearch: a web page, JSON of somebody else's, an error page, an empty answer."""
    pages = (
        (b"<html>Welcome to nginx!</html>", "text/html", 200),
        (b'{"hello": "world"}', "application/json", 200),
        (b"[]", "application/json", 200),
        (b"{", "application/json", 200),
        (b"<html>Bad Gateway</html>", "text/html", 502),
        (b"<html>Not Found</html>", "text/html", 404),
        (b"", "text/plain", 200),
    )
    for number, (page, kind, status) in enumerate(pages):
        place = folder / str(number)
        place.mkdir()
        with serving(page, kind=kind, status=status) as address:
            answer = checks.failure(at(place, f"{address}/p-").run(*words, "--wait=0.3"), 3)
            assert urlsplit(address).netloc in answer["error"], answer


def test_server_that_is_silent(folder: Path) -> None:
    """A server that does not answer is waited for as long as the command may wait, and not much longer."""
    with serving(b"{}", delay=30) as address:
        begin = time.monotonic()
        checks.failure(at(folder, f"{address}/p-").run("list", "--wait=1"), 3)
        assert time.monotonic() - begin < 8


def test_port_that_speaks_nothing(folder: Path) -> None:
    """A port that accepts and closes at once, as a TLS port does to plain HTTP, is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def slam() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.close()

        thread = threading.Thread(target=slam)
        thread.start()
        try:
            port = server.getsockname()[1]
            for scheme in ("http", "https"):
                (folder / scheme).mkdir()
                answer = checks.failure(
                    at(folder / scheme, f"{scheme}://127.0.0.1:{port}/p-").run("list", "--wait=1"), 3
                )
                assert f"127.0.0.1:{port}" in answer["error"]
        finally:
            stop.set()
            thread.join()


def test_tls_to_a_plain_port(folder: Path) -> None:
    """https:// to a server that speaks plain HTTP says which scheme to write."""
    with serving(b"{}") as address:
        answer = checks.failure(at(folder, address.replace("http://", "https://") + "/p-").run("list", "--wait=1"), 3)
        assert "http://" in answer["error"]


@pytest.mark.parametrize("setting", ["ca_file", "fingerprint"])
def test_bad_trust_settings(setting: str, shell: Shell) -> None:
    """A CA file that is none, or a fingerprint that is none, is told before anything is sent."""
    (shell.folder / "ca.pem").write_text("no certificate\n", encoding="utf-8")
    for value in ("ca.pem", "missing.pem", "zz"):
        config = shell.folder / "my.toml"
        config.write_text(f'hosts = "https://127.0.0.1:1"\n{setting} = "{value}"\n', encoding="utf-8")
        environment = {"DCA_STORE": "", "DCA_CONFIG": str(config)}
        result = shell.run("list", "--wait=1", environment=environment)
        checks.failure(result, 2, 3)


def with_password(url: str, user: str, password: str) -> str:
    """Return the address of a server with other credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{user}:{password}@{parts.hostname}:{parts.port}"


@each_command
def test_wrong_password(words: tuple[str, ...], elasticsearch: Server, prefix: str, folder: Path) -> None:
    """A wrong password, an unknown user or none: exit status 3 at once, and the password is not told."""
    for number, (user, password) in enumerate((("elastic", "geheim"), ("nobody", "geheim"))):
        place = folder / str(number)
        place.mkdir()
        begin = time.monotonic()
        shell = at(place, f"{with_password(elasticsearch.url, user, password)}/{prefix}")
        answer = checks.failure(shell.run(*words), 3)
        assert user in answer["error"]
        assert "geheim" not in answer["error"]
        assert time.monotonic() - begin < 10


def test_no_time_at_all(elasticsearch: Server, prefix: str, folder: Path) -> None:
    """Where the books could not even be read in time it is not said that others were writing."""
    shell = at(folder, f"{elasticsearch.url}/{prefix}")
    shell.ok("setup")
    answer = checks.failure(shell.run("tenant", "add", "--tenant=acme", "--wait=0"), 5)
    assert answer["error"] == "the time to wait was over before the books were read; nothing was changed, wait longer."
    shell.ok("tenant", "add", "--tenant=acme")


def test_no_books(elasticsearch: Server, prefix: str, folder: Path) -> None:
    """Without setup there are no books: exit status 3, the prefix and the next step; nothing is made by the way."""
    shell = at(folder, f"{elasticsearch.url}/{prefix}")
    for words in WORDS:
        if words != ("setup",):
            answer = checks.failure(shell.run(*words), 3)
            assert prefix in answer["error"]
            assert "dca setup" in answer["error"]
    assert ask(elasticsearch.url, "GET", f"/_cat/indices/{prefix}*?format=json") == []


def test_user_without_rights(elasticsearch: Server, prefix: str, folder: Path) -> None:
    """A user who may read but not write is refused, exit status 4, and nothing changes."""
    admin = Shell(folder, f"{elasticsearch.url}/{prefix}")
    admin.ok("setup")
    user, role = f"{prefix}reader", f"{prefix}role"
    ask(
        elasticsearch.url,
        "PUT",
        f"/_security/role/{role}",
        {
            "applications": [{"application": f"dca-{prefix}", "privileges": ["*"], "resources": ["*"]}],
            "indices": [{"names": [f"{prefix}*"], "privileges": ["read", "maintenance"]}],
        },
    )
    ask(elasticsearch.url, "PUT", f"/_security/user/{user}", {"password": "geheim-enough", "roles": [role]})
    shell = Shell(folder, f"{with_password(elasticsearch.url, user, 'geheim-enough')}/{prefix}")
    before = admin.state()
    checks.success(shell.run("rate", "get"))
    for words in (("tenant", "add", "--tenant=acme"), ("rate", "set", "--rate=1")):
        answer = checks.failure(shell.run(*words), 4)
        assert answer["code"] == "not_permitted"
    assert admin.state() == before
    checks.success(admin.run("tenant", "add", "--tenant=acme"))


def test_two_at_once(elasticsearch: Server, prefix: str, folder: Path) -> None:
    """Of two processes that want the last of a project's money one gets it."""
    shell = Shell(folder, f"{elasticsearch.url}/{prefix}")
    shell.ok("setup")
    shell.ok("rate", "set", "--rate=3600")
    shell.ok("tenant", "add", "--tenant=acme", "--credit=10")
    shell.ok("project", "add", "--project=p", "--tenant=acme", "--credit=10")
    results = []
    words = ("transaction", "reservebudget", "--project=p", "--estimate=6")
    threads = [threading.Thread(target=lambda: results.append(shell.process(*words))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.status for result in results) == [0, 1], results
    assert shell.ok("project", "show", "--project=p")["project"]["free"] == 4


def test_doctor_examines_what_cannot_be_asked(folder: Path) -> None:
    """Where nobody can say who may do what, doctor still has a line for everything that it looked at."""
    answer = checks.failure(at(folder, f"http://127.0.0.1:{free_port()}/p-").run("doctor", "--wait=1"), 3)
    lines = {line["name"]: line["state"] for line in answer["checks"]}
    assert lines["program"] == "ok"
    assert lines["store"] == "failed"
