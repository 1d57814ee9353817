"""The tests' own Elasticsearch comes, is left clean, and goes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from tests.elasticsearch_server import MissingServerError, Server
from tests.elasticsearch_server.cleaning import clean_up, names_of
from tests.elasticsearch_server.distribution import KEEPER
from tests.elasticsearch_server.server import named, poll

# A process that has the keeper run a server, here one that only waits, until its own standard input ends.
OWNER = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, {str(KEEPER)!r}, str(os.getpid()), "", *sys.argv[1:]])
sys.stdin.read()
"""


def test_the_official_client_gets_in(elasticsearch: Server, prefix: str) -> None:
    """The URL of the fixture is all that a client needs, and the server has security."""
    with Elasticsearch(elasticsearch.url) as client:
        client.indices.create(index=f"{prefix}tenant")
        client.index(index=f"{prefix}tenant", id="a", document={"name": "a"})
        assert client.get(index=f"{prefix}tenant", id="a")["_source"] == {"name": "a"}
        assert client.security.authenticate()["username"] == elasticsearch.username


def test_nothing_of_a_test_stays(elasticsearch: Server, prefix: str) -> None:
    """Whatever has the prefix goes, and what only looks like it stays."""
    other = f"x{prefix}"
    call = elasticsearch.call
    for mine in (prefix, other):
        call("PUT", f"/{mine}tenant-v1", {"aliases": {f"{mine}tenant": {}}})
        call("PUT", f"/_ingest/pipeline/{mine}author", {"processors": [{"set_security_user": {"field": "author"}}]})
        call("PUT", f"/_security/role/{mine}admin", {"cluster": ["monitor"]})
        call("PUT", f"/_security/user/{mine}anna", {"password": "long-enough", "roles": [f"{mine}admin"]})
        call("PUT", "/_security/privilege", {f"dca-{mine}": {"list": {"actions": ["dca:list"]}}})
        call("PUT", "/_security/api_key", {"name": f"{mine}key"})
    call("PUT", f"/{other}tenant-v1/_alias/{prefix}guest")
    assert _names(elasticsearch, prefix) == 8
    clean_up(elasticsearch, prefix)
    assert _names(elasticsearch, prefix) == 0
    assert _names(elasticsearch, other) == 7
    clean_up(elasticsearch, other)
    assert _names(elasticsearch, other) == 0


def _names(server: Server, prefix: str) -> int:
    """Count the names with a prefix, of any kind."""
    rows = server.call("GET", "/_cat/aliases?format=json&h=alias")
    names = [row["alias"] for row in rows]
    names += [row["index"] for row in server.call("GET", "/_cat/indices?format=json&h=index")]
    for kind in ("_ingest/pipeline", "_security/role", "_security/user", "_security/privilege"):
        names += names_of(server, kind)
    names += [key["name"] for key in server.call("GET", "/_security/api_key?active_only=true")["api_keys"]]
    return sum(name.startswith((prefix, f"dca-{prefix}")) for name in names)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_server_outlives_its_owner(end: signal.Signals, tmp_path: Path) -> None:
    """A test run that is killed takes its server with it, with all that this one started and wrote."""
    directory = tmp_path / "run"
    directory.mkdir()
    server = ["sh", "-c", "sleep 300 & echo $$ > ids.new; echo $! >> ids.new; mv ids.new ids; wait"]
    owner = subprocess.Popen([sys.executable, "-c", OWNER, directory, *server], stdin=subprocess.PIPE)
    with owner:
        ids = poll(lambda: (directory / "ids").exists() and (directory / "ids").read_text().split(), seconds=30)
        assert ids
        assert all(_is_running(int(number)) for number in ids)
        owner.send_signal(end)
    assert poll(lambda: not any(_is_running(int(number)) for number in ids), seconds=30)
    assert poll(lambda: not directory.exists(), seconds=30)


def _is_running(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in {"", "Z"}


@pytest.mark.parametrize(
    "url", ["localhost:9200", "http://localhost:9200", "ftp://a:b@localhost", "http://a@localhost"]
)
def test_a_useless_name_is_refused(url: str) -> None:
    """The variable that names a server must name the user too."""
    with pytest.raises(MissingServerError, match="DCA_TEST_ELASTICSEARCH must be like"):
        named(url)


def test_urls_quote_what_needs_it() -> None:
    """A password may hold any letters."""
    server = Server("::1", 9200)
    assert server.url_as("a/b", "c@d:e") == "http://a%2Fb:c%40d%3Ae@[::1]:9200"
