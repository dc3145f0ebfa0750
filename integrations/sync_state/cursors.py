"""Streams that are read by cursor: each pull goes on where the last one ended.

The position is the source's own (a row version, a token, a number that grows), kept as text and
never calculated with; a pull asks for what follows it.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.sync_state.ages import Every, grown_old

Place = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
"""A place in a record: keys joined by dots."""


class CursorSync(BaseModel):
    """Reads what follows the position; `every` is how old that may grow before it is due again.

    `position` is the place in a record where its position stands: a text or a whole number that
    does not go down from one record of a pull to the next. Files have none: there the position is
    what was seen of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["cursor"]
    every: Every = "hourly"
    position: Place | None = None

    @property
    def rereads(self) -> bool:
        """Never: a position only goes on."""
        return False

    def due(self, last_checked: datetime | None, now: datetime) -> bool:
        """True when the source was never asked for what follows, or so long ago as `every` says.

        `last_checked` is when a pull last reached the end of what the source had (UTC).
        """
        return grown_old(last_checked, every=self.every, now=now)
