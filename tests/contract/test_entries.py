"""An entry's own way of writing itself says, byte for byte, what canonical JSON says."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from dca.core.model import Change
from dca.store.entry import canonical, changes_text, digest
from dca.store.schema import FIELD_TYPES, KINDS

TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Draw a change of any kind, whatever its fields hold."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    fields = [NUMBERS if of is int else TEXTS for of in FIELD_TYPES[kind].values()]
    one, other = (KINDS[kind].record(*draw(st.tuples(*fields))) for _ in range(2))
    return Change(kind, one, draw(st.sampled_from((None, other))))


@given(st.lists(changes(), max_size=2), st.lists(TEXTS | NUMBERS | st.lists(TEXTS, max_size=2), max_size=3))
def test_entries_are_written_as_canonical_json(drawn: list[Change], values: list[object]) -> None:
    """Also with quotes, control characters and halves of characters; and the hash covers that text."""
    listed = [
        {"kind": kind, "record": record._asdict(), **({"was": was._asdict()} if was is not None else {})}
        for kind, record, was in drawn
    ]
    assert changes_text(drawn) == canonical(listed)
    fields = {f"{'ax'[number % 2]}{number}": value for number, value in enumerate(values)}
    whole = canonical({**fields, "changes": listed}).encode("utf-8", "surrogatepass")
    assert digest(fields, canonical(listed)) == sha256(whole).hexdigest()
