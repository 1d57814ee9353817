"""Settings: one table, read from the environment and one TOML file into one frozen record."""

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dca.core.errors import UsageError
from dca.core.names import shown

DEFAULT_STORE = "sqlite:~/.dca/dca.db"
CONFIG_PATHS = ("~/.dca/config", "/etc/dca/config")
ELASTICSEARCH_PORT = 9200
CREDENTIALS = ("username", "password", "api_key")


class Setting(NamedTuple):
    """A row of the settings table."""

    name: str
    type: type
    default: Any
    example: str
    meaning: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "store",
        str,
        DEFAULT_STORE,
        "https://es1.example.org:9200/site-",
        "where the books are: sqlite:PATH, or http(s)://host:port[/prefix] of an Elasticsearch; "
        "the variable DCA_STORE goes before it",
    ),
    Setting(
        "hosts",
        str,
        "",
        "https://es1.example.org:9200,https://es2.example.org:9200",
        "several hosts of one Elasticsearch cluster, by comma, used instead of store; "
        "the next is tried when one is down",
    ),
    Setting("prefix", str, "", "site-", "what the names of the indices begin with; several books can share a cluster"),
    Setting("username", str, "", "dca_admin", "Elasticsearch user"),
    Setting("password", str, "", "secret", "password of that user", secret=True),
    Setting(
        "api_key",
        str,
        "",
        "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==",
        "Elasticsearch API key, instead of user and password",
        secret=True,
    ),
    Setting("ca_file", str, "", "/etc/dca/ca.pem", "certificate authority that signed the server's certificate"),
    Setting(
        "fingerprint", str, "", "3A:9B:...", "SHA-256 fingerprint of the server's certificate, instead of an authority"
    ),
    Setting(
        name="network_file_system",
        type=bool,
        default=False,
        example="true",
        meaning="allow the SQLite file on a network file system (unsafe with several machines)",
    ),
    Setting(
        "checkpoint_key",
        str,
        "",
        "/etc/dca/checkpoint.key",
        "file with the private Ed25519 key (PEM or OpenSSH, no passphrase) that signs checkpoints",
    ),
    Setting(
        "checkpoint_public_key",
        str,
        "",
        "/etc/dca/checkpoint.key.pub",
        "file with the public key that checkpoints are held against, where the private one is not at hand",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings(NamedTuple):
    """What dca runs with."""

    store: str
    hosts: str
    prefix: str
    username: str
    password: str
    api_key: str
    ca_file: str
    fingerprint: str
    network_file_system: bool
    source: str
    """File the settings came from, or an empty string."""
    warnings: tuple[str, ...] = ()
    checkpoint_key: str = ""
    checkpoint_public_key: str = ""


def load(environment: Mapping[str, str], *, paired: bool = False) -> Settings:
    """Read the settings: DCA_CONFIG names the file, else the first of the usual places; DCA_STORE names the store.

    What the config says to prove who is calling goes only to hosts that the config names, unless a caller has paired the
    two by hand.
    """
    path = find(environment)
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    warnings: tuple[str, ...] = ()
    if path is not None:
        given = _read(path)
        values.update(given)
        warnings = _mode_warnings(path, given)
    if environment.get("DCA_STORE"):
        store = environment["DCA_STORE"]
        kept = [name for name in CREDENTIALS if values[name]]
        named = f"{values['hosts']},{values['store']}"
        if kept and not paired and "://" in store and not _hosts(store) <= _hosts(named):
            values.update(dict.fromkeys(kept, ""))
            told = f"{' and '.join(kept)} of config {path} are not sent to {masked(store)}, which it does not name"
            warnings += (f"{told}; give credentials in DCA_STORE, or name the host in the config.",)
        values["store"], values["hosts"] = store, ""
    return Settings(**values, source=str(path or ""), warnings=warnings)


def _hosts(addresses: str) -> set[tuple[str, str]]:
    """Return scheme and host with port of addresses, several by comma."""
    found = set()
    for address in addresses.split(","):
        scheme, separator, rest = address.strip().lower().partition("://")
        if separator:
            host = rest.partition("/")[0].rpartition("@")[2]
            port = host.rpartition("]")[2].partition(":")[2]
            found.add((scheme, host if port else f"{host.removesuffix(':')}:{ELASTICSEARCH_PORT}"))
    return found


def find(environment: Mapping[str, str]) -> Path | None:
    """Return the config file in use, if there is one."""
    named = environment.get("DCA_CONFIG")
    if named:
        path = expanded(named)
        if not exists(path):
            raise UsageError(f"DCA_CONFIG names {path}, which does not exist; dca setup writes one.")
        return path
    for place in CONFIG_PATHS:
        with contextlib.suppress(OSError, RuntimeError):  # a folder of somebody else's, or nobody's home
            path = Path(place).expanduser()
            if path.exists():
                return path
    return None


def exists(path: Path) -> bool:
    """Tell whether there is a file, also where only its folder's owner may look: reading it then says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def expanded(path: str) -> Path:
    """Return a path with the home folder in the place of ~."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path} lies in a home folder that is not known; set HOME, or name a whole path.") from None


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"config {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config {path} is not valid TOML: {error}.") from None
    for name, value in given.items():
        if name not in _BY_NAME:
            raise UsageError(f"config {path}: setting {shown(name)} is not known; known are {', '.join(_BY_NAME)}.")
        if type(value) is not _BY_NAME[name].type:
            wanted = "true or false" if _BY_NAME[name].type is bool else "a text in quotes"
            raise UsageError(f"config {path}: {name} must be {wanted}.")
    return given


def _mode_warnings(path: Path, given: Mapping[str, Any]) -> tuple[str, ...]:
    secret = any(_BY_NAME[name].secret and value for name, value in given.items())
    secret = secret or any(masked(str(given.get(name, ""))) != given.get(name, "") for name in ("store", "hosts"))
    if secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return (f"config {path} holds a secret and others may read it; run: chmod 600 {path}",)
    return ()


def text(store: str) -> str:
    """Return a new config file with every setting explained."""
    lines = ["# Settings of dca. Lines that begin with # show what can be set; remove the # and write your own value."]
    for setting in SETTINGS:
        value = f'"{setting.example}"' if setting.type is str else setting.example
        lines += ["", f"# {setting.meaning[0].upper()}{setting.meaning[1:]}."]
        if setting.name == "store":
            lines.append(f"store = {_quoted(store)}")
        else:
            lines.append(f"# {setting.name} = {value}")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_new(path: Path, store: str) -> None:
    """Write a commented config that only its owner may read; never over one that is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text(store))
            except OSError:
                path.unlink()  # half a config would be read as another one
                raise
    except OSError as error:
        raise UsageError(f"config {path} cannot be written: {error.strerror}.") from None


def masked(store: str) -> str:
    """Return a store's address without its password, also where the address is not a good one."""
    if store.startswith("sqlite:"):
        return store
    scheme, separator, rest = store.partition("://") if "://" in store else ("", "", store)
    credentials, at, host = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{separator}{user}:***@{host}" if at and colon else store


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings as config show prints them: no secret readable."""
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        values[setting.name] = ("***" if value else "") if setting.secret else value
    values["store"] = "" if settings.hosts else masked(settings.store)
    values["hosts"] = ",".join(masked(host) for host in settings.hosts.split(","))
    values["source"] = settings.source
    return values


def without_password(store: str) -> str:
    """Return a store's address as a new config keeps it: the password belongs into a line of its own."""
    scheme, separator, rest = store.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not at:
        return store
    return f"{scheme}{separator}{credentials.partition(':')[0]}@{host}"
