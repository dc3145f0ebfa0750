"""Local time and moments: which moment a clock on a wall showed, and what it shows at a moment.

Where clocks are put forward, an hour of local time never was (a gap); where they are put back, one
was twice (a fold). Nothing is guessed there: both are told apart, and a rule says what becomes of
them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
from pydantic import AfterValidator

from integrations.transformation.arrow import Array, array, nulls, pc, repeat
from integrations.transformation.rule import BOOL, INT, TIMESTAMP

NAIVE = pa.timestamp("us")


def known(zone: str | None) -> bool:
    """Whether this is a name of the IANA database: `Europe/Amsterdam`, not `CEST` or `+01:00`."""
    return zone in _names()


@cache
def _names() -> frozenset[str]:
    # On some systems these two are files of the database, and mean no place.
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _checked(zone: str) -> str:
    if not known(zone):
        raise ValueError(f"{zone!r} is no time zone of the IANA database, as Europe/Amsterdam is")
    return zone


Zone = Annotated[str, AfterValidator(_checked)]


def placed(naive: Array, zone: str) -> list[Array]:
    """The moments at which clocks of the zone showed the local times: the earlier, the later, and
    whether neither ever was.

    The two differ in a fold alone. In a gap both are the moment that the clock would have shown had
    it not been put forward: 02:30 is then 03:30 (RFC 5545, 3.3.5).
    """
    return _near_and_far(naive, zone, _placed, _far_placed)


def shown(moments: Array, zone: str) -> list[Array]:
    """What clocks of the zone show at the moments: one column."""
    return _near_and_far(moments, zone, _shown, _far_shown)


def by_zone(
    values: Array, zones: Array, made: Callable[[Array, str], Sequence[Array]]
) -> list[Array]:
    """The columns that `made` gives for the values of each zone, put together again in the values'
    order; where the zone is null, what it gives for null."""
    if not len(values):
        return list(made(values, "UTC"))
    names: list[str | None] = zones.unique().to_pylist()
    rows = [
        pc.indices_nonzero(pc.is_null(zones) if name is None else pc.equal(zones, name))
        for name in names
    ]
    parts = [
        made(nulls(len(at), values.type), "UTC") if name is None else made(values.take(at), name)
        for name, at in zip(names, rows, strict=True)
    ]
    order = pc.array_sort_indices(pa.concat_arrays(rows))
    return [pa.concat_arrays(column).take(order) for column in zip(*parts, strict=True)]


def _placed(naive: Array, zone: str) -> list[Array]:
    try:
        once = _assumed(naive, zone, "raise", "raise")
    except pa.ArrowInvalid:
        pass
    else:
        return [once, once, repeat(False, BOOL, len(naive))]
    earlier = _assumed(naive, zone, "earliest", "latest")
    later = _assumed(naive, zone, "latest", "latest")
    before = _assumed(naive, zone, "earliest", "earliest")  # in a gap the last moment before it
    gap = pc.not_equal(earlier, before)
    local = pc.local_timestamp(before.cast(pa.timestamp("us", tz=zone)))
    shifted = pc.subtract(naive, pc.subtract(local, before.cast(NAIVE))).cast(TIMESTAMP)
    return [pc.if_else(gap, shifted, earlier), pc.if_else(gap, shifted, later), gap]


def _shown(moments: Array, zone: str) -> list[Array]:
    return [pc.local_timestamp(moments.cast(pa.timestamp("us", tz=zone)))]


def _assumed(naive: Array, zone: str, ambiguous: str, nonexistent: str) -> Array:
    moments: Array = pc.assume_timezone(
        naive, zone, ambiguous=ambiguous, nonexistent=nonexistent
    ).cast(TIMESTAMP)
    return moments


# pyarrow 26 knows no summer time after 2037: the rule at the end of a zone's file, by which later
# years go, it does not read. Python does; a source has few such times, mostly 9999-12-31.
_FAR = 2_114_380_800_000_000
"""2037-01-01T00:00:00Z, in microseconds since 1970."""
_CYCLE = 146_097 * 86_400_000_000
"""Four hundred years, after which days and with them the rules of a zone come again."""
_START = datetime(1970, 1, 1, tzinfo=UTC)


def _near_and_far(
    values: Array,
    zone: str,
    near: Callable[[Array, str], list[Array]],
    far: Callable[[datetime, ZoneInfo], tuple[timedelta | bool, ...]],
) -> list[Array]:
    counted = values.cast(INT)
    late = pc.fill_null(pc.greater_equal(counted, _FAR), False)
    if not pc.any(late).as_py():
        return near(values, zone)
    columns = near(pc.if_else(late, None, values), zone)
    encoded: Any = counted.filter(late).dictionary_encode()
    rows = [_counted(at, ZoneInfo(zone), far) for at in encoded.dictionary.to_pylist()]
    return [
        pc.replace_with_mask(column, late, array(made, INT).cast(column.type).take(encoded.indices))
        for column, made in zip(columns, zip(*rows, strict=True), strict=True)
    ]


def _counted(
    at: int, zone: ZoneInfo, far: Callable[[datetime, ZoneInfo], tuple[timedelta | bool, ...]]
) -> list[int]:
    """What `far` says of a time in microseconds since 1970, likewise; it adds spans to the time."""
    # A cycle earlier nothing lies beyond the last year of Python's.
    told = far(_START + timedelta(microseconds=at - (_CYCLE if at > 2 * _CYCLE else 0)), zone)
    micro = timedelta(microseconds=1)
    return [int(one) if isinstance(one, bool) else at + one // micro for one in told]


def _far_placed(naive: datetime, zone: ZoneInfo) -> tuple[timedelta | bool, ...]:
    before, after = (naive.replace(tzinfo=zone, fold=f).utcoffset() or timedelta() for f in (0, 1))
    gap = before < after
    return -before, -before if gap else -after, gap


def _far_shown(moment: datetime, zone: ZoneInfo) -> tuple[timedelta | bool, ...]:
    return (moment.astimezone(zone).utcoffset() or timedelta(),)
