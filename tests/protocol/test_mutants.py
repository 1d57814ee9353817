"""Each fault that is put into the protocol on purpose is found: the explorations can fail."""

from __future__ import annotations

import pytest

from dca.store import protocol
from tests.protocol.judge import Violation
from tests.protocol.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exploration ends in a violation; without the fault the same one finds nothing."""
    mutant = MUTANTS[name]
    mutant.shows()
    for target, replacement in mutant.patches.items():
        monkeypatch.setattr(f"{protocol.__name__}.{target}", replacement)
    with pytest.raises(Violation):
        mutant.shows()
