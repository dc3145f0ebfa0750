"""Values that a connector's file writes itself, as those of a column's type."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
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
        found = _READ[wanted](value)
    except (KeyError, ValueError, InvalidOperation, pa.ArrowInvalid):
        found = None
    if found is None:
        raise ValueError(f"{value!r} is not {TYPE_WORDS[wanted]}")
    return found


def _plain(type_: type) -> Any:
    return lambda value: value if type(value) is type_ else None


def _decimal(value: Any) -> Any:
    if type(value) not in (int, str):
        return None
    return pa.scalar(Decimal(value), MONEY).as_py()


def _float(value: Any) -> Any:
    return None if _decimal(value) is None else float(value)


def _day(value: Any) -> Any:
    return date.fromisoformat(value) if type(value) is str else _plain(date)(value)


def _moment(value: Any) -> Any:
    if type(value) is not str:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else None


_READ = {
    TEXT: _plain(str),
    INT: _plain(int),
    FLOAT: _float,
    BOOL: _plain(bool),
    TIMESTAMP: _moment,
    DATE: _day,
    MONEY: _decimal,
}
