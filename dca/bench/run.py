"""One run of the benchmark: choosing rows, measuring them, and telling what came out."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from math import floor, log10
from typing import TYPE_CHECKING, Any

from dca import __version__
from dca.bench.rows import JOBS_MAX, JOBS_QUICK, JOBS_QUICK_DISTANT, ROWS, Figure, Laboratory, Sizes
from dca.bench.scratch import scratch
from dca.core.errors import UnreachableError, UsageError
from dca.core.money import MICRO, Decimal
from dca.core.names import shown

if TYPE_CHECKING:
    from dca.bench.scratch import Site

ROUNDS, ROUNDS_QUICK = 5, 3
DIGITS = 4


def measure(site: Site, *, only: str = "", jobs: int = 0, quick: bool = False) -> dict[str, Any]:
    """Measure the rows chosen, or all; return them with what they were measured on."""
    chosen = _chosen(only)
    few = JOBS_QUICK if site.is_sqlite else JOBS_QUICK_DISTANT
    sizes = Sizes(jobs or (few if quick else JOBS_MAX), ROUNDS_QUICK if quick else ROUNDS)
    rows = []
    load = os.getloadavg()[0]
    try:
        with scratch(site, sizes.bytes) as books:
            lab = Laboratory(books, sizes)
            try:
                for number, name in enumerate(chosen, 1):
                    what, measured = ROWS[name]
                    what = what.format(jobs=f"{sizes.jobs:,}")
                    site.show(f"{number} of {len(chosen)}: {what}")
                    rows.append(_row(name, what, measured(lab)))
            finally:
                lab.close()
    except sqlite3.Error as error:
        raise UnreachableError(f"the disk of {site.place} does not take the scratch books ({error}).") from None
    return {
        "store": site.place,
        "program": f"dca {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "processors": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "load": _number(load),
        "jobs": sizes.jobs,
        "rounds": sizes.rounds,
        "rows": rows,
    }


def _chosen(only: str) -> list[str]:
    """Return the rows that a list of words means: a row by its name, or several by what their names begin with."""
    if not only:
        return list(ROWS)
    wanted: list[str] = []
    for word in only.split(","):
        found = [name for name in ROWS if name == word or name.startswith(f"{word}_")]
        if not found:
            raise UsageError(f"--only {shown(word)} is no row; write some of {','.join(ROWS)}.")
        wanted += found
    return [name for name in ROWS if name in wanted]


def _row(name: str, what: str, figure: Figure) -> dict[str, Any]:
    sign = ">=" if figure.more_is_better else "<="
    target = f"{'' if figure.alone else 'ratio '}{sign} {figure.target:g}" if figure.target else ""
    return {
        "row": name,
        "what": what,
        "ours": _number(figure.ours),
        "floor": _number(figure.floor),
        "unit": figure.unit,
        "ratio": _number(figure.ours / figure.floor),
        "target": target,
        "met": figure.met,
        "floor_is": figure.floor_is,
        **dict(figure.facts),
    }


def _number(value: float) -> Decimal:
    """Return a figure with as many digits as a measurement deserves."""
    digits = DIGITS - 1 - floor(log10(abs(value))) if value else 0
    return Decimal(round(round(value, min(digits, 6)) * MICRO))
