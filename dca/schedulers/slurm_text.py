"""What sacct -P writes: one record a line, but for the delimiters and line breaks that users put into names."""

from collections.abc import Iterable, Iterator
from itertools import chain

from dca.core.errors import UsageError
from dca.schedulers.job import CONTINUED, EMPTY, Item, Job, Rejected, Skipped
from dca.schedulers.slurm_columns import Layout, header_names, layout_of
from dca.schedulers.slurm_fields import Records
from dca.schedulers.stream import Block

HELD_LINES_MAX = 100
HELD_CHARACTERS_MAX = 1 << 20

_BLANKS = " \t\r"
_CUT_SHORT = "the record was cut short: it lacks its last columns."
_ONE_OR_TWO = "these lines are one record with a line break in a name, or two; take the log without names."


class _Lines:
    """Turns the lines of one log into items, exactly one item for each line but the header.

    A line that may be only a part of a record is held until later lines show what it is. Where names can stand left of
    what is needed, even a line that reads well is held until the next one begins a record: a name
    with enough delimiters and a line break in it makes a line that looks whole and is not.
    """

    def __init__(self, layout: Layout, zone: str) -> None:
        self._layout = layout
        self._records = Records(layout, zone)
        self._wary = bool(layout.free) and layout.free != [layout.width - 1]
        self._held: list[tuple[int, str]] = []
        self._kept: Item | None = None
        """What the first held lines are, if no further one belongs to them."""
        self._kept_lines = 0
        self._joins: list[int] = []
        """How many of the first held lines, more than are kept, would be another record than the kept one."""
        self._why = _CUT_SHORT
        """Why the held lines are refused if they turn out to be no record."""
        self._loose = 0
        """The last line that neither was a record nor belonged to one."""

    def read(self, number: int, pieces: Iterable[Block]) -> Iterator[Item]:
        """Yield the items of all lines after the one with that number."""
        delimiter, width, item_of = self._layout.delimiter, self._layout.width, self._records.item
        self._loose = number
        for block in pieces:
            self._records.ended = block.ended
            for line in block.lines:
                number += 1
                fields = line.split(delimiter)
                if len(fields) == width and len(self._held) == self._kept_lines:
                    item = item_of(number, line, fields)
                    if type(item) is not Rejected:
                        if self._wary:
                            yield from self._confirmed()
                            self._keep(item, [(number, line)])
                        else:
                            yield item
                        continue
                yield from self._odd(number, line)
        yield from self._given_up()

    def _odd(self, number: int, line: str) -> Iterator[Item]:
        """Yield what follows from a line that is not simply a record after a record."""
        fields = line.split(self._layout.delimiter)
        if not line.strip(_BLANKS):
            yield from self._hold(number, line) if self._held else [self._blank(number)]
            return
        if (names := header_names(fields)) and self._is_layout(names):
            yield from self._given_up()
            yield self._header_again(number, names)
            return
        straight = self._records.item(number, line, fields.copy()) if len(fields) == self._layout.width else None
        alone = straight if isinstance(straight, Job | Skipped) else self._records.reading(number, line)
        if self._kept is not None:
            yield from self._with_kept(number, line, alone)
            if self._held[-1:] == [(number, line)]:
                return
        if self._held:
            yield from self._after_held(number, line, alone)
        elif alone is not None:
            yield from self._settled(alone, [(number, line)])
        elif self._layout.may_begin(fields):
            self._why = straight.reason if isinstance(straight, Rejected) else _CUT_SHORT
            self._held.append((number, line))
        elif self._loose != number - 1 and self._continues(line):
            yield Skipped(number, CONTINUED)
        else:
            self._loose = number
            yield straight or Rejected(number, self._unlike(fields), line)

    def _blank(self, number: int) -> Item:
        if self._loose == number - 1:
            self._loose = number
        return Skipped(number, EMPTY)

    def _is_layout(self, names: list[str]) -> bool:
        """Tell whether names are those of a whole log, not a job's name that looks like some."""
        try:
            Layout(names, self._layout.delimiter)
        except UsageError:
            return False
        return True

    def _header_again(self, number: int, names: list[str]) -> Item:
        """Pass over the same header, as in logs that were put one behind the other; refuse another one."""
        if names != self._layout.columns:
            raise UsageError(f"line {number} is a header with other columns; import the two logs one after the other.")
        self._loose = number
        return Skipped(number, EMPTY)

    def _with_kept(self, number: int, line: str, alone: Item | None) -> Iterator[Item]:
        """Let a line decide about a record that is kept; it is itself held where it could belong to that record."""
        whole = [*self._held, (number, line)]
        if alone is not None:
            yield from self._decided(len(self._held))
        elif complete := self._tried(whole, self._kept_lines):
            yield from self._decided(complete[0][0])
        else:
            joined = self._records.reading(whole[0][0], _joined(whole))
            if joined is not None and not _same(self._kept, joined):
                self._joins.append(len(whole))
            elif self._kept_lines == len(self._held) and self._continues(line):
                self._kept_lines += 1
            yield from self._hold(number, line)

    def _after_held(self, number: int, line: str, alone: Item | None) -> Iterator[Item]:
        """Decide whether a line completes a record that is held, or stands for itself.

        Each held line that looks like a beginning is tried as one. If all that can be read says the same, the shortest
        reading is taken and the lines before it are refused; if not, nobody can know what is true and all is refused.
        """
        whole = [*self._held, (number, line)]
        readings = self._tried(whole, 0)
        if alone is not None:
            readings.append((len(self._held), alone))
        if not readings:
            yield from self._hold(number, line)
            return
        self._held.clear()
        index, item = readings[-1]
        if all(_same(item, other) for _, other in readings[:-1]):
            yield from self._refused(whole[:index], self._why)
            yield from self._settled(item, whole[index:])
        else:
            yield from self._refused(whole[:-1], _ONE_OR_TWO)
            yield Rejected(number, _ONE_OR_TWO, line)

    def _tried(self, lines: list[tuple[int, str]], least: int) -> list[tuple[int, Item]]:
        """Return what lines are as one record from each, but the last, at which one could begin; nothing if none is."""
        may_begin, delimiter = self._layout.may_begin, self._layout.delimiter
        starts = [
            index
            for index, (_, line) in enumerate(lines[:-1])
            if index >= least and line.strip(_BLANKS) and may_begin(line.split(delimiter))
        ]
        found = [(index, self._records.reading(lines[index][0], _joined(lines[index:]))) for index in starts]
        return [(index, item) for index, item in found if item is not None]

    def _hold(self, number: int, line: str) -> Iterator[Item]:
        """Keep a line that may be a part of a record, but never more than a record can have."""
        if len(self._held) >= HELD_LINES_MAX or sum(len(held) for _, held in self._held) > HELD_CHARACTERS_MAX:
            yield from self._given_up()
        self._held.append((number, line))

    def _keep(self, item: Item | None, lines: list[tuple[int, str]]) -> None:
        self._kept, self._kept_lines, self._joins, self._held = item, len(lines) if item else 0, [], lines

    def _settled(self, item: Item, lines: list[tuple[int, str]]) -> Iterator[Item]:
        """Yield what some lines are together, or keep it until it is clear that no more lines belong to it."""
        if self._wary and not isinstance(item, Rejected):
            self._keep(item, lines)
        else:
            yield item
            yield from (Skipped(number, CONTINUED) for number, _ in lines[1:])

    def _confirmed(self) -> Iterator[Item]:
        """Yield the record that is kept; the lines held after it are none of its own."""
        if self._kept is not None:
            yield self._kept
            yield from (Skipped(number, CONTINUED) for number, _ in self._held[1 : self._kept_lines])
            self._keep(None, self._held[self._kept_lines :])

    def _decided(self, limit: int) -> Iterator[Item]:
        """Yield the kept record, or refuse it where it and more lines, up to so many, can be another one."""
        if joins := [count for count in self._joins if count <= limit]:
            both = self._held[: joins[-1]]
            self._keep(None, self._held[joins[-1] :])
            yield from self._refused(both, _ONE_OR_TWO)
        yield from self._confirmed()

    def _given_up(self) -> Iterator[Item]:
        """Let go of all lines that are held, as no further one belongs to them."""
        yield from self._decided(len(self._held))
        lines, self._held = self._held, []
        yield from self._refused(lines, self._why)
        self._why = _CUT_SHORT

    def _refused(self, lines: list[tuple[int, str]], reason: str) -> Iterator[Item]:
        """Refuse lines as one; blank ones around them are only blank."""
        filled = [index for index, (_, line) in enumerate(lines) if line.strip(_BLANKS)]
        for index, (number, _) in enumerate(lines):
            self._loose = number
            if not filled or not filled[0] <= index <= filled[-1]:
                yield Skipped(number, EMPTY)
            elif index == filled[0]:
                yield Rejected(number, reason, _joined(lines[index : filled[-1] + 1]))
            else:
                yield Skipped(number, CONTINUED)

    def _continues(self, line: str) -> bool:
        """Tell whether a line after a record is surely the rest of the name in its last column."""
        layout = self._layout
        fields = line.split(layout.delimiter)
        last_is_free = layout.free[-1:] == [layout.width - 1]
        return last_is_free and len(fields) < layout.width and layout.cannot_begin(fields)

    def _unlike(self, fields: list[str]) -> str:
        found, wanted = len(fields), self._layout.width
        if found > wanted and self._layout.free:
            return "the fields do not look like those of their columns."
        return f"the line has {found} fields, not {wanted}: it was cut, or a name holds a delimiter or a line break."


def _joined(lines: list[tuple[int, str]]) -> str:
    return "\n".join(line for _, line in lines)


def _same(one: Item | None, other: Item) -> bool:
    """Tell whether two readings say the same, wherever they begin."""
    if isinstance(one, Job) and isinstance(other, Job):
        return one._replace(line=0, text="") == other._replace(line=0, text="")
    return isinstance(one, Skipped) and isinstance(other, Skipped) and one.reason == other.reason


def read_text(pieces: Iterable[Block], *, zone: str, delimiter: str) -> Iterator[Item]:
    """Yield what a log of sacct -P, or one without a header as Open XDMoD takes it, holds."""
    if not delimiter or "\n" in delimiter:
        raise UsageError("the delimiter is one or several characters, and no line break.")
    pieces = iter(pieces)
    number = 0
    for block in pieces:
        for index, line in enumerate(block.lines):
            number += 1
            if line.strip(_BLANKS):
                layout = layout_of(line, delimiter)
                begin = index + bool(header_names(line.split(delimiter)))
                rest = Block(block.lines[begin:], block.ended)
                yield from _Lines(layout, zone).read(number - index + begin - 1, chain([rest], pieces))
                return
            yield Skipped(number, EMPTY)
    raise UsageError("the log is empty: it holds no header and no records, which is what a failed sacct leaves.")
