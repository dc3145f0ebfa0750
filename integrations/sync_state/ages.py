"""How old a reading may grow: the one comparison behind every `every:` of a connector's file."""

from datetime import datetime, timedelta
from typing import Literal

Every = Literal["5min", "hourly", "daily"]
AGE: dict[Every, timedelta] = {
    "5min": timedelta(minutes=5),
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
}

_EARLY = timedelta(minutes=5)


def grown_old(last: datetime | None, *, every: Every, now: datetime) -> bool:
    """True when there was no reading yet, or the last one is `every` old, but for a little.

    Ticks come by the clock, and a reading begins some seconds after its tick: without that little
    (a tenth, 5 minutes at the most) every second tick would find the reading a second too young.
    """
    age = AGE[every]
    return last is None or now - last >= age - min(_EARLY, age / 10)
