"""What a stream and a feed know of each other, once their file is read."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from integrations.connector_template.connector import BoundStream, Connector, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.storage.merge import Order
from integrations_tests.connector_template.florist import FED, FLORIST, changed, write
from integrations_tests.connector_template.test_mistakes import Change

FULL, START = "{type: full}", "{start: 2026-01-01,"
BUYERS = "paging: {type: next_url, next: next}}"


def stream(connector: Connector, name: str) -> BoundStream:
    (found,) = [bound for bound in connector.streams() if str(bound.id).endswith(name)]
    return found


@pytest.mark.parametrize(
    ("text", "changes", "name", "order", "reread"),
    [
        (FLORIST, [], "orders", Order(), False),
        (FLORIST, [], "buyers", Order(), True),
        (FLORIST, [("modified", "modified, reread: 2")], "orders", Order(), True),
        (FED, [], "orders", Order(slack_s=60, restamp=True), False),
        (FED, [], "buyers", Order(slack_s=60, restamp=True), True),
        (FED, [(START, f"{START} slack_s: 7.5,")], "orders", Order(7.5, restamp=True), False),
        (FED, [(", buyer: buyers", "")], "buyers", Order(), True),
        (FLORIST, [(START, f"{START} slack_s: 9,")], "orders", Order(), False),
        (
            FLORIST,
            [(FULL, "{type: full, deletes: absence}"), (BUYERS, "paging: {type: single}}")],
            "buyers",
            Order(restamp=True),
            True,
        ),
        (
            FLORIST,
            [
                (
                    "      key: number\n      fields: {",
                    "      key: number\n      deleted: gone\n      fields: {",
                )
            ],
            "buyers",
            Order(restamp=True),
            True,
        ),
    ],
)
def test_how_a_streams_statements_are_ordered(
    tmp_path: Path, text: str, changes: list[Change], name: str, order: Order, reread: bool
) -> None:
    """Slack where a feed is beside the pulls, newer stamps where rows are fed or deleted."""
    connector = read_connector(write(tmp_path / "florist", changed(*changes, text=text)))

    found = stream(connector, f"main/{name}")

    assert (found.order, found.reread) == (order, reread)


def test_a_feed_routes_within_its_own_connection(tmp_path: Path) -> None:
    """Each connection has its own feed, bound to its own streams by the kinds of its events."""
    second = (
        "    main: {start: 2026-01-01, secrets: {user: {env: A}, word: {env: B}}}\n    other: {"
    )
    text = changed(("    main: {", second), text=FED)
    connector = read_connector(write(tmp_path / "florist", text))

    found = {
        str(feed.id): {kind: str(bound.id) for kind, bound in feed.routes.items()}
        for feed in connector.feeds()
    }

    assert found == {
        f"florist/{connection}/news": {
            "order": f"florist/{connection}/orders",
            "buyer": f"florist/{connection}/buyers",
        }
        for connection in ("main", "other")
    }


def test_a_stream_knows_every_feed_that_speaks_of_it(tmp_path: Path) -> None:
    """Also where two of them do, and one under two kinds."""
    more = FED[FED.index("      news:") :].replace("news:", "more_news:")
    routes = "routes: {order: orders, buyer: buyers}\n"
    ours = "routes: {order: orders, basket: orders}\n"
    text = changed((routes, ours + more), text=FED)
    connector = read_connector(write(tmp_path / "florist", text))

    assert stream(connector, "main/orders").feeds == ("news", "more_news")
    assert stream(connector, "main/buyers").feeds == ("more_news",)


def test_who_only_pulls_has_no_feed(tmp_path: Path) -> None:
    """`event_handler: none` is a decision."""
    connector = read_connector(write(tmp_path / "florist"))

    assert list(connector.feeds()) == []
    assert stream(connector, "main/orders").feeds == ()


def test_stripe_keeps_every_stream_fresh() -> None:
    """What changes is fed; of charges and refunds, which nothing re-reads, one can be fetched."""
    connector = read_connector(SHIPPED / "stripe")
    streams = [bound for bound in connector.streams() if bound.id.connection == "main"]

    fed = {bound.id.stream for bound in streams if bound.feeds == ("events",)}
    assert fed == {"charges", "refunds", "customers", "payouts"}
    assert {b.id.stream for b in streams if b.stream.one} == fed
    assert {b.id.stream for b in streams if b.reread} == {"customers", "payouts"}


def test_of_stripes_events_those_are_hints_that_nothing_puts_right() -> None:
    """Two changes within a second: a charge is fetched by its key, a customer's daily reading
    comes."""
    connector = read_connector(SHIPPED / "stripe")
    feed = next(connector.feeds())
    events = [
        {"id": f"evt_{kind}", "type": f"{kind}.updated", "created": 1, "data": {"object": record}}
        for kind in feed.feed.routes
        for record in [{"id": f"{kind}_1", "object": kind}]
    ]

    routed = feed.router.run(
        pa.array(map(msgspec.json.encode, events), pa.binary()), seen_at=datetime.now(UTC)
    )

    assert {name: lane.hint.to_pylist() for name, lane in routed.lanes.items()} == {
        "charges": [True],
        "refunds": [True],
        "payouts": [False],
        "customers": [False],
    }
