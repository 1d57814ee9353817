"""Books of every version that there was: read, upgraded, and told from those of versions to come."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from dca.store import sqlite_layout
from dca.store.export import FORMAT
from dca.store.schema import VERSION
from dca.store.sqlite_layout import LAYOUT, STEPS, Step
from tests.backups import versions
from tests.backups.versions import VERSIONS
from tests.cli import checks
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS = range(1, LAYOUT + 1)
CHARGE = ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=1")


def unpacked(layout: int, folder: Path) -> Shell:
    """Return a shell with the books that were kept of a layout."""
    shell = Shell(folder)
    shell.file.write_bytes(gzip.decompress((VERSIONS / f"layout-{layout}.db.gz").read_bytes()))
    return shell


def answered(layout: int) -> object:
    """Return what the books of a layout answered when they were kept."""
    return json.loads((VERSIONS / f"layout-{layout}.json").read_text(encoding="utf-8"))


def tables(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all tables and indexes of a file, with the columns of each."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        listed = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        return {
            f"{kind} {name}": connection.execute(f'PRAGMA {kind}_xinfo("{name}")').fetchall() for kind, name in listed
        }


def layout_of(file: Path) -> int:
    """Return the layout that a file says it has."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return sqlite_layout.layout_of(connection)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_old_books_are_upgraded(layout: int, folder: Path) -> None:
    """After dca setup old books have all that new ones have, answer as they did, and take charges."""
    shell = unpacked(layout, folder)
    done = shell.ok("setup")["done"]
    assert [line for line in done if line.startswith("upgraded the books")] == [
        f"upgraded the books: {step.does}" for step in STEPS[layout - 1 :]
    ]
    new = Shell(folder, f"sqlite:{folder / 'new.db'}")
    new.ok("setup")
    assert tables(shell.file) == tables(new.file)
    assert layout_of(shell.file) == layout_of(new.file) == LAYOUT
    assert versions.answers(shell) == answered(layout)
    assert not [line for line in shell.ok("setup")["done"] if line.startswith("upgraded the books")]
    assert shell.ok(*CHARGE)
    shell.ok("log", "verify")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_old_books_before_setup(layout: int, folder: Path) -> None:
    """Before dca setup old books are used as they are, or every command says what to do."""
    shell = unpacked(layout, folder)
    if sqlite_layout.is_usable(layout):
        assert versions.answers(shell) == answered(layout)
        assert shell.ok(*CHARGE)
    else:
        before = shell.state()
        for words in (*versions.QUESTIONS, CHARGE):
            assert "upgrade it: dca setup" in checks.failure(shell.run(*words), 3)["error"]
        assert shell.state() == before
    assert layout_of(shell.file) == layout


def test_a_step_that_cannot_be_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Books that lack a needed step are refused by all commands but setup, which takes it whole or not at all."""
    shell = unpacked(LAYOUT, folder)
    good = Step("a note", ("CREATE TABLE note (text TEXT)",), optional=False)
    bad = Step("a note", ("CREATE TABLE note (text TEXT)", "CREATE TABLE note (text TEXT)"), optional=False)
    for name in ("dca.store.sqlite", "dca.store.sqlite_layout"):
        monkeypatch.setattr(f"{name}.LAYOUT", LAYOUT + 1)
    monkeypatch.setattr("dca.store.sqlite_layout.STEPS", (*STEPS, bad))
    before = shell.state()
    for words in (*versions.QUESTIONS, CHARGE, ("setup", "--dry-run")):
        assert "upgrade it: dca setup" in checks.failure(shell.run(*words), 3)["error"]
    checks.failure(shell.run("setup"), 3)
    assert shell.state() == before
    monkeypatch.setattr("dca.store.sqlite_layout.STEPS", (*STEPS, good))
    assert "upgraded the books: a note" in shell.ok("setup")["done"]
    assert shell.ok(*CHARGE)


@pytest.mark.parametrize("layout", [LAYOUT + 1, 999, 0, -1])
def test_unknown_layouts(layout: int, folder: Path) -> None:
    """Books of a layout that is not known are refused by every command, setup among them, and stay as they are."""
    shell = unpacked(LAYOUT, folder)
    with contextlib.closing(sqlite3.connect(shell.file)) as connection:
        connection.execute(f"PRAGMA user_version = {layout}")
    before = shell.state()
    for words in (*versions.QUESTIONS, CHARGE, ("setup",), ("setup", "--wipe", "-y")):
        error = checks.failure(shell.run(*words), 3)["error"]
        assert f"(layout {layout})" in error
        assert ("newer dca" in error) == (layout > LAYOUT)
    assert shell.state() == before


BACKUPS = sorted(path.stem for path in VERSIONS.glob("format-*.gz"))


@pytest.mark.parametrize("name", BACKUPS)
def test_old_backups_are_restored(name: str, folder: Path) -> None:
    """A backup of every format and schema is whole, and the books that are restored from it answer as they did."""
    shell = Shell(folder)
    file = str(VERSIONS / f"{name}.gz")
    shell.ok("backup", "check", file)
    shell.ok("restore", file)
    answers = versions.answers(shell)
    answers["log list"]["log"] = [line for line in answers["log list"]["log"] if line["category"] != "restore"]
    assert answers == json.loads((VERSIONS / f"{name}.json").read_text(encoding="utf-8"))
    assert shell.ok(*CHARGE)
    shell.ok("log", "verify")


def test_every_version_is_kept() -> None:
    """There is a file of every layout up to now, and of the present format and schema."""
    kept = {path.name for path in VERSIONS.iterdir()}
    wanted = {f"layout-{layout}.{ending}" for layout in LAYOUTS for ending in ("db.gz", "json")}
    present = {f"format-{FORMAT}-schema-{VERSION}.{ending}" for ending in ("gz", "json")}
    assert wanted | present <= kept
