"""Part three of a connector's file: what is asked of the source, over which transport, and when."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from integrations.error_handling.alert import Alert
from integrations.names import LONGEST_NAME, NAME
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import FullSync, WindowSync
from integrations.transport.file_request import FilesRequest
from integrations.transport.graphql import GraphqlTransport
from integrations.transport.graphql_request import GraphqlRequest
from integrations.transport.one_request import OneRequest
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest
from integrations.transport.s3 import S3Transport
from integrations.transport.sftp import SftpTransport
from integrations.transport.soap import SoapTransport
from integrations.transport.soap_request import SoapRequest

AnyTransport = Annotated[
    RestTransport | GraphqlTransport | SoapTransport | SftpTransport | S3Transport,
    Field(discriminator="type"),
]
Sync = Annotated[WindowSync | FullSync | CursorSync, Field(discriminator="type")]
Name = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]


_KINDS = {"query": "graphql", "operation": "soap", "files": "file"}
"""What a request has that is not one to an address of its own, and of which kind it is then. A kind
is called as no setting of a request, which mistakes would be told of else."""
_MODELS: dict[type, str] = {GraphqlRequest: "graphql", SoapRequest: "soap", FilesRequest: "file"}
OF_FILES = ("sftp", "s3")
"""The transports of requests of the kind `file`; the other kinds are called as their transport."""


def kind_of(value: Any) -> str:
    """The kind of a request."""
    if not isinstance(value, dict):
        return _MODELS.get(type(value), "rest")
    return next((kind for key, kind in _KINDS.items() if key in value), "rest")


AnyRequest = Annotated[
    Annotated[RestRequest, Tag("rest")]
    | Annotated[GraphqlRequest, Tag("graphql")]
    | Annotated[SoapRequest, Tag("soap")]
    | Annotated[FilesRequest, Tag("file")],
    Discriminator(kind_of),
]


class Stream(BaseModel):
    """One kind of record: the request that lists it and the state that its reading keeps.

    `one` says how a single record is fetched by the key that the source knows it by, `alert` how
    much of it a run may refuse before that is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    sync: Sync
    request: AnyRequest
    one: OneRequest | None = None
    alert: Alert = Alert()


class ChildStream(BaseModel):
    """A stream without a request of its own: its records are those of the stream `of`, taken apart
    by `each` in its mapping, and it is read, landed and loaded with that one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    of: Name
    alert: Alert = Alert()


def _tag(value: Any) -> str:
    child = "of" in value if isinstance(value, dict) else isinstance(value, ChildStream)
    return "child" if child else "stream"


AnyStream = Annotated[
    Annotated[Stream, Tag("stream")] | Annotated[ChildStream, Tag("child")], Discriminator(_tag)
]


class SyncHandler(BaseModel):
    """The transport of a connector and the streams that are read over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: AnyTransport
    streams: dict[Name, AnyStream] = Field(min_length=1)

    def bound(self, stream: Stream) -> Stream:
        """The stream, whose request holds those of its parents, where it names their streams."""
        if not isinstance(stream.request, RestRequest):
            return stream
        return stream.model_copy(update={"request": self._bound(stream.request)})

    def _bound(self, request: RestRequest) -> RestRequest:
        parent = request.parent
        if parent is None:
            return request
        above = parent.request
        if parent.stream is not None:
            named = self.streams[parent.stream]
            assert isinstance(named, Stream), "a file is refused that names another"
            assert isinstance(named.request, RestRequest), "a file has one kind of requests"
            above = named.request.model_copy(update={"detail": None})
        assert above is not None, "a parent has one of the two"
        parent = parent.model_copy(update={"request": self._bound(above)})
        return request.model_copy(update={"parent": parent})
