"""What a stream's records become: which entity, which key, and a rule for each column.

`StreamMapping` is what the file says; bound to its entity it becomes a `BoundMapping`, which is
known to fit: after that only data can be wrong.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from integrations.names import NAME
from integrations.secrets import Secret
from integrations.transformation.chain import Chain, Misfit
from integrations.transformation.combine import Coalesce, Default
from integrations.transformation.explode import ITEM, of_element
from integrations.transformation.function import Function, PythonFunction
from integrations.transformation.kinds import BOOLEAN, INTEGER, Kind
from integrations.transformation.lookup import Lookup, Needed, Pairs, changed, lookups
from integrations.transformation.missing import Decided, Missing
from integrations.transformation.rule import TEXT, TYPE_WORDS, Rule, SourcePath
from integrations.transformation.rules import FieldRule, settle
from integrations.transformation.units import same
from integrations.transformation.values import Constant
from integrations.transformation.where import Condition

if TYPE_CHECKING:
    from integrations.canonical.entity import Entity, EntityColumn

Path = tuple[str | int, ...]

NO_VERSION = "none"


class MappingErrors(ValueError):
    """Every mistake of one mapping, as (path below the mapping, message)."""

    def __init__(self, mistakes: Sequence[tuple[Path, str]]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(message for _, message in self.mistakes))


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _entity_name(value: str) -> str:
    if not re.fullmatch(_ENTITY, value):
        raise ValueError("it is the name of an entity, or a model of your own as `module:Class`")
    return value


_ENTITY = rf"{NAME}|^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
EntityName = Annotated[
    str, AfterValidator(_entity_name), Field(json_schema_extra={"pattern": _ENTITY})
]
"""A shipped entity's name, or where a user's own model is: `schema:Parcel`."""


class StreamMapping(BaseModel):
    """One stream's mapping, as a connector's file writes it.

    `entity` is what its records become: a shipped one by its name, or `module:Class`, a model of
    your own in a file beside the connector's or in a module that can be imported.
    `key` names the values that make the record's id in the source: one path, or several that are
    only unique together. A key that is no string needs its rule: `{type: integer, from: id}`.
    `version` is the path of a whole number that grows with every change of a record, `deleted` that
    of a boolean: true where the source says with the record that it is deleted. `missing` decides
    for some of the columns what becomes of a value that is null or absent.

    `each` is the path of a list (or an object) in the record: each of its elements becomes a row.
    Paths that begin with `item.` are then of the element, `item_no` is its place from 0 on, and all
    others are of the record. Only records (or elements) for which all of `where` hold become rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: EntityName
    key: Annotated[
        tuple[FieldRule, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=FieldRule | tuple[FieldRule, ...]),
        Field(min_length=1),
    ]
    version: SourcePath = NO_VERSION
    deleted: SourcePath | None = None
    each: SourcePath | None = None
    where: tuple[Condition, ...] = ()
    fields: dict[str, FieldRule] = Field(min_length=1)
    missing: dict[str, Missing] = Field(default_factory=dict)

    def bind(
        self,
        entity: "type[Entity]",
        *,
        functions: Mapping[str, Function] | None = None,
        looking: "Looking | None" = None,
        of: "StreamMapping | None" = None,
    ) -> "BoundMapping":
        """The mapping with its entity; raises `MappingErrors` with every mistake at once.

        `functions` are those that the folder's transformer.py offers to rules of type `python`;
        `looking` says of each lookup what is known of its table before it is read; `of` is the
        mapping of the stream whose records these are too, for a child stream.
        """
        looking = looking or (lambda rule: rule)
        return _Binding(self, entity, functions or {}, looking, of).bound()


Looking = Callable[[Lookup], Lookup]
"""Raises `Misfit` for a lookup in something that is not there."""


@dataclass(frozen=True)
class BoundField:
    """A column of the entity and the rule that fills it. `missing` is what the file decides of
    values that are not there, if it does."""

    column: "EntityColumn"
    rule: Rule
    missing: Decided | None = None


@dataclass(frozen=True)
class BoundMapping:
    """A mapping that fits its entity. `paths` holds all that is read from a record (or a unit of
    it), and as what. Of a child stream the first `of` parts of the key are its parent's."""

    entity: "type[Entity]"
    mapping: StreamMapping
    fields: tuple[BoundField, ...]
    key: tuple[Rule, ...]
    version: str | None
    deleted: str | None
    paths: Mapping[str, Kind]
    of: int = 0

    @property
    def needs(self) -> tuple[Needed, ...]:
        """What has to be read from the database before a batch can be transformed, each once."""
        found = (one.needs for field in self.fields for one in lookups(field.rule))
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def knowing(self, tables: Mapping[Needed, Pairs]) -> "BoundMapping":
        """The mapping with what it needs."""
        if not tables:
            return self
        fields = (replace(field, rule=field.rule.using(tables)) for field in self.fields)
        return replace(self, fields=tuple(fields))

    @property
    def keeps(self) -> tuple[str, ...]:
        """The columns of which what is stored may have to stand."""
        return tuple(f.column.name for f in self.fields if f.missing and f.missing.keeps)

    @property
    def personal(self) -> frozenset[str]:
        """The paths of personal values, whoever reads them: what a personal column is made of, and
        what is hashed."""
        hidden = (
            field.rule
            for field in self.fields
            if field.column.personal or any(part.secrets() for part in field.rule.every())
        )
        return frozenset(path for rule in hidden for path in rule.reads())

    def secrets(self) -> frozenset[str]:
        """The names of the connection's secrets that its rules need."""
        parts = (part for field in self.fields for part in field.rule.every())
        return frozenset(name for part in parts for name in part.secrets())

    def keyed(self, secrets: Mapping[str, Secret]) -> "BoundMapping":
        """The mapping with these secrets, ready to run."""
        fields = (replace(field, rule=field.rule.keyed(secrets)) for field in self.fields)
        return replace(self, fields=tuple(fields))


class _Binding:
    """One mapping on its way to being bound, with the mistakes found so far."""

    def __init__(
        self,
        mapping: StreamMapping,
        entity: "type[Entity]",
        functions: Mapping[str, Function],
        looking: Looking,
        of: StreamMapping | None,
    ) -> None:
        self.mapping = mapping
        self.of = of
        self.entity = entity
        self.functions = functions
        self.looking = looking
        self.columns = {column.name: column for column in entity.columns()}
        self.paths: dict[str, Kind] = {}
        self.mistakes: list[tuple[Path, str]] = []

    def bound(self) -> BoundMapping:
        mapping, told = self.mapping, self.of or self.mapping
        if self.of is not None:
            self.mistakes.extend(unlike(mapping, self.of))
        fields = tuple(self._fields())
        key = tuple(self._key())
        version = None if told.version == NO_VERSION else told.version
        if version is not None:
            self._read({version: INTEGER}, ("version",))
        if told.deleted is not None:
            self._read({told.deleted: BOOLEAN}, ("deleted",))
        for number, condition in enumerate(mapping.where):
            self._read({condition.source: condition.reads(self.paths)}, ("where", number))
        self._unfilled()
        self._undecidable()
        self.mistakes.extend((("fields",), message) for message in tangled(self.paths))
        self.mistakes.extend((("each",), message) for message in astray(mapping.each, self.paths))
        if self.mistakes:
            raise MappingErrors(self.mistakes)
        of = len(self.of.key) if self.of else 0
        return BoundMapping(
            self.entity, mapping, fields, key, version, told.deleted, self.paths, of
        )

    def _fields(self) -> Iterator[BoundField]:
        for name, given in self.mapping.fields.items():
            at: Path = ("fields", name)
            column = self.columns.get(name)
            if column is None:
                self._note(at, self._unknown(name))
                continue
            rule = self._rule(at, column, given)
            if rule is not None:
                yield BoundField(column, rule, self._decided(column, rule))

    def _rule(self, at: Path, column: "EntityColumn", given: Any) -> Rule | None:
        told = f"`{column.name}` takes {TYPE_WORDS[column.type]}"
        rule = self._settled(at, given, column.type, told=told)
        if rule is not None:
            self._words(at, column, rule)
            self._unit(at, column, rule)
        return None if rule is None else self._ready(at, rule)

    def _settled(self, at: Path, given: Any, wanted: pa.DataType, *, told: str) -> Rule | None:
        known = len(self.mistakes)
        given = changed(given, self._looking_up, at)
        if len(self.mistakes) > known:
            return None
        try:
            return settle(given, wanted, told=told)
        except Misfit as error:
            self._note((*at, *error.at), str(error))
            return None

    def _looking_up(self, rule: Lookup, at: Path) -> Lookup:
        try:
            return self.looking(rule)
        except Misfit as error:
            self._note((*at, *error.at), str(error))
            return rule

    def _words(self, at: Path, column: "EntityColumn", rule: Rule) -> None:
        strange = sorted(set(rule.words()) - set(column.allowed)) if column.allowed else []
        if strange:
            known = ", ".join(column.allowed)
            self._note(at, f"`{column.name}` is one of {known}; not {', '.join(strange)}")

    def _unit(self, at: Path, column: "EntityColumn", rule: Rule) -> None:
        unit = rule.in_unit()
        if unit is not None and column.unit is not None and not same(unit, column.unit):
            self._note(at, f"`{column.name}` is in {column.unit}; the rule gives {unit}")

    def _ready(self, at: Path, rule: Rule) -> Rule | None:
        """The rule with its function, once what it reads agrees with what others read."""
        for part in rule.every():
            self._read(part.reads(), at)
        calls = [part.call for part in rule.every() if isinstance(part, PythonFunction)]
        unknown = [call for call in calls if call not in self.functions]
        for call in unknown:
            self._note(at, f"transformer.py beside the file has no function {call!r}")
        return None if unknown else rule.using(self.functions)

    def _key(self) -> Iterator[Rule]:
        for number, given in enumerate(self.mapping.key):
            at: Path = ("key", number)
            if _can_be_key(given):
                rule = self._settled(at, given, TEXT, told="a key is text")
                if rule is not None and any(lookups(rule)):
                    self._note(at, "a key is the record's own: what a lookup gives can change")
                elif rule is not None and any(part.secrets() for part in rule.every()):
                    self._note(at, "a key is the source's own: it takes no rule with a secret")
                elif rule is not None and len(self.mapping.key) == 1 and _made_up(rule):
                    self._note(at, "records without a key would all have the one that is written")
                elif rule is not None and (ready := self._ready(at, rule)) is not None:
                    yield ready
            else:
                self._note(at, "a key is made of strings or whole numbers of the record")

    def _read(self, wanted: Mapping[str, Kind], at: Path) -> None:
        for path, kind in wanted.items():
            other = self.paths.setdefault(path, kind)
            if other is not kind:
                self._note(at, f"`{path}` is read as {other.name} elsewhere, here as {kind.name}")

    def _decided(self, column: "EntityColumn", rule: Rule) -> Decided | None:
        missing = self.mapping.missing.get(column.name)
        if missing is None:
            return None
        mistakes = list(missing.mistakes(column, rule, self.entity))
        for below, message in mistakes:
            self._note(("missing", column.name, *below), message)
        return None if mistakes else missing.decided(column)

    def _undecidable(self) -> None:
        for name in self.mapping.missing:
            if name not in self.columns:
                self._note(("missing", name), self._unknown(name))
            elif name not in self.mapping.fields:
                self._note(("missing", name), f"no rule fills `{name}`: it is always missing")

    def _unfilled(self) -> None:
        for column in self.columns.values():
            if not column.nullable and column.name not in self.mapping.fields:
                about = f"`{column.name}` of {self.entity.entity_name()}"
                self._note(("fields",), f"{about} is required, and no rule fills it")

    def _unknown(self, name: str) -> str:
        known = f"{self.entity.entity_name()} has no column {name!r}"
        close = get_close_matches(name, self.columns, n=1)
        return f"{known}; did you mean {close[0]!r}?" if close else known

    def _note(self, at: Path, message: str) -> None:
        self.mistakes.append((at, message))


def _can_be_key(given: Any) -> bool:
    """Whether a value of a key is made from the record and is text; a chain says more itself."""
    if isinstance(given, Rule):
        return given.fits(TEXT) and not isinstance(given, Constant)
    return True


def _made_up(rule: Rule) -> bool:
    """Whether the rule gives a value of the file where the record has none."""
    if isinstance(rule, Chain | Coalesce):
        return any(map(_made_up, rule.inner()))
    return isinstance(rule, Constant | Default)


def tangled(paths: Iterable[str]) -> Iterator[str]:
    """What is wrong with paths that are read as a value in one place, as an object in another."""
    known = list(paths)
    for path in known:
        for other in known:
            if other.startswith(f"{path}."):
                yield f"`{path}` is read as a value, yet `{other}` lies inside it"


def astray(each: str | None, paths: Iterable[str]) -> Iterator[str]:
    """What is wrong with paths beside the list that is taken apart."""
    paths = list(paths)
    lost = [f"`{path}`" for path in paths if each is None and path.startswith(f"{ITEM}.")]
    if lost:
        yield f"there is no `each` that says of which list {', '.join(lost)} is"
    for path in paths:
        if each is not None and not of_element(path):
            if path == each or path.startswith(f"{each}."):
                yield f"`{path}` lies in the list `{each}`: what is in an element is `{ITEM}.…`"
            elif each.startswith(f"{path}."):
                yield f"`{path}` is read as a value, yet the list `{each}` lies inside it"


def unlike(child: StreamMapping, parent: StreamMapping) -> Iterator[tuple[Path, str]]:
    """What of a child's mapping does not go together with its parent's."""
    if child.key[: len(parent.key)] != parent.key:
        yield ("key",), "the key of a child stream begins with its parent's, written as there"
    elif child.each is not None and len(child.key) == len(parent.key):
        yield ("key",), "the key is its parent's alone, and would be one for all elements"
    if child.version != NO_VERSION:
        yield ("version",), "a child stream has its parent's version; write none here"
    if child.deleted is not None:
        about = "a child stream is deleted as its parent says, or by a `where` on the element"
        yield ("deleted",), f"{about}; write none here"
    if parent.each is not None:
        yield (), "its parent has `each`: the elements of an element are not taken apart"
