"""Idempotency keys: commands that changed nothing, that were killed half-way, and that make the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dca.engine import Session

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_a_key_is_kept_where_nothing_changed(books: Shell) -> None:
    """A command that found nothing to change keeps its key: sent again, it must not undo what others did since."""
    books.ok("tenant", "modify", "--tenant=acme", "--credit=0", "--key=zero")
    books.ok("tenant", "modify", "--tenant=acme", "--credit=50")
    assert books.ok("tenant", "modify", "--tenant=acme", "--credit=0", "--key=zero")["repeated"] is True
    assert books.ok("list")["list"][0]["credit"] == 50
    assert books.run("tenant", "modify", "--tenant=acme", "--credit=1", "--key=zero").status == 1


def test_a_hold_is_released_together_with_its_key(books: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a release stands in the entry of the release: no crash can come between."""
    books.ok("project", "add", "--project=p", "--tenant=acme", "--balance=10")
    books.ok("transaction", "reservebudget", "--project=p", "--estimate=1", "--job=j")
    release = ("transaction", "release", "--project=p", "--job=j", "--key=k")
    with monkeypatch.context() as patch:
        decide = Session.decide
        done: list[object] = []

        def once(session: Session, *words: object, **how: object) -> object:
            if done:
                pytest.fail("a release is one commit")
            done.append(words)
            return decide(session, *words, **how)  # type: ignore[arg-type]

        patch.setattr(Session, "decide", once)
        first = books.ok(*release)
    assert books.ok(*release) == {**first, "repeated": True}


def test_the_first_setup_takes_a_key(shell: Shell) -> None:
    """A setup with a key works where there are no books yet."""
    first = shell.ok("setup", "--cluster=alps", "--key=k")
    assert shell.ok("setup", "--cluster=alps", "--key=k") == {**first, "repeated": True}
