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
SECRETS = ("password", "password_file", "password_command", "api_key", "api_key_file", "api_key_command")
"""Settings of which one says how a caller proves who he is."""
CREDENTIALS = ("username", *SECRETS)
VARIABLES = {"username": "DCA_USERNAME", "password": "DCA_PASSWORD", "api_key": "DCA_API_KEY"}
"""Variables of the environment that go before settings of the file."""


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
        "password_file", str, "", "/etc/dca/password", "file with that password on its first line, instead of password"
    ),
    Setting(
        "password_command",
        str,
        "",
        "pass show dca/admin",
        "command that writes that password on the first line of its output, instead of password; run without a shell",
    ),
    Setting(
        "api_key",
        str,
        "",
        "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==",
        "Elasticsearch API key, instead of user and password",
        secret=True,
    ),
    Setting("api_key_file", str, "", "/etc/dca/api_key", "file with that key on its first line, instead of api_key"),
    Setting(
        "api_key_command",
        str,
        "",
        "vault kv get -field=key secret/dca",
        "command that writes that key on the first line of its output, instead of api_key; run without a shell",
    ),
    Setting("ca_file", str, "", "/etc/dca/ca.pem", "certificate authority that signed the server's certificate"),
    Setting(
        "fingerprint",
        str,
        "",
        "3A:9B:...",
        "SHA-256 fingerprint of the server's own certificate (not of its authority's), instead of an authority",
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
    password_file: str = ""
    password_command: str = ""
    api_key_file: str = ""
    api_key_command: str = ""
    over_address: tuple[str, ...] = ()
    """Settings from the environment, which go before what the file's address of the store says."""
    open_secret: bool = False
    """Others may read the file, and it holds a secret."""


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
    open_secret = bool(warnings)
    own = _of_environment(environment)
    proves = "password" in own or "api_key" in own
    store = environment.get("DCA_STORE", "")
    if store:
        kept = [name for name in CREDENTIALS if values[name]]
        named = f"{values['hosts']},{values['store']}"
        if kept and not paired and "://" in store and not _hosts(store) <= _hosts(named):
            values.update(dict.fromkeys(kept, ""))
            if not proves:
                told = f"{' and '.join(kept)} of config {path} are not sent to {masked(store)}, which it does not name"
                warnings += (f"{told}; give credentials in DCA_STORE, or name the host in the config.",)
        values["store"], values["hosts"] = store, ""
    if proves:
        values.update(dict.fromkeys(SECRETS, ""))
    values.update(own)
    over_address = () if store else tuple(own)
    return Settings(
        **values, source=str(path or ""), warnings=warnings, over_address=over_address, open_secret=open_secret
    )


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the environment gives."""
    own = {name: environment[variable] for name, variable in VARIABLES.items() if environment.get(variable)}
    if "password" in own and "api_key" in own:
        raise UsageError("DCA_PASSWORD and DCA_API_KEY are both set; unset one of them.")
    return own


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
    both = [name for name in SECRETS if given.get(name)]
    if len(both) > 1:
        raise UsageError(f"config {path} gives {' and '.join(both)}; keep one of them.")
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
        raise UsageError(
            f"config {path} cannot be written: {error.strerror}; name another place for it in DCA_CONFIG."
        ) from None


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


def without_secrets(settings: Settings) -> Settings:
    """Return the settings without what proves who is calling."""
    return settings._replace(
        password="", password_file="", password_command="", api_key="", api_key_file="", api_key_command=""
    )


def without_password(store: str) -> str:
    """Return a store's address as a new config keeps it: the password belongs into a line of its own."""
    scheme, separator, rest = store.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not at:
        return store
    return f"{scheme}{separator}{credentials.partition(':')[0]}@{host}"
