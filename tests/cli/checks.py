"""What holds for every answer of the command line, whatever was asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dca.core.errors import KINDS

if TYPE_CHECKING:
    from tests.cli.shell import Result

STATUS_OF = {kind.code: kind.exit_status for kind in KINDS}


def failure(result: Result, *statuses: int) -> dict[str, Any]:
    """Check that a run failed as it should, in one sentence, with one JSON object and nothing else; return its answer."""
    assert result.status in statuses, result
    answer = result.answer
    assert list(answer)[:3] == ["status", "error", "code"], answer
    assert answer["status"] == "failed", answer
    assert STATUS_OF[answer["code"]] == result.status, answer
    sentence(answer["error"])
    assert "Traceback" not in result.err, result.err
    return answer


def sentence(text: object) -> None:
    """Check that a text is one sentence on one line."""
    assert isinstance(text, str), text
    assert text.isprintable(), repr(text)
    assert text == text.strip() != "", repr(text)
    assert text.endswith((".", "?")) or re.search(
        r"(usage|take it with( -P)?|take the log with|unpack it (first|once)|write it in UTF-8 first): ", text
    ), text
    assert not re.search(r"\.\s+[A-Z]", text), text


def success(result: Result) -> dict[str, Any]:
    """Check that a run succeeded, with one JSON object and nothing else; return its answer."""
    assert result.status == 0, result
    answer = result.answer
    assert list(answer)[:2] == ["status", "error"], answer
    assert (answer["status"], answer["error"]) == ("success", "no error"), answer
    assert "code" not in answer, answer
    return answer
