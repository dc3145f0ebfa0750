"""A clock that several processes share, and that only a test, or a sleeper, moves."""

import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

EPOCH = datetime(2024, 3, 1, tzinfo=UTC)
_TWO = struct.Struct("dd")
_NAP_S = 0.01  # of real time, in which what waits for the fake time can happen


class SharedClock:
    """Seconds since `EPOCH` in a file: the time at the source, and by how much ours is off."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_TWO.pack(0.0, 0.0))
        self.file = file
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _TWO.size)

    @classmethod
    def at(cls, file: Path, moment: datetime) -> Self:
        """The clock of the file, set to a moment and not off."""
        clock = cls(file)
        clock.set(moment)
        clock.off(0.0)
        return clock

    def true(self) -> datetime:
        """The time at the source, UTC."""
        return EPOCH + timedelta(seconds=self._values()[0])

    def ours(self) -> datetime:
        """The time by the clock of the process that syncs, UTC."""
        return EPOCH + timedelta(seconds=sum(self._values()))

    def set(self, moment: datetime) -> None:
        """Puts the time at the source to a moment, for all."""
        self._keep((moment - EPOCH).total_seconds(), self._values()[1])

    def off(self, seconds: float) -> None:
        """Says by how many seconds our clock is ahead of the source's."""
        self._keep(self._values()[0], seconds)

    def sleep(self, seconds: float) -> None:
        """Sleeps without waiting: so much time has passed, for all."""
        now, off = self._values()
        self._keep(now + seconds, off)
        time.sleep(_NAP_S)

    def _values(self) -> tuple[float, float]:
        now, off = _TWO.unpack(self._shared[: _TWO.size])
        return now, off

    def _keep(self, now: float, off: float) -> None:
        self._shared[: _TWO.size] = _TWO.pack(now, off)
