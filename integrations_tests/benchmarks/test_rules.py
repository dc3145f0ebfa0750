"""A sample of what rules cost: each of them is measured, and a slow one is told."""

from integrations_tests.benchmarks import rules
from integrations_tests.transformation.examples import EXAMPLES


def test_every_rule_is_measured() -> None:
    """Every example has a cost, and one beyond its limit is not kept."""
    found = list(rules.measure(values=500, rounds=1))
    assert [cost.rule for cost in found] == list(map(str, EXAMPLES))
    assert all(cost.cpu_s > 0 for cost in found)
    assert not rules.Cost("slow", 1.6, rules.LIMIT).kept
