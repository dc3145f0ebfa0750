"""The rules that choose, join and look up: coalesce, concat, default and code tables."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, PrivateAttr, model_validator

from integrations.transformation.arrow import Array, array, nulls, pc
from integrations.transformation.chain import Misfit
from integrations.transformation.kinds import INTEGER, STRING, Kind
from integrations.transformation.literals import TYPED, Given, literal
from integrations.transformation.rule import (
    INT,
    TEXT,
    Bad,
    Coerced,
    Columns,
    FromOne,
    Rule,
    Settle,
)

if TYPE_CHECKING:
    from integrations.transformation.rules import FieldRule


class OfSeveral(Rule):
    """Base of the rules that are made of others, each a path, a rule or a list of rules."""

    of: tuple["FieldRule", ...] = Field(min_length=2)

    def reads(self) -> dict[str, Kind]:
        return {path: kind for rule in self.inner() for path, kind in rule.reads().items()}

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        made = []
        for number, given in enumerate(self.of):
            try:
                made.append(settle(given, wanted))
            except Misfit as error:
                raise error.below("of", number) from None
        return self.having(made)


def _strange(answers: Iterable[Coerced]) -> Array | None:
    """The words that several rules did not know."""
    found = [one.strange for one in answers if one.strange is not None]
    return pa.concat_arrays(found) if found else None


class Coalesce(OfSeveral):
    """The first of several values that is not null.

    One that its own rule cannot take is refused where it is needed, not passed over.
    """

    type: Literal["coalesce"]
    gives: ClassVar = TYPED

    def words(self) -> tuple[str, ...]:
        return tuple(word for rule in self.inner() for word in rule.words())

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        found, told = nulls(rows, wanted), list[Bad]()
        answers = [rule.apply(columns, wanted=wanted, rows=rows) for rule in self.inner()]
        for rule, done in zip(self.inner(), answers, strict=True):
            lacking = pc.is_null(found)
            for bad in done.told(rule.name):
                told.append(Bad(pc.and_(bad.where, lacking), bad.reason, bad.rule))
            found = pc.coalesce(found, done.values)
        return Coerced(found, before=tuple(told), strange=_strange(answers))


class Concat(OfSeveral):
    """Several texts as one, with `separator` between them.

    Where one is null, `when_null: skip` leaves it out, `clear` makes all of it null, and `reject`
    refuses the record. Where all are, the whole is null.
    """

    type: Literal["concat"]
    separator: str
    when_null: Literal["skip", "clear", "reject"]
    gives: ClassVar = (TEXT,)

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        done = [rule.apply(columns, wanted=TEXT, rows=rows) for rule in self.inner()]
        told = [
            bad for rule, one in zip(self.inner(), done, strict=True) for bad in one.told(rule.name)
        ]
        parts = [one.values for one in done]
        nothing = pc.is_null(pc.coalesce(*parts))
        handling = "skip" if self.when_null == "skip" else "emit_null"
        # Where it skips all of a row, Arrow loses the row itself.
        parts[0] = pc.if_else(nothing, "", parts[0])
        joined = pc.binary_join_element_wise(*parts, self.separator, null_handling=handling)
        joined = pc.if_else(nothing, None, joined)
        if self.when_null == "reject":
            lacking = pc.and_(pc.is_null(joined), pc.invert(nothing))
            told.append(Bad(lacking, "lacks a part of the text", self.name))
        return Coerced(joined, before=tuple(told), strange=_strange(done))


class Default(FromOne):
    """`value` where what comes is null. It stands behind another rule."""

    type: Literal["default"]
    value: Given
    kind: ClassVar = STRING
    takes: ClassVar = TYPED
    gives: ClassVar = TYPED
    passes: ClassVar = True
    _value: Any = PrivateAttr(default=None)

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        return (taken,)

    def words(self) -> tuple[str, ...]:
        return (self.value,) if isinstance(self.value, str) else ()

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        if self.source is not None:
            raise Misfit("the rule default stands behind another: [path, {type: default, …}]")
        rule = self.model_copy()
        rule._value = _typed(self.value, wanted, "value")
        return rule

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        return Coerced(pc.fill_null(values, pa.scalar(self._value, wanted)))


class Table(FromOne):
    """What stands for a code: text or whole numbers of the source to any value, by `map`.

    A code that `map` lacks becomes `other`; without it, is refused.
    """

    type: Literal["table"]
    map: dict[Annotated[int, Field(strict=True)] | str, Given] = Field(min_length=1)
    other: Given | None = None
    kind: ClassVar = STRING
    takes: ClassVar = (TEXT, INT)
    gives: ClassVar = TYPED
    _values: tuple[Any, ...] = PrivateAttr(default=())
    _other: Any = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _of_one_type(self) -> Self:
        if len({type(code) for code in self.map}) > 1:
            raise ValueError("the codes of `map` are all texts or all whole numbers; quote them")
        for code in self.map:
            literal(code, self.codes)
        return self

    @property
    def codes(self) -> pa.DataType:
        """The type of the codes."""
        return TEXT if isinstance(next(iter(self.map)), str) else INT

    def reads(self) -> dict[str, Kind]:
        kind = STRING if self.codes == TEXT else INTEGER
        return {} if self.source is None else {self.source: kind}

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        return tuple(filter(self.fits, self.gives)) if taken == self.codes else ()

    def fits(self, wanted: pa.DataType) -> bool:
        """Whether the first of the values is one of the type; `settled` looks at all."""
        try:
            literal(next(iter(self.map.values())), wanted)
        except ValueError:
            return False
        return True

    def words(self) -> tuple[str, ...]:
        given = (*self.map.values(), self.other)
        return tuple(word for word in given if isinstance(word, str))

    def settled(self, wanted: pa.DataType, settle: Settle) -> Rule:
        rule = self.model_copy()
        rule._values = tuple(_typed(v, wanted, "map", code) for code, v in self.map.items())
        rule._other = None if self.other is None else _typed(self.other, wanted, "other")
        return rule

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        found = pc.index_in(values, value_set=array(list(self.map), self.codes))
        ours = array(list(self._values), wanted).take(found)
        strange = pc.and_(pc.is_valid(values), pc.is_null(found))
        if self.other is not None:
            unknown = values.filter(strange).cast(TEXT) if pc.any(strange).as_py() else None
            taken = pc.if_else(strange, pa.scalar(self._other, wanted), ours)
            return Coerced(taken, strange=unknown)
        return Coerced(ours, strange, f"is none of {', '.join(map(str, self.map))}")


def _typed(value: Any, wanted: pa.DataType, *at: str | int) -> Any:
    try:
        return literal(value, wanted)
    except ValueError as error:
        raise Misfit(str(error), *at) from None
