"""The doctor: looks at everything around the books that keeps them safe or puts them in danger."""

from __future__ import annotations

import platform
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dca import __version__, secret
from dca.core import clock
from dca.core.clock import DAY
from dca.core.errors import DcaError, DeniedError, UnhealthyError
from dca.core.model import OPEN
from dca.store.health import FAILED, NOTE, STATES, WARNING, Finding, ok
from dca.store.port import Condition, Query
from dca.store.schema import HOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dca.book import Book
    from dca.config import Settings
    from dca.core.model import Hold
    from dca.engine import Session

HOLD_DAYS_MAX = 30
"""Days after which a hold was probably forgotten: few schedulers let a job wait and run for longer."""

ONLY_YOU = "let only root or yourself write it"


def examine(session: Session) -> dict[str, Any]:
    """Examine the store and what is around it; one line for each thing, with its state and what to do about it.

    States: ok; note, good to know; warning, will do harm one day; failed, does harm now. Exit status 0 unless something
    failed, then 1; 3 where the store cannot be reached or holds no books (the rest is examined all the same). Nothing is
    changed. What you may not look at is a note that names the missing privilege.
    """
    findings = [ok("program", f"dca {__version__}, Python {platform.python_version()}")]
    findings += _config(session.settings)
    findings += _files(session.settings)
    try:
        for finding in session.store.examine(session.now):
            findings.append(finding)
    except DcaError as error:
        findings.append(Finding("store", FAILED, error.sentence.rstrip(".")))
        error.facts.update(_answer(session, findings))
        raise
    findings += _holds(session)
    answer = _answer(session, findings)
    failed = [finding.name for finding in findings if finding.state == FAILED]
    if failed:
        what = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        raise UnhealthyError(f"{what} failed: {', '.join(failed)}.", **answer)
    return answer


def _answer(session: Session, findings: list[Finding]) -> dict[str, Any]:
    counts = Counter(finding.state for finding in findings)
    return {
        "store": session.place,
        "found": {state: counts[state] for state in STATES},
        "checks": [finding._asdict() for finding in findings],
    }


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each thing looked at."""
    return list(answer["checks"])


def _config(settings: Settings) -> Iterator[Finding]:
    """Judge the config file: who may read what it holds, and who may write it."""
    if not settings.source:
        yield ok("config", "no file; the store is named by DCA_STORE, or is the usual one")
        return
    path = Path(settings.source)
    mode = stat.S_IMODE(path.stat().st_mode)
    if settings.open_secret:
        found = f"{path} holds a secret and has mode {mode:04o}: others may read it"
        yield Finding("config", WARNING, found, f"chmod 600 {path}, and change the secret")
    elif found := secret.changeable(path):
        yield Finding("config", WARNING, f"{found}, and lead dca to another store", ONLY_YOU)
    else:
        yield ok("config", f"{path}, mode {mode:04o}")


def _files(settings: Settings) -> Iterator[Finding]:
    """Judge the files and commands that say who is calling and whom to trust, where there are any."""
    dangers = {
        danger.setting: danger for danger in (*secret.dangers(settings), *secret.of_secret(settings, "checkpoint_key"))
    }
    for name in secret.OUTSIDE:
        named = getattr(settings, name)
        if danger := dangers.get(name):
            yield Finding(name, WARNING, danger.found, danger.advice)
        elif named:
            yield ok(name, named)


def _holds(session: Session) -> Iterator[Finding]:
    """Judge the oldest open hold: money that nobody releases cannot be spent."""
    oldest = Query(HOLD, (Condition("state", "eq", OPEN),), ("opened", "id"), 1)

    def ask(book: Book) -> list[Hold]:
        return book.reader.find(oldest)

    try:
        found = session.ask(ask)
    except DeniedError as denied:
        yield Finding("holds", NOTE, f"not looked at: {denied.sentence.rstrip('.')}", "ask as a user who may")
        return
    except DcaError as error:
        yield Finding("holds", FAILED, error.sentence.rstrip("."))
        return
    if not found:
        yield ok("holds", "none is open")
        return
    days = (session.now - found[0].opened) // DAY
    told = f"the oldest open hold is {found[0].id}, made {clock.iso(found[0].opened)[:10]} ({days} days ago)"
    if days > HOLD_DAYS_MAX:
        advice = f"dca transaction holds --older-than={HOLD_DAYS_MAX} shows them, dca transaction release ends them"
        yield Finding("holds", WARNING, told, advice)
    else:
        yield ok("holds", told)
