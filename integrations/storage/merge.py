"""From the staging table into the leaf: which statement about a row wins, in SQL.

Each step counts the fates that it decides, by the rows that it touched. A later step's count is
never worked out from an earlier one's, or adding them up would prove nothing.

The order of two statements `s` (staged) and `t` (in the table): said later by more than the slack
wins, earlier by more than the slack is stale; in between version, time and rank decide, without
the version where either has none. A delete and a live statement: inside the slack the delete wins,
outside it the later one. Model-checked with the histories of `properties/test_order.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations.names import StreamId
from integrations.storage.tables import KEY, STAMPS, TableSpec

DELETE = 2
"""The rank of a statement that says "deleted"; its time is when the source deleted the row."""


@dataclass(frozen=True)
class Merge:
    """The statements that move one stream's staged rows into its leaf, within a transaction; in
    the order in which they are defined here."""

    connection: psycopg.Connection[Any]
    spec: TableSpec
    stream: StreamId
    staging: sql.Identifier
    slack: timedelta
    """Zero says that the stream is only pulled: then a row that is said again unchanged keeps
    its older stamps, which saves writing it."""

    def fold(self) -> int:
        """Keep the last said copy of each key, of equals the one staged last; how many went."""
        return self._run(
            """
            DELETE FROM {staging} s USING (
                SELECT ctid AS place, row_number() OVER (
                    PARTITION BY source_id
                    ORDER BY _seen_at DESC, _version DESC NULLS LAST, _rank DESC, ctid DESC) AS nth
                FROM {staging}
                WHERE source_id IN
                    (SELECT source_id FROM {staging} GROUP BY source_id HAVING count(*) > 1)
            ) copies
            WHERE s.ctid = copies.place AND copies.nth > 1
            """
        ).rowcount

    def close_quarantine(self) -> int:
        """Close the entries of keys that pass now, those that this load opened too; not by a
        statement that is stale, nor by one from before the refusal. A closed entry remembers the
        newest success, since an unchanged row may not."""
        return self._run(
            """
            UPDATE integrations.quarantine q
            SET closed_at = coalesce(q.closed_at, now()), said_at = s._seen_at
            FROM {staging} s LEFT JOIN {leaf} t ON {same_key}
            WHERE (q.connector, q.connection, q.stream) = ({connector}, {connection}, {stream})
              AND q.key = s.source_id AND q.said_at <= s._seen_at
              AND (t.source_id IS NULL OR {applied})
            """
        ).rowcount

    def drop_all(self) -> int:
        """Take everything out of staging, unread; how many."""
        return self._run("DELETE FROM {staging}").rowcount

    def drop_settled(self) -> tuple[int, int]:
        """Take out of staging what needs no writing: how many are unchanged, how many stale."""
        row = self._run(
            """
            WITH gone AS (
                DELETE FROM {staging} s USING {leaf} t
                WHERE {same_key} AND (NOT {applied} OR {same})
                RETURNING s.source_id, s._version, s._seen_at, s._rank, {applied} AS applied
            ) {take_stamps}
            SELECT count(*) FILTER (WHERE applied), count(*) FILTER (WHERE NOT applied) FROM gone
            """
        ).fetchone()
        assert row is not None, "an aggregate gives one row"
        return row[0], row[1]

    def update(self, *, run_id: str) -> int:
        """Write the live statements that are left over the rows that they are about; how many."""
        return self._run(
            """
            UPDATE {leaf} t SET
                {set_columns}, {set_stamps}, _synced_at = now(), _run_id = {run_id},
                _deleted_at = NULL
            FROM {staging} s
            WHERE {same_key} AND {applied} AND s._rank <> {delete}
            """,
            run_id=run_id,
        ).rowcount

    def insert(self, *, run_id: str) -> int:
        """Write the live statements about keys never seen; how many. Plain, since the load's lock
        keeps others out: ON CONFLICT costs twice as much."""
        return self._run(
            """
            INSERT INTO {leaf} ({key}, {columns}, {stamps}, _synced_at, _run_id)
            SELECT {connector}, {connection}, {stream}, s.source_id, {s_columns}, {s_stamps},
                   now(), {run_id}
            FROM {staging} s
            WHERE s._rank <> {delete} AND NOT EXISTS (SELECT FROM {leaf} t WHERE {same_key})
            """,
            run_id=run_id,
        ).rowcount

    def bury(self, *, run_id: str) -> int:
        """Write the deletes that are left, over a row's values or for a key never seen."""
        return self._run(
            """
            INSERT INTO {leaf} AS t ({key}, {stamps}, _synced_at, _run_id, _deleted_at)
            SELECT {connector}, {connection}, {stream}, s.source_id, {s_stamps},
                   now(), {run_id}, s._seen_at
            FROM {staging} s WHERE s._rank = {delete}
            ON CONFLICT ({key}) DO UPDATE SET
                ({stamps}, _synced_at, _run_id, _deleted_at) = ({excluded_stamps},
                excluded._synced_at, excluded._run_id, excluded._deleted_at)
            WHERE {excluded_applied}
            """,
            run_id=run_id,
        ).rowcount

    def _run(self, statement: str, **values: str) -> psycopg.Cursor[Any]:
        names = [column.name for column in self.spec.columns]
        mine: dict[str, Any] = {
            "staging": self.staging,
            "leaf": self.spec.leaf(self.stream.connector),
            "connector": self.stream.connector,
            "connection": self.stream.connection,
            "stream": self.stream.stream,
            "delete": DELETE,
            "key": _list("{}", KEY),
            "stamps": _list("{}", STAMPS),
            "s_stamps": _list("s.{}", STAMPS),
            "set_stamps": _list("{0} = s.{0}", STAMPS),
            "excluded_stamps": _list("excluded.{}", STAMPS),
            "columns": _list("{}", names),
            "s_columns": _list("s.{}", names),
            "t_columns": _list("t.{}", names),
            "set_columns": _list("{0} = s.{0}", names),
        }
        # Adding an interval to every row's time costs, so none is added where there is no slack.
        for name, text in (("ahead", _AHEAD), ("behind", _BEHIND)):
            mine[name] = sql.SQL(text if self.slack else "").format(slack=self.slack)
        for name, text in (("same_key", _SAME_KEY), ("same", _SAME), ("applied", _APPLIED)):
            mine[name] = sql.SQL(text).format(s=sql.Identifier("s"), **mine)
        mine["excluded_applied"] = sql.SQL(_APPLIED).format(s=sql.Identifier("excluded"), **mine)
        mine["take_stamps"] = sql.SQL(_TAKE_STAMPS if self.slack else "").format(**mine)
        return self.connection.execute(sql.SQL(statement).format(**mine, **values))


def _list(pattern: LiteralString, names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join([sql.SQL(pattern).format(sql.Identifier(name)) for name in names])


_SAME_KEY: LiteralString = """
(t.connector, t.connection, t.stream, t.source_id)
    = ({connector}, {connection}, {stream}, {s}.source_id)"""
_AHEAD: LiteralString = "+ {slack}"
_BEHIND: LiteralString = "- {slack}"
_APPLIED: LiteralString = """
(CASE WHEN ({s}._rank = {delete}) = (t._rank = {delete}) THEN
    {s}._seen_at > t._seen_at {ahead} OR ({s}._seen_at >= t._seen_at {behind} AND
        CASE WHEN {s}._version IS NULL OR t._version IS NULL
        THEN ({s}._seen_at, {s}._rank) >= (t._seen_at, t._rank)
        ELSE ({s}._version, {s}._seen_at, {s}._rank) >= (t._version, t._seen_at, t._rank) END)
WHEN {s}._rank = {delete} THEN {s}._seen_at >= t._seen_at {behind}
ELSE {s}._seen_at > t._seen_at {ahead} END)"""
_SAME: LiteralString = """
(CASE WHEN {s}._rank = {delete} THEN t._rank = {delete}
ELSE t._deleted_at IS NULL AND NOT (({t_columns}) IS DISTINCT FROM ({s_columns})) END)"""
_TAKE_STAMPS: LiteralString = """
, stamped AS (
    UPDATE {leaf} t SET _version = s._version, _seen_at = s._seen_at, _rank = s._rank,
        _deleted_at = CASE WHEN s._rank = {delete} THEN s._seen_at END
    FROM gone s
    WHERE {same_key} AND s.applied
      AND (t._version, t._seen_at, t._rank) IS DISTINCT FROM (s._version, s._seen_at, s._rank))"""
