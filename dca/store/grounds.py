"""What a log entry takes for granted of the books before it, and how those after it judged it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dca.core import fitness
from dca.core.model import DEFAULT_SITE, Claim, Record, Transaction
from dca.store import entry as entries
from dca.store.port import Entry, Head
from dca.store.schema import PROJECT, SITE


class Ground(NamedTuple):
    """What an entry takes for granted of one record: what it was before the entry; None if there was none."""

    key: tuple[str, str]
    before: Record | None
    counter: Transaction | None = None
    """The counter-record in the entry that takes the record back, if that is why it must be there."""
    given_away: bool = False
    """Whether it is a project's name that the entry's tenant gives away, and therefore must not use."""

    def holds(self, there: Any, entry: Entry) -> bool:
        """Tell whether it is so, given the record that was there."""
        if self.counter is not None:
            return there is not None and there.seq < entry.seq and fitness.takes_back(self.counter, there)
        if self.given_away:
            return there is None or there.tenant != entry.tenant
        if self.key[0] == SITE:
            return bool((there or DEFAULT_SITE) == (self.before or DEFAULT_SITE))
        return bool(there == self.before)


def grounds(entry: Entry) -> list[Ground]:
    """Return all that an entry takes for granted."""
    found = []
    for kind, record, was in entry.changes:
        if isinstance(record, Claim):
            found.append(Ground((PROJECT, record.id), None, given_away=True))
            continue
        found.append(Ground((kind, record.id), was))
        if isinstance(record, Transaction) and record.reverses:
            found.append(Ground((kind, record.reverses), None, record))
    return found


def verdict(entry: Entry, end: Head, documents: Sequence[dict[str, Any]], permitted: entries.Permitted) -> bool | None:
    """Tell whether an entry after an end was fit for the writer of the last of the documents that follow it in the log.

    A document's `previous` is the end its writer saw, and another one if the entry was passed over. Documents in
    between may be fit or void themselves; each follows one end only, so that few ends have to be kept. None: there is
    no telling.
    """
    own = entries.to_document(entry)
    verdicts = {entry.head: True, entries.passed(end, own): False}
    for document in documents[:-1]:
        following = {}
        for before, judged in verdicts.items():
            fit, _ = entries.flaw(document, entry.stream, before, permitted)
            if fit is not None:
                following[fit.head] = judged
            following[entries.passed(before, document)] = judged
        verdicts = following
    wanted = documents[-1].get("previous")
    return next((judged for last, judged in verdicts.items() if last.hash == wanted), None)
