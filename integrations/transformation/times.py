"""The rules for moments and days. Everything becomes UTC; a time without a zone is refused."""

from datetime import UTC, datetime
from typing import ClassVar, Literal

import pyarrow as pa

from integrations.transformation.arrow import Array, nulls, pc, repeat
from integrations.transformation.kinds import INTEGER, STRING
from integrations.transformation.rule import DATE, TIMESTAMP, Coerced, FromOne

FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
"""What Python and Postgres both can hold. Milliseconds taken for seconds fall outside it."""

_MOMENT = (
    r"^(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)"
    r"(?P<fraction>\.\d{1,6})?\d*(?P<zone>Z|[+-]\d\d(?::?\d\d)?)$"
)
_USUAL = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d(?::?\d\d)?)$"
"""A moment that pyarrow reads as it stands."""
_FEW = 16
"""So few values are looked at singly: where all are bad, halving further is work for nothing."""
_DAY = r"^\d{4}-\d\d-\d\d$"


class EpochSeconds(FromOne):
    """Whole seconds since 1970-01-01T00:00:00Z."""

    type: Literal["epoch_s"]
    kind: ClassVar = INTEGER
    gives: ClassVar = (TIMESTAMP,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        good, bad = _in_range(values)
        moments = good.cast(pa.timestamp("s", tz="UTC")).cast(TIMESTAMP)
        return Coerced(moments, bad, "lies outside the years 1 to 9999 in epoch seconds")


class EpochDate(FromOne):
    """The day in UTC of whole seconds since 1970."""

    type: Literal["epoch_date"]
    kind: ClassVar = INTEGER
    gives: ClassVar = (DATE,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        good, bad = _in_range(values)
        days = good.cast(pa.timestamp("s")).cast(DATE, safe=False)
        return Coerced(days, bad, "lies outside the years 1 to 9999 in epoch seconds")


class Timestamp(FromOne):
    """An ISO 8601 moment with a zone: `2026-01-31T12:00:00.123Z`, `2026-01-31 12:00+02:00`.

    What is finer than a microsecond is cut off, never rounded up into the next second.
    """

    type: Literal["timestamp"]
    kind: ClassVar = STRING
    gives: ClassVar = (TIMESTAMP,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        shaped = values
        # To look is a fifth of the work of taking apart, and most sources write nothing finer.
        if not pc.all(pc.match_substring_regex(values, _USUAL)).as_py():
            parts = pc.extract_regex(values, pattern=_MOMENT)
            pieces = [pc.struct_field(parts, [name]) for name in ("second", "fraction", "zone")]
            shaped = pc.binary_join_element_wise(*pieces, "")
        return _parsed(values, shaped, TIMESTAMP, "is no ISO 8601 moment with a zone")


class Date(FromOne):
    """An ISO 8601 day: `2026-01-31`."""

    type: Literal["date"]
    kind: ClassVar = STRING
    gives: ClassVar = (DATE,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        shaped = pc.if_else(pc.match_substring_regex(values, _DAY), values, None)
        return _parsed(values, shaped, DATE, "is no day as 2026-01-31")


def moments(seen_at: Array | datetime, rows: Array) -> Array:
    """When the source said the records at these positions of a batch, in microseconds of UTC.

    `seen_at` is one moment for all of the batch, or an Array of one a record.
    """
    if isinstance(seen_at, datetime):
        return repeat(seen_at, TIMESTAMP, len(rows))
    taken: Array = pc.take(seen_at, rows).cast(TIMESTAMP)
    return taken


def _in_range(values: Array) -> tuple[Array, Array]:
    """The epochs without those that no calendar holds, and where these stood."""
    bad = pc.or_(pc.less(values, FIRST), pc.greater(values, LAST))
    return pc.if_else(bad, None, values), bad


def _parsed(values: Array, shaped: Array, type_: pa.DataType, reason: str) -> Coerced:
    """`shaped` read as `type_`; what is null there but not in `values`, or does not parse, is bad.

    pyarrow parses a column or none of it, so one 30 February is looked for by halving.
    """
    read = _read(shaped, type_)
    return Coerced(read, pc.and_(pc.is_valid(values), pc.is_null(read)), reason)


def _read(values: Array, type_: pa.DataType) -> Array:
    try:
        return values.cast(type_)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return nulls(1, type_)
        step = len(values) // 2 if len(values) > _FEW else 1
        parts = [values[at : at + step] for at in range(0, len(values), step)]
        return pa.concat_arrays([_read(part, type_) for part in parts])
