"""A mapping in words."""

from decimal import Decimal
from pathlib import Path
from runpy import run_path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from integrations.transformation.describe import field_table, lineage, mapping_hash, masked
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
    assert (
        "| money | `a`, `c` | minor_units | clear | An amount. (an exact decimal in currency) |"
        in lines
    )
    assert "| secret | `s` | text | clear | A name. (text) *Personal.* |" in lines
    assert "| raw |  | *not mapped* |  | Bytes. (bytes) |" in lines


def test_the_field_table_tells_of_the_flag() -> None:
    """What makes a record a deleted one stands below the columns."""
    *_, last = field_table(bound({"text": "t"}, deleted="gone")).splitlines()
    about = "When the source said that it is deleted (a moment in UTC)"
    assert last == f"| _deleted_at | `gone` | deleted |  | {about} |"


MIXED: dict[str, Any] = {
    "text": {"type": "python", "call": "f", "reads": {"card.brand": "string", "t": "string"}},
    "money": {"type": "minor_units", "from": "a", "currency": "c"},
    "whole": "n",
    "json": "m",
    "word": {"type": "constant", "value": "on"},
    "secret": {"type": "id_or_object", "from": "who"},
}
RECORD = {"id": "a", "part": "1", "v": 1, "gone": None, "t": "x", "a": 100, "c": "eur", "n": 1}
RECORD |= {"m": {"k": "v"}, "who": "jane", "card": {"brand": "visa"}}
OTHER: dict[str, Any] = {"id": "b", "part": "2", "v": 2, "t": "y", "a": 200, "c": "jpy", "n": 2}
OTHER |= {"m": {}, "who": {"id": "joe"}, "card": {"brand": "amex"}}


def joined(*, card_brand: pa.Array, t: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(card_brand, t, "-")


def test_lineage_names_what_each_column_reads() -> None:
    """All columns of the table are there, also those that read nothing."""
    mapping = bound(MIXED, key=["id", "part"], version="v", deleted="gone", functions={"f": joined})
    found = lineage(mapping)
    assert {name: paths for name, paths in found.items() if paths} == {
        "source_id": ["id", "part"],
        "text": ["card.brand", "t"],
        "money": ["a", "c"],
        "whole": ["n"],
        "json": ["m"],
        "secret": ["who"],
        "_version": ["v"],
        "_deleted_at": ["gone"],
    }
    nothing = {"real", "yes", "moment", "day", "word", "raw"}
    assert {name for name, paths in found.items() if not paths} == nothing


@pytest.mark.parametrize("field", sorted(OTHER))
def test_a_changed_source_field_changes_the_columns_of_its_lineage(field: str) -> None:
    """One field at a time: these columns and no others."""
    more: dict[str, Any] = {"key": ["id", "part"], "version": "v", "deleted": "gone"}
    more["functions"] = {"f": joined}
    changed = transform(MIXED, RECORD, RECORD | {field: OTHER[field]}, **more).rows
    before, after = changed.to_pylist()
    path = "card.brand" if field == "card" else field
    wanted = {name for name, paths in lineage(bound(MIXED, **more)).items() if path in paths}
    assert {name for name in before if before[name] != after[name]} == wanted


def test_the_hash_changes_with_what_a_record_becomes() -> None:
    """Equal mappings have one hash, others another."""
    python = {"text": {"type": "python", "call": "f", "reads": {"t": "string"}}}
    hashes = [
        mapping_hash(one)
        for one in (
            bound({"text": "t"}),
            bound({"text": "u"}),
            bound({"text": "t"}, version="v"),
            bound({"text": "t"}, deleted="v"),
            bound({"text": "t"}, key=["id", "t"]),
            bound(python, functions={"f": upper}),
            bound(python, functions={"f": lower}),
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert hashes[0] == mapping_hash(bound({"text": "t"}))


def test_the_hash_knows_the_key_and_the_parent() -> None:
    """A function of the key, and what a child stream takes from its parent."""
    key: Any = {"type": "python", "call": "f", "reads": {"t": "string"}}
    first, second = (bound({"text": "t"}, key=key, functions={"f": f}) for f in (upper, lower))
    assert mapping_hash(first) != mapping_hash(second)

    def child(**parent: str) -> str:
        of = {"entity": "thing", "key": "id", "fields": {"text": "t"}}
        own = of | {"key": ["id", "item.id"], "each": "lines"}
        of_parent = StreamMapping.model_validate(of | parent)
        return mapping_hash(StreamMapping.model_validate(own).bind(Thing, of=of_parent))

    assert len({child(), child(version="v"), child(deleted="gone")}) == 3
    assert child() == child()


def test_the_hash_changes_with_the_file_of_a_function(tmp_path: Path) -> None:
    """A function may call others there."""
    python = {"text": {"type": "python", "call": "f", "reads": {"t": "string"}}}
    hashes = set()
    for number, helper in enumerate(("t", "t", "t + t")):
        file = tmp_path / f"functions_{number}.py"
        file.write_text(f"def f(*, t):\n    return g(t)\n\n\ndef g(t):\n    return {helper}\n")
        hashes.add(mapping_hash(bound(python, functions={"f": run_path(str(file))["f"]})))
    assert len(hashes) == 2


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
