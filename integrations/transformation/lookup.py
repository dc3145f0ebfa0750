"""The rule that enriches: what a table says of a value.

Nothing is read here. A file's pairs come with the rule when its connector is loaded; of a table in
the database the mapping says what it needs, and whoever runs it brings that.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from integrations.errors import StopStream
from integrations.names import LONGEST_NAME, NAME
from integrations.transformation.arrow import Array, pc
from integrations.transformation.chain import Misfit
from integrations.transformation.kinds import STRING
from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    MONEY,
    TEXT,
    TIMESTAMP,
    TYPE_WORDS,
    Coerced,
    FromOne,
    Rule,
    Settle,
)

SOURCE_ID = "source_id"
"""The column of every table that holds a record's id in its source."""
_TOLD = 5
"""Keys that a message names."""

Path = tuple[str | int, ...]


class Unusable(ValueError):
    """A table in which nothing can be looked up; the message goes on from the table's name."""


@dataclass(frozen=True)
class Needed:
    """Two columns of a table in the database, and the type as which the mapping takes the values.

    The table is that of another `stream` of the same connection, which holds the entity `entity`,
    or one of the user's, `schema.name`. An empty one will do only where it `may_be_empty`.
    """

    key: str
    value: str
    type: pa.DataType
    stream: str | None = None
    entity: str | None = None
    table: str | None = None
    may_be_empty: bool = False


@dataclass(frozen=True)
class Pairs:
    """Keys as text, each once, and the value of each. `digest` is a hash of the file that they were
    read from."""

    keys: Array
    values: Array
    digest: str = ""

    @classmethod
    def of(cls, texts: pa.Table, type_: pa.DataType, *, digest: str = "") -> "Pairs":
        """The columns `key` and `value` of texts, the values as those of a type; rows without a key
        are left out. Raises `Unusable` for a key that stands there twice and for a value of another
        type."""
        texts = texts.filter(pc.is_valid(texts["key"]))
        keys, values = (texts[name].combine_chunks() for name in ("key", "value"))
        counts: Any = pc.value_counts(keys)
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            named = ", ".join(repr(key) for key in twice.slice(0, _TOLD).to_pylist())
            more = f" and {len(twice) - _TOLD} more" if len(twice) > _TOLD else ""
            raise Unusable(f"holds a key more than once: {named}{more}")
        if not _is_all(values, type_):
            raise Unusable(f"holds {_first_other(values, type_)!r}, not {TYPE_WORDS[type_]}")
        return cls(keys, values.cast(type_), digest)

    def places(self, texts: Array) -> Array:
        """For each text the position of its key; null for one that is none, and for null.

        Arrow hashes the keys anew for each batch. Of a table with more keys than the batch has
        values only those are hashed that are among these: a million keys cost a seventh then.
        """
        places: Array
        if len(self.keys) <= len(texts):
            places = pc.index_in(texts, value_set=self.keys)
        else:
            among = pc.indices_nonzero(pc.is_in(self.keys, value_set=texts))
            places = among.take(pc.index_in(texts, value_set=self.keys.take(among)))
        return places


def _is_all(texts: Array, type_: pa.DataType) -> bool:
    try:
        values = texts.cast(type_)
    except pa.ArrowInvalid:
        return False
    return type_ != FLOAT or bool(pc.all(pc.is_finite(values), min_count=0).as_py())


def _first_other(texts: Array, type_: pa.DataType) -> str:
    """The first text that is none of the type; there is one."""
    while len(texts) > 1:
        half = texts.slice(0, len(texts) // 2)
        texts = texts.slice(len(half)) if _is_all(half, type_) else half
    return str(texts[0].as_py())


class Lookup(FromOne):
    """What a table says of a value: the column `value` of the row that has it as its `key`.

    The table is a CSV `file` beside the connector's own, another `stream` of the same connection
    (its live rows, by `source_id` unless a `key` is named), or a `table` (`schema.name`) that you
    keep in our database. A value without a row is refused; with `when_missing` it becomes `null`,
    or stays as it is (`keep_key`). Whole numbers are looked up by their digits.
    """

    type: Literal["lookup"]
    file: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv$")
    stream: str | None = Field(default=None, pattern=NAME, max_length=LONGEST_NAME)
    table: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")
    key: str | None = Field(default=None, min_length=1)
    value: str = Field(min_length=1)
    when_missing: Annotated[
        Literal["null", "reject", "keep_key"],
        BeforeValidator(
            lambda given: "null" if given is None else given,  # as YAML reads the word
            json_schema_input_type=Literal["null", "reject", "keep_key"] | None,
        ),
    ] = "reject"
    kind: ClassVar = STRING
    takes: ClassVar = (TEXT, INT)
    gives: ClassVar = (TEXT, MONEY, INT, FLOAT, BOOL, TIMESTAMP, DATE)
    _entity: str | None = PrivateAttr(default=None)
    _type: pa.DataType | None = PrivateAttr(default=None)
    _texts: pa.Table | None = PrivateAttr(default=None)
    _digest: str = PrivateAttr(default="")
    _wanted: pa.DataType | None = PrivateAttr(default=None)
    _pairs: Pairs | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if len([one for one in (self.file, self.stream, self.table) if one is not None]) != 1:
            raise ValueError("a lookup is in one of `file`, `stream` and `table`")
        if self.key is None and self.stream is None:
            raise ValueError("`key` says which column holds what is looked up")
        schema = (self.table or "").partition(".")[0]
        if schema in ("integrations", "canonical", "information_schema") or schema[:3] == "pg_":
            raise ValueError(f"`table` is one of yours, and the schema {schema} is not")
        return self

    @property
    def key_column(self) -> str:
        """The column of the table that holds what is looked up."""
        return self.key or SOURCE_ID

    @property
    def place(self) -> str:
        """Where it is looked up, in words."""
        return self.file or (f"stream {self.stream}" if self.stream else f"table {self.table}")

    @property
    def digest(self) -> str:
        """A hash of the file, where it is one."""
        return self._digest

    @property
    def needs(self) -> Needed | None:
        """What has to be read before it can run; None for a file."""
        if self._wanted is None or self.file is not None:
            return None
        return Needed(
            self.key_column, self.value, self._wanted,
            stream=self.stream, entity=self._entity, table=self.table,
            may_be_empty=self.when_missing == "null",
        )  # fmt: skip

    def in_file(self, texts: pa.Table, digest: str) -> "Lookup":
        """The rule with what its file holds: columns `key` and `value` of texts."""
        rule = self.model_copy()
        rule._texts, rule._digest = texts, digest
        return rule

    def in_entity(self, entity: str, type_: pa.DataType) -> "Lookup":
        """The rule with what its stream's table holds, and the type of the value there."""
        rule = self.model_copy()
        rule._entity, rule._type = entity, type_
        return rule

    def fits(self, wanted: pa.DataType) -> bool:
        return wanted in self._given()

    def gives_of(self, taken: pa.DataType) -> tuple[pa.DataType, ...]:
        return self._given()

    def _given(self) -> tuple[pa.DataType, ...]:
        here = (TEXT,) if self.when_missing == "keep_key" else self.gives
        return tuple(type_ for type_ in here if self._type in (None, type_))

    def settled(self, wanted: pa.DataType, settle: Settle) -> "Lookup":
        rule = self.model_copy()
        rule._wanted = wanted
        if self._texts is not None:
            try:
                rule._pairs = Pairs.of(self._texts, wanted, digest=self._digest)
            except Unusable as error:
                raise Misfit(f"{self.file} {error}") from None
        return rule

    def using(self, functions: Mapping[Any, Any]) -> "Lookup":
        """The rule with the pairs that it needs, where they are among what is given."""
        if self.needs is None or self.needs not in functions:
            return self
        rule = self.model_copy()
        rule._pairs = functions[self.needs]
        return rule

    def words(self) -> tuple[str, ...]:
        if self._pairs is None or self._wanted != TEXT or self.when_missing == "keep_key":
            return ()
        return tuple(map(str, self._pairs.values.drop_null().unique().to_pylist()))

    def coerce(self, values: Array, *, wanted: pa.DataType) -> Coerced:
        if self._pairs is None:
            raise StopStream(f"nothing was read of {self.place}, in which a value is looked up")
        texts = values.cast(TEXT)
        found = self._pairs.places(texts)
        given = self._pairs.values.take(found)
        missing = pc.and_(pc.is_valid(texts), pc.is_null(found))
        if self.when_missing == "reject":
            words = f"is not in the column `{self.key_column}` of {self.place}"
            return Coerced(given, missing, words)
        if self.when_missing == "keep_key":
            given = pc.if_else(missing, texts, given)
        # A file holds the words of the source; keys of other tables may be of persons.
        told = self.file is not None and pc.any(missing).as_py()
        return Coerced(given, strange=texts.filter(missing) if told else None)


def lookups(rule: Rule) -> Iterator[Lookup]:
    """The lookups of a settled rule and of all that it is made of."""
    return (part for part in rule.every() if isinstance(part, Lookup))


def changed(given: Any, change: Callable[[Lookup, Path], Lookup], at: Path = ()) -> Any:
    """A field's value as a file writes it, with each lookup in it changed, wherever it stands;
    `change` is told the place."""
    if isinstance(given, Lookup):
        return change(given, at)
    if isinstance(given, tuple | list):
        within = [changed(one, change, (*at, number)) for number, one in enumerate(given)]
        same = all(new is old for new, old in zip(within, given, strict=True))
        return given if same else type(given)(within)
    if isinstance(given, Rule):
        own = {
            name: changed(getattr(given, name), change, (*at, field.alias or name))
            for name, field in type(given).model_fields.items()
        }
        new = {name: value for name, value in own.items() if value is not getattr(given, name)}
        return given.model_copy(update=new) if new else given
    return given


def written(given: Any, at: Path = ()) -> list[tuple[Path, Lookup]]:
    """The lookups in a field's value as a file writes it, with their places."""
    found: list[tuple[Path, Lookup]] = []

    def note(rule: Lookup, at: Path) -> Lookup:
        found.append((at, rule))
        return rule

    changed(given, note, at)
    return found
