"""What must be in the tables of what the auction holds, told from its messages alone."""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import httpx

from integrations.names import Window

Record = dict[str, Any]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
PLACE = "/Webservice/CCVMP/v0p7/Customer.asmx"
ASM = "urn:fec:florecom:xml:data:draft:SupplyStandardMessage:7"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
LINES = {"supply_lines": "SupplyTradeLineItem", "clock_transactions": "Line"}
CLOCK = "urn:sandbox:flower-auction:clock:1"
SEVERAL = {
    ("SupplyTradeLineItem", name)
    for name in ("ReferencedDocument", "AdditionalInformationTradeNote", "Price", "Packing")
} | {
    ("SupplyTradeLineItem", "Delivery"), ("SupplyTradeLineItem", "Status"),
    ("TradingTerms", "Condition"), ("Condition", "TypeCode"), ("Condition", "ValueMeasure"),
    ("Product", "ApplicableGoodsCharacteristics"), ("Line", "Characteristic"),
    ("ApplicableGoodsCharacteristics", "TypeCode"), ("Characteristic", "TypeCode"),
    ("Package", "TypeCode"), ("Packing", "InnerPacking"), ("InnerPacking", "InnerPacking"),
    ("Status", "ConditionCode"), ("Status", "DescriptionText"),
}  # fmt: skip
"""Elements that the messages may have several of, by the element around them."""


def let_in(client: httpx.Client, secrets: Mapping[str, str]) -> Mapping[str, str]:
    pair = f"{secrets['username']}:{secrets['password']}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def records(client: httpx.Client, stream: str, window: Window | None) -> Iterator[Record]:
    """The day's supply in one answer; transactions by ever later changes, and what an answer says
    of more is not believed."""
    if stream == "supply_lines":
        yield from asked(client, stream)
        return
    seen: dict[str, Record] = {}
    since = "2000-01-01T00:00:00Z"
    while True:
        page = asked(client, stream, f"<c:MutatedSince>{since}</c:MutatedSince>")
        new = {one["TransactionID"]: one for one in page if one["TransactionID"] not in seen}
        if not new:
            break
        seen |= new
        since = page[-1]["MutationDateTime"]
    yield from seen.values()


def asked(client: httpx.Client, stream: str, inside: str = "") -> list[Record]:
    """The records of one answer; `inside` stands in the message behind its header."""
    root = ElementTree.fromstring(answered(client, stream, inside))
    return [rendered(one) for one in elements(root, LINES[stream])]


def answered(client: httpx.Client, stream: str, inside: str = "") -> bytes:
    """One answer, whole."""
    pair = base64.b64decode(client.headers["authorization"].removeprefix("Basic ")).decode()
    user, _, word = (escape(part) for part in pair.partition(":"))
    request = {"supply_lines": "a:SupplyRequest"}.get(stream, "c:ClockTransactionsRequest")
    prefix = request[0]
    body = (
        f'<e:Envelope xmlns:e="{SOAP}" xmlns:a="{ASM}" xmlns:c="{CLOCK}"><e:Body><{request}>'
        f"<{prefix}:Header><a:UserName>{user}</a:UserName><a:Password>{word}</a:Password>"
        "<a:MessageDateTime>2026-10-04T12:00:00Z</a:MessageDateTime>"
        f"<a:MessageSerial>1</a:MessageSerial></{prefix}:Header>{inside}</{request}>"
        "</e:Body></e:Envelope>"
    )
    kind = {"Content-Type": "text/xml; charset=utf-8"}
    return client.post(PLACE, content=body.encode(), headers=kind).raise_for_status().content


def elements(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The records in an answer."""
    return root.findall(f".//{{*}}{name}")


def rendered(element: ElementTree.Element) -> Record:
    """An element as a record: texts, objects, lists, and attributes beside what they are of."""
    made: Record = {}
    around = _local(element.tag)
    for child in element:
        name = _local(child.tag)
        value: Any = rendered(child) if len(child) else child.text or ""
        if (around, name) not in SEVERAL:
            made[name] = value
            made |= {f"{name}@{key}": text for key, text in child.attrib.items()}
            continue
        made.setdefault(name, []).append(value)
        for key, text in child.attrib.items():
            made.setdefault(f"{name}@{key}", []).append(text)
    return made


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def key(stream: str, record: Record) -> str:
    """The record's id: that of a lot together with its day."""
    if stream == "clock_transactions":
        return str(record["TransactionID"])
    return f"{record['ID']}/{record['TradingTerms']['TradePeriod']['StartDateTime'][:10]}"


def expected(stream: str, record: Record) -> Mapping[str, Any] | None:
    return _lot(record) if stream == "supply_lines" else _transaction(record)


def _lot(lot: Record) -> Record | None:
    product, status = lot.get("Product"), lot["Status"][0]["ConditionCode"][0]
    sound = product and status and re.fullmatch(r"\d+", lot["Quantity"])
    said = datetime.fromisoformat(lot["LineDateTime"])
    if not sound or said.tzinfo is None:
        return None
    marks = _marks(product.get("ApplicableGoodsCharacteristics", []))
    price, packing, delivery = lot["Price"][0], lot["Packing"][0], lot["Delivery"][0]
    stem = marks.get("S20")
    return {
        "lot_id": lot["ID"],
        "auction_date": date.fromisoformat(
            lot["TradingTerms"]["TradePeriod"]["StartDateTime"][:10]
        ),
        "vbn_product_code": product["IndustryAssignedID"],
        "product_name": product["DescriptionText"],
        "grower_gln": product["ManufacturerParty"]["PrimaryID"] or None,
        "grower_name": product["ManufacturerParty"].get("Name"),
        "quality_group": marks.get("S98"),
        "stem_length_cm": None if stem is None else int(stem),
        "maturity": marks.get("S05"),
        "country": marks.get("S62"),
        "pieces_available": int(lot["Quantity"]),
        "pieces_per_package": int(packing["InnerPackageQuantity"]),
        "vbn_package_code": packing["Package"]["TypeCode"][0],
        "price_per_piece": Decimal(price["ChargeAmount"]) / Decimal(price["BasisQuantity"]),
        "currency": "EUR",
        "price_tiers": lot["Price"],
        "min_order_qty": int(price["MinimumQuantity"]),
        "auction_location": lot["TradingTerms"]["MarketPlace"]["ID"] or None,
        "latest_order_at": datetime.fromisoformat(delivery["LatestOrderDateTime"]),
        "latest_delivery_at": datetime.fromisoformat(delivery["LatestDeliveryDateTime"]),
        "photo_url": (lot.get("ReferencedDocument") or [{"URIID": None}])[0]["URIID"],
        "status": status,
        "line_at": said.astimezone(UTC),
        "is_active": status == "71",
    }


def _transaction(sold: Record) -> Record | None:
    states = {"323": "preliminary", "493": "final", "231": "direct"}
    price = sold.get("PricePerPiece")
    if sold["DocumentType"] not in states or not sold["Packages"].isdigit() or "," in (price or ""):
        return None
    each, packages = int(sold["PiecesPerPackage"]), int(sold["Packages"])
    marks = _marks(sold.get("Characteristic", []))
    local = datetime.fromisoformat(f"{sold['AuctionDate']}T{sold['TransactionTime']}")
    package = sold.get("PackagePrice")
    return {
        "state": states[sold["DocumentType"]],
        "transacted_at": local.replace(tzinfo=AMSTERDAM).astimezone(UTC),
        "buyer_id": sold["BuyerID"],
        "seller_gln": sold["SellerID"],
        "grower_id": sold["GrowerID"],
        "grower_gln": sold.get("GrowerGLN") or None,
        "vbn_product_code": sold["VBNProductCode"],
        "product_name": sold.get("ProductName"),
        "characteristics": marks,
        "quality_group": marks.get("S98"),
        "pieces_per_package": each,
        "packages": packages,
        "pieces": each * packages,
        "price_per_piece": None if price is None else Decimal(price),
        "amount": None if price is None else Decimal(price) * each * packages,
        "package_price": None if package is None else Decimal(package),
        "currency": "EUR",
        "vbn_package_code": sold["VBNPackageCode"],
        "delivery_note": sold.get("DeliveryNoteNumber"),
        "lot_ref": sold["TraceNumber"],
        "barcode": sold["TransactionID"],
    }


def _marks(found: list[Record]) -> dict[str, str]:
    return {one["TypeCode"][0]: one["ValueCode"] for one in found}
