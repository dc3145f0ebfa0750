"""What a trial would change: rows, cells, totals and quarantine, before and after.

All of it is counted by Postgres, a set at a time; what comes back is a few lines a column. Changed
is a row that is live before and after, with another value in a column of the entity; that only its
stamps differ is no change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations.storage.trial import AFTER, BEFORE, OPEN_AFTER, OPEN_BEFORE

SHOWN = 3
"""Examples of one thing."""


@dataclass(frozen=True)
class Example:
    """A value that becomes another one in `rows` rows, of which `key` is one."""

    before: Any
    after: Any
    rows: int
    key: str


@dataclass(frozen=True)
class Cells:
    """How many rows have another value in a column, the most frequent changes first."""

    column: str
    rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Total:
    """A sum over the live rows, of those in one currency (None: they have none, or it is not known
    which column says it)."""

    column: str
    currency: str | None
    before: Decimal
    after: Decimal


@dataclass(frozen=True)
class Reason:
    """How many records one rule of one field refuses, with one of the reasons and some keys."""

    field: str | None
    rule: str | None
    records: int
    example: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows that are live before and after, how many of them change, how many come and go, and some
    of those keys."""

    before: int
    after: int
    changed: int
    appear: int
    leave: int
    appearing: tuple[str, ...]
    leaving: tuple[str, ...]


@dataclass(frozen=True)
class Quarantine:
    """Open entries before and after, and of which records they come (`gains`) and go (`loses`).
    `why` are entries that stay, for another reason."""

    before: int
    after: int
    gains: tuple[Reason, ...]
    loses: tuple[Reason, ...]
    why: tuple[Reason, ...]


class Changes:
    """Compares a trial's rows as they would be with those that are there; within its `trying`."""

    def __init__(self, connection: psycopg.Connection[Any], columns: tuple[str, ...]) -> None:
        self._connection = connection
        self._columns = columns

    def rows(self) -> tuple[Rows, dict[str, int]]:
        """The rows, and in how many of them each column changes."""
        differs = [_DIFFERS.format(sql.Identifier(name)) for name in self._columns]
        counts = [sql.SQL("count(*) FILTER (WHERE {})").format(one) for one in differs]
        found = self._all(
            """
            SELECT count(*) FILTER (WHERE was), count(*) FILTER (WHERE becomes),
                count(*) FILTER (WHERE becomes AND NOT was),
                count(*) FILTER (WHERE was AND NOT becomes),
                count(*) FILTER (WHERE {any}), {counts}
            FROM {pairs}
            """,
            any=sql.SQL(" OR ").join(differs),
            counts=sql.SQL(", ").join(counts),
        )
        ((before, after, appear, leave, changed, *cells),) = found
        rows = Rows(
            before, after, changed, appear, leave,
            self._keys("becomes AND NOT was") if appear else (),
            self._keys("was AND NOT becomes") if leave else (),
        )  # fmt: skip
        return rows, dict(zip(self._columns, cells, strict=True))

    def cells(self, counts: Mapping[str, int]) -> Iterator[Cells]:
        """The columns that change, those with the most rows first."""
        for name, rows in sorted(counts.items(), key=lambda one: -one[1]):
            if rows:
                found = self._all(
                    """
                    SELECT b.{column}, a.{column}, count(*), min(source_id) FROM {pairs}
                    WHERE {differs} GROUP BY 1, 2 ORDER BY 3 DESC, 4 LIMIT {shown}
                    """,
                    column=sql.Identifier(name),
                    differs=_DIFFERS.format(sql.Identifier(name)),
                )
                yield Cells(name, rows, tuple(Example(*one) for one in found))

    def totals(self, currencies: Mapping[str, str | None]) -> Iterator[Total]:
        """The sums of these columns; each with the column that says its currency, if any."""
        for name, currency in currencies.items():
            found = self._all(
                """
                SELECT currency, coalesce(sum(amount) FILTER (WHERE NOT new), 0),
                    coalesce(sum(amount) FILTER (WHERE new), 0)
                FROM (SELECT {currency} AS currency, {amount} AS amount, false AS new FROM {before}
                      WHERE _deleted_at IS NULL
                      UNION ALL SELECT {currency}, {amount}, true FROM {after}
                      WHERE _deleted_at IS NULL) both_
                WHERE amount IS NOT NULL GROUP BY 1 ORDER BY 1
                """,
                amount=sql.Identifier(name),
                currency=sql.Identifier(currency) if currency else sql.SQL("NULL::text"),
            )
            yield from (Total(name, *one) for one in found)

    def quarantine(self) -> Quarantine:
        """What quarantine would gain and lose."""
        ((before, after),) = self._all(
            "SELECT (SELECT count(*) FROM {open_before} WHERE closed_at IS NULL),"
            " (SELECT count(*) FROM {open_after} WHERE closed_at IS NULL)"
        )
        gains = self._reasons("a", "b.raw IS NULL")
        loses = self._reasons("b", "a.raw IS NULL")
        why = self._reasons("a", "a.raw IS NOT NULL AND b.raw IS NOT NULL AND a.reason <> b.reason")
        return Quarantine(before, after, gains, loses, why)

    def _reasons(self, side: LiteralString, where: LiteralString) -> tuple[Reason, ...]:
        found = self._all(
            f"""
            SELECT {side}.field, {side}.rule, count(*), min({side}.reason),
                (array_agg(key ORDER BY key))[:{{shown}}]
            FROM (SELECT * FROM {{open_before}} WHERE closed_at IS NULL) b
            FULL JOIN (SELECT * FROM {{open_after}} WHERE closed_at IS NULL) a
                USING (connector, connection, stream, key)
            WHERE {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
            """
        )
        return tuple(
            Reason(field, rule, records, example, tuple(keys))
            for field, rule, records, example, keys in found
        )

    def _keys(self, where: LiteralString) -> tuple[str, ...]:
        query = f"SELECT source_id FROM {{pairs}} WHERE {where} ORDER BY 1 LIMIT {{shown}}"
        return tuple(key for (key,) in self._all(query))

    def _all(self, query: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        names = {
            "before": BEFORE,
            "after": AFTER,
            "open_before": OPEN_BEFORE,
            "open_after": OPEN_AFTER,
            "shown": SHOWN,
        }
        names["pairs"] = sql.SQL(_PAIRS).format(**names)
        return self._connection.execute(sql.SQL(query).format(**names, **values)).fetchall()


# No row ever goes out of a table: what is deleted is marked. So all that was is in what would be.
_PAIRS: LiteralString = """
{after} a LEFT JOIN {before} b USING (connector, connection, stream, source_id)
CROSS JOIN LATERAL (SELECT b._seen_at IS NOT NULL AND b._deleted_at IS NULL AS was,
                           a._deleted_at IS NULL AS becomes) live"""
_DIFFERS = sql.SQL("(was AND becomes AND a.{0} IS DISTINCT FROM b.{0})")
