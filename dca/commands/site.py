"""The site: its store, its settings, its config file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dca import config
from dca.core import clock, names
from dca.core.errors import DcaError, RefusedError, UsageError
from dca.core.model import GLOBAL_STREAM
from dca.store.port import Condition, Query
from dca.store.schema import TRANSACTION

if TYPE_CHECKING:
    from dca.book import Book
    from dca.commands.arguments import Flag, Text
    from dca.engine import Session

WORDS = "setup"


def setup(
    session: Session,
    names_: Text | None = None,
    timezone: Text | None = None,
    cluster: Text | None = None,
    *,
    wipe: Flag = False,
) -> dict[str, Any]:
    """Set up the store and the site: config file, indices or database, time zone, rule for names, default cluster.

    Harmless when run again; what is not given stays as it is. --names is strict (letters and digits, the default) or
    extended (also _ - . @ after the first character) and can only be widened. --wipe asks, then destroys all books.
    """
    _check(names_, timezone, cluster)
    done = []
    if wipe:
        session.confirm(f"Destroy all books in {session.place}, for ever?")
        if session.dry_run:
            done.append(f"would destroy the books in {session.place}")
        else:
            session.store.wipe()
            done.append(f"destroyed the books in {session.place}")
    if session.dry_run:
        done.append(f"would set up {session.place}")
    else:
        done += _make(session)
    site = session.decide(
        WORDS,
        lambda book: _settle(book, names_, timezone, cluster),
        stream=GLOBAL_STREAM,
        details=_details(names_, timezone, cluster),
    )
    warning = {"warning": site.pop("warning")} if "warning" in site else {}
    return {"store": session.place, "done": done, "site": site, **warning}


def _make(session: Session) -> list[str]:
    """Write the config and make the store; a store that cannot be made leaves no config that names it."""
    written = session.write_config()
    try:
        made = session.store.setup()
    except DcaError:
        if written is not None:
            written.unlink(missing_ok=True)
        raise
    return [f"wrote the config {written}", *made] if written is not None else made


def _check(names_rule: str | None, timezone: str | None, cluster: str | None) -> None:
    if names_rule is not None and names_rule not in names.RULES:
        raise UsageError(f"--names {names.shown(names_rule)} is not known; write strict or extended.")
    if timezone is not None:
        clock.zone(timezone)
    if cluster is not None:
        names.check_cluster(cluster)


def _settle(book: Book, names_rule: str | None, timezone: str | None, cluster: str | None) -> dict[str, Any]:
    site = before = book.site()
    if names_rule == names.STRICT and site.names == names.EXTENDED:
        raise RefusedError("the rule for names can be widened once, and never back.")
    site = site._replace(names=names_rule or site.names, zone=timezone or site.zone, cluster=cluster or site.cluster)
    book.put(site)
    answer = {"timezone": site.zone, "names": site.names, "cluster": site.cluster}
    if (site.zone, site.cluster) != (before.zone, before.cluster) and _has_jobs(book):
        answer["warning"] = (
            "jobs are booked already: a log that names no cluster or no zone and was imported before would be charged "
            f"again; import it with --cluster={before.cluster} --timezone={before.zone}."
        )
    return answer


def _has_jobs(book: Book) -> bool:
    return bool(book.reader.find(Query(TRANSACTION, (Condition("job", "gt", ""),), limit=1)))


def _details(names_rule: str | None, timezone: str | None, cluster: str | None) -> str:
    given = {"names": names_rule, "timezone": timezone, "cluster": cluster}
    return " ".join(f"--{name}={value}" for name, value in given.items() if value is not None)


def show_config(session: Session) -> dict[str, Any]:
    """Show the settings in use and where they come from; secrets are masked."""
    return {"config": config.shown_settings(session.settings)}
