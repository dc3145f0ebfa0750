"""The canonical models: what each one promises about its columns, and what it refuses."""

import re
import subprocess
import sys
from decimal import Decimal

import pyarrow as pa
import pytest

from integrations.canonical import ENTITIES
from integrations.canonical.entity import POSTGRES, Entity, Json, Money, Quantity, Text, column
from integrations.errors import StopStream

MONEY = pa.decimal128(38, 9)


UCUM = {"kg", "cm", "m", "deg", "%", "dB", "dB{mW}", "{piece}", "{package}"}
"""The units of our models: https://ucum.org; what stands in braces is a remark."""


class Sample(Entity, key="state, or the source's id", version=3):
    """A model
    for the tests.

    Nobody loads it.
    """

    amount: Money = column("An amount.", unit="currency")
    currency: Text = column("Its currency.", str_matches=r"^[A-Z]{3}$")
    state: Text = column("A word.", isin=("on", "off"), nullable=True)
    extra: Json = column("More.", nullable=True, personal=True)


def frame(**columns: list[object]) -> pa.Table:
    values = {"amount": ["1"], "currency": ["EUR"], "state": ["on"], "extra": ["{}"]} | columns
    return pa.table(
        {
            "amount": pa.array([v and Decimal(str(v)) for v in values["amount"]], MONEY),
            "currency": pa.array(values["currency"], pa.string()),
            "state": pa.array(values["state"], pa.string()),
            "extra": pa.ExtensionArray.from_storage(
                pa.json_(pa.string()), pa.array(values["extra"], pa.string())
            ),
        }
    )


@pytest.mark.parametrize("name", ENTITIES)
def test_an_entity_is_found_under_its_own_name(name: str) -> None:
    """The mapping's key, the class, the module and the table share one name."""
    entity = ENTITIES[name]
    module = entity.__module__.rpartition(".")[2].removesuffix("_")  # `return` is Python's
    assert (entity.entity_name(), module) == (name, name)
    assert entity.table().entity == name


@pytest.mark.parametrize("name", ENTITIES)
def test_every_column_says_what_it_means(name: str) -> None:
    """Descriptions end up in Postgres, in Dagster and in the field tables."""
    assert [
        c.name for c in ENTITIES[name].columns() if not c.description.endswith((".", "…"))
    ] == []


@pytest.mark.parametrize("name", ENTITIES)
def test_every_amount_has_its_currency_beside_it(name: str) -> None:
    """The unit of a money column is the column that holds its currency; required with it."""
    columns = {c.name: c for c in ENTITIES[name].columns()}
    for amount in (c for c in columns.values() if c.is_money):
        currency = columns[amount.unit or ""]
        assert currency.checks == ("str_matches('^[A-Z]{3}$')",)
        assert amount.nullable or not currency.nullable


@pytest.mark.parametrize("name", ENTITIES)
def test_every_unit_is_a_code_or_a_column(name: str) -> None:
    """Moments are in UTC; decimals and what a column's name says a unit of have one."""
    columns = {c.name: c for c in ENTITIES[name].columns()}
    for one in columns.values():
        if one.type == pa.timestamp("us", tz="UTC"):
            assert one.unit == "UTC"
        elif one.type == MONEY or one.unit or re.search("_(kg|cm|m|db|dbm|pct)$", one.name):
            assert one.unit in UCUM | columns.keys()


PERSONAL = re.compile(
    "^(email|phone|street|house_number|remittance|.*(name|postal_code|city|iban))$"
)
NOT = {"product.name", "product_name", "code.name", "sensor_device.name", "file_name"}
"""Names of things."""


@pytest.mark.parametrize("name", ENTITIES)
def test_personal_data_are_marked(name: str) -> None:
    """Who, where and how to reach them: what is masked wherever people look."""
    columns = ENTITIES[name].columns()
    found = {c.name for c in columns if PERSONAL.match(c.name)}
    people = {c for c in found if c not in NOT and f"{name}.{c}" not in NOT}
    assert people <= {c.name for c in columns if c.personal}


@pytest.mark.parametrize("name", ENTITIES)
def test_a_status_has_the_sources_word_beside_it(name: str) -> None:
    """What an enumeration cannot say is not lost."""
    columns = {c.name: c for c in ENTITIES[name].columns()}
    if "status" in columns and columns["status"].allowed:
        assert columns["status_raw"].nullable == columns["status"].nullable


@pytest.mark.parametrize("name", ENTITIES)
def test_no_model_looks_over_more_than_one_row(name: str) -> None:
    """Keys are settled in staging; a model sees batches, which are no whole."""
    schema = ENTITIES[name].to_schema()
    assert (schema.unique, schema.checks) == (None, [])
    assert not any(c.unique for c in schema.columns.values())


def test_a_model_becomes_a_table() -> None:
    """Types, requirements and comments of the columns carry over."""
    table = Sample.table()
    assert [(c.name, c.type, c.required) for c in table.columns] == [
        ("amount", "numeric", True),
        ("currency", "text", True),
        ("state", "text", False),
        ("extra", "jsonb", False),
    ]
    assert table.columns[0].comment == "An amount. Unit: currency."
    assert table.columns[3].comment == "More. Personal data."
    assert table.comment == ("A model for the tests. Key: state, or the source's id. Version 3.")


class Small(Sample, version=4):
    """A model made of another."""

    more: Quantity = column("More.", unit="kg", ge=0)


def test_a_model_says_all_of_itself() -> None:
    """What is compared, hashed and documented; a model made of another takes over its key."""
    said = Small.definition()
    assert (said.name, said.summary, said.version) == ("small", "A model made of another.", 4)
    assert said.key == Sample.definition().key
    assert [c.name for c in said.columns] == ["amount", "currency", "state", "extra", "more"]
    assert said.columns[-1].checks == ("greater_than_or_equal_to(0)",)
    assert [c.name for c in said.columns if c.is_money] == ["amount"]


@pytest.mark.parametrize("name", ["table", "validate", "_hidden"])
def test_a_column_hides_no_part_of_the_model(name: str) -> None:
    """Nor is it hidden itself: pandera overlooks what begins with an underscore."""
    with pytest.raises(TypeError, match=f"Bad cannot be called '{name}'"):
        type("Bad", (Entity,), {"__annotations__": {name: Text}, name: column("X.")})


def test_columns_know_their_words() -> None:
    """An enumeration's words are known before any record comes."""
    assert {c.name: c.allowed for c in Sample.columns() if c.allowed} == {"state": ("on", "off")}


def test_every_arrow_type_of_an_entity_has_a_postgres_type() -> None:
    """No model can declare what the loader cannot store."""
    used = {c.type for entity in ENTITIES.values() for c in entity.columns()}
    assert used <= POSTGRES.keys()


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({}, []),
        ({"amount": [None]}, [(0, "amount", "required")]),
        ({"currency": ["eur"]}, [(0, "currency", "str_matches")]),
        ({"currency": ["EURO"]}, [(0, "currency", "str_matches")]),
        ({"state": ["maybe"]}, [(0, "state", "isin")]),
        ({"state": [None], "extra": [None]}, []),
        (
            {"amount": ["1", "3", "2"], "currency": ["EUR", "x", "USD"]}
            | {"state": ["on", "off", "?"], "extra": [None] * 3},
            [(1, "currency", "str_matches"), (2, "state", "isin")],
        ),
        (  # what is missing comes first, and the rest when it is asked again
            {"amount": ["1", None], "currency": ["x", "EUR"]}
            | {"state": ["on"] * 2, "extra": [None] * 2},
            [(1, "amount", "required")],
        ),
    ],
)
def test_a_model_names_every_value_that_it_refuses(
    columns: dict[str, list[object]], found: list[tuple[int, str, str]]
) -> None:
    """Each fault has its row, its column and the check that failed."""
    assert [(f.row, f.column, f.check) for f in Sample.faults(frame(**columns))] == found


@pytest.mark.parametrize(
    "table",
    [
        frame().drop_columns("state"),
        frame().append_column("more", pa.array(["x"])),
        frame().set_column(0, "amount", pa.array([1.0])),
    ],
    ids=["a column is missing", "a column too many", "another type"],
)
def test_a_frame_that_is_not_the_models_stops_the_stream(table: pa.Table) -> None:
    """Structural failure is no row's fault."""
    with pytest.raises(StopStream, match="sample: the frame fails"):
        Sample.faults(table)


def test_looking_at_names_imports_no_pandera() -> None:
    """A process that needs no model does not pay for pandas and pandera."""
    code = (
        "import sys; from integrations.canonical import ENTITIES; sorted(ENTITIES)\n"
        "import integrations.transformation.mapping\n"
        "print([m for m in ('pandas', 'pandera') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_entity_is_no_import_error() -> None:
    """Looking up a misspelt name says that there is none, as any mapping does."""
    assert "custmer" not in ENTITIES
    assert ENTITIES.get("custmer") is None
