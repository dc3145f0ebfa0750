"""Each planted bug turns its test red, and only the bug does: without it the test is green.

The long form plants them one after the other in a copy of the tree and runs the test there. In the
suite stands what keeps the table true: each plant still fits the code, and its test exists.
"""

import ast
from collections import Counter

import pytest

from integrations_tests.planted.copies import ROOT, Copy
from integrations_tests.planted.plants import PLANTS, Plant

CLASSES = (
    "a row dropped between pages",
    "a position moved before its rows",
    "a retry without jitter",
    "a secret in an exception",
    "a per-record loop in the main path",
)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_plant_fits(plant: Plant) -> None:
    """What it replaces stands in the code once, what comes of it is Python, and its test exists."""
    code = (ROOT / "integrations" / plant.file).read_text()
    assert code.count(plant.old) == 1, "the code has moved: renew the plant"
    assert ast.dump(ast.parse(code.replace(plant.old, plant.new))) != ast.dump(ast.parse(code))
    file, _, test = plant.caught.partition("::")
    names = ast.parse((ROOT / "integrations_tests" / file).read_text()).body
    assert test.partition("[")[0] in {one.name for one in names if isinstance(one, ast.FunctionDef)}


def test_every_class_is_planted() -> None:
    """Each at least twice, in different ways."""
    kinds = Counter(plant.kind for plant in PLANTS)
    assert {kind for kind in CLASSES if kinds[kind] < 2} == set()
    assert Counter(plant.name for plant in PLANTS).most_common(1)[0][1] == 1


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, server: str) -> Copy:
    return Copy(tmp_path_factory.mktemp("planted"), {"INTEGRATIONS_DATABASE_URL": server})


@pytest.mark.long
def test_without_a_plant_all_is_green(copy: Copy) -> None:
    """In the copy too, or a red test would say nothing."""
    done = copy.run(sorted({plant.caught for plant in PLANTS}))
    assert (done.status, done.failed) == (0, []), done.output


@pytest.mark.long
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_caught(copy: Copy, plant: Plant) -> None:
    """By the test that is named, by what it asserts."""
    with copy.planted(plant):
        done = copy.run([plant.caught])
    red = [one for one in done.failed if one == plant.caught or one.startswith(f"{plant.caught}[")]
    assert (done.status, len(red)) == (1, 1), done.output
    assert done.slipped == [], done.output
