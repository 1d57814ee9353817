"""The one door to Elasticsearch: every request goes through it, and what goes wrong comes out as one sentence.

Requests are sent by `elastic_transport`, the lower half of the official client, which brings connections, TLS and the
choice of a living host. The upper half is left out: it takes another 0.1 s to import, and it demands that server and
client have the same major version.
"""

from __future__ import annotations

import random
import re
import time
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from dca.core.errors import BusyError, DamagedError, DcaError, DeniedError, UnreachableError, UsageError
from dca.core.names import shown
from dca.store.schema import KINDS, LATER, LOG, VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elastic_transport import NodeConfig, Transport

CONNECT_SECONDS_MAX = 5.0
ATTEMPT_SECONDS_MIN = 1.0
LOOK_SECONDS = 5.0
"""How long a command that has failed may still look for the reason."""
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 1.0
REASON_LENGTH_MAX = 300
FILLING = "-filling-"
"""Behind the alias of an index that is being filled with books from elsewhere, and before a name that nobody else has."""
FINGERPRINT = re.compile(r"(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}", re.ASCII)
PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9_-]{0,99})?", re.ASCII)

GOOD = range(200, 300)
UNKNOWN_USER, FORBIDDEN, MISSING, CONFLICT, TOO_LARGE, OVERLOADED, NOT_READY = 401, 403, 404, 409, 413, 429, 503
PASSING = frozenset((408, OVERLOADED, 502, NOT_READY, 504))
"""Answers of a server that may well give another one soon."""
OF_PROXIES = PASSING | {UNKNOWN_USER, FORBIDDEN, 407, TOO_LARGE}
"""Answers that something in front of Elasticsearch may give, and that do not say what is behind it."""
NOT_PERMITTED = "security_exception"
NO_INDEX = "index_not_found_exception"


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
    later: Callable[[], str] | None = None
    """Gives the password or the API key when the first request is sent; asked of it once."""
    by_key: bool = False
    """What it gives is an API key."""

    @classmethod
    def parse(cls, hosts: Sequence[str], **settings: Any) -> Address:
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


class Lines(bytes):
    """A body of lines, ready to be sent."""

    __slots__ = ()


class Request(NamedTuple):
    """What is asked of a host; a list as body is sent as lines, bytes as they are."""

    doing: str
    """What it is for, as a message says it."""
    method: str
    path: str
    body: Any = None
    acting_as: str = ""
    """The user as whom it is done, where the caller may run as others."""


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
        """Return the reason given for an error, as one line of a bearable length."""
        return self.whole_reason[:REASON_LENGTH_MAX]

    @property
    def whole_reason(self) -> str:
        """Return the reason given for an error, as one line."""
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else self.body
        reason = error.get("reason", "") if isinstance(error, dict) else error
        return " ".join(str(reason or "").split())


Fault = Callable[[Answer], Answer]
"""Returns what is wrong in an answer that looks good, as if that had been the answer."""


class NoAnswerError(UnreachableError):
    """A request was sent, and whether it was carried out is not known."""


class UnreadableError(NoAnswerError):
    """The answer to a request could not be read."""


class NoBooksError(UnreachableError):
    """The indices of the books are not there."""


class Absent(NamedTuple):
    """The indices that books in use do not have, by kind and name; none where no index has any document."""

    lost: list[str]
    """They held something, or nobody can tell."""
    unmade: list[str]
    """They are of kinds that these books are older than: nothing was ever in them."""


class Door:
    """Connections to the hosts of one Elasticsearch cluster."""

    def __init__(self, address: Address) -> None:
        """Take the address; nothing is sent yet."""
        from elastic_transport import Transport, TransportError
        from urllib3 import Timeout

        if not PREFIX.fullmatch(address.prefix):
            raise UsageError(
                f"prefix {shown(address.prefix)} cannot be used: "
                "write lower-case letters, digits, _ and -, at most 100, beginning with a letter or digit."
            )
        self.address = address
        self._failures = (TransportError, ValueError, OSError)
        self._timeout = Timeout
        self._verified = False
        self._authorization = ""
        try:
            nodes = [_node(host, address) for host in address.hosts]
            self._transport: Transport = Transport(nodes, max_retries=0, retry_on_status=(), meta_header=False)
            _pin(self._transport, address)
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

    def renew(self, username: str, password: str) -> None:
        """Go on with the new password of a user, if that is who calls."""
        if self.address.username == username and not self.address.api_key:
            self.address = self.address._replace(password=password, later=None)
            self._authorization = ""

    def unlocked(self) -> Address:
        """Return the address with all that proves who is calling, also what a file or a command gives."""
        if self.address.later is not None:
            given = self.address.later()
            named = self.address._replace(later=None)
            self.address = named._replace(api_key=given) if named.by_key else named._replace(password=given)
        return self.address

    def call(self, request: Request, *, seconds: float) -> Answer:
        """Send a request once; where a host cannot be connected to, the next one gets it.

        UnreachableError says that nothing was sent, NoAnswerError that it is not known what became of it.
        """
        self._authorization = self._authorization or _authorization(self.unlocked())
        for others in reversed(range(max(2, len(self.address.hosts)))):
            try:
                return self._send(request, max(seconds, ATTEMPT_SECONDS_MIN))
            except NoAnswerError:
                raise
            except UnreachableError:
                if not others:
                    raise
        raise AssertionError

    def reach(self, request: Request, *, until: float, fault: Fault = lambda answer: answer) -> Answer:
        """Send a request that may be sent again, until a deadline; return the first answer but `not now`."""
        pause = PAUSE_SECONDS
        while True:
            left = until - time.monotonic()
            try:
                answer = fault(self.call(request, seconds=left if len(self.address.hosts) == 1 else left / 2))
                if answer.status not in PASSING:
                    return answer
                error: DcaError = self.refusal(answer, request)
            except UnreadableError:
                raise
            except NoAnswerError as silence:
                error = silence
            if time.monotonic() + pause > until:
                raise error
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 -- jitter is no secret
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def ask(self, request: Request, *, until: float, fault: Fault = lambda answer: answer) -> Any:
        """Return the body of the answer to a request that may be sent again, or raise what a bad answer says."""
        return self.body_of(self.reach(request, until=until, fault=fault), request)

    def body_of(self, answer: Answer, request: Request) -> Any:
        """Return the body of a good answer; raise what a bad one says."""
        if answer.status in GOOD:
            return answer.body
        raise self.refusal(answer, request)

    def refusal(self, answer: Answer, request: Request) -> DcaError:
        """Return the error that a bad answer means."""
        error = refusal(answer, request.doing, self.address)
        return self._absence(error, request.doing) if isinstance(error, NoBooksError) else error

    def _absence(self, error: DcaError, doing: str) -> DcaError:
        """Tell books of which something was lost from books that were never made."""
        try:
            if self._are_being_filled(time.monotonic() + LOOK_SECONDS):
                return NoBooksError(
                    f"cannot {doing}: the books at {self.hosts} are being filled by dca restore or dca store copy; wait for "
                    "it, or run it again if it was stopped."
                )
            absent = self.absent(time.monotonic() + LOOK_SECONDS)
        except DcaError:
            return error
        if absent is not None and absent.lost:
            return DamagedError(f"cannot {doing}: {loss(absent.lost, self.address)}")
        if absent is not None and absent.unmade:
            return UnreachableError(f"cannot {doing}: {older(absent.unmade, self.address)}; run dca setup.")
        if absent is not None:
            return UnreachableError(
                f"cannot {doing}: an alias of the books at {self.hosts} is missing; "
                "run dca setup, which gives it back or says why not."
            )
        return error

    def _are_being_filled(self, until: float) -> bool:
        indices = ",".join(index_of(self.address.prefix, name) for name in (*KINDS, LOG))
        request = Request("look at the indices", "GET", f"/{indices}?ignore_unavailable=true&filter_path=*.aliases")
        return any(FILLING in alias for state in self.ask(request, until=until).values() for alias in state["aliases"])

    def absent(self, until: float) -> Absent | None:
        """Return which indices are missing, if any of these books has documents; None if none has."""
        names = {name: index_of(self.address.prefix, name) for name in (*KINDS, LOG)}
        path, there = f"/{','.join(names.values())}", "ignore_unavailable=true"
        self.ask(Request("refresh the search", "POST", f"{path}/_refresh?{there}"), until=until)
        search = Request("search", "POST", f"{path}/_search?{there}", {"size": 0, "track_total_hits": 1})
        if not self.ask(search, until=until)["hits"]["total"]["value"]:
            return None
        present = self.ask(Request("look at the indices", "GET", f"{path}?{there}"), until=until)
        missing = [name for name, index in names.items() if index not in present]
        later = [name for name in missing if name in LATER]
        if later and names[LOG] in present:
            changing = {"query": {"terms": {"category": list(LATER)}}, "size": 0, "track_total_hits": 1}
            search = Request("search", "POST", f"/{names[LOG]}/_search?allow_partial_search_results=false", changing)
            later = later if not self.ask(search, until=until)["hits"]["total"]["value"] else []
        return Absent([name for name in missing if name not in later], later)

    def _send(self, request: Request, seconds: float) -> Answer:
        headers = {"accept": "application/json"}
        if self._authorization:
            headers["authorization"] = self._authorization
        if request.body is not None:
            headers["content-type"] = (
                "application/x-ndjson" if isinstance(request.body, (list, Lines)) else "application/json"
            )
        if request.acting_as:
            headers["es-security-runas-user"] = request.acting_as
        patience = self._timeout(connect=min(seconds, CONNECT_SECONDS_MAX), read=seconds)
        try:
            meta, body = self._transport.perform_request(
                request.method,
                request.path,
                body=request.body,
                headers=headers,
                request_timeout=cast("float", patience),
            )
        except self._failures as error:
            raise _silence(error, request.doing, self.hosts, seconds) from None
        host = f"{meta.node.scheme}://{meta.node.host}:{meta.node.port}"
        if not self._verified:
            self._verified = meta.headers.get("x-elastic-product") == "Elasticsearch"
            if not self._verified and meta.status not in OF_PROXIES:
                raise UnreadableError(
                    f"cannot {request.doing}: {host} is not an Elasticsearch; check DCA_STORE or the config."
                )
        return Answer(meta.status, body, host)


def _node(host: str, address: Address) -> NodeConfig:
    import ssl

    from elastic_transport.client_utils import url_to_node_config
    from urllib3.util.ssl_ import is_ipaddress

    node = url_to_node_config(host)
    if node.scheme == "https":
        if address.ca_file and not address.fingerprint:
            context = ssl.SSLContext(
                ssl.PROTOCOL_TLS_CLIENT
            )  # the transport's own would trust the machine's authorities, too
            context.check_hostname = not is_ipaddress(node.host)  # older urllib3 holds an address against it by itself
            context.load_verify_locations(address.ca_file)
            node = node.replace(ssl_context=context)
        if address.fingerprint:
            if not FINGERPRINT.fullmatch(address.fingerprint):
                raise UsageError(
                    f"fingerprint {shown(address.fingerprint)} is none; write 64 hexadecimal digits (SHA-256)."
                )
            node = node.replace(ssl_assert_fingerprint=address.fingerprint)
    return node


def _pin(transport: Transport, address: Address) -> None:
    """Let the server's own certificate have the fingerprint, and the named authority be the only one.

    The transport is content with the fingerprint of any certificate that the server sends. An authority's is known to
    all, and whoever sends it beside a certificate of his own making would pass. And it adds a bundle of public ones.
    """
    for node in transport.node_pool.all():
        pool: Any = getattr(node, "pool")  # noqa: B009 -- only nodes of urllib3 have one, and the transport's are such
        if address.fingerprint:
            pool.assert_fingerprint = address.fingerprint
        elif address.ca_file:
            pool.ca_certs = address.ca_file


def _authorization(address: Address) -> str:
    if address.api_key:
        key = address.api_key
        return f"ApiKey {_base64(key) if ':' in key else key}"
    return f"Basic {_base64(f'{address.username}:{address.password}')}" if address.username else ""


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


_UNKNOWN_NAME = re.compile("not known|name resolution|failed to resolve", re.IGNORECASE)


def _silence(error: Exception, doing: str, hosts: str, seconds: float) -> UnreachableError:
    """Return what it means that a request got no answer, and whether it was sent at all."""
    from elastic_transport import ConnectionTimeout, SerializationError, TlsError
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    cause = error.__context__
    if isinstance(error, SerializationError):
        return UnreadableError(f"cannot {doing}: {hosts} answered what cannot be read; look for a proxy in between.")
    if isinstance(cause, NewConnectionError) and _UNKNOWN_NAME.search(str(cause)):
        return UnreachableError(f"cannot {doing}: the name in {hosts} is not known; check DCA_STORE or the config.")
    if isinstance(cause, NewConnectionError):
        return UnreachableError(
            f"cannot {doing}: nothing answers at {hosts}; see that it is up and that the address is right."
        )
    if isinstance(cause, ConnectTimeoutError):
        return UnreachableError(f"cannot {doing}: {hosts} cannot be connected to; look for a firewall in between.")
    if isinstance(error, TlsError):
        return _distrust(str(cause), doing, hosts)
    if isinstance(error, ValueError):
        return UnreachableError(f"cannot {doing}: the address {hosts} cannot be used; write http(s)://host:port.")
    if isinstance(error, ConnectionTimeout):
        return NoAnswerError(f"cannot {doing}: {hosts} did not answer in {seconds:.0f} seconds; look at its health.")
    return NoAnswerError(
        f"cannot {doing}: {hosts} closed the connection without an answer; "
        "if it speaks TLS, write https:// in its address."
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


def index_of(prefix: str, name: str) -> str:
    """Return the name of the index for a kind of record, or for the log."""
    return f"{prefix}{name}-v{VERSION}"


def loss(lost: Sequence[str], address: Address) -> str:
    """Say which indices of books in use are lost, given by kind and name, and what to do about it."""
    names = [index_of(address.prefix, name) for name in lost]
    what = f"the index {names[0]} is" if len(names) == 1 else f"the indices {', '.join(names)} are"
    gone = f"{what} missing or closed at {', '.join(address.hosts)}, where others of these books are"
    if LOG in lost:
        return f"{gone}; open what is closed, or restore the books from a backup: records do not make a log."
    rest = ", dca setup --wipe destroys what a broken-off wipe has left" if {*lost, *LATER} >= KINDS.keys() else ""
    again = "dca backup, dca backup check, dca setup --wipe and dca restore make the missing again from the log"
    return f"{gone}; open what is closed, or: {again}{rest}."


def older(unmade: Sequence[str], address: Address) -> str:
    """Say that books are older than some kinds of records, whose indices they lack."""
    what = " and ".join(index_of(address.prefix, name) for name in unmade)
    return f"the books at {', '.join(address.hosts)} are older than dca's roles and have no index {what} yet"


def no_books(address: Address, host: str) -> str:
    """Say that there are no books at a host, and what to do about it."""
    begin = f"whose names begin with {address.prefix}" if address.prefix else "without a prefix"
    return f"there are no books at {host} {begin}; run dca setup, or name the right store in DCA_STORE or the config."


def refusal(answer: Answer, doing: str, address: Address) -> DcaError:
    """Return the error that a bad answer means: what happened where, and the next step."""
    host, kind = answer.host, answer.kind
    if answer.status == UNKNOWN_USER:
        return UnreachableError(
            f"cannot {doing}: {host} does not accept {_credentials(address)}{_why(answer)}; check the config or DCA_STORE."
        )
    if kind == NOT_PERMITTED:
        return DeniedError(
            f"{address.username or 'the API key'} may not {doing} at {host}: {_wanted(answer.whole_reason)}."
        )
    if kind == NO_INDEX:
        return NoBooksError(f"cannot {doing}: {no_books(address, host)}")
    what = f"{answer.status} {kind}".strip()
    if "cluster_block" in kind and answer.status != NOT_READY:
        return UnreachableError(f"cannot {doing}: {host} has blocked it ({answer.reason}); often its disks are full.")
    if answer.status == OVERLOADED:
        return BusyError(f"cannot {doing}: {host} is overloaded; nothing was changed, try again.")
    if answer.status in PASSING:
        return UnreachableError(f"cannot {doing}: {host} is not ready ({what}); look at its health and try again.")
    if answer.status == TOO_LARGE:
        return UnreachableError(
            f"cannot {doing}: {host}, or a proxy before it, takes no request so large; raise that limit."
        )
    return UnreachableError(f"cannot {doing}: {host} answered {what}: {answer.reason or 'no reason given'}.")


def _credentials(address: Address) -> str:
    if address.api_key:
        return "the API key"
    return f"the password of user {address.username}" if address.username else "callers without a user or an API key"


_WHY_NOT = re.compile(r"is expired|has been invalidated")


def _why(answer: Answer) -> str:
    """Return why a key is not accepted any more, where Elasticsearch says it."""
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    said = (
        _WHY_NOT.search(str(error.get("additional_unsuccessful_credentials", ""))) if isinstance(error, dict) else None
    )
    return {"is expired": ", which has expired", "has been invalidated": ", which was ended"}[said[0]] if said else ""


_PRIVILEGES = re.compile(r"granted by the (index|cluster) privileges \[([^\]]*)\]")
_INDICES = re.compile(r"on indices \[([^\]]*)\]")


def _wanted(reason: str) -> str:
    """Return which privilege is missing, from Elasticsearch's reason."""
    privileges, indices = _PRIVILEGES.search(reason), _INDICES.search(reason)
    if privileges is None:
        return reason[:REASON_LENGTH_MAX] or "no reason given"
    first, *others = indices[1].split(",") if indices else [""]
    where = (f" on {first}" if first else "") + (f" and {len(others)} others" if others else "")
    return f"one of the {privileges[1]} privileges {privileges[2].replace(',', ', ')}{where} is needed"
