"""All that is not the network: PostgreSQL, what others do in it, disks, clocks and processes."""

from integrations_tests.faults.bench import (
    world_clock,
    world_disk,
    world_locks,
    world_postgres,
    world_processes,
)
from integrations_tests.faults.bench.cases import Case

CASES: tuple[Case, ...] = (
    *world_postgres.CASES,
    *world_locks.CASES,
    *world_disk.CASES,
    *world_clock.CASES,
    *world_processes.CASES,
)
