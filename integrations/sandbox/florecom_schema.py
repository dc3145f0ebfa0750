"""What the auction's messages are made of, and the WSDL and the schemas that say so.

A compact reading, in our own words, of what public clients of Florecom's VMP 0.7 send and get, as
far as the twin and the connector speak of it: what the real service has beyond this is optional
there. `clock` is ours: no SOAP operation for transactions is known of any vendor.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

ASM = "urn:fec:florecom:xml:data:draft:SupplyStandardMessage:7"
FERAM = "urn:fec:florecom:xml:data:draft:ReusableAggregateBusinessInformationEntity:6"
RAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:3"
CLOCK = "urn:sandbox:flower-auction:clock:1"
SERVICE = "http://sandbox.invalid/Customer/v0p7"

NAMESPACES = {
    "supply": ASM,
    "lot": FERAM,
    "trade": RAM,
    "clock": CLOCK,
    "data": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:4",
    "measured": "urn:fc:florecom:xml:data:draft:UnqualifiedDataType:1",  # fc, not fec
}
"""Each has a schema, whose name is also its prefix."""

OPERATIONS = {
    "GetSupply": ("supply", "SupplyRequest", "SupplyResponse"),
    "GetClockTransactions": ("clock", "ClockTransactionsRequest", "ClockTransactionsResponse"),
}
"""What is sent and what comes back: elements of a namespace, with types of the same names."""

_TYPES: Mapping[str, Mapping[str, str]] = {
    "supply": {
        "SupplyRequest": "Header? Header, Body? Asked",
        "Header": "UserName? data:Text, Password? data:Text, MessageID? data:ID, "
        "MessageDateTime xs:dateTime, MessageSerial xs:decimal",
        "Asked": "SupplyRequestDetails? AskedLines",
        "AskedLines": "AgentParty? lot:Agent, SupplyRequestLine* lot:AskedLine",
        "SupplyResponse": "Body? Told",
        "Told": "SupplyResponseDetails? Lots",
        "Lots": "SupplyTradeLineItem* lot:Lot",
    },
    "lot": {
        "Agent": "PrimaryID? data:ID",
        "AskedLine": "MutationDateTime? xs:dateTime",
        "Lot": "ID? data:ID, DocumentType? data:Code, LineDateTime xs:dateTime, "
        "TradingTerms? Terms, ReferencedDocument* trade:Document, "
        "AdditionalInformationTradeNote* trade:Note, SupplierParty? trade:Party, "
        "Product? Product, Quantity? measured:Quantity, "
        "IncrementalOrderableQuantity? measured:Quantity, Price* Price, Packing* Packing, "
        "Delivery* Delivery, Status* Status",
        "Terms": "MarketPlace? Place, MarketFormCode? data:Code, TradePeriod? Period, "
        "Condition* Condition",
        "Place": "ID? data:ID",
        "Period": "StartDateTime? xs:dateTime, EndDateTime? xs:dateTime",
        "Condition": "TypeCode* data:Code, ValueMeasure* measured:Measure",
        "Product": "IndustryAssignedID? data:ID, SupplierAssignedID? data:ID, "
        "DescriptionText? data:Text, TypeCode? data:Code, ProductGroupID? data:ID, "
        "ApplicableGoodsCharacteristics* Characteristic, ManufacturerParty? trade:Party",
        "Characteristic": "TypeCode* data:Code, ValueCode? data:Code",
        "Price": "TypeCode? data:Code, ChargeAmount? data:Amount, "
        "BasisQuantity? measured:Quantity, NetPriceIndicator? xs:boolean, "
        "MinimumQuantity? measured:Quantity, MaximumQuantity? measured:Quantity",
        "Packing": "Package? Package, InnerPackageQuantity? measured:Quantity, "
        "InnerPacking* Packing",
        "Package": "TypeCode* data:Code, Quantity? measured:Quantity, LinearDimension? Size",
        "Size": "WidthMeasure? data:Measure, LengthMeasure? data:Measure, "
        "HeightMeasure? data:Measure",
        "Delivery": "DeliveryTerms? trade:Terms, LatestOrderDateTime? xs:dateTime, "
        "LatestDeliveryDateTime? xs:dateTime",
        "Status": "ConditionCode* data:Code, DescriptionText* data:Text",
    },
    "trade": {
        "Document": "IssuerAssignedID? data:ID, URIID? data:ID, LineID? data:ID",
        "Note": "SubjectCode? data:Code, Content? data:Text, ContentCode? data:Code",
        "Party": "PrimaryID? data:ID, Name? data:Text",
        "Terms": "DeliveryTypeCode? data:Code",
    },
    "clock": {
        "ClockTransactionsRequest": "Header supply:Header, MutatedSince? xs:dateTime, "
        "Cursor? xs:string, MaxLines? xs:int",
        "ClockTransactionsResponse": "Line* Sale, NextCursor? xs:string, MoreIndicator xs:boolean",
        "Sale": "TransactionID xs:string, DocumentType data:Code, MutationDateTime xs:dateTime, "
        "AuctionDate xs:date, TransactionTime xs:time, AuctionLocationCode xs:string, "
        "ClockNumber? xs:string, TraceNumber? xs:string, DeliveryNoteNumber? xs:string, "
        "BuyerID data:ID, SellerID? data:ID, GrowerID data:ID, GrowerGLN? data:ID, "
        "VBNProductCode data:ID, ProductName? xs:string, Characteristic* lot:Characteristic, "
        "PiecesPerPackage xs:int, Packages xs:int, PricePerPiece? data:Amount, "
        "PackagePrice? data:Amount, VBNPackageCode? xs:string, CancelledIndicator? xs:boolean",
    },
}
"""The elements of each type in their order, each with its type: one without a mark is always there,
one with `?` may be missing, of one with `*` there may be any number."""

_VALUES: Mapping[str, Mapping[str, str]] = {
    "data": {
        "ID": "xs:string schemeID schemeName schemeAgencyName schemeDataURI schemeURI",
        "Code": "xs:string listID listAgencyName listVersionID",
        "Text": "xs:string",
        "Amount": "xs:decimal currencyCode",
        "Measure": "xs:decimal unitCode",
    },
    "measured": {"Quantity": "xs:decimal unitCode", "Measure": "xs:decimal unitCode"},
}
"""What a value is, and the attributes that may stand at it."""

_MARKS = {"?": ' minOccurs="0"', "*": ' minOccurs="0" maxOccurs="unbounded"'}
_PREFIXES = {"xs": "http://www.w3.org/2001/XMLSchema", **NAMESPACES}
_PORTS = {"soap": "CommercialCustomerSoap", "soap12": "CommercialCustomerSoap12"}
_WSDL = "http://schemas.xmlsoap.org/wsdl/"
_HTTP = "http://schemas.xmlsoap.org/soap/http"


def schema(name: str) -> bytes:
    """The schema of a namespace, which leads to those beside it as `<name>.xsd`."""
    body = "".join(
        (
            *(_type(name, *one) for one in _TYPES.get(name, {}).items()),
            *(_value(*one) for one in _VALUES.get(name, {}).items()),
            *(
                f'<xs:element name="{message}" type="{name}:{message}"/>'
                for owner, *messages in OPERATIONS.values()
                for message in messages
                if owner == name
            ),
        )
    )
    others = [one for one in NAMESPACES if one != name and f'"{one}:' in body]
    return (
        f'<xs:schema {_declared(_PREFIXES)} targetNamespace="{NAMESPACES[name]}" '
        f'elementFormDefault="qualified">{_imports(others)}{body}</xs:schema>'
    ).encode()


def wsdl(address: str) -> bytes:
    """The service, which is called at `address`, over schemas that are in `schema/` beside it."""
    messages = "".join(
        f'<message name="{one}"><part name="parameters" element="{owner}:{one}"/></message>'
        for owner, *both in OPERATIONS.values()
        for one in both
    )
    operations = "".join(
        f'<operation name="{name}"><input message="here:{sent}"/><output message="here:{back}"/>'
        "</operation>"
        for name, (_, sent, back) in OPERATIONS.items()
    )
    ports = "".join(
        f'<port name="{port}" binding="here:{port}"><{soap}:address location="{address}"/></port>'
        for soap, port in _PORTS.items()
    )
    prefixes = {**_PREFIXES, **{soap: f"{_WSDL}{soap}/" for soap in _PORTS}, "here": SERVICE}
    return (
        f'<definitions xmlns="{_WSDL}" {_declared(prefixes)} targetNamespace="{SERVICE}"><types>'
        f"<xs:schema>{_imports([owner for owner, *_ in OPERATIONS.values()], 'schema/')}"
        f'</xs:schema></types>{messages}<portType name="CommercialCustomer">{operations}</portType>'
        f"{''.join(map(_binding, _PORTS))}"
        f'<service name="CommercialCustomers">{ports}</service></definitions>'
    ).encode()


def checker(name: str) -> etree.XMLSchema:
    """What validates messages of a namespace."""
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Beside())
    return etree.XMLSchema(etree.fromstring(schema(name), parser, base_url=f"{name}.xsd"))


class _Beside(etree.Resolver):  # type: ignore[misc]  # lxml has no types
    """Finds the schemas that a schema imports."""

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:
        return self.resolve_string(schema(system_url.removesuffix(".xsd")), context)


def _declared(prefixes: Mapping[str, str]) -> str:
    return " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in prefixes.items())


def _imports(names: Iterable[str], folder: str = "") -> str:
    return "".join(
        f'<xs:import namespace="{NAMESPACES[name]}" schemaLocation="{folder}{name}.xsd"/>'
        for name in names
    )


def _type(owner: str, name: str, elements: str) -> str:
    pairs = (element.split() for element in elements.split(","))
    inside = "".join(
        f'<xs:element name="{one.rstrip("?*")}" '
        f'type="{type_ if ":" in type_ else f"{owner}:{type_}"}"{_MARKS.get(one[-1], "")}/>'
        for one, type_ in pairs
    )
    return f'<xs:complexType name="{name}"><xs:sequence>{inside}</xs:sequence></xs:complexType>'


def _value(name: str, what: str) -> str:
    base, *attributes = what.split()
    inside = "".join(f'<xs:attribute name="{one}" type="xs:string"/>' for one in attributes)
    return (
        f'<xs:complexType name="{name}"><xs:simpleContent><xs:extension base="{base}">{inside}'
        "</xs:extension></xs:simpleContent></xs:complexType>"
    )


def _binding(soap: str) -> str:
    body = f'<{soap}:body use="literal"/>'
    operations = "".join(
        f'<operation name="{name}"><{soap}:operation soapAction="{SERVICE}/{name}" '
        f'style="document"/><input>{body}</input><output>{body}</output></operation>'
        for name in OPERATIONS
    )
    return (
        f'<binding name="{_PORTS[soap]}" type="here:CommercialCustomer">'
        f'<{soap}:binding transport="{_HTTP}"/>{operations}</binding>'
    )
