"""What names, keys and references may be, at each limit and one past it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dca.core import names
from dca.core.errors import RefusedError, UsageError
from dca.core.names import EXTENDED, STRICT

PLAIN = set(string.ascii_letters + string.digits)
FURTHER = set("_-.@")
nearly_names = st.text(st.sampled_from([*PLAIN, *FURTHER, " ", ":", "/", "ä", "٣", "\n"]), max_size=70)


def is_strict(text: str) -> bool:
    """Tell by the rule, in other words, whether text is a strict name."""
    return 1 <= len(text) <= 32 and set(text) <= PLAIN


def is_extended(text: str) -> bool:
    """Tell by the rule, in other words, whether text is an extended name."""
    return 1 <= len(text) <= 64 and set(text) <= PLAIN | FURTHER and text[0] in PLAIN


@given(st.one_of(st.text(max_size=70), nearly_names))
def test_names(text: str) -> None:
    """A name is one exactly by its rule, and each strict name is an extended one."""
    assert names.is_name(text, STRICT) == is_strict(text)
    assert names.is_name(text, EXTENDED) == is_extended(text)
    assert is_extended(text) or not is_strict(text)
    for rule, right in ((STRICT, is_strict(text)), (EXTENDED, is_extended(text))):
        if right:
            assert names.check_name(text, rule, "tenant") == text
        else:
            with pytest.raises(RefusedError, match=r"^tenant '.*' is not a name: "):
                names.check_name(text, rule, "tenant")


@pytest.mark.parametrize(
    ("text", "strict", "extended"),
    [
        ("a", True, True),
        ("A1", True, True),
        ("a" * 32, True, True),
        ("a" * 33, False, True),
        ("a" * 64, False, True),
        ("a" * 65, False, False),
        ("a-b_c.d@e", False, True),
        ("-a", False, False),
        (".a", False, False),
        ("", False, False),
        ("a b", False, False),
        ("a:b", False, False),
        ("a/b", False, False),
        ("a*", False, False),
        ("ä", False, False),
        ("a\n", False, False),
    ],
)
def test_names_by_example(text: str, *, strict: bool, extended: bool) -> None:
    """At the limits and one past them."""
    assert (names.is_name(text, STRICT), names.is_name(text, EXTENDED)) == (strict, extended)


def test_a_refusal_names_the_way_out() -> None:
    """A name that only the extended rule allows is refused with how to allow it."""
    with pytest.raises(RefusedError, match="--names=extended"):
        names.check_name("a-b", STRICT, "project")
    with pytest.raises(RefusedError) as refused:
        names.check_name("a b", STRICT, "project")
    assert "--names=extended" not in refused.value.sentence


@given(st.text(max_size=10))
def test_names_are_found_in_any_case(text: str) -> None:
    """Names that differ in case only are the same name."""
    assert names.folded(names.folded(text)) == names.folded(text)
    if text.isascii():
        assert names.folded(text.upper()) == names.folded(text.lower()) == names.folded(text)


@given(st.text(st.characters(min_codepoint=0x1F, max_codepoint=0x80), max_size=210))
def test_keys(text: str) -> None:
    """A key is 1 to 200 printable ASCII characters without blanks."""
    if 1 <= len(text) <= 200 and all("!" <= letter <= "~" for letter in text):
        assert names.check_key(text, "--key") == text
    else:
        with pytest.raises(UsageError, match=r"^--key '"):
            names.check_key(text, "--key")


def test_limits_of_keys_references_and_clusters() -> None:
    """At the limit and one past it."""
    assert names.check_key("k" * 200, "--key") == "k" * 200
    assert names.check_reference("é" * 200) == "é" * 200
    assert names.check_reference("r") == "r"
    assert names.check_cluster("c" * 64) == "c" * 64
    for wrong in ("", "k" * 201, "a b", "ä"):
        with pytest.raises(UsageError):
            names.check_key(wrong, "--key")
    for wrong in ("", " ", "r" * 201, "a\nb", "a\x00", "\ud800"):
        with pytest.raises(UsageError):
            names.check_reference(wrong)
    for wrong in ("", "c" * 65, "a/b", "-a"):
        with pytest.raises(UsageError):
            names.check_cluster(wrong)


@given(nearly_names, nearly_names, st.integers(0, 10**10), st.integers(0, 10**10))
def test_job_keys_tell_runs_apart(cluster: str, job: str, first: int, second: int) -> None:
    """A run of a job is known by its cluster, its id and when it was submitted."""
    key = names.job_key(cluster, job, first)
    assert key == f"{cluster.lower()}/{job}/{first}"
    assert (key == names.job_key(cluster.upper(), job, second)) == (
        first == second and cluster.lower() == cluster.upper().lower()
    )


@given(st.text(max_size=200))
def test_what_is_shown_is_short_and_of_one_line(text: str) -> None:
    """A user's text in a message is quoted, printable, and at most 60 characters long."""
    shown = names.shown(text)
    assert shown.isprintable()
    assert len(shown) <= names.SHOWN_LENGTH_MAX + 2
    assert (shown[0], shown[-1]) == ("'", "'")
    if text.isprintable() and len(text) <= names.SHOWN_LENGTH_MAX:
        assert shown == f"'{text}'"


def test_what_is_cut_off() -> None:
    """Sixty characters are shown whole, of more the first fifty-seven."""
    assert names.shown("x" * 60) == f"'{'x' * 60}'"
    assert names.shown("x" * 61) == f"'{'x' * 57}...'"
    assert names.shown("a\nb") == "'a?b'"


def test_every_limit_has_a_reason() -> None:
    """The table of limits holds what the checks go by."""
    assert {most for most, _ in names.LIMITS.values()} >= {32, 64, 200, names.SECONDS_MAX, names.CHANGES_MAX}
    assert all(reason for _, reason in names.LIMITS.values())
    longest = len("t" * 64 + ":j999:") + 200
    assert longest <= names.RECORD_ID_BYTES_MAX
    assert 4 * names.REFERENCE_LENGTH_MAX <= names.TEXT_BYTES_MAX
