"""Where a server listens, how to enter it, and how to ask whether it is ready."""

import json
import time
from base64 import b64encode
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from ssl import SSLContext
from typing import Any, NamedTuple, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

VERSION = "9.5.2"
USERNAME = "elastic"
PASSWORD = "dca-test"
VARIABLE = "DCA_TEST_ELASTICSEARCH"
START_SECONDS_MAX = 180

Answer = TypeVar("Answer")

# The tests talk to a server on this machine or network; a proxy for the wide world would only be in the way.
_open = build_opener(ProxyHandler({})).open


class MissingServerError(Exception):
    """There is no server to test with; the message says what to do."""


UNAVAILABLE = 503
SECURITY_SECONDS = 30


class Server(NamedTuple):
    """An Elasticsearch with security, and a user who may do everything there."""

    host: str
    port: int
    username: str = USERNAME
    password: str = PASSWORD
    scheme: str = "http"
    home: Path | None = None  # where it is unpacked, if it is from Maven Central
    java_home: Path | None = None  # and the JDK that runs it
    context: SSLContext | None = None  # how it is known by HTTPS, if not by an authority of this machine

    @property
    def address(self) -> str:
        """Name the server without a user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """Name the server with user and password."""
        return self.url_as(self.username, self.password)

    def url_as(self, username: str, password: str) -> str:
        """Name the server with another user."""
        return self.address.replace("://", f"://{quote(username, safe='')}:{quote(password, safe='')}@", 1)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request as the user of this record and return the JSON of the answer."""
        request = Request(self.address + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
        login = b64encode(f"{self.username}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        deadline = time.monotonic() + SECURITY_SECONDS
        while True:
            try:
                with self._open(request) as answer:
                    return json.load(answer)
            except HTTPError as error:
                with error:
                    error.add_note(error.read().decode(errors="replace"))
                if error.code != UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)  # the index of users is made by the first who asks for it

    def _open(self, request: Request) -> Any:
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=self.context)).open if self.context else _open
        return opener(request, timeout=60)

    def is_ready(self) -> bool:
        """Tell whether the server knows the user and has a master."""
        try:
            self.call("GET", "/_cluster/health")
        except (OSError, HTTPException, ValueError):
            return False
        return True


def named(url: str, seconds: float = 30) -> Server:
    """Return the server that a URL with user and password names."""
    parts = urlsplit(url)
    if not (parts.scheme in {"http", "https"} and parts.hostname and parts.username and parts.password):
        raise MissingServerError(f"{VARIABLE} must be like http://user:password@host:9200.")
    server = Server(
        parts.hostname, parts.port or 9200, unquote(parts.username), unquote(parts.password), scheme=parts.scheme
    )
    if not poll(server.is_ready, seconds=seconds):
        raise MissingServerError(f"{server.address} does not answer user {server.username}: look at {VARIABLE}.")
    return server


def poll(ask: Callable[[], Answer], *, seconds: float, alive: Callable[[], bool] = lambda: True) -> Answer | None:
    """Ask until the answer is true, for a limited time and while there is hope."""
    end = time.monotonic() + seconds
    while alive() and time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.1)
    return None
