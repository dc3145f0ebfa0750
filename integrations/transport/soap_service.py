"""A service as its WSDL describes it: zeep reads that, and writes the messages.

Whatever zeep loads comes through our one door, so that the WSDL may stand behind a login and can
lead to no other origin.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import zeep.exceptions
from lxml import etree
from zeep import xsd
from zeep.settings import Settings
from zeep.wsdl import Document
from zeep.wsdl.bindings import Soap11Binding, Soap12Binding
from zeep.wsse.username import UsernameToken

from integrations.auth.soap import SoapLogin, text_of_secret
from integrations.errors import FixConfig, StopStream
from integrations.redaction import redact
from integrations.secrets import Secret
from integrations.transport.soap_schema import Shapes
from integrations.transport.soap_shape import Shape, below

Version = Literal["1.1", "1.2"]
Load = Callable[[str], bytes]
"""Fetches a document from an address of the source."""
Value = str | int | bool

_BINDINGS = {"1.1": Soap11Binding, "1.2": Soap12Binding}
_SHIPPED = {
    "http://schemas.xmlsoap.org/soap/encoding/": "soap_encoding.xsd",
    "https://www.w3.org/2001/xml.xsd": "xml.xsd",
    "http://www.w3.org/2001/xml.xsd": "xml.xsd",
}
"""Schemas that are of no service, and that zeep would ask the internet for."""
_UNREADABLE = (zeep.exceptions.Error, etree.LxmlError, LookupError, TypeError, ValueError,
               AttributeError, OSError, RecursionError)  # fmt: skip
MOST_DOCUMENTS = 500
"""Of a WSDL and what it imports; large vendors have about a hundred."""


class Service:
    """The port of a WSDL that speaks `version`, or the one called `port`.

    `wsdl` is an address of the source, or a `file:` URL. Raises `StopStream` for a WSDL that cannot
    be read, `FixConfig` where it has no such port.
    """

    def __init__(self, wsdl: str, *, load: Load, version: Version, port: str | None) -> None:
        with _read("the WSDL cannot be read"):
            documents = _Documents(wsdl, load)
            settings = Settings(forbid_dtd=True, forbid_entities=True)
            self._document: Any = Document(wsdl, documents, settings=settings)  # type: ignore[arg-type]  # it only loads
        self._binding = self._port(version, port)
        self._shapes = Shapes(self._document.types)

    def _port(self, version: Version, name: str | None) -> Any:
        services = self._document.services.values()
        ports = {key: one for service in services for key, one in service.ports.items()}
        for key, one in ports.items():
            if type(one.binding) is _BINDINGS[version] and name in (None, key):
                return one.binding
        raise FixConfig(
            f"the WSDL has no port {name or ''} for SOAP {version}".replace("  ", " "),
            todo=f"It has: {', '.join(ports) or 'none'}. Say another `version` or `port`.",
        )

    def operation(self, name: str) -> "Operation":
        """Raises `FixConfig` where the port has none of this name."""
        known = self._binding.all()
        if name not in known:
            raise FixConfig(
                f"the WSDL has no operation {name!r}", todo=f"It has: {', '.join(known)}."
            )
        return Operation(self._binding, known[name], self._shapes)


class Operation:
    """One operation: writes its requests, knows the shape of its answers."""

    def __init__(self, binding: Any, operation: Any, shapes: Shapes) -> None:
        self._binding, self._operation, self._shapes = binding, operation, shapes
        self._name: str = operation.name

    @cached_property
    def wrapper(self) -> str | None:
        """The tag of what the body of an answer holds; None where its name says nothing, as in RPC
        (SOAP 1.1 section 7.1)."""
        if self._operation.style == "rpc":
            return None
        name: str = self._operation.output.body.qname.text
        return name

    @cached_property
    def shape(self) -> Shape:
        """The shape of that."""
        return self._shapes.of(self._operation.output.body.type)

    def has(self, place: str) -> None:
        """Raises `FixConfig` where the schema has no element at this place of the answer."""
        if below(self.shape, place) is None:
            raise FixConfig(f"the answer of {self._name} has no element at {place!r}")

    def request(
        self,
        params: Mapping[str, Value],
        *,
        login: SoapLogin | None,
        secrets: Mapping[str, Secret],
        now: datetime,
    ) -> tuple[bytes, dict[str, str]]:
        """An envelope with these values at their places and the login where it belongs, and its
        headers of HTTP. Raises `FixConfig` for values that do not fit."""
        own = {} if login is None else _secrets(login.body, secrets)
        header = {} if login is None else _secrets(login.header, secrets)
        body = self._operation.input.body.type
        given = self._fitted({**params, **own}, body)
        if header:
            given["_soapheaders"] = self._fitted(*self._blocks(header))
        try:
            made = self._operation.create(**given)
            self._binding._set_http_headers(made, self._operation)
            envelope, headers = made.content, made.headers
        except zeep.exceptions.ValidationError as error:
            lacks = f"{error.message} in {'.'.join(map(str, error.path))}"
            raise FixConfig(f"the params do not fit the operation {self._name}: {lacks}") from None
        except _UNREADABLE as error:  # its words may hold what was given: a password too
            kind = type(error).__name__
            raise FixConfig(f"the params do not fit the operation {self._name} ({kind})") from None
        if login is not None and login.token is not None:
            token = UsernameToken(  # type: ignore[no-untyped-call]
                text_of_secret(login.token.username, secrets),
                text_of_secret(login.token.password, secrets),
                use_digest=login.token.digest,
                created=now,
                zulu_timestamp=True,
            )
            envelope, headers = token.apply(envelope, headers)  # type: ignore[no-untyped-call]
        content: bytes = etree.tostring(envelope, encoding="utf-8", xml_declaration=True)
        return content, headers

    def _blocks(self, header: Mapping[str, Value]) -> tuple[dict[str, Value], Any]:
        """Values in header blocks, whose elements zeep knows by the names of their parts."""
        type_ = self._operation.input.header.type
        parts = {element.name: part for part, element in type_.elements}
        named = {}
        for place, value in header.items():
            block, dot, rest = place.partition(".")
            named[f"{parts.get(block, block)}{dot}{rest}"] = value
        return named, type_

    def _fitted(self, params: Mapping[str, Value], type_: Any) -> dict[str, Any]:
        try:
            return _fitted(_nested(params), type_)
        except KeyError as error:
            raise FixConfig(
                f"the operation {self._name} takes no element {error.args[0]!r}",
                todo=f"There it takes: {error.args[1]}.",
            ) from None


class _Documents:
    """What zeep takes for a transport: the documents of one WSDL.

    Local files may lead to the source, what comes from the source leads to no file.
    """

    def __init__(self, wsdl: str, load: Load) -> None:
        self._load, self._loaded = load, 0
        self._folder = _path(wsdl).parent if wsdl.startswith("file:") else None

    def load(self, url: str) -> bytes:
        if url in _SHIPPED:
            return Path(__file__).with_name(_SHIPPED[url]).read_bytes()
        self._loaded += 1
        if self._loaded > MOST_DOCUMENTS:
            raise StopStream(f"the WSDL is of more than {MOST_DOCUMENTS} documents")
        if urlsplit(url).scheme in ("http", "https"):
            return self._load(url)
        if self._folder is None:
            raise StopStream("the WSDL leads to a file of this machine, which is not read for it")
        file = (self._folder / _path(url)).resolve()
        if not file.is_relative_to(self._folder.resolve()):
            raise StopStream("the WSDL leads to a file outside its folder, which is not read")
        return file.read_bytes()


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)


def address(wsdl: str, base: str) -> str:
    """Where a WSDL is: a `file:` URL as it is, a path below the base."""
    return wsdl if wsdl.startswith("file:") else f"{base.rstrip('/')}{wsdl}"


@contextmanager
def _read(what: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        said = redact(str(error))[:200]
        raise StopStream(f"{what} ({type(error).__name__}: {said})") from None


def _secrets(places: Mapping[str, str], secrets: Mapping[str, Secret]) -> dict[str, str]:
    return {place: text_of_secret(name, secrets) for place, name in places.items()}


def _nested(params: Mapping[str, Value]) -> dict[str, Any]:
    """Values by their places (`Header.MessageID`, `ID@schemeName`) as objects in objects."""
    whole: dict[str, Any] = {}
    for place, value in params.items():
        path, _, attribute = place.partition("@")
        *names, last = path.split(".")
        level = whole
        for name in names:
            level = level.setdefault(name, {})
        if attribute:
            level[last] = _with_text(level.get(last)) | {attribute: value}
        elif isinstance(level.get(last), dict):
            level[last] |= {"_value_1": value}
        else:
            level[last] = value
    return whole


def _with_text(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {} if value is None else {"_value_1": value}


def _fitted(values: dict[str, Any], type_: Any) -> dict[str, Any]:
    """The same as zeep takes it: lists where there may be several, an object for an element that is
    to be there and empty. Raises `KeyError` (name, known names) for one that is not declared."""
    known = dict(type_.elements)
    attributes = {name for name, _ in type_.attributes}
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name in attributes or name == "_value_1":
            made[name] = value
            continue
        if name not in known:
            raise KeyError(name, ", ".join(known))
        element = known[name]
        plain = not isinstance(element.type, xsd.ComplexType)
        if isinstance(value, dict) and not plain:
            value = _fitted(value, element.type)  # noqa: PLW2901
        elif value == "" and not plain and "_value_1" not in dict(element.type.elements):
            value = {}  # noqa: PLW2901
        made[name] = [value] if element.accepts_multiple else value
    return made
