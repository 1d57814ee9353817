"""Time: instants are whole milliseconds since 1970 in UTC; a zone turns them into days and back.

Nothing here reads a clock: the present is always passed in.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from dca.core.errors import UsageError
from dca.core.names import shown

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
INSTANT_MAX = 253_402_300_800 * SECOND - 1
YEAR_MIN = 1970
YEAR_MAX = 9998

LAST = {"last_day": DAY, "last_week": 7 * DAY, "last_month": 30 * DAY}

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EPOCH = re.compile(r"[0-9]{9,12}", re.ASCII)
"""Since 1973 epoch seconds have had nine digits; fewer are a date without its dashes."""
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_LOCAL_HOUR = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2})", re.ASCII)
_PAST_HOUR = re.compile(r":([0-5][0-9]):([0-5][0-9])", re.ASCII)
_HOUR_LENGTH, _LOCAL_LENGTH = len("YYYY-MM-DDTHH"), len("YYYY-MM-DDTHH:MM:SS")
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _UTC_EPOCH.replace(tzinfo=None)


class Period(NamedTuple):
    """A stretch of time: from its begin, inclusive, to its end, exclusive, in milliseconds."""

    begin: int
    end: int


class Day(NamedTuple):
    """A calendar day in some zone: its date and the instants between which it lies."""

    date: str
    begin: int
    end: int


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """Return the zone of that IANA name (UTC, Europe/Berlin ...)."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError; a folder or a strange name are these
        pass
    except KeyError:
        pass
    raise UsageError(f"time zone {shown(name)} is not known; write an IANA name such as UTC or Europe/Berlin.")


def milliseconds(moment: datetime) -> int:
    """Return the instant of an aware datetime, exactly."""
    return (moment - _UTC_EPOCH) // timedelta(milliseconds=1)


def iso(instant: int) -> str:
    """Show an instant in UTC: 2026-11-23T00:00:00Z, with milliseconds where it has any; nothing for 0."""
    if instant == 0:
        return ""
    seconds, rest = divmod(instant, SECOND)
    return f"{_second(seconds)}.{rest:03d}Z" if rest else f"{_second(seconds)}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    """Show epoch seconds in UTC, without its name: most of what is answered happened in a few of them."""
    return (_NAIVE_EPOCH + timedelta(seconds=seconds)).isoformat()


def local_text(instant: int, zone_name: str) -> str:
    """Show an instant as local time of a zone, with its offset: 2026-11-23 01:00:00 +0100."""
    return datetime.fromtimestamp(instant / SECOND, zone(zone_name)).strftime("%Y-%m-%d %H:%M:%S %z")


def _localized(naive: datetime, place: tzinfo, text: str) -> datetime:
    """Place a wall-clock time in its zone: the first of two that read alike; one that no clock showed is an error."""
    moment = naive.replace(tzinfo=place)
    if moment.astimezone(UTC).astimezone(place).replace(tzinfo=None) != naive:
        raise UsageError(
            f"the time {shown(text)} does not exist in the zone {place}: the clocks were set forward over it."
        )
    return moment


def instant(text: str, zone_name: str, what: str = "time") -> int:
    """Read an instant: epoch seconds, or YYYY-MM-DD HH:MM:SS in the zone given, or with an offset of its own."""
    plain = text.strip()
    if _EPOCH.fullmatch(plain):
        return _in_range(int(plain) * SECOND, text, what)
    match = _MOMENT.fullmatch(plain)
    if match is None:
        raise UsageError(
            f"{what} {shown(text)} is not understood; write YYYY-MM-DD HH:MM:SS (zone {zone_name}) or epoch seconds."
        )
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        naive = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 -- the zone is put on below
        offset = match.group(7)
        if offset:
            moment = datetime.strptime(f"{naive:%Y-%m-%d %H:%M:%S} {offset}", "%Y-%m-%d %H:%M:%S %z")
        else:
            moment = _localized(naive, zone(zone_name), text)
    except OverflowError:
        return _in_range(-1, text, what)
    except ValueError:
        raise UsageError(f"{what} {shown(text)} is no date or time that exists.") from None
    return _in_range(milliseconds(moment), text, what)


def _in_range(value: int, text: str, what: str) -> int:
    if 0 < value <= INSTANT_MAX:
        return value
    raise UsageError(f"{what} {shown(text)} lies outside the years {YEAR_MIN} to 9999.")


@lru_cache(maxsize=8192)
def _hour_begin(text: str, zone_name: str) -> int:
    """Return the epoch second at which the local hour 'YYYY-MM-DDTHH' begins; 0 where that is no plain hour since 1970."""
    match = _LOCAL_HOUR.fullmatch(text)
    if match is None:
        return 0
    year, month, day, hour = map(int, match.groups())
    try:
        begin = datetime(year, month, day, hour, tzinfo=zone(zone_name))
    except ValueError:
        return 0
    final = begin.replace(minute=59, second=59)
    plain = (
        begin.utcoffset() == final.utcoffset() == begin.replace(fold=1).utcoffset() == final.replace(fold=1).utcoffset()
    )
    return max(milliseconds(begin) // SECOND, 0) if plain else 0


@lru_cache(maxsize=3600)
def _past_hour(text: str) -> int:
    """Return the seconds that ':MM:SS' is past the hour; -1 where it is none."""
    match = _PAST_HOUR.fullmatch(text)
    return int(match[1]) * 60 + int(match[2]) if match else -1


def local_seconds(text: str, zone_name: str) -> int:
    """Read YYYY-MM-DDTHH:MM:SS of a zone, or epoch seconds, as epoch seconds; made for long files.

    Of a local time that occurs twice the first is taken; one that never occurred is a UsageError.
    """
    if len(text) == _LOCAL_LENGTH:
        begin, past = _hour_begin(text[:_HOUR_LENGTH], zone_name), _past_hour(text[_HOUR_LENGTH:])
        if begin and past >= 0:
            return begin + past
    return instant(text, zone_name) // SECOND


def calendar_date(text: str) -> date:
    """Read a date written YYYY-MM-DD."""
    plain = text.strip()
    try:
        if _DATE.fullmatch(plain):
            day = date.fromisoformat(plain)
            if YEAR_MIN <= day.year <= YEAR_MAX:
                return day
    except ValueError:
        pass
    raise UsageError(f"date {shown(text)} is not understood; write YYYY-MM-DD, from {YEAR_MIN}-01-01 to 9998-12-31.")


def day_begin(day: date, zone_name: str) -> int:
    """Return the first instant of a calendar day in a zone."""
    return milliseconds(datetime(day.year, day.month, day.day, tzinfo=zone(zone_name)))


def period(text: str, now: int, zone_name: str) -> Period:
    """Read a period: last_day, last_week, last_month (24 h, 7 d, 30 d back from now) or D1,D2, both days whole."""
    plain = text.strip()
    if plain in LAST:
        return Period(now - LAST[plain], now)
    first, comma, last = plain.partition(",")
    if not comma:
        raise UsageError(
            f"period {shown(text)} is not understood; write last_day, last_week, last_month "
            "or two dates as YYYY-MM-DD,YYYY-MM-DD."
        )
    begin, final = calendar_date(first), calendar_date(last)
    if begin > final:
        raise UsageError(f"period {shown(text)} ends before it begins; write the earlier date first.")
    return Period(day_begin(begin, zone_name), day_begin(final + timedelta(days=1), zone_name))


def days(stretch: Period, zone_name: str) -> list[Day]:
    """Cut a period into the calendar days of a zone; the first and the last may be parts of days."""
    place = zone(zone_name)
    day = (_UTC_EPOCH + timedelta(milliseconds=stretch.begin)).astimezone(place).date()
    found = []
    begin = stretch.begin
    while begin < stretch.end:
        following = day + timedelta(days=1)
        end = min(day_begin(following, zone_name), stretch.end)
        if end > begin:
            found.append(Day(day.isoformat(), begin, end))
        begin, day = max(begin, end), following
    return found
