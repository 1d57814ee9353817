"""Run a server no longer than the process that asked for it, whatever becomes of that process.

keeper.py OWNER ACCOUNT DIRECTORY COMMAND...

OWNER is the id of the process that starts this one. When it is gone, or when this one gets SIGTERM, the server is
killed, and its DIRECTORY, where it keeps all it writes, is removed. ACCOUNT is the user to run it, or empty. At SIGUSR1
the server alone is killed, and at SIGUSR2 it is started again on what it had written.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

KILL, START = signal.SIGUSR1, signal.SIGUSR2


def main() -> None:
    """Start the server and see to its end."""
    owner, account, directory, *command = sys.argv[1:]
    told: list[int] = []
    orders: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    for order in (KILL, START):
        signal.signal(order, lambda number, _: orders.append(number))
    try:
        server: subprocess.Popen[bytes] | None = _start(command, account, directory)
        while not told and os.getppid() == int(owner) and (server is None or server.poll() is None):
            wanted = orders.pop(0) if orders else 0
            if wanted == KILL and server is not None:
                _kill(server)
                server = None
            if wanted == START and server is None:
                server = _start(command, account, directory)
            time.sleep(0.1)
        if server is not None:
            _kill(server)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _start(command: list[str], account: str, directory: str) -> subprocess.Popen[bytes]:
    entry = pwd.getpwnam(account) if account else None
    return subprocess.Popen(
        command,
        cwd=directory,
        user=entry and entry.pw_uid,
        group=entry and entry.pw_gid,
        extra_groups=[] if entry else None,
        start_new_session=True,  # all that the server starts is then of one group, and can be killed at once
    )


def _kill(server: subprocess.Popen[bytes]) -> None:
    # Nothing that tests have written is worth an orderly end.
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    server.wait()


if __name__ == "__main__":
    main()
