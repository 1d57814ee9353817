"""The one shape of every answer, and its forms: JSON (pretty or one line), a table for eyes, CSV for spreadsheets."""

from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from dca.core import money
from dca.core.errors import DcaError
from dca.core.money import Decimal

FORMATS = ("json", "table", "csv")
INDENT = "    "


def decimal(text: str) -> Decimal:
    """Read back a decimal that this module wrote, of any size: hours of large imports pass what an amount may be."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    micro = int(whole) * money.MICRO + int(f"{fraction:0<6}")
    return Decimal(-micro if text.startswith("-") else micro)


def success(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap what a command answered."""
    return {"status": "success", "error": "no error", **answer}


def failure(error: DcaError) -> dict[str, Any]:
    """Wrap what went wrong."""
    return {"status": "failed", "error": error.sentence, "code": error.code, **error.facts}


def render(value: Any, *, mini: bool = False) -> str:
    """Return JSON text: exact decimals, keys in the order given, characters as they are."""
    return _mini(value) if mini else _pretty(value, "\n")


def _object(value: Mapping[str, Any]) -> str:
    named = [
        f"{encode_basestring(name)}:{_WRITERS.get(type(one), _other)(one)}"  # as _mini does, which would be a call more
        for name, one in value.items()
    ]
    return f"{{{','.join(named)}}}"


def _list(value: Sequence[Any]) -> str:
    return "[" + ",".join(map(_mini, value)) + "]"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: str,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    Decimal: lambda value: money.text(value.micro),
    dict: _object,
    list: _list,
    tuple: _list,
}


def _mini(value: Any) -> str:
    return _WRITERS.get(type(value), _other)(value)


def _other(value: Any) -> str:
    """Write what is none of the common types itself: a named tuple, or a text or number of a type of its own."""
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, (list, tuple)):
        return _list(value)
    return str(value) if isinstance(value, int) else encode_basestring(str(value))


def _pretty(value: Any, newline: str) -> str:
    inner = newline + INDENT
    if isinstance(value, Mapping) and value:
        return (
            "{"
            + ",".join(f"{inner}{encode_basestring(str(k))}: {_pretty(v, inner)}" for k, v in value.items())
            + newline
            + "}"
        )
    if isinstance(value, (list, tuple)) and value:
        if all(not isinstance(one, (Mapping, list, tuple)) for one in value):
            return "[" + ", ".join(map(_mini, value)) + "]"
        return "[" + ",".join(f"{inner}{_pretty(one, inner)}" for one in value) + newline + "]"
    return _mini(value)


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        cells = [_cell(one) for one in value]
        return (", " if any(" " in cell for cell in cells) else " ").join(cells)
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_cell(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return _mini(value)
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)


def table(envelope: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] | None, columns: Sequence[str] = ()) -> str:
    """Return an answer for people's eyes: what stands alone as 'name: value' lines, the rows as columns."""
    lines = []
    if envelope["status"] == "failed":
        lines.append(f"failed: {envelope['error']}")
    alone = {name: value for name, value in envelope.items() if name not in ("status", "error")}
    if rows is not None:
        lists = {name for name, value in alone.items() if isinstance(value, (list, tuple))}
        same = {
            name for name in lists if alone[name] == rows
        }  # the others say something else, unless rows are made of them
        alone = {name: value for name, value in alone.items() if name not in (same or lists)}
    for name, value in alone.items():
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            lines += [f"{name}:", *(f"  {line}" for line in _columns(value))]
        elif isinstance(value, Mapping):
            lines += [f"{name}.{inner}: {_cell(one)}" for inner, one in value.items()]
        else:
            lines.append(f"{name}: {_cell(value)}")
    if rows or (rows is not None and columns):
        if lines:
            lines.append("")
        lines += _columns(rows, columns)
    return "\n".join(lines) if lines else "done"


def _names(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Return the header: what the rows have, or would have if there were any."""
    return list(dict.fromkeys(name for row in rows for name in row)) or list(columns)


def _columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> list[str]:
    names = _names(rows, columns)
    right = {name for name in names if all(isinstance(row.get(name), (int, Decimal)) for row in rows)}
    cells = [[_cell(row.get(name, "")) for name in names] for row in rows]
    widths = [max([len(name), *(len(line[n]) for line in cells)]) for n, name in enumerate(names)]
    return [
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, names, strict=True)
        ).rstrip()
        for line in [names, ["-" * width for width in widths], *cells]
    ]


def csv(envelope: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] | None, columns: Sequence[str] = ()) -> str:
    """Return an answer for spreadsheets: its rows with a header; else its single values, however deep, as one row."""
    import csv as writer
    import io

    if rows is None:
        rows = [_flat(envelope)]
    names = _names(rows, columns)
    file = io.StringIO()
    sheet = writer.writer(file, lineterminator="\n")
    sheet.writerow(names)
    sheet.writerows([_harmless(row.get(name, "")) for name in names] for row in rows)
    return file.getvalue().rstrip("\n")


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return the values of objects within objects, each by its whole name."""
    flat: dict[str, Any] = {}
    for name, one in value.items():
        flat |= _flat(one, f"{path}{name}.") if isinstance(one, Mapping) else {f"{path}{name}": one}
    return flat


def _harmless(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    cell = _cell(value)
    if isinstance(value, str) and cell[:1] in ("=", "+", "-", "@"):
        return "'" + cell
    return cell
