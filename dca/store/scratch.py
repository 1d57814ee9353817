"""The mutable records as a log says they are, of any number, in memory up to a limit and in a nameless file beyond."""

import marshal
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dca.core.model import Change, Claim, Record
from dca.store.port import EMPTY_HEAD, Head
from dca.store.schema import KINDS

RECORDS_MAX = 100_000
"""So many are kept in memory."""
AT_ONCE = 400

Key = tuple[str, str]


class State(NamedTuple):
    """A record as the log says it is."""

    record: Record
    seq: int
    """Of the entry that changed it last."""
    settled: int
    """Of the last entry up to the stored head that changed it: so new it must be in the store."""
    stream: str


class States:
    """Books for a walk: what each mutable record is, and which entries made it that.

    Claims are left out: what is known of them is which entry gave a name to another tenant, by generation.
    """

    def __init__(self, records_max: int = RECORDS_MAX) -> None:
        """Begin with empty books; the file is made when it is needed, and gone with the program."""
        self.heads: dict[str, Head] = {}
        """The stored head of each stream, as far as it is known."""
        self.given: dict[str, tuple[Claim, str, int]] = {}
        """The last generation of each name that was given away, with stream and sequence of the entry."""
        self._records_max = records_max
        self._states: dict[Key, State] = {}
        self._file: sqlite3.Connection | None = None

    @property
    def is_filed(self) -> bool:
        """Tell whether there were more records than are kept in memory."""
        return self._file is not None

    def before(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        """Return the records with these keys."""
        return [state.record if state is not None else None for state in self.get(keys)]

    def get(self, keys: Sequence[Key]) -> list[State | None]:
        """Return what is known of the records with these keys."""
        if self._file is None:
            return [self._states.get(key) for key in keys]
        filed = self._filed([key for key in keys if key not in self._states])
        return [self._states.get(key) or filed.get(key) for key in keys]

    def take(self, stream: str, seq: int, changes: Sequence[Change]) -> None:
        """Carry out the changes of an entry."""
        head = self.heads.get(stream, EMPTY_HEAD).seq
        kept = self.get([(kind, record.id) for kind, record, _ in changes]) if seq > head else []
        for number, (kind, record, _) in enumerate(changes):
            if isinstance(record, Claim):
                given = self.given.get(record.id)
                if given is None or given[0].generation < record.generation:
                    self.given[record.id] = (record, stream, seq)
                continue
            state = kept[number] if kept else None
            settled = seq if seq <= head else state.settled if state is not None else 0
            self._states[kind, record.id] = State(record, seq, settled, stream)
        if len(self._states) > self._records_max:
            self._spill()

    def all(self, kind: str) -> Iterator[list[State]]:
        """Yield what is known of all records of a kind, some at a time."""
        self._spill() if self._file is not None else None
        if self._file is None:
            found = [state for (of, _), state in self._states.items() if of == kind]
            yield from (found[begin : begin + AT_ONCE] for begin in range(0, len(found), AT_ONCE))
            return
        last = ""
        while True:
            sql = "SELECT id, state FROM states WHERE kind = ? AND id > ? ORDER BY id LIMIT ?"
            rows = self._file.execute(sql, (kind, last, AT_ONCE)).fetchall()
            if not rows:
                return
            yield [_read(kind, row[1]) for row in rows]
            last = rows[-1][0]

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect("", isolation_level=None)  # a file without a name, as SQLite makes it
            self._file.execute("PRAGMA journal_mode = OFF")
            self._file.execute(
                "CREATE TABLE states (kind TEXT, id TEXT, state BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )
        self._file.execute("BEGIN")
        rows = [
            (kind, _key(record_id), marshal.dumps((tuple(state.record), *state[1:])))
            for (kind, record_id), state in sorted(self._states.items())
        ]
        self._file.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", rows)
        self._file.execute("COMMIT")
        self._states.clear()

    def _filed(self, keys: Sequence[Key]) -> dict[Key, State]:
        found: dict[Key, State] = {}
        assert self._file is not None
        by_kind: dict[str, list[str]] = {}
        for kind, record_id in keys:
            by_kind.setdefault(kind, []).append(record_id)
        for kind, ids in by_kind.items():
            for begin in range(0, len(ids), AT_ONCE):
                some = [_key(one) for one in ids[begin : begin + AT_ONCE]]
                sql = f"SELECT state FROM states WHERE kind = ? AND id IN ({', '.join('?' * len(some))})"
                for (blob,) in self._file.execute(sql, (kind, *some)):
                    state = _read(kind, blob)
                    found[kind, state.record.id] = state
        return found


def _key(text: str) -> str:
    """Return an id as SQLite can keep it, whatever it holds."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "\0" + text.encode("utf-8", "surrogatepass").hex()
    return text


def _read(kind: str, blob: bytes) -> State:
    fields, seq, settled, stream = marshal.loads(blob)  # noqa: S302 -- written by this very process
    return State(KINDS[kind].record(*fields), seq, settled, stream)
