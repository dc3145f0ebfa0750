"""Enrichment in Dagster: the dependency is drawn, column by column, and shows when it has moved on."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from integrations.connector_template.connector import BoundStream, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.transformation.lookup import Needed, Pairs
from integrations.transformation.rule import TEXT
from integrations.transformation.transform import Transformer
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import write_looking
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, Floor, failure
from integrations_tests.orchestration.graphql import catalogue
from integrations_tests.orchestration.one_field import (
    COLUMNS,
    Read,
    changes,
    leaves,
    rows_of,
    with_,
)
from integrations_tests.orchestration.test_stale import BEHIND, FRESH, Shown, Version

OPEN = ("value: code}", "value: code, when_missing: null}")
"""A record that finds nothing makes a row too: else it could not be seen what has changed."""
ORDERS, BUYERS = "florist/main/orders", "florist/main/buyers"
STATES, METHODS = "florist/states.csv", "shop/methods"
ORDER: dict[str, Any] = {
    "number": "1", "total": "1.5", "currency": "EUR", "state": "open", "buyer": "b1",
    "ordered_at": "2026-01-01T08:00:00Z", "shop": {"number": 31}, "paid": {"by": "i"},
}  # fmt: skip
BUYER: dict[str, Any] = {
    "number": "b1", "code": "A", "phone": "31", "email": "a@x.example", "name": "Anna",
    "blocked": False,
}  # fmt: skip
OTHER = BUYER | {"number": "b2", "code": "B", "phone": "32", "email": "b@x.example"}
METHOD = {"code": "i", "name": "iDEAL"}
VALUES = ("USD", "done", "lost", "b2", 32, "32", "2026-01-03T00:00:00Z")
"""What else a field is changed to."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_looking(tmp_path_factory.mktemp("looking") / "florist", OPEN)


@pytest.fixture(scope="module")
def streams(folder: Path) -> dict[str, BoundStream]:
    return {str(stream.id): stream for stream in read_connector(folder).streams()}


@pytest.fixture(scope="module")
def read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    home = make_settings(tmp_path_factory.mktemp("looking") / "home").home
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("INTEGRATIONS_HOME", str(home))
        with catalogue(folder, instance) as catalogued:
            yield Read(catalogued.ask(COLUMNS, keys=None)["assetNodes"])


def test_the_dependency_is_drawn(folder: Path) -> None:
    """From the table of the other stream, the file and the user's table to canonical, and to
    nothing else."""
    graph = build([folder]).resolve_asset_graph()
    drawn = {
        (parent.to_user_string(), node.key.to_user_string())
        for node in graph.asset_nodes
        for parent in node.parent_keys
        if parent.to_user_string() in (BUYERS, STATES, METHODS)
    }
    to = f"{ORDERS}_canonical"
    assert drawn == {(BUYERS, to), (STATES, to), (METHODS, to), (BUYERS, "canonical/customer")}
    (job,) = (one for one in build([folder]).resolve_all_job_defs() if one.name.endswith("__sync"))
    order = [node.name for node in job.nodes_in_topological_order]
    assert order.index("florist__main__buyers") < order.index("florist__main__orders")


def test_lineage_names_only_columns_that_are_there(read: Read) -> None:
    """Those of the file and of the table too."""
    ends = {*read.sources, *(source for found in read.sources.values() for source in found)}
    assert {end for end in ends if end[1] not in read.columns[end[0]]} == set()
    assert read.sources[f"{ORDERS}_canonical", "description"] == {
        (f"{ORDERS}_raw", "buyer"), (BUYERS, "code"), (BUYERS, "source_id"),
    }  # fmt: skip


def test_lineage_is_what_a_changed_field_changes(
    read: Read, streams: Mapping[str, BoundStream]
) -> None:
    """One field at a time: of the record itself, of a buyer's record, and of a row of the table."""
    as_they_are = Tables(_rows(streams[BUYERS], [BUYER, OTHER]), [METHOD])
    orders = as_they_are.transformer(streams[ORDERS])
    own = changes(streams[ORDERS], [ORDER], others=VALUES, transformer=orders)
    found = {(f"{ORDERS}_raw", path, column) for path, column in own}
    before = rows_of(orders, [ORDER])[0]
    for asset, path, tables in _changed(streams[BUYERS], as_they_are):
        after = rows_of(tables.transformer(streams[ORDERS]), [ORDER])[0]
        found |= {(asset, path, name) for name, value in after.items() if value != before[name]}
    drawn = {
        (asset, path, column)
        for table, column in read.sources
        if table == ORDERS
        for asset, path in read.origins((table, column))
    }
    # A key that a file lacks is refused, and its words are held to the column's: no cell can change.
    assert {one for one in drawn if one[0] == STATES} == {
        (STATES, "state", "status"), (STATES, "ours", "status"),
    }  # fmt: skip
    assert found == {one for one in drawn if one[0] != STATES}


@dataclass(frozen=True)
class Tables:
    """What orders are looked up in: the rows of buyers, and of the table of methods."""

    buyers: list[dict[str, Any]]
    methods: list[dict[str, Any]]

    def transformer(self, orders: BoundStream) -> Transformer:
        tables = {one: self._pairs(one) for one in orders.mapping.needs}
        return Transformer(orders.mapping, tables=tables)

    def _pairs(self, needed: Needed) -> Pairs:
        rows = self.buyers if needed.stream else self.methods
        columns = [[_text(row[name]) for row in rows] for name in (needed.key, needed.value)]
        arrays = [pa.array(column, TEXT) for column in columns]
        return Pairs.of(pa.table(arrays, names=["key", "value"]), needed.type)


def _changed(buyers: BoundStream, tables: Tables) -> Iterator[tuple[str, str, Tables]]:
    """The tables with one field of one record changed: that of a buyer, as far as it is one
    afterwards, and that of a method."""
    others = [(path, other) for path in leaves(BUYER) for other in ("x", 7, True, None)]
    records = [with_(BUYER, path, other) for path, other in others]
    for at, row in rows_of(Transformer(buyers.mapping), records).items():
        changed = replace(tables, buyers=[row, *tables.buyers[1:]])
        yield f"{BUYERS}_raw", others[at][0], changed
    for path in METHOD:
        yield METHODS, path, replace(tables, methods=[METHOD | {path: "x"}])


def _rows(stream: BoundStream, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(rows_of(Transformer(stream.mapping), records).values())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@pytest.fixture
def enriched(floor: Floor, tmp_path: Path) -> Iterator[Shown]:
    """Charges that are told the currency of their customer."""
    folder = Path(shutil.copytree(SHIPPED / "stripe", tmp_path / "stripe"))
    file = folder / "defs.yaml"
    text, lookup = (
        file.read_text(),
        ("[{type: id_or_object, from: customer}, {type: lookup, stream: customers, value: email}]"),
    )
    assert text.count("failure_code: failure_code") == 1
    file.write_text(text.replace("failure_code: failure_code", f"failure_code: {lookup}"))
    with catalogue(folder, floor.instance) as catalogued:
        version = Version(build([folder]), catalogued)
        yield Shown(floor, version, version)


def test_a_run_looks_up_what_was_loaded(enriched: Shown) -> None:
    """First it says what has to be synced. Once that is loaded again, canonical is stale, until a
    replay."""
    by = enriched.before
    failed = enriched.run(*keys.trio(CHARGES), by=by)
    assert "Sync `stripe/sandbox/customers` first." in failure(failed)
    enriched.stream = CUSTOMERS
    enriched.well(*keys.trio(CUSTOMERS), by=by)
    enriched.stream = CHARGES
    enriched.well(*keys.trio(CHARGES), by=by)
    assert enriched.trio(by) == [FRESH, FRESH, FRESH]
    (found,) = enriched.floor.rows(
        "SELECT count(*), count(failure_code), count(*) FILTER (WHERE failure_code = email)"
        " FROM canonical.payment p LEFT JOIN canonical.customer c ON p.customer_id = c.source_id"
    )
    assert found[0] > found[1] == found[2] > 0
    enriched.stream = CUSTOMERS
    enriched.well(*keys.trio(CUSTOMERS), by=by)
    enriched.stream = CHARGES
    assert enriched.trio(by) == [FRESH, BEHIND, FRESH]
    enriched.well(*keys.trio(CHARGES)[1:], by=by)
    assert enriched.trio(by) == [FRESH, FRESH, FRESH]
