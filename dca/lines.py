"""Many commands in one stream: a JSON object a line in, its answer on a line out, grouped into few entries of the log.

Lines are taken as they come. When input pauses, or WINDOW lines wait, what waits is grouped by tenant and committed, a
thousand changes to an entry; each answer is written as soon as its line, and those before it, are committed or refused.
"""

import io
import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from dca.book import Book
from dca.commands.access import check_by_guard_anywhere
from dca.commands.arguments import convert, kinds, parameter
from dca.commands.table import Command, function
from dca.core.errors import DcaError, DeniedError, RefusedError, UsageError
from dca.core.model import key_id, tenant_stream
from dca.core.names import CHANGES_MAX, EXTENDED, LINE_BYTES_MAX, LINES_MAX, check_key, folded, is_name, shown
from dca.engine import Session, Surroundings, content_of, once
from dca.envelope import failure, render, success
from dca.store.schema import KEY

WINDOW = LINES_MAX
"""Lines that wait at most; as many as a dry run takes, which must see what the lines before would have changed."""
AT_ONCE = 900
"""Lines of one tenant that are decided at once."""
CHANGES_OF_A_LINE = 8
"""A line changes at most its tenant, two projects and their holds, its own record and its key."""
BLOCK_BYTES = 65_536
_NUMBERS = ("Seconds", "Count")
_REFUSALS = (RefusedError, UsageError)
"""What concerns a line; whatever else goes wrong ends the command."""
_OF_A_LINE = (*_REFUSALS, DeniedError)
"""The same while a line is decided: its project may be one on which the caller may not do this."""


class Line(NamedTuple):
    """A line that was understood."""

    number: int
    values: dict[str, Any]
    key: str
    content: str


def run_lines(
    surroundings: Surroundings, command: Command, file: str, write: Callable[[str], None], *, dry_run: bool
) -> bool:
    """Do what the lines of a file say and write the answers; return whether all succeeded."""
    work = _Lines(surroundings, command, write, dry_run=dry_run)
    guard = surroundings.store.guard()
    if guard is not None:
        check_by_guard_anywhere(guard, command)
    try:
        for window in _windows(file, whole=dry_run):
            work.take(window)
    except DcaError as error:
        if work.answered:
            error.broke_off(f"{work.answered} lines were answered, send the rest again", answered=work.answered)
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{work.answered} lines were answered, and stay as they are when sent again") from None
    return not work.failed


class _Lines:
    """A stream of lines at work: the answers that wait for those before them, and what was answered so far."""

    def __init__(
        self, surroundings: Surroundings, command: Command, write: Callable[[str], None], *, dry_run: bool
    ) -> None:
        self.surroundings = surroundings
        self.command = command
        self.work = function(command.does)
        self.needs = function(command.lines)
        self.write = write
        self.dry_run = dry_run
        self.session = Session(surroundings, command, dry_run=dry_run)
        self.shape = _Shape(command)
        self.answers: dict[int, str] = {}
        self.following = 1
        """Number of the line whose answer is to be written next."""
        self.answered = 0
        self.failed = 0

    def take(self, window: Sequence[tuple[int, bytes]]) -> None:
        """Do what some lines say."""
        self.session = Session(self.surroundings, self.command, dry_run=self.dry_run)
        lines = []
        for number, raw in window:
            try:
                lines.append(self.shape.line(number, raw))
            except UsageError as error:
                self._answer(number, failure(error))
        try:
            for owner, group in self._by_owner(lines).items():
                if owner:
                    self._do_group(owner, group)
                else:
                    self._do_strays(group)
                self._flush()
            self._flush()
        finally:
            self._flush(everything=True)

    def _by_owner(self, lines: Sequence[Line]) -> dict[str, list[Line]]:
        """Group lines by the tenant of their project; those of no project that is known under an empty name."""
        named = {line.values["project"] for line in lines}
        projects = sorted({folded(name) for name in named if is_name(name, EXTENDED)})
        found = self.session.ask(lambda book: book.reader.route(projects)) if projects else []
        owners = dict(zip(projects, found, strict=True))
        groups: dict[str, list[Line]] = {}
        for line in lines:
            groups.setdefault(owners.get(folded(line.values["project"]), ""), []).append(line)
        return groups

    def _do_group(self, owner: str, lines: list[Line]) -> None:
        """Do the lines of one tenant, entry by entry."""
        most = WINDOW if self.dry_run else AT_ONCE
        begin = 0
        while begin < len(lines):
            some = lines[begin : begin + most]
            try:
                answers = self._commit(partial(self._decide, owner=owner, lines=some), some)
            except RefusedError:  # more than one entry may hold
                if len(some) == 1:
                    raise
                most = len(some) // 2
                continue
            for line, answer in zip(some, answers, strict=False):
                if answer:
                    self._answer(line.number, answer)
                else:
                    self._do_strays([line])
            begin += len(answers)
            self._flush()

    def _do_strays(self, lines: Sequence[Line]) -> None:
        """Do lines one by one: most are of no project, which has to be found out by the command itself."""
        for line in lines:
            (answer,) = self._commit(partial(self._decide_stray, line=line), [line])
            self._answer(line.number, answer)

    def _commit(self, decide: Callable[[Book], list[dict[str, Any]]], lines: Sequence[Line]) -> list[dict[str, Any]]:
        details = f"from line {lines[0].number} of a file on"
        try:
            return self.session.commit(self.command.words, decide, details=details)
        except _REFUSALS:
            raise
        except DcaError as error:
            for line in lines:
                self._answer(line.number, failure(error))
            raise
        finally:
            self.session.previewed.clear()

    def _decide_stray(self, book: Book, line: Line) -> list[dict[str, Any]]:
        try:
            self.session.admit(book, line.values)
            book.choose(tenant_stream(book.owner(line.values["project"])))
            return [success(self._done(book, line))]
        except _OF_A_LINE as error:
            return [failure(error)]

    def _decide(self, book: Book, owner: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
        """Decide on as many lines of a tenant as fit into an entry; an empty answer for one that is not its any more."""
        book.choose(tenant_stream(owner))
        named = list({line.values["project"]: None for line in lines})
        owners = dict(zip(named, book.reader.route([folded(name) for name in named]), strict=True))
        keys = [key for line in lines for key in self.needs(owner, **line.values)]
        keys += [(KEY, key_id(book.stream, line.key)) for line in lines if line.key]
        book.reader.need(list(dict.fromkeys(keys)))
        answers: list[dict[str, Any]] = []
        for line in lines:
            if len(book.staged) + CHANGES_OF_A_LINE > CHANGES_MAX and not self.dry_run:
                break
            if owners[line.values["project"]] != owner:
                answers.append({})
                continue
            try:
                self.session.admit(book, line.values)
                answers.append(success(self._done(book, line)))
            except _OF_A_LINE as error:
                answers.append(failure(error))
        return answers

    def _done(self, book: Book, line: Line) -> dict[str, Any]:
        """Do what a line says, once if it has a key."""
        if line.key:
            return once(book, line.key, line.content, partial(self.work, **line.values))
        answer: dict[str, Any] = self.work(book, **line.values)
        return answer

    def _answer(self, number: int, answer: Mapping[str, Any]) -> None:
        self.failed += answer["status"] != "success"
        dry = {"dry_run": True} if self.dry_run else {}
        self.answers[number] = render({"line": number, **answer, **dry}, mini=True)

    def _flush(self, *, everything: bool = False) -> None:
        """Write the answers that are due: in order, so that none is written before those of the lines before it."""
        if everything:
            due = sorted(self.answers)
        else:
            due = []
            while self.following in self.answers:
                due.append(self.following)
                self.following += 1
        if due:
            text = "\n".join([self.answers.pop(number) for number in due])
            self.write(text)
            self.answered += len(due)


class _Shape:
    """What a line of a command may hold: a field for each option, under the option's name."""

    def __init__(self, command: Command) -> None:
        work = function(command.does)
        self.work = work
        self.kinds = {name: kind for name, kind in kinds(work).items() if name not in ("book", "return")}
        self.needed = list(self.kinds)[: len(self.kinds) - len(work.__defaults__)]
        self.command = command

    def line(self, number: int, raw: bytes) -> Line:
        """Understand a line; UsageError says why not."""
        given = _members(raw)
        key = given.pop("key", None)
        if key is not None:
            check_key(_text(key, "key"), "key")
        for name in given:
            if name not in self.kinds:
                raise UsageError(f"field {shown(name)} is not known; there are {', '.join([*self.kinds, 'key'])}.")
        for name in self.needed:
            if given.get(name) is None:
                raise UsageError(f"the line needs the field {name}.")
        texts = {f"--{name}": self._given(name, value) for name, value in given.items() if value is not None}
        values = convert(self.work, texts)
        return Line(number, values, key or "", content_of(self.command, values) if key else "")

    def _given(self, name: str, value: Any) -> str:
        """Return the value of a field as the option would have it: numbers may be numbers, all else is text."""
        if type(value) is int and (self.kinds[parameter(name)] in _NUMBERS or name == "start"):
            return str(value)
        return _text(value, name)


def _text(value: Any, name: str) -> str:
    if type(value) is not str:
        raise UsageError(f"field {name} does not hold a text, or a whole number where one is due.")
    return value


def _members(raw: bytes) -> dict[str, Any]:
    """Return what the JSON object on a line holds."""
    if len(raw) > LINE_BYTES_MAX:
        raise UsageError(f"the line is longer than {LINE_BYTES_MAX} bytes.")
    try:
        listed = _DECODE(raw.decode())
    except UnicodeDecodeError:
        raise UsageError("the line is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise UsageError("the line is no JSON.") from None
    if not isinstance(listed, _Members):
        raise UsageError("the line is no JSON object.")
    members = dict(listed)
    if len(members) != len(listed):
        raise UsageError("the line holds a field twice.")
    return members


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, as they stand there."""


_DECODE = json.JSONDecoder(object_pairs_hook=_Members).decode


def _windows(file: str, *, whole: bool) -> Iterator[list[tuple[int, bytes]]]:
    """Yield lines with their numbers: all that came before input paused or ended, but no more than wait at most."""
    window: list[tuple[int, bytes]] = []
    number, rest = 0, b""
    with _opened(file) as source:
        while True:
            if window and not whole and source.pauses():
                yield window
                window = []
            data = source.read()
            pieces = (rest + data).split(b"\n") if data else [rest, b""] if rest else []
            rest = pieces.pop()[: LINE_BYTES_MAX + 1] if pieces else b""
            for piece in pieces:
                if len(window) == WINDOW:
                    if whole:
                        raise UsageError(f"a dry run takes at most {WINDOW} lines.")
                    yield window
                    window = []
                number += 1
                window.append((number, piece.removeprefix(b"\xef\xbb\xbf") if number == 1 else piece))
            if not data:
                break
    if window:
        yield window


class _Source:
    """A file, or standard input, that tells whether it has anything to read just now."""

    def __init__(self, name: str, stream: io.BufferedIOBase) -> None:
        self._name, self._stream = name, stream
        try:
            self._handle: int | None = stream.fileno()
        except OSError:  # a stream that stands for one
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._name != "-":
            self._stream.close()

    def pauses(self) -> bool:
        """Tell whether nothing can be read just now; the end of the input can."""
        return self._handle is not None and not select.select([self._handle], [], [], 0)[0]

    def read(self) -> bytes:
        """Return what there is, at most a block; nothing at the end."""
        try:
            return os.read(self._handle, BLOCK_BYTES) if self._handle is not None else self._stream.read(BLOCK_BYTES)
        except OSError as error:
            raise _unusable(self._name, error) from None


def _opened(file: str) -> _Source:
    if file == "-":
        if sys.stdin is None:
            raise UsageError("standard input is closed; name a file, or give the lines to standard input.")
        return _Source(file, sys.stdin.buffer)  # type: ignore[arg-type]  # read and fileno are all that is used
    try:
        return _Source(file, Path(file).open("rb", buffering=0))  # type: ignore[arg-type]  # the same
    except OSError as error:
        raise _unusable(file, error) from None
    except ValueError:
        raise UsageError(f"--file {shown(file)} is no file's name.") from None


def _unusable(file: str, error: OSError) -> UsageError:
    what = "standard input" if file == "-" else shown(file)
    return UsageError(f"{what} cannot be used: {error.strerror or error}.")
