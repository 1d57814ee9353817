"""Runs dca as another user, when root starts it: somebody.py USER WORD..., USER as a number."""

import os
import sys
from importlib import import_module
from pkgutil import walk_packages

import dca
from dca import cli

NEEDED_LATER = ("difflib", "docopt", "encodings.idna", "sqlite3.dbapi2", "tomllib", "urllib.parse", "zoneinfo")


def main() -> int:
    """Import all that may be needed, become the other user, and run dca."""
    modules = {module.name for module in walk_packages(dca.__path__, "dca.")} - {"dca.__main__"}
    for name in sorted([*modules, *NEEDED_LATER]):
        import_module(name)
    user = int(sys.argv[1])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
