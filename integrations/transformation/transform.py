"""A batch of records to rows of an entity, and the records that cannot pass with their reasons.

Everything goes by column: parse, coerce, map, check. A bad value costs its own record, never the
batch. Nothing here knows the clock, the network or the database: the same bytes give the same rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from integrations.errors import StopStream
from integrations.secrets import Secret
from integrations.storage.tables import KEEP
from integrations.transformation.apart import Done, UnitTransformer, together
from integrations.transformation.arrow import Array, array, nulls, pc, positions, repeat
from integrations.transformation.deletions import NONE, Deletions, ascending, without
from integrations.transformation.keys import LONGEST, KeyReader, source_ids, unfit
from integrations.transformation.lookup import Needed, Pairs
from integrations.transformation.mapping import BoundField, BoundMapping
from integrations.transformation.missing import WHEN_ABSENT, Settled
from integrations.transformation.numbers import Integer
from integrations.transformation.parse import Parsed, Parser, Unread, unanswered
from integrations.transformation.presence import Absences, Presence
from integrations.transformation.refusals import Refusals
from integrations.transformation.rule import BOOL, INT, JSON, TEXT, TIMESTAMP, Bad, Columns
from integrations.transformation.times import moments
from integrations.transformation.transformed import FILTERED, ROW, Transformed
from integrations.transformation.values import IdOrObject, Text, Word
from integrations.transformation.where import passing
from integrations.unanswered import reason_of

PULL, PUSH, DELETE = 0, 1, 2
"""`_rank`: which statement about a row wins where time and version do not decide."""

MASK = "•••"
NULL = "null"
UNANSWERED = "unanswered"
"""The rule of a record of which the source did not tell all."""
_PLAIN = (Text, Integer, IdOrObject, Word)
"""The rules of a key that is the source's own, as it stands in a path or a parameter."""
_SHOWN = 80
"""Characters of a bad value in a reason."""
_NUL = r"(^|[^\\])(\\\\)*\\u0000"
"""A NUL character within JSON text; after an odd number of backslashes more it is plain text."""


class Transformer:
    """A bound mapping, made ready to run over batches, with the `secrets` that its rules need."""

    def __init__(
        self,
        bound: BoundMapping,
        *,
        tables: Mapping[Needed, Pairs] = MappingProxyType({}),
        secrets: Mapping[str, Secret] = MappingProxyType({}),
    ) -> None:
        """`tables` are those that the mapping needs, one for each of `bound.needs`."""
        bound = bound.knowing(tables).keyed(secrets)
        self._bound = bound
        self._parser = Parser(bound.paths)
        self._keys = KeyReader(bound.key, bound.paths)
        self._deletions = Deletions(bound)
        self._columns = bound.entity.columns()
        self._fields = {field.column.name: field for field in bound.fields}
        self._names = [column.name for column in self._columns]
        self._personal = bound.personal
        self._hidden = {
            field.column.name
            for field in bound.fields
            if field.column.personal or not self._personal.isdisjoint(field.rule.reads())
        }
        self._keeps = [KEEP + name for name in bound.keeps]
        self._presence = Presence(field.rule.reads() for field in bound.fields if field.missing)
        self._readers = {
            path: (field.column.name, field.rule.name)
            for field in reversed(bound.fields)
            for path in field.rule.reads()
        } | {path: ("source_id", "key") for rule in bound.key for path in rule.reads()}
        if bound.deleted:
            self._readers[bound.deleted] = ("_deleted_at", "deleted")
        self._units = None
        if bound.mapping.each or bound.of:
            self._units = UnitTransformer(bound, self._transformed)

    def pieces(
        self, records: Array, *, seen_at: Array | datetime, rank: Array | int = PULL
    ) -> Iterator[Transformed]:
        """As `run`, part by part where lists are taken apart: units may be many times the
        records."""
        if self._units is None:
            yield self.run(records, seen_at=seen_at, rank=rank)
        else:
            yield from self._units.pieces(records, seen_at=seen_at, rank=rank)

    def kept(self, records: Array) -> tuple[Array, Array]:
        """The units of records as quarantine keeps them, and the position of each one's record."""
        assert self._units is not None, "records that are no lists are kept as they are"
        return self._units.kept(records)

    def run(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        rank: Array | int = PULL,
        deleted: Array | None = None,
        units: bool = False,
    ) -> Transformed:
        """The rows of a batch: `records` is an Array of binary, one JSON object each.

        `seen_at` is when the source said them, in UTC: one moment, or an Array of one a record;
        `rank` likewise is one for all or an int16 a record. A record for which the boolean Array
        `deleted` is true is a tombstone: its rank is `DELETE`, and nothing but its key needs to be
        readable. A record with the mapping's flag keeps its rank, and needs no more than that.
        `units` says that these are no records but units, as quarantine keeps them. Raises
        `StopStream` where the mapping's function or the entity's model itself fails.
        """
        if self._units is None:
            return self._transformed(records, seen_at=seen_at, rank=rank, deleted=deleted).result
        assert deleted is None, "no feed routes to a stream of units"
        at: Any = {"seen_at": seen_at, "rank": rank}
        parts = list(self._units.pieces(records, **at, units=units))
        return together(parts or self._units.pieces(records, **at, units=True))

    def _transformed(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        rank: Array | int,
        deleted: Array | None = None,
        whole: Callable[[int], bytes] | None = None,
    ) -> Done:
        """The rows of units; `whole` gives what is kept of one that is refused, by its position."""
        refusals, strange = Refusals(), dict[str, Counter[str]]()
        parsed = self._parser.parse(records)
        told = NONE if deleted is None else pc.indices_nonzero(deleted)
        gone = ascending(self._deletions.flagged(parsed, records), told)
        if len(gone):
            parsed = parsed.without(gone)
        if len(silent := without(unanswered(records), gone)):
            parsed = parsed.without(silent)
            _note_unanswered(records, silent, refusals)
        self._note_unread(parsed.unread, refusals)
        left = self._left_out(parsed)
        parsed = parsed if left is None else parsed.without(left.rows)
        ids = self._ids(parsed, refusals)
        absences = Absences(self._presence, parsed, records)
        table = _without(self._table(parsed, ids, absences, refusals, strange), refusals)
        table = self._checked(table, parsed, refusals)
        if len(gone):
            stubs = self._stubs(records, gone, refusals)
            table = pa.concat_tables([table, stubs]).sort_by(ROW).combine_chunks()
        filtered = 0
        if left is not None:
            table, filtered = self._with_left_out(table, left)
            gone = ascending(gone, left.rows)
        places = table[ROW]
        rows = self._stamped(table, seen_at=seen_at, rank=rank, gone=gone, told=told)
        wrong = array(refusals.rows, pa.int64())
        keys = self._keys_of(refusals.rows, parsed, ids, records)
        bodies: list[Any] = records.take(wrong).to_pylist()
        if whole is not None:
            bodies = list(map(whole, refusals.rows))
        refused = refusals.table(bodies, keys, seen_at=moments(seen_at, wrong))
        result = Transformed(rows, refused, len(records), filtered, strange=strange)
        return Done(result, places, set(refusals.rows) - keys.keys())

    def tombstones(self, keys: Sequence[str], *, seen_at: Array | datetime) -> pa.Table:
        """Rows like those of `run` for keys of which the source has no record any more.

        `seen_at` is when it said so, in UTC: one moment, or an Array of one a key. Raises
        `StopStream` for a mapping whose key is not one plain value, for a source's key is then not
        ours, and for a key that no row can have.
        """
        if len(self._bound.key) > 1 or not isinstance(self._bound.key[0], _PLAIN):
            raise StopStream(
                "the record that a source's key means is not known: the mapping's key is not one "
                "plain value",
                todo="Map `key` to one path, or read the stream in full",
            )
        ids = array(keys, TEXT)
        if pc.any(unfit(ids, [ids])).as_py():
            raise StopStream(f"a key is blank, holds NUL, or has more than {LONGEST} characters")
        rows = array(range(len(ids)), pa.int64())
        table = self._rows(rows, ids, self._nothing(len(ids)), versions=nulls(len(ids), INT))
        return self._stamped(table, seen_at=seen_at, rank=DELETE, gone=rows, told=rows)

    def _note_unread(self, unread: list[Unread], refusals: Refusals) -> None:
        for one in unread:
            path = one.path.partition("[")[0]
            name, rule = self._readers.get(path, (path, "json"))
            reason = f"`{one.path}`: {one.reason}" if one.path else one.reason
            if rule == "key" and one.reason.endswith("got `int`"):
                reason += f"; write the key as {{type: integer, from: {path}}}"
            refusals.add(one.row, field=name, rule=rule, reason=reason)

    def _left_out(self, parsed: Parsed) -> Parsed | None:
        """The records that do not pass `where`; None where there is none. What else is wrong with
        them does not matter."""
        where = self._bound.mapping.where
        if not where:
            return None
        return parsed.only(
            pc.invert(passing(where, parsed.columns, self._bound.paths, rows=len(parsed.rows)))
        )

    def _with_left_out(self, table: pa.Table, left: Parsed) -> tuple[pa.Table, int]:
        """The rows and those of keys that are left out; how many of these have no key."""
        count = len(left.rows)
        ids, bad = source_ids(self._bound.key, left.columns, rows=count)
        rows = self._rows(left.rows, ids, self._nothing(count), versions=self._versions(left))
        rows = rows.filter(pc.invert(bad))
        kept = table.append_column(FILTERED, repeat(False, BOOL, len(table)))
        rows = rows.append_column(FILTERED, repeat(True, BOOL, len(rows)))
        both = pa.concat_tables([kept, rows]).sort_by(ROW).combine_chunks()
        return both, pc.sum(bad, min_count=0).as_py()

    def _ids(self, parsed: Parsed, refusals: Refusals) -> Array:
        """The source ids of the parsed records, null where there is none."""
        ids, bad = source_ids(self._bound.key, parsed.columns, rows=len(parsed.rows))
        paths = ", ".join(f"`{path}`" for rule in self._bound.key for path in rule.reads())
        for row in positions(parsed.rows.filter(bad)):
            reason = f"the key {paths} is missing, blank, or longer than {LONGEST} characters"
            refusals.add(row, field="source_id", rule="key", reason=reason)
        good: Array = pc.if_else(bad, None, ids)
        return good

    def _table(
        self,
        parsed: Parsed,
        ids: Array,
        absences: Absences,
        refusals: Refusals,
        strange: dict[str, Counter[str]],
    ) -> pa.Table:
        """Every parsed record as a row, bad ones too; values that could not be taken are null."""
        columns = self._nothing(len(parsed.rows))
        for name, field in self._fields.items():
            done = self._column(field, parsed, absences, refusals)
            columns[name] = done.values
            if done.kept is not None:
                columns[KEEP + name] = done.kept
            if done.strange is not None and name not in self._hidden:
                strange[name] = _counted(done.strange)
        self._note_unread(absences.unread, refusals)
        return self._rows(parsed.rows, ids, columns, versions=self._versions(parsed))

    def _stubs(self, records: Array, gone: Array, refusals: Refusals) -> pa.Table:
        """The deletions among the records as rows: a key, perhaps a version, and nothing else."""
        stubs = self._deletions.read(records, gone)
        self._note_unread(stubs.unread, refusals)
        ids = self._ids(stubs, refusals)
        nothing = self._nothing(len(stubs.rows))
        table = self._rows(stubs.rows, ids, nothing, versions=self._versions(stubs))
        return _without(table, refusals)

    def _nothing(self, rows: int) -> dict[str, Array]:
        nothing = {column.name: nulls(rows, column.type) for column in self._columns}
        return nothing | {name: repeat(False, BOOL, rows) for name in self._keeps}

    def _versions(self, parsed: Parsed) -> Array:
        version = self._bound.version
        return parsed.columns[version] if version else nulls(len(parsed.rows), INT)

    def _rows(
        self, rows: Array, ids: Array, columns: Mapping[str, Array], *, versions: Array
    ) -> pa.Table:
        return pa.table({ROW: rows, "source_id": ids, **columns, "_version": versions})

    def _column(
        self, field: BoundField, parsed: Parsed, absences: Absences, refusals: Refusals
    ) -> Settled:
        rule, wanted, name = field.rule, field.column.type, field.column.name
        rows: Any = parsed.rows
        coerced = rule.apply(parsed.columns, wanted=wanted, rows=len(rows))
        bad = (*coerced.told(rule.name), *_unstorable(coerced.values, wanted, rule.name))
        done = Settled(coerced.values, bad, strange=coerced.strange)
        if field.missing is not None:
            done = field.missing.settled(done, rule, absences)
        for one in done.bad:
            for at in positions(pc.indices_nonzero(one.where)):
                reason = f"{name}: {self._told(field, parsed.columns, at)} {one.reason}"
                refusals.add(rows[at].as_py(), field=name, rule=one.rule, reason=reason)
        for policy, where in done.refused:
            for at in positions(pc.indices_nonzero(where)):
                reason = f"{name}: {self._missing(field, policy, parsed.columns, at)}"
                refusals.add(rows[at].as_py(), field=name, rule=policy, reason=reason)
        return done

    def _checked(self, table: pa.Table, parsed: Parsed, refusals: Refusals) -> pa.Table:
        """The rows that the entity's model takes; asked again until it has nothing to say."""
        while faults := self._bound.entity.faults(table.select(self._names)):
            rows = pc.take(table[ROW], array([fault.row for fault in faults], pa.int64()))
            places = positions(pc.index_in(rows, value_set=parsed.rows))
            for fault, row, at in zip(faults, positions(rows), places, strict=True):
                field = self._fields[fault.column]
                given = table[fault.column][fault.row].as_py()
                value = _shown(given, personal=fault.column in self._hidden)
                told = self._told(field, parsed.columns, at)
                gives = f" gives {value}, which" if value != NULL else ""
                reason = f"{fault.column}: {told}{gives} {fault.reason}"
                refusals.add(row, field=fault.column, rule=fault.check, reason=reason)
            table = _without(table, refusals)
        return table

    def _stamped(
        self,
        table: pa.Table,
        *,
        seen_at: Array | datetime,
        rank: Array | int,
        gone: Array,
        told: Array,
    ) -> pa.Table:
        """The rows with their stamps: `gone` are the positions of deletions, `told` those of
        tombstones."""
        for number, name in enumerate(table.column_names):
            if table.schema.field(name).type == JSON:
                plain = pc.cast(table[name], TEXT)
                table = table.set_column(number, name, plain)
        rows: Any = table[ROW].combine_chunks()
        seen = moments(seen_at, rows)
        ranks, ends = _ranks(rank, rows), nulls(len(rows), TIMESTAMP)
        if len(gone):
            tombstone = pa.scalar(DELETE, pa.int16())
            ranks = pc.if_else(pc.is_in(rows, value_set=told), tombstone, ranks)
            ends = pc.if_else(pc.is_in(rows, value_set=gone), seen, None)
        for name, values in (("_seen_at", seen), ("_rank", ranks), ("_deleted_at", ends)):
            table = table.append_column(name, values)
        return table.drop_columns(ROW)

    def _told(self, field: BoundField, columns: Columns, at: int) -> str:
        """The values of one record that a rule read, with where they stood; masked where they are
        personal, be it for another column."""
        return ", ".join(
            f"`{path}` {_shown(columns[path][at].as_py(), personal=path in self._personal)}"
            for path in field.rule.reads()
        )

    def _missing(self, field: BoundField, policy: str, columns: Columns, at: int) -> str:
        """What one record lacks, and which policy refuses that."""
        if policy == WHEN_ABSENT:
            paths = ", ".join(f"`{path}`" for path in field.rule.reads())
            return f"{paths} absent, which `{policy}: reject` refuses"
        told = self._told(field, columns, at)
        return f"{told} gives null, which `{policy}: reject` refuses"

    def _keys_of(
        self, rows: list[int], parsed: Parsed, ids: Array, records: Array
    ) -> dict[int, str]:
        """The keys of refused records, as far as they have one."""
        places = pc.index_in(array(rows, pa.int64()), value_set=parsed.rows)
        found = dict(zip(rows, ids.take(places).to_pylist(), strict=True))
        rest = [row for row, key in found.items() if key is None]
        found.update(zip(rest, self._keys.read(records.take(array(rest, pa.int64()))), strict=True))
        return {row: key for row, key in found.items() if key is not None}


def _note_unanswered(records: Array, rows: Array, refusals: Refusals) -> None:
    for row in positions(rows):
        reason = reason_of(records[row].as_py())
        refusals.add(row, field="record", rule=UNANSWERED, reason=reason)


def _ranks(rank: Array | int, rows: Any) -> Array:
    if isinstance(rank, int):
        return repeat(rank, pa.int16(), len(rows))
    taken: Array = pc.take(rank, rows).cast(pa.int16())
    return taken


def _without(table: pa.Table, refusals: Refusals) -> pa.Table:
    if not len(refusals):
        return table
    refused = pc.is_in(table[ROW], value_set=array(refusals.rows, pa.int64()))
    return table.filter(pc.invert(refused)).combine_chunks()


def _unstorable(values: Array, wanted: pa.DataType, rule: str) -> Iterator[Bad]:
    """Text with NUL in it."""
    reason = "holds the character NUL, which Postgres cannot store"
    if wanted == TEXT and _holds(values, b"\x00"):
        yield Bad(pc.match_substring(values, "\x00"), reason, rule)
    if wanted == JSON and _holds(text := values.cast(TEXT), rb"\u0000"):
        yield Bad(pc.match_substring_regex(text, _NUL), reason, rule)


def _counted(words: Array) -> Counter[str]:
    """How often each word comes; of very many the most frequent."""
    counts: list[dict[str, Any]] = pc.value_counts(words).to_pylist()
    return Counter(dict(Counter({one["values"]: one["counts"] for one in counts}).most_common(50)))


def _holds(values: Array, needle: bytes) -> bool:
    """Whether the bytes of a string column hold the needle: a hundred times as fast as by value."""
    data = values.buffers()[2]
    return data is not None and needle in data.to_pybytes()


def _shown(value: object, *, personal: bool) -> str:
    if value is None:
        return NULL
    if personal:
        return MASK
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
