"""Money as whole micro-dollars: reading it, showing it, and the one function that prices time."""

from functools import lru_cache

from dca.core.errors import RefusedError, UsageError
from dca.core.names import shown

MICRO = 1_000_000
AMOUNT_MAX = 8_000_000_000 * MICRO
SECONDS_PER_HOUR = 3_600
DECIMALS = 6
DIGITS_MAX = 40


class Decimal:
    """A number with at most six decimals that is shown exactly, such as an amount of dollars or hours."""

    __slots__ = ("micro",)

    def __init__(self, micro: int) -> None:
        """Keep a number of millionths."""
        self.micro = micro

    def __str__(self) -> str:
        """Show it without needless zeros."""
        return text(self.micro)

    def __eq__(self, other: object) -> bool:
        """Compare exactly."""
        return isinstance(other, Decimal) and other.micro == self.micro

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.micro)

    def __repr__(self) -> str:
        """Show it as tests print it."""
        return f"Decimal({self.micro})"


def parse(text: str, what: str = "amount") -> int:
    """Read a non-negative decimal number of dollars (at most six decimals) as micro-dollars."""
    plain = text.strip()
    negative = plain.startswith("-")
    digits = plain[1:] if negative or plain.startswith("+") else plain
    whole, dot, fraction = digits.partition(".")
    if (
        not (whole + fraction)
        or not (whole + fraction).isascii()
        or not (whole + fraction).isdigit()
        or len(digits) > DIGITS_MAX
    ):
        hint = " (write a dot, no thousands separator)" if "," in text else ""
        raise UsageError(f"{what} {shown(text)} is not a number such as 12.50{hint}.")
    if dot and not fraction:
        raise UsageError(f"{what} {shown(text)} is not a number such as 12.50.")
    if len(fraction.rstrip("0")) > DECIMALS:
        raise UsageError(f"{what} {shown(text)} has more than six decimals; a micro-dollar is the smallest amount.")
    amount = int(whole or "0") * MICRO + int((fraction.rstrip("0") + "000000")[:6])
    if negative and amount:
        raise UsageError(f"{what} {shown(text)} is negative; amounts are zero or more.")
    if amount > AMOUNT_MAX:
        raise UsageError(f"{what} {shown(text)} is above the most dca can hold, {AMOUNT_MAX // MICRO} dollars.")
    return amount


def check(amount: int, what: str, name: str = "") -> int:
    """Return an amount that was computed, or refuse it when it leaves the range that every store keeps exactly."""
    if -AMOUNT_MAX <= amount <= AMOUNT_MAX:
        return amount
    raise RefusedError(f"{f'{what} {name}'.rstrip()} would pass {AMOUNT_MAX // MICRO} dollars, the most dca can hold.")


@lru_cache(maxsize=1024)
def text(amount: int) -> str:
    """Show micro-dollars as an exact decimal without needless zeros: 12.5, 0.000001, -3."""
    whole, fraction = divmod(abs(amount), MICRO)
    plain = f"{whole}.{fraction:06d}".rstrip("0") if fraction else str(whole)
    return f"-{plain}" if amount < 0 else plain


def half_even(numerator: int, denominator: int) -> int:
    """Divide two whole numbers, the denominator positive, and round half to even."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def price(rate: int, seconds: int) -> int:
    """Return rate (micro-dollars an hour) x seconds / 3600 in micro-dollars, rounded half to even."""
    return half_even(rate * seconds, SECONDS_PER_HOUR)
