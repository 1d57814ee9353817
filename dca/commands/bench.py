"""Measuring dca on the site's own store and disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.commands.arguments import Flag, Jobs, Text
    from dca.engine import Session


def measure(session: Session, only: Text = "", jobs: Jobs = 0, *, quick: Flag = False) -> dict[str, Any]:
    """Measure dca on this store and disk: charges, imports, bills, proofs and starts, each beside its floor.

    The floor is what the same rows or documents cost with nothing around them, measured in turn with ours; the ratio is
    what counts, since machines differ and are noisy. The real books are not touched: the work is done in a scratch file
    beside them, or in scratch indices, which are removed at the end, also after Ctrl-C. --quick takes under two minutes,
    with fewer rounds and a bill over 100,000 transactions (20,000 on Elasticsearch); --jobs=<n> sets that number
    (1,000,000 without --quick), and all else in proportion. --only=<rows> measures some rows, by comma: one, writers,
    batch, import, again, memory, bill, verify, start.
    """
    answer: dict[str, Any] = session.bench(only=only, jobs=jobs, quick=quick)
    return answer


COLUMNS = ("row", "ours", "floor", "unit", "ratio", "target", "met", "failures", "floor_is")


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows as they are read by eye."""
    return [{name: row.get(name, "") for name in COLUMNS} for row in answer["rows"]]
