"""A mapping at work on real records: field by field what the source says and what becomes of it.

Nothing is loaded. What is shown is made by the transformer of every load.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from integrations.connector_template import replaying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.loading import Checked
from integrations.connector_template.statements import Finder
from integrations.errors import FixConfig
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.transformation.arrow import Array, array, pc, positions
from integrations.transformation.describe import steps
from integrations.transformation.times import moments
from integrations.transformation.transform import MASK, Transformer
from integrations.transformation.transformed import FILTERED

ABSENT = "absent"
"""What is shown of a path that a record has not."""
REFUSED_SHOWN = 5
_TRIED = 200
"""Records that are looked at one by one until enough of them give a row."""

Looked = Callable[[Manifest], None]
"""Is told of each landing before it is looked through."""


@dataclass(frozen=True)
class Missing:
    """The value of a path that the record has not."""

    def __str__(self) -> str:
        return ABSENT


@dataclass(frozen=True)
class FieldView:
    """One column of one record: the values that its rule reads by path, the rule, and the value it
    gives."""

    column: str
    sources: dict[str, Any]
    rule: str
    value: Any


@dataclass(frozen=True)
class RowView:
    """One row that a record gives; one that says that it is deleted has no fields. `landing` is
    None for what is not landed."""

    key: str
    said_at: datetime
    landing: str | None
    deleted: bool
    fields: tuple[FieldView, ...]


@dataclass(frozen=True)
class RefusalView:
    """A record that does not pass, and why."""

    key: str
    field: str
    rule: str
    reason: str


@dataclass
class Preview:
    """What a mapping makes of `found.received` records of so many landings: some of the rows, some
    of the refused, and in `found` all that was counted."""

    rows: list[RowView] = field(default_factory=list)
    refused: list[RefusalView] = field(default_factory=list)
    found: Checked = field(default_factory=Checked)
    landings: int = 0


class Previewer:
    """A stream's mapping, made ready to be shown; personal values are masked unless asked for."""

    def __init__(
        self,
        stream: BoundStream,
        transformer: Transformer,
        *,
        limit: int,
        show_personal: bool = False,
    ) -> None:
        self._limit, self._transformer = limit, transformer
        self._explodes = stream.mapping.mapping.each is not None
        self._personal = frozenset() if show_personal else stream.mapping.personal
        self._shown = [
            (one, dict.fromkeys(one.rule.reads()), one.column.personal and not show_personal)
            for one in stream.mapping.fields
        ]
        self.preview = Preview()

    @property
    def full(self) -> bool:
        """Whether there are as many rows as were wanted."""
        return len(self.preview.rows) >= self._limit

    def add(
        self,
        records: Array,
        *,
        seen_at: Array | datetime,
        landing: str | None = None,
        units: bool = False,
    ) -> None:
        """Maps a batch: all of it is counted, some of it is shown. `units` says that these are
        elements of lists already."""
        preview = self.preview
        result = self._transformer.run(records, seen_at=seen_at, units=units)
        preview.found.add(result)
        for one in result.refused.slice(0, REFUSED_SHOWN - len(preview.refused)).to_pylist():
            told = (one["key"], one["field"], one["rule"], one["reason"])
            preview.refused.append(RefusalView(*told))
        if self._explodes and not units:
            records, origin = self._transformer.kept(records.slice(0, _TRIED))
            seen_at = moments(seen_at, origin)
        refused = pc.is_in(records, value_set=_only(result.refused, "record"))
        for at in positions(pc.indices_nonzero(pc.invert(refused)))[:_TRIED]:
            if self.full:
                return
            place = array([at], pa.int64())
            preview.rows += self._views(records.take(place), moments(seen_at, place), landing)

    def _views(self, record: Array, seen_at: Array, landing: str | None) -> Iterator[RowView]:
        """The row of one record, or unit; none of one that is filtered."""
        raw: Any = record[0].as_py()
        values = json.loads(raw, parse_float=Decimal)
        for row in self._transformer.run(record, seen_at=seen_at, units=True).rows.to_pylist():
            if row.get(FILTERED):
                continue
            deleted = row["_deleted_at"] is not None
            fields = () if deleted else tuple(self._fields(values, row))
            yield RowView(row["source_id"], row["_seen_at"], landing, deleted, fields)

    def _fields(self, record: Any, row: dict[str, Any]) -> Iterator[FieldView]:
        for one, paths, hidden in self._shown:
            sources = {path: _masked(_at(record, path), path in self._personal) for path in paths}
            value = _masked(row[one.column.name], hidden)
            yield FieldView(one.column.name, sources, steps(one.rule), value)


def preview(
    stream: BoundStream,
    transformer: Transformer,
    *,
    zone: LandingZone,
    limit: int,
    show_personal: bool,
    looked: Looked = lambda _: None,
) -> Preview:
    """What the mapping makes of what was landed last, of both lanes: landing after landing until
    `limit` rows are found. Raises StopStream for a landing that is damaged."""
    previewer = Previewer(stream, transformer, limit=limit, show_personal=show_personal)
    for feed, manifest in _newest(stream, zone):
        looked(manifest)
        previewer.preview.landings += 1
        for records, seen_at in _records(stream, feed, manifest, zone):
            if not previewer.full and len(records):
                previewer.add(records, seen_at=seen_at, landing=manifest.landing)
        if previewer.full:
            break
    return previewer.preview


def preview_key(
    stream: BoundStream,
    key: str,
    transformer: Transformer,
    *,
    zone: LandingZone,
    show_personal: bool,
    looked: Looked = lambda _: None,
) -> Preview:
    """The same of the newest record of one key. Raises FixConfig where none is landed."""
    previewer = Previewer(stream, transformer, limit=1, show_personal=show_personal)
    finder = Finder(stream, key, transformer=transformer, zone=zone)
    for feed, manifest in _newest(stream, zone):
        looked(manifest)
        previewer.preview.landings += 1
        said = finder.pushed(feed, manifest) if feed else finder.pulled(manifest)
        with_record = [one for one in said if one.record is not None]
        if with_record:
            last = max(with_record, key=lambda one: one.said_at)
            records = array([last.record], pa.binary())
            units = stream.mapping.mapping.each is not None
            previewer.add(records, seen_at=last.said_at, landing=manifest.landing, units=units)
            return previewer.preview
    raise FixConfig(
        f"no record of {key!r} is landed",
        where=str(stream.id),
        todo=f"Looked through {previewer.preview.landings} landings. Is the id as the source "
        "writes it?",
    )


def _newest(stream: BoundStream, zone: LandingZone) -> list[tuple[BoundFeed | None, Manifest]]:
    """All that is landed and may speak of the stream, what was said last first."""
    found: list[tuple[BoundFeed | None, Manifest]] = [
        (None, one) for one in zone.every(stream.source)
    ]
    for feed in replaying.feeds(stream):
        found += [(feed, one) for one in replaying.pushed(feed, zone=zone)]
    return sorted(found, key=lambda one: (one[1].at, one[1].landing), reverse=True)


def _records(
    stream: BoundStream, feed: BoundFeed | None, manifest: Manifest, zone: LandingZone
) -> Iterator[tuple[Array, Array]]:
    """The records of a landing, and when they were said: a feed's as its events carry them, and as
    they were fetched."""
    name = stream.id.stream
    for batch in zone.batches(manifest):
        if feed is None:
            yield batch.records, batch.seen_at
            continue
        lane = feed.router.run(batch.records, seen_at=batch.seen_at).lanes.get(name)
        if lane is not None:
            bare = pc.or_(lane.hint, lane.deleted)
            whole = pc.indices_nonzero(pc.and_not(pc.is_valid(lane.records), bare))
            yield lane.records.take(whole), lane.said_at.take(whole)
    for table in zone.fetched(manifest):
        there = pc.and_(pc.equal(table["stream"], name), pc.is_valid(table["record"]))
        found = table.filter(there).combine_chunks()
        if len(found):
            yield _only(found, "record"), _only(found, "seen_at")


def _only(table: pa.Table, name: str) -> Array:
    """A column in one piece."""
    return pa.concat_arrays(table[name].chunks) if len(table) else array([], table[name].type)


def _at(record: Any, path: str) -> Any:
    """The value at a path of a decoded record."""
    for name in path.split("."):
        if not isinstance(record, dict) or name not in record:
            return Missing()
        record = record[name]
    return record


def _masked(value: Any, hidden: bool) -> Any:
    return MASK if hidden and value is not None and not isinstance(value, Missing) else value
