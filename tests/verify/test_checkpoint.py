"""Checkpoints: what they show, and what is not taken for one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli import checks, keys
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "a.checkpoint"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a shell with small books, a key, and a signed checkpoint."""
    shell = Shell(tmp_path)
    shell.ok("setup")
    shell.ok("tenant", "add", "--tenant=acme")
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=10")
    (tmp_path / "site.key").write_text(keys.PRIVATE, encoding="utf-8")
    (tmp_path / "site.key.pub").write_text(keys.PUBLIC, encoding="utf-8")
    (tmp_path / "dca.toml").write_text('checkpoint_key = "site.key"\n', encoding="utf-8")
    answer = shell.run("log", "checkpoint", NAME, environment={"DCA_CONFIG": "dca.toml"})
    assert checks.success(answer)["checkpoint"]["signed"]
    return shell


def verify(shell: Shell, *further: str, config: str = "") -> Any:
    """Verify against the checkpoint."""
    environment = {"DCA_CONFIG": config} if config else {}
    return shell.run("log", "verify", f"--checkpoint={NAME}", *further, environment=environment)


def test_books_may_grow(shell: Shell) -> None:
    """What came later does not matter."""
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=1")
    shell.ok("tenant", "add", "--tenant=other")
    assert checks.success(verify(shell, config="dca.toml"))["checkpoint"] == 1
    assert checks.success(verify(shell, "--public-key=site.key.pub"))["entries"] == 4


def test_a_backup_can_be_held_against_it(shell: Shell) -> None:
    """One made before it lacks entries."""
    shell.ok("backup", "old.backup")
    checks.success(verify(shell, "--file=old.backup"))
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=1")
    shell.ok("log", "checkpoint", NAME, "--overwrite")
    answer = checks.failure(verify(shell, "--file=old.backup"), 1)
    assert [(one["damage"], one["seq"]) for one in answer["damage"]] == [("checkpoint", 3)]


def test_books_put_back_to_an_earlier_state(shell: Shell) -> None:
    """A copy of the file from before the newest entry is in order by itself."""
    shutil.copy(shell.file, shell.folder / "earlier.db")
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=1")
    shell.ok("log", "checkpoint", NAME, "--overwrite")
    for path in shell.folder.glob(f"{shell.file.name}*"):
        path.unlink()
    shutil.copy(shell.folder / "earlier.db", shell.file)
    shell.ok("log", "verify")
    assert checks.failure(verify(shell), 1)["damage"][0]["sentence"].startswith("stream t:acme ends before entry 3")


def test_other_books(shell: Shell) -> None:
    """Agree with it in no stream."""
    other = Shell(shell.folder, f"sqlite:{shell.folder / 'other.db'}")
    other.ok("tenant", "add", "--tenant=acme")
    other.ok("tenant", "payment", "--tenant=acme", "--payment=10")
    answer = checks.failure(verify(other), 1)
    assert "does not agree with the checkpoint in any stream" in answer["error"]


def test_never_over_the_books(shell: Shell) -> None:
    """--overwrite replaces checkpoints; the books, backups and all other files stay."""
    shell.ok("backup", "a.backup")
    (shell.folder / "empty").touch()
    before = {path: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()}
    for name in (shell.file.name, "a.backup", "site.key"):
        answer = checks.failure(shell.run("log", "checkpoint", name, "--overwrite"), 2)
        assert "is no checkpoint of dca and is not replaced" in answer["error"]
    assert {path: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()} == before
    shell.ok("log", "checkpoint", "empty", "--overwrite")
    shell.ok("log", "checkpoint", "empty", "--overwrite")


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], Any], int]] = {
    "another time": (lambda one: {**one, "time": one["time"] + 1}, 3),
    "another head": (lambda one: {**one, "heads": {"t:acme": [1, "0" * 64]}}, 3),
    "no heads": (lambda one: {**one, "heads": None}, 3),
    "rubbish for a head": (lambda one: {**one, "heads": {"t:acme": [1]}}, 3),
    "a newer format": (lambda one: {**one, "format": 2}, 3),
    "another thing": (lambda one: {**one, "dca": "backup"}, 3),
    "a list": (lambda one: [one], 3),
    "no signature": (lambda one: {**one, "signature": ""}, 1),
    "half a signature": (lambda one: {**one, "signature": one["signature"][:64]}, 1),
    "another signature": (lambda one: {**one, "signature": "00" * 64}, 1),
    "no hexadecimal signature": (lambda one: {**one, "signature": "xyz"}, 1),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_checkpoint_that_is_not_as_it_was(shell: Shell, what: str) -> None:
    """One sentence says so."""
    spoil, status = SPOILT[what]
    path = shell.folder / NAME
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    checks.failure(verify(shell, config="dca.toml"), status)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"1"])
def test_a_file_that_is_no_checkpoint(shell: Shell, content: bytes) -> None:
    """Whatever it is."""
    (shell.folder / NAME).write_bytes(content)
    checks.failure(verify(shell), 3)


def test_the_key_of_somebody_else(shell: Shell) -> None:
    """Did not sign it."""
    (shell.folder / "other.key.pub").write_text(keys.OTHER, encoding="utf-8")
    answer = checks.failure(verify(shell, "--public-key=other.key.pub"), 1)
    assert answer["code"] == "unsound"
    (shell.folder / "other.toml").write_text('checkpoint_public_key = "other.key.pub"\n', encoding="utf-8")
    checks.failure(verify(shell, config="other.toml"), 1)


@pytest.mark.parametrize("key", ["missing", "dca.toml", "site.key.pub", "."])
def test_a_file_that_is_no_key(shell: Shell, key: str) -> None:
    """Is told, and no checkpoint is written."""
    (shell.folder / "bad.toml").write_text(f'checkpoint_key = "{key}"', encoding="utf-8")
    checks.failure(shell.run("log", "checkpoint", "new", environment={"DCA_CONFIG": "bad.toml"}), 2)
    assert not (shell.folder / "new").exists()
