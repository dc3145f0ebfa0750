"""What is ShipHero's own: credits that run out, tokens that grow old, lines that are cut, and the
number of an order that only the order has."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from integrations.connector_template.connector import read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.names import Window
from integrations.sandbox.server import running
from integrations.sandbox.shiphero import EPOCH, ShipHeroTwin
from integrations.secrets import Secret
from integrations.transport import Ask
from integrations_tests.conformance.oracles import shiphero
from integrations_tests.conformance.subject import Case

FOLDER = SHIPPED / "shiphero"
TEN_DAYS = Window(EPOCH, EPOCH + timedelta(days=10))


class Waiting:
    """A clock that moves by what is slept."""

    def __init__(self) -> None:
        self.now = EPOCH + timedelta(days=12)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def test_all_lines_come_though_credits_run_out_and_tokens_grow_old() -> None:
    """Each order once with all its lines. What is waited is what ShipHero asks for; a token that
    is too old meanwhile is renewed."""
    clock, config = Waiting(), read_connector(FOLDER).config
    twin = ShipHeroTwin(7, clock=clock, credits_=400, token_s=5)
    with running(twin) as url:
        session = config.sync_handler.transport.open(
            config.auth_handler,
            {name: Secret(value) for name, value in twin.secrets.items()},
            base_url=url,
            clock=clock,
            sleep=clock.sleep,
            random=lambda: 0.0,
        )
        with session:
            request = config.sync_handler.streams["orders"].request
            pages = list(session.pages(request, ask=Ask(window=TEN_DAYS)))
    found = [msgspec.json.decode(record) for page in pages for record in page.records]

    free = ShipHeroTwin(7, clock=clock)
    with running(free) as url, httpx.Client(base_url=url) as client:
        client.headers.update(shiphero.let_in(client, free.secrets))
        held = list(shiphero.records(client, "orders", TEN_DAYS))

    assert lines(found) == lines(held)
    assert len(found) == len(held) > 100
    assert max(map(len, lines(held).values())) == 27
    assert {1} < set(map(int, clock.slept)) <= {1, 2, 3}, "as the texts have them, and a little"
    assert twin.log.count("POST /auth/token") == 1
    assert twin.log.count("POST /auth/refresh") > 2


def lines(orders: list[dict[str, Any]]) -> dict[str, list[str]]:
    """By the order's id the ids of its lines."""
    return {
        order["id"]: [edge["node"]["id"] for edge in order["line_items"]["edges"]]
        for order in orders
    }


@pytest.mark.parametrize("subject", [FOLDER], indirect=True, ids=["shiphero"])
def test_shipments_have_the_number_of_their_order(case: Case) -> None:
    """It is looked up where the order is; of one that was not read it is not known."""
    subject = case.subject
    orders, shipments, _ = subject.streams
    window = subject.windows(orders)[-1]
    case.sync(orders, window)
    case.sync(shipments, window)

    with httpx.Client(base_url=subject.url) as client:
        client.headers.update(shiphero.let_in(client, subject.twin.secrets))
        order_of = {
            label["id"]: shipment["order_id"]
            for shipment in shiphero.records(client, "shipments", window)
            for label in shipment["shipping_labels"]
        }
    numbers = {id_: row["order_number"] for id_, row in case.rows(orders).items()}
    found = {
        id_: row["order_number"] for id_, row in case.rows(shipments).items() if id_ in order_of
    }
    assert found == {id_: numbers.get(order_of[id_]) for id_ in found}
    assert len(set(found.values()) - {None}) > 3
