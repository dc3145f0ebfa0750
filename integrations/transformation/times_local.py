"""The rules that need a time zone: local times to moments, and moments to local days."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.formats import Format, written
from integrations.transformation.kinds import STRING, Kind
from integrations.transformation.reading import parsed
from integrations.transformation.rule import (
    DATE,
    TEXT,
    TIMESTAMP,
    Bad,
    Coerced,
    Columns,
    FromOne,
    SourcePath,
)
from integrations.transformation.times import (
    Timestamp,
    Zero,
    possible,
    zeroed,
    zoneless,
)
from integrations.transformation.zones import NAIVE, Zone, by_zone, known, placed, shown

_LOCAL = r"^(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?P<fraction>\.\d{1,6})?\d*$"
_BACK = ", for the clock was put back; `fold` says which is meant"


class InZone(FromOne):
    """Base of the rules that need a zone: one for all records, or each record's own.

    `zones` says what a source's own names mean: `{CEST: Europe/Amsterdam}`.
    """

    zone: Zone | None = None
    zone_from: SourcePath | None = None
    zones: dict[str, Zone] = Field(default={})
    kind: ClassVar = STRING

    @model_validator(mode="after")
    def _one_zone(self) -> Self:
        if (self.zone is None) == (self.zone_from is None):
            raise ValueError(
                "either `zone` names the time zone, or `zone_from` says where it stands"
            )
        if self.zones and self.zone_from is None:
            raise ValueError("`zones` are the names that stand at `zone_from`, which is not given")
        return self

    def reads(self) -> dict[str, Kind]:
        return {**super().reads(), **({self.zone_from: STRING} if self.zone_from else {})}

    def named(self, columns: Columns) -> Array | None:
        """The zone of each record, null where it is none of the IANA database; None where one zone
        is that of all."""
        if self.zone_from is None:
            return None
        encoded: Any = columns[self.zone_from].dictionary_encode()
        names = (self.zones.get(word, word) for word in encoded.dictionary.to_pylist())
        zones: Array = array([name if known(name) else None for name in names], TEXT)
        return zones.take(encoded.indices)

    def in_zone(
        self, values: Array, zones: Array | None, made: Callable[[Array, str], Sequence[Array]]
    ) -> list[Array]:
        """The columns that `made` gives for values and their zone."""
        if zones is not None:
            return by_zone(values, zones, made)
        assert self.zone is not None, "or each record has its own"
        return list(made(values, self.zone))

    def homeless(self, values: Array, zones: Array | None) -> tuple[Bad, ...]:
        """The values of records without a zone."""
        if zones is None:
            return ()
        where = pc.and_(pc.is_valid(values), pc.is_null(zones))
        return (Bad(where, "has no time zone of the IANA database", self.name),)


class LocalTime(InZone):
    """A local time without a zone, `2026-01-31T12:00:00`, made a moment by the zone of its place.

    Another way of writing it is said in `format`. An hour that came twice, for the clock was put
    back, is refused unless `fold` says which is meant; one that never was, for it was put forward,
    unless `gap: forward` reads it as if that had not happened (02:30 is 03:30). With `zero_is_null`
    .NET's zero, `0001-01-01T00:00:00`, is null. What is finer than a microsecond is cut off.
    """

    type: Literal["local_time"]
    format: Annotated[Format, AfterValidator(zoneless)] | None = None
    fold: Literal["refuse", "earlier", "later"] = "refuse"
    gap: Literal["refuse", "forward"] = "refuse"
    zero_is_null: Zero = False
    gives: ClassVar = (TIMESTAMP,)

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        read = possible(self._naive(values))
        naive = zeroed(read).values if self.zero_is_null else read.values
        zones = self.named(columns)
        earlier, later, gaps = self.in_zone(naive, zones, placed)
        told = [*read.told(self.name), *self.homeless(naive, zones)]
        moments = later if self.fold == "later" else earlier
        if self.fold == "refuse":
            told.append(Bad(pc.not_equal(earlier, later), f"came twice{_BACK}", self.name))
        if self.gap == "refuse":
            told.append(Bad(gaps, "never was: the clock was put forward", self.name))
        for bad in told:
            moments = pc.if_else(pc.fill_null(bad.where, False), None, moments)
        last = possible(Coerced(moments, reason="lies outside the years 1 to 9999"))
        return Coerced(last.values, last.bad, last.reason, before=tuple(told))

    def _naive(self, values: Array) -> Coerced:
        if self.format is not None:
            shaped = written(self.format).iso(values)
            return parsed(values, shaped, NAIVE, f"is no local time as {self.format}")
        parts = pc.extract_regex(values, pattern=_LOCAL)
        pieces = [pc.struct_field(parts, [name]) for name in ("second", "fraction")]
        shaped = pc.binary_join_element_wise(*pieces, "")
        return parsed(values, shaped, NAIVE, "is no local time as 2026-01-31T12:00:00")


class LocalDate(InZone):
    """The day that a moment fell on in a zone; alone it reads an ISO 8601 moment."""

    type: Literal["local_date"]
    takes: ClassVar = (TIMESTAMP, TEXT)
    gives: ClassVar = (DATE,)

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        read = Coerced(values)
        if values.type == TEXT:
            read = Timestamp(type="timestamp").coerce(values, wanted=TIMESTAMP)
        zones = self.named(columns)
        (local,) = self.in_zone(read.values, zones, shown)
        days = Coerced(local.cast(DATE, safe=False), reason="lies outside the years 1 to 9999")
        last = possible(days)
        told = (*read.told(self.name), *self.homeless(read.values, zones))
        return Coerced(last.values, last.bad, last.reason, before=told)
