"""JSON text by column: what a value of any type is, without an object of Python for any."""

from typing import Any

import pyarrow as pa
import pyarrow.json

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.rule import JSON, TEXT

STRING = r'"(?:[^"\\]|\\.)*"'
"""A string of JSON text, as an expression."""
DEEPEST = 1000
"""Levels. Postgres reads JSON by recursion, and a whole load would fail for one that is deeper than
its stack."""
_INNERMOST = r"[\[{][^\[\]{}]*[\]}]"
_NO_NUMBER = "[NI]"
"""What begins NaN and Infinity, which pyarrow reads and JSON has not."""


def as_json(values: Array) -> Array:
    """Strings that hold JSON, as a JSON column."""
    return pa.ExtensionArray.from_storage(JSON, values)


def scalars(values: Array) -> tuple[Array, Array]:
    """Strings without their quotes, numbers and booleans as they were sent; and where the JSON is
    an object or a list, which is null among the first."""
    structured = pc.match_substring_regex(values, r"^[\[{]")
    texts = pc.utf8_trim(pc.if_else(structured, None, values), characters='"')
    escaped = pc.and_(pc.match_substring(values, "\\"), pc.invert(structured))
    if pc.any(escaped).as_py():
        mask = pc.fill_null(escaped, False)
        texts = pc.replace_with_mask(texts, mask, read(values.filter(mask), TEXT))
    return texts, structured


def read(values: Array, type_: pa.DataType) -> Array:
    """JSON texts read by pyarrow as values of a type; none may be null, and each must be of it."""
    lines = pc.binary_join_element_wise('{"v":', values, "}", "")
    column = rows(lines, pa.schema([pa.field("v", type_)])).column("v").combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def rows(lines: Array, schema: pa.Schema) -> pa.Table:
    """Lines of JSON as a table; raises `pa.ArrowInvalid` where one is no such object."""
    if not len(lines):
        return schema.empty_table()
    lists: Any = pa.ListArray
    whole = lists.from_arrays(array([0, len(lines)], pa.int32()), lines)
    block = pc.binary_join(whole, "\n")[0].as_buffer()
    read_json: Any = pyarrow.json.read_json  # the stubs know no BufferReader
    table: pa.Table = read_json(
        pa.BufferReader(block),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore", newlines_in_values=True
        ),
    )
    if table.num_rows != len(lines):
        raise pa.ArrowInvalid("a line holds more than one JSON value")
    return table


def skeleton(values: Array) -> Array:
    """JSON texts with nothing in their strings, so that what is left is structure and numbers."""
    bare: Array = pc.replace_substring_regex(values, pattern=STRING, replacement='""')
    return bare


def longest(values: Array) -> int:
    """The bytes of the longest text."""
    return pc.max(pc.binary_length(values)).as_py() or 0


def deep(values: Array) -> Array:
    """Which JSON texts are nested deeper than `DEEPEST` levels."""
    doubtful: Array = pc.greater(pc.binary_length(values), 2 * DEEPEST)
    if longest(values) <= 2 * DEEPEST:
        return doubtful
    left = skeleton(pc.if_else(doubtful, values, None))
    for _ in range(DEEPEST):  # a level at a time, the innermost first
        shorter = pc.replace_substring_regex(left, pattern=_INNERMOST, replacement="")
        if shorter.equals(left):
            break
        left = shorter
    found: Array = pc.if_else(doubtful, pc.match_substring_regex(left, r"[\[{]"), doubtful)
    return found


def valid(values: Array) -> Array:
    """Which texts are one JSON value each, null for null."""
    known = pc.is_valid(values)
    found = pc.replace_with_mask(known, known, _valid(values.filter(known)))
    if pc.any(pc.match_substring_regex(values, _NO_NUMBER)).as_py():
        found = pc.and_not(found, pc.match_substring_regex(skeleton(values), _NO_NUMBER))
    given: Array = pc.if_else(known, found, None)
    return given


def _valid(values: Array) -> Array:
    # A text that is one value as an object's member and as a list's only one is one value: whatever
    # else would close or go on with the one is an error in the other.
    try:
        rows(
            pc.binary_join_element_wise('{"v":', values, ',"w":[', values, "]}", ""), pa.schema([])
        )
    except pa.ArrowInvalid:
        if len(values) == 1:
            return array([False], pa.bool_())
        middle = len(values) // 2
        return pa.concat_arrays([_valid(values[:middle]), _valid(values[middle:])])
    return array([True] * len(values), pa.bool_())
