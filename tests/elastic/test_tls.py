"""An Elasticsearch with HTTPS on: who it is must be proved, who is calling is told to nobody else, and keys end."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.cli import checks
from tests.cli.shell import Result, Shell, scratch
from tests.elasticsearch_server import MissingServerError, Server, running_with_tls
from tests.elasticsearch_server.certificates import Identity, authority, server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Secure(NamedTuple):
    """A server with HTTPS, and the certificates around it."""

    server: Server
    authority: Identity
    identity: Identity
    folder: Path
    """Holds the certificate of the authority, ca.pem."""

    def entries(self) -> int:
        """Return how many entries the log of the books has."""
        self.server.call("POST", "/site-log/_refresh")
        return int(self.server.call("GET", "/site-log/_count")["count"])


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    """Lend a server with HTTPS and books on it, with the prefix site-."""
    folder = tmp_path
    signer = authority()
    identity = server(signer)
    (folder / "ca.pem").write_bytes(signer.pem)
    (folder / "tls").mkdir()
    for path in identity.write(folder / "tls", "server", signer):
        path.chmod(0o644)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    try:
        with running_with_tls(folder / "tls", context) as started, scratch() as home:
            lent = Secure(started, signer, identity, folder)
            checks.success(call(Shell(home), lent, f'ca_file = "{folder / "ca.pem"}"\n{password(lent)}', "setup"))
            yield lent
    except MissingServerError as error:
        pytest.fail(str(error), pytrace=False)


def password(secure: Secure) -> str:
    """Return the settings of the administrator."""
    return f'username = "{secure.server.username}"\npassword = "{secure.server.password}"'


def call(shell: Shell, secure: Secure, text: str, *words: str, host: str = "", **environment: str) -> Result:
    """Run dca with a config that names the server."""
    path = shell.folder / "my.toml"
    address = secure.server.address if not host else f"https://{host}:{secure.server.port}"
    store = "" if "store =" in text or "hosts =" in text else f'store = "{address}/site-"\n'
    path.write_text(store + text, encoding="utf-8")
    path.chmod(0o600)
    return shell.run(*words, environment={"DCA_CONFIG": str(path), "DCA_STORE": "", **environment})


def an_authority_vouches_for_the_server(secure: Secure, shell: Shell) -> None:
    """The config names it; books are kept over HTTPS as over HTTP, and the doctor finds nothing."""
    text = f'ca_file = "{secure.folder / "ca.pem"}"\n{password(secure)}'
    checks.success(call(shell, secure, text, "tenant", "add", "--tenant=acme"))
    checks.success(call(shell, secure, text, "tenant", "payment", "--tenant=acme", "--payment=5"))
    assert checks.success(call(shell, secure, text, "log", "verify"))["entries"] == secure.entries()
    doctor = checks.success(call(shell, secure, text, "doctor"))
    lines = {line["name"]: line["state"] for line in doctor["checks"]}
    assert (lines["security"], lines["ca_file"]) == ("ok", "ok")


def the_fingerprint_vouches_for_the_server(secure: Secure, shell: Shell) -> None:
    """Written with colons or without, whatever the host is called."""
    fingerprint = secure.identity.fingerprint
    for written in (fingerprint, fingerprint.replace(":", "").lower()):
        text = f'fingerprint = "{written}"\n{password(secure)}'
        checks.success(call(shell, secure, text, "list"))
        checks.success(call(shell, secure, text, "list", host="localhost"))


def who_is_not_known_is_told_nothing(secure: Secure, shell: Shell) -> None:
    """No authority, another one, another fingerprint, that of the authority, another name: one sentence each."""
    (shell.folder / "other.pem").write_bytes(authority("somebody").pem)
    ours = f'ca_file = "{secure.folder / "ca.pem"}"'
    before = secure.entries()
    for text, host, said in (
        ("", "", "is not trusted (self-signed certificate in certificate chain); name its authority"),
        (f'ca_file = "{shell.folder / "other.pem"}"', "", "is not trusted"),
        (f'fingerprint = "{"00" * 32}"', "", "does not have the fingerprint that the config names"),
        (f'fingerprint = "{secure.authority.fingerprint}"', "", "does not have the fingerprint that the config names"),
        (ours, "localhost", "is not trusted (Hostname mismatch, certificate is not valid for 'localhost'"),
    ):
        for words in (("list",), ("tenant", "add", "--tenant=umbra")):
            result = call(shell, secure, f"{text}\n{password(secure)}", *words, "--wait=5", host=host)
            assert said in checks.failure(result, 3)["error"], result
    assert secure.entries() == before
    for wrong in ("00", "gg" * 32, "00" * 16, "00" * 20):
        result = call(shell, secure, f'fingerprint = "{wrong}"\n{password(secure)}', "list")
        assert "64 hexadecimal digits" in checks.failure(result, 2)["error"]


def a_certificate_that_has_expired(secure: Secure, shell: Shell) -> None:
    """It is said so."""
    with impostor(shell.folder, server(secure.authority, days=-1)) as (url, heard):
        text = f'store = "{url}/site-"\nca_file = "{secure.folder / "ca.pem"}"\n{password(secure)}'
        error = checks.failure(call(shell, secure, text, "list", "--wait=5"), 3)["error"]
    assert "is not trusted (certificate has expired)" in error
    assert heard == []


def an_impostor_who_sends_the_certificate_of_the_authority(secure: Secure, shell: Shell) -> None:
    """It is public: beside a certificate that the authority never signed it must not pass for the server's own."""
    own = authority("authority of tests")
    with impostor(shell.folder, server(own), secure.authority) as (url, heard):
        for trust in (
            f'fingerprint = "{secure.authority.fingerprint}"',
            f'fingerprint = "{secure.identity.fingerprint}"',
            f'ca_file = "{secure.folder / "ca.pem"}"',
        ):
            text = f'store = "{url}/site-"\n{trust}\n{password(secure)}'
            checks.failure(call(shell, secure, text, "list", "--wait=5"), 3)
    assert heard == []


@contextmanager
def impostor(folder: Path, identity: Identity, *others: Identity) -> Iterator[tuple[str, list[str]]]:
    """Run something at HTTPS that writes down what callers prove themselves with."""
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Listen."""
            heard.append(self.headers["authorization"])
            self.send_error(404)

        do_POST = do_GET  # noqa: N815 -- the name that Python's server looks for

        def log_message(self, *_: object) -> None:
            """Be silent."""

    class Silent(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """Be silent."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.write(folder, "impostor", *others))
    listening = Silent(("127.0.0.1", 0), Ear)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.server_address[1]}", heard
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def make_key(secure: Secure, **settings: Any) -> tuple[str, str]:
    """Make an API key of the administrator by a raw request; return its id, and it as the config takes it."""
    made = secure.server.call("POST", "/_security/api_key", {"name": "key of tests", **settings})
    return made["id"], b64encode(f"{made['id']}:{made['api_key']}".encode()).decode()


def keys(secure: Secure, shell: Shell) -> None:
    """An API key is as good as a password until it ends; then that is said, and nothing is changed."""
    trust = f'ca_file = "{secure.folder / "ca.pem"}"\n'
    number, key = make_key(secure)
    _, short = make_key(secure, expiration="1s")
    checks.success(call(shell, secure, f'{trust}api_key = "{key}"', "tenant", "add", "--tenant=keyed"))
    log = checks.success(call(shell, secure, f'{trust}api_key = "{key}"', "log", "list", "--tenant=keyed"))["log"]
    assert log[0]["actor"] == secure.server.username
    secure.server.call("DELETE", "/_security/api_key", {"ids": [number]})
    before = secure.entries()
    time.sleep(1)  # a key expires by the server's clock
    for ended, why in (
        (key, "which was ended"),
        (short, "which has expired"),
        ("bm86a2V5", "does not accept the API key;"),
    ):
        for words in (("list",), ("tenant", "payment", "--tenant=keyed", "--payment=1")):
            error = checks.failure(call(shell, secure, f'{trust}api_key = "{ended}"', *words), 3)["error"]
            assert why in error
            assert ended not in error
    assert secure.entries() == before


def where_secrets_come_from(secure: Secure, shell: Shell) -> None:
    """From file, command and environment; the environment goes before the file, an address in DCA_STORE before both."""
    trust, good = f'ca_file = "{secure.folder / "ca.pem"}"\n', secure.server.password
    as_user = f'{trust}username = "{secure.server.username}"\n'
    _, key = make_key(secure)
    for name, text in (("word", good), ("key", key)):
        (shell.folder / name).write_text(f"{text}\nmore\n", encoding="utf-8")
        (shell.folder / name).chmod(0o600)
    asks = {
        "list password_file": (f'{as_user}password_file = "~/word"', {}),
        "list password_command": (f'{as_user}password_command = "head -n 3 {shell.folder}/word"', {}),
        "list api_key_file": (f'{trust}api_key_file = "~/key"', {}),
        "list api_key_command": (f'{trust}api_key_command = "cat {shell.folder}/key"', {}),
        "variables": (trust, {"DCA_USERNAME": secure.server.username, "DCA_PASSWORD": good}),
        "key in a variable": (trust, {"DCA_API_KEY": key}),
        "variable before config": (f'{as_user}password_command = "false"', {"DCA_PASSWORD": good}),
        "key before password": (f'{as_user}password = "bad"', {"DCA_API_KEY": key}),
        "password before key": (f'{as_user}api_key = "bm86a2V5"', {"DCA_PASSWORD": good}),
        "variable before address": (
            f'{trust}store = "{secure.server.url_as("nobody", "bad")}/site-"',
            {"DCA_USERNAME": secure.server.username, "DCA_PASSWORD": good},
        ),
        "DCA_STORE before all": (
            f'{trust}api_key = "bm86a2V5"',
            {"DCA_STORE": f"{secure.server.url}/site-", "DCA_USERNAME": "nobody", "DCA_PASSWORD": "bad"},
        ),
    }
    for name, (text, environment) in asks.items():
        result = call(shell, secure, text, "list", **environment)
        assert result.status == 0, (name, result)
        assert good not in result.out + result.err
    wrong = call(shell, secure, f'{as_user}password = "{good}"', "list", DCA_PASSWORD="bad")
    assert "does not accept the password of user" in checks.failure(wrong, 3)["error"]


def processes_of_one_command_ask_once(secure: Secure, shell: Shell) -> None:
    """What examines the log with all processors has the secret from its first process."""
    trace = shell.folder / "trace"
    program = shell.folder / "safe"
    program.write_text(f"#!/bin/sh\necho run >> {trace}\necho {secure.server.password}\n", encoding="utf-8")
    program.chmod(0o700)
    (shell.folder / "my.toml").write_text(
        f'store = "{secure.server.address}/site-"\nca_file = "{secure.folder / "ca.pem"}"\n'
        f'username = "{secure.server.username}"\npassword_command = "{program}"\n',
        encoding="utf-8",
    )
    (shell.folder / "my.toml").chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-m", "dca", "log", "verify"],
        check=False,
        capture_output=True,
        env=shell.outside({"DCA_CONFIG": str(shell.folder / "my.toml"), "DCA_STORE": ""}),
        timeout=60,
    )
    assert done.returncode == 0, done
    assert trace.read_text(encoding="utf-8") == "run\n"


def an_authority_that_is_named_is_the_only_one(secure: Secure, shell: Shell) -> None:
    """Those of the machine count where the config names none."""
    other = authority("authority of the machine")
    (shell.folder / "machine.pem").write_bytes(other.pem)
    machine, ours = {"SSL_CERT_FILE": str(shell.folder / "machine.pem")}, f'ca_file = "{secure.folder / "ca.pem"}"'
    with impostor(shell.folder, server(other)) as (url, heard):
        text = f'store = "{url}/site-"\n{ours}\n{password(secure)}'
        assert "is not trusted" in checks.failure(call(shell, secure, text, "list", "--wait=5", **machine), 3)["error"]
    assert heard == []
    (shell.folder / "machine.pem").write_bytes(secure.authority.pem)
    checks.success(call(shell, secure, password(secure), "list", **machine))


PARTS = (
    an_authority_vouches_for_the_server,
    the_fingerprint_vouches_for_the_server,
    who_is_not_known_is_told_nothing,
    a_certificate_that_has_expired,
    an_impostor_who_sends_the_certificate_of_the_authority,
    keys,
    where_secrets_come_from,
    processes_of_one_command_ask_once,
    an_authority_that_is_named_is_the_only_one,
)


def test_https(secure: Secure) -> None:
    """All parts are one test: several processes that share the tests would start a server each."""
    for part in PARTS:
        with scratch() as folder:
            part(secure, Shell(folder))
