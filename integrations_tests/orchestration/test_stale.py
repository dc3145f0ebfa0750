"""What Dagster shows as stale: what other mappings made, until its records went through this one."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from integrations.connector_template.folders import SHIPPED
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.orchestration.unheard import tell_last_commit
from integrations_tests.orchestration.conftest import CHARGES, CUSTOMERS, Floor, failure
from integrations_tests.orchestration.graphql import Catalogue, catalogue

DAYS = ("2026-10-03", "2026-10-04")
CHANGED = {
    CHARGES: ("customer_id: {type: id_or_object, from: customer}", "customer_id: id"),
    CUSTOMERS: ("name: name", "name: id"),
}
"""What of a stream's mapping a test changes, and into what."""
STALE = """query($keys: [AssetKeyInput!], $partition: String) { assetNodes(assetKeys: $keys) {
  assetKey { path } staleStatus(partition: $partition) dataVersion(partition: $partition)
  staleCauses(partition: $partition) { category reason } } }"""
FRESH, MISSING = "FRESH", "MISSING"
CODE = "STALE CODE: has a new code version"
BEHIND = "STALE DATA: has a new materialization"


@dataclass
class Version:
    """The connector by one mapping: what runs it, and what GraphQL says of it."""

    definitions: dg.Definitions
    catalogue: Catalogue


@dataclass
class Shown:
    """A stream by the mapping of before and by that of after a change, in one place."""

    floor: Floor
    before: Version
    after: Version
    stream: StreamId = CHARGES

    @property
    def days(self) -> tuple[str, str] | None:
        return DAYS if self.stream == CHARGES else None

    def run(
        self, *assets: dg.AssetKey, by: Version, days: tuple[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """A run with the mapping of before, or of after."""
        return self.floor.run(*assets, days=days or self.days, definitions=by.definitions)

    def well(self, *assets: dg.AssetKey, by: Version, days: tuple[str, str] | None = None) -> None:
        """The same, which must succeed."""
        done = self.run(*assets, by=by, days=days)
        assert done.success, failure(done)

    def trio(self, by: Version, day: str = DAYS[0]) -> list[str]:
        """Status and causes of raw, canonical and table; of streams with windows on that day."""
        return [self._said(node) for node in self._nodes(by, day)]

    def version(self, by: Version) -> str:
        """The table's data version."""
        return str(self._nodes(by, DAYS[0])[2]["dataVersion"])

    def _nodes(self, by: Version, day: str) -> list[dict[str, Any]]:
        trio = [key.path for key in keys.trio(self.stream)]
        wanted = {"keys": [{"path": path} for path in trio]}
        partition = day if self.days else None
        nodes = by.catalogue.ask(STALE, **wanted, partition=partition)["assetNodes"]
        return sorted(nodes, key=lambda node: trio.index(node["assetKey"]["path"]))

    @staticmethod
    def _said(node: dict[str, Any]) -> str:
        causes = [f"{cause['category']}: {cause['reason']}" for cause in node["staleCauses"]]
        return " ".join([node["staleStatus"], *causes])


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The connector's folder with both mappings changed."""
    folder = Path(shutil.copytree(SHIPPED / "stripe", tmp_path_factory.mktemp("after") / "stripe"))
    text = (folder / "defs.yaml").read_text()
    for old, new in CHANGED.values():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "defs.yaml").write_text(text)
    return folder


@pytest.fixture
def shown(floor: Floor, changed: Path) -> Iterator[Shown]:
    with (
        catalogue(SHIPPED / "stripe", floor.instance) as old,
        catalogue(changed, floor.instance) as new,
    ):
        yield Shown(floor, Version(floor.definitions, old), Version(build([changed]), new))


def test_what_is_stale_until_its_records_went_all_the_way(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed mapping makes canonical stale, a pull that only landed too, a check alone the
    table; a replay mends it, window by window. A table's version is that of what it was made of."""
    for stream in (CHARGES, CUSTOMERS):
        shown.stream, before, after = stream, shown.before, shown.after
        raw, canonical, table = keys.trio(stream)
        assert shown.trio(before) == [MISSING, MISSING, MISSING]
        shown.well(raw, canonical, table, by=before)
        assert shown.trio(before) == [FRESH, FRESH, FRESH]
        assert shown.trio(after) == [FRESH, CODE, FRESH]
        versions = [shown.version(before)]
        shown.well(canonical, table, by=before)
        assert versions == [shown.version(before)]
        shown.well(raw, by=before)
        assert shown.trio(before) == [FRESH, BEHIND, FRESH]
        shown.well(canonical, by=before)
        assert shown.trio(before) == [FRESH, FRESH, BEHIND]
        first = (DAYS[0], DAYS[0]) if shown.days else None
        shown.well(canonical, table, by=before, days=first)
        versions.append(shown.version(before))
        shown.well(canonical, table, by=after, days=first)
        assert shown.trio(after) == [FRESH, FRESH, FRESH]
        assert len({*versions, shown.version(after)}) == 3
        if shown.days:
            assert shown.trio(after, DAYS[1]) == [FRESH, CODE, BEHIND]
    dead_run(shown, monkeypatch)


def dead_run(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported for a run that died is of the mapping that it worked with."""
    shown.stream, day = CHARGES, "2026-10-06"
    storage = shown.floor.instance.event_log_storage
    store = storage.store_event

    def failing(entry: dg.EventLogEntry) -> Any:
        event = entry.dagster_event
        if event and event.is_step_materialization and event.asset_key != keys.raw(CHARGES):
            raise OSError("no space left")
        return store(entry)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "store_event", failing)
        ran = shown.run(*keys.trio(CHARGES), by=shown.before, days=(day, day))
    assert shown.trio(shown.before, day) == [FRESH, MISSING, MISSING]
    assert tell_last_commit(shown.floor.instance, ran.run_id)
    assert shown.trio(shown.before, day) == [FRESH, FRESH, FRESH]
    assert shown.trio(shown.after, day) == [FRESH, CODE, FRESH]
