"""A small SOAP service on a test's own server: a WSDL with every kind of type, and answers by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from integrations.auth import Auth
from integrations.auth.static import NoAuth
from integrations.secrets import Secret
from integrations.transport import Ask, Page
from integrations.transport.soap import SoapTransport
from integrations.transport.soap_request import SoapRequest
from integrations_tests.transport.conftest import Call, Say, Time, Web

SOAP11, SOAP12 = (
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://www.w3.org/2003/05/soap-envelope",
)
XSI = "http://www.w3.org/2001/XMLSchema-instance"
TYPES = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:shop" xmlns="urn:shop" elementFormDefault="qualified">
  <xs:complexType name="Code"><xs:simpleContent><xs:extension base="xs:string"><xs:attribute name="list" type="xs:string"/></xs:extension></xs:simpleContent></xs:complexType>
  <xs:complexType name="Item"><xs:sequence>
    <xs:element name="Sku" type="xs:string"/>
    <xs:element name="Price" type="xs:decimal" minOccurs="0" nillable="true"/>
    <xs:element name="Code" type="Code" minOccurs="0"/>
    <xs:element name="Tag" type="Code" minOccurs="0" maxOccurs="unbounded"/>
    <xs:element name="Maker" type="Maker" minOccurs="0"/>
    <xs:element name="Part" type="Item" minOccurs="0" maxOccurs="unbounded"/>
    <xs:sequence minOccurs="0" maxOccurs="unbounded"><xs:element name="In" type="xs:string"/><xs:element name="Out" type="xs:string"/></xs:sequence>
    <xs:any minOccurs="0" maxOccurs="unbounded" namespace="##other" processContents="lax"/></xs:sequence>
    <xs:attribute name="state" type="xs:string"/></xs:complexType>
  <xs:complexType name="Maker"><xs:sequence><xs:element name="Name" type="xs:string" minOccurs="0"/></xs:sequence></xs:complexType>
  <xs:complexType name="Grower"><xs:complexContent><xs:extension base="Maker"><xs:sequence><xs:element name="Gln" type="xs:int"/><xs:element name="Field" type="xs:string" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>
  <xs:element name="GetItems"><xs:complexType><xs:sequence>
    <xs:element name="User" type="xs:string" minOccurs="0"/><xs:element name="Password" type="xs:string" minOccurs="0"/>
    <xs:element name="At" type="xs:dateTime" minOccurs="0"/><xs:element name="Since" type="xs:dateTime" minOccurs="0"/>
    <xs:element name="Filter" type="Maker" minOccurs="0"/><xs:element name="Code" type="Code" minOccurs="0"/>
    <xs:element name="Cursor" type="xs:string" minOccurs="0"/></xs:sequence></xs:complexType></xs:element>
  <xs:element name="GetItemsResponse"><xs:complexType><xs:sequence>
    <xs:element name="Items" minOccurs="0"><xs:complexType><xs:sequence><xs:element name="Item" type="Item" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
    <xs:element name="Next" type="xs:string" minOccurs="0"/></xs:sequence></xs:complexType></xs:element>
  <xs:element name="Login"><xs:complexType><xs:sequence><xs:element name="User" type="xs:string"/><xs:element name="Word" type="xs:string"/></xs:sequence></xs:complexType></xs:element>
  <xs:element name="Busy"><xs:complexType><xs:sequence><xs:element name="Seconds" type="xs:int"/></xs:sequence></xs:complexType></xs:element>
</xs:schema>"""
IMPORTED = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import namespace="urn:shop" schemaLocation="{place}"/></xs:schema>'


def wsdl(types: str = TYPES) -> bytes:
    """The service, with ports for SOAP 1.1 and 1.2; the first takes a header."""
    return f"""<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:shop" targetNamespace="urn:shop"
  xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">
  <types>{types}</types>
  <message name="In"><part name="p" element="t:GetItems"/></message><message name="Out"><part name="p" element="t:GetItemsResponse"/></message>
  <message name="Head"><part name="h" element="t:Login"/></message><message name="BusyFault"><part name="f" element="t:Busy"/></message>
  <portType name="Shop"><operation name="GetItems"><input message="t:In"/><output message="t:Out"/><fault name="Busy" message="t:BusyFault"/></operation></portType>
  <binding name="B11" type="t:Shop"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="GetItems"><soap:operation soapAction="urn:shop/GetItems" style="document"/><input><soap:header message="t:Head" part="h" use="literal"/><soap:body use="literal"/></input><output><soap:body use="literal"/></output><fault name="Busy"><soap:fault name="Busy" use="literal"/></fault></operation></binding>
  <binding name="B12" type="t:Shop"><soap12:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="GetItems"><soap12:operation soapAction="urn:shop/GetItems" style="document"/><input><soap12:body use="literal"/></input><output><soap12:body use="literal"/></output></operation></binding>
  <service name="Shop"><port name="P11" binding="t:B11"><soap:address location="https://elsewhere.invalid/shop"/></port><port name="P12" binding="t:B12"><soap12:address location="https://elsewhere.invalid/shop"/></port></service>
</definitions>""".encode()


def envelope(body: str, *, soap: str = SOAP11, after: str = "") -> bytes:
    """An envelope around a body; `after` stands beside that."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="{soap}" xmlns:xsi="{XSI}">'
        f"<e:Header/><e:Body>{body}{after}</e:Body></e:Envelope>"
    ).encode()


def answer(items: str = "", *, next_: str = "", soap: str = SOAP11) -> Say:
    """An answer with these items."""
    more = f"<Next>{next_}</Next>" if next_ else ""
    return said(
        envelope(
            f'<GetItemsResponse xmlns="urn:shop"><Items>{items}</Items>{more}</GetItemsResponse>',
            soap=soap,
        )
    )


def said(body: bytes, *, status: int = 200) -> Say:
    return Say(body, status, {"Content-Type": "text/xml; charset=utf-8"})


def fault(code: str, text: str, *, detail: str = "", status: int = 500) -> Say:
    """A fault of SOAP 1.1."""
    inner = f"<detail>{detail}</detail>" if detail else ""
    return said(
        envelope(
            f"<e:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring>{inner}</e:Fault>"
        ),
        status=status,
    )


REQUEST = {"operation": "GetItems", "records": "Items.Item", "paging": {"type": "single"}}


@dataclass
class Shop:
    """The service: what `say` gives for each message, and the messages that came."""

    web: Web
    time: Time
    say: Callable[[int], Say]
    wsdl: bytes = field(default_factory=wsdl)
    documents: dict[str, bytes] = field(default_factory=dict)
    sent: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.web.route = self._route

    def _route(self, call: Call) -> Say:
        if call.path == "/shop.asmx" and "wsdl" in call.target:
            return said(self.wsdl)
        if call.path in self.documents:
            return said(self.documents[call.path])
        self.sent.append(call)
        return self.say(len(self.sent))

    def pages(
        self,
        *,
        auth: Auth | None = None,
        secrets: dict[str, str] | None = None,
        ask: Ask | None = None,
        request: dict[str, Any] | None = None,
        position: str | None = None,
        **options: Any,
    ) -> list[Page]:
        """What a pull brings."""
        transport = SoapTransport.model_validate(
            {"type": "soap", "base_url": self.web.url, "path": "/shop.asmx"}
            | {"wsdl": "/shop.asmx?wsdl"}
            | options
        )
        session = transport.open(
            auth or NoAuth(type="none"),
            {name: Secret(value) for name, value in (secrets or {}).items()},
            clock=self.time.clock, sleep=self.time.sleep, random=self.time.random,
        )  # fmt: skip
        with session:
            asked = SoapRequest.model_validate(REQUEST | (request or {}))
            return list(session.pages(asked, ask=ask or Ask(), position=position))

    def records(self, **options: Any) -> list[Any]:
        """The records of a pull, decoded."""
        pages = self.pages(**options)
        return [msgspec.json.decode(record) for page in pages for record in page.records]
