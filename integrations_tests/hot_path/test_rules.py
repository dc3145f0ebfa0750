"""No rule of the transformer takes a step of Python for each value."""

from collections import Counter

import pytest

from integrations.transformation.parse import Parser
from integrations_tests.hot_path.counting import Place, grown, steps_of
from integrations_tests.transformation.examples import EXAMPLES, Example, models

FEW, MANY = 200, 1_200
LEAST = 0.2
"""Steps a value; a loop costs at least three."""
BY_VALUE = {"hash", "id_or_object", "string_map"}
"""Arrow has no keyed hash, and reads neither an id or an object nor a map: these have a step for
each value, in the rule or in what reads it. No other may."""


def steps(example: Example, rows: int) -> Counter[Place]:
    bound = example.bound()
    (field,) = bound.fields
    parser, records = Parser(bound.paths), example.records(rows)

    def work() -> None:
        parsed = parser.parse(records)
        done = field.rule.apply(parsed.columns, wanted=field.column.type, rows=rows)
        assert len(done.values) == rows
        assert not any(bad.where.true_count for bad in done.told(example.type))

    work()  # what is done once
    return steps_of(work)


def test_every_rule_has_an_example() -> None:
    """What holds for every rule is tried on every rule; one that is new needs an example."""
    assert {example.type for example in EXAMPLES} == models().keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_no_rule_loops(example: Example) -> None:
    """Six times the values take as many steps."""
    more = grown(steps(example, FEW), steps(example, MANY), records=MANY - FEW)[""]
    assert (more >= LEAST) == (example.type in BY_VALUE), more
