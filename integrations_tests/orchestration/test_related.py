"""Details and lists of parents, from their source to the tables: what the source does not tell of one
record, or of one parent, is counted, kept and asked for again, and the others load."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.code_location import build
from integrations.processes import named
from integrations.sandbox.address import FILE
from integrations.sandbox.server import running
from integrations_tests.connector_template.florist import changed, write
from integrations_tests.orchestration.conftest import Floor

BUYERS, SHOPS, ORDERS = (
    StreamId("florist", "sandbox", name) for name in ("buyers", "shops", "orders")
)
FILE_TEXT = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Florist (details)
  connections:
    sandbox: {start: 2026-01-01}
  auth_handler: {type: basic, username: user, password: word}
  sync_handler:
    transport: {type: rest, base_url: "https://florist.example", retry: {first_s: 0.01}}
    streams:
      buyers:
        sync: {type: full, deletes: absence}
        request:
          path: /buyers
          paging: {type: single}
          detail: {path: "/buyers/{key}", key: number, put: merge}
      shops: {of: buyers}
      orders:
        sync: {type: full}
        request:
          path: /buyers/{parent.number}/orders
          records: items
          paging: {type: offset, newest_first: true}
          parent: {stream: buyers, put: buyer}
  transformer:
    buyers: {entity: customer, key: number, fields: {name: name, city: city}}
    shops:
      entity: customer
      key: [number, item.code]
      each: shops
      fields: {name: name, city: item.city}
    orders:
      entity: order
      key: [buyer.number, id]
      fields:
        order_number: id
        customer_id: buyer.number
        status: {type: constant, value: open}
        status_raw: state
        order_date: day
        currency: {type: constant, value: EUR}
  event_handler: none
"""


@dataclass
class Source:
    """Four buyers with as many shops as their number, and two versions of one order for each, the
    newest first, one a page; `gone` are paths that it answers with another status, and `busy` those
    that it answers with 503 the first time. With a `limit` the newest buyers come first."""

    gone: dict[str, int] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    calls: int = 0

    async def answer(self, request: Request) -> Response:
        self.calls += 1
        path = request.url.path
        if path in self.gone:
            return Response(status_code=self.gone[path])
        if path in self.busy:
            self.busy.remove(path)
            return Response(status_code=503)
        if path == "/buyers":
            buyers = [{"number": str(n), "name": f"Buyer {n}"} for n in range(1, 5)]
            if limit := int(request.query_params.get("limit", 0)):
                before = int(request.query_params.get("before", 5))
                buyers = buyers[::-1][5 - before :][:limit]
            return JSONResponse(buyers)
        _, _, buyer, *orders = path.split("/")
        if orders:
            at = int(request.query_params.get("offset", 0))
            versions = [
                {"id": "o", "state": state, "day": "2026-01-01"} for state in ("new", "old")
            ]
            return JSONResponse({"items": versions[at : at + 1]})
        shops = [{"code": str(n), "city": f"City {n}"} for n in range(int(buyer))]
        return JSONResponse({"city": f"Town {buyer}", "shops": shops})


@dataclass
class Shop:
    floor: Floor
    source: Source
    definitions: dg.Definitions

    def run(self, *assets: dg.AssetKey) -> None:
        assert self.floor.run(*assets, definitions=self.definitions).success

    def ids(self, stream: StreamId, entity: str = "customer") -> list[str]:
        query = f"SELECT source_id FROM canonical.{entity}_live WHERE stream = '{stream.stream}' ORDER BY 1"
        return [id_ for (id_,) in self.floor.rows(query)]

    def refused(self) -> list[tuple[Any, ...]]:
        """Stream, rule and reason of what is open in quarantine."""
        return self.floor.rows(
            "SELECT stream, key LIKE 'sha256:%', rule, reason FROM integrations.quarantine"
            " WHERE closed_at IS NULL ORDER BY 1, 4"
        )

    def last(self, stream: StreamId) -> dict[str, Any]:
        """The counts of the newest ledger line that are not 0."""
        names = ["records", "received", "inserted", "updated", "unchanged", "duplicate", "quarantined", "absent_deleted"]  # fmt: skip
        (row,) = self.floor.rows(
            f"SELECT {', '.join(names)} FROM integrations.ledger"
            f" WHERE stream = '{stream.stream}' ORDER BY id DESC LIMIT 1"
        )
        return {name: count for name, count in zip(names, row, strict=True) if count}


@contextmanager
def opened(floor: Floor, folder: Path, text: str = FILE_TEXT) -> Iterator[Shop]:
    source = Source()
    app = Starlette(routes=[Route("/{path:path}", source.answer)])
    with running(app) as url:
        served = {"florist": {"url": url, "secrets": {"user": "u", "word": "w"}}, **named()}
        (floor.home / FILE).write_text(json.dumps(served))
        yield Shop(floor, source, build([write(folder, text)]))


def test_a_detail_that_is_not_told_is_one_refused_record(floor: Floor, tmp_path: Path) -> None:
    """Of its stream and of its children; a replay asks nobody and says the same, and so does a
    retry; the next reading closes it, and deletes no row for it."""
    family = (*keys.trio(BUYERS), *keys.pair(SHOPS))
    with opened(floor, tmp_path / "florist") as shop:
        shop.source.gone = {"/buyers/3": 404}
        shop.run(*family)
        told = "GET /buyers/3 answered 404"
        assert shop.ids(BUYERS) == ["1", "2", "4"]
        assert shop.ids(SHOPS) == ["1/0", "2/0", "2/1", "4/0", "4/1", "4/2", "4/3"]
        refused = [("buyers", False, "unanswered", told), ("shops", True, "each", told)]
        assert shop.refused() == refused
        assert shop.last(BUYERS) == {"records": 4, "received": 4, "inserted": 3, "quarantined": 1}
        assert shop.last(SHOPS) == {"records": 4, "received": 8, "inserted": 7, "quarantined": 1}
        calls = shop.source.calls
        shop.run(*(one for one in family if one != keys.trio(BUYERS)[0]))
        assert shop.source.calls == calls
        assert shop.refused() == refused
        shop.source.gone = {"/buyers/1": 410}
        shop.run(*family)
        assert shop.ids(BUYERS) == ["1", "2", "3", "4"]
        assert [reason for stream, *_, reason in shop.refused() if stream == "buyers"] == [
            "GET /buyers/1 answered 410"
        ]


def test_a_parent_whose_list_is_not_told_is_one_refused_record(
    floor: Floor, tmp_path: Path
) -> None:
    """The orders of the others load, and of two versions in one list the newest."""
    with opened(floor, tmp_path / "florist") as shop:
        shop.source.gone = {"/buyers/2/orders": 403}
        shop.run(*keys.trio(ORDERS))
        assert shop.ids(ORDERS, "order") == ["1/o", "3/o", "4/o"]
        assert floor.rows("SELECT DISTINCT status_raw FROM canonical.order") == [("new",)]
        refused = [("orders", True, "unanswered", "GET /buyers/2/orders answered 403")]
        assert shop.refused() == refused
        counted = {"records": 7, "received": 7, "inserted": 3, "duplicate": 3, "quarantined": 1}
        assert shop.last(ORDERS) == counted
        shop.run(*keys.trio(ORDERS))
        assert shop.refused() == refused, "it is one entry, however often it is refused"


def test_a_complete_reading_in_falling_order_deletes_nobody(floor: Floor, tmp_path: Path) -> None:
    """Though what its later pages say counts as said before its first one."""
    text = changed(
        (
            "path: /buyers\n          paging: {type: single}",
            "path: /buyers\n          params: {limit: 2}\n          paging: {type: last_id, "
            "param: before, id: number, more: null, newest_first: true}",
        ),
        text=FILE_TEXT,
    )
    with opened(floor, tmp_path / "florist", text) as shop:
        for _ in range(2):
            shop.run(*keys.trio(BUYERS), *keys.pair(SHOPS))
            assert shop.ids(BUYERS) == ["1", "2", "3", "4"]
            assert "absent_deleted" not in shop.last(BUYERS)


def test_a_list_that_is_read_late_deletes_no_other_parents_records(
    floor: Floor, tmp_path: Path
) -> None:
    """The first list is asked for again when those of the others have come already."""
    orders = "sync: {type: full}\n        request:\n          path: /buyers/{parent.number}/orders"
    text = changed(
        (orders, orders.replace("full", "full, deletes: absence")),
        ("paging: {type: offset, newest_first: true}", "paging: {type: single}"),
        text=FILE_TEXT,
    )
    with opened(floor, tmp_path / "florist", text) as shop:
        for _ in range(2):
            shop.source.busy = {"/buyers/1/orders"}
            shop.run(*keys.trio(ORDERS))
            assert shop.ids(ORDERS, "order") == ["1/o", "2/o", "3/o", "4/o"]
            assert "absent_deleted" not in shop.last(ORDERS)
