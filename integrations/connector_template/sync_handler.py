"""Part three of a connector's file: what is asked of the source, over which transport, and when."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from integrations.names import LONGEST_NAME, NAME
from integrations.sync_state.windows import FullSync, WindowSync
from integrations.transport.rest import RestTransport
from integrations.transport.rest_request import RestRequest

Sync = Annotated[WindowSync | FullSync, Field(discriminator="type")]
Name = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]


class Stream(BaseModel):
    """One kind of record: the request that lists it and the state that its reading keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    sync: Sync
    request: RestRequest


class SyncHandler(BaseModel):
    """The transport of a connector and the streams that are read over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: RestTransport
    streams: dict[Name, Stream] = Field(min_length=1)
