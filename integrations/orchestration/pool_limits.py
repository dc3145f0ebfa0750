"""The limit of a pool, when several runs are the first to ask for it.

Dagster inserts it, and where another run was faster goes on in a transaction that Postgres has
ended by then: the run fails without a step that did (its issue 33552, in 1.13.27). A default that
is changed in dagster.yaml fails every run in the same way.
"""

from dagster._core.storage.event_log.schema import ConcurrencyLimitsTable
from dagster_postgres.event_log import PostgresEventLogStorage
from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert


class EventLog(PostgresEventLogStorage):
    """Dagster's own, but for the first limit of a pool."""

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Gives the pool the instance's default limit, and as many slots, unless a person has
        given it a limit. Who comes second waits for the first, and finds it done."""
        default = self._instance.global_op_concurrency_default_limit if self.has_instance else None
        if default is None or not self.has_default_pool_limit_col:
            return super().initialize_concurrency_limit_to_default(concurrency_key)
        table = ConcurrencyLimitsTable.c
        made = insert(ConcurrencyLimitsTable).values(
            concurrency_key=concurrency_key, limit=default, using_default_limit=True
        )
        kept = case((table.using_default_limit, made.excluded.limit), else_=table.limit)
        upsert = made.on_conflict_do_update(
            index_elements=[table.concurrency_key], set_={"limit": kept}
        ).returning(table.limit)
        with self.index_transaction() as connection:
            limit = connection.execute(upsert).scalar_one()
            self._allocate_concurrency_slots(connection, concurrency_key, limit)
        return True
