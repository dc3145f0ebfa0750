"""The answers of a twin as they are on the wire, changed record by record, whatever the protocol."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from integrations.connector_template.connector import BoundStream
from integrations.transport.graphql_request import GraphqlRequest
from integrations.transport.soap_request import SoapRequest
from integrations_tests.conformance.oracles import Oracle, Record

Put = Callable[[str, Any], None]
"""Puts a value at a path of the record that goes out: a text, or a list where none belongs."""
Change = Callable[[Record, Put], None]


def changed(
    body: bytes,
    stream: BoundStream,
    oracle: Oracle,
    change: Change,
    *,
    within: Callable[[Record], Record] = lambda record: record,
) -> bytes:
    """A page, each of its records changed. JSON is written whole, in one spelling. `within` gives
    what paths are of, where that is an element of a record."""
    request = stream.stream.request
    if isinstance(request, SoapRequest):
        root = ElementTree.fromstring(body)
        for element in oracle.elements(root, request.records.rpartition(".")[2]):
            record = oracle.rendered(element)
            change(record, _into(element, record))
        return ElementTree.tostring(root)
    document = json.loads(body)
    for record in _listed(request, value_at(document, request.records) or ()):
        change(record, _set(within(record)))
    return dumped(document)


def same(sent: bytes, kept: bytes, stream: BoundStream) -> bool:
    """Whether a record is kept as it was sent: its very bytes, or what they say where they were no
    JSON and the order of an object's keys says nothing."""
    if isinstance(stream.stream.request, SoapRequest):
        return bool(json.loads(sent) == json.loads(kept))
    return sent == kept


def _listed(request: Any, found: Any) -> list[Record]:
    """The records of a list in JSON, as they lie in it."""
    if isinstance(request, GraphqlRequest) and isinstance(found, dict):
        return [edge["node"] for edge in found["edges"]]
    return [*found]


def _set(record: Record) -> Put:
    def put(path: str, value: Any) -> None:
        *parents, last = path.split(".")
        value_at(record, ".".join(parents))[last] = value

    return put


def _into(element: ElementTree.Element, record: Record) -> Put:
    def put(path: str, value: Any) -> None:
        found = element.find("/".join(f"{{*}}{name}" for name in path.split(".")))
        assert found is not None, path
        if isinstance(value, list):
            found.text = None
            (inner,) = value or [""]
            ElementTree.SubElement(found, "strange").text = inner
            value = {"strange": [inner]}
        else:
            found.text = value
        _set(record)(path, value)

    return put


def value_at(record: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    for segment in path.split(".") if path else ():
        record = record.get(segment) if isinstance(record, dict) else None
    return record


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
