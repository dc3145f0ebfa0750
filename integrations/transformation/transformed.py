"""What a batch of records became."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

ROW = "row"
"""The working column that holds a record's position in its batch."""
FILTERED = "_filtered"
"""The column that is true for rows of keys that do not pass a mapping's `where`."""


@dataclass(frozen=True)
class Transformed:
    """What became of a batch: `received` units are `rows`, `refused` and `filtered` together. They
    were made of `records`; None, where each record is one.

    `rows` has source_id, the entity's columns (JSON as strings), `_version` (int64, null without
    one), `_seen_at` (UTC, microseconds), `_rank` (int16) and `_deleted_at`: null, or for a deletion
    its `_seen_at`; the entity's columns are then all null. For each column that the mapping may
    keep there is a boolean `_keep_<column>`: true where what is stored stands, and the column has
    what a key never seen takes. `refused` has the columns of `refusals.SCHEMA`. Both keep the
    batch's order.

    What does not pass a mapping's `where` is like a deletion, with `FILTERED` true, or where it has
    no key only counted: `filtered`. For a child stream `said` holds what its parents say
    (`Enumeration.read`), and the rows' column `SAID` which of that is theirs. `strange` are words
    of the source that the mapping of a column took without knowing them, and how often each came.
    """

    rows: pa.Table
    refused: pa.Table
    received: int
    filtered: int = 0
    records: int | None = None
    said: pa.Table | None = None
    strange: Mapping[str, Counter[str]] = field(default_factory=dict)
