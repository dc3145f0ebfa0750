"""All that a history of syncs leaves behind, as values that two histories can be compared by."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
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


def tables(place: Place, kept: Mapping[str, tuple[str, ...]] = KEPT) -> dict[str, list[str]]:
    """Every table's rows as text, sorted."""
    with connect(place.database) as connection:
        return {name: _rows(connection, name, without) for name, without in kept.items()}


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
    with connect(place.database) as connection:
        return (
            unbalanced_lines(place)
            + connection.execute(
                "SELECT l.stream, l.inserted, r.count FROM"
                " (SELECT stream, sum(inserted) inserted FROM integrations.ledger GROUP BY 1) l"
                " FULL JOIN (SELECT stream, count(*) FROM canonical.payment GROUP BY 1 UNION ALL"
                " SELECT stream, count(*) FROM canonical.payout GROUP BY 1) r USING (stream)"
                " WHERE l.inserted IS DISTINCT FROM r.count"
            ).fetchall()
        )


def unbalanced_lines(place: Place) -> list[Any]:
    """Ledger lines whose fates do not add up; a feed's own line has but what it routed nowhere."""
    fates = " + ".join(FATES)
    with connect(place.database) as connection:
        return connection.execute(
            f"SELECT * FROM integrations.ledger WHERE received <> {fates}"
            " OR records <> received AND stream <> 'events'"
        ).fetchall()


def half_read(place: Place) -> list[str]:
    """Landings that were loaded and that have no manifest."""
    complete = {file.parent.name for file in place.home.glob("raw/*/*/*/*/*/manifest.json")}
    with connect(place.database) as connection:
        loaded = connection.execute(
            "SELECT landing FROM integrations.ledger UNION"
            " SELECT landing FROM integrations.positions UNION"
            " SELECT landing FROM integrations.quarantine"
        )
        return [one for (one,) in loaded if one is not None and one not in complete]


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


def broken_landings(place: Place) -> list[str]:
    """Landings with a manifest of which a part is missing, or is not what was written."""
    broken = []
    for file in _manifests(place):
        said = _manifest(file)
        for part in (*said["parts"], *said.get("fetched", ())):
            data = file.with_name(part["name"])
            if not data.exists() or hashlib.sha256(data.read_bytes()).hexdigest() != part["sha256"]:
                broken.append(f"{said['landing']} {part['name']}")
    return broken


def broken_chains(place: Place) -> list[str]:
    """Cursor streams and feeds of which a committed landing does not go on where the one before it
    ended, or which do not stand where the last one ended."""
    ends = {
        one["landing"]: one["cursor"] for one in map(_manifest, _manifests(place)) if one["cursor"]
    }
    stands: dict[tuple[str, str], str | None] = {}
    with connect(place.database) as connection:
        lines = connection.execute(
            "SELECT connector, stream, landing FROM integrations.ledger"
            " WHERE status IN ('ok', 'warn') AND cause NOT IN ('replay', 'push') ORDER BY id"
        ).fetchall()
        positions = connection.execute(
            "SELECT connector, stream, position FROM integrations.positions"
        ).fetchall()
    broken = []
    for connector, stream, landing in lines:
        if landing in ends:
            begin, end = ends[landing]
            if stands.get((connector, stream)) != begin:
                broken.append(f"{stream}: {landing} goes on from {begin}")
            stands[connector, stream] = end
    at = {(connector, stream): position for connector, stream, position in positions}
    return broken + [f"{one} stands at {at[one]}" for one, end in stands.items() if at[one] != end]


def effects(place: Place) -> list[tuple[Any, ...]]:
    """What the ledger says was done to the rows of each stream, however many lines say it."""
    done = "inserted", "updated", "deleted", "absent_deleted", "withdrawn"
    sums = ", ".join(f"sum({name})::int" for name in done)
    with connect(place.database) as connection:
        return connection.execute(
            f"SELECT connector, stream, {sums} FROM integrations.ledger GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()


def left_behind(place: Place) -> list[Any]:
    """Temporary tables, prepared transactions and, after five seconds, sessions of the dead."""
    with connect(place.database, autocommit=True) as connection:
        for _ in range(50):
            found = connection.execute(
                "SELECT 'session', query FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " UNION ALL SELECT 'prepared', gid FROM pg_prepared_xacts"
                " WHERE database = current_database()"
                " UNION ALL SELECT 'table', relname FROM pg_class WHERE relpersistence = 't'"
            ).fetchall()
            if not found:
                break
            time.sleep(0.1)
    return found


def rows(place: Place) -> dict[tuple[str, ...], tuple[bool, str]]:
    """Every row of the canonical tables by its table and key: whether it is deleted, and all of it
    but by which run it was made, nor when one that is deleted was found to be: that is a time of
    our clock."""
    found: dict[tuple[str, ...], tuple[bool, str]] = {}
    with connect(place.database) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'canonical'::regnamespace"
            " AND relkind = 'p'"
        ).fetchall()
        for (name,) in names:
            made = connection.execute(
                "SELECT connector, connection, stream, source_id, _deleted_at IS NOT NULL,"
                " (to_jsonb(t) - '{_synced_at,_run_id}'::text[] - CASE WHEN _deleted_at IS NULL"
                " THEN '{}' ELSE '{_deleted_at,_seen_at}'::text[] END)::text"
                f" FROM canonical.{name} t"
            )
            for *key, deleted, row in made:
                found[name, *key] = (deleted, row)
    return found


def _manifests(place: Place) -> list[Path]:
    return list(place.home.glob("raw/*/*/*/*/*/manifest.json"))


def _manifest(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found
