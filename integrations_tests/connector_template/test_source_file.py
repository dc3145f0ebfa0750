"""A file that is right is read by libyaml, with the same values and places as by Python's reader."""

from pathlib import Path

import pytest

from integrations.connector_template import source_file
from integrations.connector_template.folders import SHIPPED
from integrations.errors import FixConfig
from integrations_tests.connector_template.florist import FED, FLORIST, changed, write

TEXTS = {
    "shipped": (SHIPPED / "stripe" / "defs.yaml").read_text(),
    "florist": FLORIST,
    "with a feed": FED,
    "merge keys": "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, é, ü]\n",
    "empty": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_both_readers_give_the_same(text: str) -> None:
    """Values, and the line and column of each key."""
    (fast, fast_values), (plain, plain_values) = (
        source_file._parsed(text, loader) for loader in (source_file._Fast, source_file._Loader)
    )
    assert fast_values == plain_values
    assert [(at, node.start_mark.line, node.start_mark.column) for at, node in fast] == [
        (at, node.start_mark.line, node.start_mark.column) for at, node in plain
    ]


def test_a_good_file_is_read_once_and_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's reader is ten times as slow, and all processes read all files."""
    monkeypatch.setattr(source_file, "_Loader", None)
    assert source_file.read_yaml(write(tmp_path / "florist") / "defs.yaml").values


def test_a_mistake_is_said_in_the_plain_words(tmp_path: Path) -> None:
    """libyaml has others, and two readers must not give a person two messages."""
    folder = write(tmp_path / "florist", changed(("amount: total", "amount: [total")))
    with pytest.raises(FixConfig, match=r"expected ',' or '\]', but got ':'"):
        source_file.read_yaml(folder / "defs.yaml")
