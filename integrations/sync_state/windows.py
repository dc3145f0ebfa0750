"""When a stream is read: pure arithmetic on time, with the clock as an argument.

Windows are half-open, aware and in UTC. They are the partitions that Dagster shows, so a window
exists once it has passed. What is fetched for one begins `OVERLAP` earlier, because systems show
a record some time after the moment they stamp on it; the upsert makes the second copy harmless.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.names import Window
from integrations.sync_state.ages import grown_old

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
    own records are told from those of its overlap. `filter` says what that time is: when a record
    was last `modified`, when it was `created`, or the time of a record that is `immutable`.
    `reread` is for how many days after its end a window is pulled again, once a day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["window"]
    cadence: Cadence = "daily"
    column: str
    filter: Literal["modified", "created", "immutable"]
    reread: int | None = Field(default=None, ge=1)

    @property
    def rereads(self) -> bool:
        """Whether records that were read are read again without having changed."""
        return self.reread is not None

    def windows(self, start: datetime, now: datetime) -> Iterator[Window]:
        """The windows since `start` that have passed at `now`, oldest first."""
        length = LENGTH[self.cadence]
        begin = floor(start, self.cadence)
        while begin + length <= now:
            yield Window(begin, begin + length)
            begin += length

    def due(
        self, start: datetime, now: datetime, *, pulled: Mapping[Window, datetime]
    ) -> list[Window]:
        """Those of the windows since `start` that have to be pulled at `now`, oldest first.

        `pulled` says of each committed window when the pull of its rows began (UTC).
        """
        return [
            window
            for window in self.windows(start, now)
            if not covered(window, pulled_at=pulled.get(window), now=now, reread=self.reread)
        ]


class FullSync(BaseModel):
    """Reads the whole stream each time; `every` is how old it may grow before it is due again.

    `deletes: absence` says that what a complete reading does not hold is deleted at the source.
    With `among`, a column, that is said only of rows whose value in it is one that the reading
    holds: the supply of an auction day says nothing of the day before. A reading that would delete
    more than the share `brake` of those rows is not believed unasked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["full"]
    every: Cadence = "daily"
    deletes: Literal["none", "absence"] = "none"
    among: str | None = None
    brake: float = Field(default=0.1, gt=0, le=1)

    @property
    def rereads(self) -> bool:
        """Always: each reading is of all records."""
        return True

    def due(self, last: datetime | None, now: datetime) -> bool:
        """True when it never ran, or what is committed was read so long ago as `every` says."""
        return grown_old(last, every=self.every, now=now)


def covered(
    window: Window, *, pulled_at: datetime | None, now: datetime, reread: int | None
) -> bool:
    """Whether a pull that began at `pulled_at` (None: there is none) still does for the window.

    One that began before the window had passed cannot have seen all of it. With `reread` it does
    for the rest of its UTC day, and one that began so many days after the window's end for ever.
    """
    if pulled_at is None or pulled_at < window.end:
        return False
    if reread is None or pulled_at >= window.end + timedelta(days=reread):
        return True
    return floor(pulled_at, "daily") >= floor(now, "daily")


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
