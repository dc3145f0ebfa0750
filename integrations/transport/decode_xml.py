"""XML, streamed: each element of one name becomes a record, with what stands above it.

    <Stmt><Id>7</Id><Ntry><Amt Ccy="EUR">8.85</Amt></Ntry></Stmt>
    {"_file": …, "_line": 1, "_no": 1, "Stmt": {"Id": "7"},
     "Ntry": {"Amt": "8.85", "Amt@Ccy": "EUR"}}

Names are without their namespace, so that two versions of a message are read by one mapping. A
missing element is absent, an empty one is "", `xsi:nil` is null. Nothing is fetched, no entity is
resolved, a document type is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from integrations.transport.file_listing import Unread

_AT_ONCE = 2_000
_MOST = 500_000
"""Elements that are in memory at one time."""
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}"


class XmlFormat(BaseModel):
    """Elements called `record`, each beside what stands before it in the elements around it.

    An element that may come more than once belongs into `lists` and is a list then, also where it
    comes once. `_line` is the record's place in the file, `_no` in the element around it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["xml"]
    record: str = Field(pattern=r"^[^\s.:@{}]+$")
    lists: frozenset[str] = frozenset()

    def check(self, stream: IO[bytes]) -> None:
        """Raises `Unread` for what is no well-formed XML, or has a document type."""
        begun = 0
        for event, element in _events(stream, ("start", "end")):
            if event == "start":
                begun += 1
                if begun > _MOST:
                    raise Unread(f"has {_MOST} elements and more before a {self.record} ends")
                continue
            if _name(element) == self.record:
                begun = 0
            _let_go(element)
        stream.seek(0)

    def records(self, stream: IO[bytes], *, file: str, notes: list[str]) -> Iterator[list[bytes]]:
        """The records in blocks."""
        block: list[bytes] = []
        for number, (no, around, element) in enumerate(self._found(stream), start=1):
            record = {"_file": file, "_line": number, "_no": no, **around}
            record[self.record] = self._value(element)
            block.append(msgspec.json.encode(record))
            if len(block) == _AT_ONCE:
                yield block
                block = []
        if block:
            yield block

    def _found(self, stream: IO[bytes]) -> Iterator[tuple[int, dict[str, Any], Any]]:
        """Each record's place, what stands above it, and its element. An element is let go when it
        has ended, so that the tree stays small."""
        above, inside = [_Around("")], 0
        for event, element in _events(stream, ("start", "end")):
            name = _name(element)
            if event == "start":
                if not inside and name != self.record:
                    above.append(_Around(name))
                else:
                    inside += 1
                continue
            inside -= bool(inside)
            if inside:
                continue
            if name == self.record:
                above[-1].records += 1
                yield above[-1].records, {one.name: one.told for one in above if one.told}, element
                for one in above:
                    one.holds = True
            else:
                ended = above.pop()
                if not ended.holds:
                    self._put(above[-1].told, element, ended.told or _text(element))
            _let_go(element)

    def _value(self, element: Any) -> Any:
        found: dict[str, Any] = {}
        for child in element:
            self._put(found, child, self._value(child))
        return found or _text(element)

    def _put(self, into: dict[str, Any], element: Any, value: Any) -> None:
        name = _name(element)
        if name in self.lists:
            into.setdefault(name, []).append(value)
        elif name in into:
            into.setdefault(f"{name}[]", [into[name]]).append(value)
        else:
            into[name] = value
            for key, text in element.attrib.items():
                if not key.startswith(_SCHEMA):
                    into[f"{name}@{key.rpartition('}')[2]}"] = text


@dataclass
class _Around:
    """An element that may hold records: what was told in it so far, and whether it does."""

    name: str
    told: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    holds: bool = False


def _text(element: Any) -> str | None:
    """The text of an element without elements; None where it says that it has no value."""
    return None if element.get(_NIL) in ("true", "1") else element.text or ""


def _events(stream: IO[bytes], events: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    from lxml import etree

    found: Any = etree.iterparse(
        stream,
        events=events,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    first = True
    try:
        for event, element in found:
            if first and element.getroottree().docinfo.doctype:
                raise Unread("has a document type, which may define entities")
            first = False
            yield event, element
    except etree.XMLSyntaxError as error:
        raise Unread(f"is no whole XML: {error.msg}") from None


def _let_go(element: Any) -> None:
    element.clear()
    while (before := element.getprevious()) is not None:
        element.getparent().remove(before)


def _name(element: Any) -> str:
    return str(element.tag.rpartition("}")[2])
