"""Values that a connector's file writes itself, as those of a column's type."""

from datetime import date, datetime
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator

from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    MONEY,
    TEXT,
    TIMESTAMP,
    TYPE_WORDS,
)
from integrations.transformation.typed_value import NotOfType, typed

TYPED = (TEXT, INT, FLOAT, BOOL, TIMESTAMP, DATE, MONEY)
"""The types of which a file can write a value."""


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f'write the number in quotes, "{value}": without them it is not exact')
    return value


Given = Annotated[bool | int | str | date, BeforeValidator(_exact)]
"""A value as a file writes it: a word, a whole number, true or false, a day; other numbers and
moments in quotes."""


def literal(value: Any, wanted: pa.DataType) -> Any:
    """The value as one of the type; raises ValueError where it is none. 1 is no text."""
    try:
        if wanted == FLOAT and type(value) is str:  # in quotes, as every number with decimals
            value = float(typed(value, MONEY).as_py())
        if wanted not in TYPED or isinstance(value, datetime):
            raise NotOfType
        return typed(value, wanted).as_py()
    except NotOfType:
        raise ValueError(f"{value!r} is not {TYPE_WORDS[wanted]}") from None
