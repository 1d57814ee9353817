"""What sacct --json writes, read record by record: memory holds one record and one block, never the whole log.

The standard library's decoder reads single values out of a buffer that is filled as it goes; this needs no further
package and is several times faster than event parsers, which must call back for each of some hundred values a record.
"""

import codecs
import json
from collections.abc import Iterable, Iterator

from dca.core.errors import UsageError
from dca.core.names import shown
from dca.schedulers.job import (
    NEVER_STARTED,
    NOT_ENDED,
    Item,
    Job,
    Rejected,
    Skipped,
    UnreadableError,
)
from dca.schedulers.slurm_record import LIVE_STATES, MOMENT_MAX, NO_NODE, checked, state_word

RECORD_CHARACTERS_MAX = 1 << 28
KEYS_MAX = 1_000

_NO_JOBS = "the JSON holds no list of jobs; take the log with: sacct -a -D --json"
_BLANKS = " \t\r\n"
_TOKEN_LENGTH_MAX = 16
_DECODER = json.JSONDecoder()


class _Text:
    """The text of the log from where reading stands."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._buffer = ""
        self._at = 0
        self._ended = False
        self.records = 0

    def _damaged(self) -> UsageError:
        return UsageError(f"the JSON is damaged after record {self.records}; take the log once more.")

    def _cut_short(self) -> UsageError:
        return UsageError(f"the JSON ends in the middle, after record {self.records}; take the log once more.")

    def _fill(self) -> None:
        """Read on until twice as much is there, or the log ends."""
        parts = [self._buffer[self._at :]]
        wanted = len(parts[0])
        if wanted > RECORD_CHARACTERS_MAX:
            raise UsageError(f"record {self.records + 1} is too long for dca; take the log as text, with sacct -P.")
        while wanted >= 0 and not self._ended:
            piece = next(self._pieces, b"")
            self._ended = not piece
            parts.append(self._decode(piece, self._ended))
            wanted -= len(parts[-1])
        self._buffer, self._at = "".join(parts), 0

    def peek(self) -> str:
        """Return the next character that is no blank, without taking it; nothing at the end."""
        while True:
            rest = self._buffer[self._at : self._at + 1]
            if rest and rest not in _BLANKS:
                return rest
            if rest:
                self._at += 1
            elif self._ended:
                return ""
            else:
                self._fill()

    def take(self, wanted: str) -> str:
        """Take the next character, which must be one of those wanted."""
        found = self.peek()
        if not found:
            raise self._cut_short()
        if found not in wanted:
            raise self._damaged()
        self._at += 1
        return found

    def value(self) -> object:
        """Take the next value."""
        while True:
            self.peek()
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._may_go_on(error):
                    return self._unfinished(error)
            except (ValueError, RecursionError):
                raise self._damaged() from None
            else:
                if end < len(self._buffer) or self._ended:
                    self._at = end
                    return value
            self._fill()

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Tell whether the buffer's end, not the text itself, is what the decoder met."""
        return error.msg.startswith("Unterminated string") or error.pos + _TOKEN_LENGTH_MAX > len(self._buffer)

    def _unfinished(self, error: json.JSONDecodeError) -> object:
        if self._may_go_on(error):
            raise self._cut_short() from None
        raise self._damaged() from None


def _inner(record: object, *keys: str) -> object:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _number(value: object) -> int | None:
    """Read a number, bare or, as newer versions write it, as an object that says whether it is set."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _needed(value: object, what: str) -> int:
    number = _number(value)
    if number is None or number < 0:
        raise UnreadableError(f"{what} {shown(value)} is not a number.")
    return number


def _moment(value: object, what: str) -> int:
    moment = _needed(value, what)
    if not 0 < moment <= MOMENT_MAX:
        raise UnreadableError(f"{what} {moment} is no time.")
    return moment


def _word(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _states(record: object) -> list[str]:
    current = _inner(record, "state", "current")
    words = current if isinstance(current, list) else [current]
    if not words or not all(isinstance(word, str) for word in words):
        raise UnreadableError(f"{shown(current)} is no state of a job.")
    return [state_word(str(word)) for word in words]


def _allocated(record: object, kind: str) -> object:
    allocated = _inner(record, "tres", "allocated")
    for resource in allocated if isinstance(allocated, list) else []:
        if _inner(resource, "type") == kind:
            return _inner(resource, "count")
    return 0


def _judged(line: int, text: str, record: object) -> Job | Skipped:
    states = _states(record)
    job = _needed(_inner(record, "job_id"), "job_id")
    end = _number(_inner(record, "time", "end"))
    if not end or LIVE_STATES.intersection(states):
        return Skipped(line, NOT_ENDED)
    elapsed = _needed(_inner(record, "time", "elapsed"), "elapsed")
    start = _number(_inner(record, "time", "start"))
    node = _word(_inner(record, "nodes"))
    if not start or node == NO_NODE or not (node or _inner(record, "tres", "allocated")):
        if elapsed:
            raise UnreadableError(f"the job ran {elapsed} s, but without a start or a node.")
        return Skipped(line, NEVER_STARTED)
    run = Job(
        line=line,
        cluster=_word(_inner(record, "cluster"), _inner(record, "association", "cluster")),
        job=str(job),
        account=_word(_inner(record, "account"), _inner(record, "association", "account")),
        user=_word(_inner(record, "user"), _inner(record, "association", "user")),
        submit=_moment(_inner(record, "time", "submission"), "submission"),
        start=_moment(start, "start"),
        end=_moment(end, "end"),
        elapsed=elapsed,
        cores=_needed(_allocated(record, "cpu"), "the number of CPUs"),
        nodes=_number(_inner(record, "allocation_nodes")) or _needed(_allocated(record, "node"), "the number of nodes"),
        queue=_word(_inner(record, "partition")),
        state=states[0],
        text=text,
    )
    return checked(run, "UTC")


def _item(line: int, record: object) -> Item:
    """Return what one record is; its text is the record on one line, without its steps, which can be read again."""
    whole = {key: value for key, value in record.items() if key != "steps"} if isinstance(record, dict) else record
    text = json.dumps(whole, separators=(",", ":"))
    try:
        return _judged(line, text, record)
    except UnreadableError as error:
        return Rejected(line, str(error), text)


def _jobs(text: _Text) -> Iterator[Item]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        record = text.value()
        text.records += 1
        yield _item(text.records, record)
        if text.take(",]") == "]":
            return


def _document(text: _Text) -> Iterator[Item]:
    """Yield what one JSON object holds: what sacct --json wrote, or a single record."""
    others: dict[str, object] = {}
    listed = False
    text.take("{")
    while text.peek() != "}":
        key = text.value()
        text.take(":")
        if key == "jobs" and text.peek() == "[":
            listed = True
            yield from _jobs(text)
        else:
            others[str(key)] = text.value()
        if len(others) > KEYS_MAX:
            raise UsageError(_NO_JOBS)
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if "job_id" in others:
        text.records += 1
        yield _item(text.records, others)
    elif not listed and others.get("jobs", text) is not None:
        raise UsageError(_NO_JOBS)
    if errors := others.get("errors"):
        first = errors[0] if isinstance(errors, list) else errors
        told = _word(_inner(first, "description"), _inner(first, "error")) or first
        raise UsageError(f"sacct wrote the error {shown(told)} into the log: jobs may be missing; take it once more.")


def read_json(pieces: Iterable[bytes]) -> Iterator[Item]:
    """Yield what JSON of sacct holds, also several logs one after the other; line is the number of the record."""
    text = _Text(pieces)
    while text.peek():
        yield from _document(text)
