"""What each rule of the transformer costs: CPU-seconds for a million values.

The rules are those of the union that files are read with, the values those of the tests' examples.
Reading the values from JSON is not in it: that is the parser's. `python -m
integrations_tests.benchmarks rules`; exit status 1 where a rule is slower than the limit.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from integrations import console
from integrations.transformation.parse import Parser
from integrations_tests.transformation.examples import EXAMPLES, Example

MILLION = 1_000_000
BATCH = 25_000
LIMIT = 1.5
"""CPU-seconds for a million values: a tenth of what a sync costs a million records, since records
have several columns. What has to be slower is named in `SLOWER`."""
SLOWER = {"hash": 4.0}
"""A call of Python's for each value, since Arrow has no such function."""
ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """The CPU-seconds of a rule for a million values: the least of some rounds."""

    rule: str
    cpu_s: float
    limit: float

    @property
    def kept(self) -> bool:
        """Whether it is within its limit."""
        return self.cpu_s <= self.limit


def measure(*, values: int = MILLION, rounds: int = ROUNDS) -> Iterator[Cost]:
    """The cost of every example."""
    for example in EXAMPLES:
        limit = SLOWER.get(example.type, LIMIT)
        yield Cost(str(example), min(_costs(example, values, rounds)), limit)


def _costs(example: Example, values: int, rounds: int) -> Iterator[float]:
    bound = example.bound()
    (field,) = bound.fields
    parsed = Parser(bound.paths).parse(example.records(min(values, BATCH)))
    rows = len(parsed.rows)
    batches = -(-values // rows)  # as many as hold the values
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(batches):
            done = field.rule.apply(parsed.columns, wanted=field.column.type, rows=rows)
            assert len(done.values) == rows
        yield (time.process_time() - began) * MILLION / (batches * rows)


@click.command(name="rules")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each rule.")
def main(*, as_json: bool) -> None:
    """Prints what each rule costs, the dearest first."""
    found = sorted(measure(), key=lambda cost: -cost.cpu_s)
    if as_json:
        for cost in found:
            console.json_line({"rule": cost.rule, "cpu_s": cost.cpu_s, "kept": cost.kept})
    else:
        columns = [("rule", False), ("CPU-s per million", True), ("limit", True), ("", False)]
        rows = [
            [cost.rule, round(cost.cpu_s, 3), cost.limit, "ok" if cost.kept else "slow"]
            for cost in found
        ]
        console.out().print(console.table("Rules", columns, rows))
    sys.exit(0 if all(cost.kept for cost in found) else 1)


if __name__ == "__main__":
    main()
