"""A value of a connector's file as one of a column's type: exactly, or not at all."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

import msgspec
import pyarrow as pa

from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    JSON,
    MONEY,
    TEXT,
    TIMESTAMP,
    TYPE_WORDS,
)


class NotOfType(ValueError):
    """The end of a sentence that began with the value's name."""


def _text(value: str) -> str:
    value.encode()
    return value if "\0" not in value else _never()


def _number(value: float) -> float:
    return float(value) if isfinite(value) else _never()


def _decimal(value: int | str) -> Decimal:
    number = Decimal(value)
    return number if number.is_finite() else _never()


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC) if moment.tzinfo else _never()


def _day(value: str | date) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if "\\u0000" not in text else _never()


def _never() -> Any:
    raise ValueError


_Reader = Callable[[Any], Any]
_READERS: dict[pa.DataType, tuple[tuple[type, ...], _Reader, str]] = {
    TEXT: ((str,), _text, ""),
    INT: ((int,), int, ""),
    FLOAT: ((float, int), _number, ""),
    BOOL: ((bool,), bool, ""),
    MONEY: ((int, str), _decimal, ": write it in quotes, with at most nine decimals"),
    TIMESTAMP: ((str, datetime), _moment, ": write it with its zone, 2026-01-31T12:00:00Z"),
    DATE: ((str, date), _day, ": write it as 2026-01-31"),
    JSON: ((dict, list), _json, ""),
}
"""By type: what a file may write, how it is read, and what to write where it is neither."""


def typed(value: Any, wanted: pa.DataType) -> "pa.Scalar[Any]":
    """The value as a scalar of the type, for a JSON column as its text. Raises `NotOfType`.

    Nothing is made to fit: 1 is no text and no boolean, and a decimal is no binary float.
    """
    words = TYPE_WORDS[wanted]
    if wanted not in _READERS:
        raise NotOfType(f"cannot be written in a file: it is {words}")
    types, read, how = _READERS[wanted]
    try:
        if type(value) not in types:
            raise ValueError
        scalar: pa.Scalar[Any] = pa.scalar(read(value), TEXT if wanted == JSON else wanted)
    except (ValueError, TypeError, InvalidOperation, OverflowError, pa.ArrowInvalid):
        raise NotOfType(f"is not {words}{how}") from None
    return scalar
