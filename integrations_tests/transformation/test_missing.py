"""Which values of a record are null and which absent, and what the policies make of that; the rows
in Postgres are in `storage/test_missing.py`."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.canonical.entity import Entity, Text, column
from integrations.canonical.payment import Payment
from integrations.transformation import transform as module
from integrations.transformation.describe import field_table, mapping_hash
from integrations.transformation.mapping import MappingErrors, StreamMapping
from integrations.transformation.structs import SLICE
from integrations.transformation.transform import Transformed
from integrations_tests.transformation.things import Thing, transform

TELLING = {"when_null": "clear", "when_absent": "keep"}
"""Marks what is absent and nothing else."""


def marks(done: Transformed, name: str = "text") -> list[bool]:
    found: list[bool] = done.rows[f"_keep_{name}"].to_pylist()
    return found


def reasons(done: Transformed) -> list[str]:
    found: list[str] = done.refused["reason"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("path", "record", "absent"),
    [
        ("t", {}, True),
        ("t", {"t": None}, False),
        ("t", {"t": ""}, False),
        ("t", {"t": "x"}, False),
        ("t", {"u": {"t": "x"}}, True),
        ("o.p.q", {}, True),
        ("o.p.q", {"o": {}}, True),
        ("o.p.q", {"o": {"p": {}}}, True),
        ("o.p.q", {"o": {"q": None}}, True),
        ("o.p.q", {"o": None}, False),
        ("o.p.q", {"o": {"p": None}}, False),
        ("o.p.q", {"o": {"p": {"q": None}}}, False),
        ("o.p.q", {"o": {"p": {"q": "x"}}}, False),
    ],
)
def test_what_is_absent(path: str, record: dict[str, Any], absent: bool) -> None:
    """Below an object that is absent everything is, below one that is null everything is null."""
    done = transform({"text": path}, {"id": "a"} | record, missing={"text": TELLING})
    assert marks(done) == [absent]


class Loose(Entity):
    """Texts of any kind."""

    one: Text = column("At the top.", nullable=True)
    two: Text = column("In an object.", nullable=True)
    three: Text = column("Beside it.", nullable=True)
    both: Text = column("From two places.", nullable=True)


VALUES = st.sampled_from([None, "", "x"])
OBJECTS = st.none() | st.fixed_dictionaries({}, optional={"x": VALUES, "y": VALUES})
RECORDS = st.fixed_dictionaries(
    {"id": st.just("a")}, optional={"t": VALUES, "o": OBJECTS, "a": VALUES, "b": VALUES}
)


def lacks(record: Any, *names: str) -> bool:
    """In plain Python, whether a record lacks a path."""
    for name in names:
        if record is None:
            return False
        if name not in record:
            return True
        record = record[name]
    return False


def either(*, a: pa.Array, b: pa.Array) -> pa.Array:
    return pc.coalesce(a, b)


@settings(max_examples=40)
@given(st.lists(RECORDS, max_size=12))
def test_records_of_any_shape(records: list[dict[str, Any]]) -> None:
    """Several columns at once, among records that have all of it, some, or nothing; a column made
    from two places is absent where both are."""
    both = {"type": "python", "call": "either", "reads": {"a": "string", "b": "string"}}
    fields = {"one": "t", "two": "o.x", "three": "o.y", "both": both}
    missing = dict.fromkeys(fields, TELLING)
    functions = {"either": either}
    done = transform(fields, *records, missing=missing, functions=functions, entity=Loose)
    for name, path in (("one", ["t"]), ("two", ["o", "x"]), ("three", ["o", "y"])):
        assert marks(done, name) == [lacks(record, *path) for record in records]
    assert marks(done, "both") == [lacks(one, "a") and lacks(one, "b") for one in records]


def test_more_records_than_are_looked_at_at_once() -> None:
    """Each stays in its place."""
    records = [{"id": str(n)} | ({} if n % 3 else {"t": None}) for n in range(2 * SLICE + 7)]
    done = transform({"text": "t"}, *records, missing={"text": TELLING})
    assert marks(done) == [bool(n % 3) for n in range(len(records))]


def test_records_that_drop_out_shift_no_others() -> None:
    """Unreadable ones, refused ones and stubs of deleted ones stand between."""
    records = [
        {"id": "1", "t": None}, b"x", {"id": "2"}, {"id": "3", "gone": True}, {"id": "4", "t": 5},
        {"t": "no key"}, {"id": "5", "t": "x"}, {"id": "6"},
    ]  # fmt: skip
    done = transform({"text": "t"}, *records, missing={"text": TELLING}, deleted="gone")
    assert done.rows["source_id"].to_pylist() == ["1", "2", "3", "5", "6"]
    assert marks(done) == [False, True, False, False, True]


def test_a_blank_that_a_rule_makes_null_is_null() -> None:
    """It was there, so it is not absent."""

    def blank(*, t: pa.Array) -> pa.Array:
        return pc.if_else(pc.equal(t, ""), None, t)

    fields = {"text": {"type": "python", "call": "blank", "reads": {"t": "string"}}}
    done = transform(
        fields, {"id": "a", "t": ""}, {"id": "b"}, functions={"blank": blank},
        missing={"text": {"when_null": "default", "when_absent": "keep", "default": "d"}},
    )  # fmt: skip
    assert done.rows["text"].to_pylist() == ["d", "d"]
    assert marks(done) == [False, True]


@pytest.mark.parametrize("null", ["keep", "clear"])
def test_what_a_rule_makes_of_nothing(null: str) -> None:
    """Of a field that is absent, the file's word counts, and not what the rule would make of it;
    of one that is null the rule's does."""

    def filled(*, t: pa.Array) -> pa.Array:
        return pc.coalesce(t, "made up")

    fields = {"text": {"type": "python", "call": "filled", "reads": {"t": "string"}}}
    missing = {"text": {"when_null": null, "when_absent": "keep"}}
    done = transform(
        fields, {"id": "a"}, {"id": "b", "t": None}, functions={"filled": filled}, missing=missing
    )
    assert done.rows["text"].to_pylist() == [None, "made up"]
    assert marks(done) == [True, False]
    only_null = {"text": {"when_null": "reject"}}
    done = transform(
        fields, {"id": "a"}, {"id": "b", "t": None}, functions={"filled": filled}, missing=only_null
    )
    assert done.rows["text"].to_pylist() == ["made up", "made up"]


def test_what_is_absent_is_not_refused_for_what_a_rule_makes_of_it() -> None:
    """Nobody wants that value."""
    chain = ["t", {"type": "default", "value": "long"}, {"type": "truncate", "max": 3}]
    records = [{"id": "a"}, {"id": "b", "t": None}]
    done = transform({"text": chain}, *records, missing={"text": {"when_absent": "clear"}})
    assert done.rows.select(["source_id", "text"]).to_pylist() == [{"source_id": "a", "text": None}]
    assert reasons(done) == ["text: `t` null has more than 3 characters"]


def test_what_is_not_decided_is_as_before() -> None:
    """Null alone is decided: what is absent is cleared, and a required column refuses it."""
    done = transform({"text": "t"}, {"id": "a"}, missing={"text": {"when_null": "reject"}})
    assert (done.rows["text"].to_pylist(), reasons(done)) == ([None], [])
    fields = {
        "amount": "a", "currency": "c", "status_raw": "s", "created_at": "at",
        "status": {"type": "constant", "value": "paid"},
    }  # fmt: skip
    record = {"id": "a", "a": 1, "c": "EUR", "at": "2026-01-31T12:00:00Z"}
    decided = {"status_raw": {"when_null": "default", "default": "?"}}
    records = [record | {"s": None}, record | {"id": "b"}]
    done = transform(fields, *records, missing=decided, entity=Payment)
    assert done.rows["status_raw"].to_pylist() == ["?"]
    assert reasons(done) == ["status_raw: `s` null gives nothing, and the column is required"]


def test_a_bad_value_is_neither_null_nor_absent() -> None:
    """It is refused, whatever the policies."""
    for policy in ("keep", "clear", "default", "reject"):
        given = {"default": 1} if policy in ("keep", "default") else {}
        missing = {"whole": {"when_null": policy, "when_absent": policy, **given}}
        rule = {"type": "minor_units", "from": "a", "currency": "c"}
        missing["money"] = {"when_null": policy, "when_absent": policy, **given}
        done = transform(
            {"whole": "n", "money": rule}, {"id": "a", "n": "x"}, {"id": "b", "n": 1, "a": 1},
            missing=missing,
        )  # fmt: skip
        assert [one["rule"] for one in done.refused.to_pylist()] == ["integer", "minor_units"]


def test_a_refusal_names_field_and_policy() -> None:
    """And says whether the value was null or absent; a column made from two places names both."""
    rule = {"type": "minor_units", "from": "a", "currency": "c"}
    reject = {"when_null": "reject", "when_absent": "reject"}
    done = transform(
        {"text": "t", "money": rule}, {"id": "1", "t": None, "a": 100, "c": "eur"},
        {"id": "2", "t": "x"}, {"id": "3", "t": "x", "a": None, "c": "eur"},
        missing={"text": reject, "money": reject},
    )  # fmt: skip
    found = [(one["field"], one["rule"], one["reason"]) for one in done.refused.to_pylist()]
    assert found == [
        ("text", "when_null", "text: `t` null gives null, which `when_null: reject` refuses"),
        ("money", "when_absent", "money: `a`, `c` absent, which `when_absent: reject` refuses"),
        (
            "money",
            "when_null",
            "money: `a` null, `c` 'eur' gives null, which `when_null: reject` refuses",
        ),
    ]


def test_a_record_that_cannot_be_looked_at_again() -> None:
    """Arrow passes over NaN where it is not asked for, msgspec does not: refused by name."""
    records = (b'{"id":"a","t":"x","n":NaN}', b'{"id":"b","n":NaN}', b'{"id":"c"}')
    done = transform({"text": "t"}, *records, missing={"text": TELLING})
    assert done.rows["source_id"].to_pylist() == ["a", "c"]
    assert marks(done) == [False, True]
    assert reasons(done)[0].startswith("the record is no JSON: ")


@pytest.mark.parametrize(
    ("missing", "looks"),
    [
        (TELLING, True),
        ({"when_null": "reject", "when_absent": "reject"}, True),
        ({"when_null": "reject"}, True),
        ({"when_null": "keep", "when_absent": "keep"}, False),
        ({"when_null": "default", "when_absent": "default", "default": "d"}, False),
    ],
)
def test_a_second_look_only_where_it_matters(
    monkeypatch: pytest.MonkeyPatch, missing: dict[str, Any], looks: bool
) -> None:
    """At records that lack the field, where null and absent differ; never where all have it."""
    looked: list[int] = []

    class Seen(module.Presence):
        def absent(self, records: Any) -> Any:
            looked.append(len(records))
            return super().absent(records)

    monkeypatch.setattr(module, "Presence", Seen)
    whole = [{"id": str(n), "t": "x"} for n in range(5)]
    transform({"text": "t"}, *whole, missing={"text": missing})
    assert looked == []
    transform({"text": "t"}, *whole, {"id": "a"}, {"id": "b", "t": None}, missing={"text": missing})
    assert looked == ([2] if looks else [])


@pytest.mark.parametrize(
    ("name", "default", "stands"),
    [
        ("text", "", ""),
        ("whole", 0, 0),
        ("whole", -(2**63), -(2**63)),
        ("real", 1, 1.0),
        ("real", 0.5, 0.5),
        ("yes", False, False),
        ("moment", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("moment", datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)),
        ("day", "2026-01-31", date(2026, 1, 31)),
        ("day", date(2026, 1, 31), date(2026, 1, 31)),
        ("money", "0.10", Decimal("0.10")),
        ("money", 3, Decimal(3)),
        ("json", {"a": [1]}, '{"a":[1]}'),
        ("json", [], "[]"),
        ("word", "off", "off"),
    ],
)
def test_a_default_of_each_type(name: str, default: Any, stands: Any) -> None:
    """It comes out as the column's own."""
    missing = {name: {"when_absent": "default", "default": default}}
    done = transform({name: "x"}, {"id": "a"}, missing=missing)
    assert done.rows[name].to_pylist() == [stands]
    assert done.rows.schema.field(name) == transform({name: "x"}).rows.schema.field(name)


MAPPED: dict[str, Any] = {
    "currency": "c", "method": "m", "captured": "y", "fee": "f", "paid_at": "p",
    "status": {"type": "constant", "value": "paid"},
}  # fmt: skip
WRONG: list[tuple[str, dict[str, Any], tuple[str, ...], str]] = [
    ("currency", {"when_null": "keep"}, ("when_null",), "`currency` is required: to keep it, it "
     "needs a `default` for a key never seen"),
    ("currency", {"when_absent": "clear"}, ("when_absent",),
     "`currency` is required: it cannot be cleared"),
    ("method", {"when_null": "default"}, ("when_null",), "`method` has no `default` to take"),
    ("method", {"when_null": "reject", "default": "x"}, ("default",),
     "no policy of `method` takes a `default`"),
    ("method", {}, (), "`method` has neither `when_null` nor `when_absent`"),
    ("method", {"when_null": "default", "default": 5}, ("default",),
     "the `default` of `method` is not text"),
    ("method", {"when_null": "default", "default": "\0"}, ("default",),
     "the `default` of `method` is not text"),
    ("captured", {"when_null": "default", "default": 1}, ("default",),
     "the `default` of `captured` is not true or false"),
    ("currency", {"when_null": "default", "default": "euro"}, ("default",),
     "the `default` of `currency` does not match '^[A-Z]{3}$'"),
    ("fee", {"when_null": "default", "default": 0.1}, ("default",), "the `default` of `fee` is not "
     "an exact decimal: write it in quotes, with at most nine decimals"),
    ("fee", {"when_null": "default", "default": "Infinity"}, ("default",), "the `default` of `fee` "
     "is not an exact decimal: write it in quotes, with at most nine decimals"),
    ("paid_at", {"when_null": "default", "default": "2026-01-31T12:00:00"}, ("default",),
     "the `default` of `paid_at` is not a moment in UTC: write it with its zone, "
     "2026-01-31T12:00:00Z"),
    ("status", {"when_null": "reject"}, (),
     "`status` is made of nothing in a record: it is never missing"),
    ("metod", {"when_null": "reject"}, (),
     "payment has no column 'metod'; did you mean 'method'?"),
    ("livemode", {"when_null": "reject"}, (), "no rule fills `livemode`: it is always missing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "missing", "at", "message"), WRONG)
def test_a_mistake_is_named_with_its_place(
    name: str, missing: dict[str, Any], at: tuple[str, ...], message: str
) -> None:
    """Before any record comes; the default is asked of the column's own checks too."""
    values = {"entity": "payment", "key": "id", "fields": MAPPED, "missing": {name: missing}}
    with pytest.raises(MappingErrors) as raised:
        StreamMapping.model_validate(values).bind(Payment)
    found = [one for one in raised.value.mistakes if one[0][0] == "missing"]
    assert found == [(("missing", name, *at), message)]


def test_decisions_are_in_description_and_hash() -> None:
    """What is decided stands in the field's line; a changed decision is a changed mapping."""
    fields = {"text": "t", "word": "w", "secret": "s", "whole": "n"}
    missing = {
        "text": TELLING,
        "word": {"when_null": "default", "when_absent": "default", "default": "on"},
        "secret": {"when_null": "reject"},
    }
    values = {"entity": "thing", "key": "id", "fields": fields, "missing": missing}
    bound = StreamMapping.model_validate(values).bind(Thing)
    lines = [line.split(" | ") for line in field_table(bound).splitlines()]
    cells = {line[0].removeprefix("| "): line[3] for line in lines[2:]}
    assert {name: cells[name] for name in ("text", "word", "secret", "whole", "real")} == {
        "text": "null: clear, absent: keep",
        "word": "default (default on)",
        "secret": "null: reject, absent: clear",
        "whole": "clear",
        "real": "",
    }
    plain = StreamMapping.model_validate(values | {"missing": {}}).bind(Thing)
    assert mapping_hash(plain) != mapping_hash(bound)
