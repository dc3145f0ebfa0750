"""A sample of what grows: generated connectors load, and what an hour costs is read whole."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from integrations_tests.benchmarks import definitions, hourly, many
from integrations_tests.conftest import make_settings

ELSEWHERE = (
    "zeep",
    "boto3",
    "botocore",
    "paramiko",
    "uvicorn",
    "dagster_webserver",
    "playwright",
    "pint",
)
"""Heavy, and of no use to a run of a REST stream."""
START = date(2026, 1, 1)


def place(folder: Path) -> many.Place:
    make_settings(folder / "home")
    return many.Place(folder, "http://127.0.0.1:9", "no-secret")


def test_generated_connectors_load(tmp_path: Path) -> None:
    """All of them, with a trio for each stream."""
    here = place(tmp_path)
    connectors = many.write(tmp_path / "some", 2, 3, url=here.source, start=START)
    loaded = definitions.load(here.env(connectors))
    assert loaded.assets == 2 * 3 * 3
    assert loaded.cpu_s > 0


def test_the_definitions_import_nothing_that_only_others_need(tmp_path: Path) -> None:
    """Imports are most of what a small run costs."""
    here = place(tmp_path)
    (tmp_path / "none").mkdir()
    code = "import integrations.definitions, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=here.env(tmp_path / "none"), cwd=many.REPOSITORY, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert [name for name in ELSEWHERE if name in json.loads(done.stdout)] == []


def test_what_came_between_two_readings_is_told_for_a_day() -> None:
    """Runs, rows, bytes and CPU-seconds by part, and their sums for a day."""
    first = hourly.Reading(100.0, {"runs": 10.0, "daemon": 5.0}, {"a": 7}, {"a": 8192}, {})
    last = hourly.Reading(
        3700.0, {"runs": 46.0, "daemon": 5.0}, {"a": 17}, {"a": 8192}, {"SUCCESS": 2}
    )
    assert last.since(first) == {
        "seconds": 3600.0,
        "cpu_s": {"runs": 36.0},
        "cpu_s_a_day": 864,
        "rows": {"a": 10},
        "rows_a_day": 240,
        "bytes": {},
        "bytes_a_day": 0,
        "runs": {"SUCCESS": 2},
        "runs_a_day": 48,
        "cores": 0.01,
    }
