"""Kept columns, as parts of the statements in `merge`: a statement about a row may leave a value
that is stored. Where no column may be kept, they are what they would be without this."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from integrations.storage.tables import KEEP, Column, TableSpec

Names = Mapping[str, Any]

LENT = -1
"""The rank of a copy in staging that only lends what other copies of its key keep: it was said by a
landing whose place another has taken, which may lack the key for good."""


def standing(spec: TableSpec, keeps: Sequence[str]) -> list[sql.Composed]:
    """By column, what stands in it when the statement `s` is applied over the row `t`."""
    row = sql.SQL(", ").join(
        sql.SQL("t.{}").format(sql.Identifier(column.name)) for column in spec.columns
    )
    return [_standing(column, row, kept=column.name in keeps) for column in spec.columns]


def _standing(column: Column, row: sql.Composed, *, kept: bool) -> sql.Composed:
    """One that is required may have no value in the row: the key was only known as deleted, or the
    column is new."""
    if not kept:
        return sql.SQL("s.{name}").format(**_named(column.name))
    text = _KEPT_REQUIRED if column.required else _KEPT
    return sql.SQL(text).format(row=row, **_named(column.name))


def inheritance(
    keeps: Sequence[str],
    names: Names,
    *,
    there: sql.Composed,
    applied: sql.Composed,
) -> dict[str, sql.Composable]:
    """The parts of `fold` by which the copy that stays takes from the others what it keeps.

    `there` says that a row `t` is about the copy `c`, `applied` that `c` would be applied over it;
    a copy that would be stale gives nothing, or it would bring back what is over.
    """
    if not keeps:
        return dict.fromkeys(("heirs", "inherited", "of_heirs", "or_keeping"), sql.SQL(""))
    values = _each(", {}", _HEIR, keeps)
    return {
        "heirs": sql.SQL(_HEIRS).format(values=values, there=there, wins=applied, **names),
        "inherited": _each("{},", _INHERITED, keeps),
        "of_heirs": sql.SQL("JOIN heirs h ON h.winner = p.at"),
        "or_keeping": _each("OR {}", "s.{keep}", keeps),
    }


def _each(around: LiteralString, text: LiteralString, keeps: Sequence[str]) -> sql.Composed:
    parts = (sql.SQL(text).format(**_named(name)) for name in keeps)
    return sql.SQL(" ").join(sql.SQL(around).format(part) for part in parts)


def _named(column: str) -> dict[str, sql.Identifier]:
    return {"name": sql.Identifier(column), "keep": sql.Identifier(KEEP + column)}


_KEPT: LiteralString = """
CASE WHEN s.{keep} AND num_nonnulls({row}) > 0 THEN t.{name} ELSE s.{name} END"""
_KEPT_REQUIRED: LiteralString = """
CASE WHEN s.{keep} THEN coalesce(t.{name}, s.{name}) ELSE s.{name} END"""
_HEIRS: LiteralString = """
heirs AS (
    SELECT (array_agg(at ORDER BY nth))[1] AS winner {values}
    FROM (
        SELECT p.at, p.nth, c.*, c._deleted_at IS NULL AND NOT EXISTS
            (SELECT FROM {leaf} t WHERE {there} AND NOT {wins}) AS counts
        FROM places p JOIN {staging} c ON c.ctid = p.at
    ) copies GROUP BY source_id
),"""
_HEIR: LiteralString = """
(array_agg({name} ORDER BY nth) FILTER (WHERE counts AND NOT {keep}))[1] AS {name},
bool_or(counts AND NOT {keep}) AS {keep}"""
_INHERITED: LiteralString = """
{name} = CASE WHEN s.{keep} AND h.{keep} THEN h.{name} ELSE s.{name} END,
{keep} = s.{keep} AND NOT h.{keep}"""
