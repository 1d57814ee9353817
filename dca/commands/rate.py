"""The rate: what an hour costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca.core import clock
from dca.core.model import Rate
from dca.core.money import Decimal
from dca.store.port import Query
from dca.store.schema import RATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dca.book import Book
    from dca.commands.arguments import Amount, Flag


def change(book: Book, rate: Amount) -> dict[str, Any]:
    """Set the rate, in dollars an hour, for all that is held and charged from now on."""
    book.put(book.site()._replace(rate=rate))
    booking = book.booking()
    book.add(Rate(id=booking.id, stream=booking.stream, seq=booking.seq, rate=rate, time=booking.time))
    return {"rate": Decimal(rate)}


def show(book: Book, *, history: Flag = False) -> dict[str, Any]:
    """Get the rate, in dollars an hour; with --history also every rate there was, the newest first.

    With --as-of as it was at that moment.
    """
    answer: dict[str, Any] = {"rate": Decimal(book.site().rate)}
    if history:
        records = book.all(Query(RATE, order=("-time", "-seq", "id")))
        answer["history"] = [{"rate": Decimal(record.rate), "since": clock.iso(record.time)} for record in records]
    return answer


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the history as rows, or the rate as the only one."""
    return list(answer["history"]) if "history" in answer else [{"rate": answer["rate"]}]
