"""One broken connector must not take the others down: the whole code location, built from folders."""

import gc
import shutil
import weakref
from pathlib import Path

import dagster as dg
import pytest

from integrations.connector_template.folders import SHIPPED, folders, read
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.settings import Settings
from integrations.storage.connections import Added
from integrations_tests.conftest import make_settings
from integrations_tests.connector_template.florist import FLORIST, changed, write

pytestmark = pytest.mark.filterwarnings(
    # Dagster asks pydantic for its fields by their old name.
    "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster"
)

ORDERS = StreamId("florist", "main", "orders")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Definitions look for running twins in the home."""
    settings = make_settings(tmp_path / "home")
    monkeypatch.setenv("INTEGRATIONS_HOME", str(settings.home))
    return settings


def test_a_folder_is_read_anew_when_it_has_changed_and_kept_once(tmp_path: Path) -> None:
    """What it was before is let go: with a table that is looked up in it may be large."""
    folder = write(tmp_path / "florist")
    ((first,), _), ((again,), _) = read([folder]), read([folder])
    assert again is first
    gone = weakref.ref(first)
    (folder / "notes.txt").write_text("another day")
    ((other,), _) = read([folder])
    assert other is not first
    del first, again
    gc.collect()
    assert gone() is None


def test_a_file_that_cannot_be_read_harms_nobody(tmp_path: Path) -> None:
    """One that an editor has taken away meanwhile, or that is another person's: nothing needs it."""
    folder = write(tmp_path / "own" / "florist")
    (folder / "draft").symlink_to("/proc/self/mem")  # its first byte is at no address
    loaded, broken = read(folders([tmp_path / "own"]))
    assert "florist" in {one.name for one in loaded}
    assert not broken


def test_a_broken_connector_leaves_the_others(tmp_path: Path) -> None:
    """A mistake in one file costs its own assets: the others' are there, and an asset in its place
    says what is wrong and fails with it."""
    write(tmp_path / "own" / "florist")
    broken = write(tmp_path / "own" / "baker", changed(("amount: total", "amount: [total")))

    definitions = build(folders([tmp_path / "own"]))

    found = definitions.resolve_all_asset_keys()
    assert set(keys.trio(ORDERS)) <= set(found)
    assert {key.path[0] for key in found} > {path.parent.name for path in SHIPPED.glob("*/*.yaml")}
    (stand_in,) = [key for key in found if key.path[0] == "baker"]
    assert f"{broken}/defs.yaml:26: expected ',' or ']'" in _description(definitions, stand_in)
    result = dg.materialize(
        [definitions.resolve_assets_def(stand_in)], raise_on_error=False, instance=None
    )
    assert "defs.yaml:26: expected ',' or ']'" in str(result.failure_data_for_node(_op(result)))
    assert not [s for s in definitions.schedules or () if "baker" in s.name]


def test_of_two_folders_with_one_name_the_first_loads(tmp_path: Path) -> None:
    """The error names both folders; a person's own folder does not replace a shipped connector."""
    first, second = write(tmp_path / "one" / "florist"), write(tmp_path / "two" / "florist")

    loaded, broken = read([first, second])

    assert [connector.folder for connector in loaded] == [first]
    (error,) = broken.values()
    assert str(error) == (
        f"two connectors are called 'florist': {first} and {second}. Rename one of the folders."
    )
    assert build([first, second]).resolve_all_asset_keys()


@pytest.mark.parametrize(
    ("name", "shown"),
    [("My shop-2", "My_shop_2"), ("café", "caf_"), ("shop__two", "shop__two")],
)
def test_a_folder_with_a_name_of_its_own_that_is_none(
    tmp_path: Path, name: str, shown: str
) -> None:
    """A folder's name that no asset could carry breaks that connector, not the code location."""
    write(tmp_path / "own" / name, FLORIST)

    found = build(folders([tmp_path / "own"])).resolve_all_asset_keys()

    assert [key.path[0] for key in found if key.path[-1].startswith("broken_")] == [shown]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\n\nsys.exit('bye')\n", "SystemExit: bye"),
        ("\n\nraise KeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
)
def test_a_transformer_that_leaves_the_interpreter(tmp_path: Path, code: str, said: str) -> None:
    """What stops a process breaks only its connector, where a transformer.py does it."""
    folder = write(tmp_path / "florist", transformer=code)

    _, broken = read([folder])

    assert f"{folder}/transformer.py:3: cannot be imported: {said}" in str(broken[folder])


def test_a_connection_that_fits_no_more_leaves_the_others() -> None:
    """What was added and cannot be used is an asset that says so and fails; one that can be has
    its assets, its job, its resource and its schedules."""
    good = {"start": "2026-01-01", "secrets": {"api_key": {"env": "SECOND_KEY"}}}
    added = [Added("stripe", "second", good), Added("stripe", "third", {"start": "2026-01-01"})]

    definitions = build([SHIPPED / "stripe"], added=added)

    found = definitions.resolve_all_asset_keys()
    charges = StreamId("stripe", "second", "charges")
    assert {*keys.trio(charges), keys.table(StreamId("stripe", "main", "charges"))} <= set(found)
    assert definitions.resolve_job_def(keys.job("stripe", "second"))
    assert keys.schedule(charges) in {schedule.name for schedule in definitions.schedules or ()}
    assert keys.connection("stripe", "second") in (definitions.resources or {})
    (stand_in,) = [key for key in found if key.path[-1].startswith("broken_")]
    said = _description(definitions, stand_in)
    assert "stripe/third, which was added by command, cannot be used" in said
    assert "lacks the secret 'api_key'" in said
    result = dg.materialize(
        [definitions.resolve_assets_def(stand_in)], raise_on_error=False, instance=None
    )
    assert "lacks the secret 'api_key'" in str(result.failure_data_for_node(_op(result)))


def test_without_secrets_nothing_is_scheduled() -> None:
    """All that is shipped builds with no variable set, each stream with its trio, its children's
    assets and a schedule, each feed with a schedule; no schedule runs, since none of its runs could
    log in."""
    loaded, broken = read(folders())
    definitions = build(folders())

    every = [stream for connector in loaded for stream in connector.streams()]
    read_alone = [stream for stream in every if stream.parent is None]
    assert broken == {}
    assert {key for stream in read_alone for key in keys.of_stream(stream)} <= set(
        definitions.resolve_all_asset_keys()
    )
    streams = [stream.id for stream in read_alone]
    schedules = {schedule.name: schedule for schedule in definitions.schedules or ()}
    feeds = [feed.id for connector in loaded for feed in connector.feeds()]
    assert schedules.keys() == {keys.schedule(id_) for id_ in [*streams, *feeds]}
    running = [s.name for s in schedules.values() if s.default_status.value == "RUNNING"]
    assert running == []


def test_folders_without_a_file_are_no_connectors(tmp_path: Path) -> None:
    """Only folders with a defs.yaml count, in the order of their names after the shipped ones."""
    (tmp_path / "own" / "notes").mkdir(parents=True)
    shutil.copytree(SHIPPED / "stripe", tmp_path / "own" / "zeta")
    write(tmp_path / "own" / "alpha")

    found = folders([tmp_path / "own"])

    assert [folder.name for folder in found if folder.is_relative_to(tmp_path)] == ["alpha", "zeta"]
    assert found[0].parent == SHIPPED


def _description(definitions: dg.Definitions, key: dg.AssetKey) -> str:
    (spec,) = definitions.resolve_assets_def(key).specs
    return spec.description or ""


def _op(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return str(event.step_key)
