"""A feed's own part of a transaction: the events that no stream takes.

Those of kinds without a route are filtered, those that cannot be read go to quarantine. What a
stream takes is counted by its own load; together they must be all the events that were fetched.
"""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
from psycopg import sql

from integrations.errors import LedgerUnbalanced
from integrations.names import StreamId
from integrations.storage import ledger, quarantine
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import KEPT_OF_BLOCKED
from integrations.storage.transaction import Transaction


class FeedLoad:
    """The events of one landing that stay with the feed. `stage` them, then `settle`."""

    def __init__(self, transaction: Transaction, feed: StreamId) -> None:
        self._connection = transaction.connection
        self._feed = feed
        self._refused = sql.Identifier("pg_temp", f"refused_{feed.stream}")
        self._filtered = self._quarantined = 0
        quarantine.make_staging(self._connection, self._refused)

    def stage(self, *, unrouted: int, refused: pa.Table) -> None:
        """Counts a batch's events of kinds without a route, and keeps those that cannot be read."""
        quarantine.stage(self._connection, self._refused, refused=refused)
        self._filtered += unrouted
        self._quarantined += refused.num_rows

    def judged(
        self, entry: LedgerEntry, *, routed: Iterable[LedgerEntry], accept: bool
    ) -> LedgerEntry:
        """The feed's line. `routed` are those of its streams: with them every event that was
        fetched has one place, or LedgerUnbalanced is raised."""
        received = self._filtered + self._quarantined
        taken = sum(one.records for one in routed)
        if entry.records != received + taken:
            raise LedgerUnbalanced(
                f"{entry.records} events fetched, {taken} routed and {received} kept",
                where=str(self._feed),
            )
        entry = replace(
            entry, received=received, filtered=self._filtered, quarantined=self._quarantined
        ).balanced()
        status = ledger.judged(self._quarantined, received=entry.records, accept=accept)
        return replace(entry, status=status)

    def settled(self, entry: LedgerEntry) -> LedgerEntry:
        """Leaves what could not be read in quarantine."""
        quarantine.put(
            self._connection,
            self._refused,
            leaf=None,
            stream=self._feed,
            landing=entry.landing,
            feed=self._feed.stream,
            run_id=entry.run_id,
            limit=KEPT_OF_BLOCKED if entry.status == "blocked" else None,
        )
        return entry
