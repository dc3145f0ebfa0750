"""The fields that a stream's records were seen to have (`integrations.fields`)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from integrations.names import StreamId

USUAL = 0.95
"""A field that is in so many records is missed when it is in none."""
SURE = 100
"""Records that must have been looked at before anything is called usual."""
MISSED = 20
"""Records without it, one after the other, before a usual field is called gone."""
SETTLED = 10_000
"""Records after which a field's share is known well enough."""


@dataclass(frozen=True)
class KnownField:
    """What is known of a field: of `sampled` records since it was first seen, `present` had it, and
    the last `unseen` had not. `types` are JSON's words for what stood there; `gone` says that it
    was missed already."""

    types: frozenset[str] = frozenset()
    present: int = 0
    sampled: int = 0
    unseen: int = 0
    gone: bool = False

    @property
    def share(self) -> float:
        """Of the records from the first to the last that had it, how many did: 0 to 1."""
        among = self.sampled - self.unseen
        return self.present / among if among else 0.0

    @property
    def usual(self) -> bool:
        """Whether a record without it is news."""
        return self.share >= USUAL and self.sampled >= SURE

    def after(self, *, types: frozenset[str], present: int, sampled: int) -> "KnownField":
        """What is known after a landing of which so many records were looked at. Of what is known
        well only what is news is counted on, so that nothing is written at each sync."""
        if self.sampled >= SETTLED and types <= self.types:
            unseen = 0 if present or not self.usual else self.unseen + sampled
            return replace(self, unseen=unseen, gone=self._gone(unseen, present))
        unseen = 0 if present else self.unseen + sampled if self.usual else 0
        return KnownField(
            self.types | types,
            self.present + present,
            self.sampled + sampled,
            unseen,
            self._gone(unseen, present),
        )

    def _gone(self, unseen: int, present: int) -> bool:
        return not present and (self.gone or unseen >= MISSED)


def known(connection: psycopg.Connection[Any], stream: StreamId) -> dict[str, KnownField]:
    """What is known, by path; nothing of a stream of which nothing was loaded yet."""
    rows = connection.execute(
        """
        SELECT path, types, present, sampled, unseen, gone FROM integrations.fields
        WHERE (connector, connection, stream) = (%s, %s, %s)
        """,
        [stream.connector, stream.connection, stream.stream],
    )
    return {path: KnownField(frozenset(types), *rest) for path, types, *rest in rows}


def write(
    connection: psycopg.Connection[Any],
    stream: StreamId,
    found: Mapping[str, KnownField],
    *,
    run_id: str,
) -> None:
    """Note what is known now, within whatever transaction is open."""
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO integrations.fields AS f (connector, connection, stream, path, types,
                present, sampled, unseen, gone, first_run_id)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (connector, connection, stream, path) DO UPDATE SET
                types = excluded.types, present = excluded.present, sampled = excluded.sampled,
                unseen = excluded.unseen, gone = excluded.gone,
                changed_at = CASE WHEN (f.types, f.gone) = (excluded.types, excluded.gone)
                    THEN f.changed_at ELSE now() END
            """,
            [
                (
                    stream.connector, stream.connection, stream.stream, path, sorted(one.types),
                    one.present, one.sampled, one.unseen, one.gone, run_id,
                )
                for path, one in sorted(found.items())
            ],
        )  # fmt: skip
