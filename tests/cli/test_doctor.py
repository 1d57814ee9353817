"""The doctor on SQLite: whatever is wrong is found, named with what to do about it, and left as it is."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dca.store import health, sqlite_health
from dca.store.sqlite import SqliteStore
from dca.store.sqlite_layout import LAYOUT, is_usable
from tests.cli import checks
from tests.cli.shell import as_somebody

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shell import Shell

DAY = 86_400_000


def execute(file: Path, *statements: str) -> None:
    """Do something to the books behind dca's back."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def findings(answer: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the lines of an examination by name; each is said once, and what is wrong with what to do about it."""
    listed = answer["checks"]
    named = {one["name"]: one for one in listed}
    assert len(named) == len(listed)
    for one in listed:
        assert one["state"] in health.STATES
        assert one["found"]
        assert one["found"].isprintable()
        assert one["advice"] or one["state"] == "ok" or one["name"] == "store" or one["found"].startswith("no entry")
    assert sum(answer["found"].values()) == len(listed)
    return named


def failing(shell: Shell, *names: str) -> dict[str, dict[str, str]]:
    """Run the doctor, who must find that these checks and no others fail; return all lines."""
    answer = checks.failure(shell.run("doctor"), 1)
    assert answer["code"] == "unhealthy"
    assert answer["error"].endswith(f"failed: {', '.join(names)}.")
    lines = findings(answer)
    assert [name for name, one in lines.items() if one["state"] == "failed"] == list(names)
    return lines


def well(shell: Shell) -> dict[str, dict[str, str]]:
    """Run the doctor, who must find nothing that does harm; return all lines."""
    return findings(checks.success(shell.run("doctor")))


def test_healthy_books(books: Shell) -> None:
    """Nothing fails, and nothing is changed, not even a byte."""
    before = books.file.read_bytes()
    lines = well(books)
    states = {name: one["state"] for name, one in lines.items() if name not in ("library", "file_system", "disk")}
    assert set(states.values()) == {"ok"}
    assert books.file.read_bytes() == before


def test_other_checks_run_without_books(shell: Shell) -> None:
    """What can be said before there are books is said, and none are made."""
    answer = checks.failure(shell.run("doctor"), 3)
    lines = findings(answer)
    assert list(lines) == ["program", "config", "library", "file_system", "disk", "store"]
    assert lines["store"]["state"] == "failed"
    assert list(shell.folder.iterdir()) == []


def test_no_books(shell: Shell) -> None:
    """Files that hold no books are told, and what is around them all the same."""
    for content in (b"x", b"x" * 5_000, bytes(5_000)):
        shell.file.write_bytes(content)
        assert findings(checks.failure(shell.run("doctor"), 3))["disk"]
        assert shell.file.read_bytes() == content
    shell.file.unlink()
    execute(shell.file, "CREATE TABLE cats (name TEXT)")
    assert "another program" in checks.failure(shell.run("doctor"), 3)["error"]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP INDEX hold_state_opened", "index hold_state_opened is missing"),
        ("ALTER TABLE payment ADD COLUMN colour TEXT", "table payment is not as dca made it"),
        ("ALTER TABLE claim RENAME TO claims", "table claim is missing"),
    ],
)
def test_layout(statement: str, what: str, books: Shell) -> None:
    """Tables and indexes that are not as dca makes them."""
    execute(books.file, statement)
    lines = failing(books, "layout")
    assert lines["layout"]["found"] == what
    assert "backup" in lines["layout"]["advice"]


def test_tables_of_others(books: Shell) -> None:
    """A table that is not ours is noted."""
    execute(books.file, "CREATE TABLE cats (name TEXT)")
    line = well(books)["layout"]
    assert (line["state"], "table cats" in line["found"]) == ("note", True)


def test_older_layout(books: Shell) -> None:
    """A file of an older layout is a note where dca can work on it, and no books where it cannot."""
    execute(books.file, f"PRAGMA user_version = {LAYOUT - 1}")
    if is_usable(LAYOUT - 1):
        line = well(books)["layout"]
        assert (line["state"], line["advice"]) == ("note", "run dca setup")
    else:
        assert "dca setup" in checks.failure(books.run("doctor"), 3)["error"]


def test_heads(books: Shell) -> None:
    """A head that is not where its stream ends: before it, after it, or with another hash."""
    execute(books.file, "CREATE TABLE kept AS SELECT * FROM head")
    earlier = "seq = 2, hash = (SELECT hash FROM log WHERE stream = 't:acme' AND seq = 2)"
    for change in (earlier, "seq = seq - 1", "seq = seq + 1", "hash = 'x'"):
        execute(books.file, f"UPDATE head SET {change} WHERE stream = 't:acme'")  # noqa: S608 -- from the line above
        lines = failing(books, "heads")
        assert "t:acme" in lines["heads"]["found"]
        assert "dca log verify" in lines["heads"]["advice"]
        execute(books.file, "DELETE FROM head", "INSERT INTO head SELECT * FROM kept")


@pytest.mark.parametrize(("ahead", "state"), [(60_000, "warning"), (400_000, "failed")])
def test_clock(ahead: int, state: str, books: Shell) -> None:
    """An entry from the future: one of the clocks is wrong."""
    now = time.time_ns() // 1_000_000
    execute(books.file, f"UPDATE head SET time = {now + ahead} WHERE stream = 'g'")  # noqa: S608 -- a number
    lines = failing(books, "clock") if state == "failed" else well(books)
    assert lines["clock"]["state"] == state
    assert "ahead of our own clock" in lines["clock"]["found"]


def test_old_hold(books: Shell) -> None:
    """A hold that nobody has ended for two months is named."""
    opened = time.time_ns() // 1_000_000 - 60 * DAY
    execute(books.file, f"UPDATE hold SET opened = {opened} WHERE id = 'acme:8:0'")  # noqa: S608 -- a number
    line = well(books)["holds"]
    assert (line["state"], "acme:8:0" in line["found"], "60 days" in line["found"]) == ("warning", True, True)
    assert "dca transaction release" in line["advice"]


def test_journal(books: Shell) -> None:
    """A journal other than dca's."""
    execute(books.file, "PRAGMA journal_mode = DELETE")
    assert well(books)["durability"]["state"] == "warning"


def test_damaged_page(books: Shell) -> None:
    """A page that was overwritten."""
    with closing(sqlite3.connect(books.file)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'hold_project_state_estimate'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with books.file.open("r+b") as file:
        file.seek((page - 1) * size + size // 2)
        file.write(b"\xff" * (size // 2))
    lines = failing(books, "integrity")
    assert "restore" in lines["integrity"]["advice"]


def test_impatience(books: Shell) -> None:
    """Pages that could not all be checked in time are a note."""
    store = SqliteStore(books.file, wait_seconds=-1)
    try:
        lines = {one.name: one for one in store.examine(0)}
    finally:
        store.close()
    assert lines["integrity"].state in ("note", "ok")


def test_modes(books: Shell) -> None:
    """Books and settings that others may read or write."""
    for mode, state in ((0o600, "ok"), (0o660, "ok"), (0o644, "warning")):
        books.file.chmod(mode)
        assert well(books)["file_mode"]["state"] == state
    books.file.chmod(0o666)
    failing(books, "file_mode")
    books.file.chmod(0o600)
    config = books.folder / "config"
    for mode, text, state in (
        (0o600, 'password = "geheim"\n', "ok"),
        (0o644, "", "ok"),
        (0o664, "", "warning"),
        (0o644, 'password = "geheim"\n', "warning"),
        (0o640, 'store = "http://me:geheim@es1:9200"\n', "warning"),
    ):
        config.write_text(text, encoding="utf-8")
        config.chmod(mode)
        result = books.run("doctor", environment={"DCA_CONFIG": str(config)})
        line = findings(checks.success(result))["config"]
        assert line["state"] == state, (oct(mode), text)
        assert "geheim" not in result.out


def test_reader(open_books: Shell) -> None:
    """Who may only read is told what writing takes."""
    open_books.folder.chmod(0o777)
    open_books.file.chmod(0o644)
    result = as_somebody(open_books, "doctor")
    line = findings(checks.success(result))["rights"]
    assert (line["state"], "not change" in line["found"]) == ("note", True)


def test_disk_and_file_system(tmp_path: Path) -> None:
    """File systems of other machines, or of none, and disks that are nearly full."""
    path = tmp_path / "no" / "books.db"

    def states(kind: str, *, remote: bool, allowed: bool = False) -> list[str]:
        found = sqlite_health.of_the_disk(path, kind=kind, remote=remote, network_allowed=allowed)
        return [one.state for one in found if one.name == "file_system"]

    assert states("ext4", remote=False) == ["ok"]
    assert states("tmpfs", remote=False) == ["warning"]
    assert states("nfs4", remote=True) == ["failed"]
    assert states("nfs4", remote=True, allowed=True) == ["warning"]
    for free, needed, state in (
        (10 << 20, 0, "failed"),
        (500 << 20, 0, "warning"),
        (5 << 30, 9 << 30, "warning"),
        (2 << 30, 1, "ok"),
    ):
        assert health.space("disk", "here", free=free, needed=needed).state == state


def test_clocks_that_differ() -> None:
    """A few seconds are nothing, minutes are told, and beyond five of them nothing can be written."""
    for ahead, state in ((0, "ok"), (5_000, "ok"), (-5_001, "warning"), (300_000, "warning"), (-300_001, "failed")):
        assert health.clocks("clock", "the other", ahead).state == state
