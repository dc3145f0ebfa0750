"""All that a history of syncs leaves behind, as values that two histories can be compared by."""

from collections.abc import Mapping
from typing import Any

import psycopg

from integrations.storage.database import connect
from integrations.storage.ledger import FATES
from integrations_tests.faults.template import Place

KEPT: Mapping[str, tuple[str, ...]] = {
    "canonical.payment": ("_synced_at", "_run_id"),
    "canonical.payout": ("_synced_at", "_run_id"),
    "integrations.streams": ("first_committed_at",),
    "integrations.positions": ("landing", "run_id", "committed_at"),
    "integrations.quarantine": ("landing", "run_id", "first_at", "last_at"),
    "integrations.ledger": ("id", "landing", "run_id", "began_at", "ended_at", "seconds"),
}
"""The tables, each without the columns in which two runs must differ."""


def tables(place: Place) -> dict[str, list[str]]:
    """Every table's rows as text, sorted."""
    with connect(place.database) as connection:
        return {name: _rows(connection, name, without) for name, without in KEPT.items()}


def _rows(connection: psycopg.Connection[Any], name: str, without: tuple[str, ...]) -> list[str]:
    query = f"SELECT (to_jsonb(t) - %s::text[])::text FROM {name} t"
    return sorted(row[0] for row in connection.execute(query, [list(without)]))


def windows(place: Place) -> tuple[int, int]:
    """How many windows (or full readings) have a complete landing, and how many are committed."""
    landed = {file.parent.parent for file in place.home.glob("raw/*/*/*/*/*/manifest.json")}
    with connect(place.database) as connection:
        row = connection.execute("SELECT count(*) FROM integrations.positions").fetchone()
    return len(landed), row[0] if row else 0


def unbalanced(place: Place) -> list[Any]:
    """Ledger lines whose fates do not add up, and streams whose rows are not what was inserted."""
    fates = " + ".join(FATES)
    with connect(place.database) as connection:
        lines = connection.execute(
            f"SELECT * FROM integrations.ledger WHERE received <> {fates} OR records <> received"
        ).fetchall()
        return (
            lines
            + connection.execute(
                "SELECT l.stream, l.inserted, r.count FROM"
                " (SELECT stream, sum(inserted) inserted FROM integrations.ledger GROUP BY 1) l"
                " FULL JOIN (SELECT stream, count(*) FROM canonical.payment GROUP BY 1 UNION ALL"
                " SELECT stream, count(*) FROM canonical.payout GROUP BY 1) r USING (stream)"
                " WHERE l.inserted IS DISTINCT FROM r.count"
            ).fetchall()
        )


def half_read(place: Place) -> list[str]:
    """Landings that were loaded and that have no manifest."""
    complete = {file.parent.name for file in place.home.glob("raw/*/*/*/*/*/manifest.json")}
    with connect(place.database) as connection:
        loaded = connection.execute(
            "SELECT landing FROM integrations.ledger UNION"
            " SELECT landing FROM integrations.positions UNION"
            " SELECT landing FROM integrations.quarantine"
        )
        return [landing for (landing,) in loaded if landing not in complete]


def dagster_runs(place: Place) -> list[str]:
    """The status of every run, sorted."""
    with connect(place.database) as connection:
        return sorted(row[0] for row in connection.execute("SELECT status FROM dagster.runs"))


def dagster_green(place: Place) -> list[tuple[Any, ...]]:
    """What Dagster shows: materialized assets and checks that have run, each by partition."""
    with connect(place.database) as connection:
        return sorted(
            connection.execute(
                "SELECT DISTINCT dagster_event_type, asset_key, coalesce(partition, '-'), ''"
                " FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
                " UNION SELECT execution_status, asset_key, coalesce(partition, '-'), check_name"
                " FROM dagster.asset_check_executions WHERE execution_status = 'SUCCEEDED'"
            ).fetchall()
        )


def taken_places(place: Place) -> int:
    """How many places in pools are taken, though nothing runs."""
    with connect(place.database) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM dagster.concurrency_slots WHERE run_id IS NOT NULL)"
            " + (SELECT count(*) FROM dagster.pending_steps)"
        ).fetchone()
    return row[0] if row else 0
