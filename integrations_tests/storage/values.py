"""Whatever a column of each type can hold, the extremes among it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

JSON = pa.json_(pa.string())
MOST = 10**38 - 1
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
_MOMENTS = (
    datetime.min.replace(tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT | st.sampled_from(["", "\\.", "\\N", 'a"b', "a,b", "a\nb\r\n", " ", "'"]),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False) | st.sampled_from([-0.0, 5e-324]),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", tz="UTC"): st.datetimes(timezones=st.just(UTC)) | st.sampled_from(_MOMENTS),
    pa.date32(): st.dates() | st.sampled_from([date.min, date(2000, 1, 1), date.max]),
    pa.decimal128(38, 9): (
        st.integers(-MOST, MOST) | st.sampled_from([0, 1, -1, MOST, -MOST, 10**13, -(10**8)])
    ).map(lambda units: Decimal(f"{units}E-9")),
    JSON: st.sampled_from(['{"a": [1, null, "é"]}', "[]", '"x"', "12.50", "null", "true"])
    | _ANY.map(json.dumps),
    pa.binary(): st.binary(max_size=20),
}
"""What a column of each type of an entity can hold."""

exact = partial(json.loads, parse_float=Decimal, parse_int=Decimal)
"""Reads JSON with its numbers as they are written; Postgres keeps these, though not their spelling."""
