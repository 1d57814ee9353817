"""Leave a server as a test found it."""

from http import HTTPStatus
from urllib.error import HTTPError
from urllib.parse import quote

from tests.elasticsearch_server.server import Server

BATCH = 50
KINDS = ("_ingest/pipeline", "_security/role", "_security/user")


def clean_up(server: Server, prefix: str) -> None:
    """Delete all whose name begins with the prefix, and the roles and privileges of the application `dca-` and it."""
    _delete_indices(server, prefix)
    for kind in KINDS:
        for name in names_of(server, kind):
            if name.startswith((prefix, f"dca-{prefix}")):
                server.call("DELETE", f"/{kind}/{quote(name, safe='')}")
    _delete_privileges(server, prefix)
    keys = server.call("GET", f"/_security/api_key?name={prefix}*&active_only=true")["api_keys"]
    if keys:
        server.call("DELETE", "/_security/api_key", {"ids": [key["id"] for key in keys]})


def names_of(server: Server, kind: str) -> list[str]:
    """List the names of a kind; of pipelines the server says that they are not found when there are none."""
    try:
        return list(server.call("GET", f"/{kind}"))
    except HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return []


def _delete_indices(server: Server, prefix: str) -> None:
    rows = server.call("GET", f"/_cat/indices/{prefix}*?format=json&h=index&expand_wildcards=all")
    # An alias with the prefix brings up its index too, which may belong to somebody else.
    names = [row["index"] for row in rows if row["index"].startswith(prefix)]
    for start in range(0, len(names), BATCH):
        server.call("DELETE", f"/{','.join(names[start : start + BATCH])}?ignore_unavailable=true")
    for row in server.call("GET", f"/_cat/aliases/{prefix}*?format=json&h=alias,index&expand_wildcards=all"):
        server.call("DELETE", f"/{row['index']}/_alias/{row['alias']}")


def _delete_privileges(server: Server, prefix: str) -> None:
    for application, privileges in server.call("GET", "/_security/privilege").items():
        if application.startswith(f"dca-{prefix}"):
            server.call("DELETE", f"/_security/privilege/{application}/{','.join(privileges)}")
