"""The records of a batch that cannot pass: what is wrong with each, and under which key.

A record is refused once, with everything that is wrong with it, and keeps its own bytes: quarantine
shows them, and a retry reads nothing else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from integrations.transformation.arrow import Array, array
from integrations.transformation.rule import TIMESTAMP

_STRINGS = ("key", "field", "rule", "reason")
_FIELDS: "list[pa.Field[Any]]" = [
    *(pa.field(name, pa.string()) for name in _STRINGS),
    pa.field("record", pa.binary()),
    pa.field("kind", pa.string()),
    pa.field("seen_at", TIMESTAMP),
]
SCHEMA = pa.schema(_FIELDS)
"""What the table of refused records looks like."""

DATA = "data"
"""The kind of a refusal that only a change at the source or in the mapping can heal."""

_REASON = 1000
"""A reason is read by people and kept in a table; a record may have many faults."""


class Refusals:
    """Collects the reasons of one batch, by the record's position in it."""

    def __init__(self) -> None:
        self._reasons: dict[int, list[tuple[str, str, str]]] = {}

    def add(self, row: int, *, field: str, rule: str, reason: str) -> None:
        """One more thing that is wrong with a record; the first gives its field and rule."""
        self._reasons.setdefault(row, []).append((field, rule, reason))

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def rows(self) -> list[int]:
        """The positions of the refused records, in the batch's order."""
        return sorted(self._reasons)

    def table(
        self, records: Sequence[bytes], keys: Mapping[int, str], *, seen_at: Array
    ) -> pa.Table:
        """The refusals of a batch; a record without an entry in `keys` goes by its hash.

        `records` has the bytes of each of `rows`, and `seen_at` a moment.
        """
        lines = []
        for row, record, seen in zip(self.rows, records, seen_at.to_pylist(), strict=True):
            field, rule, _ = self._reasons[row][0]
            reason = "; ".join(dict.fromkeys(reason for *_, reason in self._reasons[row]))
            key = keys.get(row) or f"sha256:{hashlib.sha256(record).hexdigest()}"
            lines.append((key, field, rule, reason[:_REASON], record, DATA, seen))
        columns = zip(*lines, strict=True) if lines else [[]] * len(SCHEMA)
        return pa.table(
            [array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
