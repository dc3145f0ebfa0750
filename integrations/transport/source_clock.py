"""The time by the source's clock, as the `Date` of its answers tells it.

When a source said something decides which of two statements is the later one, so it is measured by
one clock: a pull's by ours, corrected. The correction is held and not measured anew each time,
because a date of whole seconds and a network's delays would move it back and forth.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from integrations.error_handling.rate_limits import http_date

_log = logging.getLogger(__name__)

_JITTER_S = 2.0
"""By what the source's clock may differ from what is held: the nodes behind one address do."""
_CUT_S = 1.0  # a date is cut to whole seconds
_NO_CLOCK_S = timedelta(days=365).total_seconds()  # 1970 is an empty battery
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
"""The one form that a server may send (RFC 9110 section 5.6.7); parsers read more into less."""


@dataclass(frozen=True)
class Began:
    """When a request was sent: by our clock, and by one that nobody sets."""

    at: datetime
    tick: float


class SourceClock:
    """Our clock, corrected by `offset_s`: the seconds that the source's is ahead of it.

    The offset is moved to what an answer tells when the two differ by more than 2 s, whenever
    between the request and the answer the date was written. `monotonic` gives seconds that only go
    up.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        offset_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self.offset_s = offset_s

    def start(self) -> Began:
        """To be called when a request goes out."""
        return Began(self._clock(), self._monotonic())

    def answered(self, began: Began, *, status: int, headers: Mapping[str, str]) -> datetime:
        """When the request began, by the source's clock (UTC); to be called when headers came.

        This answer's date is taken into account, if it has a usable one.
        """
        now, took = self._clock(), self._monotonic() - began.tick
        sent = began.at
        if abs((now - sent).total_seconds() - took) > _JITTER_S:
            # Our clock was set while we waited: only the end is of the clock that goes on.
            sent = now - timedelta(seconds=took)
        date = _usable(status, headers)
        if date is not None:
            middle = sent + (now - sent) / 2
            cut = timedelta(seconds=_CUT_S / 2)  # on average
            self._hold(date + cut - middle, open_s=(took + _CUT_S) / 2)
        return sent + timedelta(seconds=self.offset_s)

    def _hold(self, measured: timedelta, *, open_s: float) -> None:
        """Takes up a measurement that may be off by `open_s` either way."""
        offset_s = measured.total_seconds()
        off = abs(offset_s - self.offset_s)
        if off <= _JITTER_S + open_s or abs(offset_s) > _NO_CLOCK_S:
            return
        _log.warning(
            "the source's clock is %.1f s ahead of ours (so far: %.1f s)", offset_s, self.offset_s
        )
        self.offset_s = offset_s


def _usable(status: int, headers: Mapping[str, str]) -> datetime | None:
    """The answer's date, unless another machine may have written it, or wrote it long ago."""
    text, age = headers.get("date", ""), headers.get("age", "0")
    if status >= 500 or age.strip() != "0" or not _DATE.fullmatch(text):
        return None
    return http_date(text)
