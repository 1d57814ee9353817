"""The contract of every command: one JSON object, its shape, exit statuses, and how options are written."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from dca.commands.table import BY_WORDS, COMMANDS, Command, options_of
from tests.cli import calls, checks
from tests.cli.calls import CALLS, Call, filled, place, required, takes

if TYPE_CHECKING:
    from tests.cli.conftest import Model
    from tests.cli.shell import Shell

ANSWERS = {
    "tenant add": {"tenant"},
    "tenant disable": {"tenant"},
    "tenant modify": {"tenant"},
    "tenant payment": {"payment", "tenant"},
    "project add": {"project"},
    "project disable": {"project"},
    "project movebudget": {"from", "to"},
    "project show": {"project", "needs", "as_of"},
    "user add": {"project", "user", "state"},
    "user delete": {"project", "user", "state"},
    "list": {"list", "as_of"},
    "rate set": {"rate"},
    "rate get": {"rate", "history", "as_of"},
    "transaction reservebudget": {"hold", "project"},
    "transaction charge": {"transaction", "project"},
    "transaction release": {"hold", "released", "amount", "holds"},
    "transaction holds": {"holds", "total", "next", "as_of"},
    "transaction list": {"transactions", "next"},
    "bill generate": {
        "tenant", "project", "from", "to", "zone", "bill", "total_hours", "total_cost", "bbalance", "payments", "ebalance",
    },
    "job import": {
        "batch", "cluster", "timezone", "unit", "read", "charged", "known", "changed", "skipped", "rejected",
        "total_hours", "total_cost", "projects", "changed_jobs", "rejects", "rejected_records", "warning",
    },
    "job undo": {"batch", "undone", "known", "cost"},
    "log list": {"log", "next"},
    "doctor": {"store", "found", "checks"},
    "log show": {"entry", "changes", "records", "next", "as_of"},
    "backup": {"backup"},
    "backup check": {"backup", "notes"},
    "restore": {"restored"},
    "store copy": {"copied"},
    "bench": {"store", "program", "processors", "load", "jobs", "rounds", "rows"},
    "log verify": {"streams", "entries", "changes", "records", "payments", "heads", "damage", "notes", "checkpoint"},
    "log checkpoint": {"checkpoint"},
    "log repair": {"repair", "left"},
    "role list": {"roles"},
    "role show": {"role"},
    "role install": {"roles", "done"},
    "role create": {"role"},
    "role modify": {"role", "done"},
    "role delete": {"role", "done"},
    "role grant": {"login", "roles", "done"},
    "role revoke": {"login", "roles", "done"},
    "login add": {"login", "roles", "done"},
    "login disable": {"login", "state", "roles", "done"},
    "login delete": {"login", "state", "roles", "done"},
    "login password": {"login"},
    "login list": {"logins"},
    "login key": {"login", "id", "name", "api_key", "expires", "revoked"},
    "whoami": {"store", "login", "decides", "root", "roles", "may", "disabled", "pending"},
    "config show": {"config"},
    "setup": {"store", "done", "site", "warning"},
}  # fmt: skip
"""The keys that the answer of each command may have beside status and error."""

CHANGING = [command for command in COMMANDS if command.changes]
ANYWHERE = ("config show", "backup check", "log verify", "bench", "whoami")
"""Commands that need no books, at least not as they are called here."""
READING = [call for call in CALLS if not call.command.changes and call.command.words not in ANYWHERE]

by_words = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join([call.command.words, *call.options]))


def test_every_option_is_called() -> None:
    """A new command or option needs a good call here, or the tests below would pass it by."""
    assert calls.uncalled() == {}


@each_call
def test_success(call: Call, books: Shell, model: Model) -> None:
    """A good call succeeds: status, error and the command's own keys, on standard output and nowhere else."""
    result = place(call, books).run(*filled(call, model.places).words(), "-m")
    answer = checks.success(result)
    assert answer.keys() - {"status", "error"} <= ANSWERS[call.command.words]
    assert result.out.count("\n") == 1
    makes = call.command.words in ("setup", "restore", "store copy")
    assert result.err == "" or makes, "a success has nothing more to say"


@each_call
def test_apart_or_together(call: Call, books: Shell, model: Model) -> None:
    """--option value and --option=value are the same."""
    books, good = place(call, books), filled(call, model.places)
    dry = ["--dry-run"] if call.command.changes else []
    together = checks.success(books.run(*good.words(), *dry))
    apart = checks.success(books.run(*good.words(apart=True), *dry))
    assert list(map(steady, (apart,))) == list(map(steady, (together,)))


def steady(value: Any) -> Any:
    """Return an answer without what differs from run to run: times, batches, room on the disk, digests, figures."""
    if isinstance(value, dict):
        value = {name: one for name, one in value.items() if "floor" not in value or type(one) is str}
        return {name: steady(one) for name, one in value.items() if name not in ("bytes", "sha256", "content", "load")}
    if isinstance(value, list):
        return [steady(one) for one in value]
    if isinstance(value, str):
        return re.sub(r"\d{4}-?\d\d-?\d\dT[\d:.]+(Z|-[0-9a-f]{8})|[\d.]+ [KMGT]iB free", "@", value)
    return value


@each_call
def test_mini_anywhere(call: Call, books: Shell, model: Model) -> None:
    """-m and --mini stand anywhere, and change the form of the answer and nothing in it."""
    books, words = place(call, books), filled(call, model.places).words()
    dry = ["--dry-run"] if call.command.changes else []
    pretty = books.run(*words, *dry)
    for flag in ("-m", "--mini"):
        for number in range(len(words) + 1):
            result = books.run(*words[:number], flag, *words[number:], *dry)
            assert result.out.count("\n") == 1
            assert steady(checks.success(result)) == steady(checks.success(pretty))
    assert pretty.out.startswith('{\n    "status": "success",\n    "error": "no error"')


SUMMED_UP = ("job import", "job undo")
"""Commands whose dry run tells totals instead of every record."""


@pytest.mark.parametrize("call", READING, ids=lambda call: call.command.words)
def test_failure(call: Call, shell: Shell) -> None:
    """Without books a reading command says so, exit status 3; a failure has status, error and code in every form."""
    words = call._replace(options={**call.options, **({"--after": "W10"} if "--after" in call.options else {})}).words()
    answer = checks.failure(shell.run(*words), 3)
    assert answer["code"] == "unreachable"
    assert str(shell.file) in answer["error"]
    assert not shell.file.exists(), "reading must not make books"
    for form in ("table", "csv"):
        result = shell.run(*words, f"--format={form}")
        assert result.status == 3
        assert result.err == f"dca: {answer['error']}\n"


@each_call
@pytest.mark.parametrize("form", ["table", "csv"])
def test_forms(call: Call, form: str, books: Shell, model: Model) -> None:
    """Table and CSV succeed for every command; they are no JSON, and say something."""
    dry = ["--dry-run"] if call.command.changes else []
    result = place(call, books).run(*filled(call, model.places).words(), *dry, "--format", form)
    assert result.status == 0, result
    assert not result.out.startswith("{")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.columns], ids=lambda one: one.words)
def test_columns_of_no_rows(command: Command, books: Shell, model: Model) -> None:
    """Where there are no rows, table and CSV show the header that the rows would have."""
    call = filled(next(call for call in (*CALLS, *calls.ON_ELASTICSEARCH) if call.command is command), model.places)
    dry = ["--dry-run"] if command.changes else []
    header = place(call, books).run(*call.words(), *dry, "--format=csv").out.splitlines()[0].split(",")
    columns = command.columns.split()
    assert [name for name in header if name in columns] == columns
    assert {*header} - {*columns} <= {"state", "closed", "transaction", "late", "reverses"}


def test_no_rows(books: Shell) -> None:
    """The header stands alone."""
    books.ok("rate", "set", "--rate=1")
    words = ("transaction", "list", "--time_period=1999-01-01,1999-01-02")
    assert books.run(*words, "--format=csv").out.startswith("transaction,project,user,start,end,")
    lines = books.run(*words, "--format=table").out.splitlines()
    assert lines[0].split()[:3] == ["transaction", "project", "user"]
    assert {*lines[1]} == {"-", " "}
    assert len(lines) == 2


@by_words
def test_numbers_are_exact(command: Command, books: Shell, model: Model) -> None:
    """Numbers are written as decimals with at most six places: no exponents, no 12.499999999999998."""
    for call in CALLS:
        if call.command != command:
            continue
        dry = ["--dry-run"] if command.changes else []
        result = place(call, books).run(*filled(call, model.places).words(), *dry, "-m")
        out = re.sub(r'"(\\.|[^"\\])*"', '""', result.out)
        for number in re.findall(r"-?[0-9][^,}\]\n]*", out):
            assert re.fullmatch(r"-?[0-9]+(\.[0-9]{1,6})?", number), number
            assert str(Decimal(number)) == number


@by_words
def test_dry_run_changes_nothing(command: Command, books: Shell, model: Model) -> None:
    """A dry run of a changing command says what it would change and leaves the books, and the config, as they are."""
    if not command.changes:
        checks.failure(books.run(*command.words.split(), "--dry-run"), 2)
        return
    before = books.state()
    for call in CALLS:
        if call.command == command:
            answer = checks.success(place(call, books).run(*filled(call, model.places).words(), "--dry-run"))
            assert answer["dry_run"] is True
            assert isinstance(answer.get("changes", []), list)
            assert "changes" in answer or command.words in SUMMED_UP
    assert books.state() == before
    assert not (books.folder / ".dca" / "config").exists()


@pytest.mark.parametrize("command", CHANGING, ids=lambda command: command.words)
def test_dry_run_makes_no_books(command: Command, shell: Shell) -> None:
    """A dry run without books makes none."""
    calls.put_files(shell.folder)
    for call in CALLS:
        if call.command == command:
            result = shell.run(*call.words(), "--dry-run")
            assert result.status in (0, 1) or command.words in ("store copy", "log repair"), result
            assert not shell.file.exists()


@by_words
def test_keys(command: Command, books: Shell, model: Model) -> None:
    """The same key and call answer as the first time and change nothing; the same key and another call are refused."""
    if not command.changes:
        checks.failure(books.run(*command.words.split(), "--key=k"), 2)
        return
    for number, call in enumerate(call for call in CALLS if call.command == command and "--wipe" not in call.options):
        books, words = place(call, books), [*filled(call, model.places).words(), f"--key=k{number}"]
        first = checks.success(books.run(*words))
        before = books.state()
        again = checks.success(books.run(*words))
        assert again == {**first, "repeated": True}
        other = ["tenant", "payment", "--tenant=acme", "--payment=3", f"--key=k{number}"]
        if command.scope in ("global", "own", "anywhere") and "hold" not in first:  # a single hold is its tenant's
            other = ["rate", "set", "--rate=3", f"--key=k{number}"]
        elif first.get("tenant", {}).get("name", "acme") != "acme":
            other[2] = f"--tenant={first['tenant']['name']}"
        checks.failure(books.run(*other), 1)
        assert books.state() == before


@by_words
def test_shortened_options_are_refused(command: Command, books: Shell, model: Model) -> None:
    """Every shortened option is refused, and the whole one named: a new option must not break old scripts."""
    call = filled(next(call for call in (*CALLS, *calls.ON_ELASTICSEARCH) if call.command == command), model.places)
    known = takes(command)
    for option, has_value in known.items():
        for end in range(len("--") + 1, len(option)):
            short = option[:end]
            if short in known:
                continue
            word = f"{short}=1" if has_value else short
            answer = checks.failure(books.run(*call.words(), word), 2)
            assert option in answer["error"], (short, answer)


@by_words
def test_slips_of_the_pen(command: Command, books: Shell) -> None:
    """A misspelt option is refused with the right one; a misspelt command with the right command."""
    for option in takes(command):
        if len(option) > len("--to"):
            answer = checks.failure(books.run(*command.words.split(), f"{option[:-2]}{option[-1]}{option[-2]}=1"), 2)
            assert "did you mean" in answer["error"] or option in answer["error"], answer
    wrong = f"{command.words}x"
    if command.words == "backup check":
        return  # a backup may be called checkx
    answer = checks.failure(books.run(*wrong.split()), 2)
    assert f"did you mean dca {command.words}?" in answer["error"]


@by_words
def test_strange_options(command: Command, books: Shell) -> None:
    """Unknown options, options twice, without their value or with one they do not take: exit status 2, by name."""
    words = command.words.split()
    for strange in ("--frobnicate", "--frobnicate=1", "-x", "-mx", "---", "--=1", "-y=1", "--dry run"):
        checks.failure(books.run(*words, strange), 2)
    for option, has_value in takes(command).items():
        if option == "--help":
            continue
        if has_value:
            assert option in checks.failure(books.run(*words, option), 2)["error"]
            assert option in checks.failure(books.run(*words, f"{option}=1", f"{option}=1"), 2)["error"]
        else:
            assert option in checks.failure(books.run(*words, f"{option}=1"), 2)["error"]
    if "[-y]" not in command.usage:
        assert "'-y'" in checks.failure(books.run(*words, "-y"), 2)["error"]


@by_words
def test_needed_options_are_named(command: Command, books: Shell, model: Model) -> None:
    """Without an option that it needs a command says which; with a word too many it is not run."""
    call = filled(next(call for call in (*CALLS, *calls.ON_ELASTICSEARCH) if call.command == command), model.places)
    before = books.state()
    for option in required(command):
        assert f"needs {option}" in checks.failure(books.run(*call.without(option).words()), 2)["error"]
    checks.failure(books.run(*call.words(), "surplus"), 2)
    assert books.state() == before


@by_words
def test_help(command: Command, shell: Shell) -> None:
    """Help tells usage, purpose and every option, needs no books and no other options, and is asked for in three ways."""
    ways = [
        ["help", *command.words.split()],
        [*command.words.split(), "--help"],
        [*command.words.split(), "-h", "--tenant=x"],
    ]
    texts = {shell.run(*way).out for way in ways}
    assert len(texts) == 1
    text = texts.pop()
    assert text.startswith(f"dca {command.words}")
    assert command.usage in text
    for option, meaning in options_of(command):
        assert option in text
        assert meaning in text
    assert not shell.file.exists()


@pytest.mark.parametrize("words", sorted({command.words.split()[0] for command in COMMANDS if " " in command.words}))
def test_first_words(words: str, shell: Shell) -> None:
    """A first word alone is answered with all that can follow it."""
    answer = checks.failure(shell.run(words), 2)
    for known in BY_WORDS:
        if known.split()[0] == words:
            assert f"dca {known}" in answer["error"]


@pytest.mark.parametrize(
    "words",
    [
        ["x"],
        ["tenant", "x"],
        ["list", "x"],
        ["--x"],
        ["-m", "x"],
        [""],
        ["", ""],
        ["tenant", ""],
        ["help", "--all"],
        ["-"],
    ],
)
def test_no_command(words: list[str], shell: Shell) -> None:
    """What is no command is exit status 2."""
    checks.failure(shell.run(*words), 2)


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"], ["-m"]])
def test_bare(words: list[str], shell: Shell) -> None:
    """Without a command dca lists all commands."""
    result = shell.run(*words)
    assert result.status == 0
    for command in COMMANDS:
        assert f"dca {command.words}" in result.out


def test_version(shell: Shell) -> None:
    """The version is one line."""
    assert re.fullmatch(r"dca \d+\.\d+\.\d+\S*\n", shell.run("--version").out)
