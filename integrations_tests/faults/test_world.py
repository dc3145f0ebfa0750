"""A few faults of the world around a sync; `python -m integrations_tests.faults` runs all of them."""

from collections.abc import Iterator

import pytest

from integrations_tests.faults.bench import matrix
from integrations_tests.faults.bench.cases import KINDS, Kind
from integrations_tests.faults.bench.rig import Bench, bench
from integrations_tests.faults.bench.world import CASES
from integrations_tests.faults.bench.world_postgres import own_server

SAMPLE: list[tuple[str, Kind]] = [
    ("restarted while a page is read", "window"),
    ("down for good in the middle of a load", "window"),
    ("full at the manifest", "window"),
    ("a deadlock", "window"),
    ("two syncs at once", "window"),
]
"""One of each idea; of one kind only, since each is read for the first time first."""
EVERY = [(case.name, kind) for case in CASES for kind in KINDS if kind in case.kinds]


@pytest.fixture(scope="module")
def bench_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench on a server that nobody else uses: some cases bring it down."""
    folder = tmp_path_factory.mktemp("world")
    with own_server(folder) as url, bench(url, folder / "bench") as made:
        yield made


@pytest.mark.parametrize(("name", "kind"), SAMPLE)
def test_a_fault_of_the_world(bench_: Bench, name: str, kind: Kind) -> None:
    """Got over, or red with what and where; then whole, and no secret is seen."""
    assert_as_expected(bench_, name, kind)


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind"), [one for one in EVERY if one not in SAMPLE])
def test_every_fault_of_the_world(bench_: Bench, name: str, kind: Kind) -> None:
    """The same for every case and every kind."""
    assert_as_expected(bench_, name, kind)


def assert_as_expected(bench_: Bench, name: str, kind: Kind) -> None:
    case = next(one for one in CASES if one.name == name)
    cell = matrix.run(case, kind, bench_)
    if cell.fate == matrix.NOT_RUN:
        pytest.skip(cell.message)
    assert (cell.fate in cell.expected, cell.secrets) == (True, []), cell
