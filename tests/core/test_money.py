"""Money is whole micro-dollars, read and shown exactly; time is priced to the nearest of them, half to even."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.commands import figures
from dca.core import money
from dca.core.errors import RefusedError, UsageError
from dca.core.money import AMOUNT_MAX, MICRO

amounts = st.integers(0, AMOUNT_MAX)
signed = st.integers(-AMOUNT_MAX, AMOUNT_MAX)
wide = st.integers(-(10**30), 10**30)


# -- reading and showing -----------------------------------------------------------------------------------------


@given(amounts)
def test_what_is_shown_reads_back(amount: int) -> None:
    """Every amount survives being shown and read."""
    assert money.parse(money.text(amount)) == amount


@given(signed)
def test_it_is_shown_exactly_and_without_needless_zeros(amount: int) -> None:
    """A shown amount is the exact number, as short as it can be, and never in powers of ten."""
    shown = money.text(amount)
    assert Decimal(shown) * MICRO == amount
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]{0,5}[1-9])?", shown)
    assert str(money.Decimal(amount)) == shown


@given(st.integers(0, 10**9), st.text("0123456789", max_size=6), st.integers(0, 20), st.sampled_from(["", "+", " "]))
def test_other_ways_to_write_an_amount(whole: int, fraction: str, zeros: int, sign: str) -> None:
    """Zeros at the end, blanks around and a plus before it make no difference; a fraction may have no whole part."""
    dotted = f".{fraction}{'0' * zeros}" if fraction or zeros else ""
    exact = Fraction(f"{whole}.{fraction or 0}") * MICRO
    assert money.parse(f"{sign}{whole}{dotted} ") == exact
    if dotted:
        assert money.parse(dotted) == exact - whole * MICRO


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("-0", 0),
        ("12.5", 12_500_000),
        ("12.499999", 12_499_999),
        ("0.000001", 1),
        (".5", 500_000),
        ("007", 7_000_000),
        ("1.0000000000", MICRO),
        ("8000000000", AMOUNT_MAX),
        ("8000000000.000000", AMOUNT_MAX),
    ],
)
def test_reading(text: str, amount: int) -> None:
    """Examples, up to the largest amount."""
    assert money.parse(text) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a number"),
        (".", "not a number"),
        ("1.", "not a number such as 12.50"),
        ("1,5", "no thousands separator"),
        ("1.2.3", "not a number"),
        ("1e3", "not a number"),
        ("0x10", "not a number"),
        ("1_000", "not a number"),
        ("nan", "not a number"),
        ("inf", "not a number"),
        ("--1", "not a number"),
        ("+-1", "not a number"),
        ("1 2", "not a number"),
        ("٣", "not a number"),
        ("²", "not a number"),
        ("1" * 41, "not a number"),
        ("0.0000001", "more than six decimals"),
        ("-1", "negative"),
        ("-0.000001", "negative"),
        ("8000000000.000001", "is above the most dca can hold, 8000000000 dollars."),
        ("9" * 40, "above the most"),
    ],
)
def test_what_is_no_amount(text: str, reason: str) -> None:
    """What is no amount is refused in a sentence that says what was read and why not."""
    with pytest.raises(UsageError, match=re.escape(reason)) as refused:
        money.parse(text, "--credit")
    assert refused.value.sentence.startswith("--credit '")


@given(st.text(max_size=50))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    """No text brings anything but an amount in range or a UsageError."""
    with suppress(UsageError):
        assert 0 <= money.parse(text) <= AMOUNT_MAX


@given(wide)
def test_range(amount: int) -> None:
    """What is computed stays within the largest amount, either way."""
    if abs(amount) <= AMOUNT_MAX:
        assert money.check(amount, "it") == amount
    else:
        with pytest.raises(RefusedError, match="it would pass 8000000000 dollars"):
            money.check(amount, "it")


def test_range_at_its_ends() -> None:
    """The largest amount is in range, a micro-dollar more is not."""
    assert [money.check(sign * AMOUNT_MAX, "it") for sign in (1, -1)] == [AMOUNT_MAX, -AMOUNT_MAX]
    for sign in (1, -1):
        with pytest.raises(RefusedError):
            money.check(sign * (AMOUNT_MAX + 1), "it")


# -- pricing -----------------------------------------------------------------------------------------------------


@given(wide, st.integers(1, 10**20))
def test_half_even(numerator: int, denominator: int) -> None:
    """Division goes to the nearest whole number, and of two to the even one."""
    assert money.half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-1000, 1000), st.integers(1, 100))
def test_halves_go_to_the_even(whole: int, denominator: int) -> None:
    """Exactly half way between two numbers the even one is taken."""
    assert money.half_even((2 * whole + 1) * denominator, 2 * denominator) == whole + whole % 2


@given(amounts, st.integers(-(10**12), 10**12))
def test_price(rate: int, seconds: int) -> None:
    """A price is rate times seconds by the hour, rounded; time taken back costs exactly what it cost."""
    price = money.price(rate, seconds)
    assert price == round(Fraction(rate * seconds, 3600))
    assert money.price(rate, -seconds) == -price


@pytest.mark.parametrize(
    ("rate", "seconds", "price"),
    [(1800, 1, 0), (1801, 1, 1), (5400, 1, 2), (9000, 1, 2), (3600, 7, 7), (0, 10**12, 0), (7, 0, 0), (1, 3600, 1)],
)
def test_price_by_example(rate: int, seconds: int, price: int) -> None:
    """Half a micro-dollar goes to the even one."""
    assert money.price(rate, seconds) == price


@given(st.integers(0, 10**15))
def test_hours(seconds: int) -> None:
    """Hours are shown to four decimals, rounded."""
    assert Fraction(str(figures.hours(seconds))) == Fraction(round(Fraction(seconds * 10_000, 3600)), 10_000)


def test_hours_by_example() -> None:
    """As on a bill."""
    assert [str(figures.hours(seconds)) for seconds in (0, 1, 9, 3600, 5400, 4321)] == [
        "0",
        "0.0003",
        "0.0025",
        "1",
        "1.5",
        "1.2003",
    ]


def test_decimals_compare_exactly() -> None:
    """Two are equal if their millionths are, and equal to nothing else."""
    assert money.Decimal(1) == money.Decimal(1) != money.Decimal(2)
    assert len({money.Decimal(5), money.Decimal(5), money.Decimal(6)}) == 2
    assert money.Decimal(1) != 1
    assert repr(money.Decimal(7)) == "Decimal(7)"
