"""Keep a server between test runs, which then start at once.

Usage: python -m tests.elasticsearch_server start|stop|status

    export DCA_TEST_ELASTICSEARCH=$(python -m tests.elasticsearch_server start)
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from tests.elasticsearch_server import VARIABLE, MissingServerError, running
from tests.elasticsearch_server.installation import STEP_SECONDS_MAX, cache_directory
from tests.elasticsearch_server.server import named, poll


def start() -> str:
    """Leave a server behind, unless there is one, and return its URL."""
    if url := _url():
        return url
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-m", "tests.elasticsearch_server", "hold"]
    holder = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    return poll(_url, seconds=STEP_SECONDS_MAX, alive=lambda: holder.poll() is None) or sys.exit(1)


def hold() -> NoReturn:
    """Run a server until SIGTERM and leave its URL and this process's id where the other commands find them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with running() as server:
            _state().write_text(f"{server.url} {os.getpid()}")
            while True:
                signal.pause()
    finally:
        _state().unlink(missing_ok=True)


def stop() -> str:
    """End the server that `start` left behind."""
    if not _url():
        return "No server is running."
    os.kill(int(_state().read_text().split()[1]), signal.SIGTERM)
    return "The server has stopped." if poll(lambda: not _state().exists(), seconds=30) else sys.exit("It runs on.")


def status() -> str:
    """Return the URL of the server that `start` left behind."""
    return _url() or sys.exit("No server is running.")


def _state() -> Path:
    return cache_directory() / "held"


def _url() -> str:
    try:
        url = _state().read_text().split()[0]
        named(url, seconds=1)
    except (OSError, IndexError, MissingServerError):
        return ""
    return url


COMMANDS = {"start": start, "hold": hold, "stop": stop, "status": status}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        print(COMMANDS[sys.argv[1]]())
    except MissingServerError as missing:
        sys.exit(str(missing))
