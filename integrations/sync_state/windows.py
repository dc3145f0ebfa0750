"""When a stream is read: pure arithmetic on time, with the clock as an argument.

Windows are half-open, aware and in UTC. They are the partitions that Dagster shows, so a window
exists once it has passed. What is fetched for one begins `OVERLAP` earlier, because systems show
a record some time after the moment they stamp on it; the upsert makes the second copy harmless.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from integrations.names import Window

OVERLAP = timedelta(minutes=5)
"""How far before its window a pull begins: fixed for every connector."""

Cadence = Literal["hourly", "daily"]
LENGTH: dict[Cadence, timedelta] = {"hourly": timedelta(hours=1), "daily": timedelta(days=1)}


def with_overlap(window: Window) -> Window:
    """What is asked of the source for a window: the one place where the overlap is added."""
    return Window(window.start - OVERLAP, window.end)


class WindowSync(BaseModel):
    """Reads a stream window by window: one partition each, from the connection's start on.

    `column` is the canonical column that holds the time the source filters by; with it a window's
    own records are told from those of its overlap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["window"]
    cadence: Cadence = "daily"
    column: str

    def windows(self, start: datetime, now: datetime) -> Iterator[Window]:
        """The windows since `start` that have passed at `now`, oldest first."""
        length = LENGTH[self.cadence]
        begin = floor(start, self.cadence)
        while begin + length <= now:
            yield Window(begin, begin + length)
            begin += length


class FullSync(BaseModel):
    """Reads the whole stream each time; `every` is how old it may grow before it is due again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["full"]
    every: Cadence = "daily"

    def due(self, last: datetime | None, now: datetime) -> bool:
        """True when it never ran, or what is committed was read at least one `every` ago."""
        return last is None or now - last >= LENGTH[self.every]


def floor(moment: datetime, cadence: Cadence) -> datetime:
    """The start of the window that `moment` lies in."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if cadence == "hourly" else hour.replace(hour=0)


def stretches(windows: list[Window]) -> list[list[Window]]:
    """Windows grouped into unbroken stretches: each of them can be one run over a range."""
    grouped: list[list[Window]] = []
    for window in sorted(windows):
        if grouped and grouped[-1][-1].end == window.start:
            grouped[-1].append(window)
        else:
            grouped.append([window])
    return grouped


def rounded_out(begin: datetime, end: datetime, cadence: Cadence) -> Window:
    """The smallest stretch of whole windows that holds `[begin, end)`."""
    start, stop = floor(begin, cadence), floor(end, cadence)
    return Window(start, stop if stop >= end else stop + LENGTH[cadence])
