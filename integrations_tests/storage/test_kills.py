"""A process killed at any point of a landing and its load: running again repairs everything."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from integrations.storage import quarantine
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.loader import Load
from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import (
    DAY,
    PIN,
    SPEC,
    STREAM,
    T0,
    Said,
    draft,
    refused,
    rows,
    table,
)
from integrations_tests.storage.test_landing import Page

KEYS = [f"k{number}" for number in range(50)]
EXPECTED = dict.fromkeys(KEYS, (1, None, None, 0, 0, False))
RENAMED = "renamed"
"""Not one of the code's: the manifest has just got its name, and is not yet known to last."""
BARRIERS = {
    "landing": (False, False),
    "before_manifest": (False, False),
    RENAMED: (True, False),
    "landed": (True, False),
    "staging": (True, False),
    "staged": (True, False),
    "merging": (True, False),
    "merged": (True, False),
    "committing": (True, False),
    "committed": (True, True),
}
"""Whether the landing, and whether its load, is there when the process is killed at the point."""


@pytest.fixture
def database(emptied: str) -> str:
    return emptied


def sync(database: str, zone: LandingZone) -> None:
    """Land one window unless it is landed, and load it."""
    manifest = zone.newest(STREAM, window=DAY)
    if manifest is None:
        with zone.writer(
            STREAM, window=DAY, run_id="r", root_run_id="r", began_at=T0 + timedelta(days=2),
            batch_records=20,
        ) as writer:  # fmt: skip
            writer.add(Page(1, [key.encode() for key in KEYS]))
            manifest = writer.finish(requests=1)
    with connect(database) as connection:
        ensure_leaf(connection, SPEC, connector="shop")
        with Load.open(connection, SPEC, STREAM) as load:
            for batch in zone.batches(manifest):
                keys = [str(key) for key in batch.records.cast(pa.string()).to_pylist()]
                load.stage(rows([Said(key) for key in keys]), received=len(keys))
            load.stage(rows([]), refused=refused(["bad"]), received=1)
            load.commit(draft(manifest.records + 1, landing=manifest.landing), pin=PIN)


def pause_at(barrier: str) -> None:
    """Say so and wait to be killed when the process comes to the point."""

    named = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal named
        if event == f"integrations.{barrier}":
            assert arguments == (str(STREAM),)
        elif not named or event != "open":  # the folder, when the file is there
            named = named or (
                (event, barrier) == ("os.rename", RENAMED)
                and Path(arguments[1]).name == "manifest.json"
            )
            return
        print("there", flush=True)
        signal.pause()

    sys.addaudithook(hook)


def left(connection: psycopg.Connection[Any]) -> tuple[int, ...]:
    """How many rows, ledger lines, positions and quarantine entries there are."""
    names = ("canonical.sale", "integrations.ledger", "integrations.positions",
             "integrations.quarantine")  # fmt: skip
    found = []
    for name in names:
        row = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
        found.append(row[0] if row else 0)
    connection.rollback()
    return tuple(found)


@pytest.mark.parametrize("barrier", BARRIERS)
def test_killed_and_run_again(
    connection: psycopg.Connection[Any], database: str, tmp_path: Path, barrier: str
) -> None:
    """What is there after the kill is all of a step or nothing of it; the next run completes it,
    and everything is there once."""
    ensure_leaf(connection, SPEC, connector="shop")
    url = (tmp_path / "raw").as_uri()
    command = [sys.executable, "-m", __name__, database, url, barrier]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        child.kill()
    landed, loaded = BARRIERS[barrier]
    zone = LandingZone(url)
    assert (zone.newest(STREAM, window=DAY) is not None) == landed
    assert left(connection) == ((50, 1, 1, 1) if loaded else (0, 0, 0, 0))
    sync(database, zone)
    assert table(connection) == EXPECTED
    assert left(connection) == (50, 2 if loaded else 1, 1, 1)
    assert [entry.key for entry in quarantine.entries(connection)] == ["bad"]


if __name__ == "__main__":
    pause_at(sys.argv[3])
    sync(sys.argv[1], LandingZone(sys.argv[2]))
