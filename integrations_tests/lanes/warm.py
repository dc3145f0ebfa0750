"""Imported by the process that forks workers, and by nobody else: what would be done by each of them
first, half a second's work, is done once.
"""

import gc
from datetime import UTC, datetime

from integrations_tests.lanes.crew import RunningClock
from integrations_tests.lanes.lanes import mapped, stripe
from integrations_tests.lanes.life import Life

_LIFE = Life(clock=RunningClock(datetime(2026, 10, 20, tzinfo=UTC)))
for _stream in stripe().streams():
    if _stream.id.stream in ("charges", "customers"):
        _LIFE.create(_stream.id.stream)
        mapped(_stream, _LIFE.truth(_stream.id.stream))
gc.collect()
gc.freeze()
