"""What one stream asks of a SOAP service: an operation, its values, and where the records are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.transport import Ask
from integrations.transport.answer import Next
from integrations.transport.call import Call
from integrations.transport.faults import Missing
from integrations.transport.listing import (
    WindowFormat,
    given,
    no_credentials,
    readable_one_way,
    values_of,
)
from integrations.transport.paging import BodyToken, Single
from integrations.transport.slots import NOW, POSITION, SINCE, WINDOW, slots_in, takes

WSDL_ENDPOINT = "GET WSDL"
"""What guards know the WSDL and its imports by."""
SoapPaging = Annotated[Single | BodyToken, Field(discriminator="type")]
Slotted = Annotated[str, AfterValidator(takes(*WINDOW, POSITION, SINCE, NOW))]
ElementPlace = Annotated[str, Field(pattern=r"^[^.@{}]+(\.[^.@{}]+)*(@[^.@{}]+)?$")]
"""Names of elements joined by dots, and perhaps an attribute of the last: `Header.ID@scheme`."""


class SoapRequest(BaseModel):
    """What one stream asks for: the `operation` of the WSDL and its `params`, values by their
    places in the message (`Header.MessageID`). An empty text is an empty element.

    `records` is the place of the record's element below the element that the answer's body holds;
    `*` in it stands for any name. The slots are those of a REST request, and `{now}`: the time at
    which the request is sent, as `window_format` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: str = Field(min_length=1)
    params: Annotated[dict[ElementPlace, Slotted | bool | int], AfterValidator(no_credentials)] = {}
    records: str = Field(pattern=r"^[^.@{}]+(\.[^.@{}]+)*$")
    paging: SoapPaging
    window_format: WindowFormat = "iso"

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        readable_one_way(slots_in(self.params.values()), self.params)
        if isinstance(self.paging, BodyToken) and self.paging.param in self.params:
            raise ValueError(f"the parameter {self.paging.param} is the paging's to fill")
        return self

    @property
    def asks(self) -> str:
        """The operation."""
        return self.operation

    @property
    def fixed(self) -> bool:
        """True: the path is the connection's."""
        return True

    @property
    def endpoints(self) -> Sequence[str]:
        """That of the WSDL, and its own."""
        return [WSDL_ENDPOINT, self.operation]

    @property
    def places(self) -> Sequence[str]:
        """Where elements of the answer are looked for: the records, and what the paging reads,
        which would end a list for good where it is never found."""
        paging = self.paging
        read = (paging.next if isinstance(paging, BodyToken) else paging.total) or ""
        element = read.partition("@")[0].rstrip(".")
        return [self.records, element] if element and not set(element) & {*"{#"} else [self.records]

    def first(self, ask: Ask) -> Call:
        """A pull's first call, its message still to be written. Raises `FixConfig` as `values_of`
        does."""
        slots = slots_in(self.params.values())
        values = values_of(ask, self.window_format, slots=slots, asks=self.operation)
        values[NOW] = NOW  # filled in when it is sent
        params = given(self.params, values)
        return Call(target="", endpoint=self.operation, method="POST", params=params, spooled=True)

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""
        return replace(first, params={**first.params, **following.params})

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """None: SOAP says nothing by a status."""
        return None


def sent_at(params: Mapping[str, str | int | bool], now: str) -> dict[str, str | int | bool]:
    """The values with the time in the slot for it."""
    return {
        name: value.replace(NOW, now) if isinstance(value, str) else value
        for name, value in params.items()
    }
