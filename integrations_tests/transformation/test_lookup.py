"""What a table says of a value: found, missing, null; by text and by whole numbers."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from integrations.errors import StopStream
from integrations.transformation.describe import field_table, looked_up, mapping_hash
from integrations.transformation.lookup import Lookup, Pairs, Unusable
from integrations.transformation.mapping import BoundMapping, MappingErrors, StreamMapping
from integrations.transformation.rule import INT, MONEY, TEXT
from integrations.transformation.transform import Transformed, Transformer
from integrations_tests.transformation.things import NOW, Thing

TABLE = {"key": "code", "value": "says"}
BY_FILE = {"type": "lookup", "from": "v", "file": "codes.csv"} | TABLE
BY_STREAM = {"type": "lookup", "from": "v", "stream": "codes", "value": "says"}
BY_TABLE = {"type": "lookup", "from": "v", "table": "ours.codes"} | TABLE
NO_FROM = {name: value for name, value in BY_FILE.items() if name != "from"}


def texts(pairs: Mapping[str | None, str | None]) -> pa.Table:
    columns = {"key": list(pairs), "value": list(pairs.values())}
    return pa.table(columns, schema=pa.schema({"key": TEXT, "value": TEXT}))


def bound(
    fields: dict[str, Any],
    pairs: Mapping[str | None, str | None],
    *,
    digest: str = "1",
    **more: Any,
) -> BoundMapping:
    """A mapping whose file holds these pairs, and whose stream is one of things."""

    def looking(rule: Lookup) -> Lookup:
        if rule.stream:
            return rule.in_entity("thing", Thing.columns()[0].type)
        return rule.in_file(texts(pairs), digest) if rule.file else rule

    values = {"entity": "thing", "key": "id", "fields": fields} | more
    return StreamMapping.model_validate(values).bind(Thing, looking=looking)


def run(mapping: BoundMapping, *values: Any, tables: Any = None) -> Transformed:
    records = [msgspec.json.encode({"id": str(n), "v": v}) for n, v in enumerate(values)]
    transformer = Transformer(mapping, tables=tables or {})
    return transformer.run(pa.array(records, pa.binary()), seen_at=NOW)


@pytest.mark.parametrize(
    ("column", "rule", "pairs", "value", "becomes"),
    [
        ("text", BY_FILE, {"a": "A", "b": "B"}, "b", "B"),
        ("text", BY_FILE, {"a": "A"}, None, None),
        ("text", BY_FILE, {"a": None}, "a", None),
        ("text", BY_FILE, {"": "blank"}, "", "blank"),
        ("text", BY_FILE, {None: "x", "a": "A"}, None, None),
        ("text", BY_FILE | {"when_missing": None}, {"a": "A"}, "c", None),
        ("text", BY_FILE | {"when_missing": "null"}, {"a": "A"}, "c", None),
        ("text", BY_FILE | {"when_missing": "keep_key"}, {"a": "A"}, "c", "c"),
        ("text", BY_FILE | {"when_missing": "keep_key"}, {"a": "A"}, "a", "A"),
        ("text", BY_FILE | {"when_missing": "keep_key"}, {"a": None}, "a", None),
        ("text", BY_FILE | {"when_missing": "keep_key"}, {"a": "A"}, None, None),
        ("whole", BY_FILE, {"a": "-7"}, "a", -7),
        ("real", BY_FILE, {"a": "1.5"}, "a", 1.5),
        ("yes", BY_FILE, {"a": "true"}, "a", True),
        ("day", BY_FILE, {"a": "2026-02-28"}, "a", date(2026, 2, 28)),
        ("moment", BY_FILE, {"a": "2026-02-28T12:00:00Z"}, "a", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("money", BY_FILE, {"a": "12.10"}, "a", Decimal("12.1")),
        ("word", BY_FILE, {"a": "on"}, "a", "on"),
        ("text", [{"type": "upper", "from": "v"}, NO_FROM], {"A": "x"}, "a", "x"),
        ("text", [{"type": "integer", "from": "v"}, NO_FROM], {"1000": "x"}, 1000, "x"),
        ("text", [{"type": "integer", "from": "v"}, NO_FROM], {"-3": "x"}, -3, "x"),
        (
            "text",
            [{"type": "integer", "from": "v"}, NO_FROM | {"when_missing": "keep_key"}],
            {"1": "x"},
            2,
            "2",
        ),
        ("text", ["v", NO_FROM, {"type": "upper"}], {"a": "x"}, "a", "X"),
        ("text", ["v", NO_FROM, NO_FROM], {"a": "b", "b": "c"}, "a", "c"),
    ],
)  # fmt: skip
def test_a_value_is_looked_up(
    column: str, rule: Any, pairs: dict[str | None, str | None], value: Any, becomes: Any
) -> None:
    """What stands beside the key, as the column's type."""
    done = run(bound({column: rule}, pairs), value)
    assert done.refused.to_pylist() == []
    assert done.rows[column].to_pylist() == [becomes]


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        (BY_FILE, "c", "text: `v` 'c' is not in the column `code` of codes.csv"),
        (BY_FILE, 5, "`v`: expected `str | null`, got `int`"),
        (
            [{"type": "integer", "from": "v"}, NO_FROM],
            7,
            "text: `v` 7 is not in the column `code` of codes.csv",
        ),
    ],
)
def test_a_value_without_a_row_is_refused(rule: Any, value: Any, reason: str) -> None:
    """It alone: the records beside it are found."""
    done = run(bound({"text": rule}, {"a": "A", "1": "B"}), value)
    assert done.refused["reason"].to_pylist() == [reason]


@pytest.mark.parametrize("more", [0, 99])
def test_a_batch_keeps_its_order(more: int) -> None:
    """One missing value costs its own record, in a table that is smaller than the batch and in one
    that is larger."""
    pairs = {"a": "A"} | {str(n): str(n) for n in range(more)} | {"b": "B"}
    done = run(bound({"text": BY_FILE}, pairs), "b", "c", "a", None, "b")
    assert done.rows["text"].to_pylist() == ["B", "A", None, "B"]
    assert done.refused["key"].to_pylist() == ["1"]


@pytest.mark.parametrize(
    ("column", "rule", "pairs", "message"),
    [
        ("whole", BY_FILE, {"a": "1", "b": "1.0"}, "codes.csv holds '1.0', not a whole number"),
        ("whole", BY_FILE, {"a": "1", "b": "2", "c": ""}, "codes.csv holds '', not a whole number"),
        ("real", BY_FILE, {"a": "nan"}, "codes.csv holds 'nan', not a floating-point number"),
        ("money", BY_FILE, {"a": "0.0000000001"}, "codes.csv holds '0.0000000001', not an exact decimal"),
        ("moment", BY_FILE, {"a": "2026-01-01 12:00:00"}, "codes.csv holds '2026-01-01 12:00:00', not a moment in UTC"),
        ("word", BY_FILE, {"a": "on", "b": "aan"}, "`word` is one of on, off; not aan"),
        ("json", BY_FILE, {}, "`json` takes JSON, which the rule lookup does not give"),
        ("day", BY_STREAM, {}, "`day` takes a day, which the rule lookup does not give"),
        ("whole", BY_FILE | {"when_missing": "keep_key"}, {}, "`whole` takes a whole number, which the rule lookup does not give"),
        ("text", NO_FROM, {}, "the rule lookup needs `from`: nothing stands before it"),
        ("money", [BY_STREAM, {"type": "upper"}], {}, "`money` takes an exact decimal; the chain ends in text"),
        ("text", [{"type": "epoch_s", "from": "v"}, NO_FROM], {}, "the rule lookup takes text or a whole number; what comes is a moment in UTC"),
    ],
)  # fmt: skip
def test_a_lookup_that_cannot_be(
    column: str, rule: Any, pairs: dict[str | None, str | None], message: str
) -> None:
    """A mistake of the file, not of the data."""
    with pytest.raises(MappingErrors) as caught:
        bound({column: rule}, pairs)
    assert [said for _, said in caught.value.mistakes] == [message]


@pytest.mark.parametrize(
    "schema", ["integrations", "canonical", "information_schema", "pg_catalog", "pg_temp_3"]
)
def test_a_table_is_one_of_the_users_own(schema: str) -> None:
    with pytest.raises(ValueError, match=f"the schema {schema} is not"):
        bound({"text": BY_TABLE | {"table": f"{schema}.codes"}}, {})


@pytest.mark.parametrize(("rule", "told"), [(BY_FILE, {"text": {"c": 2}}), (BY_STREAM, {})])
def test_missing_keys_of_a_file_are_words_that_nobody_knows(
    rule: dict[str, Any], told: dict[str, dict[str, int]]
) -> None:
    """Those of a stream may be of persons: nobody is told."""
    mapping = bound({"text": rule | {"when_missing": "null"}}, {"a": "A"})
    needs = {one: Pairs.of(texts({"a": "A"}), one.type) for one in mapping.needs}
    assert run(mapping, "c", "a", "c", None, tables=needs).strange == told


def test_a_key_is_not_looked_up() -> None:
    """What a table says can change, and a record's key cannot."""
    with pytest.raises(MappingErrors, match="a key is the record's own"):
        bound({"text": "v"}, {"a": "b"}, key=[["v", NO_FROM]])


@pytest.mark.parametrize(
    ("pairs", "type_", "message"),
    [
        ([("a", "1"), ("b", "2"), ("a", "1")], TEXT, "holds a key more than once: 'a'"),
        (
            [(key, "1") for key in "abcdefg" * 2],
            TEXT,
            "holds a key more than once: 'a', 'b', 'c', 'd', 'e' and 2 more",
        ),
        ([(str(n), str(n)) for n in range(99)] + [("x", "y")], INT, "holds 'y', not a whole number"),
        ([("a", "NaN")], MONEY, "holds 'NaN', not an exact decimal"),
    ],
)  # fmt: skip
def test_a_table_that_is_of_no_use(
    pairs: list[tuple[str, str]], type_: pa.DataType, message: str
) -> None:
    """It says which key, or which value."""
    columns = [pa.array(column, pa.string()) for column in zip(*pairs, strict=True)]
    with pytest.raises(Unusable, match=f"^{message}$"):
        Pairs.of(pa.table(columns, names=["key", "value"]), type_)


@pytest.mark.parametrize("rule", [BY_STREAM, BY_TABLE])
def test_what_is_in_the_database_is_brought(rule: dict[str, Any]) -> None:
    """The mapping says what it needs; without it a batch is not begun, rather than half done."""
    mapping = bound({"text": rule, "word": rule | {"when_missing": None}}, {})
    needs = {one: Pairs.of(texts({"a": "on"}), one.type) for one in mapping.needs}
    assert [one.may_be_empty for one in needs] == [False, True]
    assert run(mapping, "a", tables=needs).rows["word"].to_pylist() == ["on"]
    with pytest.raises(StopStream, match="nothing was read of "):
        run(mapping, "a")


def test_it_is_described() -> None:
    """The page of an asset names the column; a file's content is part of the mapping's hash."""
    rules: dict[str, Any] = {"text": BY_STREAM, "word": BY_FILE}
    mapping = bound(rules, {"a": "on"})
    assert "| text | `v`, `says` of stream codes | lookup |" in field_table(mapping)
    assert set(looked_up(mapping)) == {"text", "word"}
    assert mapping_hash(mapping) == mapping_hash(bound(rules, {"a": "off"}))
    assert mapping_hash(mapping) != mapping_hash(bound(rules, {"a": "on"}, digest="2"))
