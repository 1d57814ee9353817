"""Instants, days and periods, also in zones whose clocks leave out hours, midnights and whole days."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.core import clock
from dca.core.clock import DAY, HOUR, INSTANT_MAX, SECOND, Period
from dca.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Monrovia",
)
zones = st.sampled_from(ZONES)
instants = st.integers(1, 4 * 10**9).map(lambda seconds: seconds * SECOND)
dates = st.dates(date(1970, 1, 3), date(2090, 1, 1))

CHANGES = (
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Havana", "2025-03-09"),
    ("America/Havana", "2025-11-02"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Australia/Lord_Howe", "2025-04-06"),
    ("Africa/Monrovia", "1972-01-07"),
)
"""Days on which, or beside which, the clocks of a zone were changed."""
near_changes = st.tuples(st.sampled_from(CHANGES), st.integers(-2 * DAY // SECOND, 2 * DAY // SECOND))


def wall(instant: int, zone: str) -> datetime:
    """Return what a clock on the wall shows at an instant, by another way than the code under test."""
    return datetime.fromtimestamp(instant // SECOND, ZoneInfo(zone)).replace(tzinfo=None)


# -- instants ----------------------------------------------------------------------------------------------------


@given(st.integers(1, INSTANT_MAX))
def test_instants_are_shown_exactly(instant: int) -> None:
    """An instant is shown in UTC, with milliseconds where it has any."""
    shown = clock.iso(instant)
    moment = datetime.fromisoformat(shown)
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == instant
    assert clock.milliseconds(moment) == instant
    assert shown.endswith("Z")
    assert ("." in shown) == bool(instant % SECOND)


@given(st.integers(1, INSTANT_MAX // SECOND), zones)
def test_instants_read_back(seconds: int, zone: str) -> None:
    """What is shown in UTC, and epoch seconds, mean the same in every zone."""
    assert clock.instant(clock.iso(seconds * SECOND), zone) == seconds * SECOND
    if seconds >= 100_000_000:
        assert clock.instant(f" {seconds} ", zone) == seconds * SECOND
        assert clock.local_seconds(str(seconds), zone) == seconds


def check_local(instant: int, zone: str) -> None:
    """Check that what the wall shows reads back: as this instant, or as the earlier one that looks like it."""
    shown = wall(instant, zone)
    read = clock.instant(f"{shown:%Y-%m-%d %H:%M:%S}", zone)
    assert wall(read, zone) == shown
    assert instant - 25 * HOUR < read <= instant
    fold = datetime.fromtimestamp(instant // SECOND, ZoneInfo(zone)).fold
    assert (read == instant) == (fold == 0)
    assert clock.local_seconds(f"{shown:%Y-%m-%dT%H:%M:%S}", zone) * SECOND == read
    assert clock.local_text(instant, zone).startswith(f"{shown:%Y-%m-%d %H:%M:%S} ")
    assert clock.instant(clock.local_text(instant, zone).replace(" +", "+").replace(" -", "-"), "UTC") == instant


@given(instants.filter(lambda instant: instant > 10 * DAY), zones)
def test_local_times_read_back(instant: int, zone: str) -> None:
    """Every local time reads back, of two that look alike the first; with its offset each is exact."""
    if zone != "Africa/Monrovia":  # its offset had seconds, which are not written
        check_local(instant, zone)


@given(near_changes)
def test_local_times_read_back_where_clocks_change(near: tuple[tuple[str, str], int]) -> None:
    """The same, near the days on which clocks were changed."""
    (zone, day), seconds = near
    if zone != "Africa/Monrovia":
        check_local(clock.day_begin(date.fromisoformat(day), zone) + seconds * SECOND, zone)


@given(near_changes)
def test_every_wall_clock_time_is_read_or_refused(near: tuple[tuple[str, str], int]) -> None:
    """A local time that a clock shows is read, and one that none ever showed is refused, by both readers alike."""
    (zone, day), seconds = near
    naive = datetime.fromisoformat(day) + timedelta(seconds=seconds)
    place = ZoneInfo(zone)
    exists = naive.replace(tzinfo=place).astimezone(UTC).astimezone(place).replace(tzinfo=None) == naive
    readers: list[Callable[[], int]] = [
        lambda: clock.instant(f"{naive:%Y-%m-%d %H:%M:%S}", zone) // SECOND,
        lambda: clock.local_seconds(f"{naive:%Y-%m-%dT%H:%M:%S}", zone),
    ]
    for read in readers:
        if exists:
            assert wall(read() * SECOND, zone) == naive
        else:
            with pytest.raises(UsageError, match="does not exist"):
                read()


@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        ("Europe/Berlin", "2025-01-01 00:00:00", "2024-12-31T23:00:00Z"),
        ("Europe/Berlin", "2025-10-26 02:30:00", "2025-10-26T00:30:00Z"),
        ("Europe/Berlin", "2025-10-26 02:30:00+01:00", "2025-10-26T01:30:00Z"),
        ("Europe/Berlin", "2025-10-26T02:30:00+0200", "2025-10-26T00:30:00Z"),
        ("America/Sao_Paulo", "2018-02-17 23:30:00", "2018-02-18T01:30:00Z"),
        ("Asia/Kathmandu", "2025-01-01 05:45", "2025-01-01T00:00:00Z"),
        ("Pacific/Apia", "2011-12-31 00:00:00", "2011-12-30T10:00:00Z"),
        ("America/New_York", "2025-07-04", "2025-07-04T04:00:00Z"),
        ("America/New_York", "2025-07-04T00:00:00Z", "2025-07-04T00:00:00Z"),
    ],
)
def test_local_times_by_example(zone: str, text: str, utc: str) -> None:
    """Summer and winter, twice the same hour, odd offsets, and offsets that are written."""
    assert clock.iso(clock.instant(text, zone)) == utc


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2025-03-30 02:00:00"),
        ("Europe/Berlin", "2025-03-30 02:59:59"),
        ("America/Sao_Paulo", "2018-11-04 00:00:00"),
        ("America/Sao_Paulo", "2018-11-04 00:59:59"),
        ("Pacific/Apia", "2011-12-30 12:00:00"),
        ("Asia/Kathmandu", "1986-01-01 00:14:59"),
    ],
)
def test_local_times_that_no_clock_showed(zone: str, text: str) -> None:
    """They are an error that says so; with an offset of their own they are exact."""
    with pytest.raises(UsageError, match=re.escape(f"does not exist in the zone {zone}")):
        clock.instant(text, zone)
    with pytest.raises(UsageError, match="does not exist"):
        clock.local_seconds(text.replace(" ", "T"), zone)
    assert clock.instant(f"{text}+00:00", zone) == clock.instant(text, "UTC")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "0",
        "-1",
        "1.5",
        "1" * 13,
        "253402300800",
        "2025-02-29",
        "2025-13-01",
        "2025-01-01 24:00:00",
        "2025-01-01 00:60:00",
        "2025-01-01 00:00:60",
        "2025-1-1",
        "20250101",
        "2025",
        "1",
        "2025-01-01 1:00",
        "2025-01-01+25:00",
        "0000-01-01",
        "0001-01-01",
        "1969-12-31",
        "1970-01-01",
        "٢٠٢٥-01-01",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """It is refused in a sentence that begins with what it was for."""
    with pytest.raises(UsageError, match=r"^--start '"):
        clock.instant(text, "UTC", "--start")


def test_the_ends_of_time() -> None:
    """From the first second after the epoch to the last of the year 9999; nothing is shown for no instant."""
    assert clock.instant("1970-01-01 00:00:01", "UTC") == SECOND
    assert clock.local_seconds("1970-01-01T00:00:01", "UTC") == 1
    assert clock.local_seconds("1970-01-01T01:00:01", "Europe/Berlin") == 1
    for text, zone in (("1970-01-01T00:00:00", "UTC"), ("1970-01-01T00:59:59", "Europe/Berlin")):
        with pytest.raises(UsageError, match="1970 to 9999"):
            clock.local_seconds(text, zone)
    assert clock.instant("9999-12-31 23:59:59", "UTC") == INSTANT_MAX // SECOND * SECOND
    for text, zone in (("9999-12-31 23:59:59", "America/New_York"), ("0001-01-01", "Europe/Berlin")):
        with pytest.raises(UsageError, match="1970 to 9999"):
            clock.instant(text, zone)
    assert clock.iso(0) == ""


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "utc+1"])
def test_what_is_no_zone(name: str) -> None:
    """It is refused in a sentence."""
    with pytest.raises(UsageError, match="time zone '"):
        clock.zone(name)


@given(st.text(max_size=30), zones)
def test_any_text_is_an_instant_or_refused(text: str, zone: str) -> None:
    """No text brings anything but an instant in range or a UsageError."""
    with suppress(UsageError):
        assert 0 < clock.instant(text, zone) <= INSTANT_MAX


# -- days --------------------------------------------------------------------------------------------------------


def check_day_begin(day: date, zone: str) -> None:
    """Check that nothing of a day, nor of a later one, comes before its begin, and nothing of an earlier one after it."""
    begin = clock.day_begin(day, zone)
    assert wall(begin, zone).date() >= day
    assert wall(begin - SECOND, zone).date() < day


@given(dates, zones)
def test_days_begin_with_their_first_instant(day: date, zone: str) -> None:
    """Midnight, or where there is none the first instant after it."""
    check_day_begin(day, zone)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_days_begin_with_their_first_instant_where_clocks_change(zone: str, day: str) -> None:
    """The same, near the days on which clocks were changed."""
    for distance in range(-3, 4):
        check_day_begin(date.fromisoformat(day) + timedelta(days=distance), zone)


@pytest.mark.parametrize(
    ("zone", "day", "begin", "hours"),
    [
        ("Europe/Berlin", "2025-03-30", "2025-03-29T23:00:00Z", 23),
        ("Europe/Berlin", "2025-10-26", "2025-10-25T22:00:00Z", 25),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", 23),
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", 25),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z", 25),
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", 24),
        ("Asia/Kathmandu", "1986-01-01", "1985-12-31T18:30:00Z", 23.75),
        ("Asia/Kathmandu", "2025-01-01", "2024-12-31T18:15:00Z", 24),
        ("UTC", "2025-01-01", "2025-01-01T00:00:00Z", 24),
    ],
)
def test_days_by_example(zone: str, day: str, begin: str, hours: float) -> None:
    """Short and long days, a midnight that is left out, and a day that is."""
    first = date.fromisoformat(day)
    assert clock.iso(clock.day_begin(first, zone)) == begin
    assert clock.day_begin(first + timedelta(days=1), zone) - clock.day_begin(first, zone) == hours * HOUR


@given(instants, st.integers(1, 40 * DAY), zones, st.data())
def test_days_cover_a_period_without_gap(begin: int, length: int, zone: str, data: st.DataObject) -> None:
    """The days of any stretch of time follow each other from its begin to its end; each instant lies in its own day."""
    stretch = Period(begin, begin + length)
    days = clock.days(stretch, zone)
    assert (days[0].begin, days[-1].end) == stretch
    assert all(one.end == other.begin and one.date < other.date for one, other in pairwise(days))
    instant = data.draw(st.integers(stretch.begin, stretch.end - 1))
    (day,) = (day for day in days if day.begin <= instant < day.end)
    assert day.date == f"{wall(instant, zone):%Y-%m-%d}"


def test_a_day_that_is_left_out_is_no_day() -> None:
    """Samoa had no 30 December 2011."""
    stretch = clock.period("2011-12-29,2011-12-31", 0, "Pacific/Apia")
    assert [day.date for day in clock.days(stretch, "Pacific/Apia")] == ["2011-12-29", "2011-12-31"]
    assert clock.days(Period(5, 5), "UTC") == []


# -- periods -----------------------------------------------------------------------------------------------------


@given(dates, st.integers(0, 400), zones, st.integers(0, INSTANT_MAX))
def test_two_dates_are_both_whole(first: date, length: int, zone: str, now: int) -> None:
    """A period of two dates runs from the begin of the first to the begin of the day after the last, whenever it is."""
    last = first + timedelta(days=length)
    stretch = clock.period(f" {first},{last} ", now, zone)
    assert stretch == Period(clock.day_begin(first, zone), clock.day_begin(last + timedelta(days=1), zone))
    if length:
        with pytest.raises(UsageError, match="ends before it begins"):
            clock.period(f"{last},{first}", now, zone)


@given(st.integers(30 * DAY, INSTANT_MAX), zones)
def test_named_periods(now: int, zone: str) -> None:
    """24 hours, 7 days and 30 days back from now, in whatever zone."""
    for name, days in (("last_day", 1), ("last_week", 7), ("last_month", 30)):
        assert clock.period(name, now, zone) == Period(now - days * 86_400_000, now)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "last_year",
        "LAST_DAY",
        "2025-01-01",
        "2025-01-01,",
        ",2025-01-01",
        "2025-01-01,2025-01-02,2025-01-03",
        "2025-1-1,2025-01-02",
        "20250101,20250102",
        "2025-W01-1,2025-01-02",
        "2025-02-30,2025-03-01",
        "1969-12-31,1970-01-02",
        "9999-01-01,9999-01-02",
    ],
)
def test_what_is_no_period(text: str) -> None:
    """It is refused in a sentence."""
    with pytest.raises(UsageError):
        clock.period(text, 0, "UTC")


def test_the_ends_of_the_calendar() -> None:
    """From 1970 to the last year that has a day after each of its days."""
    assert clock.calendar_date(" 1970-01-01 ") == date(1970, 1, 1)
    assert clock.calendar_date("9998-12-31") == date(9998, 12, 31)
