"""What the frequent commands import: start-up time is a feature, since hooks run dca for every job."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.shell import Shell

ALLOWED = frozenset((
    "__future__", "base64", "binascii", "collections", "contextlib", "copyreg", "datetime", "docopt", "encodings", "enum", "errno", "fcntl",
    "fnmatch", "functools", "genericpath", "glob", "grp", "hashlib", "importlib", "io", "ipaddress", "itertools", "json", "keyword", "math",
    "ntpath", "operator", "os", "pathlib", "posixpath", "pwd", "re", "reprlib", "sqlite3", "stat", "struct", "time", "types", "typing",
    "urllib", "warnings",
))  # fmt: skip
"""What list, reservebudget and charge may import on SQLite beside dca: each is needed, or is Python's own and always there."""
ALLOWED_PARTS = {
    "importlib": {"importlib", "importlib._bootstrap", "importlib._bootstrap_external"},
    "urllib": {"urllib", "urllib.parse"},
    "encodings": {"encodings"},
    "collections": {"collections", "collections.abc"},
}
"""Of some packages only these modules: importlib.metadata alone takes longer than all of dca."""
ALLOWED_FOR_VERSION = frozenset((
    "collections", "contextlib", "functools", "itertools", "keyword", "operator", "reprlib", "types", "typing", "copyreg", "warnings", "re",
    "enum", "abc",
))  # fmt: skip
"""What the version may import: what typing imports."""
OF_DCA = frozenset((
    "dca", "dca.book", "dca.bootstrap", "dca.cli", "dca.commands", "dca.commands.access", "dca.commands.arguments", "dca.commands.figures", "dca.commands.table",
    "dca.config", "dca.core", "dca.core.clock", "dca.core.errors", "dca.core.fitness", "dca.core.ledger", "dca.core.model", "dca.core.money",
    "dca.core.names", "dca.core.permissions", "dca.engine", "dca.envelope", "dca.store", "dca.store.entry", "dca.store.port", "dca.store.schema",
    "dca.store.sqlite", "dca.store.sqlite_layout",
))  # fmt: skip
"""What every command needs of dca itself, on SQLite."""
HEAVY = (
    "argparse", "asyncio", "concurrent", "csv", "ctypes", "dateutil", "decimal", "difflib", "elastic_transport", "elasticsearch", "email",
    "fractions", "gzip", "hashlib.blake2b", "hypothesis", "http", "importlib.metadata", "importlib.resources", "inspect", "logging",
    "multiprocessing", "numpy", "random", "requests", "secrets", "shutil", "socket", "ssl", "subprocess", "tempfile", "textwrap",
    "threading", "tomllib", "traceback", "unittest", "urllib.request", "urllib3", "uuid", "xml", "zipfile", "zoneinfo",
)  # fmt: skip
"""Modules that were once imported by mistake, or could be: named so that the message is plain."""

PROGRAM = """
import sys
before = set(sys.modules)
from dca.cli import main
status = main(sys.argv[1:])
sys.stderr.write(repr(sorted(set(sys.modules) - before)))
sys.exit(status)
"""
HOLD = ("transaction", "reservebudget", "--project=rockets", "--user=ada", "--estimate=5", "--job=lab/1/1")
CHARGE = (
    "transaction",
    "charge",
    "--project=rockets",
    "--user=ada",
    "--jobtime=5",
    "--start=1740830400",
    "--job=lab/1/1",
)
FREQUENT = {
    "list": (("list",), {"dca.commands.listing"}),
    "list -m": (("list", "--project=rockets", "-m"), {"dca.commands.listing"}),
    "hold": (HOLD, {"dca.commands.transaction"}),
    "hold with a key": ((*HOLD, "--key=k"), {"dca.commands.transaction"}),
    "charge": (CHARGE, {"dca.commands.transaction"}),
    "charge that ends now": ((*CHARGE[:-2], "--estimate=10"), {"dca.commands.transaction"}),
    "refused hold": ((*HOLD[:4], "--estimate=100000000"), {"dca.commands.transaction"}),
    "affordable?": (("project", "show", "--project=rockets", "--needs=5"), {"dca.commands.project"}),
}
"""Commands that run for every job, or that people wait for, and what each needs of dca beside the rest."""


def imported(shell: Shell, *words: str, store: str = "") -> set[str]:
    """Return the modules that a run of dca imports beyond those Python begins with."""
    environment = shell.outside({"DCA_STORE": store or shell.store})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=shell.folder,
        env=environment,
        timeout=60,
    )
    assert done.returncode in (0, 1), done
    listed: list[str] = ast.literal_eval(done.stderr[done.stderr.rindex("[") :])
    return set(listed)


def surplus(modules: set[str], allowed: frozenset[str]) -> set[str]:
    """Return the modules that are not allowed; those with an underscore belong to others, written in C."""
    found = set()
    for name in modules:
        package = name.partition(".")[0]
        if package.startswith("_") and package != "__future__":
            continue
        parts = ALLOWED_PARTS.get(package)
        if package not in allowed or (parts and name not in parts):
            found.add(name)
    return found


@pytest.mark.parametrize("name", FREQUENT)
def test_frequent_commands(name: str, books: Shell) -> None:
    """They import what is on the list and nothing else."""
    words, own = FREQUENT[name]
    modules = imported(books, *words)
    further = {module for module in modules if module.partition(".")[0] == "dca"} - OF_DCA - own
    assert not further, f"dca {' '.join(words)} now imports {sorted(further)}: import them where they are needed"
    others = surplus({module for module in modules if module.partition(".")[0] != "dca"}, ALLOWED)
    assert not others, (
        f"dca {' '.join(words)} now imports {sorted(others)}: import them inside the functions that need them, "
        "or, if every call needs them, add them to ALLOWED in this test and measure what they cost"
    )
    assert not modules & set(HEAVY)


def test_version(books: Shell) -> None:
    """The version imports nothing of dca but its shell."""
    modules = imported(books, "--version")
    assert {module for module in modules if module.partition(".")[0] == "dca"} == {"dca", "dca.cli"}
    assert surplus(modules - {"dca", "dca.cli"}, ALLOWED_FOR_VERSION) == set()


def test_version_of_the_module(books: Shell) -> None:
    """Python -m dca --version imports nothing of dca but its package."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dca", "--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd=books.folder,
        env=books.outside(),
        timeout=60,
    )
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in names if name.partition(".")[0] == "dca"} == {"dca"}


def test_a_config_costs_its_reader_only(books: Shell) -> None:
    """Where there is a config, reading it adds the parser of its language and no more."""
    without = imported(books, "list")
    (books.folder / ".dca").mkdir(exist_ok=True)
    (books.folder / ".dca" / "config").write_text("# nothing\n", encoding="utf-8")
    added = {module.partition(".")[0] for module in imported(books, "list") - without}
    assert {name for name in added if not name.startswith("_")} <= {"tomllib", "string"}
    assert "tomllib" in added


def test_other_zones_cost_their_table(books: Shell) -> None:
    """Only what deals with days or local times loads the tables of zones."""
    assert "zoneinfo" not in imported(books, "list")
    bill = imported(books, "bill", "generate", "--project=rockets", "--time_period=last_day")
    assert "zoneinfo" in bill
    assert not bill & {"dateutil", "importlib.metadata", "elasticsearch", "elastic_transport"}


def test_the_list_can_catch_something(books: Shell) -> None:
    """A module that is not allowed would be found: csv, by the one command line that needs it."""
    modules = imported(books, "list", "--format=csv")
    assert "csv" in surplus(modules, ALLOWED)
    assert modules & set(HEAVY)
