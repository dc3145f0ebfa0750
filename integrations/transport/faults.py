"""What went wrong with an HTTP call, in our words: the class of each error is its remedy.

The one place where httpx's exceptions and HTTP's statuses are read. Texts that come from outside
are redacted here, and so are the causes: an orchestrator stores the messages of both.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import msgspec

from integrations.error_handling.rate_limits import http_date
from integrations.errors import (
    Barred,
    FixConfig,
    IntegrationError,
    RetryLater,
    StopConnection,
    StopStream,
)
from integrations.redaction import redact, scrub

HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
"""The roots of httpx's exceptions."""

_REMEDIES: Mapping[type[BaseException], type[IntegrationError]] = {
    httpx.TransportError: RetryLater,  # timeouts, the network, proxies, answers cut short
    httpx.DecodingError: RetryLater,  # a compressed body that does not unpack
    httpx.LocalProtocolError: StopStream,
    httpx.UnsupportedProtocol: StopStream,
}
"""By the nearest base class; what is not named is no passing fault: `StopStream`."""

_TRUST = (
    "If it is to be trusted, name a file in SSL_CERT_FILE that holds the certificate of who signed "
    "it, besides the usual ones, which that file replaces."
)
_UNTRUSTED: Mapping[int, str] = {
    9: "Set this machine's clock: the certificate is not valid yet.",
    10: "Have the source renew its certificate, or set this machine's clock.",
    62: "Correct the connection's base_url: the certificate is for another host.",
    64: "Correct the connection's base_url: the certificate is for another host.",
}
"""What to do about a certificate, by OpenSSL's code (x509_vfy.h); `_TRUST` for all others."""

PERMISSION = "Give the credential the permission to read this, or take the stream out."
_MISSING = frozenset({404, 410})
_RETRIED = frozenset({408, 425, 429})  # and every 5xx
_WORDS = 300  # characters of a vendor's message that an error quotes
_LONGEST = timedelta(days=3650).total_seconds()
_MESSAGE_KEYS = ("message", "detail", "error_description", "title", "error", "errors")


@dataclass(frozen=True)
class Missing:
    """What it means for a call that the source knows nothing of what it asks for: an `error`.

    So say 404 and 410 (RFC 9110), and a 400 with the code `resource_missing`, which Stripe uses for
    a parameter: one of `params`, or else it is another mistake.

    `statuses` are those that say so. With `html` a page of HTML may say so too, as a proxy's or a
    wrong address's does; it is not the API's word. With `brief` the error says which call was
    answered how and no more, so that it is the same each time.
    """

    error: type[StopStream]
    params: frozenset[str] = frozenset()
    statuses: frozenset[int] = _MISSING
    html: bool = False
    brief: bool = False
    todo: str = ""


class Untold(StopStream):
    """The source does not tell this of one of many records; the others may go on."""


UNTOLD = Missing(Untold, html=True, brief=True)
"""For one record of a list."""
UNTOLD_LIST = Missing(Untold, statuses=_MISSING | {403}, html=True, brief=True)
"""For one list of many: who may not read it may perhaps read the others."""
NOWHERE = Missing(
    Barred, html=True, todo="Correct the request's path, or the address of the connection."
)
"""There is no such list."""


@dataclass(frozen=True)
class Told:
    """What an answer with status 200 says of one place in it; `error` is for a place that is no
    single record's."""

    path: tuple[str | int, ...]
    error: StopStream


def translated(error: Exception, *, call: str) -> IntegrationError:
    """Our error for one of httpx's; `call` is the method and the path. To be raised `from` it.

    A certificate that is not trusted does not pass by itself: it is `FixConfig`.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FixConfig(
                f"{call} was not sent: the host's certificate is refused ({cause.verify_message})",
                todo=_UNTRUSTED.get(cause.verify_code, _TRUST),
            )
    remedy = next(
        (_REMEDIES[base] for base in type(error).__mro__ if base in _REMEDIES), StopStream
    )
    scrub(error)
    _unquote(error)
    text = str(error) or "no details"
    return remedy(f"{call} brought no whole answer ({type(error).__name__}: {text})")


def _unquote(error: BaseException) -> None:
    """Takes out of an error and its causes what h11 could not read: it may be of a record."""
    for cause in _causes(error):
        if "bytearray(" in str(cause):
            cause.args = (str(cause).partition("bytearray(")[0].rstrip(" :"),)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and one by one what it was made from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def refused(
    response: httpx.Response,
    *,
    call: str,
    body: bytes,
    now: datetime,
    secret_names: frozenset[str],
    should_retry_header: str | None,
    missing: Missing | None = None,
) -> IntegrationError:
    """Our error for an answer whose status is not 200. `call` may name the request's id."""
    status = response.status_code
    words = vendor_words(body)
    what = f"{call} answered {status}" + (f": {words}" if words else "")
    if _passing(response, should_retry_header):
        wait = retry_after(response.headers, now=now)
        if wait is not None:
            until = (now + timedelta(seconds=wait)).strftime("%Y-%m-%d %H:%M:%S UTC")
            what = f"{what} (it asks to wait until {until})"
        return RetryLater(what, retry_after=wait)
    if status == 401:
        named = ", ".join(sorted(secret_names)) or "none is configured"
        return StopConnection(what, todo=f"Check the credential (its secrets: {named}).")
    if missing is not None and _says_missing(response, body, missing):
        what = f"{call} answered {status}" if missing.brief else what
        return missing.error(what, todo=missing.todo)
    if status == 403:
        return Barred(what, todo=PERMISSION)
    return StopStream(what)


def _says_missing(response: httpx.Response, body: bytes, missing: Missing) -> bool:
    """Whether an answer says that what was asked for does not exist."""
    if not missing.html and "html" in response.headers.get("content-type", "").lower():
        return False
    params = missing.params
    code, param = _complaint(body)
    if param and params and param not in params:
        return False
    return response.status_code in missing.statuses or (
        response.status_code == 400 and bool(params) and code == "resource_missing"
    )


def _complaint(body: bytes) -> tuple[str, str]:
    """An error's code and the parameter that it is about, as Stripe names the two
    (docs.stripe.com/api/errors); "" for none."""
    try:
        error = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    error = error.get("error", error) if isinstance(error, dict) else {}
    said = error if isinstance(error, dict) else {}
    code, param = said.get("code"), said.get("param")
    return code if isinstance(code, str) else "", param if isinstance(param, str) else ""


def _passing(response: httpx.Response, should_retry_header: str | None) -> bool:
    said: str = response.headers.get(should_retry_header or "", "").strip().lower()
    if response.is_error and said in ("true", "false"):
        return said == "true"
    status = response.status_code
    return status in _RETRIED or status >= 500


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for (RFC 9110 section 10.2.3), None without a usable one.

    Seconds or an HTTP date; a date is measured by the answer's own `Date`, so that the two clocks
    need not agree. Negative ones and garbage are ignored.
    """
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", asked):
        return min(float(asked), _LONGEST)
    until = http_date(asked)
    if until is None:
        return None
    wait = (until - (http_date(headers.get("date", "")) or now)).total_seconds()
    return min(wait, _LONGEST) if wait >= 0 else None


def vendor_words(body: bytes) -> str:
    """The vendor's own message in an error's body: redacted, one line, 300 characters at most."""
    text = body.decode("utf-8", "replace")
    try:
        text = _message(msgspec.json.decode(body), depth=4) or text
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # HTML from a proxy: its text is enough. A secret may hold what looks like a tag.
        # What is not closed reaches to the end, or each `<` would be a search to there.
        tags = r"<(style|script)\b.*?(?:</\1>|\Z)|<[^<>]*>"
        text = re.sub(tags, " ", redact(text), flags=re.S | re.I)
    # Redacted before it is cut, or half a secret could stay.
    clean = "".join(char if char.isprintable() else " " for char in redact(text))
    return " ".join(clean.split())[:_WORDS]


def _message(value: object, *, depth: int) -> str:
    """The first text under one of the keys that vendors use, looking inwards."""
    if isinstance(value, str) or depth == 0:
        return value if isinstance(value, str) else ""
    if isinstance(value, list):
        return _message(value[0], depth=depth - 1) if value else ""
    if isinstance(value, dict):
        inner = (_message(value.get(key), depth=depth - 1) for key in _MESSAGE_KEYS)
        return next(filter(None, inner), "")
    return ""
