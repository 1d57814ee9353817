"""One store with a clock and a chance of its own, through which commands are run as the engine runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import BY_WORDS, PERMITTED, rows
from dca.config import Settings
from dca.core.errors import DcaError
from dca.engine import Store, Surroundings, run
from dca.envelope import failure, render, success
from dca.store.elastic import Address, ElasticStore
from dca.store.memory import MemoryStore
from dca.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.steps import Step

ACTOR = "model"
"""Who runs all commands: the stores themselves would each say something else."""
SETTINGS = Settings("", "", "", "", "", "", "", "", network_file_system=False, source="")


class Outcome(NamedTuple):
    """What a command answered."""

    ok: bool
    code: str
    text: str
    """The whole answer as JSON, and the file of rejected records."""
    answer: dict[str, Any]


class Memory(MemoryStore):
    """The reference."""

    def actor(self) -> str:
        """Return the one who runs all commands."""
        return ACTOR


class Elastic(ElasticStore):
    """The distant store."""

    def actor(self) -> str:
        """Return the one who runs all commands."""
        return ACTOR


def elastic_at(address: Address) -> Elastic:
    """Return an Elasticsearch store that knows the same caller."""
    return Elastic(address, PERMITTED, rows=rows())


def sqlite_at(path: Path) -> SqliteStore:
    """Return a SQLite store that knows the same caller."""
    return SqliteStore(path, actor=ACTOR)


class Side:
    """A store, with the time and the identifiers that each step is given."""

    def __init__(self, name: str, store: Store) -> None:
        """Take a store that holds nothing yet."""
        self.name = name
        self.store = store

    def run(self, step: Step, now: int, draw: Callable[[], str], folder: Path) -> Outcome:
        """Run a step at an instant, its log lying in a folder; anything but an answer or a refusal is let through."""
        around = Surroundings(
            store=self.store,
            place="the books",
            settings=SETTINGS,
            now=lambda: now,
            draw=draw,
            confirm=lambda _: None,
            progress=lambda _, __: None,
            write_config=lambda: None,
        )
        given = {name: value for name, value in step.options.items() if name != "--yes"}
        if "FILE" in given:
            log = folder / str(given["FILE"])
            log.write_text(step.log_text, encoding="utf-8")
            given["FILE"] = str(log)
        try:
            answer = run(around, BY_WORDS[step.words], given, key=step.key or None, dry_run=step.dry_run)
        except DcaError as error:
            return Outcome(ok=False, code=error.code, text=render(failure(error), mini=True), answer=error.facts)
        rejects = _rejects(answer)
        answer.pop("done", None)  # what a store had to make is its own affair
        for line in answer.get("log", ()):
            line.pop("author", None)  # known to some stores only
        return Outcome(ok=True, code="", text=render(success(answer), mini=True) + rejects, answer=answer)


def _rejects(answer: dict[str, Any]) -> str:
    """Return the file of rejected records, and remove it, so that the next store writes it anew."""
    from pathlib import Path

    if "rejects" not in answer or answer.get("repeated"):
        return ""
    path = Path(answer["rejects"])
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return "\n" + text
