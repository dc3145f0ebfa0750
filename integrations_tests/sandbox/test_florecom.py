"""The twin of the flower auction: its contract, a day's supply, and who is let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import requests
import zeep
from lxml import etree

from integrations.sandbox.florecom import FlorecomTwin
from integrations.sandbox.florecom_api import PLACE
from integrations.sandbox.florecom_schema import FERAM, checker
from integrations.sandbox.server import running
from integrations_tests.conformance.oracles import florecom_vmp as oracle

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "florecom-vmp"
CUSTOMER = f"{PLACE}/Customer.asmx"
beside = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason="the auction's contract is not beside the repository"
)
MORNING = datetime(2026, 10, 5, 3, tzinfo=UTC)  # in summer time, before the clock starts
NOON = MORNING.replace(hour=10, minute=30)


@dataclass
class Auction:
    """The twin, served, at a time that a test moves."""

    now: datetime = MORNING
    twin: Any = None
    client: Any = None

    def supply(self, *, since: str = "") -> dict[str, Any]:
        """The lots on offer, by their ids; `since` is when they changed at the earliest."""
        line = f'<f:MutationDateTime xmlns:f="{FERAM}">{since}</f:MutationDateTime>'
        inside = (
            f"<a:Body><a:SupplyRequestDetails><a:SupplyRequestLine>{line}</a:SupplyRequestLine>"
            "</a:SupplyRequestDetails></a:Body>"
        )
        found = oracle.asked(self.client, "supply_lines", inside if since else "")
        return {one["ID"]: one for one in found}

    def sold(self) -> dict[str, Any]:
        """The transactions by their ids."""
        found = oracle.records(self.client, "clock_transactions", None)
        return {one["TransactionID"]: one for one in found}


@pytest.fixture(scope="module")
def auction() -> Iterator[Auction]:
    here = Auction()
    here.twin = FlorecomTwin(7, clock=lambda: here.now, per_day=60)
    with running(here.twin) as url, httpx.Client(base_url=url, trust_env=False) as client:
        client.headers.update(oracle.let_in(client, here.twin.secrets))
        here.client = client
        yield here


@beside
def test_its_wsdl_says_what_the_contracts_does(auction: Auction) -> None:
    """Of its operations and of all that is in their messages. It leaves out only what need not be
    there."""
    theirs = zeep.Client(str(CONTRACTS / "commercial-customer-sandbox.wsdl")).wsdl
    with _transport(auction) as transport:
        ours = zeep.Client(f"{auction.client.base_url}{CUSTOMER}?wsdl", transport=transport).wsdl
    seen: set[tuple[int, int]] = set()
    for port in ("CommercialCustomerSoap", "CommercialCustomerSoap12"):
        made, known = (_operations(wsdl, port) for wsdl in (ours, theirs))
        assert made.keys() == known.keys() - {"PutOrder"}
        for name, operation in made.items():
            assert operation.soapaction == known[name].soapaction
            for way in ("input", "output"):
                here, there = (getattr(one, way).body for one in (operation, known[name]))
                assert here.qname == there.qname
                _same(here.type, there.type, here.qname.localname, seen)
    assert len(seen) > 30


def _operations(wsdl: Any, port: str) -> dict[str, Any]:
    found: dict[str, Any] = wsdl.services["CommercialCustomers"].ports[port].binding.all()
    return found


def _same(ours: Any, theirs: Any, place: str, seen: set[tuple[int, int]]) -> None:
    if (id(ours), id(theirs)) in seen:  # packings hold packings
        return
    seen.add((id(ours), id(theirs)))
    if not isinstance(ours, zeep.xsd.ComplexType):
        assert type(ours) is type(theirs), place
        return
    assert ours.qname.namespace == theirs.qname.namespace, place
    made, known = ({one.name: one for _, one in type_.elements} for type_ in (ours, theirs))
    assert [_facts(one) for one in made.values()] == [
        _facts(one) for name, one in known.items() if name in made or one.min_occurs
    ], place
    mine, all_ = ({name: type(one.type) for name, one in x.attributes} for x in (ours, theirs))
    assert mine.items() <= all_.items(), place
    for name, one in made.items():
        _same(one.type, known[name].type, f"{place}.{name}", seen)


def _facts(element: Any) -> tuple[Any, ...]:
    return element.qname, element.min_occurs, element.max_occurs, element.nillable


@beside
@pytest.mark.parametrize(
    ("file", "stream"), [("supply7.xsd", "supply_lines"), ("clock1.xsd", "clock_transactions")]
)
def test_its_answers_are_valid(auction: Auction, file: str, stream: str) -> None:
    """Against the contract's schemas: every line of a day that is not deliberately bad."""
    auction.now = NOON
    message = etree.fromstring(oracle.answered(auction.client, stream))[0][0]
    lines = message.findall(f".//{{*}}{oracle.LINES[stream]}")
    made = (oracle.rendered(ElementTree.fromstring(etree.tostring(line))) for line in lines)
    for line, record in zip(lines, made, strict=True):
        if oracle.expected(stream, record) is None:
            line.getparent().remove(line)

    schema = etree.XMLSchema(etree.parse(CONTRACTS / "schema" / file))
    assert schema.validate(message), schema.error_log
    assert len(lines) > 10


@beside
@pytest.mark.parametrize("name", ["supply_request_soap12", "supply_response_soap12"])
def test_the_contracts_samples_fit(name: str) -> None:
    """What we read the twin by is what the samples are."""
    sample = etree.parse(CONTRACTS / "samples" / f"{name}.xml").getroot()
    schema = checker("supply")
    assert schema.validate(sample.find("{*}Body")[0]), schema.error_log


def test_zeep_calls_it(auction: Auction) -> None:
    """A client that is not ours loads the WSDL from it and reads what it sells, in both versions."""
    auction.now = MORNING
    assert set(auction.twin.shown().values()) == {""}, "or zeep would read none of them"
    header = {
        "UserName": auction.twin.secrets["username"],
        "Password": auction.twin.secrets["password"],
        "MessageDateTime": MORNING, "MessageSerial": 1,
    }  # fmt: skip
    with _transport(auction) as transport:
        for port in ("CommercialCustomerSoap", "CommercialCustomerSoap12"):
            url = f"{auction.client.base_url}{CUSTOMER}?wsdl"
            client = zeep.Client(url, transport=transport, port_name=port)
            lines = client.service.GetSupply(Header=header, Body={}).SupplyTradeLineItem
            assert {line.ID._value_1 for line in lines} == auction.twin.shown().keys()
            found = client.service.GetClockTransactions(Header=header, MaxLines=3)
            assert len(found.Line) == 3
            assert found.MoreIndicator is True


@contextmanager
def _transport(auction: Auction) -> Iterator[Any]:
    with requests.Session() as session:
        session.auth = tuple(auction.twin.secrets.values())
        session.trust_env = False
        yield zeep.transports.Transport(session=session)


def test_what_is_sold_is_not_there_any_more(auction: Auction) -> None:
    """In the morning all of the day's lots, at noon those that are left, some with fewer pieces;
    who asks for changes since gets these. The next day brings others."""
    auction.now = MORNING
    morning = auction.supply()
    auction.now = NOON
    noon = auction.supply()
    changed = {lot for lot in noon if noon[lot]["Quantity"] != morning[lot]["Quantity"]}
    since = auction.supply(since="2026-10-05T03:30:00Z")
    auction.now = MORNING + timedelta(days=1)
    tomorrow = auction.supply()

    assert len(morning) == 60
    assert noon.keys() < morning.keys()
    assert since.keys() == changed != set()
    assert not tomorrow.keys() & morning.keys()


def test_a_purchase_is_preliminary_and_then_final(auction: Auction) -> None:
    """The same one, changed later; direct ones are final at once."""
    auction.now = NOON - timedelta(hours=2)
    before = auction.sold()
    auction.now = NOON
    after = auction.sold()

    states = {(before[one]["DocumentType"], after[one]["DocumentType"]) for one in before}
    assert states - {("999", "999")} == {("323", "493"), ("493", "493"), ("231", "231")}
    again = [one for one in before if before[one]["DocumentType"] == "323"]
    assert all(after[one]["MutationDateTime"] > before[one]["MutationDateTime"] for one in again)
    assert list(after.values()) == sorted(after.values(), key=lambda one: one["MutationDateTime"])


@pytest.mark.parametrize("given", ["Basic eDp5", "Basic ?", "Bearer x"])
def test_http_asks_for_the_pair(auction: Auction, given: str) -> None:
    """For the WSDL and its schemas too."""
    for path in (f"{CUSTOMER}?wsdl", f"{PLACE}/schema/supply.xsd"):
        refused = auction.client.get(path, headers={"Authorization": given})
        assert refused.status_code == 401
        assert auction.client.get(path).status_code == 200


FAULTS = {
    "another password": ("<a:Password>{}</a:Password>", "wrong", b"Invalid user name or password"),
    "no header": ("", "", b"Invalid user name or password"),
}


@pytest.mark.parametrize(("place", "word", "said"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("version", ["text/xml", "application/soap+xml"])
def test_the_message_asks_for_it_too(
    auction: Auction, place: str, word: str, said: bytes, version: str
) -> None:
    soap = {
        "text/xml": "http://schemas.xmlsoap.org/soap/envelope/",
        "application/soap+xml": "http://www.w3.org/2003/05/soap-envelope",
    }[version]
    header = f"<a:Header><a:UserName>x</a:UserName>{place.format(word)}</a:Header>" if place else ""
    body = (
        f'<e:Envelope xmlns:e="{soap}"><e:Body><a:SupplyRequest xmlns:a="{oracle.ASM}">{header}'
        "</a:SupplyRequest></e:Body></e:Envelope>"
    )

    answer = auction.client.post(CUSTOMER, content=body, headers={"Content-Type": version})

    assert answer.status_code == 500
    assert said in answer.content
    assert etree.fromstring(answer.content).find("{*}Body/{*}Fault") is not None
