"""Records to rows by way of units: those of a mapping with `each`, and those of child streams.

What happens to a unit is the transformer's business. Here records become units before it, and after
it what belongs to whole records is added: the refusals of those that cannot be taken apart, and for
a child stream what each of them says of all its children.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from integrations.transformation.arrow import Array, array, pc, positions
from integrations.transformation.enumeration import SAID, Enumeration
from integrations.transformation.explode import EACH, Explosion, Units
from integrations.transformation.mapping import BoundMapping
from integrations.transformation.refusals import Refusals
from integrations.transformation.times import moments
from integrations.transformation.transformed import Transformed


@dataclass(frozen=True)
class Done:
    """What became of units: `places` are the positions of those that have a row, `nameless` of
    those that were refused without a key of their own."""

    result: Transformed
    places: "pa.ChunkedArray[Any]"
    nameless: Collection[int]


Transform = Callable[..., Done]
"""Makes rows of units, as the transformer does."""


class UnitTransformer:
    """Takes records apart and has their units transformed."""

    def __init__(self, bound: BoundMapping, transform: Transform) -> None:
        each = bound.mapping.each
        self._transform = transform
        self._explosion = Explosion(each, bound.paths) if each else None
        self._enumeration = Enumeration(bound) if bound.of else None

    def pieces(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        rank: Array | int,
        units: bool = False,
    ) -> Iterator[Transformed]:
        """What becomes of a batch, part by part; `units` says that it is of units already, which
        are then said to be single ones."""
        if self._explosion is None or units:
            done = self._transform(records, seen_at=seen_at, rank=rank)
            partial = range(len(records)) if units else done.nameless
            said = self._said(records, seen_at=seen_at, rank=rank, partial=partial, single=units)
            yield _stated(done.result, said, done.places)
            return
        for found in self._explosion.pieces(records):
            yield self._piece(found, records, seen_at=seen_at, rank=rank)

    def kept(self, records: Array) -> tuple[Array, Array]:
        """The units of records with all of their record, and the position of each one's record."""
        units, origin = list[bytes](), list[int]()
        if self._explosion is not None:
            for piece in self._explosion.pieces(records):
                for unit, at in zip(piece.units, positions(piece.origin), strict=True):
                    units.append(self._explosion.whole(unit.as_py(), records[at].as_py()))
                    origin.append(at)
        return array(units, pa.binary()), array(origin, pa.int64())

    def _piece(
        self, units: Units, batch: Array, *, seen_at: Array | datetime, rank: Array | int
    ) -> Transformed:
        start, explosion = units.start, self._explosion
        assert explosion is not None, "it made the units"
        records = batch.slice(start, units.end - start)
        if not isinstance(seen_at, datetime):
            seen_at = seen_at.slice(start, len(records))
        if not isinstance(rank, int):
            rank = rank.slice(start, len(records))

        def whole(row: int) -> bytes:
            return explosion.whole(units.units[row].as_py(), records[origin[row].as_py()].as_py())

        origin = pc.subtract(units.origin, start)
        done = self._transform(
            units.units, seen_at=_each(seen_at, origin), rank=_each(rank, origin), whole=whole
        )
        partial = {origin[row].as_py() for row in done.nameless}
        partial |= {one.row - start for one in units.unread}
        silent = [at - start for at in units.silent]
        said = self._said(records, seen_at=seen_at, rank=rank, partial=partial, silent=silent)
        refused = _unread(units, records, seen_at)
        result = replace(
            done.result,
            refused=pa.concat_tables([done.result.refused, refused]),
            received=units.received,
            filtered=done.result.filtered + len(units.empty),
            records=len(records),
        )
        return _stated(result, said, origin.take(done.places))

    def _said(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        rank: Array | int,
        partial: Collection[int],
        silent: Collection[int] = (),
        single: bool = False,
    ) -> pa.Table | None:
        if self._enumeration is None:
            return None
        return self._enumeration.read(
            records, seen_at=seen_at, rank=rank, partial=partial, silent=silent, single=single
        )


def together(parts: Iterable[Transformed]) -> Transformed:
    """The parts of a batch (at least one) as one; the numbers of statements go on."""
    first, *more = parts
    for part in more:
        records = first.records or 0
        first = Transformed(
            pa.concat_tables([first.rows, _from(part.rows, records)]),
            pa.concat_tables([first.refused, part.refused]),
            first.received + part.received,
            first.filtered + part.filtered,
            records + (part.records or 0),
            None
            if first.said is None or part.said is None
            else pa.concat_tables([first.said, _from(part.said, records)]),
            _added(first.strange, part.strange),
        )
    return first


def _added(
    one: Mapping[str, Counter[str]], other: Mapping[str, Counter[str]]
) -> dict[str, Counter[str]]:
    names = one.keys() | other.keys()
    return {name: one.get(name, Counter()) + other.get(name, Counter()) for name in names}


def _from(table: pa.Table, first: int) -> pa.Table:
    """A table whose statements are numbered from another number on."""
    if SAID not in table.column_names:
        return table
    at = table.schema.get_field_index(SAID)
    return table.set_column(at, SAID, pc.add(table[SAID], first))


def _stated(result: Transformed, said: pa.Table | None, places: Any) -> Transformed:
    """The result with, for a child stream, the statements and which of them each row is of."""
    if said is None:
        return result
    return replace(result, rows=result.rows.append_column(SAID, places), said=said)


def _unread(units: Units, records: Array, seen_at: Array | datetime) -> pa.Table:
    """The refusals of the records that cannot be taken apart."""
    refusals = Refusals()
    for one in units.unread:
        told = f"`{one.path}`: {one.reason}" if one.path else one.reason
        field = one.path or "record"
        refusals.add(one.row - units.start, field=field, rule=EACH, reason=told)
    wrong = array(refusals.rows, pa.int64())
    bodies: list[Any] = records.take(wrong).to_pylist()
    return refusals.table(bodies, {}, seen_at=moments(seen_at, wrong))


def _each(values: Any, origin: Array) -> Any:
    """What is said of records, of each of their units."""
    return values if isinstance(values, datetime | int) else values.take(origin)
