"""The canonical models: what each one promises about its columns, and what it refuses."""

import subprocess
import sys
from decimal import Decimal

import pyarrow as pa
import pytest

from integrations.canonical import ENTITIES
from integrations.canonical.entity import POSTGRES, Entity, Json, Money, Text, column
from integrations.errors import StopStream

MONEY = pa.decimal128(38, 9)


class Sample(Entity):
    """A model for the tests."""

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
    assert (entity.entity_name(), entity.__module__.rpartition(".")[2]) == (name, name)
    assert entity.table().entity == name


@pytest.mark.parametrize("name", ENTITIES)
def test_every_column_says_what_it_means(name: str) -> None:
    """Descriptions end up in Postgres, in Dagster and in the field tables."""
    assert [
        c.name for c in ENTITIES[name].columns() if not c.description.endswith((".", "…"))
    ] == []


@pytest.mark.parametrize("name", ENTITIES)
def test_every_amount_has_its_currency_beside_it(name: str) -> None:
    """The unit of a money column is the column that holds its currency."""
    columns = {c.name: c for c in ENTITIES[name].columns()}
    for amount in (c for c in columns.values() if c.type == MONEY):
        assert columns[amount.unit or ""].name.endswith("currency")


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
    assert table.comment == "A model for the tests."


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
