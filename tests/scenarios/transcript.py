"""Transcripts: plain text files that show dca at work, and how they are read, run and compared with what happens.

    # A first line that says what the transcript shows.
    $ dca tenant add --tenant=acme -m
    {"status":"success","error":"no error","tenant":{"name":"acme",...}}

    $ dca tenant add --tenant=acme --format=table
    2> dca: tenant acme exists already (enabled); names are never used twice.
    failed: ...
    [1]

Below a command stands what it answers: `2> ` before what goes to standard error, `[status]` where the exit status is not 0.
`...` stands for anything within a line, and alone on a line for any lines. `<time>` and the other words of PATTERNS stand for
what differs from run to run; `<batch:first>` also keeps what stood there under that name, for later answers and commands.

`<yesterday>` and `<tomorrow>` are days of UTC: in a site's zone it may be that day already, so what must lie ahead is
`<future>`. A time that is a whole second is shown without milliseconds, so the rule above a column of them ends `---...`.

Beside `dca` and `dca_setup` a transcript can `cat` files (`cat > FILE` takes the `> ` lines below it) and `cp slurm/FILE` logs
of a real Slurm into its folder; it can put variables before a command, pipe `echo TEXT |` into it, and read from
`< FILE` or, closed, `<&-`.
"""

from __future__ import annotations

import re
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from dca.commands.table import BY_WORDS, Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.cli.shell import Result, Shell

PATTERNS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z",
    "date": r"\d{4}-\d\d-\d\d",
    "hash": r"[0-9a-f]{64}",
    "digest": r"[0-9a-f]{32}",
    "commit": r"[0-9a-f]{24}",
    "batch": r"\d{8}T\d{6}-[0-9a-f]{8}",
    "mark": r"[A-Za-z0-9_-]+",
    "author": r'(?:"author":"[^"]+",)?',
}
"""What differs from run to run: its name in transcripts, and what it looks like."""

PROGRAMS = ("dca", "dca_setup")

_PLACE = re.compile(r"<([a-z]+)((?::[a-z0-9]+)?)>")
_SETTING = re.compile(r"(DCA_[A-Z]+|HOME)=.*")


class Step(NamedTuple):
    """One command of a transcript, with what it is to answer."""

    line: int
    command: str
    document: str
    """What stands in `> ` lines below it."""
    expected: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """Return the words of the command as a shell would see them."""
        return shlex.split(self.command)

    @property
    def succeeds(self) -> bool:
        """Tell whether the command is to succeed."""
        return not re.fullmatch(r"\[\d+\]", self.expected[-1] if self.expected else "")

    @property
    def may_change(self) -> bool:
        """Tell whether it may change the books: a changing command that is to succeed, perhaps in part, and is no dry run."""
        command = command_of(self.words)
        if command is None or not command.changes or "--dry-run" in self.words:
            return False
        in_part = self.expected[-1:] == ("[1]",) and any(word.startswith("--file=") for word in self.words)
        return self.succeeds or in_part


class Transcript(NamedTuple):
    """A file of commands and answers."""

    path: Path
    title: str
    steps: tuple[Step, ...]

    @property
    def stores(self) -> tuple[str, ...]:
        """Return the stores it runs on: all, unless its name ends with that of one."""
        ending = self.path.stem.rpartition(".")[2]
        return (ending,) if ending in STORES else STORES


STORES = ("sqlite", "elasticsearch")


def read(path: Path) -> Transcript:
    """Read a transcript."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines, f"{path} is empty"
    assert lines[0].startswith("# "), f"the first line of {path} does not say what it shows"
    steps: list[Step] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("$ "):
            steps.append(Step(number, line.removeprefix("$ "), "", ()))
        elif line.startswith("> ") and steps and not steps[-1].expected:
            steps[-1] = steps[-1]._replace(document=f"{steps[-1].document}{line.removeprefix('> ')}\n")
        elif not line.startswith("#") and steps:
            steps[-1] = steps[-1]._replace(expected=(*steps[-1].expected, line))
    return Transcript(path, lines[0].removeprefix("# "), tuple(map(_trimmed, steps)))


def _trimmed(step: Step) -> Step:
    expected = list(step.expected)
    while expected and not expected[-1]:
        expected.pop()
    return step._replace(expected=tuple(expected))


def command_of(words: list[str]) -> Command | None:
    """Return the row of the table that a step runs."""
    call = [word for word in words[_begin(words) :] if not word.startswith("-")]
    if call[:1] == ["dca_setup"]:
        return BY_WORDS["setup"]
    if call[:1] != ["dca"] or call[1:2] == ["help"]:
        return None
    return BY_WORDS.get(" ".join(call[1:3])) or BY_WORDS.get(" ".join(call[1:2]))


def _begin(words: list[str]) -> int:
    """Return where among the words the program stands."""
    begin = words.index("|") + 1 if "|" in words else 0
    while _SETTING.fullmatch(words[begin]):
        begin += 1
    return begin


class Run:
    """A transcript at work in a shell."""

    def __init__(self, shell: Shell, slurm: Path) -> None:
        """Begin in a shell's folder; logs of Slurm are copied from the other one."""
        self.shell = shell
        self.kept: dict[str, str] = {}
        today = datetime.now(UTC)
        self.given = {
            "folder": str(shell.folder),
            "store": shell.place,
            "actor": shell.actor,
            "yesterday": f"{today - timedelta(days=1):%Y-%m-%d}",
            "tomorrow": f"{today + timedelta(days=1):%Y-%m-%d}",
            "future": f"{today + timedelta(days=7):%Y-%m-%d}",
        }
        address = urlsplit(shell.store)
        if address.hostname:
            self.given |= {"host": f"{address.hostname}:{address.port}", "prefix": address.path.strip("/")}
        self.slurm = slurm

    def play(self, transcript: Transcript) -> None:
        """Run all steps; the first that answers otherwise than expected, or breaks a rule, fails the test."""
        before = None
        for step in transcript.steps:
            if step.may_change:
                before = None
            elif before is None:
                before = self.shell.state()
            answered, _ = self.do(step)
            place = f"{transcript.path.name}, line {step.line}: {step.command}"
            assert self.matches(step, answered), f"{place}\n{self.difference(step, answered)}"
            if before is not None:
                after = self.shell.state()
                assert after == before, f"{place}\nchanged the books, which it must not\n{_changes(before, after)}"

    def do(self, step: Step) -> tuple[list[str], Result | None]:
        """Carry out a step; return the lines it answers."""
        words = [self._filled(word) for word in step.words]
        if words[0] == "cp":
            shutil.copyfile(self.slurm / words[1].removeprefix("slurm/"), self.shell.folder / words[2])
            return [], None
        if words[:2] == ["cat", ">"]:
            (self.shell.folder / words[2]).write_text(step.document, encoding="utf-8")
            return [], None
        if words[0] == "cat":
            return (self.shell.folder / words[1]).read_text(encoding="utf-8").splitlines(), None
        result = self._dca(words)
        return _lines(result), result

    def _dca(self, words: list[str]) -> Result:
        stdin: bytes | None = b""
        begin = _begin(words)
        settings = dict(word.split("=", 1) for word in words[words.index("|") + 1 if "|" in words else 0 : begin])
        if "|" in words:
            assert words[0] == "echo", words
            stdin = (" ".join(words[1 : words.index("|")]) + "\n").encode()
        program, *call = words[begin:]
        assert program in PROGRAMS, f"{program} is not one of {', '.join(PROGRAMS)}"
        if call[-1:] == ["<&-"]:
            call, stdin = call[:-1], None
        elif call[-2:-1] == ["<"]:
            stdin = (self.shell.folder / call[-1]).read_bytes()
            call = call[:-2]
        return self.shell.run(*call, stdin=stdin, environment=settings, program=program)

    def _filled(self, text: str) -> str:
        """Put what was kept or given into the places of a command."""

        def value(place: re.Match[str]) -> str:
            name = "".join(place.groups())
            return self.given.get(name) or self.kept.get(name) or place.group()

        return _PLACE.sub(value, text)

    def matches(self, step: Step, answered: list[str]) -> bool:
        """Compare an answer with what is expected, and keep what stands in the named places."""
        found = re.fullmatch(self._pattern(step.expected), "".join(f"{line}\n" for line in answered))
        if found is None:
            return False
        self.kept |= {name.replace("_", ":"): text for name, text in found.groupdict().items()}
        return True

    def _pattern(self, expected: tuple[str, ...]) -> str:
        named: set[str] = set()
        return "".join(r"(?:.*\n)*?" if line == "..." else self._line(line, named) + r"\n" for line in expected)

    def _line(self, line: str, named: set[str]) -> str:
        pattern, end = "", 0
        for place in _PLACE.finditer(line):
            pattern += _plain(line[end : place.start()]) + self._place(place, named)
            end = place.end()
        return pattern + _plain(line[end:])

    def _place(self, place: re.Match[str], named: set[str]) -> str:
        kind, name = place.group(1), "".join(place.groups())
        if name in self.given:
            return re.escape(self.given[name])
        if kind not in PATTERNS:
            return re.escape(place.group())
        if name == kind:
            return rf"(?:{PATTERNS[kind]}|<{kind}>)"  # usage lines hold the like of <time>, too
        if name in self.kept:
            return re.escape(self.kept[name])
        group = name.replace(":", "_")
        if group in named:
            return f"(?P={group})"
        named.add(group)
        return f"(?P<{group}>{PATTERNS[kind]})"

    def difference(self, step: Step, answered: list[str]) -> str:
        """Show how an answer differs from what is expected; lines that fit are shown as expected."""
        shown = []
        for line in answered:
            fitting = (one for one in step.expected if one != "..." and re.fullmatch(self._line(one, set()), line))
            shown.append(next(fitting, line))
        return "\n".join(unified_diff(list(step.expected), shown, "expected", "answered", lineterm="", n=100))


def _plain(text: str) -> str:
    return ".*".join(map(re.escape, text.split("...")))


def _lines(result: Result) -> list[str]:
    status = [f"[{result.status}]"] if result.status else []
    return [*(f"2> {line.rstrip()}" for line in result.err.splitlines()), *result.out.rstrip().splitlines(), *status]


def _changes(before: str, after: str) -> str:
    return "\n".join(unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=0))


def options_shown(transcript: Transcript) -> Iterator[tuple[Command, str]]:
    """Yield each command that succeeds in a transcript with each option it is given; '' for the command itself."""
    for step in transcript.steps:
        words = step.words
        command = command_of(words)
        if command is None or not step.succeeds:
            continue
        yield command, ""
        for word in words[_begin(words) :]:
            if word.startswith("-") and word not in ("-", "--"):
                yield command, word.partition("=")[0]


def normalised(text: str, given: Mapping[str, str], kept: Mapping[str, str]) -> str:
    """Put the names of PATTERNS into an answer where they surely stand."""
    for name in ("store", "folder", "prefix", "host"):
        text = text.replace(given.get(name, "\0"), f"<{name}>")
    text = re.sub(rf"(?<![\w-]){re.escape(given['actor'])}(?![\w-])", "<actor>", text)
    for name, value in kept.items():
        text = text.replace(value, f"<{name}>")
    for name in ("time", "batch", "hash", "digest", "commit"):
        text = re.sub(rf"(?<![\w-]){PATTERNS[name]}(?![\w-])", partial(_place_of, name), text)
    return text


def _place_of(name: str, found: re.Match[str]) -> str:
    """Return the place for what was found; what is of long ago is the transcript's own and stays."""
    digits = re.sub(r"\D", "", found.group())[:8]
    old = name in ("time", "batch") and digits < f"{datetime.now(UTC) - timedelta(days=1):%Y%m%d}"
    return found.group() if old else f"<{name}>"
