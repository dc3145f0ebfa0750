"""The definitions as a whole: what is in the graph, and that Dagster's own loader finds the same."""

import warnings
from importlib import import_module
from pathlib import Path

import dagster as dg
import pytest

from integrations.connector_template.folders import folders
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.orchestration.asset_graph import SNAPSHOT, text

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule's status asks the home whether the twins serve."""
    monkeypatch.setenv("INTEGRATIONS_HOME", str(make_settings(tmp_path / "home").home))


@pytest.fixture(scope="module")
def everything() -> dg.Definitions:
    """What is shipped, all of it."""
    return build(folders())


def test_the_asset_graph_is_as_committed(everything: dg.Definitions) -> None:
    """A change of the graph is seen in a review; `asset_graph.py` says how the text is renewed."""
    assert text(everything) == SNAPSHOT.read_text()


def test_dagsters_component_loader_gives_the_same(everything: dg.Definitions) -> None:
    """A folder is a Dagster component: `dg` and its tree load what our own loading loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # beta and deprecated parts of Dagster's own loader
        tree = dg.ComponentTree.for_project(REPOSITORY)
        loaded = tree.build_defs()
        assert text(loaded) == text(everything)


def test_connectors_may_fill_one_entity_and_look_up_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's loader finds the node that they share once, with the tables of both before it."""
    looking = (
        "name: name,",
        "name: {type: lookup, from: name, table: crm.names, key: a, value: b},",
    )
    folders_ = [write(tmp_path / "shops" / name, changed(looking)) for name in ("one", "two")]
    (tmp_path / "shops" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = dg.ComponentTree.from_module(import_module("shops"), project_root=tmp_path)
        loaded = tree.build_defs()
    graph = loaded.resolve_asset_graph()
    assert graph.get(keys.entity("customer")).parent_keys == {
        keys.table(StreamId(name, "main", "buyers")) for name in ("one", "two")
    }
    assert {dg.AssetKey(["crm", "names"]), *build(folders_).resolve_all_asset_keys()} == {
        *loaded.resolve_all_asset_keys()
    }


def test_no_asset_shows_a_secret(
    definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection's resource holds the names of its secrets; the values are not even read."""
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_0123456789")
    resources = definitions.get_repository_def().get_top_level_resources()
    shown = {
        name: resource.config_schema.default_value
        for name, resource in resources.items()
        if name != "store"
    }
    assert shown["stripe__main"]["secrets"] == {"api_key": {"env": "STRIPE_API_KEY"}}
    assert shown["stripe__main"]["base_url"] == "https://api.stripe.com"
    assert shown["stripe__sandbox"].get("secrets", {}) == {}
    assert shown["stripe__sandbox"]["base_url"] == "the local twin"
    assert "sk_live" not in repr(shown)
