"""A checker of concurrent histories: it looks for an order of all commands that explains each answer and respects time.

The log of a tenant gives the order of the commands that changed something. The store in memory is the sequential model:
commands are given to it in that order, and each must answer as it did in reality. Whoever only asked, or was refused,
must have been answered from the books as they stood after some number of entries; and a command that began after
another one had ended must not come before it. If such numbers can be chosen for all, the history is linearisable.
"""

from __future__ import annotations

import heapq
import json
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.commands.table import BY_WORDS
from dca.core.errors import BusyError, OutcomeUnknownError, RefusedError, UnreachableError
from dca.store.port import records_of
from dca.store.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dca.store.port import Entry
    from tests.model.side import Outcome, Side
    from tests.model.steps import Step

FOR_EVER = 2**63
REFUSED, BUSY, UNKNOWN = RefusedError.exit_status, BusyError.exit_status, OutcomeUnknownError.exit_status
UNREACHABLE = UnreachableError.exit_status
NOTHING_CHANGED = {REFUSED, UNREACHABLE, BUSY}
UNSAID = {"repeated", "author", "next"}
"""What an answer may say in one way or another."""


class Event(NamedTuple):
    """A command as the process that ran it saw it; times on one clock of the machine."""

    process: int
    step: Step
    call: int
    end: int = FOR_EVER
    status: int | None = None
    """Exit status; None for a process that was killed."""
    answer: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        """Say what it was."""
        said = json.dumps(self.answer)[:200]
        return f"process {self.process}: {self.step.text} [{self.call}, {self.end}] -> {self.status} {said}"


class Place(NamedTuple):
    """Where an event may stand: after how many entries of the log, and whether it is the last of them itself."""

    event: Event
    allowed: Sequence[int]
    wrote: bool = False


def places_in_time(places: Sequence[Place]) -> dict[int, int]:
    """Choose a place for each event, so that none that began after another's end comes before it; say where none fits.

    Each gets the first place that is possible: a later one would only leave less to those that follow.
    """
    chosen: dict[int, int] = {}
    ended: list[tuple[int, int, int]] = []
    least, last = 0, ""
    for number, place in sorted(enumerate(places), key=lambda item: item[1].event.call):
        while ended and ended[0][0] < place.event.call:
            _, at, earlier = heapq.heappop(ended)
            if at > least:
                least, last = at, places[earlier].event.text
        first = least + place.wrote
        here = next((one for one in place.allowed if one >= first), None)
        assert here is not None, (
            f"no place after entry {first - place.wrote} explains\n  {place.event.text}\nwhich began after\n  {last}\n"
            f"its places would be {list(place.allowed)}"
        )
        chosen[number] = here
        heapq.heappush(ended, (place.event.end, here, number))
    return chosen


def check(events: Sequence[Event], entries: Sequence[Entry], model: Side, folder: Path) -> int:
    """Check the history of one tenant against its log, from the entries on that the model does not hold yet.

    Return how many answers were explained.
    """
    wrote = _writers(events, entries)
    _nobody_is_lost(events, wrote)
    known = len(model.store.entries(entries[0].stream, 1, FOR_EVER)) if entries else 0
    positions: dict[int, list[int]] = {number: [] for number in range(len(events)) if number not in wrote.values()}
    floor, ceiling = _windows(events, {number: position for position, number in wrote.items()}, len(entries))
    for position in range(known, len(entries) + 1):
        if position > known:
            _write(events[wrote[position]], entries[position - 1], model, folder, position)
        for number, found in positions.items():
            event = events[number]
            here = event.status is not None and floor[number] <= position <= ceiling[number]
            if here and _explains(event, model, folder, entries[position - 1].time if position else 0):
                found.append(position)
    places = [Place(events[number], [position], wrote=True) for position, number in wrote.items()]
    places += [
        Place(events[number], found) for number, found in positions.items() if events[number].status in (0, REFUSED)
    ]
    places_in_time(places)
    return len(places)


def _writers(events: Sequence[Event], entries: Sequence[Entry]) -> dict[int, int]:
    """Return for the position of each entry the number of the event that wrote it, known by the key."""
    by_key: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        by_key.setdefault(event.step.key, []).append(number)
    wrote: dict[int, int] = {}
    taken: dict[str, int] = {}
    for position, entry in enumerate(entries, 1):
        kept: list[Any] = records_of(entry.changes, KEY)
        for key in (one.key for one in kept):
            if key not in by_key:
                continue
            assert key not in taken, f"{key} was done twice: by entries {taken[key]} and {position}"
            taken[key] = position
            wrote[position] = _author(by_key[key], events)
    return wrote


def _author(numbers: Sequence[int], events: Sequence[Event]) -> int:
    """Return which of several events with one key did it: the one that does not say that it was done already."""
    done = [one for one in numbers if events[one].status == 0 and "repeated" not in events[one].answer]
    if len(numbers) == 1 and events[numbers[0]].status == 0:  # a job that was charged already: the new key is kept, too
        alone = events[numbers[0]]
        assert done or "--job" in alone.step.options, f"it was told that it was done before, by nobody: {alone.text}"
        return numbers[0]
    assert len(done) <= 1, f"two were told that they did the same: {[events[one].text for one in done]}"
    unsure = [one for one in numbers if events[one].status in (None, UNKNOWN)]
    assert done or unsure, f"nobody says to have done {events[numbers[0]].step.key}, which is in the log"
    return (done or unsure)[0]


def _nobody_is_lost(events: Sequence[Event], wrote: Mapping[int, int]) -> None:
    """Check that what was acknowledged is in the log, and what was not taken is not."""
    writers = set(wrote.values())
    for number, event in enumerate(events):
        if event.status is None or event.status == UNKNOWN:
            continue
        changed = BY_WORDS[event.step.words].changes and "repeated" not in event.answer
        assert event.status == 0 or event.status in NOTHING_CHANGED, f"that is no answer here: {event.text}"
        assert event.status != 0 or not changed or number in writers, f"acknowledged and not in the log: {event.text}"
        assert event.status == 0 or number not in writers, f"not taken, and yet in the log: {event.text}"


def _windows(
    events: Sequence[Event], positions: Mapping[int, int], entries: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Return between which numbers of entries each event can stand, by the events that wrote before and after it."""
    by_end = sorted((events[number].end, position) for number, position in positions.items())
    by_call = sorted(((events[number].call, position) for number, position in positions.items()), reverse=True)
    floor, ceiling = {}, {}
    ended = iter([*by_end, (FOR_EVER, 0)])
    end, position = next(ended)
    least = 0
    for number in sorted(range(len(events)), key=lambda one: events[one].call):
        while end < events[number].call:
            least = max(least, position)
            end, position = next(ended)
        floor[number] = least
    called = iter([*by_call, (-1, 0)])
    call, position = next(called)
    most = entries
    for number in sorted(range(len(events)), key=lambda one: -events[one].end):
        while call > events[number].end:
            most = min(most, position - 1)
            call, position = next(called)
        ceiling[number] = most
    return floor, ceiling


def _write(event: Event, entry: Entry, model: Side, folder: Path, position: int) -> None:
    """Let the model do what an entry did, and compare the answers."""
    outcome = _ask(event.step, model, entry.time, folder)
    assert outcome.ok, (
        f"entry {position} was written, and in its place the model refuses it: {outcome.text}\n{event.text}"
    )
    (ours,) = model.store.entries(entry.stream, position, 1)
    assert ours.changes == entry.changes, f"entry {position} changes something else than the model:\n{event.text}"
    if event.status == 0:
        said = plain(json.loads(outcome.text))
        assert plain(event.answer) == said, f"entry {position} was answered\n  {event.text}\nby the model\n  {said}"


def _explains(event: Event, model: Side, folder: Path, now: int) -> bool:
    """Tell whether the model, as it stands, answers as it was answered in reality."""
    changes = BY_WORDS[event.step.words].changes
    outcome = _ask(event.step._replace(dry_run=changes), model, now, folder)
    if event.status == 0 and changes:  # done before, by whoever had the same key
        return outcome.ok and "repeated" in outcome.answer
    said = json.loads(outcome.text)
    return outcome.ok == (event.status == 0) and plain(said) == plain(event.answer)


_numbers = count()


def _ask(step: Step, model: Side, now: int, folder: Path) -> Outcome:
    drawn = next(_numbers)
    return model.run(step, now, lambda: f"model-{drawn}", folder)


def plain(said: Any) -> Any:
    """Return an answer without what may be said in one way or another."""
    if isinstance(said, dict):
        return {name: plain(value) for name, value in said.items() if name not in UNSAID}
    return [plain(one) for one in said] if isinstance(said, list) else said
