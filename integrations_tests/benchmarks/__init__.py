"""What a sync costs: the same sync, measured again and again (`python -m integrations_tests.benchmarks`)."""
