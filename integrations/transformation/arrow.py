"""pyarrow, typed as loosely as it is used here.

The types of our arrays are known from a connector's file, at run time. The stubs' overloads, one
for each type, cannot follow that, so compute functions are `Any` and an array is an array.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

if TYPE_CHECKING:
    Array: TypeAlias = pa.Array[Any]
else:  # generic in the stubs only
    Array = pa.Array

pc: Any = pyarrow.compute


def nulls(rows: int, type_: pa.DataType) -> Array:
    """So many nulls of a type."""
    make: Any = pa.nulls
    array: Array = make(rows, type_)
    return array


def repeat(value: Any, type_: pa.DataType, rows: int) -> Array:
    """The same value so many times."""
    make: Any = pa.repeat
    repeated: Array = make(pa.scalar(value, type_), rows)
    return repeated


def positions(values: Array) -> list[int]:
    """An Array of whole numbers without nulls as Python's."""
    found: Any = values.to_pylist()
    return list(found)


def array(values: Any, type_: pa.DataType) -> Array:
    """Python values as an Array of a type."""
    make: Any = pa.array
    made: Array = make(values, type_)
    return made


def binary(values: Sequence[Any]) -> Array:
    """Bytes, or views of them, as an Array of binary, null where one is empty."""
    # Joined in one go: an Array made from Python's bytes costs ten times as much.
    lengths = list(map(len, values))
    ends: Any = np.fromiter(accumulate(lengths, initial=0), np.int64, count=len(values) + 1)
    buffers: Any = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    whole: Any = pa.Array.from_buffers(pa.large_binary(), len(values), buffers)
    if 0 in lengths:
        whole = pc.if_else(array(list(map(bool, lengths)), pa.bool_()), whole, None)
    joined: Array = whole.cast(pa.binary())
    return joined
