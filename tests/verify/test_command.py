"""dca log verify as people and scripts use it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dca.store import damage
from tests.cli import checks
from tests.cli.shell import Shell

PAGE = Path(__file__).resolve().parents[2] / "docs/verify.md"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a shell with small books."""
    shell = Shell(tmp_path)
    shell.ok("setup")
    shell.ok("tenant", "add", "--tenant=acme")
    shell.ok("tenant", "payment", "--tenant=acme", "--payment=10")
    return shell


def sql(shell: Shell, *statements: str) -> None:
    """Change the books around dca's back."""
    with closing(sqlite3.connect(shell.file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_damage_is_one_sentence_a_status_and_a_list(shell: Shell) -> None:
    """The first is named in the sentence."""
    sql(shell, "UPDATE tenant SET balance = 7", "UPDATE payment SET amount = 1")
    answer = checks.failure(shell.run("log", "verify"), 1)
    assert answer["code"] == "unsound"
    assert answer["error"].endswith(
        "is not in order, 2 damages, the first: the payment acme:2:0 is not what the log says: amount."
    )
    assert [(one["damage"], one["kind"], one["id"], one["count"]) for one in answer["damage"]] == [
        ("altered", "payment", "acme:2:0", 1),
        ("altered", "tenant", "acme", 1),
    ]
    assert (answer["entries"], answer["records"]) == (2, 2)
    table = shell.run("log", "verify", "--format=table")
    assert table.status == 1
    assert "acme:2:0" in table.out


@pytest.mark.parametrize("table", ["log", "head", "tenant", "payment", "hold", "site", "key", "claim"])
def test_a_table_that_is_gone_is_damage_like_any_other(shell: Shell, table: str) -> None:
    """The rest is examined all the same."""
    sql(shell, f'DROP TABLE "{table}"')
    answer = checks.failure(shell.run("log", "verify"), 1)
    assert {one["damage"] for one in answer["damage"]} & {"part", "head"}, answer


def test_no_books_no_proof(tmp_path: Path) -> None:
    """As every reading command says it."""
    checks.failure(Shell(tmp_path).run("log", "verify"), 3)


def test_every_kind_of_damage_is_documented() -> None:
    """With what it means and what to do."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [f"| `{kind.name}` | {kind.meaning} | {kind.remedy} |" for kind in damage.KINDS]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in damage.NOTES]
    assert [line for line in lines if line not in text] == []
