"""Column lineage, read back through GraphQL and held against what a changed record changes."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.sandbox.stripe import StripeTwin
from integrations_tests.conftest import make_settings
from integrations_tests.orchestration.graphql import catalogue
from integrations_tests.orchestration.one_field import COLUMNS, Read, changes

STREAMS = ("charges", "refunds", "balance_transactions", "customers", "payouts")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        home = make_settings(tmp_path_factory.mktemp("lineage") / "home").home
        patch.setenv("INTEGRATIONS_HOME", str(home))
        with catalogue(SHIPPED / "stripe", instance) as catalogued:
            yield Read(catalogued.ask(COLUMNS, keys=None)["assetNodes"])


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest, streams: dict[StreamId, BoundStream]) -> BoundStream:
    return streams[StreamId("stripe", "sandbox", request.param)]


@pytest.fixture
def records(stream: BoundStream, shared_twin: tuple[StripeTwin, str]) -> list[dict[str, Any]]:
    """A page of the stream, as the twin answers."""
    twin, url = shared_twin
    request = urllib.request.Request(
        f"{url}{stream.stream.request.path}?limit=100",
        headers={"Authorization": f"Bearer {twin.secrets['api_key']}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]
    return found


def test_lineage_names_only_columns_that_are_there(read: Read) -> None:
    """Each end of an edge is in the list of its asset's columns, where catalogues look it up."""
    ends = {*read.sources, *(source for found in read.sources.values() for source in found)}
    assert {end for end in ends if end[1] not in read.columns[end[0]]} == set()


def test_an_entitys_columns_come_from_every_table_that_fills_them(
    read: Read, streams: dict[StreamId, BoundStream]
) -> None:
    """Both connections of Stripe fill payment's amount; no stream of theirs fills its fee."""
    tables = {f"stripe/{name}/charges" for name in ("main", "sandbox")}
    assert read.sources["canonical/payment", "amount"] == {(table, "amount") for table in tables}
    assert "fee" in read.columns["canonical/payment"]
    assert ("canonical/payment", "fee") not in read.sources
    filled = {asset for asset, _ in read.sources if asset.startswith("canonical/")}
    assert filled == {
        keys.entity(s.mapping.entity.entity_name()).to_user_string() for s in streams.values()
    }


def test_lineage_is_what_a_changed_field_changes(
    read: Read, stream: BoundStream, records: list[dict[str, Any]]
) -> None:
    """One field of a record at a time: what changes in the row is what the lineage leads to, and
    each edge of it is seen to change something."""
    raw, _, table = (key.to_user_string() for key in keys.trio(stream.id))
    edges = {
        (path, column)
        for asset, column in read.sources
        if asset == table
        for origin, path in read.origins((asset, column))
        if origin == raw
    }
    assert {path for path, _ in edges} == read.columns[raw]
    assert changes(stream, records) == edges
