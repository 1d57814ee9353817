"""What is said when Elasticsearch cannot be used: host, operation and next step, in one sentence, and no secret."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import BusyError, DcaError, DeniedError, UnreachableError, UsageError
from dca.core.model import Claim
from dca.store.elastic import Address, ElasticStore
from dca.store.elastic_door import Answer, Door, Request, refusal
from dca.store.port import Condition, Query, Reader
from dca.store.protocol import FAILED, Create, Item, Write
from dca.store.schema import CLAIM, PAYMENT, TENANT
from tests.contract import deeds
from tests.contract.deeds import PERMITTED
from tests.elastic.proxy import FOR_EVER, Fault, proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.elastic.server import BookServer

SECRET = "do-not-show-me"


def look(reader: Reader) -> Any:
    """Ask for something."""
    return reader.get(TENANT, ["acme"])


def said(address: Address, question: Callable[[Reader], Any] = look, wait_seconds: float = 3) -> DcaError:
    """Return the error of asking at an address."""
    with (
        closing(ElasticStore(address, PERMITTED, wait_seconds=wait_seconds)) as store,
        pytest.raises(DcaError) as error,
    ):
        store.read(question)
    sentence = error.value.sentence
    assert SECRET not in sentence + repr(address)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return error.value


def free_port() -> int:
    """Return a port at which nothing listens."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


# -- addresses -----------------------------------------------------------------------------------------------------


def test_an_address_is_read_as_people_write_it() -> None:
    """User, password and prefix may stand in the URL, and go before the settings."""
    address = Address.parse(["https://ann:p%40ss@es1.example.org:9200/site-"], username="bob", ca_file="/ca.pem")
    assert address == Address(
        ("https://es1.example.org:9200",), username="ann", password="p@ss", ca_file="/ca.pem", prefix="site-"
    )
    assert Address.parse(["http://[::1]:9200"], prefix="x-").hosts == ("http://[::1]:9200",)


@pytest.mark.parametrize(
    "host", ["es1:9200", "ftp://es1:9200", "http://es1", "http://:9200", "http://es1:port", "http://[::1:9200", ""]
)
def test_what_is_no_address_is_refused(host: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="is no address of an Elasticsearch"):
        Address.parse([host])


def test_a_bad_address_does_not_show_its_password() -> None:
    """Although it shows the address."""
    with pytest.raises(UsageError) as error:
        Address.parse([f"http://ann:{SECRET}@es1"])
    assert SECRET not in error.value.sentence


@pytest.mark.parametrize("prefix", ["Site-", "a*", "a,b", "-a", "a b", "../x", "a" * 101])
def test_a_prefix_that_cannot_begin_the_name_of_an_index_is_refused(prefix: str) -> None:
    """Nor one that would mean several indices."""
    with pytest.raises(UsageError, match=r"prefix .* cannot be used"):
        ElasticStore(Address(("http://es1:9200",), prefix=prefix), PERMITTED)


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    """Whether it is missing or holds no certificate."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "none.pem", empty):
        with pytest.raises(UsageError, match=rf"CA file {path} cannot be read: "):
            ElasticStore(Address(("https://es1:9200",), ca_file=str(path)), PERMITTED)


# -- nobody there, or somebody else --------------------------------------------------------------------------------


def test_nothing_listens() -> None:
    """The whole sentence."""
    url = f"http://127.0.0.1:{free_port()}"
    error = said(Address((url,), "ann", SECRET))
    assert isinstance(error, UnreachableError)
    assert (
        error.sentence
        == f"cannot read the books: nothing answers at {url}; see that it is up and that the address is right."
    )


def test_an_unknown_name() -> None:
    """The name is shown."""
    error = said(Address(("http://es.invalid:9200",)))
    assert "the name in http://es.invalid:9200 is not known" in error.sentence


def test_a_host_that_does_not_answer() -> None:
    """It takes the connection and keeps silent; the wait is bounded."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        begin = time.monotonic()
        error = said(Address((f"http://127.0.0.1:{listener.getsockname()[1]}",)), wait_seconds=1)
        assert time.monotonic() - begin < 3
    assert "did not answer in 1 seconds" in error.sentence


@contextmanager
def serving(directory: Path, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a web server that is no Elasticsearch."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, *_: object) -> None:
            """Be silent."""

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """Be silent."""

    server = Server(("127.0.0.1", 0), Quiet)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_web_server_is_no_elasticsearch(tmp_path: Path) -> None:
    """Even if it answers."""
    with serving(tmp_path) as url:
        error = said(Address((url,)))
    assert f"{url} is not an Elasticsearch" in error.sentence


def test_something_like_elasticsearch_is_none(emptied_server: BookServer) -> None:
    """It answers as Elasticsearch does and does not call itself so."""
    server = emptied_server.server
    with proxy(server.host, server.port, product="SomethingSearch") as other:
        error = said(emptied_server.address._replace(hosts=(other.url,)))
    assert "is not an Elasticsearch" in error.sentence


@pytest.mark.parametrize("answer", [b"<html>", b'{"docs": [', b""])
def test_an_answer_that_cannot_be_read(answer: bytes) -> None:
    """Neither an HTML page nor half an answer."""
    head = b"HTTP/1.1 200 OK\r\nx-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n"
    whole = head + b"content-length: %d\r\n\r\n" % len(answer) + answer if answer else b"NONSENSE\r\n\r\n"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            for _ in range(3 if answer else 40):
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(65_536)
                    connection.sendall(whole)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        error = said(Address((f"http://127.0.0.1:{listener.getsockname()[1]}",)), wait_seconds=1)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)
    assert ("cannot be read" if answer else "closed the connection without an answer") in error.sentence


# -- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Return an HTTPS server, and its certificate, which it signed itself."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(tmp_path, context) as url:
        yield url, certificate


def test_a_certificate_that_nobody_vouches_for(certified: tuple[str, Path]) -> None:
    """The config can name who does."""
    error = said(Address((certified[0],), "ann", SECRET))
    assert "is not trusted (self-signed certificate); name its authority (ca_file)" in error.sentence


def test_a_certificate_with_another_fingerprint(certified: tuple[str, Path]) -> None:
    """The config names one that does not fit."""
    error = said(Address((certified[0],), fingerprint="00" * 32))
    assert "does not have the fingerprint that the config names" in error.sentence


def test_a_certificate_that_the_config_vouches_for(certified: tuple[str, Path]) -> None:
    """By its authority or its fingerprint; then the server is heard, and found to be none."""
    url, certificate = certified
    import hashlib

    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
    for address in (Address((url,), ca_file=str(certificate)), Address((url,), fingerprint=digest)):
        assert "is not an Elasticsearch" in said(address).sentence
    with closing(Door(Address((url,), ca_file=str(certificate)))) as door:
        with pytest.raises(UnreachableError):
            door.call(Request("look", "GET", "/"), seconds=3)
        (node,) = door._transport.node_pool.all()
        pool: Any = getattr(node, "pool")  # noqa: B009
        assert len(pool.conn_kw["ssl_context"].get_ca_certs()) == 1


def test_https_where_http_is_spoken(emptied_server: BookServer) -> None:
    """The next step is in the sentence."""
    url = emptied_server.address.hosts[0].replace("http://", "https://")
    assert f"{url} does not speak TLS; write http://" in said(Address((url,))).sentence


def test_http_where_https_is_spoken(certified: tuple[str, Path]) -> None:
    """The next step is in the sentence."""
    error = said(Address((certified[0].replace("https://", "http://"),)), wait_seconds=1)
    assert "if it speaks TLS, write https:// in its address" in error.sentence


# -- several hosts -------------------------------------------------------------------------------------------------


def test_the_next_host_is_asked_when_one_is_down(emptied_server: BookServer) -> None:
    """Whichever comes first."""
    dead = f"http://127.0.0.1:{free_port()}"
    for number in range(6):
        with emptied_server.store(dead, *emptied_server.address.hosts) as store:
            store.write(deeds.add_tenant(f"tenant{number}"))
            assert len(store.read(lambda reader: reader.find(Query(TENANT)))) == number + 1


def test_the_next_host_is_asked_when_one_is_silent(emptied_server: BookServer) -> None:
    """Readers do not wait for it to the end, nor do writers."""
    server = emptied_server.server
    with (
        proxy(server.host, server.port, Fault("", times=FOR_EVER, reaches=False, seconds=30)) as silent,
        emptied_server.store(silent.url, *emptied_server.address.hosts, wait_seconds=8) as store,
    ):
        store.write(deeds.add_tenant("acme"))
        assert store.write(deeds.pay("acme", 5)).answer.balance == 5


def test_all_hosts_are_named_when_all_are_down() -> None:
    """Each was tried."""
    hosts = tuple(f"http://127.0.0.1:{free_port()}" for _ in range(3))
    assert f"nothing answers at {', '.join(hosts)}" in said(Address(hosts)).sentence


# -- an Elasticsearch that says no ---------------------------------------------------------------------------------


def test_a_wrong_password(emptied_server: BookServer) -> None:
    """The whole sentence."""
    error = said(emptied_server.address._replace(password=SECRET))
    host = emptied_server.address.hosts[0]
    assert isinstance(error, UnreachableError)
    assert error.sentence == (
        f"cannot read the books: {host} does not accept the password of user elastic; check the config or DCA_STORE."
    )


def test_a_wrong_api_key(emptied_server: BookServer) -> None:
    """It is not shown."""
    error = said(emptied_server.address._replace(username="", password="", api_key=f"id:{SECRET}"))
    assert "does not accept the API key" in error.sentence


def test_no_credentials(emptied_server: BookServer) -> None:
    """Where the server wants some."""
    error = said(emptied_server.address._replace(username="", password=""))
    assert "does not accept callers without a user or an API key" in error.sentence


def test_no_books(clean_server: BookServer) -> None:
    """The next step is in the sentence."""
    error = said(clean_server.address)
    assert isinstance(error, UnreachableError)
    assert f"there are no books at {clean_server.address.hosts[0]} whose names begin with" in error.sentence
    assert "run dca setup" in error.sentence
    assert "run dca setup" in said(clean_server.address, lambda reader: reader.find(Query(TENANT))).sentence


def test_writing_without_books_makes_none(clean_server: BookServer) -> None:
    """Not even by a superuser, for whom Elasticsearch would make an index on the spot."""
    item = Item(CLAIM, "alpha", Claim("alpha", "acme", 1), 1)
    with clean_server.store() as store:
        with pytest.raises(UnreachableError, match="run dca setup"):
            store.write(deeds.add_tenant("acme"))
        with pytest.raises(UnreachableError, match="run dca setup"):
            store.perform(Create(item.kind, item.id, item.record), store.deadline())
        assert store.perform(Write((item, item._replace(version=0))), store.deadline()) == [FAILED, FAILED]
    assert clean_server.must("GET", f"/{clean_server.prefix}*") == {}


def test_a_preview_without_books_begins_with_empty_ones(clean_server: BookServer) -> None:
    """So that a dry run can be tried before anything is set up."""
    with clean_server.store() as store:
        preview = store.preview(lambda reader: [reader.get(TENANT, ["acme"]), reader.find(Query(TENANT))])
    assert preview == [[None], []]


@pytest.fixture
def limited(emptied_server: BookServer, prefix: str) -> Callable[..., Address]:
    """Return a function that makes a user with some index privileges, and returns the address with it."""

    def make(privileges: list[str], *names: str) -> Address:
        indices = [{"names": [f"{emptied_server.prefix}{name}*" for name in names or [""]], "privileges": privileges}]
        emptied_server.must("PUT", f"/_security/role/{prefix}role", {"indices": indices})
        user = {"password": SECRET, "roles": [f"{prefix}role"]}
        emptied_server.must("PUT", f"/_security/user/{prefix}user", user)
        return emptied_server.address._replace(username=f"{prefix}user", password=SECRET)

    return make


def test_a_user_who_may_not_read(limited: Callable[..., Address]) -> None:
    """The missing privilege is in the sentence."""
    error = said(limited(["read"], "project"))
    assert isinstance(error, DeniedError)
    assert "may not read the books" in error.sentence
    assert "one of the index privileges read, all" in error.sentence


def test_a_user_who_may_not_refresh(limited: Callable[..., Address]) -> None:
    """A search that did not show what was just written would be worse than none."""
    error = said(limited(["read"]), lambda reader: reader.find(Query(PAYMENT, (Condition("tenant", "eq", "acme"),))))
    assert isinstance(error, DeniedError)
    assert "may not refresh the search" in error.sentence
    assert "one of the index privileges maintenance, manage, all" in error.sentence


def test_a_user_who_may_only_read_changes_nothing(limited: Callable[..., Address]) -> None:
    """The log turns the entry away."""
    with closing(ElasticStore(limited(["read"]), PERMITTED)) as store:
        with pytest.raises(DeniedError, match="may not write to the log; nothing was changed"):
            store.write(deeds.add_tenant("acme"))
        assert store.entries("t:acme", 1, 1) == []


def test_whoever_may_create_only_can_append(limited: Callable[..., Address], emptied_server: BookServer) -> None:
    """What cannot be carried out is left to those who may; the entry counts at once."""
    with closing(ElasticStore(limited(["read", "create_doc"]), PERMITTED)) as store:
        store.write(deeds.add_tenant("acme"))
        assert store.write(deeds.pay("acme", 5)).answer.balance == 5
    assert emptied_server.source(TENANT, "acme") is None
    assert emptied_server.source(PAYMENT, "acme:2:0") is not None
    with emptied_server.store() as store:
        assert [tenant.balance for tenant in store.read(lambda reader: reader.find(Query(TENANT)))] == [5]
        store.write(deeds.pay("acme", 1))
    assert emptied_server.source(TENANT, "acme")["balance"] == 6


ADDRESS = Address(("http://es1:9200",), username="ann", password=SECRET)


@pytest.mark.parametrize(
    ("status", "body", "error", "sentence"),
    [
        (413, "<html>", UnreachableError, "takes no request so large"),
        (429, {"error": {"type": "es_rejected_execution_exception"}}, BusyError, "is overloaded; nothing was changed"),
        (500, {"error": {"type": "x", "reason": "a\nb"}}, UnreachableError, "answered 500 x: a b."),
        (503, None, UnreachableError, "is not ready (503); look at its health"),
        (403, {"error": {"type": "cluster_block_exception", "reason": "r"}}, UnreachableError, "has blocked it (r)"),
        (403, {"error": {"type": "security_exception", "reason": "no"}}, DeniedError, "ann may not search at"),
        (418, "teapot", UnreachableError, "answered 418: teapot."),
        (400, {"error": "plain"}, UnreachableError, "answered 400: plain."),
    ],
)
def test_bad_answers(status: int, body: Any, error: type[DcaError], sentence: str) -> None:
    """Each is a kind of error of ours, with what happened and where."""
    found = refusal(Answer(status, body, "http://es1:9200"), "search", ADDRESS)
    assert type(found) is error
    assert "http://es1:9200" in found.sentence
    assert sentence in found.sentence
