"""The one door to Elasticsearch: every request goes through it, and what goes wrong comes out as one sentence.

Requests are sent by `elastic_transport`, the lower half of the official client, which brings connections, TLS and the choice
of a living host. The upper half is left out: it takes another 0.1 s to import, and it demands that server and client have
the same major version.
"""

from __future__ import annotations

import random
import re
import time
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from dca.core.errors import BusyError, DcaError, DeniedError, UnreachableError, UsageError
from dca.core.names import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elastic_transport import NodeConfig, Transport

CONNECT_SECONDS_MAX = 5.0
ATTEMPT_SECONDS_MIN = 1.0
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 1.0
REASON_LENGTH_MAX = 300
PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9._-]{0,99})?", re.ASCII)

MISSING, CONFLICT, TOO_LARGE, OVERLOADED = 404, 409, 413, 429
PASSING = frozenset((408, OVERLOADED, 502, 503, 504))
"""Answers of a server that may well give another one soon."""


class Address(NamedTuple):
    """Where an Elasticsearch is, who we are there, and what the names of our indices begin with."""

    hosts: tuple[str, ...]
    """scheme://host:port, one for each node that may be asked."""
    username: str = ""
    password: str = ""
    api_key: str = ""
    ca_file: str = ""
    fingerprint: str = ""
    prefix: str = ""

    @classmethod
    def parse(cls, hosts: Sequence[str], **settings: str) -> Address:
        """Read hosts as people write them: http(s)://[user:password@]host:port[/prefix]; that goes before settings."""
        plain = []
        for host in hosts:
            try:
                url = urlsplit(host)
                port = url.port
            except ValueError:
                url, port = urlsplit(""), None
            if url.scheme not in ("http", "https") or not url.hostname or not port:
                where = shown(host.rpartition("@")[2])
                raise UsageError(f"{where} is no address of an Elasticsearch; write http(s)://host:port[/prefix].")
            name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
            plain.append(f"{url.scheme}://{name}:{port}")
            given = {"username": unquote(url.username or ""), "password": unquote(url.password or "")}
            given["prefix"] = url.path.strip("/")
            settings |= {setting: value for setting, value in given.items() if value}
        return cls(tuple(plain), **settings)

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Address({', '.join(self.hosts)}, prefix={self.prefix!r})"


class Answer(NamedTuple):
    """What a host answered."""

    status: int
    body: Any
    host: str

    @property
    def kind(self) -> str:
        """Return what kind of error it is, in Elasticsearch's words; empty where it does not say."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return str(error.get("type", "")) if isinstance(error, dict) else ""

    @property
    def reason(self) -> str:
        """Return the reason given for an error, as one line."""
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else self.body
        reason = error.get("reason", "") if isinstance(error, dict) else error
        return " ".join(str(reason or "").split())[:REASON_LENGTH_MAX]


Fault = Callable[[Answer], Answer]


class NoAnswerError(UnreachableError):
    """A request was sent, and whether it was carried out is not known."""


class NoBooksError(UnreachableError):
    """The indices of the books are not there."""


class UnreadableError(NoAnswerError):
    """The answer to a request could not be read."""


class Door:
    """Connections to the hosts of one Elasticsearch cluster."""

    def __init__(self, address: Address) -> None:
        """Take the address; nothing is sent yet."""
        from elastic_transport import Transport, TransportError

        if not PREFIX.fullmatch(address.prefix):
            raise UsageError(
                f"prefix {shown(address.prefix)} cannot be used: "
                "write lower-case letters, digits and . _ -, beginning with a letter or digit."
            )
        self.address = address
        self._failures = (TransportError, ValueError, OSError)
        self._verified = False
        self._others = len(address.hosts) > 1
        try:
            nodes = [_node(host, address) for host in address.hosts]
            self._transport: Transport = Transport(nodes, max_retries=0, retry_on_status=(), meta_header=False)
        except OSError as error:
            raise UsageError(f"the CA file {address.ca_file} cannot be read: {error.strerror or error}.") from None
        except ValueError as error:
            raise UsageError(f"{self.hosts} cannot be used: {error}.") from None

    @property
    def hosts(self) -> str:
        """Return the hosts as a message shows them."""
        return ", ".join(self.address.hosts)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def call(self, doing: str, method: str, path: str, body: Any = None, *, seconds: float) -> Answer:
        """Send a request once; where a host cannot be connected to, the next one gets it.

        UnreachableError says that nothing was sent, NoAnswerError that it is not known what became of it.
        """
        for attempt in reversed(range(max(2, len(self.address.hosts)))):
            try:
                return self._send(doing, method, path, body, seconds)
            except NoAnswerError:
                raise
            except UnreachableError:
                if not attempt:
                    raise
        raise AssertionError

    def ask(
        self, doing: str, method: str, path: str, body: Any = None, *, until: float, fault: Fault = lambda answer: answer
    ) -> Any:
        """Send a request that may be sent again, until a deadline; return the body of the answer, or raise what it says.

        fault returns what is wrong in a good answer, as if it had been the answer.
        """
        pause = PAUSE_SECONDS
        while True:
            left = until - time.monotonic()
            try:
                answer = fault(self.call(doing, method, path, body, seconds=left / 2 if self._others else left))
                if answer.status not in PASSING:
                    return self.body_of(answer, doing)
                error: DcaError = self.refusal(answer, doing)
            except UnreadableError:
                raise
            except NoAnswerError as silence:
                error = silence
            if time.monotonic() + pause > until:
                raise error
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 -- jitter is no secret
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def body_of(self, answer: Answer, doing: str) -> Any:
        """Return the body of a good answer; raise what a bad one says."""
        if 200 <= answer.status < 300:  # noqa: PLR2004 -- the good ones, by definition of HTTP
            return answer.body
        raise self.refusal(answer, doing)

    def refusal(self, answer: Answer, doing: str) -> DcaError:
        """Return the error that a bad answer means."""
        return refusal(answer, doing, user=self.address.username, prefix=self.address.prefix)

    def _send(self, doing: str, method: str, path: str, body: Any, seconds: float) -> Answer:
        from urllib3 import Timeout

        seconds = max(seconds, ATTEMPT_SECONDS_MIN)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if isinstance(body, list) else "application/json"
        patience = Timeout(connect=min(seconds, CONNECT_SECONDS_MAX), read=seconds)
        try:
            meta, answer = self._transport.perform_request(
                method, path, body=body, headers=headers, request_timeout=cast("float", patience)
            )
        except self._failures as error:
            raise _silence(error, doing, self.hosts, seconds) from None
        host = meta.node.scheme + "://" + f"{meta.node.host}:{meta.node.port}{meta.node.path_prefix}"
        if not self._verified:
            self._verified = meta.headers.get("x-elastic-product") == "Elasticsearch"
            if not self._verified and meta.status < 400:  # noqa: PLR2004 -- errors may come from a proxy in front of it
                raise UnreadableError(
                    f"cannot {doing}: {host} is not an Elasticsearch; check the address in DCA_STORE or the config."
                )
        return Answer(meta.status, answer, host)


def _node(host: str, address: Address) -> NodeConfig:
    from elastic_transport.client_utils import url_to_node_config

    node = url_to_node_config(host)
    headers = dict(node.headers)
    if address.api_key:
        key = address.api_key
        headers["authorization"] = f"ApiKey {_base64(key) if ':' in key else key}"
    elif address.username:
        headers["authorization"] = f"Basic {_base64(f'{address.username}:{address.password}')}"
    node = node.replace(headers=headers)
    if node.scheme == "https":
        if address.ca_file:
            node = node.replace(ca_certs=address.ca_file)
        if address.fingerprint:
            node = node.replace(ssl_assert_fingerprint=address.fingerprint)
    return node


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _silence(error: Exception, doing: str, hosts: str, seconds: float) -> UnreachableError:
    """Return what it means that a request got no answer, and whether it was sent at all."""
    from elastic_transport import SerializationError, TlsError
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    cause = error.__cause__
    if isinstance(error, SerializationError):
        return UnreadableError(f"cannot {doing}: {hosts} answered with something that is not JSON; is a proxy in between?")
    if isinstance(cause, NameResolutionError):
        return UnreachableError(
            f"cannot {doing}: the name in {hosts} is not known; check the address in DCA_STORE or the config."
        )
    if isinstance(cause, ConnectTimeoutError):
        return UnreachableError(f"cannot {doing}: {hosts} cannot be connected to; is it up, and is there a firewall between?")
    if isinstance(cause, NewConnectionError):
        return UnreachableError(f"cannot {doing}: nothing answers at {hosts}; is it up, and is the address right?")
    if isinstance(error, TlsError):
        return _distrust(str(cause), doing, hosts)
    if isinstance(error, ValueError):
        return UnreachableError(f"cannot {doing}: the address {hosts} cannot be used; write http(s)://host:port.")
    if "timed out" in str(error):
        return NoAnswerError(f"cannot {doing}: {hosts} did not answer in {seconds:.0f} seconds; look at its health.")
    return NoAnswerError(
        f"cannot {doing}: {hosts} closed the connection without an answer; if it speaks TLS, write https:// in its address."
    )


def _distrust(reason: str, doing: str, hosts: str) -> UnreachableError:
    """Return what a failed TLS handshake means."""
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
        return UnreachableError(f"cannot {doing}: {hosts} does not speak TLS; write http:// in its address.")
    if "ingerprint" in reason:
        return UnreachableError(
            f"cannot {doing}: the certificate of {hosts} does not have the fingerprint that the config names; "
            "compare it with the server's, and put it right."
        )
    if "CERTIFICATE_VERIFY_FAILED" in reason or "doesn't match" in reason:
        why = re.search(r"certificate verify failed: ([^(\]]+)", reason)
        return UnreachableError(
            f"cannot {doing}: the certificate of {hosts} is not trusted{f' ({why[1].strip()})' if why else ''}; "
            "name its authority (ca_file) or its fingerprint in the config."
        )
    return NoAnswerError(f"cannot {doing}: TLS with {hosts} failed; look at the server's log.")


def refusal(answer: Answer, doing: str, *, user: str, prefix: str) -> DcaError:
    """Return the error that a bad answer means: what happened where, and the next step."""
    host, kind = answer.host, answer.kind
    if answer.status == 401:  # noqa: PLR2004
        who = f"the password of user {user}" if user else "the credentials"
        return UnreachableError(f"cannot {doing}: {host} does not accept {who}; check the config or DCA_STORE.")
    if kind == "security_exception":
        return DeniedError(f"{user or 'the API key'} may not {doing} at {host}: {_wanted(answer.reason)}.")
    if "cluster_block" in kind:
        return UnreachableError(
            f"cannot {doing}: {host} has blocked the index against it ({answer.reason}); often its disks are full."
        )
    if kind == "index_not_found_exception":
        begin = f"whose names begin with {prefix}" if prefix else "without a prefix"
        return NoBooksError(
            f"cannot {doing}: there are no books at {host} {begin}; run dca setup, or name the right store in DCA_STORE or the config."
        )
    if answer.status == OVERLOADED:
        return BusyError(f"cannot {doing}: {host} is overloaded; nothing was changed, try again.")
    if answer.status == TOO_LARGE:
        return UnreachableError(f"cannot {doing}: {host}, or a proxy before it, finds the request too large; raise that limit.")
    what = f"{answer.status} {kind}".strip()
    if answer.status in PASSING:
        return UnreachableError(f"cannot {doing}: {host} is not ready ({what}); look at its health and try again.")
    return UnreachableError(f"cannot {doing}: {host} answered {what}: {answer.reason or 'no reason given'}.")


_PRIVILEGES = re.compile(r"granted by the (index|cluster) privileges \[([^\]]*)\]")
_INDICES = re.compile(r"on indices \[([^\]]*)\]")


def _wanted(reason: str) -> str:
    """Return which privilege is missing, from Elasticsearch's reason."""
    privileges, indices = _PRIVILEGES.search(reason), _INDICES.search(reason)
    if privileges is None:
        return reason or "no reason given"
    where = f" on {indices[1]}" if indices else ""
    return f"one of the {privileges[1]} privileges {privileges[2].replace(',', ', ')}{where} is needed"


