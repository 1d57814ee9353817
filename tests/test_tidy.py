"""The house rules that can be read off the files: sizes, leftovers, banned words and what stands in for them."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FILE_BYTES_MAX = 1 << 20
PROSE_AND_CODE = {".cfg", ".ini", ".java", ".json", ".md", ".py", ".sh", ".toml", ".transcript", ".yaml", ".yml", ""}


class Rule(NamedTuple):
    """Words that are not wanted in some folder, what to write instead, and lines that show what is meant."""

    name: str
    banned: str
    folder: str
    instead: str
    caught: tuple[str, ...]
    passed: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()


RULES = (
    Rule(
        name="leftovers",
        banned=r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b",
        folder="",
        instead="do it now, or open an issue",
        caught=("# TO" + "DO: later", "FIX" + "ME"),
        passed=("todos",),
    ),
    Rule(
        name="printing",
        banned=r"(?<![\w.])print\(",
        folder="dca/",
        instead="return it; the shell prints",
        caught=("    print('x')", "print(x)"),
        passed=("pprint(x)", "blueprint(x)"),
        allowed=frozenset({"dca/cli.py", "dca/reference.py"}),
    ),
    Rule(
        name="floats in the core",
        banned=r"\bfloat\(|(:|->) float\b",
        folder="dca/core/",
        instead="use integers: micro-dollars, seconds, milliseconds",
        caught=("float(x)", "def f(x: float)"),
        passed=("no floats here", "it is never float"),
    ),
    Rule(
        name="mocks",
        banned=r"\b(unittest\.mock|unittest import mock|import mock|pytest_mock|mocker)\b",
        folder="tests/",
        instead="use the memory store, or a real one",
        caught=("from unittest import mock", "from unittest.mock import Mock", "def test_x(mocker)"),
        allowed=frozenset({"tests/test_tidy.py"}),
    ),
    Rule(
        name="patched stores",
        banned=r"monkeypatch\.setattr\(.*\b(store|memory|sqlite|elastic)",
        folder="tests/",
        instead="use the memory store, or a real one",
        caught=('monkeypatch.setattr("dca.store.sqlite.connect", x)', "monkeypatch.setattr(store, 'find', x)"),
        passed=('monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", 1)', 'monkeypatch.setenv("DCA_STORE", x)'),
        # A layout to come is made by adding to the table of steps.
        allowed=frozenset({"tests/test_tidy.py", "tests/backups/test_versions.py"}),
    ),
    Rule(
        name="clocks",
        banned=r"\btime\.(time|time_ns|localtime|gmtime)\(|\bdate(time)?\.(now|utcnow|today)\(",
        folder="dca/",
        instead="use the clock that is passed in",
        caught=("time.time()", "time.time_ns()", "datetime.now(UTC)", "date.today()", "datetime.datetime.utcnow()"),
        passed=("time.monotonic()", "time.sleep(1)", "surroundings.now()"),
        allowed=frozenset({"dca/bootstrap.py"}),
    ),
    Rule(
        name="the client of Elasticsearch",
        banned=r"^\s*(from|import) (elasticsearch|elastic_transport)\b",
        folder="dca/",
        instead="go through dca/store/elastic_door.py",
        caught=("import elasticsearch", "    from elastic_transport import Transport"),
        passed=("# from Elasticsearch", "from dca.store import elastic"),
        allowed=frozenset({"dca/store/elastic_door.py"}),
    ),
)


def files() -> list[Path]:
    """List the files of the repository, those that are still to be added included."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def lines(folder: str) -> Iterator[tuple[str, int, str]]:
    """Yield file, number and text of each line that people wrote in a folder."""
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(folder) and not name.startswith("tests/data/") and path.suffix in PROSE_AND_CODE:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                yield name, number, line


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_banned_words(rule: Rule) -> None:
    """No line has what a rule bans, but for the files the rule allows."""
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, number, line in lines(rule.folder)
        if name not in rule.allowed and re.search(rule.banned, line)
    ]
    assert not found, f"{rule.instead}:\n" + "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_catch_what_they_mean(rule: Rule) -> None:
    """A rule finds the lines it was made for and no others."""
    assert [line for line in rule.caught if not re.search(rule.banned, line)] == []
    assert [line for line in rule.passed if re.search(rule.banned, line)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_rules_name_exists(rule: Rule) -> None:
    """A rule for a folder or file that has moved would hold for nothing."""
    assert [name for name in {rule.folder, *rule.allowed} if not (ROOT / name).exists()] == []


def test_no_large_files() -> None:
    """What is cloned by everybody stays small."""
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in files()}
    assert len(sizes) > 50, "git lists hardly any files"
    assert {name: size for name, size in sizes.items() if size > FILE_BYTES_MAX} == {}


def test_every_module_says_what_it_is() -> None:
    """Each module begins with a docstring."""
    modules = [path for path in files() if path.suffix == ".py"]
    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert [path.relative_to(ROOT).as_posix() for path in silent] == []
