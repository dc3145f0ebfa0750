"""What every rule is: a frozen value from a connector's file that turns columns into a column.

A rule never fails on data: it marks the values that it cannot take, and the others pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from integrations.transformation.arrow import Array
from integrations.transformation.kinds import Kind

TEXT = pa.string()
INT = pa.int64()
FLOAT = pa.float64()
BOOL = pa.bool_()
TIMESTAMP = pa.timestamp("us", tz="UTC")
DATE = pa.date32()
MONEY = pa.decimal128(38, 9)
JSON = pa.json_(pa.string())

TYPE_WORDS: dict[pa.DataType, str] = {
    TEXT: "text",
    INT: "a whole number",
    FLOAT: "a floating-point number",
    BOOL: "true or false",
    TIMESTAMP: "a moment in UTC",
    DATE: "a day",
    MONEY: "an exact decimal",
    JSON: "JSON",
    pa.binary(): "bytes",
}
"""The types of columns in words, for messages and field tables."""

SourcePath = Annotated[
    str,
    Field(
        pattern=r"^[^.\s]+(\.[^.\s]+)*$",
        description="Where the value stands in a record, levels parted by dots: `card.brand`.",
    ),
]

Columns = Mapping[str, Array]
"""The values that were read from a batch, by source path; all of one length."""


@dataclass(frozen=True)
class Coerced:
    """A rule's answer: the column, and `bad`, true where a value could not be taken.

    `bad` is None where all could; a bad value is null in `values`. `reason` says what is wrong with
    the bad ones, as the end of a sentence that began with the value.
    """

    values: Array
    bad: Array | None = None
    reason: str = ""


class Rule(BaseModel):
    """Base of the rules. `type` in a file names the rule, `from` the value's place in a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gives: ClassVar[tuple[pa.DataType, ...]]
    """The types of column that the rule can fill."""

    @property
    def name(self) -> str:
        """The rule's `type` in a file."""
        return str(getattr(self, "type"))  # noqa: B009 - each rule declares its own literal

    def reads(self) -> dict[str, Kind]:
        """The values that the rule needs: what kind is expected at which path."""
        raise NotImplementedError

    def words(self) -> tuple[str, ...]:
        """Every word that the rule can give, where these are known beforehand; else empty."""
        return ()

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        """The column of type `wanted` (one of `gives`), `rows` long."""
        raise NotImplementedError


class FromOne(Rule):
    """Base of the rules that read one value of one kind."""

    source: SourcePath = Field(alias="from")
    kind: ClassVar[Kind]

    def reads(self) -> dict[str, Kind]:
        return {self.source: self.kind}

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        return self.coerce(columns[self.source], wanted=wanted)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        """The column; the base takes the values as they were read."""
        return Coerced(values)
