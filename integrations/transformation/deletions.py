"""Records that say that something is deleted, rather than what it is like.

A source deletes with a stub of a record: its id, perhaps a flag. Nothing else of it is read, so
that neither what it lacks nor what is wrong with the rest can keep a deleted record alive.
"""

import pyarrow as pa

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.kinds import BOOLEAN
from integrations.transformation.mapping import BoundMapping
from integrations.transformation.parse import Parsed, Parser, Unread

NONE: Array = array([], pa.int64())
"""No positions of a batch."""


class Deletions:
    """Finds a batch's deletions and reads what a deletion needs: the key and the version."""

    def __init__(self, bound: BoundMapping) -> None:
        self._flag = bound.deleted
        self._flags = Parser({bound.deleted: BOOLEAN}) if bound.deleted else None
        wanted = {path for rule in bound.key for path in rule.reads()}
        wanted |= {bound.version} if bound.version else set()
        self._stubs = Parser({path: bound.paths[path] for path in wanted})

    def flagged(self, parsed: Parsed, records: Array) -> Array:
        """The positions of the records that the mapping's flag calls deleted, ascending."""
        if self._flag is None or self._flags is None:
            return NONE
        found: Array = parsed.rows.filter(pc.fill_null(parsed.columns[self._flag], False))
        if not parsed.unread:
            return found
        unread = array([one.row for one in parsed.unread], pa.int64())
        flags = self._flags.parse(records.take(unread))
        more = unread.take(flags.rows.filter(pc.fill_null(flags.columns[self._flag], False)))
        return ascending(found, more)

    def read(self, records: Array, rows: Array) -> Parsed:
        """Key and version of the records at these positions, and which have none to be read."""
        stubs = self._stubs.parse(records.take(rows))
        unread = [Unread(rows[one.row].as_py(), one.path, one.reason) for one in stubs.unread]
        return Parsed(stubs.columns, rows.take(stubs.rows), unread)


def ascending(*rows: Array) -> Array:
    """Positions from several places, each once."""
    found = pa.concat_arrays([part.cast(pa.int64()) for part in rows]).unique()
    ordered: Array = found.take(pc.sort_indices(found))
    return ordered


def without(rows: Array, others: Array) -> Array:
    """The positions that are none of the others."""
    left: Array = rows.filter(pc.invert(pc.is_in(rows, value_set=others))) if len(others) else rows
    return left
