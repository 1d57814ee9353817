"""Secrets that lie outside the config: read from a file or asked of a command, once, when the store is to be asked."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from dca.config import SECRETS, expanded
from dca.core.errors import DcaError, UnreachableError, UsageError
from dca.core.names import shown

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dca.config import Settings

OUTSIDE = ("password_file", "password_command", "api_key_file", "api_key_command", "ca_file", "checkpoint_key")
"""Settings that name a file or a command on which it depends who is believed."""
COMMAND_SECONDS_MAX = 60.0
"""Long enough for a person to type the word that opens a safe."""
SECRET_BYTES_MAX = 4_096
"""A server takes no longer header."""
OUTPUT_BYTES_MAX = 1 << 16


class Once:
    """A function whose answer, or failure, is kept: a command is run once in a process."""

    def __init__(self, ask: Callable[[], str]) -> None:
        """Take the function; it is not called yet."""
        self._ask = ask
        self._lock = threading.Lock()
        self._answer = ""
        self._failure: DcaError | None = None

    def __call__(self) -> str:
        """Return what it said."""
        with self._lock:
            if not self._answer and self._failure is None:
                try:
                    self._answer = self._ask()
                except DcaError as failure:
                    self._failure = failure
            if self._failure is not None:
                raise self._failure
            return self._answer


class Danger(NamedTuple):
    """What others may do to a file that the settings name."""

    setting: str
    found: str
    advice: str


def later(settings: Settings) -> Once | None:
    """Return what gives the password or the API key when it is needed; None where the settings themselves hold it."""
    for kind in ("password", "api_key"):
        if path := getattr(settings, f"{kind}_file"):
            return Once(lambda kind=kind, path=path: from_file(f"{kind}_file", expanded(path)))  # type: ignore[misc]
        if command := getattr(settings, f"{kind}_command"):
            return Once(lambda kind=kind, command=command: _trusted(f"{kind}_command", command, settings))  # type: ignore[misc]
    return None


def checked(setting: str, value: str) -> str:
    """Return a secret if it can be sent."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{setting} is not UTF-8.") from None
    if size > SECRET_BYTES_MAX:
        raise UsageError(f"{setting} is too long; at most {SECRET_BYTES_MAX} bytes can be sent.")
    if "api_key" in setting.lower() and not (value.isascii() and value.isprintable() and " " not in value):
        raise UsageError(f"{setting} is no API key; write it as Elasticsearch gave it, in one word, or as id:key.")
    return value


def from_file(setting: str, path: Path) -> str:
    """Return the first line of a file."""
    called = f"{setting} {shown(str(path))}"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # never wait for somebody to write into a pipe
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{called} cannot be read: {why}.") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UsageError(f"{called} is not a file; write the secret into one, on its first line.")
        data = os.read(handle, OUTPUT_BYTES_MAX)
    finally:
        os.close(handle)
    if line := _first_line(called, data):
        return line
    raise UsageError(f"{called} has nothing on its first line; write the secret there.")


def from_command(setting: str, text: str) -> str:
    """Return the first line that a command writes; it is run without a shell and without input."""
    import shlex
    import subprocess

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{setting} is not understood: {str(error)[:1].lower()}{str(error)[1:]}.") from None
    if not words:
        raise UsageError(f"{setting} names no program.")
    called = f"{setting} ({shown(words[0])})"
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603 -- the user's own
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{called} cannot be run: {why}; it is run without a shell.") from None
    with process:
        try:
            data = _output(called, process)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode:
        how = f"failed with status {process.returncode}"
        if process.returncode < 0:
            how = f"was ended by signal {-process.returncode}"
        raise UnreachableError(f"{called} {how}; the store was not asked.")
    if line := _first_line(called, data):
        return line
    raise UnreachableError(f"{called} wrote nothing on the first line of its output; the store was not asked.")


def dangers(settings: Settings) -> Iterator[Danger]:
    """Return what others may do to the files that say who is calling, and whom to trust."""
    for setting in ("password_file", "api_key_file"):
        yield from of_secret(settings, setting)
    for setting in ("password_command", "api_key_command"):
        if getattr(settings, setting) and settings.source and (found := changeable(expanded(settings.source))):
            yield Danger(setting, f"not run: config {found}", "put that right, and look at what it says now")
    if settings.ca_file and (found := changeable(expanded(settings.ca_file))):
        yield Danger("ca_file", f"{found}: they could vouch for a false server", "let only root or yourself write it")


def of_secret(settings: Settings, setting: str) -> Iterator[Danger]:
    """Return what others may do to the file of a secret, if the setting names one that is there."""
    if not (named := getattr(settings, setting)):
        return
    path = expanded(named)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = f"{path} holds a secret and has mode {mode:04o}: others may read it"
        yield Danger(setting, found, f"chmod 600 {path}, and change the secret")
    elif found := changeable(path):
        yield Danger(setting, found, "let only root or yourself write it")


def changeable(path: Path) -> str:
    """Say how others than root and the caller may change a file; empty if they may not, or it is not to be seen."""
    try:
        file, folder = path.stat(), path.resolve().parent
        around = folder.stat()
    except (OSError, RuntimeError, ValueError):
        return ""
    others = stat.S_IWGRP | stat.S_IWOTH
    if file.st_mode & others and not stat.S_ISCHR(file.st_mode):
        return f"{path} has mode {stat.S_IMODE(file.st_mode):04o}, others may write it"
    if file.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to {_login(file.st_uid)}, who may write it"
    if around.st_mode & others and not around.st_mode & stat.S_ISVTX:
        return f"{path} lies in {folder}, where others may put another in its place"
    return ""


def source(settings: Settings) -> str:
    """Return the name of the setting that holds the secret or leads to it; empty if none does."""
    return next((name for name in SECRETS if getattr(settings, name)), "")


def _trusted(setting: str, command: str, settings: Settings) -> str:
    """Run a command only if nobody else can have written it into the config: it runs as whoever runs dca."""
    if settings.source and (found := changeable(expanded(settings.source))):
        raise UsageError(f"{setting} is not run, since config {found}; let only root or yourself write it.")
    return from_command(setting, command)


def _output(called: str, process: subprocess.Popen[bytes]) -> bytes:
    """Return what a command writes until it ends."""
    import selectors
    import subprocess
    import time

    assert process.stdout is not None
    deadline = time.monotonic() + COMMAND_SECONDS_MAX
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(deadline - time.monotonic(), 0)):
            piece = os.read(process.stdout.fileno(), OUTPUT_BYTES_MAX)
            data += piece
            if len(data) > OUTPUT_BYTES_MAX:
                raise UsageError(f"{called} wrote too much; the secret alone is wanted, on the first line.")
            if not piece:
                try:
                    process.wait(max(deadline - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    break
                return data
    raise UnreachableError(f"{called} did not end in {COMMAND_SECONDS_MAX:g} seconds; the store was not asked.")


def _first_line(called: str, data: bytes) -> str:
    try:
        line = data.partition(b"\n")[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError(f"what {called} gives is not UTF-8.") from None
    return checked(f"what {called} gives", line)


def _login(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
