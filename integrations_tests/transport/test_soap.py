"""SOAP: what is sent, what becomes of an answer, and what a fault means."""

import base64
import gzip
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pydantic import ValidationError

from integrations.auth.soap import SoapLogin
from integrations.errors import (
    FixConfig,
    IntegrationError,
    RetryLater,
    StopConnection,
    StopStream,
)
from integrations.transport import Ask, soap_answer, soap_record, soap_service
from integrations.transport.soap_request import SoapRequest
from integrations_tests.transport.conftest import Say, Time, Web
from integrations_tests.transport.soap_shop import (
    IMPORTED,
    REQUEST,
    SOAP11,
    SOAP12,
    TYPES,
    Shop,
    answer,
    envelope,
    fault,
    said,
    wsdl,
)

ITEM = "<Item><Sku>a</Sku>{}</Item>"
MakeShop = Callable[..., Shop]
SECRETS = {"user": "zoë & co", "word": "gehe<im>-9931"}


@pytest.fixture
def shop(web: Web, time_: Time) -> MakeShop:
    """Makes the service; it gives its answers in turn, the last one again and again."""

    def make(*answers: Say, **more: Any) -> Shop:
        return Shop(web, time_, lambda n: answers[min(n, len(answers)) - 1], **more)

    return make


RENDERED: dict[str, tuple[str, Any]] = {
    "missing": ("", {}),
    "empty": ("<Price/>", {"Price": ""}),
    "nil": ('<Price xsi:nil="true"/>', {"Price": None}),
    "nil with 1": ('<Price xsi:nil="1"></Price>', {"Price": None}),
    "no nil": ('<Price xsi:nil="false">1.10</Price>', {"Price": "1.10"}),
    "a number keeps its digits": ("<Price>\n 1.10 </Price>", {"Price": "1.10"}),
    "text keeps its blanks": ("<Code> x </Code>", {"Code": " x "}),
    "CDATA and a comment": ("<Code>a<!-- no --><![CDATA[<b>]]></Code>", {"Code": "a<b>"}),
    "an attribute of text": ('<Code list="8">S05</Code>', {"Code": "S05", "Code@list": "8"}),
    "one of many is a list": ("<Tag>x</Tag>", {"Tag": ["x"]}),
    "attributes of many": (
        '<Tag>x</Tag><Tag list="1">y</Tag><Tag/>',
        {"Tag": ["x", "y", ""], "Tag@list": [None, "1", None]},
    ),
    "an object that is empty": ("<Maker/>", {"Maker": {}}),
    "an object that is nil": ('<Maker xsi:nil="true"/>', {"Maker": None}),
    "an object with one": ("<Maker><Name>N</Name></Maker>", {"Maker": {"Name": "N"}}),
    "text where elements should be": ("<Maker>N</Maker>", {"Maker": {"#text": "N"}}),
    "a type of its own": (
        '<Maker xsi:type="s:Grower" xmlns:s="urn:shop"><Name>N</Name><Gln> 7 </Gln><Field>a</Field></Maker>',
        {"Maker": {"Name": "N", "Gln": "7", "Field": ["a"]}},
    ),
    "an item in an item": ("<Part><Sku>b</Sku></Part>", {"Part": [{"Sku": "b"}]}),
    "a group that comes again": (
        "<In>1</In><Out>2</Out><In>3</In><Out>4</Out>",
        {"In": ["1", "3"], "Out": ["2", "4"]},
    ),
    "what is not declared": (
        '<x:New xmlns:x="urn:x" a="1">n</x:New>',
        {"New": ["n"], "New@a": ["1"]},
    ),
    "declared once and sent twice": (
        "<Price>1</Price><Price>2</Price><Price>3</Price>",
        {"Price": ["1", "2", "3"]},
    ),
}


def test_an_element_becomes_an_object(shop: MakeShop) -> None:
    """Missing, empty and nil stay three things; what is a list is so by the schema."""
    items = (f"<Item><Sku>{name}</Sku>{inside}</Item>" for name, (inside, _) in RENDERED.items())

    records = shop(answer("".join(items))).records()

    assert {record.pop("Sku"): record for record in records} == {
        name: made for name, (_, made) in RENDERED.items()
    }


def test_attributes_of_a_record_stand_in_it(shop: MakeShop) -> None:
    assert shop(answer('<Item state="new"><Sku>a</Sku></Item>')).records() == [
        {"@state": "new", "Sku": "a"}
    ]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_call_says_what_its_version_wants(shop: MakeShop, version: str) -> None:
    """SOAP 1.1 names the action in a header of its own, 1.2 in the content type; values stand at
    their places, in the schema's order, and an empty text is an empty element. It goes to the path
    of the file: the address in the WSDL may be anybody's."""
    here = shop(answer(soap=SOAP12 if version == "1.2" else SOAP11))
    here.time.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    params = {"Code": "x", "Code@list": "8", "At": "{now}", "Filter": "", "Since": "{position}"}
    asks = Ask(position="2026-01-01T00:00:00.5Z")

    here.pages(version=version, ask=asks, request={"params": params})

    (call,) = here.sent
    root = etree.fromstring(call.body)
    assert root.tag == f"{{{SOAP12 if version == '1.2' else SOAP11}}}Envelope"
    assert [etree.QName(one).localname for one in root[-1][0]] == ["At", "Since", "Filter", "Code"]
    assert root[-1][0].xpath("string(*[1])") == "2026-01-01T12:00:00Z"
    assert root[-1][0].xpath("string(*[2])") == "2026-01-01T00:00:00.5Z"
    assert len(root[-1][0][2]) == 0
    assert root[-1][0][3].attrib == {"list": "8"}
    action = call.headers.get("SOAPAction"), call.headers["Content-Type"]
    assert "urn:shop/GetItems" in action["1.1 1.2".split().index(version)]
    assert call.path == "/shop.asmx"


LOGINS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "body": (
        {"body": {"User": "user", "Password": "word"}},
        {"e:Body/s:GetItems/s:User": "user", "e:Body/s:GetItems/s:Password": "word"},
    ),
    "header": (
        {"header": {"Login.User": "user", "Login.Word": "word"}},
        {"e:Header/s:Login/s:User": "user", "e:Header/s:Login/s:Word": "word"},
    ),
    "token": (
        {"token": {"username": "user", "password": "word"}},
        {"e:Header//w:Username": "user", "e:Header//w:Password": "word"},
    ),
}


@pytest.mark.parametrize(("login", "places"), LOGINS.values(), ids=LOGINS)
def test_a_login_stands_where_the_file_says(
    shop: MakeShop, login: dict[str, Any], places: dict[str, str]
) -> None:
    """The secrets are in the message, escaped as XML wants it, and in no header of HTTP."""
    here = shop(answer())

    here.pages(auth=SoapLogin.model_validate({"type": "soap", **login}), secrets=SECRETS)

    root = etree.fromstring(here.sent[0].body)
    names = {"e": SOAP11, "s": "urn:shop"}
    names["w"] = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    assert {place: root.findtext(place, namespaces=names) for place in places} == {
        place: SECRETS[name] for place, name in places.items()
    }
    assert "Authorization" not in here.sent[0].headers


def test_a_digest_proves_the_password_and_does_not_hold_it(shop: MakeShop) -> None:
    """Base64 of SHA-1 of nonce, time and password (UsernameToken profile 1.1, section 4)."""
    here = shop(answer())
    token = {"username": "user", "password": "word", "digest": True}

    here.pages(auth=SoapLogin.model_validate({"type": "soap", "token": token}), secrets=SECRETS)

    root = etree.fromstring(here.sent[0].body)
    said = {
        etree.QName(one).localname: one.text for one in root.iter() if one.text and not len(one)
    }
    nonce, created = base64.b64decode(said["Nonce"]), said["Created"].encode()
    digest = hashlib.sha1(nonce + created + SECRETS["word"].encode()).digest()
    assert said["Password"] == base64.b64encode(digest).decode()
    assert said["Created"] == "2026-01-01T12:00:00Z"
    assert SECRETS["word"].encode() not in here.sent[0].body


def test_http_signs_the_wsdl_too(shop: MakeShop) -> None:
    here = shop(answer())
    http = {"type": "basic", "username": "user", "password": "word"}

    here.pages(auth=SoapLogin.model_validate({"type": "soap", "http": http}), secrets=SECRETS)

    pair = base64.b64encode(":".join(SECRETS.values()).encode()).decode()
    assert [call.headers["Authorization"] for call in here.web.calls] == [f"Basic {pair}"] * 2


def test_a_secret_that_xml_cannot_hold_is_not_shown(shop: MakeShop) -> None:
    login = SoapLogin.model_validate({"type": "soap", "body": {"User": "user"}})

    with pytest.raises(FixConfig, match="'user' holds characters") as caught:
        shop(answer()).pages(auth=login, secrets={"user": "bell\x07bell"})

    assert "bell\x07" not in str(caught.value)


def test_pages_follow_a_token(shop: MakeShop) -> None:
    """Each answer names the next one; the position of a record is that of its page."""
    here = shop(
        answer(ITEM.format("<Price>1</Price>"), next_="p2"), answer(ITEM.format("<Price>2</Price>"))
    )
    paging = {"type": "body_token", "next": "Next", "param": "Cursor"}

    pages = here.pages(request={"paging": paging}, position="Price")

    assert [(page.number, page.position, len(page.records)) for page in pages] == [
        (1, "1", 1),
        (2, "2", 1),
    ]
    assert b">p2</" in here.sent[1].body


def test_a_token_that_leads_back_is_noticed(shop: MakeShop) -> None:
    here = shop(answer(ITEM.format(""), next_="p2"))
    paging = {"type": "body_token", "next": "Next", "param": "Cursor"}

    with pytest.raises(StopStream, match="circle"):
        here.pages(request={"paging": paging})


def test_a_large_answer_has_pages(shop: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page holds no more than a batch, and all of them are the answer's bytes."""
    monkeypatch.setattr(soap_answer, "PAGE_RECORDS", 400)
    say = answer("".join(f"<Item><Sku>{n}</Sku></Item>" for n in range(900)))

    pages = shop(say).pages()

    assert [len(page.records) for page in pages] == [400, 400, 100]
    assert sum(page.size for page in pages) == len(say.body)


@pytest.mark.parametrize("told", [{"total": "Next"}, {"total_header": "X-Total"}])
def test_an_answer_is_held_to_its_total(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    """All of its pages together are."""
    monkeypatch.setattr(soap_answer, "PAGE_RECORDS", 2)
    say = answer("".join(f"<Item><Sku>{n}</Sku></Item>" for n in range(4)), next_="4")
    say.headers["X-Total"] = "4"
    request = {"paging": {"type": "single", **told}}
    assert len(shop(say).records(request=request)) == 4

    cut = answer("".join(f"<Item><Sku>{n}</Sku></Item>" for n in range(3)), next_="4")
    cut.headers["X-Total"] = "4"
    with pytest.raises(StopStream, match="holds 3 of 4 records"):
        shop(cut).pages(request=request)


def test_nothing_there_is_a_page_without_records(shop: MakeShop) -> None:
    bare = envelope('<GetItemsResponse xmlns="urn:shop"/>')
    assert [len(page.records) for page in shop(said(bare)).pages()] == [0]


WHOLE = f'<GetItemsResponse xmlns="urn:shop"><Items>{ITEM.format("")}</Items></GetItemsResponse>'
REFUSED: dict[str, tuple[Say, type[IntegrationError], str]] = {
    "a fault of the receiver": (fault("e:Server", "Deadlock"), RetryLater, "Server: Deadlock"),
    "a fault of the sender": (fault("e:Client", "No such shop"), StopStream, "No such shop"),
    "a fault with 200": (fault("e:Client", "No", status=200), StopStream, "Client: No"),
    "a declared one": (
        fault("e:Client", "x", detail='<Busy xmlns="urn:shop"><Seconds>7</Seconds></Busy>'),
        RetryLater,
        "Busy: 7",
    ),
    "by its words": (fault("e:Client", "Invalid user"), StopConnection, "its secrets: none"),
    "a token refused": (fault("w:FailedAuthentication", "x"), StopConnection, "Authentication"),
    "of SOAP 1.2": (
        said(
            envelope(
                "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>m:Gone</e:Value>"
                "</e:Subcode></e:Code><e:Reason><e:Text>Closed</e:Text></e:Reason></e:Fault>",
                soap=SOAP12,
            ),
            status=400,
        ),
        StopStream,
        "Sender: Gone: Closed",
    ),
    "500 without a fault": (Say(b"oops", 500), RetryLater, "answered 500: oops"),
    "401": (Say(b"", 401), StopConnection, "answered 401"),
    "cut": (Say(answer(ITEM).body[:-9], 200), RetryLater, "not all of it"),
    "a page of HTML": (Say(b"<html><body>login</body></html>", 200), RetryLater, "not all of it"),
    "another envelope": (
        said(b"<soap:Envelope xmlns:soap='urn:x'></soap:Envelope>"),
        RetryLater,
        "no SOAP envelope",
    ),
    "another answer": (
        said(envelope('<GetOthersResponse xmlns="urn:shop"/>')),
        StopStream,
        "is a 'GetOthersResponse', not the 'GetItemsResponse'",
    ),
    "two answers": (said(envelope(WHOLE * 2)), StopStream, "has two 'GetItemsResponse'"),
    "an empty body": (said(envelope("")), StopStream, "body is empty"),
    "no XML in the middle": (answer("<Item><Sku>&</Sku></Item>"), StopStream, "well-formed"),
    "attachments": (
        Say(answer().body, 200, {"Content-Type": 'multipart/related; type="text/xml"'}),
        StopStream,
        "attachments",
    ),
}
FAULTS = [{"detail": "Busy", "means": "transient"}, {"text": "user", "means": "credential"}]


@pytest.mark.parametrize(("say", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_went_wrong_is_said(
    shop: MakeShop, say: Say, error: type[IntegrationError], words: str
) -> None:
    """An error's class is its remedy: what passes is tried again, and nothing else is."""
    here = shop(say)

    with pytest.raises(error, match=words) as caught:
        here.pages(faults=FAULTS)

    assert type(caught.value) is error
    assert (len(here.sent) > 1) == (error is RetryLater)


def test_a_fault_behind_the_records_is_one(shop: MakeShop) -> None:
    """The records before it are not all: none of the others may count as deleted."""
    late = "<e:Fault><faultcode>e:Server</faultcode><faultstring>Deadlock</faultstring></e:Fault>"

    with pytest.raises(RetryLater, match="answered with a fault: Server: Deadlock"):
        shop(said(envelope(WHOLE, after=late))).pages()


def in_header(say: Say, encoding: str) -> Say:
    """The answer in an encoding that only the header tells."""
    text = say.body.decode().replace(' encoding="utf-8"', "")
    return Say(
        text.encode("latin-1"), say.status, {"Content-Type": f"text/xml; charset={encoding}"}
    )


def test_the_header_may_say_the_encoding(shop: MakeShop) -> None:
    """Of an answer and of a fault with status 200; one that nobody knows stops the stream."""
    late = fault("e:Server", "Später", status=200)
    here = shop(
        in_header(late, "iso-8859-1"),
        in_header(answer(ITEM.format("<Code>é</Code>")), "iso-8859-1"),
    )

    assert here.records() == [{"Sku": "a", "Code": "é"}]
    with pytest.raises(StopStream, match="is in 'x-none', an encoding that is not known"):
        shop(in_header(answer(), "x-none")).pages()


def test_a_passing_fault_is_tried_again(shop: MakeShop) -> None:
    here = shop(fault("e:Server", "Deadlock"), answer(ITEM.format("")))
    assert here.records() == [{"Sku": "a"}]
    assert len(here.time.waits) == 1


TWO = [{"Sku": "a", "Maker": {"Name": "N"}}, {"Sku": "b", "Maker": {"Name": "N"}}]
REFERRED: dict[str, tuple[str, str]] = {
    "a value said once": (
        '<Items><Item><Sku>a</Sku><Maker id="m"><Name>N</Name></Maker></Item>'
        '<Item><Sku>b</Sku><Maker href="#m"/></Item></Items>',
        "",
    ),
    "a value before it is said": (
        '<Items><Item><Sku>a</Sku><Maker href="#m"/></Item>'
        '<Item><Sku>b</Sku><Maker id="m"><Name>N</Name></Maker></Item></Items>',
        "",
    ),
    "all of it behind the answer": (
        '<Items href="#i"/>',
        '<r id="i" xmlns:s="urn:shop"><s:Item href="#a"/><s:Item href="#b"/></r>'
        '<r id="a" xmlns="urn:shop"><Sku>a</Sku><Maker href="#m"/></r>'
        '<r id="b" xmlns="urn:shop"><Sku>b</Sku><Maker href="#m"/></r>'
        '<r id="m" xmlns="urn:shop"><Name href="#n"/></r><r id="n">N</r>',
    ),
}


def referring(inside: str, after: str = "") -> Say:
    whole = f'<GetItemsResponse xmlns="urn:shop">{inside}</GetItemsResponse>'
    return said(envelope(whole, after=after))


@pytest.mark.parametrize(("inside", "after"), REFERRED.values(), ids=REFERRED)
def test_a_reference_is_what_it_refers_to(shop: MakeShop, inside: str, after: str) -> None:
    """Wherever that stands: inside, behind, or before it is known."""
    assert shop(referring(inside, after)).records() == TWO


def item(href: str) -> str:
    return f'<Items><Item href="#{href}"/></Items>'


BILLION = "".join(
    f'<r id="p{n}" xmlns="urn:shop">{f"<Part href={chr(34)}#p{n + 1}{chr(34)}/>" * 10}</r>'
    for n in range(12)
)
WRONG: dict[str, tuple[str, str, str]] = {
    "nowhere": (item("x"), "", "refers to 'x', an element it has not"),
    "itself": (item("x"), '<r id="x" href="#x"/>', "in a circle"),
    "what holds it": (
        item("x"),
        '<r id="x" xmlns="urn:shop"><Part href="#x"/></r>',
        "more than 100 deep",
    ),
    "ten times ten times ten": (item("p0"), f'{BILLION}<r id="p12">x</r>', "a record refers to"),
    "too much": (item("x"), f'<r id="x"><Sku>{"x" * 5_000}</Sku></r>', "come to more than 4,000"),
}


@pytest.mark.parametrize(("inside", "after", "words"), WRONG.values(), ids=WRONG)
def test_a_reference_that_cannot_be_followed_stops_it(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch, inside: str, after: str, words: str
) -> None:
    """Nothing is left out in silence, and no memory is spent on it."""
    monkeypatch.setattr(soap_record, "MOST_REFERRED", 100_000)
    monkeypatch.setattr(soap_answer, "MOST_REFERRED", 4_000)
    with pytest.raises(StopStream, match=words):
        shop(referring(inside, after)).pages()


def test_the_end_is_found_in_a_moment(shop: MakeShop) -> None:
    """However many comments follow it: a search that tried all ways to read them would not end."""
    many = answer(ITEM.format("")).body + b"<!---->" * 500
    assert len(shop(said(many)).records()) == 1
    with pytest.raises(RetryLater, match="not all of it"):
        shop(said(many + b"x")).pages()


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ATTACKS: dict[str, bytes] = {
    "a bomb of entities": f'<!DOCTYPE x [<!ENTITY l0 "lol">{BOMB}]>'.encode(),
    "a file of this machine": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
    "an address elsewhere": b'<!DOCTYPE x SYSTEM "http://elsewhere.invalid/x.dtd">',
}


@pytest.mark.parametrize("dtd", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_dtd_is_read(shop: MakeShop, dtd: bytes, encoding: str) -> None:
    """SOAP forbids them: neither in an answer, nor far behind comments, nor in the WSDL."""
    whole = answer('<Item state="&l9;"><Sku>&l9;&f;</Sku></Item>').body.decode().partition("?>")[2]
    for before in ("", f"<!-- {'x' * 200_000} -->"):
        text = f'<?xml version="1.0" encoding="{encoding}"?>{before}{dtd.decode()}{whole}'
        with pytest.raises(StopStream, match="DTD"):
            shop(Say(text.encode(encoding), 200)).pages()
    inside = wsdl().replace(b"<definitions", dtd + b"<definitions", 1)
    with pytest.raises(StopStream, match="WSDL cannot be read"):
        shop(answer(), wsdl=inside).pages()


def test_a_record_may_not_be_deep(shop: MakeShop) -> None:
    for levels in (120, 3_000):
        deep = f"{'<Part>' * levels}{'</Part>' * levels}"
        with pytest.raises(StopStream, match=r"100 deep|well-formed"):
            shop(answer(ITEM.format(deep))).pages()


def test_a_compressed_bomb_is_a_file_and_no_memory(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes without a record is read no further than a limit."""
    monkeypatch.setattr(soap_answer, "MOST_BESIDE", 1_000_000)
    body = gzip.compress(answer(f"<Item><Sku>{'x' * 3_000_000}</Sku></Item>").body)
    packed = Say(body, 200, {"Content-Type": "text/xml", "Content-Encoding": "gzip"})

    with pytest.raises(StopStream, match="without a whole record"):
        shop(packed).pages()


def test_what_stands_beside_the_records_has_a_limit(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept to the end, for the paging; the records are not, nor the blanks between them."""
    monkeypatch.setattr(soap_answer, "MOST_BESIDE", 100_000)
    items = [f"<Item><Sku>{n} {'x' * 500}</Sku></Item>" for n in range(500)]
    assert len(shop(answer("\n ".join(items))).records()) == 500
    with pytest.raises(StopStream, match="100,000 bytes of the answer stand beside the records"):
        shop(answer("".join(f"{item}<Note>{'x' * 900}</Note>" for item in items))).pages()


def test_the_wsdl_may_be_of_several_files(shop: MakeShop) -> None:
    """Imports of the same origin are followed, and asked for with the credential."""
    types = IMPORTED.format(place="types/shop.xsd")
    here = shop(answer(), wsdl=wsdl(types), documents={"/types/shop.xsd": TYPES.encode()})

    assert len(here.pages()) == 1
    assert [call.path for call in here.web.calls] == ["/shop.asmx", "/types/shop.xsd", "/shop.asmx"]


@pytest.mark.parametrize(("most", "words"), [(20, "of more than 20 documents"), (500, "Recursion")])
def test_the_wsdl_does_not_lead_on_for_ever(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch, most: int, words: str
) -> None:
    """Each of its documents imports another one."""
    monkeypatch.setattr(soap_service, "MOST_DOCUMENTS", most)
    schema = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:n{}">{}</xs:schema>'
    on = '<xs:import namespace="urn:n{0}" schemaLocation="/{0}.xsd"/>'
    documents = {f"/{n}.xsd": schema.format(n, on.format(n + 1)).encode() for n in range(1, 600)}
    types = TYPES.replace('Default="qualified">', f'Default="qualified">{on.format(1)}')

    with pytest.raises(StopStream, match=words):
        shop(answer(), wsdl=wsdl(types), documents=documents).pages()


@pytest.mark.parametrize(
    "place", ["{other}/shop.xsd", "file:///etc/hostname", "FILE:/etc/hostname"]
)
def test_the_wsdl_leads_nowhere_else(shop: MakeShop, other: Web, place: str) -> None:
    """Neither the credential nor a file of this machine reaches another origin."""
    types = IMPORTED.format(place=place.format(other=other.url))

    with pytest.raises(StopStream, match=r"leads to|WSDL cannot be read"):
        shop(answer(), wsdl=wsdl(types)).pages()

    assert other.calls == []


def test_the_wsdl_may_be_a_file(shop: MakeShop, tmp_path: Path) -> None:
    """With what lies beside it, and nothing from elsewhere."""
    here = shop(answer(ITEM.format("")))
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.xsd").write_text(TYPES)
    file = folder / "shop.wsdl"

    file.write_bytes(wsdl(IMPORTED.format(place="shop.xsd")))
    assert len(here.records(wsdl=file.as_uri())) == 1
    assert [call.path for call in here.web.calls] == ["/shop.asmx"]

    (tmp_path / "other.xsd").write_text(TYPES)
    file.write_bytes(wsdl(IMPORTED.format(place="../other.xsd")))
    with pytest.raises(StopStream, match="outside its folder"):
        here.pages(wsdl=file.as_uri())


CONFIG: dict[str, tuple[dict[str, Any], str]] = {
    "operation": (
        {"request": {"operation": "GetNone"}},
        "no operation 'GetNone'. It has: GetItems",
    ),
    "place": ({"request": {"records": "Items.Thing"}}, "no element at 'Items.Thing'"),
    "next page": (
        {"request": {"paging": {"type": "body_token", "next": "Nxet", "param": "Cursor"}}},
        "no element at 'Nxet'",
    ),
    "total": (
        {"request": {"paging": {"type": "single", "total": "Items.Totl@n"}}},
        "no element at 'Items.Totl'",
    ),
    "port": ({"port": "P13"}, "no port P13 for SOAP 1.1. It has: P11, P12"),
    "param": ({"request": {"params": {"Filter.Nam": "x"}}}, "takes no element 'Nam'.*: Name"),
}


@pytest.mark.parametrize(("options", "words"), CONFIG.values(), ids=CONFIG)
def test_what_the_wsdl_does_not_have_is_named(
    shop: MakeShop, options: dict[str, Any], words: str
) -> None:
    here = shop(answer())
    with pytest.raises(FixConfig, match=words):
        here.pages(**options)
    assert here.sent == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"params": {"Header.Password": "x"}}, "for auth_handler"),
        ({"params": {"A": "{window.start}", "B": "{position}"}}, "read by one of them"),
        ({"params": {"A": "{key}"}}, "is no slot here"),
        (
            {"params": {"C": "x"}, "paging": {"type": "body_token", "next": "N", "param": "C"}},
            "paging's to fill",
        ),
    ],
)
def test_a_request_that_cannot_work_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SoapRequest.model_validate(REQUEST | more)
