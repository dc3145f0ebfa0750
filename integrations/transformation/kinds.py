"""What a value may look like in a source's JSON, and how it is read exactly.

Two readers know each kind: pyarrow, which reads whole blocks into columns, and msgspec, which reads
the records that pyarrow refused and the values that have no Arrow column (an id or an object, a
map).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa


class _Reference(msgspec.Struct, gc=False):
    """An object of which only the id is wanted."""

    id: str


@dataclass(frozen=True)
class Kind:
    """One shape of value. `json` is its type for msgspec, `arrow` that of its column.

    `render` is there for kinds that pyarrow cannot read: it makes the column's value from the
    decoded one. What msgspec gives as it was sent needs none: its column holds the text of it.
    """

    name: str
    arrow: pa.DataType
    json: Any
    render: Callable[[Any], Any] | None = None

    @property
    def as_sent(self) -> bool:
        """Whether the column holds the JSON that was sent, not a value that was read from it."""
        return self.json is msgspec.Raw

    @property
    def mixed(self) -> bool:
        """Whether pyarrow cannot read it: its values have no one type in JSON."""
        return self.as_sent or self.render is not None


def _id(value: Any) -> str:
    return value if type(value) is str else str(value.id)


def _json_text(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode() if value else "{}"


# No msgspec.Meta for the range of integers: decoders with it make some interpreters crash at exit
# (jcrist/msgspec#717). Arrow refuses what does not fit.
STRING = Kind("string", pa.string(), str)
INTEGER = Kind("integer", pa.int64(), int)
NUMBER = Kind("number", pa.float64(), float)
DECIMAL = Kind("decimal", pa.decimal128(38, 9), Decimal)
"""Read exactly from `12.10` and from `"12.10"`; more than nine decimals are refused."""
BOOLEAN = Kind("boolean", pa.bool_(), bool)
ID_OR_OBJECT = Kind("id_or_object", pa.string(), str | _Reference, _id)
STRING_MAP = Kind("string_map", pa.string(), dict[str, str], _json_text)
WORD = Kind("string_or_integer", pa.string(), str | int, str)
"""A key as sources write it: `"ch_1"` or `17`."""
RAW = Kind("raw", pa.binary(), msgspec.Raw)
"""Whatever stands there, as the bytes that were sent."""
VALUE = Kind("value", pa.string(), msgspec.Raw)
"""Whatever stands there, as the JSON text that was sent; null where that is `null`."""

KINDS = {
    kind.name: kind
    for kind in (STRING, INTEGER, NUMBER, DECIMAL, BOOLEAN, ID_OR_OBJECT, STRING_MAP)
}
