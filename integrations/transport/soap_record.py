"""An element of an answer as a record: one JSON object, all of whose values are text.

- An element with elements in it is an object, by their names without namespace; where two of one
  name and two namespaces may stand in one place, each goes by both, `{urn:x}Name`.
- One that may come several times is a list, however often it came. So is one of which the schema
  says nothing.
- One without elements is its text, as sent; white space around it is dropped unless its type is a
  string. A missing one is absent, an empty one is "" (or {} where elements are expected), and one
  with `xsi:nil` is null: three things.
- An attribute of an element with text stands beside it, as `Name@attribute`, for lists as a list of
  the same length with nulls; one of an element with elements stands in it, as `@attribute`. Those
  of XML Schema and of SOAP itself are none of the record.
- A reference, `href="#id"`, is what it refers to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

from integrations.errors import StopStream
from integrations.transport.soap_shape import Field, Shape, local

XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_NIL, _TYPE = f"{XSI}nil", f"{XSI}type"
_ENCODINGS = (
    "{http://schemas.xmlsoap.org/soap/encoding/}",
    "{http://www.w3.org/2003/05/soap-encoding}",
)
_OF_SOAP = (
    XSI,
    *_ENCODINGS,
    "{http://schemas.xmlsoap.org/soap/envelope/}",
    "{http://www.w3.org/2003/05/soap-envelope}",
)
_REFERENCES = ("href", *(f"{namespace}ref" for namespace in _ENCODINGS))
_TRUE = ("true", "1")
MOST_DEPTH = 100
"""Elements in each other, those that are referred to among them."""
MOST_REFERRED = 67_108_864
"""Bytes that the references of an answer, or of one record, may come to."""

Items = Sequence[tuple[str, str]]


class Renderer:
    """Makes records of elements; `referred` are the elements that others refer to, as bytes."""

    def __init__(self, referred: Mapping[str, bytes]) -> None:
        self._referred = referred
        self._unknown: dict[str, Field] = {}
        self._names: dict[str, str | None] = {}
        self._spent = 0

    def record(self, element: Any, shape: Shape) -> dict[str, Any]:
        """The record. Raises `StopStream` for one that is too deep, or refers to itself."""
        self._spent = 0
        element, items = self.followed(element, element.items())
        value = self._value(element, items, shape, 1)
        own = {f"@{name}": text for name, text in self._own(items)}
        return own | (value if isinstance(value, dict) else {"#text": value})

    def followed(self, element: Any, items: Items) -> tuple[Any, Items]:
        """The element that is referred to, with its attributes: often the given one itself."""
        for _ in range(MOST_DEPTH):
            if (target := _reference(element, items)) is None:
                return element, items
            found = self._referred.get(target)
            if found is None:
                raise StopStream(f"the answer refers to {target[:40]!r}, an element it has not")
            self._spent += len(found)
            if self._spent > MOST_REFERRED:
                raise StopStream(f"a record refers to more than {MOST_REFERRED:,} bytes")
            element = parsed(found)
            items = element.items()
        raise StopStream("the answer has references that go in a circle")

    def _value(self, element: Any, items: Items, shape: Shape, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise StopStream(f"an element of the answer lies more than {MOST_DEPTH} deep")
        for name, text in items:
            if name == _NIL and text.strip() in _TRUE:
                return None
            if name == _TYPE:
                shape = shape.derived(_tag(element, text)) or shape
        if len(element):
            return self._object(element, shape, depth)
        text = element.text or ""
        if shape.fields:
            return {"#text": text.strip()} if text.strip() else {}
        return text.strip() if shape.strips else text

    def _object(self, element: Any, shape: Shape, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        beside: dict[str, str] = {}
        fields = shape.fields
        for child in element:
            tag, items = child.tag, child.items()
            known = fields.get(tag) or self._not_declared(tag, shape)
            key, many = known.key, known.many
            if items:
                child, items = self.followed(child, items)  # noqa: PLW2901
            value = self._value(child, items, known.shape, depth + 1)
            if many or key in made:
                _append(made, key, value)
            else:
                made[key] = value
            for name, text in self._own(items) if items else ():
                if isinstance(value, dict):
                    value.setdefault(f"@{name}", text)
                elif many:
                    beside[f"{key}@{name}"] = key
                    _fill(made, f"{key}@{name}", len(made[key]) - 1)
                    made[f"{key}@{name}"].append(text)
                else:
                    made[f"{key}@{name}"] = text
        for column, key in beside.items():
            _fill(made, column, len(made[key]))
        if element.text and not element.text.isspace():
            made["#text"] = element.text.strip()
        return made

    def _own(self, items: Items) -> list[tuple[str, str]]:
        """The attributes that are of the record, by their names without namespace."""
        names, own = self._names, []
        for name, text in items:
            if name not in names:
                names[name] = None if name.startswith(_OF_SOAP) else local(name)
            known = names[name]
            if known is not None and not (name == "id" and text in self._referred):
                own.append((known, text))
        return own

    def _not_declared(self, tag: str, within: Shape) -> Field:
        known = self._unknown.get(tag)
        if known is None:
            known = self._unknown[tag] = Field(local(tag), True, within.unknown)
        return known


def _append(made: dict[str, Any], key: str, value: Any) -> None:
    there = made.setdefault(key, [])
    if isinstance(there, list):
        there.append(value)
    else:  # declared to come once: the mapping refuses the record for it
        made[key] = [there, value]


def _fill(made: dict[str, Any], column: str, length: int) -> None:
    values = made.setdefault(column, [])
    values.extend([None] * (length - len(values)))


def _reference(element: Any, items: Items) -> str | None:
    """The id that an element stands for, which then holds nothing itself."""
    for name, target in items:
        if name in _REFERENCES and (name != "href" or target[:1] == "#"):
            empty = not len(element) and not (element.text and not element.text.isspace())
            return target.removeprefix("#") if empty else None
    return None


def parsed(content: bytes) -> Any:
    """An element, without what a document may do to its reader."""
    return etree.fromstring(content, safe_parser())


def safe_parser(encoding: str | None = None) -> Any:
    """Knows no entities, no network and no huge trees; an `encoding` goes before the document's."""
    return etree.XMLParser(encoding=encoding, **SAFE)


SAFE: Mapping[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def _tag(element: Any, name: str) -> str:
    """The tag that a prefixed name means in an element."""
    prefix, _, last = name.strip().rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{last}" if namespace else last
