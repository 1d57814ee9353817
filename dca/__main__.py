"""python -m dca."""

import sys

from dca.cli import main

if __name__ == "__main__":
    sys.exit(main())
