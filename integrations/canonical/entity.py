"""What every canonical entity is made of: typed columns that say what they mean.

A model declares columns and checks of single values only. It declares no uniqueness and nothing
over more than one row: a batch is no whole, and keys are settled where batches meet, in staging.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

import pandas as pd
import pandera.pandas as pda
import pyarrow as pa
import pyarrow.compute
from pandera.errors import SchemaErrors

from integrations.errors import StopStream
from integrations.storage.tables import Column, ColumnType, TableSpec

pc: Any = pyarrow.compute  # its stubs know no types of ours
Text = Annotated[pd.ArrowDtype, pa.string()]
Integer = Annotated[pd.ArrowDtype, pa.int64()]
Float = Annotated[pd.ArrowDtype, pa.float64()]
Bool = Annotated[pd.ArrowDtype, pa.bool_()]
Timestamp = Annotated[pd.ArrowDtype, pa.timestamp("us", tz="UTC")]
Date = Annotated[pd.ArrowDtype, pa.date32()]
Money = Annotated[pd.ArrowDtype, pa.decimal128(38, 9)]
"""An exact decimal in major units (12.10 EUR). Every amount has its currency in a column beside."""
Quantity = Annotated[pd.ArrowDtype, pa.decimal128(38, 9)]
"""An exact decimal that is no money: a weight, a count, a percentage."""
Json = Annotated[pd.ArrowDtype, pa.json_(pa.string())]
Bytes = Annotated[pd.ArrowDtype, pa.binary()]

CURRENCY = r"^[A-Z]{3}$"
COUNTRY = r"^[A-Z]{2}$"

POSTGRES: dict[pa.DataType, ColumnType] = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): "timestamptz",
    pa.date32(): "date",
    pa.decimal128(38, 9): "numeric",
    pa.json_(pa.string()): "jsonb",
    pa.binary(): "bytea",
}


def column(
    description: str,
    *,
    unit: str | None = None,
    personal: bool = False,
    nullable: bool = False,
    **checks: Any,
) -> Any:
    """A column and what it means; `checks` are pandera's (`isin`, `str_matches`, `ge` …).

    `unit` is a UCUM code (`kg`, `cm`, `%`), `UTC`, or the name of the column that holds an amount's
    currency or a value's unit. `personal` columns are masked wherever people look (previews, pages,
    alerts), never in tables.
    """
    about = {"unit": unit, "personal": personal}
    return pda.Field(description=description, nullable=nullable, metadata=about, **checks)


@dataclass(frozen=True)
class EntityColumn:
    """One column of an entity; `allowed` holds the words of an enumeration, else it is empty.
    `checks` are all that a value is held to, in pandera's words."""

    name: str
    type: pa.DataType
    nullable: bool
    description: str
    unit: str | None
    personal: bool
    allowed: tuple[str, ...]
    checks: tuple[str, ...] = ()

    @property
    def is_money(self) -> bool:
        """Whether it is an amount; its unit is then the column that holds its currency."""
        return pa.types.is_decimal(self.type) and (self.unit or "").endswith("currency")


@dataclass(frozen=True)
class Definition:
    """All that a model says. Two models of one entity are the same where these are equal.

    `key` says what a row's `source_id` is made from, for people: names of columns, or words.
    """

    name: str
    summary: str
    key: str
    version: int
    columns: tuple[EntityColumn, ...]


@dataclass(frozen=True)
class Fault:
    """One value that a model refuses: the row's position, the column, the check and why.

    `reason` ends a sentence that began with the value.
    """

    row: int
    column: str
    check: str
    reason: str


class Entity(pda.DataFrameModel):
    """Base of the canonical models: `class Parcel(Entity, key="parcel_id", version=2)`.

    A subclass's docstring is the comment of its table. `key` says what a row's `source_id` is made
    from. `version` is raised where a column means something else than before: mappings are then new
    too, and what was loaded before shows as out of date.
    """

    _key = "the source's id"
    _version = 1

    class Config:
        strict = True
        coerce = False

    def __init_subclass__(
        cls, *, key: str | None = None, version: int | None = None, **settings: Any
    ) -> None:
        """Raises TypeError for a column that would hide a part of the model, or be hidden."""
        for name in inspect.get_annotations(cls):
            if name.startswith("_") or hasattr(Entity, name):
                raise TypeError(f"a column of {cls.__name__} cannot be called {name!r}")
        super().__init_subclass__(**settings)  # type: ignore[no-untyped-call]  # pandera's has none
        cls._key, cls._version = key or cls._key, version or cls._version

    @classmethod
    def entity_name(cls) -> str:
        """The class's name as a table's: `SettlementLine` is `settlement_line`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    @cache
    def columns(cls) -> tuple[EntityColumn, ...]:
        """The columns in the order in which the model declares them."""
        # Not pandera's own dtypes: it takes Arrow's JSON type for binary.
        types = get_type_hints(cls, include_extras=True)
        return tuple(
            EntityColumn(
                name=name,
                type=types[name].__metadata__[0],
                nullable=spec.nullable,
                description=spec.description or "",
                unit=(spec.metadata or {}).get("unit"),
                personal=(spec.metadata or {}).get("personal", False),
                allowed=_allowed(spec.checks),
                checks=tuple(str(check.error or check.name) for check in spec.checks),
            )
            for name, spec in cls.to_schema().columns.items()
        )

    @classmethod
    @cache
    def definition(cls) -> Definition:
        """All that the model says."""
        summary = " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())
        return Definition(cls.entity_name(), summary, cls._key, cls._version, cls.columns())

    @classmethod
    @cache
    def table(cls) -> TableSpec:
        """The Postgres table that holds the entity, without key and system columns."""
        columns = tuple(
            Column(c.name, POSTGRES[c.type], required=not c.nullable, comment=_comment(c))
            for c in cls.columns()
        )
        said = cls.definition()
        comment = f"{said.summary} Key: {said.key}. Version {said.version}.".lstrip()
        return TableSpec(said.name, columns, comment)

    @classmethod
    def faults(cls, table: pa.Table) -> list[Fault]:
        """Values of the table that the model refuses; none means that all rows pass.

        Those that are missing come first, and a failed check may hide others: drop the rows and ask
        again until the list is empty.
        Raises `StopStream` where the table itself does not fit the model.
        """
        if missing := list(cls._missing(table)):
            return missing
        frame = table.to_pandas(types_mapper=pd.ArrowDtype)
        try:
            cls.validate(frame, lazy=True)
        except SchemaErrors as errors:
            return list(_faults(cls.entity_name(), errors.failure_cases))
        return []

    @classmethod
    def refuses(cls, name: str, value: "pa.Scalar[Any]") -> list[str]:
        """What the model has against a value of one column, as ends of a sentence."""
        values: Any = pa.array([value.as_py()], value.type)
        frame = pa.table({name: values}).to_pandas(types_mapper=pd.ArrowDtype)
        spec = cls.to_schema().columns[name]
        try:
            pda.DataFrameSchema({name: pda.Column(checks=spec.checks)}).validate(frame, lazy=True)
        except SchemaErrors as errors:
            return [fault.reason for fault in _faults(cls.entity_name(), errors.failure_cases)]
        return []

    @classmethod
    def _missing(cls, table: pa.Table) -> Iterator[Fault]:
        """The values that are required and not there. Found by Arrow: most batches have some, and
        pandera would have to look at these batches twice."""
        for place in cls.columns():
            if not place.nullable and place.name in table.column_names:
                for row in pc.indices_nonzero(pc.is_null(table[place.name])).to_pylist():
                    yield Fault(row, place.name, *_words("not_nullable"))


def _faults(entity: str, cases: pd.DataFrame) -> Iterator[Fault]:
    names = ("column", "check", "failure_case", "index")
    for column_, check, value, row in zip(*(cases[name] for name in names), strict=True):
        name, reason = _words(str(check))
        # pandera looks at decimals one by one, and then a wrong type has rows too.
        if name == "dtype" or row is None or pd.isna(row):
            raise StopStream(f"{entity}: the frame fails {check} at {column_ or value}")
        yield Fault(int(row), str(column_), name, reason)


def _words(check: str) -> tuple[str, str]:
    """A check's name, and what failing it means; pandera gives `isin(['a', 'b'])` and the like."""
    if check == "not_nullable":
        return "required", "gives nothing, and the column is required"
    name, _, arguments = check.removesuffix(")").partition("(")
    if name == "isin":
        return name, f"is none of {arguments.strip('[()],')}"
    if name == "str_matches":
        return name, f"does not match {arguments}"
    return name, f"fails {check}"


def _allowed(checks: list[pda.Check]) -> tuple[str, ...]:
    for check in checks:
        if check.name == "isin" and check.statistics:
            return tuple(check.statistics["allowed_values"])
    return ()


def _comment(column_: EntityColumn) -> str:
    unit = f" Unit: {column_.unit}." if column_.unit else ""
    personal = " Personal data." if column_.personal else ""
    return f"{column_.description}{unit}{personal}"
