"""How much a run may refuse of a stream before somebody is told."""

from pydantic import BaseModel, ConfigDict, Field


class Alert(BaseModel):
    """Told of a run that refuses more than `share` (0 to 1) of what it received of the stream, and
    at least `count` units.

    A count of 1 leaves it to the share, a share of 0 to the count. The defaults are what blocks a
    single load (`storage.ledger`): windows that each refuse a little less add up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.05, ge=0, le=1)
    count: int = Field(default=20, ge=1)

    def exceeded(self, refused: int, *, received: int) -> bool:
        """Whether a run that refused so many units of those received is one to tell of."""
        return refused >= self.count and refused > self.share * received
