"""Jobs: charging what a scheduler's log says was used, and taking a whole import back."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter, defaultdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dca.book import stream_of_tenant
from dca.commands import figures
from dca.commands.importing import (
    CHANGED,
    CHARGED,
    KNOWN,
    UNITS,
    Keyed,
    Manner,
    Outcome,
    Portion,
    billed_seconds,
    book_jobs,
    own_keys,
)
from dca.core import clock, ledger, names
from dca.core.errors import DcaError, NotFoundError, RefusedError, UnreachableError, UsageError
from dca.core.ledger import Accounts
from dca.core.model import CORE_HOURS, IMPORT, NODE_HOURS, SITE_ID, UNDO, Transaction, counter_id, tenant_stream
from dca.core.money import Decimal
from dca.core.names import folded, shown
from dca.schedulers import READERS
from dca.schedulers.job import Job, Rejected, Skipped
from dca.store.port import Condition, Query
from dca.store.schema import CLAIM, PROJECT, SITE, TENANT, TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dca.book import Book
    from dca.commands.arguments import FileName, Flag, Name, Text
    from dca.engine import Session
    from dca.schedulers.job import Item

IMPORT_WORDS, UNDO_WORDS = "job import", "job undo"
AT_ONCE = 900
"""Jobs of one tenant that are collected before they are booked."""
UNDONE_AT_ONCE = 450
"""Charges that one entry takes back; it must also hold their projects, and each may be of another."""
WAITING_MAX = 20_000
"""Jobs of all tenants that are collected at most."""
CHANGED_SHOWN = REJECTED_SHOWN = 100
FUTURE_MAX = 300 * clock.SECOND
"""How far a cluster's clock may be ahead of ours."""
REJECTS_HEADER = "line\treason\trecord\n"


def bring(
    session: Session,
    file: FileName,
    input_format: Text = "slurm",
    cluster: Name | None = None,
    timezone: Text | None = None,
    unit: Text = CORE_HOURS,
    delimiter: Text = "|",
    tenant: Name | None = None,
    rejects: FileName | None = None,
    *,
    create_missing: Flag = False,
) -> dict[str, Any]:
    """Import a scheduler's log, FILE or - for standard input: every finished allocation is charged once.

    --input-format is slurm (sacct -P with a header, sacct --json) or swf (Standard Workload Format). A job is known by
    its cluster, raw job id and submit time, so the same log, or an overlapping one, changes nothing. Cost is rate x
    billed seconds / 3600; --unit is core-hours (the default), node-hours or wall-hours. The project is the job's
    account; --tenant=<name> --create-missing makes projects and users that are unknown. Records that cannot be booked
    go, with line and reason, to a file (--rejects); a dry run without --rejects shows the first 100 instead. The whole
    import can be taken back: dca job undo --batch=<id>.
    """
    if input_format not in READERS:
        raise UsageError(f"--input-format {shown(input_format)} is not known; write {' or '.join(READERS)}.")
    if unit not in UNITS:
        raise UsageError(f"--unit {shown(unit)} is not known; write {', '.join(UNITS)}.")
    if cluster is not None:
        names.check_cluster(cluster)
    session.summed_up = True
    run = _Import(session, file, unit, rejects, create=create_missing, tenant=tenant, cluster=cluster, zone=timezone)
    with run.opened() as stream:
        run.take(READERS[input_format](stream, zone=run.zone, delimiter=_plain(delimiter)))
    return run.answer()


def _plain(delimiter: str) -> str:
    """Return a delimiter with the escapes that shells make hard to type."""
    return delimiter.replace("\\t", "\t").replace("\\x1f", "\x1f")


class _Counted:
    """A stream that tells how far it was read."""

    def __init__(self, stream: BinaryIO, session: Session, total: int) -> None:
        self._stream, self._session, self._total, self._done = stream, session, total, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        self._session.progress(self._done, self._total)
        return data


class _Import:
    """One run of an import: what it collected, booked, and could not book."""

    def __init__(
        self,
        session: Session,
        file: str,
        unit: str,
        rejects: str | None,
        *,
        create: bool,
        tenant: str | None,
        cluster: str | None,
        zone: str | None,
    ) -> None:
        self.session = session
        self.file = file
        self.site = session.ask(lambda book: book.site())
        self.zone = self.site.zone if zone is None else zone
        clock.zone(self.zone)
        self.cluster = cluster or self.site.cluster
        self.tenant = session.ask(lambda book: book.enabled_tenant(tenant)).id if tenant is not None else ""
        self.batch = f"{clock.iso(session.now)[:19].replace('-', '').replace(':', '')}-{session.draw()[:8]}"
        self.manner = Manner(self.batch, unit, create, self.tenant if session.dry_run else "")
        self.create = create
        self.owners: dict[str, str] = {}
        """Tenant of each account seen, or empty for one that is no project."""
        self.waiting: dict[str, list[Keyed]] = defaultdict(list)
        self.waiting_count = 0
        self.announced: Portion | None = None
        """What is booked next, once the store has looked for it."""
        self.again = False
        """Whether some of the last jobs were known already."""
        self.counts: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.projects: dict[str, list[int]] = {}
        self.changed: list[str] = []
        self.foreseen = _Foreseen()
        self.rejects = _Rejects(self._rejects_path(rejects))

    def _rejects_path(self, named: str | None) -> Path | None:
        """Return where rejected records go; a place that cannot take them is told before anything is booked."""
        if named is None and self.session.dry_run:
            return None
        if named is None:
            return _writable(self.file, f"{self.batch}.rejected")
        path = Path(named)
        try:
            if self.file != "-" and path.resolve() == Path(self.file).resolve():
                raise UsageError("--rejects names the log itself; name another file.")
            if path.is_dir() or not path.parent.is_dir():
                raise UsageError(f"--rejects {shown(named)} can be no file: it is a folder, or stands in none.")
            if path.is_file() and not _is_rejects(path):
                raise UsageError(f"--rejects {shown(named)} holds something else; name a new file.")
            if not os.access(path if path.exists() else path.parent, os.W_OK):
                raise UsageError(f"--rejects {shown(named)} cannot be written; name a file in a folder of yours.")
        except OSError as error:
            raise UsageError(f"--rejects {shown(named)} cannot be used: {error.strerror}.") from None
        return path

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the log; what the file system says against it is one sentence."""
        if self.file == "-" and sys.stdin is None:
            raise UsageError("standard input is closed; name a file, or give the log to standard input.")
        try:
            if self.file == "-":
                yield _Counted(sys.stdin.buffer, self.session, 0)  # type: ignore[misc]  # read is all that readers use
                return
            with Path(self.file).open("rb") as stream:
                yield _Counted(stream, self.session, Path(self.file).stat().st_size)  # type: ignore[misc]
        except BrokenPipeError:
            raise
        except OSError as error:
            log = "standard input" if self.file == "-" else self.file
            raise UsageError(f"{shown(error.filename or log)} cannot be used: {error.strerror or error}.") from None

    def take(self, items: Iterator[Item]) -> None:
        """Take in all items of the log, booking them batch by batch."""
        try:
            with self.session.store.series():
                for item in items:
                    self.counts["read"] += 1
                    if isinstance(item, Job):
                        self._collect(item)
                    elif isinstance(item, Skipped):
                        self.skipped[item.reason] += 1
                    else:
                        self._reject(item)
                for owner in list(self.waiting):
                    self._announce(owner)
                self._book()
        except DcaError as error:
            if self.counts[CHARGED] and not self.session.dry_run:
                error.broke_off(self._so_far(), batch=self.batch, charged=self.counts[CHARGED])
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._so_far()) from None
        finally:
            self.foreseen.close()
            self.rejects.close()

    def _so_far(self) -> str:
        """Say what was charged before the import broke off."""
        if self.session.dry_run:
            return "nothing was changed"
        return (
            f"{self.counts[CHARGED]} jobs were charged in batch {self.batch}, and stay as they are when the log is "
            "imported again"
        )

    def _collect(self, job: Job) -> None:
        owner = self._owner(job)
        if owner is None:
            return
        if not names.is_name(job.cluster or self.cluster, names.EXTENDED):
            self._reject(Rejected(job.line, f"cluster {shown(job.cluster)} is not a name", job.text))
            return
        if self.create and not names.is_name(job.user, self.site.names) and names.is_name(job.user, names.EXTENDED):
            raise self._not_strict("user", job.user, job.line)
        if job.end * clock.SECOND > self.session.now + FUTURE_MAX:
            self._reject(Rejected(job.line, "the job ends in the future: are zone and clock right?", job.text))
            return
        if self.manner.unit == NODE_HOURS and not job.nodes and job.elapsed:
            self._reject(Rejected(job.line, "the record names no nodes; use another --unit", job.text))
            return
        self.waiting[owner].append(Keyed(self._key(job), job))
        self.waiting_count += 1
        if len(self.waiting[owner]) >= AT_ONCE:
            self._announce(owner)
        elif self.waiting_count >= WAITING_MAX:
            self._announce(max(self.waiting, key=lambda one: len(self.waiting[one])))

    def _key(self, job: Job) -> str:
        return names.job_key(job.cluster or self.cluster, job.job, job.submit)

    def _owner(self, job: Job) -> str | None:
        """Return the tenant whose project a job's account is; None if the job cannot be booked, which is noted."""
        account = folded(job.account)
        if account not in self.owners:
            self.owners[account] = self._find_owner(job)
        if self.owners[account]:
            return self.owners[account]
        reason = f"there is no project {shown(job.account)}" if job.account else "the record names no account"
        self._reject(Rejected(job.line, reason, job.text))
        return None

    def _find_owner(self, job: Job) -> str:
        name = job.account
        if not names.is_name(name, names.EXTENDED):
            return ""
        project = self.session.ask(lambda book: book.get(PROJECT, folded(name)))
        if project is not None:
            return str(project.tenant)
        if not names.is_name(name, self.site.names):
            raise self._not_strict("account", name, job.line)
        if not (self.create and self.tenant):
            return ""
        if self.session.dry_run:
            return self.tenant
        return self._make_project(name)

    def _not_strict(self, what: str, name: str, line: int) -> UsageError:
        owner = {"account": "project", "user": "user"}[what]
        return UsageError(
            f"{what} {shown(name)} (line {line}) cannot be a {owner}'s name under the strict rule of these "
            "books; allow such names with dca setup --names=extended, then import again."
        )

    def _make_project(self, name: str) -> str:
        """Make a project that is missing, and return the tenant that it belongs to."""
        from dca.commands.project import add

        record_id = folded(name)

        def work(book: Book) -> str:
            book.reader.need([(PROJECT, record_id), (CLAIM, record_id), (TENANT, self.tenant), (SITE, SITE_ID)])
            present = book.get(PROJECT, record_id)
            if present is not None:  # another import was first
                return str(present.tenant)
            add(book, project=name, tenant=self.tenant)
            return self.tenant

        return self.session.decide(
            "project add",
            work,
            stream=stream_of_tenant(self.tenant),
            details=f"--project={name} --tenant={self.tenant} (job import, batch {self.batch})",
        )

    def _announce(self, owner: str) -> None:
        """Let the store begin to look for what was collected for a tenant, and book the portion before it meanwhile."""
        portion = Portion(owner, self.waiting.pop(owner), self.again)
        self.waiting_count -= len(portion.jobs)
        if not self.session.dry_run:
            self.session.store.foresee(tenant_stream(owner), partial(own_keys, portion))
        self._book()
        self.announced = portion

    def _book(self) -> None:
        """Book the portion that was announced, by as many entries as it takes."""
        portion, self.announced = self.announced, None
        while portion is not None and (jobs := self._not_foreseen(portion)):
            portion = portion._replace(jobs=jobs)
            outcomes: list[Outcome] = self.session.decide(
                IMPORT_WORDS,
                partial(book_jobs, portion=portion, manner=self.manner),
                stream=tenant_stream(portion.owner),
                details=f"batch {self.batch}, {self.manner.unit}",
            )
            portion = portion._replace(jobs=jobs[len(outcomes) :])
            self.again = any(outcome.what in (KNOWN, CHANGED) for outcome in outcomes)
            for outcome in outcomes:
                self._note(outcome, portion.owner)

    def _not_foreseen(self, portion: Portion) -> Sequence[Keyed]:
        """Return the jobs of a portion, in a dry run without those that earlier ones of it would have charged."""
        if not self.session.dry_run:
            return portion.jobs
        fresh = []
        for keyed in portion.jobs:
            before = self.foreseen.get(f"{portion.owner}:{keyed.key}")
            if before is None:
                fresh.append(keyed)
            else:
                known = KNOWN if before == self._content(keyed.job) else CHANGED
                self._note(Outcome(keyed.job, known, 0, 0), portion.owner)
        return fresh

    def _content(self, job: Job) -> str:
        """Return what makes two records of a job the same."""
        billed = billed_seconds(job, self.manner.unit)
        return " ".join(map(str, (folded(job.account), folded(job.user), job.start, job.end, job.elapsed, billed)))

    def _note(self, outcome: Outcome, owner: str) -> None:
        job, what = outcome.job, outcome.what
        if what == CHARGED:
            if self.session.dry_run:
                self.foreseen.add(f"{owner}:{self._key(job)}", self._content(job))
            row = self.projects.setdefault(folded(job.account), [0, 0, 0])
            row[0] += 1
            row[1] += outcome.seconds
            row[2] += outcome.cost
            self.counts[CHARGED] += 1
        elif what == KNOWN:
            self.counts[KNOWN] += 1
        elif what == CHANGED:
            self.counts[CHANGED] += 1
            if len(self.changed) < CHANGED_SHOWN:
                self.changed.append(self._key(job))
            self.rejects.write(Rejected(job.line, "known with other content; not charged again", job.text))
        else:
            self._reject(Rejected(job.line, what, job.text))

    def _reject(self, rejected: Rejected) -> None:
        self.counts["rejected"] += 1
        self.rejects.write(rejected)

    def answer(self) -> dict[str, Any]:
        """Return what the import did."""
        given = self.session.ask(lambda book: book.names_of(PROJECT, list(self.projects)))
        listed = [
            {"project": given[project], "jobs": jobs, "hours": figures.hours(seconds), "cost": Decimal(cost)}
            for project, (jobs, seconds, cost) in sorted(self.projects.items())
        ]
        return {
            "batch": self.batch,
            "cluster": self.cluster,
            "timezone": self.zone,
            "unit": self.manner.unit,
            "read": self.counts["read"],
            "charged": self.counts[CHARGED],
            "known": self.counts[KNOWN],
            "changed": self.counts[CHANGED],
            "skipped": dict(sorted(self.skipped.items())),
            "rejected": self.counts["rejected"],
            "total_hours": figures.hours(sum(row[1] for row in self.projects.values())),
            "total_cost": Decimal(sum(row[2] for row in self.projects.values())),
            "projects": listed,
            **({"changed_jobs": self.changed} if self.changed else {}),
            **self.rejects.answer(),
            **({"warning": "the rate is 0: these jobs cost nothing; dca rate set"} if self._free() else {}),
        }

    def _free(self) -> bool:
        return bool(self.counts[CHARGED]) and self.session.ask(lambda book: book.site().rate) == 0


class _Foreseen:
    """What a dry run would have charged; in a temporary file, so that memory stays flat."""

    def __init__(self) -> None:
        self._table: Any = None

    def get(self, key: str) -> str | None:
        """Return the content of the job that would have been charged under a tenant's key."""
        found = self._do("SELECT content FROM foreseen WHERE key = ?", key).fetchone()
        return str(found[0]) if found else None

    def add(self, key: str, content: str) -> None:
        """Keep the content of a job that would have been charged."""
        self._do("INSERT INTO foreseen VALUES (?, ?)", key, content)

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._table is not None:
            self._table.close()

    def _do(self, statement: str, *values: str) -> Any:
        import sqlite3

        try:
            if self._table is None:
                self._table = sqlite3.connect("", isolation_level=None)  # a file of no name, gone when it is closed
                self._table.execute("CREATE TABLE foreseen (key TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID")
                self._table.execute("BEGIN")
            return self._table.execute(statement, values)
        except sqlite3.Error as error:
            raise UnreachableError(f"the dry run has no room for temporary files ({error}); set TMPDIR.") from None


def _writable(log: str, ending: str) -> Path:
    """Return where rejected records go that nobody named a file for: beside the log, else where that can be written."""
    import tempfile

    beside = Path(log)
    if beside.is_file() and os.access(beside.parent, os.W_OK):
        return Path(f"{log}.{ending}")
    here = Path() if os.access(Path(), os.W_OK) else Path(tempfile.gettempdir())
    return here / f"dca-import.{ending}"


def _is_rejects(path: Path) -> bool:
    """Tell whether a file is empty or begins as a file of rejected records does."""
    with path.open("rb") as file:
        return file.read(len(REJECTS_HEADER)) in (b"", REJECTS_HEADER.encode())


class _Rejects:
    """The records that could not be booked: line, reason and text of each go to a file, made when the first comes.

    A dry run makes no file that was not named: the first records go into its answer.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.written = 0
        self.first: list[dict[str, Any]] = []
        self._file: Any = None

    def answer(self) -> dict[str, Any]:
        """Return where the records are, as the answer of the import tells it."""
        if self.first:
            return {"rejected_records": self.first}
        return {"rejects": str(self.path)} if self.written else {}

    def write(self, rejected: Rejected) -> None:
        if self.path is None:
            if len(self.first) < REJECTED_SHOWN:
                self.first.append({"line": rejected.line, "reason": rejected.reason})
            return
        text = rejected.text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
                if not self._file.tell():
                    self._file.write(REJECTS_HEADER)
            self._file.write(f"{rejected.line}\t{rejected.reason}\t{text}\n")
        except OSError as error:
            raise self._refused(error) from None
        self.written += 1

    def close(self) -> None:
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> UsageError:
        return UsageError(
            f"the rejected records cannot be written to {self.path} ({error.strerror}); name a file with --rejects."
        )


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each project."""
    return list(answer["projects"])


def undo(session: Session, batch: Text) -> dict[str, Any]:
    """Take back all charges of an import by counter-records; safe to repeat.

    Each part goes back to where it was taken from, and the bills of those days read as if the jobs had not come in.
    Holds that the import settled stay settled. The same log can then be imported again.
    """
    session.summed_up = True
    undone = known = cost = 0
    try:
        for counters, count in _undoing(session, batch):
            undone += len(counters)
            known += count - len(counters)
            cost -= sum(counter.cost for counter in counters)
    except DcaError as error:
        if undone and not session.dry_run:
            error.broke_off(f"{undone} charges of batch {batch} were taken back, repeat it for the rest", undone=undone)
        raise
    if not undone and not known:
        raise NotFoundError(
            f"there is no batch {shown(batch)}; dca transaction list shows the batch of each transaction."
        )
    return {"batch": batch, "undone": undone, "known": known, "cost": Decimal(cost)}


def _undoing(session: Session, batch: str) -> Iterator[tuple[list[Transaction], int]]:
    """Take a batch back, entry by entry; yield the counter-records of each, and how many charges it looked at."""
    order = ("id",)
    where = (Condition("batch", "eq", batch), Condition("source", "eq", IMPORT))
    after: tuple[str, ...] | None = None
    while True:
        query = Query(TRANSACTION, where, order, UNDONE_AT_ONCE, after)
        page: list[Transaction] = session.ask(partial(_found, query=query))
        for owner, group in groupby(page, key=lambda record: record.tenant):
            charges = list(group)
            counters: list[Transaction] = session.decide(
                UNDO_WORDS,
                partial(_take_back, charges=charges),
                stream=tenant_stream(owner),
                details=f"batch {batch}",
            )
            yield counters, len(charges)
        if len(page) < UNDONE_AT_ONCE:
            return
        after = (page[-1].id,)


def _found(book: Book, query: Query) -> list[Transaction]:
    return book.reader.find(query)


def _take_back(book: Book, charges: list[Transaction]) -> list[Transaction]:
    counters: list[Transaction] = []
    ids = [_counter_of(charge) for charge in charges]
    projects = list(dict.fromkeys(charge.project for charge in charges))
    tenant = book.get(TENANT, charges[0].tenant)
    book.reader.route(projects)
    book.reader.need([*((TRANSACTION, one) for one in ids), *((PROJECT, one) for one in projects)])
    accounts = dict(zip(projects, book.reader.get(PROJECT, projects), strict=True))
    for charge, record_id, present in zip(charges, ids, book.reader.get(TRANSACTION, ids), strict=True):
        if present is not None:
            continue
        booked = book.booking(record_id)
        (tenant, accounts[charge.project]), counter = ledger.reverse(
            Accounts(tenant, accounts[charge.project]), charge, booked, UNDO
        )
        book.add(counter)
        counters.append(counter)
    if counters:
        book.put(tenant)
        for project in accounts.values():
            book.put(project)
    return counters


def _counter_of(charge: Transaction) -> str:
    """Return the id of the counter-record of an imported charge."""
    if not charge.job:
        raise RefusedError(f"transaction {charge.id} has no job key and cannot be taken back with its batch.")
    return counter_id(charge.id)
