"""Mistakes in child streams, lists and filters: one clear line each, with its place in the file."""

from pathlib import Path

import pytest

from integrations.connector_template.connector import read_connector
from integrations.errors import FixConfig
from integrations_tests.connector_template.florist import FEED, FLORIST, changed, write

SHOP = changed(
    ("      buyers:\n        sync", "      stems: {of: orders}\n      buyers:\n        sync"),
    ("    buyers:\n      entity", """\
    stems:
      entity: customer
      key: [number, item.no]
      each: stems
      where: [{from: item.lost, not_in: [true]}]
      fields: {name: item.flower}
    buyers:
      entity"""),
)  # fmt: skip
FED = changed(("  event_handler: none\n", FEED), ("filter: modified", "filter: created"), text=SHOP)
STREAM, NAME, KEY, EACH, NEXT = 17, 31, 33, 34, 35
"""The lines of the file that begin these parts of the child."""
CASES = [
    (("{of: orders}", "{of: order}"), STREAM, "'stems' is a child of 'order', which is no stream"),
    (("{of: orders}", "{of: stems}"), STREAM, "of 'stems', which is a child stream itself"),
    (("{of: orders}", "{of: 3}"), STREAM, "`sync_handler.streams.stems.of`: input should be a"),
    (
        ("{of: orders}", "{of: orders, one: 1}"),
        STREAM,
        "`sync_handler.streams.stems.one` is no set",
    ),
    (("key: [number, item.no]", "key: [item.no, number]"), KEY, "begins with its parent's"),
    (("key: [number, item.no]", "key: number"), KEY, "is its parent's alone"),
    (("each: stems", "each: stems\n      version: rev"), NEXT, "has its parent's version"),
    (("each: stems", "each: stems\n      deleted: item.x"), NEXT, "or by a `where` on the element"),
    (("      each: stems\n", ""), NAME, "which list `item.flower`, `item.no`, `item.lost` is"),
    (("item.flower", "stems.flower"), EACH, "`stems.flower` lies in the list `stems`"),
    (("not_in: [true]", "not_in: []"), NEXT, "`transformer.stems.where.0.not_in`: tuple should"),
    (("not_in: [true]", "is: 1"), NEXT, "`transformer.stems.where.0.is` is no setting"),
    (("not_in: [true]", "not_in: [1, x]"), NEXT, "are of one type"),
    (
        (
            "name: item.flower",
            "name: {type: lookup, from: number, stream: orders, value: currency}",
        ),
        NEXT + 1,
        "stream 'stems' looks up in 'orders', which is loaded together with it",
    ),
]


@pytest.mark.parametrize(("change", "line", "said"), CASES)
def test_a_mistake_is_one_line(
    tmp_path: Path, change: tuple[str, str], line: int, said: str
) -> None:
    with pytest.raises(FixConfig) as raised:
        read_connector(write(tmp_path / "florist", changed(change, text=SHOP)))
    (found,) = raised.value.mistakes
    assert (found.line, said in str(found)) == (line, True), found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FED, "'orders': it has child streams"),
        (changed(("order: orders", "order: stems"), text=FED), "'stems': it is a child stream"),
        (changed(("fields: {name: name, email: email}",
                  "each: boxes\n      fields: {name: name, email: email}"), text=FED),
         "'buyers': its mapping has `each`"),
    ],
)  # fmt: skip
def test_no_feed_speaks_of_units(tmp_path: Path, text: str, why: str) -> None:
    """An event is about a record by its key, and would leave units as they were."""
    with pytest.raises(FixConfig, match=f"no feed can route to {why}"):
        read_connector(write(tmp_path / "florist", text))


def test_a_child_is_read_as_its_parent_is(tmp_path: Path) -> None:
    """It has no request of its own, and a stream without children stays as it was."""
    orders, stems, buyers = read_connector(write(tmp_path / "florist", SHOP)).streams()
    assert (orders.family, stems.source) == ((orders, stems), orders.id)
    assert stems.stream is orders.stream
    assert (stems.order.restamp, orders.order.restamp, buyers.order.restamp) == (True, True, False)
    alone, _ = read_connector(write(tmp_path / "plain" / "florist", FLORIST)).streams()
    assert not alone.order.restamp
