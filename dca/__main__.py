"""Where dca begins: the version is answered before anything else is loaded."""

import sys

from dca import __version__

INTERRUPTED = 130


def main() -> int:
    """Run dca with the arguments of the process; return the exit status."""
    try:
        if sys.argv[1:] == ["--version"] and sys.stdout is not None:
            sys.stdout.write(f"dca {__version__}\n")
            sys.stdout.flush()
            return 0
        from dca.cli import main as run
    except OSError:
        from dca.cli import main as run  # which says that nothing can be written, and how it ends then
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was done\n")
        return INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
