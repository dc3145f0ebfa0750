"""All rules of the `transformer` part, as one type that a file's values are read into.

A bare path (`customer_id: customer`) is the default rule of the column's type; a list is a chain.
"""

from typing import Annotated, Any, get_args

import pyarrow as pa
from pydantic import AfterValidator, Discriminator, Field, Tag
from typing_extensions import TypeAliasType

from integrations.transformation.arithmetic import (
    Absolute,
    Add,
    Divide,
    Multiply,
    Negate,
    Round,
    Subtract,
)
from integrations.transformation.booleans import Boolean
from integrations.transformation.chain import Chain, Link, Misfit, linked
from integrations.transformation.combine import Coalesce, Concat, Default, Table
from integrations.transformation.durations import Duration
from integrations.transformation.encoded import EncodedBytes
from integrations.transformation.function import PythonFunction
from integrations.transformation.lookup import Lookup
from integrations.transformation.money import MinorUnits
from integrations.transformation.numbers import Decimal, Integer, Number, WrittenNumber
from integrations.transformation.personal import Hash
from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    JSON,
    MONEY,
    TEXT,
    TIMESTAMP,
    TYPE_WORDS,
    FromOne,
    Rule,
    SourcePath,
)
from integrations.transformation.structured import Json, StringList, StringMap
from integrations.transformation.text_rules import (
    BlankToNull,
    Extract,
    Lower,
    Pad,
    Prefix,
    Replace,
    Split,
    StripZeros,
    Suffix,
    Title,
    Trim,
    Truncate,
)
from integrations.transformation.times import (
    Date,
    EpochDate,
    EpochMicroseconds,
    EpochMilliseconds,
    EpochSeconds,
    MicrosoftDate,
    Timestamp,
)
from integrations.transformation.times_local import LocalDate, LocalTime
from integrations.transformation.units import Unit
from integrations.transformation.values import (
    Constant,
    Enumeration,
    IdOrObject,
    Text,
    Upper,
    Word,
)

PATH = "path"
CHAIN = "chain"
"""Tags of a bare path and of a list in pydantic's error locations."""


def _tag(value: Any) -> str | None:
    if isinstance(value, str):
        return PATH
    if isinstance(value, list | tuple):
        return CHAIN
    if isinstance(value, dict):
        return value.get("type")
    return getattr(value, "type", None)


def _several(rules: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(rules) < 2:
        raise ValueError("a list of rules has two or more; one alone is written without the list")
    return rules


_Rules = (
    Annotated[SourcePath, Tag(PATH)]
    | Annotated[Absolute, Tag("absolute")]
    | Annotated[Add, Tag("add")]
    | Annotated[BlankToNull, Tag("blank_to_null")]
    | Annotated[Boolean, Tag("boolean")]
    | Annotated[EncodedBytes, Tag("bytes")]
    | Annotated[Coalesce, Tag("coalesce")]
    | Annotated[Concat, Tag("concat")]
    | Annotated[Constant, Tag("constant")]
    | Annotated[Date, Tag("date")]
    | Annotated[Decimal, Tag("decimal")]
    | Annotated[Default, Tag("default")]
    | Annotated[Divide, Tag("divide")]
    | Annotated[Duration, Tag("duration")]
    | Annotated[Enumeration, Tag("enumeration")]
    | Annotated[EpochDate, Tag("epoch_date")]
    | Annotated[EpochMilliseconds, Tag("epoch_ms")]
    | Annotated[EpochSeconds, Tag("epoch_s")]
    | Annotated[EpochMicroseconds, Tag("epoch_us")]
    | Annotated[Extract, Tag("extract")]
    | Annotated[Hash, Tag("hash")]
    | Annotated[IdOrObject, Tag("id_or_object")]
    | Annotated[Integer, Tag("integer")]
    | Annotated[Json, Tag("json")]
    | Annotated[LocalDate, Tag("local_date")]
    | Annotated[LocalTime, Tag("local_time")]
    | Annotated[Lookup, Tag("lookup")]
    | Annotated[Lower, Tag("lower")]
    | Annotated[MicrosoftDate, Tag("microsoft_date")]
    | Annotated[MinorUnits, Tag("minor_units")]
    | Annotated[Multiply, Tag("multiply")]
    | Annotated[Negate, Tag("negate")]
    | Annotated[Number, Tag("number")]
    | Annotated[Pad, Tag("pad")]
    | Annotated[Prefix, Tag("prefix")]
    | Annotated[PythonFunction, Tag("python")]
    | Annotated[Replace, Tag("replace")]
    | Annotated[Round, Tag("round")]
    | Annotated[Split, Tag("split")]
    | Annotated[StringList, Tag("string_list")]
    | Annotated[StringMap, Tag("string_map")]
    | Annotated[StripZeros, Tag("strip_zeros")]
    | Annotated[Subtract, Tag("subtract")]
    | Annotated[Suffix, Tag("suffix")]
    | Annotated[Table, Tag("table")]
    | Annotated[Text, Tag("text")]
    | Annotated[Timestamp, Tag("timestamp")]
    | Annotated[Title, Tag("title")]
    | Annotated[Trim, Tag("trim")]
    | Annotated[Truncate, Tag("truncate")]
    | Annotated[Unit, Tag("unit")]
    | Annotated[Upper, Tag("upper")]
    | Annotated[Word, Tag("word")]
    | Annotated[WrittenNumber, Tag("written_number")]
)
TYPES = tuple(sorted(get_args(rule)[1].tag for rule in get_args(_Rules)[1:]))
"""The names of all rules."""

_KNOWN = Discriminator(
    _tag,
    custom_error_type="rule_type",
    custom_error_message=f"a rule is a path, or has a `type`: one of {', '.join(TYPES)}",
)
OneRule = Annotated[_Rules, _KNOWN]
"""A path or a rule."""
FieldRule = TypeAliasType(  # one definition, however many places refer to it
    "FieldRule",
    Annotated[
        _Rules
        | Annotated[
            tuple[OneRule, ...],
            AfterValidator(_several),
            Field(json_schema_extra={"minItems": 2}),
            Tag(CHAIN),
        ],
        _KNOWN,
    ],
)
"""What a file may write for a field: a path, a rule, or a list of rules, each taking what the one
before it gives."""

for _each in (Add, Coalesce, Concat, Divide, Multiply, Subtract):
    # They are rules that are made of rules.
    _each.model_rebuild(_types_namespace={"FieldRule": FieldRule})

_Moments = (
    Annotated[SourcePath, Tag(PATH)]
    | Annotated[EpochMilliseconds, Tag("epoch_ms")]
    | Annotated[EpochSeconds, Tag("epoch_s")]
    | Annotated[EpochMicroseconds, Tag("epoch_us")]
    | Annotated[LocalTime, Tag("local_time")]
    | Annotated[MicrosoftDate, Tag("microsoft_date")]
    | Annotated[Timestamp, Tag("timestamp")]
)
_MOMENTS = ", ".join(sorted(get_args(rule)[1].tag for rule in get_args(_Moments)[1:]))
MomentRule = Annotated[
    _Moments,
    Discriminator(
        _tag,
        custom_error_type="rule_type",
        custom_error_message=f"a moment is a path, or has a `type`: one of {_MOMENTS}",
    ),
]
"""The rules that give a moment of themselves, without a function of the connector's folder."""

_DEFAULTS: dict[pa.DataType, tuple[type[Rule], str]] = {
    TEXT: (Text, "text"),
    INT: (Integer, "integer"),
    FLOAT: (Number, "number"),
    BOOL: (Boolean, "boolean"),
    TIMESTAMP: (Timestamp, "timestamp"),
    DATE: (Date, "date"),
    MONEY: (Decimal, "decimal"),
    JSON: (StringMap, "string_map"),
}


def as_rule(given: "str | Rule", *, wanted: pa.DataType) -> Rule | None:
    """The rule that a path or a rule stands for; None where a bare path cannot fill the type."""
    if isinstance(given, Rule):
        return given
    if wanted not in _DEFAULTS:
        return None
    rule, name = _DEFAULTS[wanted]
    return rule.model_validate({"type": name, "from": given})


def settle(given: Any, wanted: pa.DataType, *, told: str = "") -> Rule:
    """The rule that a field's value stands for, with its types; `told` says who wants what.

    Raises `Misfit` where it cannot give the type.
    """
    told = told or f"{TYPE_WORDS[wanted]} is wanted"
    if isinstance(given, tuple):
        ways = _reading(given[0])
        links = linked(ways, given[1:], wanted=wanted, told=told)
        return Chain.of(Link(_complete(n, link), link.gives) for n, link in enumerate(links))
    rule = as_rule(given, wanted=wanted)
    if rule is None:
        raise Misfit(f"{told}: it needs a rule, not a path alone")
    if not rule.fits(wanted):
        raise Misfit(f"{told}, which the rule {rule.name} does not give")
    _reads(rule)
    return rule.settled(wanted, settle)


def _reading(given: "str | Rule") -> list[Link]:
    """The ways in which the first value of a chain can be read."""
    if isinstance(given, Rule):
        _reads(given, 0)
        return [Link(given, type_) for type_ in given.gives if given.fits(type_)]
    made = ((as_rule(given, wanted=type_), type_) for type_ in _DEFAULTS)
    return [Link(rule, type_) for rule, type_ in made if rule is not None]


def _complete(number: int, link: Link) -> Rule:
    try:
        return link.rule.settled(link.gives, settle)
    except Misfit as error:
        raise error.below(number) from None


def _reads(rule: Rule, *at: int) -> None:
    if isinstance(rule, FromOne) and rule.source is None:
        raise Misfit(f"the rule {rule.name} needs `from`: nothing stands before it", *at)
