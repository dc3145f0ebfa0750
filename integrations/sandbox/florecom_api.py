"""The front of the flower auction: a WSDL behind Basic credentials, and three operations.

`GetClockTransactions` is an operation of ours, in a namespace of its own: no vendor's is known.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from integrations.sandbox.florecom_schema import ASM, CLOCK, FERAM, NAMESPACES, RAM, schema, wsdl

PLACE = "/Webservice/CCVMP/v0p7"
MOST_LINES = 200
SOAP = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_TOGETHER = 200


class Store(Protocol):
    """What there is now."""

    def supply(self, since: datetime | None) -> Iterator[str]:
        """The lots on offer, of those that have changed since then."""

    def transactions(self, since: datetime | None, after: str) -> Iterator[tuple[str, str]]:
        """The transactions by their last change: each with the cursor that stands behind it."""


class AuctionFault(Exception):
    """A fault: its code in the terms of SOAP 1.1."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


def florecom_app(store: Store, *, secrets: Mapping[str, str]) -> Starlette:
    """The service over `store`, for who brings the name and the password, in both places."""
    front = _Front(store, secrets)
    routes = [
        Route(f"{PLACE}/Customer.asmx", front.wsdl, methods=["GET"]),
        Route(f"{PLACE}/schema/{{name}}.xsd", front.schema, methods=["GET"]),
        Route(f"{PLACE}/Customer.asmx", front.call, methods=["POST"]),
    ]
    return Starlette(routes=routes)


class _Front:
    def __init__(self, store: Store, secrets: Mapping[str, str]) -> None:
        self._store, self._secrets = store, secrets
        self._pair = f"{secrets['username']}:{secrets['password']}".encode()

    async def wsdl(self, request: Request) -> Response:
        if not self._lets_in(request):
            return _who()
        return _xml([wsdl(str(request.url.replace(query="")))])

    async def schema(self, request: Request) -> Response:
        if not self._lets_in(request):
            return _who()
        name = request.path_params["name"]
        return _xml([schema(name)]) if name in NAMESPACES else Response("Not Found", 404)

    async def call(self, request: Request) -> Response:
        if not self._lets_in(request):
            return _who()
        version = "1.2" if "soap+xml" in request.headers.get("content-type", "") else "1.1"
        try:
            message = _message(await request.body(), SOAP[version])
            operation = self._operations.get(message.tag)
            if operation is None:
                raise AuctionFault("Client", "Server did not recognize the message")
            self._check(message)
            body = operation(message)
        except AuctionFault as fault:
            return _fault(fault, version)
        return _xml(_enveloped(body, SOAP[version]), version=version)

    @property
    def _operations(self) -> Mapping[str, Callable[[Any], Iterator[str]]]:
        return {
            f"{{{ASM}}}SupplyRequest": self._supply,
            f"{{{CLOCK}}}ClockTransactionsRequest": self._transactions,
        }

    def _check(self, message: Any) -> None:
        """The name and the password of the message's own header."""
        for element, name in (("UserName", "username"), ("Password", "password")):
            given = message.findtext(f"{{*}}Header/{{{ASM}}}{element}") or ""
            if not hmac.compare_digest(given.encode(), self._secrets[name].encode()):
                raise AuctionFault("Client", "Invalid user name or password")

    def _supply(self, message: Any) -> Iterator[str]:
        since = _moment(message.findtext(f".//{{{FERAM}}}MutationDateTime"))
        names = f'xmlns:s="{ASM}" xmlns:f="{FERAM}" xmlns:r="{RAM}"'
        yield f"<s:SupplyResponse {names}><s:Body><s:SupplyResponseDetails>"
        yield from self._store.supply(since)
        yield "</s:SupplyResponseDetails></s:Body></s:SupplyResponse>"

    def _transactions(self, message: Any) -> Iterator[str]:
        since = _moment(message.findtext(f"{{{CLOCK}}}MutatedSince"))
        asked = int(message.findtext(f"{{{CLOCK}}}MaxLines") or MOST_LINES)
        most = min(max(asked, 1), MOST_LINES)
        found = self._store.transactions(since, _cursor(message))
        page = list(islice(found, most))
        more = next(found, None) is not None
        yield f'<c:ClockTransactionsResponse xmlns:c="{CLOCK}" xmlns:f="{FERAM}">'
        yield from (text for _, text in page)
        if more:
            token = base64.urlsafe_b64encode(page[-1][0].encode()).decode()
            yield f"<c:NextCursor>{token}</c:NextCursor>"
        yield f"<c:MoreIndicator>{str(more).lower()}</c:MoreIndicator>"
        yield "</c:ClockTransactionsResponse>"

    def _lets_in(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(given.strip(), validate=True)
        except binascii.Error:
            pair = b""
        return scheme.lower() == "basic" and hmac.compare_digest(pair, self._pair)


def _message(body: bytes, soap: str) -> Any:
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        raise AuctionFault("Client", "Server was unable to read request") from None
    found = root.find(f"{{{soap}}}Body/*")
    if root.tag != f"{{{soap}}}Envelope" or found is None:
        raise AuctionFault("VersionMismatch", "Possible SOAP version mismatch")
    return found


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise AuctionFault("Client", "There is an error in the XML document") from None
    if moment.tzinfo is None:
        raise AuctionFault("Client", "A time needs its offset")
    return moment


def _cursor(message: Any) -> str:
    try:
        text = message.findtext(f"{{{CLOCK}}}Cursor") or ""
        return base64.urlsafe_b64decode(text).decode()
    except ValueError:
        raise AuctionFault("Client", "Unknown cursor") from None


def _enveloped(body: Iterable[str], soap: str) -> Iterator[bytes]:
    pieces = iter(body)
    head = f'<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="{soap}">'
    yield f"{head}<soap:Body>".encode()
    while some := "".join(islice(pieces, _TOGETHER)):
        yield some.encode()
    yield b"</soap:Body></soap:Envelope>"


def _fault(fault: AuctionFault, version: str) -> Response:
    if version == "1.1":
        inside = (
            f"<faultcode>soap:{fault.code}</faultcode><faultstring>{fault.words}</faultstring>"
            "<detail/>"
        )
    else:
        code = {"Client": "Sender", "Server": "Receiver"}.get(fault.code, fault.code)
        inside = (
            f"<soap:Code><soap:Value>soap:{code}</soap:Value></soap:Code><soap:Reason>"
            f'<soap:Text xml:lang="en">{fault.words}</soap:Text></soap:Reason>'
        )
    body = [f"<soap:Fault>{inside}</soap:Fault>"]
    return _xml(_enveloped(body, SOAP[version]), version=version, status=500)


def _xml(content: Iterable[bytes], *, version: str = "1.1", status: int = 200) -> Response:
    kind = "text/xml" if version == "1.1" else "application/soap+xml"

    async def pieces() -> Any:
        for piece in content:
            yield piece

    return StreamingResponse(pieces(), status, media_type=f"{kind}; charset=utf-8")


def _who() -> Response:
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="CCVMP"'})
