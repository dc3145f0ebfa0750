"""The rules for moments and days. Everything becomes UTC; a time without a zone is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field

from integrations.transformation.arrow import Array, pc, repeat
from integrations.transformation.formats import Format, written
from integrations.transformation.kinds import INTEGER, STRING
from integrations.transformation.reading import matching, parsed
from integrations.transformation.rule import DATE, INT, MONEY, TIMESTAMP, Coerced, FromOne

FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
"""What Python and Postgres both can hold. Milliseconds taken for seconds fall outside it."""

_MOMENT = (
    r"^(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)"
    r"(?P<fraction>\.\d{1,6})?\d*(?P<zone>Z|[+-]\d\d(?::?\d\d)?)$"
)
_USUAL = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d(?::?\d\d)?)$"
"""A moment that pyarrow reads as it stands."""
_DAY = r"^\d{4}-\d\d-\d\d$"
_MICROSOFT = r"^/Date\((?P<ms>-?\d{1,15})(?:[+-]\d{4})?\)/$"
_NAIVE = pa.timestamp("us")

Zero = Annotated[bool, Field(description="Whether the source's zero means that there is none.")]


class Epoch(FromOne):
    """Base of the rules for time that is counted since 1970-01-01T00:00:00Z."""

    zero_is_null: Zero = False
    kind: ClassVar = INTEGER
    takes: ClassVar = (INT, MONEY)
    gives: ClassVar = (TIMESTAMP,)
    unit: ClassVar[str]
    per_second: ClassVar[int]

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        given = _without(values, 0) if self.zero_is_null else values
        good, bad = _in_range(given, self.per_second)
        return Coerced(self._moments(good), bad, _outside(self.unit))

    def _moments(self, good: Array) -> Array:
        moments: Array
        if good.type == MONEY:  # made narrower, so that the product still fits
            factor = pa.scalar(Decimal(1_000_000 // self.per_second), pa.decimal128(7, 0))
            micros = pc.multiply(good.cast(pa.decimal128(30, 9)), factor)
            moments = pc.floor(micros).cast(INT).cast(TIMESTAMP)
        elif self.per_second == 1:
            moments = good.cast(pa.timestamp("s", tz="UTC")).cast(TIMESTAMP)
        else:
            moments = pc.multiply(good, 1_000_000 // self.per_second).cast(TIMESTAMP)
        return moments


class EpochSeconds(Epoch):
    """Seconds since 1970-01-01T00:00:00Z: whole, or behind another rule with a fraction.

    What is finer than a microsecond is cut off. With `zero_is_null` 0 is null.
    """

    type: Literal["epoch_s"]
    unit: ClassVar = "seconds"
    per_second: ClassVar = 1


class EpochMilliseconds(Epoch):
    """Milliseconds since 1970-01-01T00:00:00Z: whole, or behind another rule with a fraction."""

    type: Literal["epoch_ms"]
    unit: ClassVar = "milliseconds"
    per_second: ClassVar = 1000


class EpochMicroseconds(Epoch):
    """Microseconds since 1970-01-01T00:00:00Z: whole, or behind another rule with a fraction."""

    type: Literal["epoch_us"]
    unit: ClassVar = "microseconds"
    per_second: ClassVar = 1_000_000


class EpochDate(FromOne):
    """The day in UTC of whole seconds since 1970."""

    type: Literal["epoch_date"]
    kind: ClassVar = INTEGER
    gives: ClassVar = (DATE,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        good, bad = _in_range(values)
        days = good.cast(pa.timestamp("s")).cast(DATE, safe=False)
        return Coerced(days, bad, _outside("seconds"))


class MicrosoftDate(FromOne):
    """Milliseconds of UTC as .NET wrote them: `/Date(1385078400000)/`, or the day of them in UTC.

    An offset behind them (`+0100`) says where the source's clock stood, and moves nothing. With
    `zero_is_null` .NET's zero, the first day of the year 1, is null.
    """

    type: Literal["microsoft_date"]
    zero_is_null: Zero = False
    kind: ClassVar = STRING
    gives: ClassVar = (TIMESTAMP, DATE)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        shaped = pc.struct_field(pc.extract_regex(values, pattern=_MICROSOFT), ["ms"])
        read = parsed(values, shaped, INT, "is no date as /Date(1385078400000)/")
        given = _without(read.values, FIRST * 1000) if self.zero_is_null else read.values
        good, bad = _in_range(given, 1000)
        moments = pc.multiply(good, 1000).cast(_NAIVE)
        moments = moments.cast(DATE, safe=False) if wanted == DATE else moments.cast(TIMESTAMP)
        return Coerced(moments, bad, _outside("milliseconds"), before=read.told(self.name))


def _zoned(format_: str) -> str:
    if "zone" not in written(format_).parts:
        raise ValueError("a moment needs its offset, `Z`; without one it is a `local_time`")
    return format_


def zoneless(format_: str) -> str:
    """The format; raises `ValueError` for one with an offset."""
    if "zone" in written(format_).parts:
        raise ValueError("a moment has a day only in a zone: read it, then take its `local_date`")
    return format_


class Timestamp(FromOne):
    """An ISO 8601 moment with a zone: `2026-01-31T12:00:00.123Z`, `2026-01-31 12:00+02:00`.

    Another way of writing it is said in `format`. What is finer than a microsecond is cut off,
    never rounded up into the next second. With `zero_is_null` the zero of proto3 and .NET,
    `0001-01-01T00:00:00Z`, is null.
    """

    type: Literal["timestamp"]
    format: Annotated[Format, AfterValidator(_zoned)] | None = None
    zero_is_null: Zero = False
    kind: ClassVar = STRING
    gives: ClassVar = (TIMESTAMP,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self.format is not None:
            shaped = written(self.format).iso(values)
            reason = f"is no moment as {self.format}"
        else:
            shaped, reason = _iso(values), "is no ISO 8601 moment with a zone"
        read = possible(parsed(values, shaped, TIMESTAMP, reason))
        return zeroed(read) if self.zero_is_null else read


class Date(FromOne):
    """An ISO 8601 day: `2026-01-31`.

    Another way of writing it is said in `format`; a time that stands there too is left out. With
    `zero_is_null` the zero of .NET, `0001-01-01`, is null.
    """

    type: Literal["date"]
    format: Annotated[Format, AfterValidator(zoneless)] | None = None
    zero_is_null: Zero = False
    kind: ClassVar = STRING
    gives: ClassVar = (DATE,)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self.format is None:
            read = parsed(values, matching(values, _DAY), DATE, "is no day as 2026-01-31")
        else:
            # The time is read as well: a 25th hour is no part of any day.
            shaped = written(self.format).iso(values)
            read = parsed(values, shaped, _NAIVE, f"is no day as {self.format}")
            read = Coerced(read.values.cast(DATE, safe=False), read.bad, read.reason)
        read = possible(read)
        return zeroed(read) if self.zero_is_null else read


def moments(seen_at: Array | datetime, rows: Array) -> Array:
    """When the source said the records at these positions of a batch, in microseconds of UTC.

    `seen_at` is one moment for all of the batch, or an Array of one a record.
    """
    if isinstance(seen_at, datetime):
        return repeat(seen_at, TIMESTAMP, len(rows))
    taken: Array = pc.take(seen_at, rows).cast(TIMESTAMP)
    return taken


def possible(read: Coerced) -> Coerced:
    """What was read, less the moments or days that no calendar of ours holds: the year 0, and what
    an offset moves out of the years 1 to 9999."""
    first, last = _span(read.values.type)
    counted = _counted(read.values)
    found = pc.min_max(counted).as_py()
    if found["min"] is None or (first <= found["min"] and found["max"] <= last):
        return read
    outside = pc.or_(pc.less(counted, first), pc.greater(counted, last))
    bad = outside if read.bad is None else pc.or_kleene(read.bad, outside)
    return Coerced(pc.if_else(outside, None, read.values), bad, read.reason, read.before)


def zeroed(read: Coerced) -> Coerced:
    """What was read, with null for the first moment, or day, of the year 1."""
    first, _ = _span(read.values.type)
    values = pc.if_else(pc.equal(_counted(read.values), first), None, read.values)
    return Coerced(values, read.bad, read.reason, read.before)


def _span(type_: pa.DataType) -> tuple[int, int]:
    """The first and the last of the years 1 to 9999, as a column of the type counts them."""
    each = 1 if type_ == DATE else 86_400_000_000
    return FIRST // 86_400 * each, (LAST // 86_400 + 1) * each - 1


def _counted(values: Array) -> Array:
    """Days since 1970, or microseconds."""
    counted: Array = values.cast(pa.int32() if values.type == DATE else INT)
    return counted


def _iso(values: Array) -> Array:
    """Moments as pyarrow reads them, null where one is of another shape."""
    # To look is a fifth of the work of taking apart, and most sources write nothing finer.
    if pc.all(pc.match_substring_regex(values, _USUAL)).as_py():
        return values
    parts = pc.extract_regex(values, pattern=_MOMENT)
    pieces = [pc.struct_field(parts, [name]) for name in ("second", "fraction", "zone")]
    shaped: Array = pc.binary_join_element_wise(*pieces, "")
    return shaped


def _without(values: Array, zero: int) -> Array:
    left: Array = pc.if_else(pc.equal(values, pa.scalar(zero).cast(values.type)), None, values)
    return left


def _in_range(values: Array, per_second: int = 1) -> tuple[Array, Array]:
    """The epochs without those that no calendar holds, and where these stood."""
    first, end = (pa.scalar(n * per_second).cast(values.type) for n in (FIRST, LAST + 1))
    bad = pc.or_(pc.less(values, first), pc.greater_equal(values, end))
    return pc.if_else(bad, None, values), bad


def _outside(unit: str) -> str:
    return f"lies outside the years 1 to 9999 in epoch {unit}"
