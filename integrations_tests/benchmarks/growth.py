"""What a million records more cost, the larger the table: at 50,000 records, and at ten million.

Each size is a fresh sync into a new database by a new warm process. CPU-seconds per million that
rise with the size would say that something grows faster than the data does; memory that rises, that
a sync holds more than its batches. `python -m integrations_tests.benchmarks growth --sizes …`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from integrations_tests.benchmarks.bench import STREAM, WARMING, Bench, benched
from integrations_tests.benchmarks.source import Settings

SIZES = (50_000, 500_000, 2_000_000, 10_000_000)
MILLION = 1_000_000


@dataclass(frozen=True)
class Grown:
    """CPU-seconds per million records, and memory (MB): at its most, and of the idle process."""

    records: int
    client_cpu: float
    postgres_cpu: float
    peak_mb: float
    idle_mb: float

    def __str__(self) -> str:
        return (
            f"{self.records:>12,} records   client {self.client_cpu:6.2f} CPU-s/M"
            f"   PostgreSQL {self.postgres_cpu:6.2f} CPU-s/M"
            f"   peak {self.peak_mb:5.0f} MB (idle {self.idle_mb:.0f})"
        )


def measure(bench: Bench, sizes: Sequence[int]) -> Iterator[Grown]:
    """The figures of each size; raises AssertionError where a record has no fate."""
    for size in sizes:
        with bench.worker() as warm, bench.database() as database:
            bench.source.set(Settings(size))
            measured = bench.measured(warm.worker, "sync", database=database, stream=STREAM)
            (run,) = measured.runs
            assert run.counts["records"] == size, run.counts
            per_million = MILLION / size
            yield Grown(
                records=size,
                client_cpu=measured.client_cpu * per_million,
                postgres_cpu=measured.postgres_cpu * per_million,
                peak_mb=run.cost.peak_mb + run.children_mb,
                idle_mb=warm.idle_mb,
            )


@click.command(name="growth")
@click.option("--sizes", help="Records, with commas between: 50000,500000.")
def main(sizes: str | None) -> None:
    """Prints what each size costs, as it is measured."""
    numbers = tuple(map(int, sizes.split(","))) if sizes else SIZES
    with (
        tempfile.TemporaryDirectory(prefix="growth-") as folder,
        benched(Path(folder) / "bench", max(*numbers, WARMING)) as bench,
    ):
        for found in measure(bench, numbers):
            print(found, flush=True)


if __name__ == "__main__":
    main()
