"""A site with two tenants, whose commands are run by anybody as the engine runs them."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.bootstrap import open_store
from dca.commands.table import BY_WORDS
from dca.config import Settings, load
from dca.core.errors import DcaError
from dca.engine import Store, Surroundings, run
from dca.envelope import render
from tests.roles.cases import JOB_FILE, JOBS, Call, Step, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS = Settings("", "", "", "", "", "", "", "", network_file_system=False, source="")
NOW = 1_800_000_000_000
PASSWORD = "a-password-of-tests"
BEGIN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("setup", {}),
    ("tenant add", {"--tenant": "acme", "--credit": "1000"}),
    ("tenant add", {"--tenant": "blue", "--credit": "1000"}),
    ("tenant payment", {"--tenant": "acme", "--payment": "1000"}),
    ("tenant payment", {"--tenant": "blue", "--payment": "1000"}),
    ("project add", {"--project": "rockets", "--tenant": "acme", "--balance": "500", "--credit": "500"}),
    ("project add", {"--project": "boats", "--tenant": "blue", "--balance": "500", "--credit": "500"}),
    ("user add", {"--project": "rockets", "--user": "ann"}),
    ("user add", {"--project": "boats", "--user": "ann"}),
    ("rate set", {"--rate": "1"}),
    ("transaction charge", {"--project": "rockets", "--user": "ann", "--jobtime": "60", "--cores": "1"}),
    ("transaction charge", {"--project": "boats", "--user": "ann", "--jobtime": "60", "--cores": "1"}),
)  # fmt: skip


class Outcome(NamedTuple):
    """How a command ended."""

    code: str
    """Empty for a success."""
    sentence: str
    exit_status: int
    text: str
    """The whole answer."""
    answer: dict[str, Any]


class Site:
    """Books, and a way to open them as anybody."""

    def __init__(self, folder: Path, opened: Callable[[str], Store], state: Callable[[], str]) -> None:
        """Take a folder for files, what opens the books as a login (empty for root), and a text that changes with the books."""
        self.folder = folder
        self.opened = opened
        self.state = state
        self.numbers = count(1)
        self.draws = count(1)
        self.now = NOW + 10_000
        self.stores: dict[str, Store] = {}
        self.logins = ""
        """What all logins begin with."""
        self.standing: dict[str, Call] = {}

    def store(self, login: str = "") -> Store:
        """Return the books as a login has them open."""
        if login not in self.stores:
            self.stores[login] = self.opened(login)
        return self.stores[login]

    def reopen(self, login: str) -> None:
        """Forget what the open books of a login remember."""
        if login in self.stores:
            self.stores.pop(login).close()

    def close(self) -> None:
        """Close all books."""
        for login in list(self.stores):
            self.reopen(login)

    def around(self, login: str) -> Surroundings:
        """Return what the engine works with."""
        return Surroundings(
            store=self.store(login),
            place="the books",
            settings=SETTINGS,
            now=self._tick,
            draw=lambda: f"draw{next(self.draws)}",
            confirm=lambda _: None,
            progress=lambda _, __: None,
            write_config=lambda: None,
            other=self._other,
            bench=lambda **_: {"rows": []},
            secret=lambda _: PASSWORD,
        )

    def _tick(self) -> int:
        self.now += 10
        return self.now

    @contextmanager
    def _other(self, address: str, config: str) -> Iterator[tuple[Store, str]]:
        del config
        address = address or f"sqlite:{self.folder / f'scratch{next(self.numbers)}.db'}"
        store, place = open_store(load({"DCA_STORE": address}), wait_seconds=5, tell=lambda _: None)
        try:
            yield store, place
        finally:
            store.close()

    def run(
        self, login: str, words: str, options: dict[str, Any], *, key: str | None = None, dry_run: bool = False
    ) -> Outcome:
        """Run a command as a login; anything but an answer or a refusal is let through."""
        try:
            answer = run(self.around(login), BY_WORDS[words], options, key=key, dry_run=dry_run)
        except DcaError as error:
            return Outcome(error.code, error.sentence, error.exit_status, "", error.facts)
        return Outcome("", "", 0, render(answer, mini=True), answer)

    def must(self, words: str, options: dict[str, Any], login: str = "") -> dict[str, Any]:
        """Run a command, of root unless a login is named, that succeeds; return its answer."""
        outcome = self.run(login, words, options)
        assert not outcome.code, (login, words, options, outcome)
        return outcome.answer

    def begin(self) -> None:
        """Fill empty books, and make a backup of them."""
        self.now = NOW - 10_000
        for words, options in BEGIN:
            self.must(words, options)
        self.must("backup", {"FILE": str(self.folder / "first.backup")})
        self.now = NOW + 10_000

    def prepared(self, call: Call) -> Call:
        """Do as root what must be done before a call; return it with everything filled in."""
        number = next(self.numbers)
        file = self.folder / f"file{number}"
        values: dict[str, Any] = {"n": number, "u": self.logins, "f": file, "backup": self.folder / "first.backup"}
        if JOB_FILE in str((call.options, call.before)):
            file.with_suffix(".swf").write_text(JOBS.replace("{n}", str(number)), encoding="utf-8")
        for step in call.before:
            values |= self._taken(filled(step, values))
        return filled(call, values)  # type: ignore[no-any-return]

    def ready(self, call: Call) -> Call:
        """Return a call that would succeed for whoever may run it, and stays so as nobody who may does."""
        name = f"{call.name} {call.about}"
        if name not in self.standing:
            self.standing[name] = self.prepared(call)
        return self.standing[name]

    def _taken(self, step: Step) -> dict[str, Any]:
        answer: Any = self.must(step.words, dict(step.options))
        for name in step.take[1:]:
            answer = answer[int(name)] if name.isdigit() else answer[name]
        return {step.take[0]: answer} if step.take else {}
