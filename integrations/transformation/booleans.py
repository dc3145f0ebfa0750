"""The rule for true and false, in every dress."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import BeforeValidator, model_validator

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.json_text import scalars
from integrations.transformation.kinds import BOOLEAN, VALUE, Kind
from integrations.transformation.rule import BOOL, INT, TEXT, Bad, Coerced, Columns, FromOne


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


Words = tuple[
    Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int | bool)], ...
]


class Boolean(FromOne):
    """`true` or `false`; with sets of words also what a source writes instead: `Y`, `1`, `"yes"`.

    `true: [true, 1, Y]` and `false: [false, 0, N]` take each as a string, a number or a boolean, on
    one field in any mixture; what is in neither is refused. `ignore_case` takes `y` for `Y`. YAML
    itself reads yes, no, on and off as booleans: as words they are quoted. Without sets and behind
    another rule, the text `true` or `false` and the numbers 1 and 0 are taken too.
    """

    type: Literal["boolean"]
    true: Words = ()
    false: Words = ()
    ignore_case: bool = False
    kind: ClassVar = BOOLEAN
    takes: ClassVar = (BOOL, INT, TEXT)
    gives: ClassVar = (BOOL,)

    @model_validator(mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        """YAML reads the names of the two sets as booleans."""
        if not isinstance(given, Mapping):
            return given
        names = {True: "true", False: "false"}
        return {names[k] if isinstance(k, bool) else k: value for k, value in given.items()}

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if bool(self.true) != bool(self.false):
            raise ValueError("`true` and `false` are given together: what is in neither is refused")
        true, false = (set(map(self._cased, words)) for words in (self.true, self.false))
        both = true & false
        if both:
            raise ValueError(f"{', '.join(sorted(both))} is in both sets")
        return self

    def reads(self) -> dict[str, Kind]:
        kind = VALUE if self.true else BOOLEAN
        return {} if self.source is None else {self.source: kind}

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        if self.source is None or not self.true:
            return super().apply(columns, wanted=wanted, rows=rows)
        texts, structured = scalars(columns[self.source])
        done = self.coerce(texts, wanted=wanted)
        odd = Bad(structured, "is no string, number or boolean", self.name)
        return Coerced(done.values, done.bad, done.reason, before=(odd,))

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if values.type == BOOL and not self.true:
            return Coerced(values)
        texts = values.cast(TEXT)
        true, false = (self.true, self.false) if self.true else (("true",), ("false",))
        if values.type == INT and not self.true:
            true, false = ("1",), ("0",)
        words = array((*true, *false), TEXT)
        meant = array([True] * len(true) + [False] * len(false), BOOL)
        if self.ignore_case:
            texts, words = pc.utf8_lower(texts), pc.utf8_lower(words)
        found = pc.index_in(texts, value_set=words)
        strange = pc.and_(pc.is_valid(texts), pc.is_null(found))
        told = ", ".join(word or "''" for word in (*true, *false))
        return Coerced(meant.take(found), strange, f"is none of {told}")

    def _cased(self, word: str) -> str:
        return word.lower() if self.ignore_case else word
