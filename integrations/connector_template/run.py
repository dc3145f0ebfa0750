"""On whose behalf work is done, and by which clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from integrations.storage.ledger import Cause

Clock = Callable[[], datetime]
"""The time now, aware and in UTC."""

KEPT = timedelta(days=30)
"""How long a landing can be replayed."""


@dataclass(frozen=True)
class Run:
    """The run on whose behalf work is done: its ids go into landings, rows and the ledger.

    `retried` are the failed runs whose work it takes up.
    """

    run_id: str
    root_run_id: str
    cause: Cause
    accept: bool = False
    retried: frozenset[str] = frozenset()
