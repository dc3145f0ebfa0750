"""SOAP: one operation of a WSDL a stream, its answer read as a stream of records.

zeep writes the messages and knows the types; httpx sends them through the one door, as everything
else; the answer is kept in a file and read from there, page by page, however large it is.
"""

import itertools
from array import array
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, Field

from integrations.auth import Auth
from integrations.auth.soap import SoapLogin
from integrations.error_handling.retry import Waited
from integrations.errors import IntegrationError
from integrations.secrets import Secret
from integrations.transport import Ask, Clock, Page
from integrations.transport.answer import Answer
from integrations.transport.call import Call
from integrations.transport.circle import Circle
from integrations.transport.faults import NOWHERE
from integrations.transport.http import Refusal
from integrations.transport.listing import Listing, is_path, written
from integrations.transport.positions import positions
from integrations.transport.rest import HttpTransport
from integrations.transport.rest_session import RestSession
from integrations.transport.soap_faults import Fault, FaultRule, in_refusal
from integrations.transport.soap_request import WSDL_ENDPOINT, SoapRequest, sent_at

_ACCEPT = {"Accept": "text/xml, application/soap+xml, application/xml"}

if TYPE_CHECKING:  # zeep is imported when a call is made: most processes make none
    from integrations.transport.soap_answer import Batch, SoapAnswer
    from integrations.transport.soap_service import Operation, Service


def _is_wsdl(value: str) -> str:
    path, _, query = value.partition("?")
    if value.startswith("file:///"):
        return value
    is_path(path)
    if any(char in query for char in "#{} \t\n"):
        raise ValueError("it should be a path like '/service.asmx?wsdl', or a file:/// URL")
    return value


class SoapTransport(HttpTransport):
    """How a SOAP service is reached: REST's options, the `path` that calls are posted to, and the
    `wsdl`, a path of the source with its query or a `file:///` URL of this machine.

    `version` is SOAP's, `port` the WSDL's name for one of several. `faults` says what a fault
    means; the first rule that fits counts. Of others the receiver's pass, all else is permanent.
    """

    type: Literal["soap"]
    path: Annotated[str, AfterValidator(is_path)]
    wsdl: Annotated[str, AfterValidator(_is_wsdl)]
    version: Literal["1.1", "1.2"] = "1.1"
    port: str | None = None
    faults: tuple[FaultRule, ...] = ()
    concurrency: int = Field(default=1, ge=1, le=1)  # each page names the next one at its end

    def open(self, auth: Auth, secrets: Mapping[str, Secret], **how: Any) -> "SoapSession":
        """As `HttpTransport.open`."""
        session = super().open(auth, secrets, **how)
        assert isinstance(session, SoapSession), "see `_session`"
        base = how.get("base_url") or self.base_url
        session.messages = _Messages(self, auth, secrets, how["clock"], base)
        return session

    def _refusal(self, auth: Auth) -> Refusal:
        return partial(_refused, transport=self, auth=auth)

    @property
    def _session(self) -> "Callable[..., SoapSession]":
        return SoapSession


def _refused(
    status: int, body: bytes, *, call: str, transport: SoapTransport, auth: Auth
) -> IntegrationError | None:
    fault = in_refusal(status, body)
    if fault is None:
        return None
    return fault.error(transport.faults, call=call, secret_names=auth.secret_names())


@dataclass(frozen=True)
class _Messages:
    """What messages are made of, beside the WSDL."""

    transport: SoapTransport
    auth: Auth
    secrets: Mapping[str, Secret]
    clock: Clock
    base_url: str

    def service(self, load: Callable[[str], bytes]) -> "Service":
        from integrations.transport.soap_service import Service, address

        how = self.transport
        wsdl = address(how.wsdl, self.base_url)
        return Service(wsdl, load=load, version=how.version, port=how.port)

    def written(self, operation: "Operation", call: Call, request: SoapRequest) -> Call:
        """The call with its message as it is now."""
        now = self.clock()
        params = sent_at(call.params, written(now, request.window_format))
        login = self.auth if isinstance(self.auth, SoapLogin) else None
        content, headers = operation.request(params, login=login, secrets=self.secrets, now=now)
        target = self.transport.path
        return replace(call, target=target, content=content, headers=_ACCEPT | headers)

    def fault(self, element: Any) -> IntegrationError:
        """Our error for a fault in an answer with status 200."""
        call, names = f"POST {self.transport.path}", self.auth.secret_names()
        return Fault.of(element).error(self.transport.faults, call=call, secret_names=names)


class SoapSession(RestSession):
    """An open `SoapTransport`; a context manager."""

    messages: _Messages
    _service: "Service | None" = None

    def pages(
        self, request: Listing, *, ask: Ask, position: str | None = None
    ) -> Generator[Page, None, None]:
        """The pages of one pull, several of a large answer. As `RestSession.pages`."""
        assert isinstance(request, SoapRequest), "a file's requests are of its transport"
        circle, waited, numbers = Circle(), Waited(), itertools.count(1)
        standing = positions(request.paging, ask=ask, place=position)
        call: Call | None = (first := request.first(ask))
        operation = self._operation(request, waited)
        while call is not None:
            circle.asked(call)
            found = self._retried(partial(self._asked, request, operation, call), waited=waited)
            call = None
            with closing(found.file):
                for batch in found.body.batches():
                    answer = found.answer(batch)
                    if batch.last and (following := request.paging.follow(answer)) is not None:
                        call = request.onward(first, following)
                    page = Page(next(numbers), batch.records, found.seen_at, batch.size)
                    circle.answered(page, _told(batch.records))
                    stands = standing.after(answer, last=batch.last and call is None)
                    yield replace(page, position=stands)

    def _operation(self, request: SoapRequest, waited: Waited) -> "Operation":
        def load(url: str) -> bytes:
            call = Call(target=url, endpoint=WSDL_ENDPOINT, headers=_ACCEPT)
            return self._retried(
                partial(self._http.fetch, call, missing=NOWHERE), waited=waited
            ).body

        if self._service is None:
            self._service = self.messages.service(load)
        operation = self._service.operation(request.operation)
        for place in request.places:
            operation.has(place)
        return operation

    def _asked(self, request: SoapRequest, operation: "Operation", call: Call) -> "_Found":
        from integrations.transport.soap_answer import SoapAnswer

        missing = None if self._heard else NOWHERE
        reply = self._http.fetch(self.messages.written(operation, call, request), missing=missing)
        assert reply.file is not None, "the call is a spooled one"
        try:
            body = SoapAnswer(
                reply.file,
                headers=reply.headers,
                wrapper=operation.wrapper,
                place=request.records,
                shape=operation.shape,
                refusal=self.messages.fault,
            )
        except BaseException:
            reply.file.close()
            raise
        self._heard = True
        made = Answer(reply.url, reply.headers, b"", (), call.params, of_text=True)
        return _Found(body, reply.file, made, reply.seen_at)


@dataclass(frozen=True)
class _Found:
    """An answer that makes sense so far."""

    body: "SoapAnswer"
    file: IO[bytes]
    made: Answer
    seen_at: datetime

    def answer(self, batch: "Batch") -> Answer:
        """What paging and positions read."""
        rest = self.body.rest if batch.last else b""
        records = list(map(msgspec.Raw, batch.records))
        return replace(self.made, body=rest, records=records, earlier=batch.earlier)


def _told(records: list[bytes]) -> bytes:
    """What the guard against circles compares: a hash of each record, not all their bytes."""
    return array("q", map(hash, records)).tobytes()
