"""Lots and transactions in the words of the messages; characteristics stand in no order."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from integrations.sandbox.florecom_market import (
    COUNTRIES,
    GROWERS,
    LOCAL,
    PLACES,
    PRODUCTS,
    QUALITIES,
    Lot,
    Sale,
)

_DAY = timedelta(days=1)
_FEC = {"schemeID": "1", "schemeAgencyName": "FEC"}
_VBN = {"schemeID": "1", "schemeAgencyName": "VBN"}


def _el(name: str, text: str = "", /, **attributes: str) -> str:
    told = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{told}>{escape(text)}</{name}>" if text else f"<{name}{told}/>"


def _in(name: str, *inside: str) -> str:
    return f"<{name}>{''.join(inside)}</{name}>"


def characteristics(lot: Lot) -> Mapping[str, str]:
    """The lot's properties, by their VBN code, in the order of chance."""
    rng = lot.dice()
    found = {
        "S98": rng.choice(QUALITIES),
        "S20": rng.choice(("040", "050", "060", "070", None)),
        "S05": rng.choice(("023", "033", None)),
        "S62": rng.choice(COUNTRIES),
        "L11": rng.choice(("010", None)),
    }
    told = [(code, value) for code, value in found.items() if value is not None]
    rng.shuffle(told)
    return dict(told)


def _characteristic(name: str, code: str, value: str) -> str:
    return _in(
        name,
        _el("f:TypeCode", code, listID="8", listAgencyName="VBN"),
        _el("f:ValueCode", value, listID="9", listAgencyName="VBN"),
    )


def cents(lot: Lot) -> int:
    """The price of a piece in thousandths of a euro: auctions have three decimals."""
    return 90 + lot.number * 37 % 900


def _price(lot: Lot, thousandths: int, least: int, most: int) -> str:
    return _in(
        "f:Price",
        _el("f:TypeCode", "AE", listID="5375", listVersionID="D09A"),
        _el("f:ChargeAmount", f"{thousandths / 1000:.3f}"),
        _el("f:BasisQuantity", "1", unitCode="1"),
        _el("f:NetPriceIndicator", "false"),
        _el("f:MinimumQuantity", str(least), unitCode="1"),
        _el("f:MaximumQuantity", str(most), unitCode="1"),
    )


def line(lot: Lot, now: datetime) -> str:
    """A lot as it is on offer."""
    step = lot.at(now)
    assert step is not None, "who is gone is not told"
    (said, packages), bad = step, lot.bad
    pieces = packages * lot.per_package
    fraction = f".{lot.number * 7919 % 10**7:07}"  # .NET writes seven digits
    moment = said.astimezone(LOCAL).isoformat(timespec="seconds")
    written = moment[:19] + fraction + ("" if bad == "time_naive" else moment[19:])
    product, (gln, grower) = PRODUCTS[lot.number % len(PRODUCTS)], GROWERS[lot.number % 4]
    tiers = [(cents(lot), 1, pieces)]
    if lot.number % 3 == 0 and packages > 4:
        half = pieces // 2
        tiers = [(cents(lot), 1, half), (cents(lot) - 15, half + 1, pieces)]
    trolley = _in("f:InnerPacking", _in("f:Package", _el("f:TypeCode", "901")))
    return _in(
        "s:SupplyTradeLineItem",
        _el("f:ID", lot.id, schemeName="AAG", schemeDataURI="", schemeURI=""),
        _el("f:DocumentType", "9", listID="1001", listVersionID="D09A"),
        _el("f:LineDateTime", written),
        _in(
            "f:TradingTerms",
            _in("f:MarketPlace", _el("f:ID", PLACES[lot.number % 3], **_FEC)),
            _el("f:MarketFormCode", "002"),
            _in(
                "f:TradePeriod",
                _el("f:StartDateTime", f"{lot.day}T00:00:00"),
                _el("f:EndDateTime", _local(lot, "23:59:59")),
            ),
            _in("f:Condition", _el("f:TypeCode", "303"), _el("f:ValueMeasure", "1")),
        ),
        _in(
            "f:ReferencedDocument",
            _el("r:IssuerAssignedID", schemeName="IRN", schemeDataURI="", schemeURI=""),
            _el("r:URIID", f"http://pictures.invalid/X{lot.id}_H_1.jpg?a=1&b=2"),
            _el("r:LineID", "001"),
        )
        if lot.number % 5
        else "",
        _in(
            "f:AdditionalInformationTradeNote",
            _el("r:SubjectCode", "AAI"),
            _el("r:Content", "Snijbloemen"),
            _el("r:ContentCode", "productgroep naam"),
        ),
        _in("f:SupplierParty", _el("r:PrimaryID", **_FEC)),
        "" if bad == "no_product" else _product(lot, product, gln, grower),
        _el("f:Quantity", "many" if bad == "quantity_words" else str(pieces), unitCode="1"),
        _el("f:IncrementalOrderableQuantity", str(lot.per_package), unitCode="1"),
        *(_price(lot, *tier) for tier in tiers),
        _in(
            "f:Packing",
            _in(
                "f:Package",
                _el("f:TypeCode", "577", listID="901", listAgencyName="VBN"),
                _el("f:Quantity", "1", unitCode="3"),
            ),
            _el("f:InnerPackageQuantity", str(lot.per_package), unitCode="1"),
            trolley if lot.number % 7 == 0 else "",
        ),
        _in(
            "f:Delivery",
            _in("f:DeliveryTerms", _el("r:DeliveryTypeCode", "DDP", listID="4053")),
            _el("f:LatestOrderDateTime", _local(lot, "23:59:59")),
            _el("f:LatestDeliveryDateTime", _local(lot, "08:00:00", later=True)),
        ),
        _in(
            "f:Status",
            _el("f:ConditionCode", "" if bad == "status_empty" else "71"),
            _el("f:DescriptionText", "available for ordering"),
        ),
    )


def _product(lot: Lot, product: tuple[str, str, str], gln: str, grower: str | None) -> str:
    code, name, group = product
    return _in(
        "f:Product",
        _el("f:IndustryAssignedID", code, **_VBN),
        _el("f:SupplierAssignedID", code),
        _el("f:DescriptionText", name),
        _el("f:TypeCode", "57"),
        _el("f:ProductGroupID", group, schemeID="16", schemeAgencyName="VBN"),
        *(
            _characteristic("f:ApplicableGoodsCharacteristics", key, value)
            for key, value in characteristics(lot).items()
        ),
        _in(
            "f:ManufacturerParty",
            _el("r:PrimaryID", gln, **_FEC),
            _el("r:Name", grower) if grower else "",
        ),
    )


def _local(lot: Lot, time: str, *, later: bool = False) -> str:
    day = lot.day + (_DAY if later else timedelta())
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=LOCAL).isoformat()


def mutated(sale: Sale, now: datetime) -> str:
    """When a transaction last changed, in a form whose texts are in the order of their times."""
    at, _ = sale.state(now)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def transaction(sale: Sale, now: datetime) -> str:
    """A transaction as it is now."""
    lot, bad = sale.lot, sale.bad
    _, state = sale.state(now)
    product, (gln, _) = PRODUCTS[lot.number % len(PRODUCTS)], GROWERS[lot.number % 4]
    local = sale.at.astimezone(LOCAL)
    price = f"{cents(lot) / 1000:.3f}"
    return _in(
        "c:Line",
        _el("c:TransactionID", sale.id),
        _el("c:DocumentType", "999" if bad == "state_unknown" else state),
        _el("c:MutationDateTime", mutated(sale, now)),
        _el("c:AuctionDate", f"{lot.day}"),
        _el("c:TransactionTime", f"{local:%H:%M:%S}"),
        _el("c:AuctionLocationCode", str(1 + lot.number % 3)),
        _el("c:ClockNumber", f"{lot.number % 14:02}") if not sale.direct else "",
        _el("c:TraceNumber", f"{lot.number % 100_000:05}"),
        _el("c:DeliveryNoteNumber", f"{lot.number % 10_000:07}") if lot.number % 4 else "",
        _el("c:BuyerID", f"{10_000 + lot.number % 61}"),
        _el("c:SellerID", "8710000000016", **_FEC),
        _el("c:GrowerID", f"{lot.number % 40_000:05}"),
        _el("c:GrowerGLN", gln, **_FEC) if lot.number % 2 else "",
        _el("c:VBNProductCode", product.code, **_VBN),
        _el("c:ProductName", product.name) if lot.number % 6 else "",
        *(
            _characteristic("c:Characteristic", key, value)
            for key, value in (characteristics(lot).items() if lot.number % 8 else ())
        ),
        _el("c:PiecesPerPackage", str(lot.per_package)),
        _el("c:Packages", "two" if bad == "pieces_words" else str(sale.packages)),
        _el(
            "c:PricePerPiece",
            price.replace(".", ",") if bad == "price_comma" else price,
            currencyCode="EUR",
        )
        if not sale.direct or bad == "price_comma"
        else "",
        _el("c:PackagePrice", "3.15") if lot.number % 2 else "",
        _el("c:VBNPackageCode", "577"),
    )
