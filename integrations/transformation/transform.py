"""A batch of records to rows of an entity, and the records that cannot pass with their reasons.

Everything goes by column: parse, coerce, map, check. A bad value costs its own record, never the
batch. Nothing here knows the clock, the network or the database: the same bytes give the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from integrations.transformation.arrow import Array, array, nulls, pc, positions, repeat
from integrations.transformation.keys import LONGEST, KeyReader, source_ids
from integrations.transformation.mapping import BoundField, BoundMapping
from integrations.transformation.parse import Parsed, Parser
from integrations.transformation.refusals import Refusals
from integrations.transformation.rule import INT, JSON, TEXT, TIMESTAMP, Coerced, Columns

PULL, PUSH, DELETE = 0, 1, 2
"""`_rank`: which statement about a row wins where time and version do not decide."""

MASK = "•••"
NULL = "null"
_ROW = "row"
"""The working column that holds a record's position in its batch."""
_SHOWN = 80
"""Characters of a bad value in a reason."""
_NUL = r"(^|[^\\])(\\\\)*\\u0000"
"""A NUL character within JSON text; after an odd number of backslashes more it is plain text."""


@dataclass(frozen=True)
class Transformed:
    """What became of a batch: `received` records are `rows` and `refused` together.

    `rows` has source_id, the entity's columns (JSON as strings), `_version` (int64, null without
    one), `_seen_at` (UTC, microseconds) and `_rank` (int16). `refused` has the columns of
    `refusals.SCHEMA`. Both keep the batch's order.
    """

    rows: pa.Table
    refused: pa.Table
    received: int


class Transformer:
    """A bound mapping, made ready to run over batches."""

    def __init__(self, bound: BoundMapping) -> None:
        self._bound = bound
        self._parser = Parser(bound.paths)
        self._keys = KeyReader(bound.key, bound.paths)
        self._columns = bound.entity.columns()
        self._fields = {field.column.name: field for field in bound.fields}
        self._names = [column.name for column in self._columns]
        self._readers = {
            path: (field.column.name, field.rule.name)
            for field in reversed(bound.fields)
            for path in field.rule.reads()
        } | {path: ("source_id", "key") for rule in bound.key for path in rule.reads()}

    def run(self, records: Array, *, seen_at: Array | datetime, rank: int = PULL) -> Transformed:
        """The rows of a batch: `records` is an Array of binary, one JSON object each.

        `seen_at` is when the source said them, in UTC: one moment, or an Array of one a record.
        Raises `StopStream` where the mapping's function or the entity's model itself fails.
        """
        refusals = Refusals()
        parsed = self._parser.parse(records)
        self._note_unread(parsed, refusals)
        ids = self._ids(parsed, refusals)
        table = _without(self._table(parsed, ids, refusals), refusals)
        table = self._checked(table, parsed, refusals)
        rows = self._stamped(table, seen_at=seen_at, rank=rank)
        keys = self._keys_of(refusals.rows, parsed, ids, records)
        moments = _moments(seen_at, array(refusals.rows, pa.int64()))
        refused = refusals.table(records, keys, seen_at=moments)
        return Transformed(rows, refused, received=len(records))

    def _note_unread(self, parsed: Parsed, refusals: Refusals) -> None:
        for one in parsed.unread:
            path = one.path.partition("[")[0]
            name, rule = self._readers.get(path, (path, "json"))
            reason = f"`{one.path}`: {one.reason}" if one.path else one.reason
            if rule == "key" and one.reason.endswith("got `int`"):
                reason += f"; write the key as {{type: integer, from: {path}}}"
            refusals.add(one.row, field=name, rule=rule, reason=reason)

    def _ids(self, parsed: Parsed, refusals: Refusals) -> Array:
        """The source ids of the parsed records, null where there is none."""
        ids, bad = source_ids(self._bound.key, parsed.columns, rows=len(parsed.rows))
        paths = ", ".join(f"`{path}`" for rule in self._bound.key for path in rule.reads())
        for row in positions(parsed.rows.filter(bad)):
            reason = f"the key {paths} is missing, blank, or longer than {LONGEST} characters"
            refusals.add(row, field="source_id", rule="key", reason=reason)
        good: Array = pc.if_else(bad, None, ids)
        return good

    def _table(self, parsed: Parsed, ids: Array, refusals: Refusals) -> pa.Table:
        """Every parsed record as a row, bad ones too; values that could not be taken are null."""
        rows = len(parsed.rows)
        columns = {_ROW: parsed.rows, "source_id": ids}
        for column in self._columns:
            field = self._fields.get(column.name)
            if field is None:
                columns[column.name] = nulls(rows, column.type)
            else:
                columns[column.name] = self._column(field, parsed, refusals)
        version = self._bound.version
        columns["_version"] = parsed.columns[version] if version else nulls(rows, INT)
        return pa.table(columns)

    def _column(self, field: BoundField, parsed: Parsed, refusals: Refusals) -> Array:
        rule, wanted = field.rule, field.column.type
        rows: Any = parsed.rows
        coerced = rule.apply(parsed.columns, wanted=wanted, rows=len(rows))
        for bad, reason in _bad(coerced, wanted):
            for at in positions(pc.indices_nonzero(bad)):
                told = f"{field.column.name}: {_told(field, parsed.columns, at)} {reason}"
                row = rows[at].as_py()
                refusals.add(row, field=field.column.name, rule=rule.name, reason=told)
        return coerced.values

    def _checked(self, table: pa.Table, parsed: Parsed, refusals: Refusals) -> pa.Table:
        """The rows that the entity's model takes; asked again until it has nothing to say."""
        while faults := self._bound.entity.faults(table.select(self._names)):
            rows = pc.take(table[_ROW], array([fault.row for fault in faults], pa.int64()))
            places = positions(pc.index_in(rows, value_set=parsed.rows))
            for fault, row, at in zip(faults, positions(rows), places, strict=True):
                field = self._fields[fault.column]
                value = _shown(table[fault.column][fault.row].as_py(), field)
                told = _told(field, parsed.columns, at)
                given = f" gives {value}, which" if value != NULL else ""
                reason = f"{fault.column}: {told}{given} {fault.reason}"
                refusals.add(row, field=fault.column, rule=fault.check, reason=reason)
            table = _without(table, refusals)
        return table

    def _stamped(self, table: pa.Table, *, seen_at: Array | datetime, rank: int) -> pa.Table:
        for number, name in enumerate(table.column_names):
            if table.schema.field(name).type == JSON:
                plain = pc.cast(table[name], TEXT)
                table = table.set_column(number, name, plain)
        moments = _moments(seen_at, table[_ROW].combine_chunks())
        table = table.append_column("_seen_at", moments)
        ranks = repeat(rank, pa.int16(), len(table))
        return table.append_column("_rank", ranks).drop_columns(_ROW)

    def _keys_of(
        self, rows: list[int], parsed: Parsed, ids: Array, records: Array
    ) -> dict[int, str]:
        """The keys of refused records, as far as they have one."""
        places = pc.index_in(array(rows, pa.int64()), value_set=parsed.rows)
        found = dict(zip(rows, ids.take(places).to_pylist(), strict=True))
        unread = [one.row for one in parsed.unread]
        found.update(
            zip(unread, self._keys.read(records.take(array(unread, pa.int64()))), strict=True)
        )
        return {row: key for row, key in found.items() if key is not None}


def _moments(seen_at: Array | datetime, rows: Any) -> Array:
    """When the source said the records at these positions of the batch."""
    if isinstance(seen_at, datetime):
        return repeat(seen_at, TIMESTAMP, len(rows))
    moments: Array = pc.take(seen_at, rows).cast(TIMESTAMP)
    return moments


def _without(table: pa.Table, refusals: Refusals) -> pa.Table:
    if not len(refusals):
        return table
    refused = pc.is_in(table[_ROW], value_set=array(refusals.rows, pa.int64()))
    return table.filter(pc.invert(refused)).combine_chunks()


def _bad(coerced: Coerced, wanted: pa.DataType) -> Iterator[tuple[Array, str]]:
    """Which values of a column cannot pass, and why: the rule's own, and text with NUL in it."""
    if coerced.bad is not None:
        yield coerced.bad, coerced.reason
    if wanted == TEXT and _holds(coerced.values, b"\x00"):
        nul = pc.match_substring(coerced.values, "\x00")
        yield nul, "holds the character NUL, which Postgres cannot store"
    if wanted == JSON and _holds(text := coerced.values.cast(TEXT), rb"\u0000"):
        nul = pc.match_substring_regex(text, _NUL)
        yield nul, "holds the character NUL, which Postgres cannot store"


def _holds(values: Array, needle: bytes) -> bool:
    """Whether the bytes of a string column hold the needle: a hundred times as fast as by value."""
    data = values.buffers()[2]
    return data is not None and needle in data.to_pybytes()


def _told(field: BoundField, columns: Columns, at: int) -> str:
    """The values of one record that a rule read, with where they stood."""
    return ", ".join(
        f"`{path}` {_shown(columns[path][at].as_py(), field)}" for path in field.rule.reads()
    )


def _shown(value: object, field: BoundField) -> str:
    if value is None:
        return NULL
    if field.column.personal:
        return MASK
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
