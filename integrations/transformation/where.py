"""Filters: which records of a stream are wanted, said of values in them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from integrations.transformation.arrow import Array, array, pc, repeat
from integrations.transformation.json_text import scalars
from integrations.transformation.kinds import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    NUMBER,
    RAW,
    STRING,
    VALUE,
    Kind,
)
from integrations.transformation.literals import literal
from integrations.transformation.rule import BOOL, Columns, SourcePath

Values = Annotated[tuple[StrictBool | StrictInt | StrictStr, ...], Field(min_length=1)]

_KINDS: dict[type, tuple[Kind, ...]] = {
    str: (STRING, VALUE),
    int: (INTEGER, DECIMAL, NUMBER, VALUE),
    bool: (BOOLEAN, VALUE),
}
"""As what values are read: the first, unless the mapping reads another at the path anyway."""


_EXACT = 2**53
"""Beyond it a floating-point number does not tell two whole numbers apart."""


class Condition(BaseModel):
    """What is asked of a record: whether the value at `from` is one of some (`in`), none of them
    (`not_in`), or there at all (`present`). Null and absent are one of none, and not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: SourcePath = Field(alias="from")
    in_: Values | None = Field(default=None, alias="in")
    not_in: Values | None = None
    present: StrictBool | None = None

    @model_validator(mode="after")
    def _one(self) -> "Condition":
        if sum(given is not None for given in (self.in_, self.not_in, self.present)) != 1:
            raise ValueError("a condition has just one of in, not_in and present")
        if len({type(value) for value in self.values}) > 1:
            raise ValueError(
                "the values of a condition are of one type: texts, numbers or booleans"
            )
        for value in self.values:
            literal(value, _KINDS[type(value)][0].arrow)
        return self

    @property
    def values(self) -> tuple[Any, ...]:
        """The values that it names."""
        return self.in_ or self.not_in or ()

    def reads(self, others: Mapping[str, Kind]) -> Kind:
        """As what the value is read: as the mapping reads it anyway, where `others` says so."""
        read = others.get(self.source)
        if self.present is not None:
            return read or RAW
        own, *also = _KINDS[type(self.values[0])]
        if any(isinstance(value, int) and abs(value) > _EXACT for value in self.values):
            also = [kind for kind in also if kind is not NUMBER]
        return read if read is not None and (read in also or read.arrow == own.arrow) else own

    def holds(self, found: Array, kind: Kind) -> Array:
        """For which values, read as that kind, it holds; never null."""
        if self.present is None:
            given = array(self.values, _KINDS[type(self.values[0])][0].arrow)
            if kind is VALUE:
                found, _ = scalars(found)
            known = pc.is_in(found, value_set=given.cast(found.type))
            return _as(known, wanted=self.in_ is not None)
        return _as(pc.is_valid(found), wanted=self.present)

    def words(self) -> str:
        """The condition for people: `status` is one of open, paid."""
        if self.present is not None:
            return f"`{self.source}` is {'there' if self.present else 'not there'}"
        shown = (str(one).lower() if isinstance(one, bool) else str(one) for one in self.values)
        return f"`{self.source}` is {'one' if self.in_ else 'none'} of {', '.join(shown)}"


def passing(
    conditions: tuple[Condition, ...], columns: Columns, kinds: Mapping[str, Kind], *, rows: int
) -> Array:
    """Which of so many records pass all conditions; `kinds` is as what each path was read."""
    passes: Array = repeat(True, BOOL, rows)
    for condition in conditions:
        path = condition.source
        passes = pc.and_(passes, condition.holds(columns[path], kinds[path]))
    return passes


def _as(values: Array, *, wanted: bool) -> Array:
    found: Array = values if wanted else pc.invert(values)
    return found
