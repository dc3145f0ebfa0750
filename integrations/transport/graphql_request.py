"""What one stream asks of a GraphQL connection: a document, its variables, and where the records
are in the answer."""

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Self

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.errors import StopStream
from integrations.transport import Ask
from integrations.transport.answer import Answer, FieldPath, Next
from integrations.transport.body import apart, as_sent, readable, records_in, value_at
from integrations.transport.call import Call, Reply
from integrations.transport.faults import Missing
from integrations.transport.graphql_document import Document, Selected, connections
from integrations.transport.graphql_paging import VARIABLE, OffsetVariables, Relay
from integrations.transport.listing import (
    Slotted,
    Split,
    WindowFormat,
    given,
    no_credentials,
    readable_one_way,
    values_of,
)
from integrations.transport.slots import WINDOW, slots_in
from integrations.unanswered import MARK, marked

GraphqlPaging = Annotated[Relay | OffsetVariables, Field(discriminator="type")]
Variable = Annotated[str, Field(pattern=VARIABLE)]


class _Edge(msgspec.Struct):
    node: msgspec.Raw


class _More(msgspec.Struct, rename="camel"):
    has_next_page: bool | None = None


_VARIABLES = "variables."
"""Where a POST's parameters are a document's variables."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_EDGES = msgspec.json.Decoder(list[_Edge])
_EDGE = msgspec.json.Decoder(_Edge)
_RAW = msgspec.json.Decoder(list[msgspec.Raw])


def is_null(value: bytes | msgspec.Raw) -> bool:
    """Whether it is JSON's null."""
    return len(value) == 4 and bytes(value) == b"null"


def edges_of(
    connection: bytes | msgspec.Raw, place: str, *, refused: Collection[int] = ()
) -> Sequence[msgspec.Raw]:
    """The undecoded nodes of a connection; of a `refused` one that is not there its edge. Raises
    `StopStream` for one of another shape."""
    edges = value_at(connection, "edges")
    whole = edges if edges is not None else b"null"
    try:
        nodes = (
            [
                _node_or_edge(edge) if at in refused else _EDGE.decode(edge).node
                for at, edge in enumerate(_RAW.decode(whole))
            ]
            if refused
            else [edge.node for edge in _EDGES.decode(whole)]
        )
    except msgspec.DecodeError as error:
        raise StopStream(f"the edges of {place} have another shape: {error}") from error
    if any(map(is_null, nodes)) and not all(
        at in refused for at, node in enumerate(nodes) if is_null(node)
    ):
        raise StopStream(f"{place} has an edge without its node: that record would be lost")
    return nodes


def _node_or_edge(edge: msgspec.Raw) -> msgspec.Raw:
    try:
        node = _EDGE.decode(edge).node
    except msgspec.DecodeError:
        return edge
    return edge if is_null(node) else node


@functools.cache
def _cut_decoder(place: str) -> msgspec.json.Decoder[Any]:
    """Reads of a record only whether its connection at the place goes on: see `is_cut`."""
    inner: Any = _More
    for name in reversed([*place.split("."), "pageInfo"]):
        inner = msgspec.defstruct("At", [("at", inner | None, None)], rename={"at": name})
    return msgspec.json.Decoder(inner)


def is_cut(record: bytes | msgspec.Raw, place: str) -> bool:
    """Whether a record's connection at the place is to be read on; also where that cannot be told
    so fast."""
    if bytes(memoryview(record)[: len(MARK)]) == MARK:
        return False  # what is refused is not read on
    try:
        level = _cut_decoder(place).decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    for _ in place.split("."):
        level = level.at
        if level is None:
            return False  # this record has no such connection
    return level.at is None or level.at.has_next_page is not False


class Nested(BaseModel):
    """How a connection inside a record is read on: a document with `$id` and `$after`.

    `id` is a place in the record, `connection` the place of the same connection in the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    id: FieldPath = "id"
    connection: FieldPath

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        document = Document.read(self.query)
        document.takes({"id": True, "after": True})
        found = document.connection(self.connection)
        _no_deeper(found.node, self.connection)
        return self

    def call(self, id_: str, after: str) -> Call:
        """The call for what follows `after` in the record with this id."""
        return _call(self.query, {"id": id_, "after": after}, endpoint=self.connection)


class GraphqlRequest(BaseModel):
    """What one stream asks for: a whole document, its `variables` with the slots of a REST
    request's parameters, and `records`, the place of the connection (or plain list) in the answer.

    `nested` says how connections inside a record are read on when they are cut. A whole number goes
    as such into a variable that the document declares as `Int` or `Float`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    variables: Annotated[dict[Variable, Slotted | bool | int], AfterValidator(no_credentials)] = {}
    window_format: WindowFormat = "iso"
    records: FieldPath
    paging: GraphqlPaging
    nested: dict[FieldPath, Nested] = {}

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        readable_one_way(self._slots, self.variables)
        document = Document.read(self.query)
        paged = _paged(self.paging)
        for name in paged.keys() & self.variables.keys():
            raise ValueError(f"the variable {name} is the paging's to fill")
        document.takes({name: not self._may_lack(name) for name in self.variables} | paged)
        self._no_cut(document)
        return self

    def _may_lack(self, name: str) -> bool:
        return bool(slots_in([self.variables[name]]) - {*WINDOW})

    def _no_cut(self, document: Document) -> None:
        """Raises `ValueError` where a connection could be cut without anybody noticing."""
        if isinstance(self.paging, Relay):
            record = document.connection(self.records).node
        else:
            found = document.data.at(self.records)
            record = found and (found.node or found)
        if record is None:
            raise ValueError(f"the query asks for nothing at {self.records}")
        inside = dict(connections(record))
        for place in self.nested.keys() - inside.keys():
            raise ValueError(f"nested: the records have no connection {place} in the query")
        for place, field in inside.items():
            if not field.tells_more:
                raise ValueError(
                    f"{place} in the query should ask for pageInfo {{ hasNextPage endCursor }}: "
                    "without it nobody sees that it is cut"
                )
            if place not in self.nested:
                raise ValueError(f"{place} may be cut: say below `nested` how it is read on")
            if field.node is None:
                raise ValueError(f"{place} in the query should ask for edges {{ node {{ … }} }}")
            _no_deeper(field.node, place)

    @property
    def params(self) -> Mapping[str, str | bool | int]:
        """Its variables, as a REST request calls them."""
        return self.variables

    @property
    def asks(self) -> str:
        """The place of its records."""
        return self.records

    @property
    def fixed(self) -> bool:
        """True: the endpoint is the connection's."""
        return True

    @property
    def endpoints(self) -> Sequence[str]:
        """Those of its nested connections, and its own."""
        return [*(nested.connection for nested in self.nested.values()), self.asks]

    @property
    def _slots(self) -> frozenset[str]:
        return slots_in(self.variables.values())

    def first(self, ask: Ask) -> Call:
        """A pull's first call. Raises `FixConfig` as `values_of` does."""
        values = values_of(ask, self.window_format, slots=self._slots, asks=self.records)
        variables = {**given(self.variables, values), **self.paging.first()}
        return _call(self.query, variables, endpoint=self.asks)

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""
        variables = {**variables_of(first), **following.params}
        return _call(self.query, variables, endpoint=first.endpoint)

    def split(self, call: Call, reply: Reply) -> Split:
        """What the answer to a call holds; a record of which it says that a part could not be given
        is marked so (`unanswered`). Raises as `records_in` does, and `StopStream` for a
        connection of another shape, and for a part of the answer that is no single record's."""
        text = readable(reply.body)
        found = value_at(text, self.records)
        if found is None or is_null(found):
            reply.whole()
            raise StopStream(f"the answer has no {self.records!r}, where its records should be")
        info = b""
        if isinstance(self.paging, OffsetVariables) and bytes(memoryview(found)[:1]) == b"[":
            records: Sequence[msgspec.Raw] = records_in(found, "")
            refused = self._refused(reply, found)
        else:
            refused = self._refused(reply, value_at(found, "edges"), "edges")
            records = edges_of(found, self.records, refused=refused)
            info = bytes(value_at(found, "pageInfo") or b"")
        _, content = apart(records, text=text)
        answer = Answer(reply.url, reply.headers, info, records, variables_of(call), content)
        sent = as_sent(records, text=text, body=reply.body)
        if refused:
            sent = [
                marked(bytes(record), refused[at]) if at in refused else record
                for at, record in enumerate(sent)
            ]
        return Split(sent, answer)

    def _refused(self, reply: Reply, list_: msgspec.Raw | None, *below: str) -> dict[int, str]:
        """What the answer says of single records, by their places in the list, which is `below`
        that of the records. Raises what it says of anything else."""
        if list_ is None or is_null(list_):
            reply.whole()
        records = len(records_in(list_, "")) if reply.told and list_ is not None else 0
        place = (*self.records.split(".")[1:], *below)
        found: dict[int, str] = {}
        for one in reply.told:
            step = one.path[len(place) :][:1]
            at = step[0] if step and one.path[: len(place)] == place else None
            if not isinstance(at, int) or not 0 <= at < records:
                raise one.error
            found[at] = "; ".join(filter(None, (found.get(at), one.error.what)))
        return found

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """None: GraphQL says nothing by a status."""
        return None


def variables_of(call: Call) -> dict[str, str | int | bool]:
    """The variables of a call."""
    return {
        name.removeprefix(_VARIABLES): value
        for name, value in call.params.items()
        if name.startswith(_VARIABLES)
    }


def _call(query: str, variables: Mapping[str, str | int | bool], *, endpoint: str) -> Call:
    numbers = _numbers(query)
    named = {
        _VARIABLES + name: int(value)
        if name in numbers and isinstance(value, str) and _WHOLE.fullmatch(value)
        else value
        for name, value in variables.items()
    }
    params = {"query": query, **named}
    return Call(target="", endpoint=endpoint, method="POST", params=params)


@functools.cache
def _numbers(query: str) -> frozenset[str]:
    """The variables that are numbers: positions, moments and ids are kept as texts."""
    return Document.read(query).numbers


def _paged(paging: Relay | OffsetVariables) -> dict[str, bool]:
    """The paging's variables, each with whether every request has it."""
    if isinstance(paging, Relay):
        return {paging.variable: False}
    return dict.fromkeys(paging.first(), True)


def _no_deeper(node: Selected | None, place: str) -> None:
    for inner, _ in connections(node) if node else ():
        raise ValueError(f"{inner} in {place} is a connection in a nested one: cut unseen")
