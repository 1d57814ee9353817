"""What a run of the harness counts, and how it says so."""

from __future__ import annotations

from collections import Counter


class Figures:
    """Counts by name, and places that were passed, by name."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts: Counter[str] = Counter()
        self.places: dict[str, set[object]] = {}
        self.notes: dict[str, None] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Count something."""
        self.counts[name] += amount

    def place(self, name: str, place: object) -> None:
        """Remember a place of some kind; each counts once."""
        self.places.setdefault(name, set()).add(place)

    def note(self, sentence: str) -> None:
        """Remember a sentence, once."""
        self.notes[sentence] = None

    @property
    def lines(self) -> list[str]:
        """Return all that was counted, a line for each."""
        counted = {**self.counts, **{name: len(places) for name, places in self.places.items()}}
        return [*(f"{name}: {count:,}" for name, count in sorted(counted.items())), *self.notes]
