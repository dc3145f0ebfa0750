"""What every rule is: a frozen value from a connector's file that turns columns into a column.

A rule never fails on data: it marks the values that it cannot take, and the others pass.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from integrations.secrets import Secret
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


def in_words(types: Iterable[pa.DataType]) -> str:
    """Types for a message: `text, a day or JSON`."""
    *most, last = (TYPE_WORDS.get(type_, str(type_)) for type_ in types)
    return f"{', '.join(most)} or {last}" if most else last


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
class Bad:
    """Values that could not be taken: `where` is true for them, `reason` ends a sentence that began
    with the value, `rule` is the name of the rule that could not."""

    where: Array
    reason: str
    rule: str


@dataclass(frozen=True)
class Coerced:
    """A rule's answer: the column, and `bad`, true where a value could not be taken.

    `bad` is None where all could; a bad value is null in `values`. `reason` says what is wrong with
    the bad ones, as the end of a sentence that began with the value. `before` holds what rules
    within this one could not take. `strange` are words of the source that the rule took without
    knowing them, as often as they came; None where there were none.
    """

    values: Array
    bad: Array | None = None
    reason: str = ""
    before: tuple[Bad, ...] = ()
    strange: Array | None = None

    def told(self, rule: str) -> tuple[Bad, ...]:
        """All that could not be taken; `rule` is the name of the one that answered."""
        return self.before if self.bad is None else (*self.before, Bad(self.bad, self.reason, rule))


class Rule(BaseModel):
    """Base of the rules. `type` in a file names the rule, `from` the value's place in a record."""

    # Built once, within the union: what a class alone costs, every process would pay for each.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    gives: ClassVar[tuple[pa.DataType, ...]]
    """The types of column that the rule can fill."""
    _inner: "tuple[Rule, ...]" = PrivateAttr(default=())

    @property
    def name(self) -> str:
        """The rule's `type` in a file."""
        return str(getattr(self, "type"))  # noqa: B009 - each rule declares its own literal

    def reads(self) -> dict[str, Kind]:
        """The values that the rule needs: what kind is expected at which path."""
        raise NotImplementedError

    def fits(self, wanted: pa.DataType) -> bool:
        """Whether the rule can fill a column of the type."""
        return wanted in self.gives

    def settled(self, wanted: pa.DataType, settle: "Settle") -> "Rule":
        """The rule ready to give the type: for those that are made of others, as a file writes
        them. Raises `Misfit` where one of these cannot be what it has to be."""
        return self

    def inner(self) -> "tuple[Rule, ...]":
        """The rules that a settled one is made of."""
        return self._inner

    def having(self, inner: "Iterable[Rule]") -> Self:
        """The same rule, made of these."""
        rule = self.model_copy()
        rule._inner = tuple(inner)
        return rule

    def changed(self, change: "Callable[[Rule], Rule]") -> "Rule":
        """The rule with those that it is made of changed."""
        return self.having(map(change, self._inner)) if self._inner else self

    def every(self) -> "Iterator[Rule]":
        """The rule and all that it is made of."""
        yield self
        for rule in self.inner():
            yield from rule.every()

    def using(self, functions: Mapping[Any, Any]) -> "Rule":
        """The rule with the functions of the connector's folder, where it calls one; raises
        `KeyError` where there is none of that name. Once it has them, it is given the tables that
        its lookups need in the same way."""
        return self.changed(lambda rule: rule.using(functions))

    def secrets(self) -> tuple[str, ...]:
        """The names of the connection's secrets that the rule itself needs."""
        return ()

    def keyed(self, secrets: "Mapping[str, Secret]") -> "Rule":
        """The rule with the secrets that it needs; raises `KeyError` where one is not there."""
        return self.changed(lambda rule: rule.keyed(secrets))

    def in_unit(self) -> str | None:
        """The unit of what the rule gives, where it says one."""
        return None

    def words(self) -> tuple[str, ...]:
        """Every word that the rule can give, where these are known beforehand; else empty."""
        return ()

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        """The column of type `wanted` (one of `gives`), `rows` long."""
        raise NotImplementedError


Settle = Callable[[Any, pa.DataType], Rule]
"""Makes a rule that gives the type of a field's value as a file writes it."""


class FromOne(Rule):
    """Base of the rules that turn one value into another.

    `from` says where the value stands, and `kind` as what it is read there. In a chain only the
    first rule has a `from`: the others take what the rule before them gives, one of `takes`.
    """

    source: SourcePath | None = Field(default=None, alias="from")
    kind: ClassVar[Kind]
    takes: ClassVar[tuple[pa.DataType, ...]]
    passes: ClassVar[bool] = False
    """Whether what is not null comes out as it went in."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "kind" in cls.__dict__ and "takes" not in cls.__dict__:
            cls.takes = (cls.kind.arrow,)

    def reads(self) -> dict[str, Kind]:
        return {} if self.source is None else {self.source: self.kind}

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        """The types that the rule can make of a value of the type `taken`, the likeliest first."""
        return self.gives

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        assert self.source is not None, "a rule without `from` stands behind another"
        return self.step(columns[self.source], columns, wanted=wanted)

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        """The column made of `values`; for rules that look at further values of the record."""
        return self.coerce(values, wanted=wanted)

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        """The column; the base takes the values as they are."""
        return Coerced(values)
