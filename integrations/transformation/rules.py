"""All rules of the `transformer` part, as one type that a file's values are read into.

A bare path (`customer_id: customer`) is the default rule of the column's type.
"""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import Discriminator, Tag

from integrations.transformation.function import PythonFunction
from integrations.transformation.money import MinorUnits
from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    JSON,
    MONEY,
    TEXT,
    TIMESTAMP,
    Rule,
    SourcePath,
)
from integrations.transformation.times import Date, EpochDate, EpochSeconds, Timestamp
from integrations.transformation.values import (
    Boolean,
    Constant,
    Decimal,
    Enumeration,
    IdOrObject,
    Integer,
    Number,
    StringMap,
    Text,
    Upper,
)

PATH = "path"
"""Tag of a bare path in pydantic's error locations."""

_TYPES = (
    "boolean, constant, date, decimal, enumeration, epoch_date, epoch_s, id_or_object, integer, "
    "minor_units, number, python, string_map, text, timestamp, upper"
)


def _tag(value: Any) -> str | None:
    if isinstance(value, str):
        return PATH
    if isinstance(value, dict):
        return value.get("type")
    return getattr(value, "type", None)


FieldRule = Annotated[
    Annotated[SourcePath, Tag(PATH)]
    | Annotated[Boolean, Tag("boolean")]
    | Annotated[Constant, Tag("constant")]
    | Annotated[Date, Tag("date")]
    | Annotated[Decimal, Tag("decimal")]
    | Annotated[Enumeration, Tag("enumeration")]
    | Annotated[EpochDate, Tag("epoch_date")]
    | Annotated[EpochSeconds, Tag("epoch_s")]
    | Annotated[IdOrObject, Tag("id_or_object")]
    | Annotated[Integer, Tag("integer")]
    | Annotated[MinorUnits, Tag("minor_units")]
    | Annotated[Number, Tag("number")]
    | Annotated[PythonFunction, Tag("python")]
    | Annotated[StringMap, Tag("string_map")]
    | Annotated[Text, Tag("text")]
    | Annotated[Timestamp, Tag("timestamp")]
    | Annotated[Upper, Tag("upper")],
    Discriminator(
        _tag,
        custom_error_type="rule_type",
        custom_error_message=f"a rule is a path, or has a `type`: one of {_TYPES}",
    ),
]

MomentRule = Annotated[
    Annotated[SourcePath, Tag(PATH)]
    | Annotated[EpochSeconds, Tag("epoch_s")]
    | Annotated[Timestamp, Tag("timestamp")],
    Discriminator(
        _tag,
        custom_error_type="rule_type",
        custom_error_message="a moment is a path, or has a `type`: one of epoch_s, timestamp",
    ),
]
"""The rules that give a moment of themselves, without a function of the connector's folder."""

_DEFAULTS: dict[pa.DataType, tuple[type[Rule], str]] = {
    TEXT: (Text, "text"),
    INT: (Integer, "integer"),
    FLOAT: (Number, "number"),
    BOOL: (Boolean, "boolean"),
    TIMESTAMP: (Timestamp, "timestamp"),
    DATE: (Date, "date"),
    MONEY: (Decimal, "decimal"),
    JSON: (StringMap, "string_map"),
}


def as_rule(given: "str | Rule", *, wanted: pa.DataType) -> Rule | None:
    """The rule that a file's value stands for; None where a bare path cannot fill the type."""
    if isinstance(given, Rule):
        return given
    if wanted not in _DEFAULTS:
        return None
    rule, name = _DEFAULTS[wanted]
    return rule.model_validate({"type": name, "from": given})
