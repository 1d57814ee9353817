"""The command line: find the command, parse its options, run the engine, print the answer, return the exit status."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dca import __version__

if TYPE_CHECKING:
    from dca.commands.table import Command
    from dca.core.errors import DcaError
    from dca.engine import Surroundings

WAIT_SECONDS_MAX = 86_400.0
INTERRUPTED = 130
BAR_WIDTH = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run dca with the arguments given, or those of the process; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _fill_closed_streams()
        if "--version" in words and not {*words} - {"--version", "-m", "--mini"}:  # before anything else is imported
            _write(f"dca {__version__}")
            return 0
        return _main(words)
    except KeyboardInterrupt as interrupt:
        done = str(interrupt) or "what was committed stays, nothing is half done"
        _aside(f"interrupted; {done}\n")
        return INTERRUPTED
    except _UnwrittenError as unwritten:
        return _unanswered(unwritten.reason)


class _UnwrittenError(Exception):
    """The answer could not be written to standard output."""

    def __init__(self, reason: OSError) -> None:
        super().__init__()
        self.reason = reason


def _unanswered(error: OSError) -> int:
    """Say that the answer could not be written; whoever waits for it must ask for the outcome."""
    import contextlib

    from dca.core.errors import OutcomeUnknownError

    with contextlib.suppress(OSError):
        sys.stdout.close()  # what is left in it would be tried again, and fail, at the end of the process
    if not isinstance(error, BrokenPipeError):
        _aside(f"dca: the answer cannot be written ({error.strerror}); what was committed stays.\n")
    return OutcomeUnknownError.exit_status


def _aside(text: str) -> None:
    """Write to stderr; that it cannot be written must not keep a command from its work."""
    import contextlib

    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def setup_main() -> int:
    """Run dca_setup: dca setup under its old name."""
    words = sys.argv[1:]
    return main(words if words == ["--version"] else ["setup", *words])


def _main(words: list[str]) -> int:
    from dca.core.errors import DcaError

    form = _Form.of(words)
    try:
        return _run(words, form)
    except DcaError as error:
        return form.fail(error)
    except RecursionError:
        from dca.core.errors import UsageError

        return form.fail(UsageError("the input is nested too deeply to be read."))
    except (AssertionError, OverflowError) as error:
        return form.fail(_damage(error))
    except OSError as error:
        from dca.core.errors import UnreachableError
        from dca.core.names import shown

        what = f" for {shown(error.filename)}" if error.filename else ""
        return form.fail(UnreachableError(f"the system says{what}: {error.strerror or type(error).__name__}."))


def _damage(error: Exception) -> "DcaError":
    """Say that records do not fit together: somebody changed them beside dca, or dca made a mistake."""
    from dca.core.errors import DamagedError

    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}" if trace else "an unknown place"
    return DamagedError(
        f"the books hold what dca cannot have written (found at {place}); restore them from a backup if somebody changed "
        "them beside dca, and report this otherwise."
    )


def _fill_closed_streams() -> None:
    """Open nothing in the place of standard streams that are closed, so that no file of the books gets their number."""
    import os

    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 -- stays open


class _Form:
    """How the answer is to be printed."""

    def __init__(self, name: str, *, mini: bool) -> None:
        self.name = name
        self.mini = mini

    @classmethod
    def of(cls, words: Sequence[str]) -> "_Form":
        """Find the form among the words before they are parsed, so that mistakes are told in it, too."""
        name = "json"
        for word, following in zip(words, [*words[1:], ""], strict=False):
            if word == "--":
                break
            if word == "--format":
                name = following
            elif word.startswith("--format="):
                name = word.removeprefix("--format=")
        known = name if name in ("json", "table", "csv") else "json"
        return cls(known, mini="-m" in words or "--mini" in words)

    def show(
        self, envelope: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] | None, columns: Sequence[str] = ()
    ) -> None:
        from dca import envelope as shape

        if self.name == "table":
            text = shape.table(envelope, rows, columns)
        elif self.name == "csv" and envelope["status"] == "success":
            text = shape.csv(envelope, rows, columns)
        else:
            text = shape.render(envelope, mini=self.mini)
        _write(text)

    def fail(self, error: "DcaError") -> int:
        from dca import envelope as shape

        self.show(shape.failure(error), None)
        if self.name != "json":
            _tell(error.sentence)
        return error.exit_status


def _write(text: str) -> None:
    data = (text + "\n").encode("utf-8", "backslashreplace")
    try:
        sys.stdout.flush()
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data.decode())
        sys.stdout.flush()
    except OSError as error:
        raise _UnwrittenError(error) from None


def _run(words: list[str], form: _Form) -> int:
    from dca.commands.table import BY_WORDS

    places = _places(words)
    plain = [words[place] for place in places]
    if not plain or plain[0] == "help":
        _refuse_options(words)
        return _help(plain[1:])
    command = BY_WORDS.get(" ".join(plain[:2])) or BY_WORDS.get(plain[0])
    if command is None:
        raise _unknown(plain)
    if "-h" in words or "--help" in words:
        return _help(command.words.split())
    leading = places[: len(command.words.split())]
    given = _parse(command, [word for place, word in enumerate(words) if place not in leading])
    return _execute(command, given, form)


def _places(words: Sequence[str]) -> list[int]:
    """Return which words are neither options nor the values of options; the first ones name the command."""
    import re

    from dca.commands.table import COMMANDS, options_of

    texts = (text for command in COMMANDS for text in (command.usage, *(option for option, _ in options_of(command))))
    valued = {name for text in texts for name in re.findall(r"(--[a-z_-]+)=<", text)}
    return [
        place
        for place, word in enumerate(words)
        if not word.startswith("-") and not (place and words[place - 1] in valued)
    ]


def _refuse_options(words: Sequence[str]) -> None:
    """Refuse options where only help is asked for."""
    from dca.core.errors import UsageError
    from dca.core.names import shown

    for word in words:
        if word.startswith("-") and word not in ("-m", "--mini", "-h", "--help"):
            raise UsageError(f"option {shown(word)} is not known; dca help shows the commands and their options.")


def _unknown(plain: Sequence[str]) -> "DcaError":
    from difflib import get_close_matches

    from dca.commands.table import BY_WORDS
    from dca.core.errors import UsageError
    from dca.core.names import shown

    tried = " ".join(plain[:2])
    group = [words for words in BY_WORDS if words.split()[0] == plain[0]]
    close = get_close_matches(tried, BY_WORDS, n=1, cutoff=0.6) or get_close_matches(
        plain[0], BY_WORDS, n=1, cutoff=0.6
    )
    if close and not (group and len(plain) == 1):
        return UsageError(f"there is no command {shown(tried)}; did you mean dca {close[0]}?")
    if group:
        return UsageError(
            f"there is no command {shown(tried)}; there {'is' if len(group) == 1 else 'are'} "
            f"{', '.join('dca ' + words for words in group)}."
        )
    return UsageError(f"there is no command {shown(tried)}; dca help shows them all.")


def usage(command: "Command") -> str:
    """Return the text that docopt reads: the usage line and the options every such command takes."""
    from dca.commands.table import options_of

    lines = "\n".join(f"  {option.replace(' --', ', --')}  {meaning}" for option, meaning in options_of(command))
    pattern = command.usage.replace("[-y]", "").strip()
    return f"Usage:\n  dca {pattern} [options]\n\nOptions:\n{lines}\n"


def _options(command: "Command") -> dict[str, bool]:
    """Return the long options that a command knows, and whether each takes a value."""
    import re

    found = {name: bool(value) for name, value in re.findall(r"(--[a-z_-]+)(=<)?", usage(command))}
    found.pop("--", None)
    return found


def _parse(command: "Command", words: list[str]) -> dict[str, Any]:
    """Parse the options of a command; a mistake is told by the option it concerns."""
    import docopt

    from dca.core.errors import UsageError

    known = _options(command)
    given = _check_options(command, words, known)
    try:
        parsed = docopt.docopt(usage(command), argv=words, default_help=False)
    except docopt.DocoptExit:
        raise _mistake(command, given, known) from None
    except docopt.DocoptLanguageError:
        raise UsageError(f"not understood; usage: dca {command.words} {command.usage}") from None
    return {name: value for name, value in parsed.items() if value not in (None, False)}


def _check_options(command: "Command", words: Sequence[str], known: Mapping[str, bool]) -> list[str]:
    """Refuse options that are unknown, shortened, given twice or without their value; return those given."""
    from dca.core.errors import UsageError
    from dca.core.names import shown

    given: list[str] = []
    expecting = ""
    for word in words:
        if expecting:
            expecting = ""
            continue
        name, equals, _ = word.partition("=")
        if word == "--":
            break
        if not name.startswith("--"):
            if name.startswith("-") and word not in ("-m", "-h", "-") and not (word == "-y" and "--yes" in known):
                raise UsageError(f"option {shown(word)} is not known; dca help {command.words} shows the options.")
            continue
        if name not in known:
            raise _unknown_option(command, name, known)
        if name in given:
            raise UsageError(f"option {name} is given twice.")
        if equals and not known[name]:
            raise UsageError(f"option {name} takes no value.")
        given.append(name)
        expecting = name if known[name] and not equals else ""
    if expecting:
        raise UsageError(f"option {expecting} needs a value: {expecting}=<value>.")
    return given


def _unknown_option(command: "Command", name: str, known: Mapping[str, bool]) -> "DcaError":
    from difflib import get_close_matches

    from dca.core.errors import UsageError
    from dca.core.names import shown

    longer = [option for option in known if option.startswith(name)] if len(name) > len("--") else []
    close = longer or get_close_matches(name, known, n=1, cutoff=0.6)
    if longer:
        return UsageError(f"option {shown(name)} is not known; write it out: {' or '.join(longer)}.")
    if close:
        return UsageError(f"option {shown(name)} is not known; did you mean {close[0]}?")
    return UsageError(f"option {shown(name)} is not known; dca help {command.words} shows the options.")


def _mistake(command: "Command", given: Sequence[str], known: Mapping[str, bool]) -> "DcaError":
    """Say what a command lacks that docopt did not accept."""
    import re

    from dca.core.errors import UsageError

    line = f"usage: dca {command.words} {command.usage}".rstrip()
    needed = re.sub(r"\[[^\]]*\]", "", command.usage)
    if "--file" not in given:
        needed = re.sub(r"\(--file=<file> \| (.*)\)", r"\1", needed)
    if "|" not in needed:
        missing = [option for option in known if option in needed and option not in given]
        if missing:
            return UsageError(f"dca {command.words} needs {missing[0]}; {line}")
        if "FILE" in needed:
            from dca.commands.table import BY_WORDS

            dash = ", or -" if command.words == "job import" else ""
            further = [f"; there is dca {words}, too" for words in BY_WORDS if words.startswith(f"{command.words} ")]
            return UsageError(f"dca {command.words} needs the name of one file{dash}{''.join(further)}; {line}")
    return UsageError(f"these words do not fit together; {line}")


def _execute(command: "Command", given: dict[str, Any], form: _Form) -> int:
    from dca import envelope as shape
    from dca.bootstrap import environment, surroundings
    from dca.commands.table import OPTIONS_OF_ALL, function
    from dca.core.errors import UsageError
    from dca.core.names import shown
    from dca.engine import run

    if given.get("--format", "json") not in shape.FORMATS:
        raise UsageError(f"--format {shown(given['--format'])} is not known; write {', '.join(shape.FORMATS)}.")
    of_all = {option.split()[-1].partition("=")[0] for option, _ in OPTIONS_OF_ALL}
    own = {name: value for name, value in given.items() if name not in of_all | {"--dry-run", "--key", "--yes", "-y"}}
    around = surroundings(
        environment(),
        wait_seconds=_seconds(given.get("--wait", "30")),
        confirm=_asker(yes=bool(given.get("--yes")), dry_run=bool(given.get("--dry-run"))),
        secret=_ask_secret,
        progress=_progress(),
        tell=_tell,
        setting_up=command.words == "setup",
    )
    if command.lines and "--file" in given:
        form.mini = True
        return _execute_lines(around, command, given)
    try:
        answer = run(around, command, own, key=given.get("--key"), dry_run=bool(given.get("--dry-run")))
    finally:
        around.store.close()
    rows = function(command.rows)(answer) if command.rows and form.name != "json" else None
    form.show(shape.success(answer), rows, command.columns.split())
    return 0


def _execute_lines(around: "Surroundings", command: "Command", given: Mapping[str, Any]) -> int:
    """Run a command once for each line of a file; 1 if any of them failed."""
    from dca.core.errors import UsageError
    from dca.lines import run_lines

    if "--key" in given:
        raise UsageError('--key does not go with --file; give each line its own: {..., "key": "..."}.')
    if given.get("--format", "json") != "json":
        raise UsageError(
            f"--format {given['--format']} does not go with --file: each line is answered by a line of JSON."
        )
    try:
        return 0 if run_lines(around, command, given["--file"], _write, dry_run="--dry-run" in given) else 1
    finally:
        around.store.close()


def _tell(text: str) -> None:
    _aside(f"dca: {text}\n")


def _seconds(text: str) -> float:
    import re

    from dca.core.errors import UsageError
    from dca.core.names import shown

    seconds = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else -1.0
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise UsageError(f"--wait {shown(text)} is not a number of seconds between 0 and {WAIT_SECONDS_MAX:g}.")
    return seconds


def _ask_secret(question: str) -> str:
    """Ask for a secret: twice and unseen at a terminal, else the first line of standard input."""
    from dca.core.errors import AbortedError, UsageError

    if sys.stdin is None:
        return ""
    if not sys.stdin.isatty():
        try:
            secret = sys.stdin.readline().rstrip("\r\n")
            secret.encode()  # another locale takes bytes that are none, and Elasticsearch would keep ? in their place
        except (OSError, ValueError):
            raise UsageError("standard input cannot be read as UTF-8; write the password on its first line.") from None
        return secret
    from getpass import getpass

    try:
        secret = getpass(f"{question}: ")
        again = getpass("The same again: ")
    except EOFError:
        raise AbortedError("no password was typed; nothing was changed.") from None
    if secret != again:
        raise AbortedError("the two passwords are not the same; nothing was changed.")
    return secret


def _asker(*, yes: bool, dry_run: bool) -> Callable[[str], None]:
    from dca.core.errors import AbortedError

    def ask(question: str) -> None:
        if yes or dry_run:
            return
        _aside(f"{question} [y/N] ")
        try:
            answer = sys.stdin.readline() if sys.stdin is not None else ""
        except (OSError, ValueError):
            answer = ""
        if sys.stdin is None or not (answer.endswith("\n") and sys.stdin.isatty()):
            _aside("\n")  # nobody has ended the line of the question by typing
        if answer.strip() not in ("y", "Y"):
            raise AbortedError("not confirmed; nothing was changed (answer y, or give -y).")

    return ask


def _progress() -> Callable[[int, int], None]:
    from dca.bootstrap import on_terminal

    if not on_terminal():
        return lambda done, total: None
    shown = [-1]

    def bar(done: int, total: int) -> None:
        step = done * BAR_WIDTH // total if total else done >> 20
        if step == shown[0]:
            return
        shown[0] = step
        filled = "#" * step if total else ""
        text = f"[{filled:<{BAR_WIDTH}}] {100 * done // total:3d} %" if total else f"{done >> 20} MiB read"
        _aside(f"\r{text}" + ("\n" if total and done >= total else ""))

    return bar


def _help(plain: Sequence[str]) -> int:
    """Print what dca or one of its commands does."""
    from dca.commands.table import BY_WORDS, COMMANDS

    words = " ".join(plain[:2])
    if words in BY_WORDS:
        _write(help_text(BY_WORDS[words]))
        return 0
    chosen = [command for command in COMMANDS if command.words.split()[: len(plain)] == list(plain)]
    if not chosen:
        raise _unknown(plain)
    lines = [f"dca {command.words} {command.usage}".rstrip() for command in chosen]
    head = "dca, Distributed Computing Accounting: the books of a computing centre.\n\nCommands:\n  "
    tail = "\n\ndca help <words> explains a command, dca --version tells the version."
    _write(head + "\n  ".join(lines) + tail)
    return 0


def help_text(command: "Command") -> str:
    """Return the help of a command: usage, what it does, and its options."""
    from inspect import getdoc

    from dca.commands.table import function, options_of

    options = options_of(command)
    width = max(len(option) for option, _ in options)
    listed = "\n".join(f"  {option:<{width}}  {meaning}" for option, meaning in options)
    does = getdoc(function(command.does)) or ""
    return f"dca {command.words} {command.usage}".rstrip() + f"\n\n{does}\n\nOptions of every such command:\n{listed}"
