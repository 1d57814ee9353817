"""Many writers at once on one tenant's budget, or on several: nothing is overdrawn, and the history is linearisable."""

from __future__ import annotations

import json
import shlex
import signal
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import BY_WORDS
from dca.core.ledger import available
from dca.core.model import tenant_stream
from tests.concurrency.ledgers import whole_books
from tests.concurrency.nursery import MOMENT, Ended, Fate, task
from tests.model.side import Memory, Side
from tests.model.steps import Step
from tests.torture.checker import UNKNOWN, Event, check
from tests.torture.site import SQLITE, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Task
    from tests.model.invariants import Books
    from tests.torture.figures import Figures
    from tests.torture.site import Site

WRITERS = 64
COMMANDS = 6
TENANTS = (1, 8)
KILLED = 0.2
KILLED_WITHIN = {SQLITE: 3_000_000}
DISTANT_KILLED_WITHIN = 30_000_000
WAIT = "--wait=240"
SUBMIT = 1_700_000_000
WEIGHTS = {
    "transaction reservebudget": 8,
    "transaction charge": 8,
    "tenant payment": 2,
    "tenant modify": 1,
    "project movebudget": 5,
    "transaction release": 1,
    "user add": 1,
    "project show": 4,
    "list": 3,
    "transaction holds": 2,
}


class Manner(NamedTuple):
    """How large a race is."""

    writers: int = WRITERS
    commands: int = COMMANDS
    tenants: int = 0
    """How many tenants share the writers; 0 to draw it."""
    killed: float = KILLED


def race(store: str, seed: int, site: Site, figures: Figures, manner: Manner = Manner()) -> None:  # noqa: B008
    """Play one race on empty books of a store."""
    with site.shell(store) as shell:
        tenants = manner.tenants or Random(seed).choice(TENANTS)
        scripts = scripts_of(seed, manner.writers, manner.commands, tenants)
        chance = Random(f"{seed}/kills")
        within = KILLED_WITHIN.get(store, DISTANT_KILLED_WITHIN)
        fates = [Fate(MOMENT, chance.randrange(within)) if chance.random() < manner.killed else None for _ in scripts]

        def crowd(tasks: Sequence[Task]) -> Sequence[Ended]:
            return site.nursery.run(*tasks)

        run_race(shell, tenants, scripts, fates, crowd, figures, store)


def run_race(
    shell: Shell,
    tenants: int,
    scripts: Sequence[Sequence[Step]],
    fates: Sequence[Fate | None],
    crowd: Callable[[Sequence[Task]], Sequence[Ended]],
    figures: Figures,
    name: str,
) -> None:
    """Open the books, let all scripts run at once, and judge what came of it."""
    model = Side("memory", Memory())
    for step in opening(tenants):
        shell.ok(*words_of(step))
        model.run(step, 0, lambda: "opening", shell.folder)
    _take_over_times(shell, model)
    tasks = [
        task(shell)._replace(words=[], script=[[*words_of(step), WAIT, "-m"] for step in script], fate=fate)
        for script, fate in zip(scripts, fates, strict=True)
    ]
    ended = crowd(tasks)
    events = [event for number, one in enumerate(ended) for event in events_of(number, scripts[number], one)]
    judge(shell, tenants, events, model, figures, name)
    for event in events:
        how = "without an answer" if event.status is None else f"with exit status {event.status}"
        figures.add(f"{name}: commands that ended {how}")
    figures.add(f"{name}: writers", len(scripts))
    if any(fates):
        figures.add(f"{name}: kills", sum(one.status == -signal.SIGKILL for one in ended))
    figures.add(f"{name}: races")


def judge(shell: Shell, tenants: int, events: Sequence[Event], model: Side, figures: Figures, name: str) -> None:
    """Check the books, and the history of each tenant against them."""
    _ask_for_outcomes(shell, events, figures, name)
    books = whole_books(shell)
    never_overdrawn(books)
    for number in range(tenants):
        own = [event for event in events if tenant_of(event.step) == number]
        log = books.log[tenant_stream(tenant_name(number))]
        figures.add(f"{name}: answers explained", check(own, log, model, shell.folder))
    verify(shell, figures, name)


def _ask_for_outcomes(shell: Shell, events: Sequence[Event], figures: Figures, name: str) -> None:
    """Ask for what became of commands whose outcome was unknown, as they say one can."""
    for event in events:
        if event.status == UNKNOWN:
            commit, said = event.answer["commit"], event.answer["error"]
            assert f"log list --commit={commit}" in said, said
            figures.add(f"{name}: outcomes unknown at first")
            found = shell.ok("log", "list", f"--commit={commit}")["log"]
            assert len(found) <= 1, f"{commit} was done {len(found)} times"
            figures.add(f"{name}: outcomes found out")


def never_overdrawn(books: Books) -> None:
    """Check that no hold was ever made that its project could not afford."""
    for entries in books.log.values():
        for entry in entries:
            for kind, record, _ in entry.changes:
                if kind == "project" and entry.action == "reservebudget":
                    project: Any = record
                    assert available(project) >= 0, f"{entry.id} overdraws {project.id}"


def _take_over_times(shell: Shell, model: Side) -> None:
    """Make the model hold the opening as the books do, with the times at which it was really done."""
    books = whole_books(shell)
    memory = model.store
    assert isinstance(memory, Memory)
    memory.records = {kind: dict(records) for kind, records in books.records.items()}
    memory.streams = {stream: list(entries) for stream, entries in books.log.items()}


def events_of(process: int, script: Sequence[Step], ended: Ended) -> list[Event]:
    """Read back what a process noted."""
    calls: dict[int, Event] = {}
    for line in ended.out.splitlines():
        note = json.loads(line)
        step = script[note["number"]]
        if "call" in note:
            calls[note["number"]] = Event(process, step, note["call"])
        else:
            before = calls[note["number"]]
            answer = json.loads(note["out"])
            calls[note["number"]] = before._replace(status=note["status"], end=note["return"], answer=answer)
            if note["status"] == UNKNOWN:
                calls[note["number"]] = calls[note["number"]]._replace(end=Event(0, step, 0).end)
    assert "Traceback" not in ended.err, ended.err
    assert ended.status in (0, -signal.SIGKILL), ended
    return list(calls.values())


# -- what is done ----------------------------------------------------------------------------------------------------


def tenant_name(number: int) -> str:
    """Return the name of a tenant."""
    return f"t{number}"


def tenant_of(step: Step) -> int:
    """Return the number of the tenant that a step is about."""
    named = step.options.get("--tenant") or step.options.get("--project") or step.options.get("--from")
    return int(str(named)[1:].partition("p")[0])


def opening(tenants: int) -> list[Step]:
    """Return the steps that open the books: each tenant has three projects that afford about ten holds each."""
    steps = [Step("rate set", {"--rate": "36"})]
    for number in range(tenants):
        tenant = tenant_name(number)
        steps.append(Step("tenant add", {"--tenant": tenant, "--credit": "20"}))
        steps.append(Step("tenant payment", {"--tenant": tenant, "--payment": "400"}))
        for project in range(3):
            named = f"{tenant}p{project}"
            steps.append(Step("project add", {"--project": named, "--tenant": tenant, "--balance": "109"}))
            steps += [Step("user add", {"--project": named, "--user": user}) for user in ("anna", "bob")]
    return steps


def words_of(step: Step) -> list[str]:
    """Return what one would type."""
    return shlex.split(step.text)[1:]


def scripts_of(seed: int, writers: int, commands: int, tenants: int) -> list[list[Step]]:
    """Draw what each of the writers does."""
    return [_script(Random(f"{seed}/{number}"), number, commands, tenants) for number in range(writers)]


def _script(rng: Random, process: int, commands: int, tenants: int) -> list[Step]:
    return [_step(rng, process, number, rng.randrange(tenants)) for number in range(commands)]


def _step(rng: Random, process: int, number: int, tenant: int) -> Step:
    words = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    step = Step(words, _options(rng, words, tenant_name(tenant)))
    if not BY_WORDS[words].changes:
        return step
    if words == "tenant payment" and rng.random() < 0.3:  # what somebody else may send as well
        return step._replace(options={"--tenant": tenant_name(tenant), "--payment": "7"}, key=f"shared-t{tenant}")
    return step._replace(key=f"t{tenant}-{process}-{number}")


def _options(rng: Random, words: str, tenant: str) -> dict[str, str | bool]:
    project, other = rng.sample([f"{tenant}p{number}" for number in range(3)], 2)
    job = f"lab/{rng.randrange(1, 25)}/{SUBMIT}"
    user = rng.choice(("anna", "bob"))
    seconds = rng.choice(("500", "1000", "1000", "3000"))
    match words:
        case "transaction reservebudget":
            keyed = {"--job": job} if rng.random() < 0.6 else {}
            return {"--project": project, "--estimate": seconds, **keyed}
        case "transaction charge":
            given = {"--project": project, "--user": user, "--jobtime": rng.choice(("100", "500", "1500"))}
            start = {"--start": str(SUBMIT)}
            return {**given, **start, **({"--job": job} if rng.random() < 0.6 else {"--estimate": seconds})}
        case "transaction release":
            return {"--project": project, "--job": job}
        case "tenant payment":
            return {"--tenant": tenant, "--payment": rng.choice(("1", "13.5", "0.000001"))}
        case "tenant modify":
            return {"--tenant": tenant, "--credit": rng.choice(("0", "20", "50"))}
        case "project movebudget":
            kind = rng.choice(("t2p", "p2t", "p2p"))
            source = tenant if kind == "t2p" else project
            target = tenant if kind == "p2t" else other
            amount = {rng.choice(("--balance", "--balance", "--credit")): rng.choice(("10", "25", "3.000001"))}
            return {"--from": source, "--to": target, "--type": kind, **amount}
        case "user add":
            return {"--project": project, "--user": f"u{rng.randrange(5)}"}
        case "list":
            return {"--tenant": tenant}
        case _:
            return {"--project": project}
