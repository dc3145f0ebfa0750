"""A small entity and the shortest way from records to rows."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from integrations.canonical.entity import (
    Bool,
    Bytes,
    Date,
    Entity,
    Float,
    Integer,
    Json,
    Money,
    Text,
    Timestamp,
    column,
)
from integrations.transformation.mapping import StreamMapping
from integrations.transformation.transform import Transformed, Transformer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

STRIPE_EVENT: dict[str, Any] = {
    "key": "data.object.id",
    "at": {"type": "epoch_s", "from": "created"},
    "precision": "seconds",
    "record": "data.object",
    "kind": "data.object.object",
    "type": "type",
    "deleted": "*.deleted",
    "representation": "at_creation",
}
"""Where an event of Stripe's says what."""


class Thing(Entity):
    """A column of each type, none required."""

    text: Text = column("Text.", nullable=True)
    whole: Integer = column("A whole number.", nullable=True)
    real: Float = column("A measure.", nullable=True, unit="m")
    yes: Bool = column("Yes or no.", nullable=True)
    moment: Timestamp = column("A moment.", nullable=True, unit="UTC")
    day: Date = column("A day.", nullable=True)
    money: Money = column("An amount.", nullable=True, unit="currency")
    json: Json = column("More.", nullable=True)
    word: Text = column("A word.", nullable=True, isin=("on", "off"))
    secret: Text = column("A name.", nullable=True, personal=True, str_matches="^[a-z]+$")
    raw: Bytes = column("Bytes.", nullable=True)


def transform(
    fields: dict[str, Any], *records: Any, entity: type[Entity] = Thing, **more: Any
) -> Transformed:
    """Records (bytes, or values that are written as JSON) through a mapping with the key `id`."""
    functions = more.pop("functions", None)
    mapping = StreamMapping.model_validate(
        {"entity": entity.entity_name(), "key": "id", "fields": fields} | more
    )
    raw = [r if isinstance(r, bytes) else msgspec.json.encode(r) for r in records]
    transformer = Transformer(mapping.bind(entity, functions=functions))
    return transformer.run(pa.array(raw, pa.binary()), seen_at=NOW)


def one(fields: dict[str, Any], record: Any, **more: Any) -> Any:
    """What a single record's value becomes in the first mapped column, or the reason against it."""
    record = record if isinstance(record, bytes) else {"id": "a"} | record
    done = transform(fields, record, **more)
    if len(done.refused):
        return done.refused["reason"][0].as_py()
    return done.rows[next(iter(fields))][0].as_py()


class No(str):
    """Words that the reason against a value must hold."""


def check(column: str, rule: Any, cases: Iterable[tuple[Any, Any]], **more: Any) -> None:
    """Puts every value of a table through a rule, all in one batch: each must become what stands
    beside it, whatever its neighbours are. Bytes are a value's JSON as it was sent.

    A refused value must be named with its column. All that is wrong is shown at once.
    """
    cases = list(cases)
    records = [
        b'{"id":"%d","v":%s%s}'
        % (n, v if isinstance(v, bytes) else msgspec.json.encode(v), _rest(more))
        for n, (v, _) in enumerate(cases)
    ]
    done = transform({column: rule}, *records)
    found: dict[str, Any] = dict(
        zip(done.rows["source_id"].to_pylist(), done.rows[column].to_pylist(), strict=True)
    )
    # Of a record that is no JSON the key cannot be read: it is known by its bytes.
    for record, reason in zip(
        *(done.refused[c].to_pylist() for c in ("record", "reason")), strict=True
    ):
        found[str(records.index(record))] = No(reason)
    wrong = [
        f"{value!r}: {found[str(n)]!r}, not {becomes!r}"
        for n, (value, becomes) in enumerate(cases)
        if not _as_told(found[str(n)], becomes, column)
    ]
    assert not wrong, "\n".join(wrong)


def _rest(more: dict[str, Any]) -> bytes:
    return b"".join(b',"%s":%s' % (k.encode(), msgspec.json.encode(v)) for k, v in more.items())


def _as_told(found: Any, becomes: Any, column: str) -> bool:
    if isinstance(becomes, No) or isinstance(found, No):
        named = isinstance(found, No) and (
            found.startswith((f"{column}: `v` ", "`v")) or "record" in found
        )
        return named and isinstance(becomes, No) and becomes in found
    return type(found) is type(becomes) and bool(found == becomes)
