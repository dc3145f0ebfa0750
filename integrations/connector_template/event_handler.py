"""Part five of a connector's file: what it does with events that the source sends or lists.

A connector that only pulls says `none`, so that a reader sees a decision and not a gap. A *feed* is
a stream of changes: its records, the events, say which record of which stream has changed.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from integrations.connector_template.sync_handler import Name
from integrations.sync_state.ages import Every, grown_old
from integrations.transformation.events import EventShape
from integrations.transport.rest_request import RestRequest

Kind = Annotated[str, Field(min_length=1)]


class ChangeFeed(BaseModel):
    """A list of events, read by cursor: each turn goes on after the last event that is committed.

    `every` is how old the position may grow before a schedule reads the feed again.
    `retention_days` is how long the source keeps its events: a position older than that has missed
    some, and the routed streams are read in full. `routes` say which stream an event of a kind
    speaks of; events of other kinds are filtered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["change_feed"]
    every: Every = "5min"
    retention_days: int = Field(ge=1)
    request: RestRequest
    event: EventShape
    routes: dict[Kind, Name] = Field(min_length=1)

    def due(self, last_checked: datetime | None, now: datetime) -> bool:
        """True when the feed was never read to its end, or so long ago as `every` says."""
        return grown_old(last_checked, every=self.every, now=now)


class Feeds(BaseModel):
    """The feeds of a connector, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feeds: dict[Name, ChangeFeed] = Field(min_length=1)


_NONE, _FEEDS = "[none]", "[feeds]"  # no keys of a file: mistakes' places would take them for some


def _which(value: Any) -> str | None:
    if isinstance(value, dict | Feeds):
        return _FEEDS
    return _NONE if value == "none" else None


EventHandler = Annotated[
    Annotated[Literal["none"], Tag(_NONE)] | Annotated[Feeds, Tag(_FEEDS)],
    Discriminator(
        _which,
        custom_error_type="no_event_handler",
        custom_error_message="it should be `none`, or hold `feeds`",
    ),
]
