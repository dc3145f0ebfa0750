"""Faults of the network against each kind of stream: a sample here, all of them with `-m long`."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from integrations_tests.faults.bench import matrix, world
from integrations_tests.faults.bench.cases import EVERY, Case, Kind
from integrations_tests.faults.bench.matrix import Cell
from integrations_tests.faults.bench.network import CASES

SAMPLE: list[tuple[str, Kind]] = [
    ("refused, for a while", "window"),
    ("cut in the body, once", "full"),
    ("stalled in the body, once", "feed"),
    ("401, for good", "cursor"),
    ("500 that quotes the key", "feed"),
    ("Retry-After: a date", "window"),
    ("gzip cut short, for good", "full"),
    ("a login page with 200, once", "cursor"),
    ("page 1 for ever", "window"),
    ("a record swallowed", "cursor"),
    ("an end before the end", "full"),
    ("a redirect to another host", "feed"),
    ("a record swallowed", "range"),
    ("a page skipped", "relay"),
]
"""Each class of fault and each kind of stream; of the shapes of paging, which `test_shapes` reads in
all cells as far as transport, one that sees it and one that cannot."""


def cells(server: str, folder: Path, cases: list[Case]) -> list[Cell]:
    with ExitStack() as stack:
        benches = matrix.benches(server, folder, 2, stack)
        return [*matrix.cells(cases, EVERY, benches, own=None)]


@pytest.fixture(scope="module")
def sampled(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Kind], Cell]:
    """The cells of the sample, two at a time."""
    known = {case.name: case for case in CASES}
    cases = [replace(known[name], kinds=(kind,)) for name, kind in SAMPLE]
    found = cells(server, tmp_path_factory.mktemp("sample"), cases)
    return {(cell.case, cell.kind): cell for cell in found}


@pytest.mark.parametrize(("name", "kind"), SAMPLE)
def test_a_fault(sampled: dict[tuple[str, Kind], Cell], name: str, kind: Kind) -> None:
    """It becomes what is expected of it: nothing is lost, doubled or told."""
    cell = sampled[name, kind]
    assert not cell.hole, cell
    assert (cell.lost, cell.doubled, cell.secrets) == (0, 0, [])


@pytest.mark.long
def test_every_fault(server: str, tmp_path: Path) -> None:
    found = cells(server, tmp_path, [*CASES])
    assert [cell for cell in found if cell.hole] == []


@pytest.mark.parametrize(
    ("cell", "hole"),
    [
        (Cell("a fault", "pages", "full", ("red",), "red"), False),
        (Cell("a fault", "pages", "full", ("red",), "recovered"), True),
        (Cell("a fault", "pages", "full", ("red", "recovered"), "recovered"), False),
        (Cell("a fault", "pages", "full", ("recovered",), "LOST", lost=2), True),
        (Cell("a fault", "pages", "full", ("red",), "red", secrets=["log"]), True),
        (Cell("a fault", "pages", "full", ("red",), "not run"), False),
        (Cell("a fault", "pages", "full", ("red",), "NEVER MET ITS FAULT"), True),
    ],
)
def test_what_is_a_hole(cell: Cell, hole: bool) -> None:
    """Another fate than the expected one, or a secret; the table and its totals say so."""
    case = replace(CASES[0], name="a fault", group="pages")
    assert cell.hole == hole
    shown = matrix.table([cell], [case])
    assert ("NOT AS EXPECTED: a fault (full)" in shown) == hole
    assert f"lost {cell.lost}, doubled 0, secrets seen {len(cell.secrets)}, holes {hole:d}" in shown


def test_every_case_has_a_name_of_its_own() -> None:
    """And one whose loss nobody can see says who brings it right."""
    every = (*CASES, *world.CASES)
    assert len({case.name for case in every}) == len(every)
    unsaid = [
        case.name
        for case in every
        if not case.why
        and {"healed", "unpromised"} & {fate for kind in case.kinds for fate in case.expected(kind)}
    ]
    assert unsaid == []
