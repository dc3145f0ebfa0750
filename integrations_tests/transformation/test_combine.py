"""The rules that choose, join and look up, and constants of every type."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.transformation.combine import Coalesce
from integrations.transformation.lookup import Pairs
from integrations.transformation.mapping import MappingErrors, StreamMapping
from integrations.transformation.rule import INT
from integrations.transformation.rules import settle
from integrations.transformation.transform import Transformer
from integrations_tests.transformation.things import NOW, Thing, one, transform

D = Decimal
WORD_OF = {"type": "enumeration", "from": "a", "map": {"1": "on"}}
CODES = {"hoog": "0.21", "laag": "0.09"}
HALVED = {"type": "python", "call": "half", "reads": {"n": "number"}}
NAME = {"type": "concat", "of": ["a", "b"], "separator": ", "}


@pytest.mark.parametrize(
    ("column", "rule", "record", "becomes"),
    [
        ("text", {"type": "coalesce", "of": ["a", "b"]}, {"a": None, "b": "y"}, "y"),
        ("text", {"type": "coalesce", "of": ["a", "b"]}, {"a": "x", "b": "y"}, "x"),
        ("text", {"type": "coalesce", "of": ["a", "b"]}, {}, None),
        ("whole", {"type": "coalesce", "of": ["a", {"type": "constant", "value": 7}]}, {}, 7),
        (
            "moment",
            {"type": "coalesce", "of": ["a", {"type": "epoch_s", "from": "b"}]},
            {"b": 0},
            datetime(1970, 1, 1, tzinfo=UTC),
        ),
        (
            "text",
            [{"type": "coalesce", "of": ["a", ["b", {"type": "lower"}]]}, {"type": "trim"}],
            {"b": " Y "},
            "y",
        ),
        (
            "day",
            {"type": "coalesce", "of": ["a", "b"]},
            {"a": "soon", "b": "2026-01-02"},
            "day: `a` 'soon', `b` '2026-01-02' is no day as 2026-01-31",
        ),
        (
            "day",
            {"type": "coalesce", "of": ["b", "a"]},
            {"a": "soon", "b": "2026-01-02"},
            date(2026, 1, 2),
        ),
        ("text", NAME | {"when_null": "skip"}, {"a": "x", "b": "y"}, "x, y"),
        ("text", NAME | {"when_null": "skip"}, {"a": "x", "b": None}, "x"),
        ("text", NAME | {"when_null": "skip"}, {}, None),
        ("text", NAME | {"when_null": "clear"}, {"a": "x"}, None),
        ("text", NAME | {"when_null": "reject"}, {"a": "x", "b": "y"}, "x, y"),
        ("text", NAME | {"when_null": "reject"}, {}, None),
        (
            "text",
            NAME | {"when_null": "reject"},
            {"a": "x"},
            "text: `a` 'x', `b` null lacks a part of the text",
        ),
        (
            "text",
            NAME | {"when_null": "skip", "of": [WORD_OF, {"type": "integer", "from": "b"}]},
            {"a": "1", "b": 5},
            "on, 5",
        ),
        (
            "text",
            NAME | {"when_null": "skip", "of": [WORD_OF, "b"]},
            {"a": "2", "b": "x"},
            "text: `a` '2', `b` 'x' is none of 1",
        ),
        ("text", ["a", {"type": "default", "value": "-"}], {}, "-"),
        ("text", ["a", {"type": "default", "value": "-"}], {"a": "x"}, "x"),
        ("money", ["a", {"type": "default", "value": "0.5"}], {}, D("0.5")),
        ("yes", ["a", {"type": "default", "value": False}], {}, False),
        ("word", ["a", {"type": "default", "value": "off"}], {"a": "on"}, "on"),
        ("money", {"type": "table", "from": "a", "map": CODES}, {"a": "laag"}, D("0.09")),
        ("money", {"type": "table", "from": "a", "map": CODES}, {}, None),
        ("money", {"type": "table", "from": "a", "map": CODES, "other": 0}, {"a": "?"}, D(0)),
        ("money", {"type": "table", "from": "a", "map": CODES, "other": 0}, {}, None),
        (
            "money",
            {"type": "table", "from": "a", "map": CODES},
            {"a": "geen"},
            "money: `a` 'geen' is none of hoog, laag",
        ),
        ("yes", {"type": "table", "from": "a", "map": {1: True, 0: False}}, {"a": 0}, False),
        ("whole", ["a", {"type": "upper"}, {"type": "table", "map": {"A": 1}}], {"a": "a"}, 1),
        ("text", [{"type": "integer", "from": "a"}, {"type": "table", "map": {7: "x"}}], {"a": 7}, "x"),
        ("money", {"type": "constant", "value": "1.21"}, {}, D("1.21")),
        ("money", {"type": "constant", "value": 2}, {}, D(2)),
        ("real", {"type": "constant", "value": "0.5"}, {}, 0.5),
        ("day", {"type": "constant", "value": "2026-02-28"}, {}, date(2026, 2, 28)),
        ("day", {"type": "constant", "value": date(2026, 2, 28)}, {}, date(2026, 2, 28)),
        (
            "moment",
            {"type": "constant", "value": "2026-02-28T12:00:00+02:00"},
            {},
            datetime(2026, 2, 28, 10, tzinfo=UTC),
        ),
    ],
)  # fmt: skip
def test_values_are_chosen_joined_and_looked_up(
    column: str, rule: Any, record: Any, becomes: Any
) -> None:
    """Nulls go as the file says; what a rule cannot take is refused where it is needed."""
    assert one({column: rule}, record) == becomes


@pytest.mark.parametrize(
    ("fields", "at", "message"),
    [
        (
            {"day": {"type": "coalesce", "of": ["a", {"type": "epoch_s", "from": "b"}]}},
            ("fields", "day", "of", 1),
            "a day is wanted, which the rule epoch_s does not give",
        ),
        (
            {"text": NAME | {"when_null": "skip", "of": ["a", ["b", {"type": "epoch_s"}]]}},
            ("fields", "text", "of", 1),
            "text is wanted; the chain ends in a moment in UTC",
        ),
        (
            {"money": ["a", {"type": "default", "value": "x"}]},
            ("fields", "money", 1, "value"),
            "'x' is not an exact decimal",
        ),
        (
            {"money": ["a", {"type": "default", "value": "0.0000000001"}]},
            ("fields", "money", 1, "value"),
            "'0.0000000001' is not an exact decimal",
        ),
        (
            {"text": {"type": "default", "from": "a", "value": "x"}},
            ("fields", "text"),
            "the rule default stands behind another: [path, {type: default, …}]",
        ),
        (
            {"word": ["a", {"type": "default", "value": "none"}]},
            ("fields", "word"),
            "`word` is one of on, off; not none",
        ),
        (
            {"word": [WORD_OF | {"map": {"1": "onn"}}, {"type": "default", "value": "off"}]},
            ("fields", "word"),
            "`word` is one of on, off; not onn",
        ),
        (
            {"word": {"type": "table", "from": "a", "map": {1: "on", 2: "of"}}},
            ("fields", "word"),
            "`word` is one of on, off; not of",
        ),
        (
            {"word": {"type": "coalesce", "of": [WORD_OF | {"other": "of"}, "b"]}},
            ("fields", "word"),
            "`word` is one of on, off; not of",
        ),
        (
            {"money": {"type": "table", "from": "a", "map": {1: "1", 2: "x"}}},
            ("fields", "money", "map", 2),
            "'x' is not an exact decimal",
        ),
        (
            {"money": {"type": "table", "from": "a", "map": {1: "1"}, "other": "x"}},
            ("fields", "money", "other"),
            "'x' is not an exact decimal",
        ),
        (
            {"day": {"type": "table", "from": "a", "map": {1: 1}}},
            ("fields", "day"),
            "`day` takes a day, which the rule table does not give",
        ),
        (
            {"whole": [{"type": "text", "from": "a"}, {"type": "table", "map": {1: 1}}]},
            ("fields", "whole", 1),
            "the rule table takes text or a whole number; what comes is text",
        ),
        (
            {"text": ["a", NAME | {"when_null": "skip"}]},
            ("fields", "text", 1),
            "the rule concat reads for itself: it can only stand first",
        ),
    ],
)
def test_a_value_that_does_not_fit(fields: Any, at: Any, message: str) -> None:
    """Is a mistake of the file, where it stands."""
    with pytest.raises(MappingErrors) as caught:
        one(fields, {})
    assert caught.value.mistakes == ((at, message),)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "constant", "value": 1.5}, 'write the number in quotes, "1.5"'),
        ({"type": "table", "from": "a", "map": {1: 1, "b": 2}}, "all texts or all whole numbers"),
        ({"type": "table", "from": "a", "map": {}}, "at least 1 item"),
        ({"type": "coalesce", "of": ["a"]}, "at least 2 items"),
        ({"type": "concat", "of": ["a", "b"], "separator": ""}, "Field required"),
        ({"type": "coalesce", "of": ["a", {"type": "nothing"}]}, "a rule is a path, or has a"),
        ({"type": "table", "from": "a", "map": {2**63: 1}}, "9223372036854775808 is not a whole"),
    ],
)
def test_what_a_file_cannot_say(rule: Any, told: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValidationError, match=told):
        one({"money": rule}, {})


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "table", "from": "a", "map": {"1": "on"}, "other": "off"},
        {"type": "coalesce", "of": [WORD_OF | {"other": "off"}, "b"]},
        {"type": "concat", "of": ["b", WORD_OF | {"other": "off"}], "separator": "", "when_null": "skip"},
    ],
)  # fmt: skip
def test_words_that_nobody_knows_are_told(rule: Any) -> None:
    """Also of a table's `other`, of rules within others and of those with others behind them: drift
    shows them."""
    done = transform({"text": rule}, {"id": "x", "a": "2"}, {"id": "y", "a": "1"})
    assert done.rows["text"].to_pylist() == ["off", "on"]
    assert done.strange == {"text": {"2": 1}}
    chain = [rule, {"type": "lower"}]
    assert transform({"text": chain}, {"id": "x", "a": "2"}).strange == {"text": {"2": 1}}
    done = transform({"text": chain, "secret": chain}, {"id": "x", "a": "2"})
    assert done.strange == {}, "none of a person's, whichever column reads it"


def test_words_that_several_rules_do_not_know() -> None:
    """Those of one hide none of the others'."""
    rule = {"type": "coalesce", "of": [WORD_OF | {"from": p, "other": "off"} for p in "ab"]}
    done = transform({"text": rule}, {"id": "x", "a": "2"}, {"id": "y", "b": "3"})
    assert done.strange == {"text": {"2": 1, "3": 1}}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("whole", 2**63),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("moment", "0001-01-01T00:00:00+05:00"),
        ("money", "1e29"),
        ("real", "NaN"),
    ],
)
@pytest.mark.parametrize("rule", ["constant", "default", "table"])
def test_a_value_of_the_file_that_no_row_could_hold(column: str, value: Any, rule: str) -> None:
    """It is a mistake of the file, not one of the first record."""
    given: dict[str, Any] = {
        "constant": {"type": "constant", "value": value},
        "default": ["a", {"type": "default", "value": value}],
        "table": {"type": "table", "from": "a", "map": {"a": value}},
    }
    with pytest.raises(MappingErrors):
        one({column: given[rule]}, {})


def test_one_path_is_read_one_way() -> None:
    """Also within a rule that is made of others."""
    of = ["a", [{"type": "integer", "from": "a"}]]
    with pytest.raises(ValidationError, match="two or more"):
        one({"text": {"type": "coalesce", "of": of}}, {})
    of = ["a", {"type": "integer", "from": "a"}]
    with pytest.raises(MappingErrors, match="`a` is read as"):
        one({"text": {"type": "coalesce", "of": of}}, {})


def _three(rows: int) -> Any:
    column = st.lists(st.none() | st.integers(0, 9), min_size=rows, max_size=rows)
    return st.lists(column, min_size=3, max_size=3)


@given(st.integers(0, 6).flatmap(_three))
def test_coalesce_is_associative_and_takes_the_first(given_: list[list[Any]]) -> None:
    """(a or b) or c is a or (b or c): the first that is there, null where none is."""
    rows = len(given_[0])
    read = dict(zip("abc", (pa.array(one_, INT) for one_ in given_), strict=True))
    first = [next((v for v in row if v is not None), None) for row in zip(*given_, strict=True)]
    for of in (("a", "b", "c"), (_of("a", "b"), "c"), ("a", _of("b", "c")), ("a", "a", "b", "c")):
        done = settle(_of(*of), INT).apply(read, wanted=INT, rows=rows)
        assert done.values.to_pylist() == first
        assert not any(bad.where.true_count for bad in done.told("coalesce"))


def _of(*rules: Any) -> Coalesce:
    return Coalesce(type="coalesce", of=rules)


def test_a_lookup_and_a_function_within_a_rule() -> None:
    """They get what they need wherever they stand."""
    table = {"type": "lookup", "from": "v", "table": "my.codes", "key": "k", "value": "w"}
    rule = {"type": "coalesce", "of": [table | {"when_missing": "null"}, HALVED]}
    values = {"entity": "thing", "key": "id", "fields": {"real": rule}}
    functions = {"half": lambda n: pc.divide(n, 2.0)}
    bound = StreamMapping.model_validate(values).bind(Thing, functions=functions)
    (needed,) = bound.needs
    pairs = Pairs(pa.array(["x"]), pa.array([7.0]))
    records = pa.array([b'{"id":"a","v":"x","n":3}', b'{"id":"b","v":"y","n":3}'], pa.binary())
    done = Transformer(bound, tables={needed: pairs}).run(records, seen_at=NOW)
    assert done.rows["real"].to_pylist() == [7.0, 1.5]
