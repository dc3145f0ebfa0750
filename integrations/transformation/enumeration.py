"""What a parent's record says of its children as a whole: which they are, and when it was said.

A child that a later statement of its parent does not name is there no more. So each record is also
a statement about its children as a whole, with the stamps that they have; the loader puts these in
order as it does rows.
"""

from collections.abc import Collection
from datetime import datetime

import pyarrow as pa

from integrations.transformation.arrow import Array, array, nulls, pc, repeat
from integrations.transformation.keys import beginnings, joined, source_ids
from integrations.transformation.kinds import BOOLEAN
from integrations.transformation.mapping import BoundMapping
from integrations.transformation.parse import Parser
from integrations.transformation.rule import BOOL, INT, TEXT, TIMESTAMP
from integrations.transformation.times import moments

SAID = "_said"
"""The column of a child's rows that says by which record of the batch they were said."""


class Enumeration:
    """Reads who the parents of a batch are, with the stamps of what was said of them."""

    def __init__(self, bound: BoundMapping) -> None:
        self._bound = bound
        wanted = {path for rule in bound.key[: bound.of] for path in rule.reads()}
        wanted |= {bound.version} if bound.version else set()
        paths = {path: bound.paths[path] for path in wanted}
        self._parser = Parser(paths | ({bound.deleted: BOOLEAN} if bound.deleted else {}))

    def read(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        rank: Array | int,
        partial: Collection[int],
        silent: Collection[int] = (),
        single: bool = False,
    ) -> pa.Table:
        """A statement for each record that has a key: `_parent` its id, `_of` how the ids of its
        children begin, their stamps, and `_said` its position. Of those with one `source_id` the
        last one counts: of `single` units each is of its own.

        `_whole` says that who is not in it is there no more. Those at the positions `partial` do
        not say so, nor do the `silent` ones, unless they say that the parent itself is deleted.
        """
        bound, parsed = self._bound, self._parser.parse(records)
        count = len(parsed.rows)
        ids, bad = source_ids(bound.key[: bound.of], parsed.columns, rows=count)
        whole = pc.invert(pc.is_in(parsed.rows, value_set=array(sorted(silent), pa.int64())))
        if bound.deleted:
            whole = pc.or_(whole, pc.fill_null(parsed.columns[bound.deleted], False))
        parts = pc.is_in(parsed.rows, value_set=array(sorted(partial), pa.int64()))
        columns = {
            "_of": beginnings(bound.key, bound.of, parsed.columns, rows=count),
            "source_id": joined([ids, parsed.rows.cast(TEXT)]) if single else ids,
            "_parent": ids,
            "_version": parsed.columns[bound.version] if bound.version else nulls(count, INT),
            "_seen_at": moments(seen_at, parsed.rows).cast(TIMESTAMP),
            "_rank": repeat(rank, pa.int16(), count)
            if isinstance(rank, int)
            else pc.take(rank, parsed.rows).cast(pa.int16()),
            "_whole": pc.and_(whole, pc.invert(parts)).cast(BOOL),
            SAID: parsed.rows,
        }
        return pa.table(columns).filter(pc.invert(bad))
