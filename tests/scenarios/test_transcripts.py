"""Every transcript, on SQLite and on a real Elasticsearch; and that they show every command and every option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dca.commands.table import COMMANDS, OPTIONS_OF_ALL, OPTIONS_OF_CONFIRMED, Command, options_of
from tests.cli.shell import Shell
from tests.scenarios.transcript import STORES, Run, Step, Transcript, options_shown, read

HERE = Path(__file__).parent
SLURM = HERE.parent / "data" / "slurm"
FILES = sorted(HERE.glob("*.transcript"))
TRANSCRIPTS = [read(path) for path in FILES]
CASES = [(transcript, store) for transcript in TRANSCRIPTS for store in transcript.stores]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """Return the address of empty books in the store that the test is run on."""
    if request.param == "sqlite":
        return ""
    server, prefix = request.getfixturevalue("elasticsearch"), request.getfixturevalue("prefix")
    return f"{server.url}/{prefix}"


@pytest.mark.parametrize(
    ("transcript", "store"),
    CASES,
    ids=[f"{transcript.path.stem}-{store}" for transcript, store in CASES],
    indirect=["store"],
)
def test_transcript(transcript: Transcript, store: str, folder: Path) -> None:
    """What the transcript shows is what happens."""
    shell = Shell(folder, store)
    if transcript.stores == STORES:
        shell.ok("setup")
    Run(shell, SLURM).play(transcript)


def options(command: Command) -> set[str]:
    """Return the options that are a command's own: those of its usage, and what all changing or asking commands take."""
    asking = OPTIONS_OF_CONFIRMED if command.confirm else ()
    further = [one for one in options_of(command) if one not in OPTIONS_OF_ALL and one not in OPTIONS_OF_CONFIRMED]
    further += asking
    names = " ".join([command.usage, *(option.split()[-1] for option, _ in further)])
    return set(re.findall(r"--[a-z_-]+", names))


SHOWN = {shown for transcript in TRANSCRIPTS for shown in options_shown(transcript)}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_command_and_option_is_shown(command: Command) -> None:
    """Each command succeeds in some transcript, with each of its options in turn."""
    shown = {option for one, option in SHOWN if one == command}
    assert shown, f"no transcript shows dca {command.words}"
    missing = sorted(options(command) - shown)
    assert not missing, f"no transcript shows dca {command.words} with {', '.join(missing)}"


@pytest.mark.parametrize("option", [name for option, _ in OPTIONS_OF_ALL for name in option.partition("=")[0].split()])
def test_every_common_option_is_shown(option: str) -> None:
    """The options that all commands take stand in some transcript, each in both of its spellings."""
    assert option in {name for _, name in SHOWN}


def test_transcripts_are_readable() -> None:
    """Each file has a title of its own, and lines that fit on a screen but for the JSON of an answer."""
    titles = [transcript.title for transcript in TRANSCRIPTS]
    assert len(set(titles)) == len(titles)
    for transcript in TRANSCRIPTS:
        assert transcript.steps, f"{transcript.path.name} runs nothing"


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        (("1", "2"), True),
        (("1",), False),
        (("...",), True),
        (("1", "...", "2"), True),
        (("3", "..."), False),
        (("1", "2", "3"), False),
        (("...1", "2..."), True),
    ],
)
def test_a_wrong_answer_does_not_fit(expected: tuple[str, ...], fits: bool, folder: Path) -> None:  # noqa: FBT001
    """What stands below a command is compared line by line."""
    run = Run(Shell(folder), SLURM)
    assert run.matches(Step(1, "dca", "", expected), ["1", "2"]) is fits


def test_a_named_place_stays_what_it_was(folder: Path) -> None:
    """A name once bound fits only the same text again, and an unnamed place fits only its pattern."""
    run = Run(Shell(folder), SLURM)
    first, second = "20260101T000000-00000000", "20260101T000000-00000001"
    assert run.matches(Step(1, "dca", "", ("batch <batch:one> <batch>",)), [f"batch {first} {second}"])
    assert run.kept == {"batch:one": first}
    assert run.matches(Step(1, "dca", "", ("<batch:one>",)), [first])
    assert not run.matches(Step(1, "dca", "", ("<batch:one>",)), [second])
    assert not run.matches(Step(1, "dca", "", ("<batch>",)), ["none"])
    assert not run.matches(Step(1, "dca", "", ("<batch:two> <batch:two>",)), [f"{first} {second}"])


def test_a_change_where_none_may_be_is_found(folder: Path) -> None:
    """A step that may not change the books fails the transcript when they change."""
    path = folder / "list.transcript"
    path.write_text("# Lists.\n$ dca rate get -m\n...\n", encoding="utf-8")
    shell = Shell(folder)
    shell.ok("setup")
    shell.state = iter(("one", "two")).__next__  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="changed the books"):
        Run(shell, SLURM).play(read(path))
