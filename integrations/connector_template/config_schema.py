"""Part one of a connector's file: the model of the whole file.

The other four parts are `auth_handler`, `sync_handler`, `transformer` and `event_handler`; each is
required, so that a file shows at a glance what its connector does and what it does not do.
"""

from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from integrations.connector_template.auth_handler import AuthHandler
from integrations.connector_template.event_handler import EventHandler
from integrations.connector_template.sync_handler import Name, SyncHandler
from integrations.secrets import SecretRef
from integrations.transformation.mapping import StreamMapping

SANDBOX = "sandbox"
"""The one connection name that reaches a connector's local twin, and nothing else."""

Owner = Annotated[str, Field(pattern=r"^(team:[a-z0-9_]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]


class Connection(BaseModel):
    """One account at the source.

    `start` is the first day that is read, in UTC. `secrets` says where each credential is found,
    under the names that the auth handler uses; the connection `sandbox` has none, since the twin
    makes its own. `base_url` replaces the transport's, for accounts that live at another address.
    `slack_s` is how far apart, in seconds, two statements of the source have to be for their times
    alone to put them in order: it covers clocks of its nodes and replicas that lag.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date
    secrets: dict[Name, SecretRef] = {}
    base_url: str | None = None
    slack_s: float = Field(default=60, ge=0, allow_inf_nan=False)

    @property
    def begins_at(self) -> datetime:
        """Midnight UTC of `start`."""
        return datetime.combine(self.start, time(), UTC)

    def ready(self) -> bool:
        """Whether every secret can be read now."""
        return all(reference.available() for reference in self.secrets.values())


class ConnectorConfig(BaseModel):
    """A connector: how to reach one kind of external system and what its records become here.

    The connector's name is its folder's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, description="What the system is, for people.")
    docs: str = Field(default="", description="Where the vendor documents its API.")
    owners: list[Owner] = Field(default=[], description="`team:finance` or an e-mail address.")
    connections: dict[Name, Connection] = Field(min_length=1)
    auth_handler: AuthHandler
    sync_handler: SyncHandler
    transformer: dict[Name, StreamMapping] = Field(min_length=1)
    event_handler: EventHandler
