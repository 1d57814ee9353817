"""A small HTTP proxy in front of a server that loses requests and answers, delays, repeats and cuts them off, or answers."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOR_EVER = 10**9
HEADERS = {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}


class Asked(NamedTuple):
    """A request that went by."""

    method: str
    path: str
    body: bytes


class Fault(NamedTuple):
    """What goes wrong with requests to some path, how often."""

    part_of_path: str
    times: int = 1
    reaches: bool = True
    """Whether the server gets the request."""
    status: int = 0
    """What the proxy answers in place of the server; with 0, it closes the connection without an answer."""
    body: Any = None
    seconds: float = 0.0
    """How long it waits before that."""
    sent: int = 1
    """How often the server gets a request that reaches it."""
    truthful: bool = False
    """Whether the answer of the server is passed on after all."""
    cut: bool = False
    """Whether the answer breaks off in its middle."""
    when: Callable[[Asked], bool] = lambda _: True
    method: str = ""


class Proxy:
    """A running proxy."""

    def __init__(self, host: str, port: int, product: str) -> None:
        """Take the server behind it, and what it calls itself in answers of its own."""
        self.faults: list[Fault] = []
        self.draw: Callable[[Asked], Fault | None] = lambda _: None
        """What goes wrong with a request that none of the faults fits."""
        self.asked: list[Asked] = []
        self.product = product
        self._behind = (host, port)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def log_message(self, *_: object) -> None:
                """Be silent."""

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return lambda: proxy.serve(self)
                raise AttributeError(name)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """Return the address of the proxy."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def count(self, part_of_path: str) -> int:
        """Return how many requests to some path went by."""
        return sum(part_of_path in asked.path for asked in self.asked)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Pass on one request and its answer, unless a fault says otherwise."""
        length = int(handler.headers.get("content-length") or 0)
        asked = Asked(handler.command, handler.path, handler.rfile.read(length))
        fault = self._fault(asked)
        status, body = 0, b""
        for _ in range(0 if fault is not None and not fault.reaches else fault.sent if fault is not None else 1):
            status, body = self._pass_on(handler, asked)
        if fault is not None:
            time.sleep(fault.seconds)
            if not fault.truthful:
                status, body = fault.status, json.dumps(fault.body).encode()
        if not status:
            handler.close_connection = True
            return
        handler.send_response(status)
        for name, value in {**HEADERS, "x-elastic-product": self.product}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        if fault is not None and fault.cut:
            handler.close_connection = True
            body = body[: len(body) // 2]
        handler.wfile.write(body)

    def _fault(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.asked.append(asked)
            for number, fault in enumerate(self.faults):
                fits = fault.part_of_path in asked.path and fault.method in ("", asked.method)
                if fault.times and fits and fault.when(asked):
                    self.faults[number] = fault._replace(times=fault.times - 1)
                    return fault
            return self.draw(asked)

    def _pass_on(self, handler: BaseHTTPRequestHandler, asked: Asked) -> tuple[int, bytes]:
        connection = HTTPConnection(*self._behind, timeout=60)
        names = ("content-type", "authorization", "accept")
        headers = {name: handler.headers[name] for name in names if name in handler.headers}
        try:
            connection.request(asked.method, asked.path, asked.body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):  # the server itself is gone
            return 0, b""
        finally:
            connection.close()


@contextmanager
def proxy(host: str, port: int, *faults: Fault, product: str = "Elasticsearch") -> Iterator[Proxy]:
    """Run a proxy with some faults."""
    running = Proxy(host, port, product)
    running.faults += faults
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
        thread.join()
