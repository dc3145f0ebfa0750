"""The ways in which one vendor writes a moment and a number, each in one function.

Moments are microseconds since 1970. In which zone v2's times without one are is published nowhere;
where v3's returns write an offset it is that of Amsterdam, and so the twin reads them there.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

SECOND = 1_000_000
DAY = 86_400 * SECOND
LOCAL = ZoneInfo("Europe/Amsterdam")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """An aware moment as the twin counts."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def iso_z(at: int) -> str:
    """`2024-06-07T09:02:18.864105Z`, of v3's shipments; a whole second has no fraction."""
    return _moment(at).isoformat().replace("+00:00", "Z")


def iso_offset(at: int) -> str:
    """`2022-07-18T15:34:21.869312+02:00`, of v3's returns."""
    return _moment(at).astimezone(LOCAL).isoformat()


def day_first(at: int) -> str:
    """`01-01-2018 21:45:30`, of v2: no zone, no fraction."""
    return _moment(at).astimezone(LOCAL).strftime("%d-%m-%Y %H:%M:%S")


def epoch_ms(at: int) -> int:
    """`1734946171662`, of `delivered_at`."""
    return at // 1_000


def kilos(grams: int) -> str:
    """`1.320`: kilograms as v2 and most of v3 write them."""
    return str(Decimal(grams).scaleb(-3))


def cents(amount: int) -> str:
    """`11.11`: money as text."""
    return str(Decimal(amount).scaleb(-2))
