"""`python -m integrations_tests.benchmarks`: what a sync costs, on this machine.

python -m integrations_tests.benchmarks                      everything but dlt where it is missing
python -m integrations_tests.benchmarks fresh replay --quick
python -m integrations_tests.benchmarks growth|definitions|hourly …    what grows
python -m integrations_tests.benchmarks rules                what each rule costs
python -m integrations_tests.benchmarks soap                 what one large SOAP answer costs
"""

import importlib.util
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from integrations import console
from integrations_tests.benchmarks import report
from integrations_tests.benchmarks.bench import benched
from integrations_tests.benchmarks.modes import LOADS, OTHERS, Plan, Sample, dlt_command, samples
from integrations_tests.benchmarks.source import Address
from integrations_tests.benchmarks.verdicts import SOURCE, medians, verdicts

GROWTH = ("growth", "definitions", "hourly", "empty", "rules", "soap")
FULL, QUICK = (500_000, 2_000_000), (50_000, 200_000)


@click.command()
@click.argument("modes", nargs=-1, type=click.Choice([*LOADS, *OTHERS]))
@click.option(
    "--sizes", help="Records, as 500000,2000000; the slope is from the first to the last."
)
@click.option("--rounds", type=click.IntRange(1), help="How often all is run; 3, quick: 1.")
@click.option(
    "--quick", is_flag=True, help="Small sizes, once; a promise that is missed is no failure."
)
@click.option("--dlt-python", help="An interpreter that has dlt; by default this one, if it has.")
@click.option("--no-dlt", is_flag=True, help="Without dlt.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each run and figure.")
def main(
    *,
    modes: tuple[str, ...],
    sizes: str | None,
    rounds: int | None,
    quick: bool,
    dlt_python: str | None,
    no_dlt: bool,
    as_json: bool,
) -> None:
    """What a sync costs: CPU-seconds, memory and time. Exit status 1 where a promise is missed."""
    numbers = tuple(map(int, sizes.split(","))) if sizes else QUICK if quick else FULL
    has_dlt = dlt_python or importlib.util.find_spec("dlt")
    plan = Plan(
        modes or (*LOADS, *OTHERS),
        sorted(numbers),
        rounds or (1 if quick else 3),
        dlt_command(dlt_python) if has_dlt and not no_dlt else (),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or server and source would stay
    measured = _measured(plan, as_json=as_json)
    for line in report.lines(measured) if as_json else ():
        console.json_line(line)
    for table in () if as_json else report.tables(measured):
        console.out().print(table)
    missed = [one for one in verdicts(medians(measured)) if not one.kept]
    sys.exit(1 if missed and not quick else 0)


def _measured(plan: Plan, *, as_json: bool) -> list[Sample]:
    """Every sample; each is said when it is there."""
    say = console.err()
    made = []
    with (
        tempfile.TemporaryDirectory(prefix="integrations-benchmark-") as folder,
        benched(Path(folder) / "bench", max(plan.sizes)) as bench,
    ):
        made.append(_drained(bench.source))
        say.print(f"{report.machine()}; PostgreSQL with fsync {bench.fsync} (SHOW fsync);")
        speed = made[0].records / made[0].seconds
        say.print(f"the source gives {speed:,.0f} records/s to a client that drops them")
        if not plan.dlt:
            say.print("without dlt: uv run --group bench, or --dlt-python")
        for sample in samples(bench, plan):
            made.append(sample)
            if as_json:
                console.json_line(report.line(sample))
            say.print(report.told(sample), markup=False, soft_wrap=True)
    return made


def _drained(source: Address) -> Sample:
    """How fast the source is: the best of three times, since others use this machine too."""
    records, seconds = min((source.drained() for _ in range(3)), key=lambda one: one[1])
    return Sample(SOURCE, "", records, 0, seconds, 0.0)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in GROWTH:
        module = f"integrations_tests.benchmarks.{sys.argv[1]}"
        sys.exit(subprocess.call([sys.executable, "-m", module, *sys.argv[2:]]))
    main()
