"""What a connector's file says of a source's quotas, where the source's answers do not."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Annotated[int, Field(ge=400, le=599)]


class Limit(BaseModel):
    """At most `calls` in any `per_s` seconds, of all processes that use the connection together.

    It is for the calls of one `method`, or those to one `endpoint`: a path as the streams have it,
    and all below it; of a GraphQL stream the place of its records. With `each_endpoint` each has a
    count of its own. With `errors` only answers with one of these statuses are counted: for sources
    that shut out whose calls fail too often. With `cost` they are counted by what they cost:
    credits, which a GraphQL answer says at this key of the fields of its `data`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int = Field(ge=1)
    per_s: float = Field(gt=0, allow_inf_nan=False)
    method: Literal["GET", "POST"] | None = None
    endpoint: str | None = Field(default=None, min_length=1)
    each_endpoint: bool = False
    errors: tuple[Status, ...] = ()
    cost: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.errors and self.cost:
            raise ValueError("a limit is one of errors, or one of cost")
        return self

    def applies(self, endpoint: str) -> bool:
        """Whether a call to the endpoint is one of those that it is for."""
        method, _, path = endpoint.rpartition(" ")
        if self.method is not None and self.method != (method or "POST"):
            return False
        wanted = self.endpoint
        return wanted is None or path == wanted or path.startswith(f"{wanted.rstrip('/')}/")

    def __str__(self) -> str:
        each = ", each endpoint for itself" if self.each_endpoint else ""
        return f"{self.name('')}{each}"

    def name(self, endpoint: str) -> str:
        """Which count a call to the endpoint is added to, in words: `420 calls in 60 s of GET`."""
        what = "errors" if self.errors else "credits" if self.cost else "calls"
        whose = (
            endpoint if self.each_endpoint else " ".join(filter(None, [self.method, self.endpoint]))
        )
        return f"{self.calls} {what} in {self.per_s:g} s" + (f" of {whose}" if whose else "")
