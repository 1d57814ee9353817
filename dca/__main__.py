"""Where dca begins: the version is answered before anything else is loaded."""

import sys

from dca import __version__

INTERRUPTED = 130


def main() -> int:
    """Run dca with the arguments of the process; return the exit status."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"dca {__version__}\n")
        return 0
    try:
        from dca.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was done\n")
        return INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
