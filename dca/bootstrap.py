"""Putting dca together: the only module that knows the concrete stores, the clock and chance."""

import os
import pwd
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dca import config
from dca.config import Settings
from dca.core.errors import UsageError
from dca.core.names import shown
from dca.engine import Store, Surroundings


def surroundings(
    environment: Mapping[str, str],
    *,
    wait_seconds: float,
    confirm: Callable[[str], None],
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
    setting_up: bool = False,
) -> Surroundings:
    """Return what the engine works with, after the settings of an environment."""
    named = environment.get("DCA_CONFIG")
    if setting_up and named and not Path(named).expanduser().exists():
        environment = {name: value for name, value in environment.items() if name != "DCA_CONFIG"}
        settings = config.load(environment)._replace(source="")
        target: Path | None = Path(named).expanduser()
    else:
        settings = config.load(environment)
        target = None if settings.source else Path(config.CONFIG_PATHS[0]).expanduser()
    for warning in settings.warnings:
        tell(warning)
    store, place = open_store(settings, wait_seconds=wait_seconds, tell=tell)

    def write_config() -> Path | None:
        if target is None or target.exists():
            return None
        config.write_new(target, config.without_password(settings.store))
        return target

    return Surroundings(
        store=store,
        place=place,
        settings=settings,
        now=lambda: time.time_ns() // 1_000_000,
        draw=lambda: os.urandom(12).hex(),
        confirm=confirm,
        progress=progress,
        write_config=write_config,
    )


def open_store(settings: Settings, *, wait_seconds: float, tell: Callable[[str], None]) -> tuple[Store, str]:
    """Return the store that the settings name, and what people call it."""
    if settings.hosts:
        return _elastic(settings, [host.strip() for host in settings.hosts.split(",")], wait_seconds)
    scheme, colon, rest = settings.store.partition(":")
    if scheme == "sqlite" and colon:
        from dca.store.sqlite import SqliteStore

        path = Path(rest).expanduser()
        if not rest or "\0" in rest:
            raise UsageError("the store sqlite: names no file; write sqlite:PATH.")
        store = SqliteStore(
            path.absolute(),
            actor=login(),
            wait_seconds=wait_seconds,
            network_allowed=settings.network_file_system,
            created=lambda made: tell(f"made new books: {made}"),
        )
        return store, str(path.absolute())
    if scheme in ("http", "https"):
        return _elastic(settings, [settings.store], wait_seconds)
    raise UsageError(
        f"store {shown(config.masked(settings.store))} is not understood; write sqlite:PATH or http(s)://host:port[/prefix]."
    )


def _elastic(settings: Settings, hosts: list[str], wait_seconds: float) -> tuple[Store, str]:
    from dca.commands.table import PERMITTED
    from dca.store.elastic import Address, ElasticStore

    address = Address.parse(
        hosts,
        username=settings.username,
        password=settings.password,
        api_key=settings.api_key,
        ca_file=settings.ca_file,
        fingerprint=settings.fingerprint,
        prefix=settings.prefix,
    )
    return ElasticStore(address, PERMITTED, wait_seconds=wait_seconds), ", ".join(map(config.masked, hosts))


def login() -> str:
    """Return the login of whoever runs this process; its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ


def on_terminal() -> bool:
    """Tell whether messages go to a person's terminal."""
    return sys.stderr.isatty()
