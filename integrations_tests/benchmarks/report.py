"""The figures of a benchmark as tables for people, or as lines of JSON."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.table import Table

from integrations import console
from integrations_tests.benchmarks.modes import LOADS, Sample
from integrations_tests.benchmarks.verdicts import (
    MILLION,
    Verdict,
    medians,
    slopes,
    verdicts,
)

SHOWN = (
    "inserted", "updated", "unchanged", "quarantined", "parquet files", "insert_values files",
)  # fmt: skip
"""Of a run's counts."""


def machine() -> str:
    """What it was measured on, in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def line(sample: Sample) -> dict[str, object]:
    """A sample as a value for JSON."""
    return asdict(sample) | {"above_mb": sample.above_mb}


def told(sample: Sample) -> str:
    """A sample in a line, for who waits."""
    counts = ", ".join(f"{n:,} {name}" for name, n in sample.counts.items() if name in SHOWN)
    return (
        f"{sample.mode} ({sample.whose}, {sample.records:,}): {sample.seconds:.1f} s, "
        f"CPU-s {sample.client_cpu:.2f} + {sample.postgres_cpu:.2f}, "
        f"{sample.above_mb:.0f} MB above idle {sample.idle_mb:.0f}; {counts or 'nothing loaded'}"
    )


def tables(samples: Sequence[Sample]) -> Iterator[Table]:
    """All that the samples say."""
    yield _runs(samples)
    if slopes(medians(samples)):
        yield _slopes(samples)
    for sample in samples:
        if sample.stages:
            yield _stages(sample)
    if found := verdicts(medians(samples)):
        yield _verdicts(found)


def _runs(samples: Sequence[Sample]) -> Table:
    columns = [
        ("mode", False), ("whose", False), ("records", True), ("seconds", True),
        ("records/s", True), ("client CPU-s", True), ("PostgreSQL CPU-s", True),
        ("CPU-s per million", True), ("peak MB", True), ("above idle", True),
    ]  # fmt: skip
    rows = [
        [
            mode, whose, records, one.seconds,
            round(records / one.seconds) if records else None,
            one.client_cpu, one.postgres_cpu,
            one.cpu / records * MILLION if records else None,
            round(one.peak_mb) or None, round(one.above_mb) if one.peak_mb else None,
        ]
        for (mode, whose, records), one in medians(samples).items()
    ]  # fmt: skip
    return console.table("Runs (medians)", columns, rows)


def _slopes(samples: Sequence[Sample]) -> Table:
    columns = [
        ("mode", False), ("whose", False), ("seconds", True), ("records/s", True),
        ("client CPU-s", True), ("PostgreSQL CPU-s", True), ("CPU-s", True), ("to ours", True),
    ]  # fmt: skip
    found = slopes(medians(samples))
    rows = [
        [
            mode, whose, slope.seconds, round(MILLION / slope.seconds) if slope.seconds > 0 else None,
            slope.client_cpu, slope.postgres_cpu, slope.cpu,
            slope.cpu / found[mode, "ours"].cpu if (mode, "ours") in found else None,
        ]
        for (mode, whose), slope in sorted(found.items(), key=lambda one: LOADS.index(one[0][0]))
    ]  # fmt: skip
    return console.table("A million records more (slope from smallest to largest)", columns, rows)


def _stages(sample: Sample) -> Table:
    wall = sum(one["seconds"] for one in sample.stages.values())
    cpu = sum(one["cpu"] for one in sample.stages.values())
    columns = [
        ("stage", False), ("seconds", True), ("share %", True), ("client CPU-s", True),
        ("share %", True),
    ]  # fmt: skip
    rows = [
        [stage, one["seconds"], 100 * one["seconds"] / wall, one["cpu"], 100 * one["cpu"] / cpu]
        for stage, one in sample.stages.items()
    ]
    return console.table(f"Stages of a fresh load of {sample.records:,}", columns, rows)


def _verdicts(found: Sequence[Verdict]) -> Table:
    columns = [("promise", False), ("measured", True), ("limit", True), ("", False)]
    rows = [
        [
            one.name,
            one.figure,
            f"{'≥' if one.at_least else '≤'} {one.limit:g}",
            "ok" if one.kept else "missed",
        ]
        for one in found
    ]
    return console.table("Promises", columns, rows)


def lines(samples: Sequence[Sample]) -> Iterator[dict[str, object]]:
    """What follows from the samples, one value a line: slopes, then promises."""
    found = medians(samples)
    for (mode, whose), slope in slopes(found).items():
        yield {"slope": mode, "whose": whose, **asdict(slope), "cpu": slope.cpu}
    for one in verdicts(found):
        yield {"promise": one.name, **asdict(one), "kept": one.kept}
