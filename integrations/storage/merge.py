"""The statements that bring one stream's staged rows into its leaf, and the order they obey.

Each counts what it does: the fates of a load are row counts of their own, none is a difference
from an earlier one's, or adding them up would prove nothing.

The order of two statements `s` (staged) and `t` (in the table): said later by more than the slack
wins, earlier by more than the slack is stale; in between version, time and rank decide, without
the version where either has none. A delete and a live statement: inside the slack the delete wins,
outside it the later one. So each has a place in time, which is when it was said, for a delete the
slack later. What was said before the floor (a complete reading, less the slack) of a key that is
not there is stale.

The place of a row never goes back: where a newer version was said earlier, the row keeps the later
time. Else a few steps, each inside the slack, led back by more than it, and a deletion from before
a revival could win. Copies of a key in a landing are folded by the same rule: by time alone, a
deletion lost against the change before it when another node's clock was ahead. Such a row's time is
not its statement's own, so a replay takes an equal version for the same statement.

A statement may keep a column: it then writes over the rest of a row and leaves that value. Of the
copies of a key that one keeps which stays, a kept column takes its value from the next copy in the
order of the fold that has one and would itself be applied over the row: so a landing does what its
statements would do one by one. A key never seen, or known only by its deletion, takes what is
staged: the column's default, or null.

Promised, where clocks and replicas stay within the slack: nothing that was said earlier by more
than the slack than what is shown comes back, and no state from before a deletion that is shown.
Without versions what is shown does not depend on the order of loads, but for equal times, and for
what was said within the slack of a complete reading that lacks it.

Not promised: what is said within the slack of a deletion of the same key (a revival) is stale until
it is said again; likewise, without a version, the earlier of two states within the slack. A live
statement from between the begin of a complete reading and a deletion in its course, loaded after
it, shows the row until the deletion is said or the next reading. Without `restamp` a row keeps the
time of when it was first said so: in the overlap of two windows, a value that changed and changed
back shows its middle state where a pull of one window, begun between two others, is loaded after
the pull of its neighbour that began later (of one window it is told by the position). A statement
that keeps a column and is loaded before an earlier one that has it keeps what was there: the
earlier one is stale.

Model-checked with the histories of `properties/test_histories.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations.names import StreamId
from integrations.storage import keeping, quarantine
from integrations.storage.tables import KEY, STAMPS, TableSpec

DELETE = 2
"""The rank of a statement of the source that says "deleted". A row that a mapping deletes (a flag,
a refusal) keeps the rank of its statement, and compares as a live one."""


@dataclass(frozen=True)
class Order:
    """How a stream's statements are ordered.

    `slack_s` is how far the source's clocks and replicas may be apart, 0 on streams that are only
    pulled. `restamp`: a row that is said again unchanged takes the newer stamps; needed where
    there is a second lane or where rows are deleted, and not for nothing.
    """

    slack_s: float = 0.0
    restamp: bool = False


@dataclass(frozen=True)
class Merge:
    """The statements that move one stream's staged rows into its leaf, within a transaction; in
    the order in which they are defined here."""

    connection: psycopg.Connection[Any]
    spec: TableSpec
    stream: StreamId
    staging: sql.Identifier
    refused: sql.Identifier
    order: Order
    floor: datetime | None = None
    replay: bool = False
    keeps: tuple[str, ...] = ()
    quarantine: sql.Identifier = field(default_factory=lambda: quarantine.TABLE)

    def fold(self) -> int:
        """Keep one copy of each key: the one with the last place, unless one within the slack of
        it is of a newer version, which then takes its time; of equals the one staged last. What it
        keeps it takes from the others. How many went."""
        return self.run(
            """
            WITH copies AS (
                SELECT ctid AS at, source_id, _version, _seen_at, _rank, _rank = {delete} AS dead,
                    CASE WHEN _rank = {delete} THEN _seen_at + {slack} ELSE _seen_at END AS place
                FROM {staging}
                WHERE source_id IN
                    (SELECT source_id FROM {staging} GROUP BY source_id HAVING count(*) > 1)
            ), tops AS (
                SELECT DISTINCT ON (source_id) source_id, dead, _seen_at AS last FROM copies
                ORDER BY source_id, place DESC, dead DESC
            ), near AS (
                SELECT c.*, t.last, c.dead = t.dead AND c._seen_at >= t.last - {slack} AS near
                FROM copies c JOIN tops t USING (source_id)
            ), known AS (
                SELECT *, bool_and(_version IS NOT NULL OR NOT near) OVER (PARTITION BY source_id)
                    AS known FROM near
            ), places AS (
                SELECT at, last, row_number() OVER (PARTITION BY source_id ORDER BY near DESC,
                    CASE WHEN known THEN _version END DESC NULLS LAST,
                    _seen_at DESC, _rank DESC, at DESC) AS nth
                FROM known
            ), {heirs} raised AS (
                UPDATE {staging} s SET {inherited} _seen_at = p.last FROM places p {of_heirs}
                WHERE s.ctid = p.at AND p.nth = 1 AND (s._seen_at < p.last {or_keeping})
            )
            DELETE FROM {staging} s USING places p WHERE s.ctid = p.at AND p.nth > 1
            """
        ).rowcount

    def drop_lent(self) -> int:
        """Take out the copies that are lent where nobody borrows; how many."""
        return self.run(
            """
            DELETE FROM {staging} s WHERE _rank = {lent} AND NOT EXISTS
                (SELECT FROM {staging} o WHERE o.source_id = s.source_id AND o._rank <> {lent})
            """,
            lent=keeping.LENT,
        ).rowcount

    def own_lent(self) -> None:
        """Let a lent copy that stands for all be one of a pull: nothing is known beyond it."""
        self.run("UPDATE {staging} SET _rank = 0 WHERE _rank = {lent}", lent=keeping.LENT)

    def drop_below_floor(self) -> int:
        """Take out live statements from before the floor about keys never seen; how many."""
        if self.floor is None:
            return 0
        return self.run(
            """
            DELETE FROM {staging} s
            WHERE {is_live} AND s._seen_at < {floor}
              AND NOT EXISTS (SELECT FROM {leaf} t WHERE {same_key})
            """
        ).rowcount

    def withdraw(self, *, run_id: str) -> int:
        """Delete the rows that were made from what is refused now, where it was not refused
        before: for replays, after a mapping has changed; how many. A row that takes newer stamps
        has those of what it was made from."""
        return self.run(
            """
            UPDATE {leaf} t SET _deleted_at = s.seen_at, _seen_at = s.seen_at,
                _synced_at = now(), _run_id = {run_id}
            FROM (SELECT DISTINCT ON (key) key AS source_id, seen_at FROM {refused}
                  ORDER BY key, seen_at DESC) s
            WHERE {same_key} AND t._deleted_at IS NULL AND {made_from}
              AND NOT EXISTS (SELECT FROM {staging} r
                WHERE r.source_id = s.source_id AND r._seen_at >= s.seen_at)
              AND NOT EXISTS (SELECT FROM {quarantine} q
                WHERE (q.connector, q.connection, q.stream) = ({connector}, {connection}, {stream})
                  AND q.key = s.source_id
                  AND ({refused_later} OR q.closed_at IS NULL AND q.said_at = s.seen_at))
            """,
            run_id=run_id,
        ).rowcount

    def close_quarantine(self) -> int:
        """Close the entries of keys that pass now, those that this load opened too; not by a
        statement that is stale, nor by one from before the refusal. A closed entry remembers the
        newest success, since an unchanged row may not."""
        return self.run(
            """
            UPDATE {quarantine} q
            SET closed_at = coalesce(q.closed_at, now()), said_at = s._seen_at,
                resolution = coalesce(q.resolution, 'passed')
            FROM {staging} s
            WHERE (q.connector, q.connection, q.stream) = ({connector}, {connection}, {stream})
              AND q.key = s.source_id AND q.said_at <= s._seen_at
              AND NOT EXISTS (SELECT FROM {leaf} t WHERE {same_key} AND NOT {applied})
            """
        ).rowcount

    def drop_all(self) -> int:
        """Take everything out of staging, unread; how many."""
        return self.run("DELETE FROM {staging}").rowcount

    def drop_settled(self) -> tuple[int, int, int]:
        """Take out of staging what needs no writing: how many are unchanged, how many stale, and
        how many filtered whose rows are deleted already.

        Rows are found again by their place: by key the planner, which expects one row of a leaf
        that it has not looked at yet, compares each with each.
        """
        row = self.run(
            """
            WITH gone AS (
                DELETE FROM {staging} s USING {leaf} t
                WHERE {same_key} AND (NOT {applied} OR {same})
                RETURNING t.ctid AS place, s._version, s._seen_at, s._rank, s._deleted_at,
                    {applied} AS applied, s._filtered IS TRUE AS filtered
            ) {take_stamps}
            SELECT count(*) FILTER (WHERE applied AND NOT filtered),
                count(*) FILTER (WHERE NOT applied), count(*) FILTER (WHERE applied AND filtered)
            FROM gone
            """
        ).fetchone()
        assert row is not None, "an aggregate gives one row"
        return row[0], row[1], row[2]

    def drop_filtered(self) -> int:
        """Take out of staging what does not pass the filter and was never seen; how many. What is
        left of it deletes a row."""
        return self.run(
            """
            DELETE FROM {staging} s
            WHERE s._filtered AND NOT EXISTS (SELECT FROM {leaf} t WHERE {same_key})
            """
        ).rowcount

    def update(self, *, run_id: str) -> int:
        """Write the live statements that are left over the rows that they are about; how many."""
        return self.run(
            """
            UPDATE {leaf} t SET
                {set_columns}, _version = s._version, _rank = s._rank,
                _seen_at = greatest(s._seen_at, t._seen_at),
                _synced_at = now(), _run_id = {run_id}, _deleted_at = NULL
            FROM {staging} s
            WHERE {same_key} AND {applied} AND {is_live}
            """,
            run_id=run_id,
        ).rowcount

    def insert(self, *, run_id: str) -> int:
        """Write the live statements about keys never seen; how many. Plain, since the load's lock
        keeps others out: ON CONFLICT costs twice as much."""
        return self.run(
            """
            INSERT INTO {leaf} ({key}, {columns}, {stamps}, _synced_at, _run_id)
            SELECT {connector}, {connection}, {stream}, s.source_id, {s_columns}, {s_stamps},
                   now(), {run_id}
            FROM {staging} s
            WHERE {is_live} AND NOT EXISTS (SELECT FROM {leaf} t WHERE {same_key})
            """,
            run_id=run_id,
        ).rowcount

    def bury(self, *, run_id: str) -> int:
        """Write the deletes that are left, over a row's values or for a key never seen."""
        return self.run(
            """
            INSERT INTO {leaf} AS t ({key}, {stamps}, _synced_at, _run_id, _deleted_at)
            SELECT {connector}, {connection}, {stream}, s.source_id, {s_stamps},
                   now(), {run_id}, s._deleted_at
            FROM {staging} s WHERE s._deleted_at IS NOT NULL
            ON CONFLICT ({key}) DO UPDATE SET
                _version = excluded._version, _rank = excluded._rank,
                _seen_at = CASE WHEN excluded._rank = {delete} AND t._rank <> {delete}
                    THEN excluded._seen_at ELSE greatest(excluded._seen_at, t._seen_at) END,
                _synced_at = now(), _run_id = {run_id}, _deleted_at = excluded._deleted_at
            WHERE {excluded_applied}
            """,
            run_id=run_id,
        ).rowcount

    def live(self, *, snapshot: datetime, among: str | None) -> int:
        """How many rows of the stream are live, of those that a reading speaks of."""
        row = self.run(
            "SELECT count(*) FROM {leaf} t WHERE {mine} AND t._deleted_at IS NULL" + _among(among),
            snapshot=snapshot,
            among=sql.Identifier(among or ""),
        ).fetchone()
        assert row is not None, "an aggregate gives one row"
        return int(row[0])

    def bury_absent(self, *, run_id: str, snapshot: datetime, among: str | None) -> int:
        """Delete the rows that a complete reading, begun at `snapshot`, has not said: those whose
        stamps are from before it, with `among` as far as it holds others of their value in that
        column. One that it said and that was refused is there; how many."""
        return self.run(
            """
            UPDATE {leaf} t SET _deleted_at = {snapshot}, _seen_at = {snapshot}, _rank = {delete},
                _synced_at = now(), _run_id = {run_id}
            WHERE {mine} AND t._deleted_at IS NULL AND t._seen_at < {snapshot} - {slack}
              AND NOT EXISTS (SELECT FROM {refused} r WHERE r.key = t.source_id)
            """
            + _among(among),
            run_id=run_id,
            snapshot=snapshot,
            among=sql.Identifier(among or ""),
        ).rowcount

    def bury_vanished(self, again: Mapping[datetime, datetime], *, run_id: str) -> int:
        """Delete the rows whose file was read again without them: they are still those of an
        earlier reading. `again` has the later reading's time by the earlier one's, and the time of
        a reading is that of no other, nor of a row that another file says too. One that was said
        again and refused is there; how many."""
        return self.run(
            """
            UPDATE {leaf} t SET _deleted_at = f.later, _seen_at = f.later, _rank = {delete},
                _synced_at = now(), _run_id = {run_id}
            FROM unnest({earlier}::timestamptz[], {later}::timestamptz[]) AS f (earlier, later)
            WHERE {mine} AND t._deleted_at IS NULL AND t._seen_at = f.earlier
              AND NOT EXISTS (SELECT FROM {refused} r WHERE r.key = t.source_id)
            """,
            run_id=run_id,
            earlier=[*again.keys()],
            later=[*again.values()],
        ).rowcount

    def run(self, statement: LiteralString, **values: Any) -> psycopg.Cursor[Any]:
        """A statement over the rows `t` and what is staged, for those that keep the order too."""
        names = [column.name for column in self.spec.columns]
        mine: dict[str, Any] = {
            "staging": self.staging,
            "refused": self.refused,
            "quarantine": self.quarantine,
            "leaf": self.spec.leaf(self.stream.connector),
            "connector": self.stream.connector,
            "connection": self.stream.connection,
            "stream": self.stream.stream,
            "delete": DELETE,
            "slack": timedelta(seconds=self.order.slack_s),
            "key": _list("{}", KEY),
            "stamps": _list("{}", STAMPS),
            "s_stamps": _list("s.{}", STAMPS),
            "columns": _list("{}", names),
            "s_columns": _list("s.{}", names),
            "t_columns": _list("t.{}", names),
        }
        if self.floor is not None:
            mine["floor"] = self.floor
        standing = keeping.standing(self.spec, self.keeps)
        mine["standing"] = sql.SQL(", ").join(standing)
        mine["set_columns"] = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), value)
            for name, value in zip(names, standing, strict=True)
        )
        # Adding an interval to every row's time costs, so none is added where there is no slack.
        slack = bool(self.order.slack_s)
        for name, text in (("ahead", _AHEAD), ("behind", _BEHIND)):
            mine[name] = sql.SQL(text if slack else "").format(**mine)
        for name, text in (("same_key", _SAME_KEY), ("mine", _MINE), ("same", _SAME)):
            mine[name] = sql.SQL(text).format(s=sql.Identifier("s"), **mine)
        for name, row in (("applied", "s"), ("excluded_applied", "excluded"), ("w_applied", "w")):
            mine[name] = self._applied(sql.Identifier(row), mine)
        copy = sql.Identifier("c")
        mine |= keeping.inheritance(
            self.keeps,
            mine,
            there=sql.SQL(_SAME_KEY).format(s=copy, **mine),
            applied=self._applied(copy, mine),
        )
        mine["is_live"] = sql.SQL(_IS_LIVE)
        own = self.order.restamp
        mine["made_from"] = sql.SQL(f"t._seen_at {'=' if own else '<='} s.seen_at")
        mine["refused_later"] = sql.SQL("false" if own else "q.said_at > s.seen_at")
        mine["take_stamps"] = sql.SQL(_TAKE_STAMPS if self.order.restamp else "").format(**mine)
        return self.connection.execute(sql.SQL(statement).format(**mine, **values))

    def _applied(self, row: sql.Identifier, names: dict[str, Any]) -> sql.Composed:
        """Whether a statement is applied over the row `t`."""
        again = self.replay and self.order.slack_s
        text = _APPLIED + (_ABOVE_FLOOR if self.floor is not None else "")
        also = sql.SQL(_SAME_VERSION if again else "").format(s=row)
        return sql.SQL(f"({text})").format(s=row, or_same_version=also, **names)


def _list(pattern: LiteralString, names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join([sql.SQL(pattern).format(sql.Identifier(name)) for name in names])


def _among(column: str | None) -> LiteralString:
    """The condition that a reading holds a row's value in a column."""
    return _HELD if column is not None else ""


_HELD: LiteralString = """
AND t.{among} IN (SELECT h.{among} FROM {leaf} h
    WHERE (h.connector, h.connection, h.stream) = ({connector}, {connection}, {stream})
      AND h._deleted_at IS NULL AND h._seen_at >= {snapshot} - {slack})"""
_SAME_KEY: LiteralString = """
(t.connector, t.connection, t.stream, t.source_id)
    = ({connector}, {connection}, {stream}, {s}.source_id)"""
_MINE: LiteralString = """
(t.connector, t.connection, t.stream) = ({connector}, {connection}, {stream})"""
_AHEAD: LiteralString = "+ {slack}"
_BEHIND: LiteralString = "- {slack}"
# This is `s._deleted_at IS NULL`, of which the planner expects 1 row in 200 where it knows nothing
# of a table, as of staging: it then compares every row with every other.
_IS_LIVE: LiteralString = "num_nulls(s._deleted_at) <> 0"
_APPLIED: LiteralString = """
(CASE WHEN ({s}._rank = {delete}) = (t._rank = {delete}) THEN
    {s}._seen_at > t._seen_at {ahead} OR ({s}._seen_at >= t._seen_at {behind} AND
        CASE WHEN {s}._version IS NULL OR t._version IS NULL
        THEN ({s}._seen_at, {s}._rank) >= (t._seen_at, t._rank)
        ELSE ({s}._version, {s}._seen_at, {s}._rank) >= (t._version, t._seen_at, t._rank)
            {or_same_version} END)
WHEN {s}._rank = {delete} THEN {s}._seen_at >= t._seen_at {behind}
ELSE {s}._seen_at > t._seen_at {ahead} END)"""
_SAME_VERSION: LiteralString = "OR {s}._version = t._version"
_ABOVE_FLOOR: LiteralString = """
AND NOT ({s}._deleted_at IS NULL AND t._deleted_at IS NOT NULL AND {s}._seen_at < {floor})"""
_SAME: LiteralString = """
(CASE WHEN {s}._rank = {delete} THEN t._rank = {delete}
WHEN {s}._deleted_at IS NOT NULL THEN t._deleted_at IS NOT NULL
ELSE t._deleted_at IS NULL AND NOT (({t_columns}) IS DISTINCT FROM ({standing})) END)"""
_TAKE_STAMPS: LiteralString = """
, stamped AS (
    UPDATE {leaf} t SET _version = s._version, _rank = s._rank,
        _seen_at = greatest(s._seen_at, t._seen_at), _deleted_at = s._deleted_at
    FROM gone s
    WHERE t.ctid = s.place AND s.applied
      AND (t._version, t._seen_at, t._rank) IS DISTINCT FROM (s._version, s._seen_at, s._rank))"""
