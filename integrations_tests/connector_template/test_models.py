"""A user's own entity: a model beside the connector's file or in a package, as good as a shipped one."""

import sys
from pathlib import Path

import dagster as dg
import pytest

from integrations.canonical import ENTITIES
from integrations.connector_template.connector import read_connector
from integrations.connector_template.folders import read
from integrations.orchestration.code_location import build
from integrations.transformation.describe import mapping_hash
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.connector_template.test_mistakes import said

BUYERS = "      entity: customer\n      key: number\n      fields: {name: name, email: email}\n"
PARCEL = """\
from integrations.canonical.entity import Entity, Integer, Quantity, Text, column


class Parcel(Entity, key="the parcel's number"):
    \"\"\"A parcel as we see it.\"\"\"

    name: Text = column("Who gets it.", personal=True)
    weight: Quantity = column("How heavy it is.", unit="kg", nullable=True)
"""
HEAVIER = PARCEL.replace('"kg"', '"g"')


def named(entity: str) -> str:
    """The florist, whose buyers become this entity."""
    return changed((BUYERS, BUYERS.replace("customer", entity).replace(", email: email", "")))


def florist(folder: Path, entity: str = "schema:Parcel", *, schema: str = PARCEL) -> Path:
    """Its folder, with a schema.py beside the file."""
    write(folder, named(entity))
    (folder / "schema.py").write_text(schema)
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that can be imported, with the model in its module `models`."""
    made = tmp_path / "site" / "our_things"
    made.mkdir(parents=True)
    (made / "__init__.py").write_text("")
    (made / "models.py").write_text(PARCEL)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield made  # type: ignore[misc]  # a fixture
    for name in [name for name in sys.modules if name.split(".")[0] == "our_things"]:
        del sys.modules[name]


@pytest.mark.parametrize("entity", ["schema:Parcel", "our_things.models:Parcel"])
@pytest.mark.parametrize("head", ["", "from __future__ import annotations\n"])
def test_a_model_of_ones_own_is_an_entity(
    tmp_path: Path, package: Path, entity: str, head: str
) -> None:
    """Its class names table and asset, and its columns are known, however they are annotated."""
    (package / "models.py").write_text(head + PARCEL)
    connector = read_connector(florist(tmp_path / "florist", entity, schema=head + PARCEL))

    table = connector.mappings["buyers"].entity.table()

    assert connector.entities.keys() == {"payment", "parcel"}
    assert (table.entity, [(c.name, c.type) for c in table.columns]) == (
        "parcel",
        [("name", "text"), ("weight", "numeric")],
    )
    assert table.comment == "A parcel as we see it. Key: the parcel's number. Version 1."


def test_its_version_makes_another_mapping(tmp_path: Path) -> None:
    """And so does what a column takes; what is said of it does not."""
    models = [
        PARCEL,
        PARCEL.replace('number"', 'number", version=2'),
        PARCEL.replace("nullable=True", "nullable=True, ge=0"),
        PARCEL.replace("How heavy", "How very heavy"),
    ]
    hashes = [
        mapping_hash(
            read_connector(florist(tmp_path / str(n) / "f", schema=one)).mappings["buyers"]
        )
        for n, one in enumerate(models)
    ]
    assert len(set(hashes[:3])) == 3
    assert hashes[3] == hashes[0]


BODY = "class Parcel(Entity):\n    name: Text = column('A.')\n"
MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "no such shipped entity": (
        "parcel_thing",
        PARCEL,
        [
            f"no entity 'parcel_thing'; there are {', '.join(ENTITIES)}, and your own: `schema:Class`"
        ],
    ),
    "no name at all": (
        "Parcel",
        PARCEL,
        [
            "`transformer.buyers.entity`: it is the name of an entity, or a model of your own as "
            "`module:Class`"
        ],
    ),
    "no such class": (
        "schema:Parcl",
        PARCEL,
        ["`schema:Parcl`: schema has no 'Parcl'; did you mean 'Parcel'?"],
    ),
    "no class at all": (
        "schema:column",
        PARCEL,
        ["`schema:column` is no subclass of integrations.canonical.entity.Entity"],
    ),
    "the base itself": (
        "schema:Entity",
        PARCEL,
        ["`schema:Entity` is no subclass of integrations.canonical.entity.Entity"],
    ),
    "no such file": (
        "scheme:Parcel",
        PARCEL,
        [
            "'scheme' cannot be imported: ModuleNotFoundError: No module named 'scheme', and no "
            "scheme.py is beside the file"
        ],
    ),
    "no such module": (
        "nowhere.models:Parcel",
        PARCEL,
        ["'nowhere.models' cannot be imported: ModuleNotFoundError: No module named 'nowhere'"],
    ),
    "a file that stops": (
        "schema:Parcel",
        f"{PARCEL}\n1 / 0\n",
        ["schema.py:10: cannot be imported: ZeroDivisionError: division by zero"],
    ),
    "a file that is no Python": (
        "schema:Parcel",
        f"{PARCEL}\nclass\n",
        ["schema.py:10: cannot be imported: SyntaxError: invalid syntax (schema.py, line 10)"],
    ),
    "a column that hides the model": (
        "schema:Parcel",
        PARCEL.replace("name: Text", "table: Text"),
        ["schema.py:4: cannot be imported: TypeError: a column of Parcel cannot be called 'table'"],
    ),
    "a column of another type": (
        "schema:Parcel",
        PARCEL.replace("weight: Quantity", "weight: int"),
        [
            "`schema:Parcel` is no entity: the column 'weight' has a type of its own; a column is "
            "Text, Integer, Float, Bool, Timestamp, Date, Money, Quantity, Json or Bytes"
        ],
    ),
    "two mistakes of a model": (
        "schema:Parcel",
        PARCEL.replace("unit=", "unique=True, unit=").replace(
            "\n    name", "\n    class Config:\n        unique = ['name']\n\n    name"
        ),
        [
            "`schema:Parcel` is no entity: it looks at whole batches of rows; checks are of single "
            "values",
            "`schema:Parcel` is no entity: the column 'weight' is unique, which a batch of rows "
            "cannot show",
        ],
    ),
    "an index, and a check of a whole batch": (
        "schema:Parcel",
        f"import pandera.pandas as pda\nfrom pandera.typing import Index\n{PARCEL}"
        "    place: Index[int]\n\n    @pda.dataframe_check\n    def whole(cls, frame):\n"
        "        return True\n",
        [
            "`schema:Parcel` is no entity: it has an index, and rows have none",
            "`schema:Parcel` is no entity: it looks at whole batches of rows; checks are of single "
            "values",
        ],
    ),
    "a column of ours": (
        "schema:Parcel",
        PARCEL.replace("weight: Quantity", "source_id: Text"),
        ["`schema:Parcel` is no entity: parcel: 'source_id' cannot be a column's name"],
    ),
    "a name that is a view's": (
        "schema:ParcelLive",
        PARCEL.replace("class Parcel", "class ParcelLive"),
        ["`schema:ParcelLive` is no entity: 'parcel_live' cannot be an entity's name"],
    ),
    "a column that the model lacks": (
        "schema:Parcel",
        PARCEL.replace("    name: Text", "    nome: Text"),
        [
            "`nome` of parcel is required, and no rule fills it",
            "parcel has no column 'name'; did you mean 'nome'?",
        ],
    ),
}


@pytest.mark.parametrize(("entity", "schema", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_shown_with_its_line(
    tmp_path: Path, entity: str, schema: str, expected: list[str]
) -> None:
    """Each in a line of its own, at the mapping that names the model."""
    found = said(florist(tmp_path / "florist", entity, schema=schema))

    line = 33 if "lacks" in str(expected) or "of parcel is required" in expected[0] else 31
    assert found == [f"defs.yaml:{line}: {message}" for message in expected]


def test_an_entity_is_defined_once(tmp_path: Path) -> None:
    """A second model under the name of a first, that is not the same, is a mistake that names both:
    in another connector the first goes on, and the same model in two files is one."""
    first, same, other = (
        florist(tmp_path / name, schema=schema)
        for name, schema in {"one": PARCEL, "two": PARCEL, "three": HEAVIER}.items()
    )

    loaded, broken = read([first, same, other])

    assert [connector.folder for connector in loaded] == [first, same]
    assert [str(mistake) for mistake in broken[other].mistakes] == [
        f"{other}/defs.yaml:31: the entity 'parcel' of {other}/schema.py:Parcel is another than "
        f"that of {first}/schema.py:Parcel; an entity is defined once: rename one of the classes"
    ]


def test_what_does_not_load_defines_nothing(tmp_path: Path) -> None:
    """A connector with a mistake takes no other down."""
    first, other = florist(tmp_path / "one"), florist(tmp_path / "two", schema=HEAVIER)
    (first / "defs.yaml").write_text((first / "defs.yaml").read_text().replace("title", "titel"))

    loaded, broken = read([first, other])

    assert ([connector.folder for connector in loaded], list(broken)) == ([other], [first])


def test_an_entity_is_defined_once_in_a_file_too(tmp_path: Path) -> None:
    """The second mapping is the one that is wrong."""
    text = named("schema:Parcel").replace("entity: payment", "entity: other:Parcel")
    folder = write(tmp_path / "florist", text)
    (folder / "schema.py").write_text(PARCEL)
    (folder / "other.py").write_text(HEAVIER)

    second = [one for one in said(folder) if "is another than" in one]

    assert second == [
        "defs.yaml:31: the entity 'parcel' of schema.py:Parcel is another than that of "
        "other.py:Parcel; an entity is defined once: rename one of the classes"
    ]


def test_a_shipped_entity_is_defined_once(tmp_path: Path) -> None:
    """Nobody gets another `payment` than the others, even where none of these is used."""
    schema = PARCEL.replace("class Parcel", "class Refund")

    (found,) = said(florist(tmp_path / "florist", "schema:Refund", schema=schema))

    ours = Path(sys.modules[ENTITIES["refund"].__module__].__file__ or "")
    assert found == (
        f"defs.yaml:31: the entity 'refund' of schema.py:Refund is another than that of {ours}:Refund"
        "; an entity is defined once: rename one of the classes"
    )


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    """Also within a second, and by as many bytes."""
    folder = florist(tmp_path / "florist")
    assert read_connector(folder).mappings["buyers"].entity.columns()[1].unit == "kg"
    (folder / "schema.py").write_text(PARCEL.replace('"kg"', '"mg"'))
    assert read_connector(folder).mappings["buyers"].entity.columns()[1].unit == "mg"
    assert sorted(path.name for path in folder.iterdir()) == ["defs.yaml", "schema.py"]


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster")
def test_it_has_its_node_in_the_lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the entity's name, with its columns, fed by every connector that fills it."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))
    found = build([florist(tmp_path / "own" / name) for name in ("florist", "grower")])

    (node,) = [
        s for s in found.resolve_all_asset_specs() if s.key == dg.AssetKey(["canonical", "parcel"])
    ]

    assert {dep.asset_key.to_user_string() for dep in node.deps} == {
        "florist/main/buyers",
        "grower/main/buyers",
    }
    assert node.metadata["dagster/table_name"] == "canonical.parcel_live"
    columns = {column.name for column in node.metadata["dagster/column_schema"].columns}
    assert columns == {"source_id", "name", "weight"}
    assert node.tags["integrations/entity"] == "parcel"
