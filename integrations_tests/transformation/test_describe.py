"""A mapping in words."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from integrations.transformation.describe import field_table, mapping_hash, masked
from integrations.transformation.mapping import BoundMapping, StreamMapping
from integrations_tests.transformation.things import Thing, transform


def upper(*, t: pa.Array) -> pa.Array:
    return pc.utf8_upper(t)


def lower(*, t: pa.Array) -> pa.Array:
    return pc.utf8_lower(t)


def bound(fields: dict[str, Any], **more: Any) -> BoundMapping:
    functions = more.pop("functions", None)
    values = {"entity": "thing", "key": "id", "fields": fields} | more
    return StreamMapping.model_validate(values).bind(Thing, functions=functions)


def test_the_field_table_has_every_column_of_the_entity() -> None:
    """What fills each, in which unit, and who may see it."""
    rule = {"type": "minor_units", "from": "a", "currency": "c"}
    lines = field_table(bound({"money": rule, "secret": "s"})).splitlines()
    assert len(lines) == 2 + len(Thing.columns())
    assert "| money | `a`, `c` | minor_units | An amount. (an exact decimal in currency) |" in lines
    assert "| secret | `s` | text | A name. (text) *Personal.* |" in lines
    assert "| raw |  | *not mapped* | Bytes. (bytes) |" in lines


def test_the_hash_changes_with_what_a_record_becomes() -> None:
    """Equal mappings have one hash, others another."""
    python = {"text": {"type": "python", "call": "f", "reads": {"t": "string"}}}
    hashes = [
        mapping_hash(one)
        for one in (
            bound({"text": "t"}),
            bound({"text": "u"}),
            bound({"text": "t"}, version="v"),
            bound({"text": "t"}, key=["id", "t"]),
            bound(python, functions={"f": upper}),
            bound(python, functions={"f": lower}),
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert hashes[0] == mapping_hash(bound({"text": "t"}))


def test_a_preview_masks_and_cuts() -> None:
    """Personal values are dots, long ones are cut, markdown is text, empty columns are left out."""
    records = [
        {"id": "a", "t": "x|y *z*\n" + "l" * 60, "s": "jane", "m": "12.10"},
        {"id": "b", "s": None},
        {"id": "c"},
    ]
    rows = transform({"text": "t", "secret": "s", "money": "m"}, *records).rows
    assert masked(rows, Thing, limit=2).splitlines() == [
        "| source_id | text | money | secret |",
        "|---|---|---|---|",
        f"| a | x\\|y \\*z\\* {'l' * 31}… | 12.1 | ••• |",
        "| b |  |  |  |",
    ]
    assert rows["money"].to_pylist()[0] == Decimal("12.1")


def test_a_preview_of_nothing_is_empty() -> None:
    """No table without rows."""
    assert masked(transform({"text": "t"}).rows, Thing) == ""
