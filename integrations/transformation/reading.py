"""Text to values: pyarrow reads a column or none of it, and here a bad value costs only itself."""

import pyarrow as pa

from integrations.transformation.arrow import Array, nulls, pc
from integrations.transformation.rule import Coerced

_FEW = 16
"""So few values are looked at singly: where all are bad, halving further is work for nothing."""


def parsed(values: Array, shaped: Array, type_: pa.DataType, reason: str) -> Coerced:
    """`shaped` read as `type_`; what is null there but not in `values`, or is not read, is bad."""
    read = _read(shaped, type_)
    return Coerced(read, lost(values, read), reason)


def matching(values: Array, pattern: str) -> Array:
    """The values that match, null in the place of the others."""
    found: Array = pc.if_else(pc.match_substring_regex(values, pattern), values, None)
    return found


def lost(before: Array, after: Array) -> Array:
    """Where a value has become null."""
    gone: Array = pc.and_(pc.is_valid(before), pc.is_null(after))
    return gone


def _read(values: Array, type_: pa.DataType) -> Array:
    # One 30 February is looked for by halving.
    try:
        return values.cast(type_)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return nulls(1, type_)
        step = len(values) // 2 if len(values) > _FEW else 1
        parts = [values[at : at + step] for at in range(0, len(values), step)]
        return pa.concat_arrays([_read(part, type_) for part in parts])
