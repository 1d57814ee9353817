"""What an examination of a store finds: one line for each thing looked at."""

from typing import NamedTuple

STATES = OK, NOTE, WARNING, FAILED = "ok", "note", "warning", "failed"
"""As it should be; good to know; will do harm one day; does harm now."""
SKEW_MAX = 300_000
"""Milliseconds between two clocks beyond which they are wrong; an own clock that far behind can write nothing."""
SKEW_NOTED = 5_000
SPACE_MIN = 64 << 20
"""Bytes on a disk with which the books cannot be kept for long."""
SPACE_PLENTY = 1 << 30


class Finding(NamedTuple):
    """One line of an examination."""

    name: str
    state: str
    found: str
    advice: str = ""
    """What to do about it; empty where there is nothing to do."""


def ok(name: str, found: str) -> Finding:
    """Return what is as it should be."""
    return Finding(name, OK, found)


def amount(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 -- bytes in a KiB, and so on
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def space(name: str, where: str, *, free: int, needed: int) -> Finding:
    """Judge the room on a disk by what a backup or an upgrade of the books would need."""
    found = f"{amount(free)} free {where}"
    if free < SPACE_MIN:
        return Finding(name, FAILED, found, "make room now: the books cannot grow")
    if free < max(needed, SPACE_PLENTY):
        return Finding(name, WARNING, found, f"make room: {amount(max(needed, SPACE_PLENTY))} would be safe")
    return ok(name, found)


def clocks(name: str, other: str, ahead: int) -> Finding:
    """Judge how far another clock is ahead of our own, in milliseconds."""
    seconds = f"{abs(ahead) / 1000:.1f} s"
    found = f"{other} is {seconds} {'ahead of' if ahead > 0 else 'behind'} our own clock"
    if abs(ahead) > SKEW_MAX:
        return Finding(name, FAILED, found, "set the clocks right (chrony or ntpd on both machines)")
    if abs(ahead) > SKEW_NOTED:
        return Finding(name, WARNING, found, "see that chrony or ntpd runs on both machines")
    return ok(name, f"{other} and our own differ by {seconds}")
