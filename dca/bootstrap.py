"""Putting dca together: the only module that knows the concrete stores, the clock and chance."""

import contextlib
import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca import config
from dca.config import Settings
from dca.core.errors import UsageError
from dca.core.names import shown
from dca.engine import Store, Surroundings

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def surroundings(
    environment: Mapping[str, str],
    *,
    wait_seconds: float,
    confirm: Callable[[str], None],
    secret: Callable[[str], str],
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
    setting_up: bool = False,
) -> Surroundings:
    """Return what the engine works with, after the settings of an environment."""
    named = environment.get("DCA_CONFIG")
    if setting_up and named and not config.exists(config.expanded(named)):
        environment = {name: value for name, value in environment.items() if name != "DCA_CONFIG"}
        settings = config.load(environment)._replace(source="")
        target: Path | None = config.expanded(named)
    else:
        settings = config.load(environment)
        target = config.expanded(config.CONFIG_PATHS[0]) if setting_up and not settings.source else None
    for warning in settings.warnings:
        tell(warning)

    def around(chosen: Settings, told: Callable[[str], None]) -> Surroundings:
        store, place = open_store(chosen, wait_seconds=wait_seconds, tell=told)
        return Surroundings(
            store=store,
            place=place,
            settings=chosen,
            now=lambda: time.time_ns() // 1_000_000,
            draw=lambda: os.urandom(12).hex(),
            confirm=confirm,
            secret=secret,
            progress=progress,
            write_config=write_config,
            other=lambda address, named: _other(address, named, wait_seconds=wait_seconds, tell=told),
            bench=bench,
        )

    def bench(**chosen: Any) -> dict[str, Any]:
        from dca.bench.run import measure
        from dca.bench.scratch import Site

        show = tell if on_terminal() else _silent
        own = around(settings, _silent)
        own.store.close()
        site = Site(settings, own.place, environment, lambda other: around(other, _silent), show, tell)
        return measure(site, **chosen)

    def write_config() -> Path | None:
        if target is None or config.exists(target):
            return None
        config.write_new(target, _lasting(settings.store))
        if config.masked(settings.store) != settings.store:
            tell(f"the password in DCA_STORE was not written into {target}; to keep it there add: password = ...")
        return target

    return around(settings, tell)


@contextlib.contextmanager
def _other(
    address: str, named: str, *, wait_seconds: float, tell: Callable[[str], None]
) -> Iterator[tuple[Store, str]]:
    """Open another store than that of the settings, with the credentials of its own config and no others."""
    with contextlib.ExitStack() as stack:
        if not address:
            from tempfile import TemporaryDirectory

            address = f"sqlite:{stack.enter_context(TemporaryDirectory(prefix='dca-'))}/scratch.db"
            tell = _silent
        settings = config.load({"DCA_CONFIG": named or os.devnull, "DCA_STORE": address}, paired=True)
        for warning in settings.warnings:
            tell(warning)
        store, place = open_store(settings, wait_seconds=wait_seconds, tell=tell)
        stack.callback(store.close)
        yield store, place


def _silent(text: str) -> None:
    del text


def _whole(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError:
        raise UsageError(f"{path} cannot be found from here: this folder was deleted; change to another one.") from None


def _lasting(store: str) -> str:
    """Return a store's address as a config keeps it: the same books wherever dca is run, and no password."""
    scheme, _, path = store.partition(":")
    if scheme == "sqlite" and not path.startswith("~"):
        return f"sqlite:{_whole(Path(path))}"
    return config.without_password(store)


def open_store(settings: Settings, *, wait_seconds: float, tell: Callable[[str], None]) -> tuple[Store, str]:
    """Return the store that the settings name, and what people call it."""
    if settings.hosts:
        return _elastic(settings, [host.strip() for host in settings.hosts.split(",")], wait_seconds, tell)
    scheme, colon, rest = settings.store.partition(":")
    if scheme == "sqlite" and colon:
        from dca.store.sqlite import SqliteStore

        path = _whole(config.expanded(rest))
        if not rest or "\0" in rest:
            raise UsageError("the store sqlite: names no file; write sqlite:PATH.")
        store = SqliteStore(
            path,
            actor=login(),
            wait_seconds=wait_seconds,
            network_allowed=settings.network_file_system,
            created=lambda made: tell(f"made new books: {made}"),
        )
        return store, str(path)
    if scheme in ("http", "https"):
        return _elastic(settings, [settings.store], wait_seconds, tell)
    raise UsageError(
        f"store {shown(config.masked(settings.store))} is not understood; write sqlite:PATH or http(s)://host:port[/prefix]."
    )


def _elastic(
    settings: Settings, hosts: list[str], wait_seconds: float, tell: Callable[[str], None]
) -> tuple[Store, str]:
    from urllib.parse import unquote, urlsplit

    from dca import secret
    from dca.commands.table import PERMITTED, rows
    from dca.store.elastic import Address, ElasticStore

    plain, prefix = [], settings.prefix
    for host in hosts:
        try:
            parts = urlsplit(host)
        except ValueError:  # half an IPv6 address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(
                f"host {shown(config.masked(host))} is not understood; write http(s)://host:port, several by comma."
            )
        place = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        plain.append(f"{parts.scheme}://{place}:{_port(host, parts)}")
        if parts.username and "username" not in settings.over_address:
            settings = settings._replace(username=unquote(parts.username))
        if parts.password and not {*settings.over_address} & {*config.SECRETS}:
            settings = config.without_secrets(settings)._replace(password=unquote(parts.password))
        prefix = parts.path.strip("/") or prefix
    for danger in secret.dangers(settings):
        tell(f"{danger.setting}: {danger.found}; {danger.advice}")
    named = secret.source(settings)
    by_key = named.startswith("api_key")
    if named and not by_key and not settings.username:
        raise UsageError(f"{named} is given and no user; name one as username, in DCA_USERNAME or in the address.")
    address = Address(
        hosts=tuple(plain),
        username="" if by_key else settings.username,
        password=secret.checked("password", settings.password),
        api_key=secret.checked("api_key", settings.api_key),
        ca_file=str(config.expanded(settings.ca_file)) if settings.ca_file else "",
        fingerprint=settings.fingerprint,
        prefix=prefix,
        later=secret.later(settings),
        by_key=by_key,
    )
    store = ElasticStore(address, PERMITTED, rows=rows(), wait_seconds=wait_seconds)
    return store, ", ".join(f"{host}/{prefix}" for host in plain)


def _port(host: str, parts: "SplitResult") -> int:
    """Return the port of a host; Elasticsearch's own, where none is named."""
    try:
        return parts.port or config.ELASTICSEARCH_PORT
    except ValueError:
        raise UsageError(f"the port of host {shown(config.masked(host))} is no number up to 65535.") from None


def login() -> str:
    """Return the login of whoever runs this process; its number where it has no name, as no name can be."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid:{os.geteuid()}"


def environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ


def on_terminal() -> bool:
    """Tell whether messages go to a person's terminal."""
    return sys.stderr.isatty()
