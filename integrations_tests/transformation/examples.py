"""Every rule in use, for what is to hold for each of them: its cost, and that it has no loop.

A rule that is missing here fails a test: add an example with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from integrations.canonical.entity import Money, column
from integrations.secrets import Secret
from integrations.transformation.lookup import Lookup
from integrations.transformation.mapping import BoundMapping, StreamMapping
from integrations.transformation.rule import Rule
from integrations.transformation.rules import OneRule
from integrations_tests.transformation.things import Thing

SECRETS = {"pepper": Secret("a-key-of-the-examples")}


class Goods(Thing):
    """A thing that is weighed."""

    weight: Money = column("Weight.", nullable=True, unit="kg")


def half(v: pa.DoubleArray) -> Any:
    """What an example calls."""
    return pc.divide(v, 2.0)


def _in_pairs(rule: Lookup) -> Lookup:
    """An example's lookup with what its file holds."""
    keys = [f"{n}" for n in range(30_000)]
    return rule.in_file(pa.table({"key": keys, "value": keys}), "")


@dataclass(frozen=True)
class Example:
    """A rule (alone, or last in a chain) of a column, and the n-th record that it reads."""

    column: str
    rule: Any
    record: Callable[[int], dict[str, Any]]
    title: str = ""

    @property
    def type(self) -> str:
        """The rule that it is an example of."""
        last = self.rule[-1] if isinstance(self.rule, list) else self.rule
        return str(last["type"])

    def bound(self) -> BoundMapping:
        """A mapping of this rule alone."""
        values = {"entity": "goods", "key": "id", "fields": {self.column: self.rule}}
        mapping = StreamMapping.model_validate(values)
        bound = mapping.bind(Goods, functions={"half": half}, looking=_in_pairs)
        return bound.keyed(SECRETS)

    def records(self, number: int) -> pa.BinaryArray:
        """So many records as a source sends them."""
        made = [msgspec.json.encode({"id": f"r{n}"} | self.record(n)) for n in range(number)]
        return pa.array(made, pa.binary())

    def __str__(self) -> str:
        return self.title or self.type


def models() -> dict[str, type[Rule]]:
    """Every rule that a file can write, by its type."""
    members = (get_args(member)[0] for member in get_args(get_args(OneRule)[0]))
    rules = [one for one in members if isinstance(one, type) and issubclass(one, Rule)]
    return {get_args(rule.model_fields["type"].annotation)[0]: rule for rule in rules}


def _text(n: int) -> dict[str, Any]:
    return {"v": f" Straße {n} "}


def _code(n: int) -> dict[str, Any]:
    return {"v": ("on", "off")[n % 2]}


def _amount(n: int) -> dict[str, Any]:
    return {"v": f"{n}.10", "w": "3.50"}


def _whole(n: int) -> dict[str, Any]:
    return {"v": n, "c": ("eur", "jpy")[n % 2]}


def _real(n: int) -> dict[str, Any]:
    return {"v": n / 7}


def _seldom(n: int) -> dict[str, Any]:
    return {"v": None if n % 3 else "x", "w": "y"}


def _moment(n: int) -> dict[str, Any]:
    return {"v": f"2026-01-{n % 31 + 1:02}T12:00:00Z"}


def _local(n: int) -> dict[str, Any]:
    return {"v": f"2026-01-{n % 31 + 1:02}T12:00:00"}


_ROUNDED = {"digits": 4, "rounding": "half_even"}
_UNITS = {"GRM": "g", "LBR": "lb"}

EXAMPLES = (
    Example("money", {"type": "absolute", "from": "v"}, _amount),
    Example("money", ["v", {"type": "add", "by": "1.21"}], _amount),
    Example("whole", ["v", {"type": "add", "by": 1}], _whole, "add to a whole number"),
    Example("text", ["v", {"type": "blank_to_null"}], _text),
    Example("yes", {"type": "boolean", "from": "v"}, lambda n: {"v": n % 2 == 0}),
    Example("raw", {"type": "bytes", "from": "v", "encoding": "hex"}, lambda n: {"v": f"{n:04x}"}),
    Example("text", {"type": "coalesce", "of": ["v", "w"]}, _seldom),
    Example(
        "text",
        {"type": "concat", "of": ["v", "w"], "separator": " ", "when_null": "skip"},
        _seldom,
    ),
    Example("money", {"type": "constant", "value": "0.21"}, _text),
    Example("day", {"type": "date", "from": "v"}, lambda n: {"v": f"2026-01-{n % 31 + 1:02}"}),
    Example("money", {"type": "decimal", "from": "v"}, _amount),
    Example("text", ["v", {"type": "default", "value": "?"}], _seldom),
    Example("money", ["v", {"type": "divide", "by": "1.21", **_ROUNDED}], _amount),
    Example(
        "money", ["v", {"type": "divide", "other": "w", **_ROUNDED}], _amount, "divide by another"
    ),
    Example(
        "money",
        {"type": "duration", "from": "v", "form": "proto3"},
        lambda n: {"v": f"{n}.056576s"},
    ),
    Example("word", {"type": "enumeration", "from": "v", "map": {"on": "on", "off": "off"}}, _code),
    Example("day", {"type": "epoch_date", "from": "v"}, _whole),
    Example("moment", {"type": "epoch_ms", "from": "v"}, _whole),
    Example("moment", {"type": "epoch_s", "from": "v"}, _whole),
    Example("moment", {"type": "epoch_us", "from": "v"}, _whole),
    Example(
        "text",
        ["v", {"type": "extract", "pattern": "(?P<number>[0-9]+)", "when_absent": "reject"}],
        _text,
    ),
    Example("text", ["v", {"type": "hash", "secret": "pepper"}], _text),
    Example("text", {"type": "id_or_object", "from": "v"}, lambda n: {"v": {"id": f"c{n}"}}),
    Example("whole", {"type": "integer", "from": "v"}, _whole),
    Example("json", {"type": "json", "from": "v"}, lambda n: {"v": {"a": [n]}}),
    Example("day", {"type": "local_date", "from": "v", "zone": "Europe/Amsterdam"}, _moment),
    Example("moment", {"type": "local_time", "from": "v", "zone": "Europe/Amsterdam"}, _local),
    Example(
        "moment",
        {"type": "local_time", "from": "v", "zone": "Asia/Tokyo", "format": "DD-MM-YYYY HH:mm:SS"},
        lambda n: {"v": f"{n % 28 + 1:02}-01-2026 12:00:00"},
        "local_time by its format",
    ),
    Example(
        "text",
        {"type": "lookup", "from": "v", "file": "some.csv", "key": "key", "value": "value"},
        lambda n: {"v": f"{n}"},
    ),
    Example("text", ["v", {"type": "lower"}], _text),
    Example(
        "moment",
        {"type": "microsoft_date", "from": "v"},
        lambda n: {"v": f"/Date({n}000)/"},
    ),
    Example("money", {"type": "minor_units", "from": "v", "currency": "c"}, _whole),
    Example("money", ["v", {"type": "multiply", "other": "w"}], _amount),
    Example("money", ["v", {"type": "negate"}], _amount),
    Example("real", {"type": "number", "from": "v"}, _real),
    Example("text", ["v", {"type": "pad", "length": 20, "fill": "0", "side": "left"}], _text),
    Example("text", ["v", {"type": "prefix", "text": "NL-"}], _text),
    Example("real", {"type": "python", "call": "half", "reads": {"v": "number"}}, _real),
    Example("text", ["v", {"type": "replace", "find": "ß", "with": "ss"}], _text),
    Example(
        "text", ["v", {"type": "replace", "pattern": "[0-9]", "with": "#"}], _text, "replace (RE2)"
    ),
    Example("money", ["v", {"type": "round", "digits": 0, "rounding": "half_even"}], _amount),
    Example(
        "text", ["v", {"type": "split", "separator": " ", "part": 2, "when_absent": "clear"}], _text
    ),
    Example("json", {"type": "string_list", "from": "v"}, lambda n: {"v": ["a", f"{n}"]}),
    Example("json", {"type": "string_map", "from": "v"}, lambda n: {"v": {"k": f"{n}"}}),
    Example("text", ["v", {"type": "strip_zeros"}], lambda n: {"v": f"{n:08}"}),
    Example("money", ["v", {"type": "subtract", "other": "w"}], _amount),
    Example("text", ["v", {"type": "suffix", "text": " NL"}], _text),
    Example("money", {"type": "table", "from": "v", "map": {"on": "0.21", "off": "0.09"}}, _code),
    Example("text", {"type": "text", "from": "v"}, _text),
    Example("moment", {"type": "timestamp", "from": "v"}, lambda n: {"v": "2026-01-31T12:00:00Z"}),
    Example("text", ["v", {"type": "title"}], _text),
    Example("text", ["v", {"type": "trim"}], _text),
    Example("text", ["v", {"type": "truncate", "max": 40}], _text),
    Example("weight", ["v", {"type": "unit", "is": "g", "to": "kg"}], _amount),
    Example("real", ["v", {"type": "unit", "is": "cm", "to": "m"}], _real, "unit (floating)"),
    Example(
        "weight",
        ["v", {"type": "unit", "is_from": "u", "units": _UNITS, "to": "kg", **_ROUNDED}],
        lambda n: {"v": f"{n}.5", "u": ("GRM", "LBR")[n % 2]},
        "unit (of each record)",
    ),
    Example("text", ["v", {"type": "upper"}], _text),
    Example("text", {"type": "word", "from": "v"}, lambda n: {"v": n if n % 2 else f"{n} A"}),
    Example(
        "money",
        {"type": "written_number", "from": "v", "decimal": ",", "thousands": "."},
        lambda n: {"v": f"1.{n % 1000:03},50"},
    ),
)
