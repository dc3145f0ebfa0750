"""The statements that keep a child stream's rows in step with what its parent says of them all.

A record of the parent names its children; each has the stamps of the record. But who is not named
has no statement of its own: so the record is also one about all of them (`said`), and these obey
the order of `merge` too. A child that is not named by the last of them is deleted, and what an
older one says of children that were never seen is stale, or they would come back.

The children of a parent are found by how their ids begin. No index says that in every collation,
so each load looks through the ids of the stream once. There is no slack: no feed speaks of them.

What is stale is seen by the rows of the children and of the parent. So of a parent that is known by
a newer statement without a list, an older one that has the list comes too late.
"""

from dataclasses import dataclass, replace
from typing import Any, LiteralString

import psycopg
import pyarrow as pa
from psycopg import sql

from integrations.names import StreamId
from integrations.storage import copying
from integrations.storage.merge import Merge
from integrations.storage.tables import TableSpec

SAID = "_said"
"""The column of staged rows that says which statement is theirs."""
_NAMES = ("_of", "source_id", "_parent", "_version", "_seen_at", "_rank", "_whole", SAID)


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The stream of a child's parents. Of the child's ids the first `parts` are the parent's, all
    of them where it has no more (`alone`)."""

    stream: StreamId
    spec: TableSpec
    parts: int
    alone: bool


@dataclass(frozen=True)
class Children:
    """The statements of one load about all children of each parent; in the order of calling."""

    connection: psycopg.Connection[Any]
    parent: Parent
    said: sql.Identifier

    def make_staging(self) -> None:
        """A table for them, gone with its transaction."""
        self.connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE {} (_of text, source_id text, _parent text, _version bigint,"
                " _seen_at timestamptz, _rank smallint, _whole boolean, _said bigint,"
                " _deleted_at timestamptz) ON COMMIT DROP"
            ).format(self.said)
        )

    def stage(self, said: pa.Table) -> None:
        """Adds statements, of the shape of `Enumeration.read`."""
        copying.copy_rows(self.connection, self.said, rows=said, names=_NAMES)

    def supersede(self, merge: Merge) -> int:
        """Keeps the last statement about each parent, and of the rows in staging those that it
        says; how many went."""
        replace(merge, staging=self.said, keeps=()).fold()
        self.connection.execute(sql.SQL("CREATE INDEX ON {} (_of)").format(self.said))
        self.connection.execute(sql.SQL("ANALYZE {}").format(self.said))
        return self._run(
            merge,
            """
            DELETE FROM {staging} s
            WHERE s._said IS NOT NULL
              AND NOT EXISTS (SELECT FROM {said} w WHERE w._said = s._said)
              AND EXISTS (SELECT FROM {said} w WHERE w._of = {s_of})
            """,
        ).rowcount

    def drop_outdated(self, merge: Merge) -> int:
        """Takes out statements about parents of which something newer is known, and what of them
        is in staging; how many rows."""
        return self._run(
            merge,
            """
            WITH known AS (
                SELECT w._said FROM {said} w JOIN {parents} t ON t.source_id = w._parent
                WHERE {of_parent} AND NOT {w_applied}
                UNION
                SELECT w._said FROM {said} w JOIN {leaf} t ON w._of = {t_of}
                WHERE {mine} AND NOT {w_applied}
            ), late AS (
                DELETE FROM {said} w USING known k WHERE w._said = k._said RETURNING w._said
            )
            DELETE FROM {staging} s USING late l WHERE s._said = l._said
            """,
        ).rowcount

    def bury_missing(self, merge: Merge, *, run_id: str) -> int:
        """Deletes the rows that are not named any more; how many. One that was named and refused
        is there. Rows and statements that are compared are those that are left in staging."""
        return self._run(
            merge,
            """
            UPDATE {leaf} t SET _deleted_at = w._seen_at, _version = w._version,
                _seen_at = greatest(w._seen_at, t._seen_at), _rank = w._rank,
                _synced_at = now(), _run_id = {run_id}
            FROM {said} w
            WHERE {mine} AND t._deleted_at IS NULL AND w._whole AND w._of = {t_of}
              AND NOT EXISTS (SELECT FROM {staging} s WHERE s.source_id = t.source_id)
              AND NOT EXISTS (SELECT FROM {refused} r WHERE r.key = t.source_id)
            """,
            run_id=run_id,
        ).rowcount

    def _run(self, merge: Merge, statement: LiteralString, **values: Any) -> psycopg.Cursor[Any]:
        parent = self.parent
        of_parent = sql.SQL("(t.connector, t.connection, t.stream) = ({}, {}, {})").format(
            parent.stream.connector, parent.stream.connection, parent.stream.stream
        )
        return merge.run(
            statement,
            said=self.said,
            parents=parent.spec.leaf(parent.stream.connector),
            of_parent=of_parent,
            t_of=self._of("t"),
            s_of=self._of("s"),
            **values,
        )

    def _of(self, row: LiteralString) -> sql.Composable:
        """How the id of a row begins."""
        if self.parent.alone:
            return sql.SQL(f"{row}.source_id")
        parts = [f"split_part({row}.source_id, '/', {n + 1})" for n in range(self.parent.parts)]
        return sql.SQL(" || '/' || ".join(parts))
