"""A good call of every command, on small books made for them; the tests spoil these calls one option at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.bootstrap import login
from dca.commands.arguments import parameter
from dca.commands.table import BY_WORDS, COMMANDS, Command, function, options_of
from dca.store import checkpoint, export
from tests.cli import keys
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

JOBS = """\
JobIDRaw|Cluster|User|Account|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes
1|lab|ada|rockets|COMPLETED|2025-03-01T11:00:00|2025-03-01T12:00:00|2025-03-01T12:00:10|10|2|1
"""
HOLDS = '{"project":"rockets","estimate":5,"cores":2,"user":"ada","job":"lab/1/1","key":"h"}\n'
CHARGES = (
    '{"project":"rockets","user":"ada","jobtime":5,"estimate":"5","start":"2025-03-01 12:00:00","job":"lab/2/2"}\n'
)
FILES = {"jobs.txt": JOBS, "holds.jsonl": HOLDS, "charges.jsonl": CHARGES}
BATCH = "@batch"
"""Stands for the batch of the import that the books begin with."""
PERIOD = "2025-01-01,2025-12-31"
MARK = "@mark"
"""Stands for the mark of a page of the command's own list."""

MOMENT = "@moment"
"""Stands for the moment of the last entry of the books."""
COMMIT = "@commit"
"""Stands for the commit of that entry."""

BOOKS = (
    ("setup", "--timezone=Europe/Berlin", "--cluster=lab"),
    ("rate", "set", "--rate=3600"),
    ("tenant", "add", "--tenant=acme", "--credit=50"),
    ("tenant", "payment", "--tenant=acme", "--payment=1000"),
    ("tenant", "add", "--tenant=idle"),
    ("project", "add", "--project=rockets", "--tenant=acme", "--balance=500", "--credit=20"),
    ("project", "add", "--project=kites", "--tenant=acme", "--balance=100"),
    ("project", "add", "--project=unused", "--tenant=acme"),
    ("user", "add", "--project=rockets", "--user=ada"),
    ("user", "add", "--project=rockets", "--user=bob"),
    ("transaction", "reservebudget", "--project=rockets", "--estimate=10"),
    ("transaction", "reservebudget", "--project=rockets", "--estimate=20", "--job=lab/9/1740826800"),
    ("transaction", "charge", "--project=rockets", "--user=ada", "--jobtime=5", "--start=1740830400"),
    ("role", "create", "--role=night", "--commands=list", "--level=20"),
    ("role", "grant", "--role=root", f"--login={login()}"),
    ("role", "grant", "--role=viewer", "--login=ada", "--tenant=acme"),
    ("job", "import", "jobs.txt"),
)


class Call(NamedTuple):
    """One way to call a command: its options with their values (None for those that take none), and what follows them."""

    command: Command
    options: dict[str, str | None]
    rest: tuple[str, ...] = ()

    def words(self, *, apart: bool = False, **replaced: str | None) -> list[str]:
        """Return the words of the call, each option and its value as one word or apart, some values replaced."""
        spoken = self.command.words.split()
        for option, value in self.options.items():
            chosen = replaced.get(parameter(option), value)
            if chosen is None:
                spoken.append(option)
            else:
                spoken += [option, chosen] if apart else [f"{option}={chosen}"]
        return [*spoken, *self.rest]

    def without(self, option: str) -> Call:
        """Return the call without one of its options."""
        return self._replace(options={name: value for name, value in self.options.items() if name != option})


def _call(words: str, *rest: str, **options: str | None) -> Call:
    known = {parameter(option): option for option in takes(BY_WORDS[words])}
    return Call(BY_WORDS[words], {known[name]: value for name, value in options.items()}, rest)


def takes(command: Command) -> dict[str, bool]:
    """Return the long options that a command takes, and whether each has a value."""
    text = " ".join([command.usage, *(option for option, _ in options_of(command))])
    return {name: bool(value) for name, value in re.findall(r"(--[a-z_-]+)(=<)?", text)}


CALLS = (
    _call("tenant add", tenant="new", credit="5"),
    _call("tenant disable", "-y", tenant="idle"),
    _call("tenant modify", tenant="acme", credit="60.5"),
    _call("tenant payment", tenant="acme", payment="0.000001", reference="invoice 1"),
    _call("project add", project="new", tenant="acme", balance="10", credit="1"),
    _call("project disable", "-y", project="unused"),
    _call("project movebudget", from_="acme", to="rockets", balance="1", credit="1", type="t2p"),
    _call("project show", project="rockets", needs="10", cores="2", as_of=MOMENT),
    _call("user add", project="rockets", user="carol"),
    _call("user delete", project="rockets", user="ada"),
    _call("list", tenant="acme", project="rockets", user="ada", all_=None, as_of=MOMENT),
    _call("rate set", rate="0.05"),
    _call("rate get", history=None, as_of=MOMENT),
    _call("transaction reservebudget", project="rockets", estimate="5", cores="2", user="ada", job="lab/1/1"),
    _call(
        "transaction charge",
        project="rockets",
        user="ada",
        jobtime="5",
        estimate="5",
        start="2025-03-01 12:00:00",
        cores="2",
        job="lab/2/2",
    ),
    _call("transaction release", project="rockets", job="lab/9/1740826800"),
    _call("transaction release", hold="acme:8:0"),
    _call("transaction release", all_=None, older_than="0", tenant="acme"),
    _call(
        "transaction holds",
        tenant="acme",
        project="rockets",
        user="ada",
        older_than="0",
        limit="10",
        after=MARK,
        as_of=MOMENT,
    ),
    _call(
        "transaction list",
        tenant="acme",
        project="rockets",
        user="ada",
        job="lab/1/1740826800",
        batch=BATCH,
        time_period=PERIOD,
        limit="10",
        after=MARK,
    ),
    _call("bill generate", project="rockets", time_period=PERIOD),
    _call(
        "job import",
        "jobs.txt",
        input_format="slurm",
        cluster="alps",
        timezone="UTC",
        unit="node-hours",
        delimiter="|",
        tenant="acme",
        create_missing=None,
        rejects="rejected.txt",
    ),
    _call("job undo", "-y", batch=BATCH),
    _call(
        "log list",
        tenant="acme",
        project="rockets",
        actor="root",
        category="user",
        action="add",
        commit="0" * 24,
        time_period=PERIOD,
        limit="10",
        after=MARK,
    ),
    _call("doctor"),
    _call("log show", stream="t:acme", seq="8"),
    _call("log show", commit=COMMIT),
    _call("log show", as_of=MOMENT, kind="hold", tenant="acme", project="rockets", limit="10", after=MARK),
    _call("backup", "new.backup", overwrite=None),
    _call("backup check", "good.backup"),
    _call("restore", "good.backup"),
    _call("store copy", to="sqlite:copy.db", to_config="other.toml"),
    _call("log verify", file="good.backup"),
    _call("log verify", checkpoint="good.checkpoint", public_key="good.key.pub"),
    _call("log repair", "-y"),
    _call("log checkpoint", "new.checkpoint", overwrite=None),
    _call("bench", quick=None, only="one", jobs="100"),
    _call("role list"),
    _call("role show", role="night"),
    _call("role install", form="direct"),
    _call("role create", role="day", commands="transaction *,list", level="30", tenant="acme", form="service"),
    _call("role create", role="dusk", like="viewer", project="rockets"),
    _call("role modify", role="night", commands="list", level="30"),
    _call("role delete", "-y", role="night"),
    _call("role grant", role="operator", login="slurm", tenant="acme"),
    _call("role grant", role="viewer", login="slurm", project="rockets"),
    _call("role revoke", role="viewer", login="ada", tenant="acme"),
    _call("login add", login="slurm", role="operator", tenant="acme"),
    _call("login add", login="hook", role="operator", project="rockets"),
    _call("login disable", "-y", login="ada"),
    _call("login delete", "-y", login="ada"),
    _call("login list"),
    _call("whoami"),
    _call("config show"),
    _call("setup", names_="extended", timezone="UTC", cluster="alps"),
    _call("setup", "-y", wipe=None),
)
"""Good calls: each option of each command stands in one of them."""


OF_LINES = (
    _call("transaction reservebudget", file="holds.jsonl"),
    _call("transaction charge", file="charges.jsonl"),
)
"""Calls that answer each line of a file on a line: tests/lines shows how."""

ON_ELASTICSEARCH = (
    _call("login add", login="slurm", no_password=None),
    _call("login password", login="ada"),
    _call("login key", login="ada", expires="30"),
    _call("login key", login="ada", revoke=None),
    _call("role revoke", role="viewer", login="ada", project="rockets"),
)
"""Calls that are refused here: SQLite has no passwords and keys, and the viewer above has no role on a project."""


def put_files(folder: Path) -> None:
    """Put the files that the calls name into a folder."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "other.toml").touch()
    (folder / "good.key").write_text(keys.PRIVATE, encoding="utf-8")
    (folder / "good.key.pub").write_text(keys.PUBLIC, encoding="utf-8")
    signed = checkpoint.Checkpoint(1, "nowhere", {}).signed(checkpoint.private_key(folder / "good.key"))
    checkpoint.write(folder / "good.checkpoint", signed, overwrite=True)
    export.write(folder / "good.backup", export.Start(1, 1, "nowhere", signed=False), lambda _: None)


def place(call: Call, shell: Shell) -> Shell:
    """Return the books that a call is good on: those that were made, or empty ones."""
    return Shell(shell.folder, f"sqlite:{shell.folder / 'empty.db'}") if call.command.words == "restore" else shell


def make(shell: Shell, *, closed: bool = True) -> dict[str, str]:
    """Make the books that the calls are for, closed to all other logins or not; return what stands for what in them."""
    put_files(shell.folder)
    answers: dict[str, Any] = {}
    for words in BOOKS if closed else [words for words in BOOKS if words[:2] != ("role", "grant")]:
        answers = shell.ok(*words)
    places = {BATCH: answers["batch"]}
    for listing in ("transaction holds", "transaction list", "log list"):
        places[f"{MARK} {listing}"] = shell.ok(*listing.split(), "--limit=1")["next"]
    (last,) = shell.ok("log", "list", "--limit=1")["log"]
    places |= {MOMENT: last["time"], COMMIT: last["commit"]}
    places[f"{MARK} log show"] = shell.ok("log", "show", f"--as-of={last['time']}", "--limit=1")["next"]
    return places


def filled(call: Call, places: dict[str, str]) -> Call:
    """Return a call with the batch, the moment, the commit and the mark that the books have."""
    known = {name: places[name] for name in (BATCH, MOMENT, COMMIT)}
    known[MARK] = places.get(f"{MARK} {call.command.words}", "")
    return call._replace(options={name: known.get(value or "", value) for name, value in call.options.items()})


def kind(command: Command, option: str) -> str:
    """Return which kind of argument an option takes: Name, Amount, Text ..."""
    if command.lines and option == "--file":
        return "FileName"
    if option == "--as-of":
        return "Text"  # the engine's
    annotation = function(command.does).__annotations__[parameter(option)]
    return str(annotation).partition(" |")[0]


def required(command: Command) -> list[str]:
    """Return the options that a command does not work without, where it has one form only."""
    if "|" in command.usage:
        return []
    return re.findall(r"--[a-z_-]+", re.sub(r"\[[^\]]*\]", "", command.usage))


def uncalled() -> dict[str, set[str]]:
    """Return the options of the table that stand in no call, by command; '' for a command without any call."""
    called: dict[str, set[str]] = defaultdict(set)
    for call in (*CALLS, *OF_LINES, *ON_ELASTICSEARCH):
        called[call.command.words] |= {"", *call.options}
    own = {command.words: {"", *re.findall(r"--[a-z_-]+", command.usage)} for command in COMMANDS}
    return {words: options - called[words] for words, options in own.items() if options - called[words]}
