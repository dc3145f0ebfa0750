"""Every exception of the HTTP library has its remedy: a new version's new one is red here first."""

import inspect

import httpcore
import httpx
import pytest
from httpx._transports import default

from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.transport.faults import HTTPX_ERRORS, translated

REMEDIES = {
    "CloseError": RetryLater,
    "ConnectError": RetryLater,
    "ConnectTimeout": RetryLater,
    "CookieConflict": StopStream,
    "DecodingError": RetryLater,
    "HTTPError": StopStream,
    "HTTPStatusError": StopStream,
    "InvalidURL": StopStream,
    "LocalProtocolError": StopStream,
    "NetworkError": RetryLater,
    "PoolTimeout": RetryLater,
    "ProtocolError": RetryLater,
    "ProxyError": RetryLater,
    "ReadError": RetryLater,
    "ReadTimeout": RetryLater,
    "RemoteProtocolError": RetryLater,
    "RequestError": StopStream,
    "RequestNotRead": StopStream,
    "ResponseNotRead": StopStream,
    "StreamClosed": StopStream,
    "StreamConsumed": StopStream,
    "StreamError": StopStream,
    "TimeoutException": RetryLater,
    "TooManyRedirects": StopStream,
    "TransportError": RetryLater,
    "UnsupportedProtocol": StopStream,
    "WriteError": RetryLater,
    "WriteTimeout": RetryLater,
}
_WITHIN_THE_POOL = {"ConnectionNotAvailable"}
"""Raised and caught inside httpcore's pool of connections."""


def exceptions_of(library: object) -> dict[str, type[BaseException]]:
    """All exceptions that a library names."""
    return {
        name: found
        for name, found in vars(library).items()
        if inspect.isclass(found) and issubclass(found, BaseException)
    }


def raised(kind: type[BaseException]) -> Exception:
    """One of them, as httpx makes it."""
    made = kind.__new__(kind, "boom")
    Exception.__init__(made, "boom")
    assert isinstance(made, Exception)
    return made


def test_every_exception_is_in_the_table() -> None:
    """And comes from one of the roots that are caught."""
    found = exceptions_of(httpx)
    assert found.keys() == REMEDIES.keys()
    assert all(issubclass(kind, HTTPX_ERRORS) for kind in found.values())


@pytest.mark.parametrize("name", REMEDIES)
def test_the_remedy_of_each(name: str) -> None:
    """What a network does passes; what a program or a file says does not."""
    error = translated(raised(exceptions_of(httpx)[name]), call="GET /v1/things")
    assert type(error) is REMEDIES[name]
    assert isinstance(error, IntegrationError)
    assert "GET /v1/things" in str(error)


def test_what_lies_below_is_made_one_of_them() -> None:
    """By httpx itself: nothing of httpcore's comes through as it is."""
    known = tuple(default._load_httpcore_exceptions())
    through = {n for n, kind in exceptions_of(httpcore).items() if not issubclass(kind, known)}
    assert through == _WITHIN_THE_POOL
