"""The answer to a SOAP call, read as a stream: memory follows the page, not the answer.

Nothing of a record goes through zeep, which would build the whole answer at once, and drop values
that an element only refers to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import msgspec
from lxml import etree

from integrations.errors import IntegrationError, RetryLater, StopStream
from integrations.transport.soap_record import MOST_REFERRED, SAFE, Renderer, safe_parser
from integrations.transport.soap_shape import ANY, Shape, below, local

PAGE_RECORDS = 4_000
PAGE_BYTES = 4_194_304
"""Of records: what a page of an answer holds at the most, unless one record is larger."""
MOST_BESIDE = 67_108_864
"""Bytes of an answer that may come without a record, and that may stand beside them in all."""
_CHUNK = 65_536
_ENVELOPES = (
    "{http://schemas.xmlsoap.org/soap/envelope/}",
    "{http://www.w3.org/2003/05/soap-envelope}",
)
_BODIES = tuple(f"{soap}Body" for soap in _ENVELOPES)
_FAULTS = tuple(f"{soap}Fault" for soap in _ENVELOPES)
# Atomic: of what a comment could end with only the first counts, or a search would try them all.
_END = re.compile(rb"</(?:[^\s<>/]+:)?Envelope\s*>(?>\s|<!--.*?-->|<\?.*?\?>)*+\Z", re.DOTALL)
_REFERENCE = re.compile(rb"""(?:href\s*=\s*["']#|[:\s]ref\s*=\s*["']#?)([^"'\s<>]+)["']""")
_PROLOG = 200
_MOST_FAULT = 1_048_576
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Batch:
    """Records of an answer, the bytes of it that were read for them, how many of its records came
    before, and whether none follow."""

    records: list[bytes]
    size: int
    earlier: int
    last: bool = False


class SoapAnswer:
    """One answer: `file` at its start, `wrapper` the tag of what the body holds (None: any),
    `place` that of the records below it, `shape` the wrapper's. Whoever makes one closes the file.

    Making it looks at both ends. Raises `RetryLater` for what is no whole envelope, `StopStream`
    for one of another kind, or with a DTD, which SOAP forbids (SOAP 1.1 section 3), and what
    `refusal` makes of a fault, also of one that comes behind the records (section 4.4 allows it).
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        headers: Mapping[str, str],
        wrapper: str | None,
        place: str,
        shape: Shape,
        refusal: Callable[[Any], IntegrationError],
    ) -> None:
        self._file, self._wrapper, self._path, self._shape = file, wrapper, place.split("."), shape
        kind = headers.get("content-type", "")
        if "multipart/" in kind.lower():
            raise StopStream("the answer has attachments (multipart), which are not read")
        self._encoding = _declared(kind, file.read(_PROLOG))
        self._refusal = refusal
        self._whole()
        self._first()
        self._record_shape = below(shape, place)
        self._rest: dict[str, Any] = {}

    @property
    def rest(self) -> bytes:
        """What stands beside the records, as a JSON object; known after the last batch."""
        return msgspec.json.encode(self._rest)

    def batches(self) -> Iterator[Batch]:
        """The records, page by page; at least one page, which may hold none."""
        renderer = Renderer(self._referred())
        source = self._source()
        records: list[bytes] = []
        size = earlier = 0
        for element in self._records(source, renderer):
            made = renderer.record(element, self._record_shape or self._shape)
            records.append(msgspec.json.encode(made))
            size += len(records[-1])
            if len(records) >= PAGE_RECORDS or size >= PAGE_BYTES:
                yield Batch(records, source.taken(), earlier)
                earlier += len(records)
                records, size = [], 0
        yield Batch(records, source.taken(), earlier, last=True)

    def _records(self, source: "_Source", renderer: Renderer) -> Iterator[Any]:
        """The elements at the place, each gone when the next one is asked for."""
        found: Any = None
        names = [f"{{*}}{name}" if name != ANY else "*" for name in self._path]
        with _translated():
            wrapper: Any = None
            for event, element in self._parse(
                source, ("start", "end"), tags=[self._wrapper or "*", *names, *_FAULTS]
            ):
                if event == "start":
                    wrapper = self._entry(element, wrapper)
                    continue
                if element.tag in _FAULTS and _in_body(element):
                    raise self._refusal(element)
                depth = self._depth(element, wrapper)
                if depth is None:
                    continue
                if depth < len(self._path):
                    yield from self._behind(element, self._path[depth:], renderer)
                    continue
                if found is not None:
                    found.getparent().remove(found)
                yield element
                source.mark()
                element.clear()
                found = element
                _little_kept(source, wrapper)
            if wrapper is None:
                raise StopStream("the answer has nothing of what was asked for")
            if found is not None:
                found.getparent().remove(found)
            self._rest = renderer.record(wrapper, self._shape)

    def _entry(self, element: Any, wrapper: Any) -> Any:
        """The wrapper, as soon as it has begun."""
        if element.tag != self._wrapper or not _in_body(element):
            return wrapper
        if wrapper is not None:
            raise StopStream(f"the answer has two {local(element.tag)!r}")
        return element

    def _behind(self, element: Any, path: list[str], renderer: Renderer) -> Iterator[Any]:
        """The records below an element that only refers to the one that has them."""
        followed, _ = renderer.followed(element, element.items())
        if followed is element:
            return
        level = [followed]
        for name in path:
            level = [
                renderer.followed(child, child.items())[0] if name != path[-1] else child
                for one in level
                for child in one
                if name in (ANY, local(child.tag))
            ]
        yield from level
        for name in element.keys():  # what was read is not beside the records  # noqa: SIM118
            del element.attrib[name]

    def _depth(self, element: Any, wrapper: Any) -> int | None:
        """How many names of the place lead to an element; None where it is elsewhere."""
        names: list[str] = []
        while element is not None and element is not wrapper:
            names.append(local(element.tag))
            element = element.getparent()
            if len(names) > len(self._path):
                return None
        if element is None or wrapper is None:
            return None
        fits = all(a in (ANY, b) for a, b in zip(self._path, reversed(names), strict=False))
        return len(names) if fits else None

    def _referred(self) -> dict[str, bytes]:
        """The elements that others refer to, by their ids."""
        wanted = self._targets()
        if not wanted:
            return {}
        found: dict[str, bytes] = {}
        size = 0
        source = self._source()
        with _translated():
            for _, element in self._parse(source, ("end",)):
                source.mark()
                id_ = element.get("id")
                if id_ in wanted and id_ not in found:
                    found[id_] = etree.tostring(element, with_tail=False)
                    size += len(found[id_])
                    if size > MOST_REFERRED:
                        raise StopStream(
                            "the elements that the answer refers to come to more than "
                            f"{MOST_REFERRED:,} bytes",
                            todo="Ask for less at a time.",
                        )
                # What is inside a wanted one is needed when that one ends.
                if not any(one.get("id") in wanted for one in element.iterancestors()):
                    element.clear()
                    while element.getprevious() is not None:
                        del element.getparent()[0]
        return found

    def _targets(self) -> set[str]:
        """The ids that are referred to anywhere: a search of bytes, as most answers have none."""
        self._file.seek(0)
        found: set[str] = set()
        before = b""
        while piece := self._file.read(_CHUNK):
            text = before + piece
            if b"ref" in text:
                found.update(one.decode("utf-8", "replace") for one in _REFERENCE.findall(text))
            before = text[-512:]
        return found

    def _first(self) -> None:
        """Raises where the body does not begin with what was asked for."""
        with _translated():
            for _, element in self._parse(self._source(), ("start",)):
                if element.getroottree().docinfo.doctype:
                    raise StopStream(
                        "the answer has a DTD, which SOAP forbids: it may hold entities"
                    )
                parent = element.getparent()
                if parent is None and element.tag not in [f"{e}Envelope" for e in _ENVELOPES]:
                    raise RetryLater(
                        f"the answer is no SOAP envelope but a {local(element.tag)!r}",
                        todo="Perhaps it is a login, or a proxy's: see what the address shows.",
                    )
                if not _in_body(element):
                    continue
                if local(element.tag) == "Fault":
                    self._file.seek(0)
                    parser = safe_parser(self._encoding)
                    whole = etree.fromstring(self._file.read(_MOST_FAULT), parser)
                    raise self._refusal(whole.find("{*}Body/{*}Fault"))
                self._wrapper = self._wrapper or element.tag
                if element.tag != self._wrapper:
                    raise StopStream(
                        f"the answer is a {local(element.tag)!r}, not the "
                        f"{local(self._wrapper)!r} that was asked for"
                    )
                return
        raise StopStream("the answer's body is empty")

    def _whole(self) -> None:
        """Raises `RetryLater` where the end is missing, before a record is taken."""
        end = self._file.seek(0, 2)
        self._file.seek(max(0, end - 4_096))
        if not _END.search(self._file.read().replace(b"\0", b"").rstrip()):
            raise RetryLater("the answer is no SOAP envelope, or not all of it")

    def _source(self) -> "_Source":
        self._file.seek(0)
        return _Source(self._file)

    def _parse(
        self, source: "_Source", events: tuple[str, ...], *, tags: list[str] | None = None
    ) -> Any:
        how = {"events": events, "tag": tags, "encoding": self._encoding, **SAFE}
        try:
            return etree.iterparse(source, **how)
        except LookupError:
            raise StopStream(
                f"the answer is in {str(self._encoding)[:40]!r}, an encoding that is not known"
            ) from None


def _in_body(element: Any) -> bool:
    """Whether it is one of the entries of the envelope's body."""
    parent = element.getparent()
    above = None if parent is None else parent.getparent()
    return above is not None and above.getparent() is None and parent.tag in _BODIES


def _little_kept(source: "_Source", wrapper: Any) -> None:
    """Raises `StopStream` where much of the answer is kept though its records are gone."""
    if source.far() and len(etree.tostring(wrapper)) > MOST_BESIDE:
        raise StopStream(
            f"more than {MOST_BESIDE:,} bytes of the answer stand beside the records",
            todo="Ask for less at a time.",
        )


class _Source:
    """A file that counts what is read of it, and stops where much comes and no record."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = self._marked = self._told = self._looked = 0

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self._at += len(piece)
        if self._at - self._marked > MOST_BESIDE:
            raise StopStream(f"{MOST_BESIDE:,} bytes of the answer came without a whole record")
        return piece

    def mark(self) -> None:
        """A record was taken."""
        self._marked = self._at

    def far(self) -> bool:
        """Whether as many bytes as may stand beside the records were read since it last was so."""
        far = self._at - self._looked > MOST_BESIDE
        if far:
            self._looked = self._at
        return far

    def taken(self) -> int:
        """The bytes that were read since this was asked before."""
        taken, self._told = self._at - self._told, self._at
        return taken


@contextmanager
def _translated() -> Iterator[None]:
    """What lxml cannot read, in our words."""
    try:
        yield
    except etree.XMLSyntaxError as error:
        raise StopStream(f"the answer is no well-formed XML: {_plain(error)}") from None


def _plain(error: Any) -> str:
    """What libxml2 says, without names and values of the answer."""
    return f"{error.__class__.__name__} {error.code} in line {error.lineno}"


def _declared(kind: str, head: bytes) -> str | None:
    """The encoding that only the header tells; None where the document says it, or it is UTF-8."""
    found = _CHARSET.search(kind)
    if found is None or b"encoding=" in head or found[1].lower() in ("utf-8", "utf-16"):
        return None
    return found[1]
