"""Each rule for text: what it makes of a text, what it refuses, and what a file cannot say."""

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.transformation.rule import TEXT
from integrations.transformation.text_rules import Split, StripZeros
from integrations_tests.transformation.things import one

DIGITS = "(?P<digits>[0-9]+)"


@pytest.mark.parametrize(
    ("rule", "value", "becomes"),
    [
        ({"type": "lower"}, "ÉÀ", "éà"),
        ({"type": "title"}, "VAN der berg", "Van Der Berg"),
        ({"type": "trim"}, "\u00a0 a b\t\n", "a b"),
        ({"type": "trim", "side": "left"}, " a ", "a "),
        ({"type": "trim", "side": "right"}, " a ", " a"),
        ({"type": "trim", "characters": "-0"}, "-0a0-", "a"),
        ({"type": "trim", "characters": "0", "side": "left"}, "00a00", "a00"),
        ({"type": "trim", "characters": "0", "side": "right"}, "00a00", "00a"),
        ({"type": "blank_to_null"}, " \t", None),
        ({"type": "blank_to_null"}, "", None),
        ({"type": "blank_to_null"}, " a", " a"),
        ({"type": "replace", "find": ".", "with": ","}, "1.000.5", "1,000,5"),
        ({"type": "replace", "find": "a", "with": ""}, "banana", "bnn"),
        ({"type": "replace", "pattern": "[^0-9]", "with": ""}, "+31 (0)6", "3106"),
        ({"type": "replace", "pattern": "(..)-(..)", "with": r"\2-\1"}, "ab-cd", "cd-ab"),
        ({"type": "extract", "pattern": DIGITS, "when_absent": "clear"}, "no 42 or 43", "42"),
        ({"type": "extract", "pattern": DIGITS, "when_absent": "clear"}, "none", None),
        ({"type": "split", "separator": "/", "part": 1, "when_absent": "reject"}, "a/b/c", "a"),
        ({"type": "split", "separator": "/", "part": -1, "when_absent": "reject"}, "a/b/c", "c"),
        ({"type": "split", "separator": "/", "part": 2, "when_absent": "clear"}, "abc", None),
        ({"type": "split", "separator": "/", "part": -2, "when_absent": "clear"}, "abc", None),
        ({"type": "split", "separator": "/", "part": 2, "when_absent": "reject"}, "a//", ""),
        ({"type": "pad", "length": 5, "fill": "0", "side": "left"}, "42", "00042"),
        ({"type": "pad", "length": 3, "fill": "é", "side": "right"}, "é", "ééé"),
        ({"type": "pad", "length": 3, "fill": "0", "side": "left"}, "12345", "12345"),
        ({"type": "strip_zeros"}, "0042", "42"),
        ({"type": "strip_zeros"}, "000", "0"),
        ({"type": "strip_zeros"}, "0", "0"),
        ({"type": "strip_zeros"}, "100", "100"),
        ({"type": "strip_zeros"}, "", ""),
        ({"type": "prefix", "text": "NL"}, "1", "NL1"),
        ({"type": "suffix", "text": " €"}, "1", "1 €"),
        ({"type": "truncate", "max": 3}, "é😀a", "é😀a"),
        ({"type": "truncate", "max": 2, "when_longer": "cut"}, "é😀a", "é😀"),
    ],
)
def test_a_text_becomes_another(rule: Any, value: str, becomes: Any) -> None:
    """In a chain and alone; null stays null."""
    assert one({"text": ["v", rule]}, {"v": value}) == becomes
    assert one({"text": rule | {"from": "v"}}, {"v": value}) == becomes
    assert one({"text": ["v", rule]}, {"v": None}) is None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            {"type": "extract", "pattern": DIGITS, "when_absent": "reject"},
            "text: `v` 'abcd' does not match (?P<digits>[0-9]+)",
        ),
        (
            {"type": "split", "separator": "/", "part": 2, "when_absent": "reject"},
            "text: `v` 'abcd' has no part 2",
        ),
        (
            {"type": "split", "separator": "/", "part": -2, "when_absent": "reject"},
            "text: `v` 'abcd' has no part -2",
        ),
        ({"type": "truncate", "max": 3}, "text: `v` 'abcd' has more than 3 characters"),
    ],
)
def test_a_text_is_refused(rule: Any, reason: str) -> None:
    """Where the file says so, or a part of it would be lost."""
    assert one({"text": ["v", rule]}, {"v": "abcd"}) == reason


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "replace", "pattern": "(a", "with": ""}, "the pattern is none of RE2: missing )"),
        ({"type": "replace", "pattern": "(?=a)", "with": ""}, "invalid perl operator"),
        ({"type": "replace", "pattern": "(a)", "with": r"\2"}, "`with` does not go with the"),
        ({"type": "replace", "with": ""}, "it needs either `find`, a text, or `pattern`"),
        ({"type": "replace", "find": "a", "pattern": "a", "with": ""}, "it needs either `find`"),
        (
            {"type": "extract", "pattern": "a", "when_absent": "clear"},
            "needs one group, and a name",
        ),
        ({"type": "extract", "pattern": "(a)", "when_absent": "clear"}, "needs one group, and"),
        (
            {"type": "extract", "pattern": "(?P<a>a)(?P<b>b)", "when_absent": "clear"},
            "needs one group, and a name",
        ),
        ({"type": "extract", "pattern": DIGITS}, "Field required"),
        (
            {"type": "split", "separator": "/", "part": 0, "when_absent": "clear"},
            "the first part is",
        ),
        ({"type": "split", "separator": "", "part": 1, "when_absent": "clear"}, "at least 1 char"),
        ({"type": "pad", "length": 3, "fill": "00", "side": "left"}, "at most 1 character"),
        ({"type": "truncate"}, "Field required"),
    ],
)
def test_what_a_file_cannot_say(rule: Any, told: str) -> None:
    """Patterns are tried, and nothing is guessed."""
    with pytest.raises(ValidationError, match=re.escape(told)):
        one({"text": ["v", rule]}, {})


parts = st.lists(st.none() | st.text("ab/é", max_size=6), max_size=8)


@given(parts, st.integers(-4, 4).filter(bool))
def test_parts_are_those_of_python(values: list[Any], part: int) -> None:
    """Nulls and texts without the part among them; also within a slice of a longer column."""
    rule = Split(type="split", separator="/", part=part, when_absent="reject")
    done = rule.coerce(pa.array(["x/y", *values], TEXT)[1:], wanted=TEXT)
    index = part - 1 if part > 0 else part
    pieces = [None if value is None else value.split("/") for value in values]
    there = [p is not None and abs(part) <= len(p) for p in pieces]
    assert done.values.to_pylist() == [
        p[index] if ok and p is not None else None for p, ok in zip(pieces, there, strict=True)
    ]
    assert done.bad is not None
    lacking = [p is not None and not ok for p, ok in zip(pieces, there, strict=True)]
    assert done.bad.to_pylist() == lacking


@given(st.lists(st.none() | st.text("01a\n", max_size=5), min_size=1))
def test_zeros_go_but_for_the_last_character(values: list[Any]) -> None:
    """A text of zeros is one zero, and none becomes empty."""
    done = StripZeros(type="strip_zeros").coerce(pa.array(values, TEXT), wanted=TEXT)
    assert done.values.to_pylist() == [
        None if v is None else v.lstrip("0") or v[-1:] for v in values
    ]
