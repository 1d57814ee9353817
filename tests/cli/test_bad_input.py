"""Bad values for every option of every command: one sentence, the right exit status, and the books as they were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dca.commands.arguments import CONVERTERS
from dca.commands.table import COMMANDS, Command
from tests.cli import checks
from tests.cli.calls import CALLS, OF_LINES, Call, filled, kind, takes

if TYPE_CHECKING:
    from tests.cli.conftest import Model
    from tests.cli.shell import Shell

NO_UTF8 = "\udcff"
"""How Python passes on a byte that is no UTF-8."""
CONTROL = ("a\nb", "a\tb", "\x1b[31mred", "a\x7fb", "a\rb", "a\x01b", "\u202egnp", "a\u2028b")

NAMES = (
    "", " ", "a b", " a", "a ", "naïve", "名前", "ａｄａ", "a\u200bb", "../x", "a/b", "/etc/passwd", "-x", "--", "_x", ".", "..",
    "a:b", "a*", "a,b", "a|b", "a'b", 'a"b', "'; DROP TABLE tenant; --", "{tenant}", "%s", "$HOME", "a\\b", "x" * 65, "x" * 10_000,
    NO_UTF8, *CONTROL,
)  # fmt: skip
LOGINS = (
    "", " ", "a b", " a", "a ", "naïve", "名前", "-x", "--", "_x", "a/b", "../x", "a*", "a?", "a,b", 'a"b', "x" * 65, "x" * 10_000,
    NO_UTF8, *CONTROL,
)  # fmt: skip
WHOLE = (
    "", " ", "-1", "+1", "1.5", "1.", "1e3", "nan", "inf", "0x10", "1_000", "1,000", "1 000", "١٢", "１", "²", "1h", "01:00:00", "9" * 31,
    "9" * 5_000, "ten", "1\n2", "--5", NO_UTF8,
)  # fmt: skip
AMOUNTS = (
    "", " ", "nan", "inf", "-inf", "1e400", "1e3", "-1", "-0.000001", "1.0000001", "9" * 30, "9" * 5_000, "8000000000.000001", "0x10",
    "1,5", "1.234,56", "1_000", "1 000", "١٢", "８", "½", "1.", ".", "+", "-", "--1", "+-1", "$5", "5$", "1.2.3", "five", "1\n2", NO_UTF8,
)  # fmt: skip
KEYS = ("", " ", "a b", "naïve", "x" * 201, NO_UTF8, *CONTROL)
PERIODS = (
    "", ",", "last_year", "LAST_DAY", "yesterday", "2025-01-01", "2025-01-01,", ",2025-01-01", "2025-01-02,2025-01-01",
    "2025-01-01,2025-01-02,2025-01-03", "2025-13-01,2025-13-02", "2025-02-29,2025-03-01", "2025-1-1,2025-1-2", "1.1.2025,2.1.2025",
    "20250101,20250102", "2025-01-01T00:00,2025-01-02T00:00", "1969-12-31,1970-01-01", "9999-01-01,9999-01-02", "0000-01-01,0001-01-01",
    "٢٠٢٥-٠١-٠١,٢٠٢٥-٠١-٠٢", "2025-W01-1,2025-W01-2", NO_UTF8, *CONTROL,
)  # fmt: skip

BY_KIND = {
    "Name": NAMES,
    "Login": LOGINS,
    "Form": ("", "both", "DIRECT", NO_UTF8, *CONTROL),
    "Level": (*WHOLE, "0", "100"),
    "Amount": AMOUNTS,
    "Seconds": (*WHOLE, "1000000000001"),
    "Count": (*WHOLE, "0", "100000001"),
    "Days": (*WHOLE, "36501"),
    "Size": (*WHOLE, "0", "10001"),
    "Jobs": (*WHOLE, "99", "10000001"),
    "JobKey": KEYS,
    "Move": ("", "p2x", "P2P", "t2t", "p2p ", NO_UTF8, *CONTROL),
    "Sequence": (*WHOLE, "0", "1000000000000001"),
    "Kind": ("", "key", "claim", "log", "Tenant", "tenants", NO_UTF8, *CONTROL),
    "Reference": ("", " ", "x" * 201, NO_UTF8, *CONTROL),
}
"""Bad values for each kind of argument."""
BY_OPTION = {
    "--start": (
        "",
        "yesterday",
        "2025-02-29",
        "2025-01-01T25:00",
        "2025-01-01 12:60",
        "2025-01-01 12:00:61",
        "-5",
        "0",
        "99999999999999",
        "1e9",
        "2025-03-30 02:30:00",
        "9998-12-31",
        "9999-12-31 23:59:59",
        "1969-12-31",
        "2025-01-01T00:00:00+99:99",
        "12:00",
        "١٧٤٠٨٣٠٤٠٠",
        NO_UTF8,
        *CONTROL,
    ),
    "--as-of": (
        "",
        "yesterday",
        "now",
        "last_day",
        "2025-02-29",
        "2025-01-01 24:00",
        "2025-01-01T25:00Z",
        "2025-03-30 02:30:00",
        "-5",
        "0",
        "99999999999999",
        "1e9",
        "1795637079190",
        "1969-12-31",
        "9999-12-31",
        "12:00",
        "2025-01-01,2025-01-02",
        "١٧٤٠٨٣٠٤٠٠",
        NO_UTF8,
        *CONTROL,
    ),
    "--stream": ("", " ", "x", "t:", "t:nobody", "T:acme:1", "acme", "t:acme:8", "x" * 600, "名前", NO_UTF8, *CONTROL),
    "--commit": ("", "nothing", "0" * 24, "x" * 600, "%", "naïve", NO_UTF8, *CONTROL),
    "--time_period": PERIODS,
    "--after": (
        "",
        "x",
        "W10",
        "bnVsbA",
        "eyJhIjoxfQ",
        "WzEsIjIiLDMsNF0",
        "WzEuNSwieCJd",
        "W3RydWUsIngiXQ",
        "[1,2]",
        "é",
        NO_UTF8,
        *CONTROL,
    ),
    "--hold": (
        "",
        "1",
        ":",
        "acme:999:0",
        "acme:1:0:2",
        "nobody:1:0",
        "../x:1:0",
        " :1:0",
        "acme:h:",
        "x" * 600,
        NO_UTF8,
        *CONTROL,
    ),
    "--batch": ("", "none", "20250101T000000-00000000", "x" * 600, NO_UTF8, *CONTROL),
    "--input-format": ("", "pbs", "SLURM", NO_UTF8, *CONTROL),
    "--unit": ("", "hours", "core_hours", NO_UTF8, *CONTROL),
    "--delimiter": ("", "\n", "a\nb", "::", NO_UTF8),
    "--timezone": (
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "CEST+2",
        "x" * 600,
        NO_UTF8,
        *CONTROL,
    ),
    "--cluster": ("", "two words", "naïve", "../x", "-x", "x" * 65, NO_UTF8, *CONTROL),
    "--names": ("", "wide", "STRICT", NO_UTF8, *CONTROL),
    "--checkpoint": ("", ".", "nowhere/file", "missing", "x" * 300, "jobs.txt/x", "no\nfile", NO_UTF8),
    "--public-key": ("", ".", "nowhere/file", "missing", "x" * 300, "jobs.txt", "good.key", "no\nfile", NO_UTF8),
    "--file": ("", ".", "nowhere/file", "missing", "x" * 300, "jobs.txt/x", "/proc/self/mem", "no\nfile", NO_UTF8),
    "--only": (",", "speed", "one,", "start_", "ONE", NO_UTF8, *CONTROL),
    "--rejects": ("", ".", "nowhere/file", "/", "jobs.txt", "./jobs.txt", "x" * 300),
    "--to": (
        "",
        " ",
        "copy.db",
        "sqlite",
        "sqlite:",
        "ftp://host/x",
        "http://",
        "http://host:99999",
        "http://[::1",
        "sqlite:books.db",
        "http://host/UPPER",
        NO_UTF8,
        *CONTROL,
    ),
    "--commands": (
        "",
        " ",
        ",",
        "list,",
        "lists",
        "LIST",
        "tenants *",
        "*list",
        "whoami",
        "x" * 5_000,
        NO_UTF8,
        *CONTROL,
    ),
    "--to-config": ("", ".", "nowhere.toml", "/", "jobs.txt", "x" * 300, "nul\0"),
    "--key": KEYS,
    "--wait": (
        "",
        "soon",
        "-1",
        "nan",
        "inf",
        "1e400",
        "1e3",
        "86401",
        "0x10",
        "١٢",
        "1_000",
        "1,5",
        NO_UTF8,
        *CONTROL,
    ),
    "--format": ("", "xml", "JSON", "json ", NO_UTF8, *CONTROL),
}
"""Bad values for options whose text has a form of its own."""
FILTERS = ("--actor", "--category", "--action", ("log list", "--commit"), ("transaction list", "--batch"))
"""Options that only choose: any text may be asked for, and most find nothing."""
ANY_TEXT = ("", " ", "nothing", "naïve", "'; DROP TABLE log; --", "%", "_", "x" * 5_000, *CONTROL)

CASES = [
    (call, option)
    for call in (*CALLS, *OF_LINES)
    for option, has_value in takes(call.command).items()
    if has_value and (option in call.options or option in ("--key", "--wait", "--format"))
]


def bad_values(command: Command, option: str) -> tuple[str, ...]:
    """Return what an option must refuse."""
    if option in FILTERS or (command.words, option) in FILTERS:
        return (NO_UTF8,)
    return BY_OPTION.get(option) or BY_KIND[kind(command, option)]


def spoilt(call: Call, option: str, value: str) -> list[str]:
    """Return the words of a call with another value for one option."""
    return call._replace(options={**call.options, option: value}).words()


@pytest.mark.parametrize(("call", "option"), CASES, ids=lambda one: one if isinstance(one, str) else one.command.words)
def test_bad_values(call: Call, option: str, books: Shell, model: Model) -> None:
    """Each bad value is refused and changes nothing."""
    good = filled(call, model.places)
    before = books.state()
    for value in bad_values(call.command, option):
        answer = checks.failure(books.run(*spoilt(good, option, value)), 1, 2)
        assert books.state() == before, f"{value!r} changed the books"
        assert len(answer["error"]) < 700, "a long value is not repeated whole"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_values_that_only_choose(command: Command, books: Shell, model: Model) -> None:
    """Any text may be asked for: the answer is what there is, which is nothing."""
    for call in CALLS:
        for option in call.options:
            if call.command == command and (option in FILTERS or (command.words, option) in FILTERS):
                for value in ANY_TEXT:
                    checks.success(books.run(*spoilt(filled(call, model.places), option, value)))


@pytest.mark.parametrize(("call", "option"), [case for case in CASES if case[1] != "--format"], ids=str)
def test_usage_comes_first(call: Call, option: str, shell: Shell, model: Model) -> None:
    """Numbers, keys and the like are looked at before the books: without books, too, they are wrong usage."""
    if option in ("--key", "--wait") or kind(call.command, option) not in ("Name", "Text", "FileName"):
        for value in bad_values(call.command, option):
            answer = checks.failure(shell.run(*spoilt(filled(call, model.places), option, value)), 2)
            assert answer["code"] == "usage"
        assert not shell.file.exists()


def test_every_kind_has_bad_values() -> None:
    """A new kind of argument needs bad values here."""
    assert CONVERTERS.keys() - BY_KIND.keys() == {"Text", "FileName"}
    texts = {
        option
        for call in CALLS
        for option, value in call.options.items()
        if value is not None and kind(call.command, option) in ("Text", "FileName")
    }
    named = {one if isinstance(one, str) else one[1] for one in FILTERS}
    assert texts <= BY_OPTION.keys() | named


@pytest.mark.parametrize(
    "option",
    sorted({option for call in CALLS for option in call.options if option in ("--tenant", "--project", "--user")}),
)
def test_unknown_names(option: str, books: Shell, model: Model) -> None:
    """A tenant, project or user that is not in the books is not found, wherever one must exist."""
    found = 0
    for call in CALLS:
        adds = {"tenant add": "--tenant", "project add": "--project", "user add": "--user"}
        if option not in call.options or adds.get(call.command.words) == option or call.command.words == "job import":
            continue
        result = books.run(*spoilt(filled(call, model.places), option, "unknown"))
        if result.status == 0:
            assert option == "--user", result
            assert not any(value for name, value in result.answer.items() if name in ("holds", "transactions", "list"))
            continue
        answer = checks.failure(result, 1)
        assert answer["code"] == "not_found"
        assert "'unknown'" in answer["error"] or "nothing found" in answer["error"]
        found += 1
    assert found


@pytest.mark.parametrize("first", ["movebudget --from=acme --to=rockets", "movebudget --from=rockets --to=acme"])
def test_ends_of_a_move(first: str, books: Shell) -> None:
    """A move between things of the wrong kind is refused, whatever its type."""
    before = books.state()
    for kind_of_move in ("p2p", "t2p", "p2t"):
        for ends in (
            first.split(),
            ["movebudget", "--from=nobody", "--to=nothing"],
            ["movebudget", "--from=idle", "--to=kites"],
        ):
            words = ["project", *ends, f"--type={kind_of_move}", "--balance=1000000"]
            checks.failure(books.run(*words), 1)
    assert books.state() == before


def test_no_value_reaches_a_shell_or_the_terminal(books: Shell) -> None:
    """What users write is shown quoted, on one line, without control characters."""
    answer = checks.failure(books.run("list", "--tenant=\x1b]0;owned\x07\nnext"), 1)
    assert re.search(r"'\?\]0;owned\?\?next'", answer["error"])
