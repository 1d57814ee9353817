"""Kinds of arguments: how the text of an option becomes a value; commands name these kinds in their annotations."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from dca.core import money, names
from dca.core.errors import UsageError
from dca.core.model import EVERYBODY
from dca.core.names import PAGE_SIZE_MAX, SECONDS_MAX, shown
from dca.core.permissions import check_login

Name: TypeAlias = str
Login: TypeAlias = str
Text: TypeAlias = str
Flag: TypeAlias = bool
Amount: TypeAlias = int
Seconds: TypeAlias = int
Count: TypeAlias = int
Days: TypeAlias = int
Size: TypeAlias = int
Jobs: TypeAlias = int
JobKey: TypeAlias = str
Move: TypeAlias = str
FileName: TypeAlias = str
Reference: TypeAlias = str
Sequence: TypeAlias = int
Kind: TypeAlias = str
Form: TypeAlias = str
Level: TypeAlias = int

FORMS = ("direct", "service")
"""Forms of a role on Elasticsearch: for those who talk to it themselves, or through a service only."""
MOVES = ("p2p", "t2p", "p2t")
CORES_MAX = 100_000_000
DAYS_MAX = 36_500
SEQUENCE_MAX = 10**15
KINDS = ("site", "rate", "tenant", "project", "association", "hold", "payment", "transaction", "role", "login")
"""Record kinds that can be asked for."""
JOBS_MIN, JOBS_MAX = 100, 10_000_000

_WHOLE = re.compile(r"[0-9]{1,30}", re.ASCII)


def whole(text: str, what: str, least: int, most: int, unit: str) -> int:
    """Read a whole number between two bounds."""
    if not _WHOLE.fullmatch(text.strip()):
        raise UsageError(f"{what} {shown(text)} is not a whole number of {unit}.")
    number = int(text)
    if not least <= number <= most:
        raise UsageError(f"{what} {shown(text)} is not between {least} and {most} {unit}.")
    return number


def text(given: str, what: str) -> str:
    """Take a text as it is, if every store can keep it: bytes that are no UTF-8 reach us as lone surrogates."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} {shown(given)} is not valid UTF-8.") from None
    return given


def file_name(given: str, what: str) -> str:
    """Take the name of a file; an empty one is none."""
    if not given:
        raise UsageError(f"{what} names no file.")
    return text(given, what)


def move(given: str, what: str) -> str:
    """Read which way a budget moves."""
    if given in MOVES:
        return given
    raise UsageError(f"{what} {shown(given)} is not known; write p2p, t2p or p2t.")


def kind(given: str, what: str) -> str:
    """Read a record kind."""
    if given in KINDS:
        return given
    raise UsageError(f"{what} {shown(given)} is not known; write one of {', '.join(KINDS)}.")


def form(given: str, what: str) -> str:
    """Read the form of a role."""
    if given in FORMS:
        return given
    raise UsageError(f"{what} {shown(given)} is not known; write direct or service.")


CONVERTERS: Mapping[str, Callable[[str, str], Any]] = {
    "Name": lambda text, what: text,
    "Login": lambda text, what: text if text == EVERYBODY else check_login(text),
    "Text": text,
    "Amount": money.parse,
    "Seconds": lambda text, what: whole(text, what, 0, SECONDS_MAX, "seconds"),
    "Count": lambda text, what: whole(text, what, 1, CORES_MAX, "cores"),
    "Days": lambda text, what: whole(text, what, 0, DAYS_MAX, "days"),
    "Size": lambda text, what: whole(text, what, 1, PAGE_SIZE_MAX, "records"),
    "Jobs": lambda text, what: whole(text, what, JOBS_MIN, JOBS_MAX, "jobs"),
    "JobKey": names.check_key,
    "Move": move,
    "FileName": file_name,
    "Sequence": lambda text, what: whole(text, what, 1, SEQUENCE_MAX, "entries"),
    "Kind": kind,
    "Form": form,
    "Level": lambda text, what: whole(text, what, 1, 99, "levels"),
    "Reference": lambda text, what: names.check_reference(text),
}


@cache
def parameter(option: str) -> str:
    """Return the name of the parameter that takes an option: --older-than -> older_than, --from -> from_."""
    plain = option.strip("-<>").replace("-", "_").lower()
    return f"{plain}_" if plain in ("from", "all", "names") else plain


@cache
def kinds(function: Callable[..., Any]) -> dict[str, str]:
    """Return the kind of each parameter of a command."""
    return {name: str(annotation).partition(" |")[0] for name, annotation in function.__annotations__.items()}


def convert(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the texts of given options into what a command's parameters want; options not given are left out."""
    known = kinds(function)
    values: dict[str, Any] = {}
    for option, value in given.items():
        if value is None or value is False:
            continue
        name = parameter(option)
        values[name] = True if value is True else CONVERTERS[known[name]](value, option)
    return values
