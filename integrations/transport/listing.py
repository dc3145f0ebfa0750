"""What every request for a list has, whatever the protocol: what a session asks of it, and how its
slots are filled, with windows and moments in the source's terms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

import msgspec
from pydantic import AfterValidator

from integrations.errors import FixConfig
from integrations.transport import Ask
from integrations.transport.answer import Answer, Next
from integrations.transport.call import Call, Params, Reply
from integrations.transport.faults import Missing
from integrations.transport.slots import POSITION, SINCE, WINDOW, filled, slots_in, takes

_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+")
_CREDENTIAL = re.compile(r"(?i)(?:key|token|secret|auth|password|passwd|credential)s?$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WindowFormat = Literal["epoch_s", "epoch_ms", "iso", "naive"]
_WRITTEN: Mapping[WindowFormat, str] = {"iso": "%Y-%m-%dT%H:%M:%SZ", "naive": "%Y-%m-%d %H:%M:%S"}
"""The forms that are no number."""


def is_credential(name: str) -> bool:
    """Whether a header or a parameter of this name is there to carry a secret: `X-Api-Key`."""
    return any(map(_CREDENTIAL.search, _WORD.findall(name)))


def no_credentials(params: "Params") -> "Params":
    for name, value in params.items():
        slot = isinstance(value, str) and slots_in([value]) == {value}  # `sync_token: "{position}"`
        if not isinstance(value, bool) and not slot and is_credential(name):
            raise ValueError(f"{name} is for auth_handler: a file names secrets, it holds none")
    return params


def is_path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[?#\s]", value) or "://" in value:
        raise ValueError(
            "it should be a path like '/v1/charges'; what follows a '?' goes into params"
        )
    return value


Slotted = Annotated[str, AfterValidator(takes(*WINDOW, POSITION, SINCE))]
"""Text with the fixed slots of a pull, and no other braces."""


@dataclass(frozen=True)
class Split:
    """An answer, split: each record's bytes as sent, and what paging reads."""

    records: Sequence[bytes | msgspec.Raw]
    answer: Answer


class Listing(Protocol):
    """A request for a list; frozen, as a connector's file has it."""

    @property
    def paging(self) -> Any:
        """One of the kinds of paging that it takes."""

    @property
    def params(self) -> Mapping[str, str | bool | int]:
        """What it asks with, slots and all."""

    @property
    def asks(self) -> str:
        """What it asks, in a word or two, for people."""

    @property
    def fixed(self) -> bool:
        """Whether every pull begins at the same address."""

    @property
    def endpoints(self) -> Sequence[str]:
        """Those of all its calls, its own the last: nothing goes without that."""

    def first(self, ask: Ask) -> Call:
        """A pull's first call. Raises `FixConfig` as `values_of` does."""

    def onward(self, first: Call, following: Next) -> Call:
        """The call for another page than the first."""

    def missing(self, ask: Ask, call: Call) -> Missing | None:
        """What it means that the source does not know what a call of the pull asks for.

        It is the position, if there is one; None where it is nothing that could be read otherwise.
        """


class Whole(Listing, Protocol):
    """One whose answers are split as a whole, in memory."""

    def split(self, call: Call, reply: Reply) -> Split:
        """What the answer to a call holds. Raises as `body.records_in` does."""


def readable_one_way(slots: frozenset[str], params: Params) -> None:
    """Raises `ValueError` for slots of which no pull has all, or not those of one parameter."""
    if slots & {POSITION, SINCE} and slots & {*WINDOW}:
        raise ValueError(
            "it has slots for a window and for a cursor: a stream is read by one of them"
        )
    for name, value in params.items():
        if {POSITION, SINCE} <= slots_in([value]):
            raise ValueError(
                f"the parameter {name} has {POSITION} and {SINCE}: a pull has one of them, "
                "so it would never be sent"
            )


def values_of(ask: Ask, form: WindowFormat, *, slots: frozenset[str], asks: str) -> dict[str, str]:
    """What a pull fills into the slots of a request.

    Raises `FixConfig` for a window without which a slot would be empty, and for a position that no
    slot would tell the source. `asks` names the request.
    """
    values = dict(ask.parent)
    if ask.window is not None:
        bounds = written(ask.window.start, form), written(ask.window.end, form, up=True)
        values |= dict(zip(WINDOW, bounds, strict=True))
    if ask.position is not None:
        values[POSITION] = ask.position
    if ask.since is not None:
        values[SINCE] = written(ask.since, form)
    if not slots & {*WINDOW} <= values.keys():
        raise FixConfig(
            f"the request {asks} has a slot for a window, and the stream has none",
            todo="Give the stream windows, or take the slot out.",
        )
    if POSITION in values and POSITION not in slots:
        raise FixConfig(
            f"the request {asks} has no slot for the position that is to be read from",
            todo=f"Put {POSITION} into the parameter that takes it.",
        )
    return values


def given(params: Params, values: Mapping[str, str]) -> Params:
    """The parameters with their slots filled, those left out whose slot has no value."""
    told = {
        name: filled(value, values) if isinstance(value, str) else value
        for name, value in params.items()
    }
    return {name: value for name, value in told.items() if value is not None}


def written(moment: datetime, form: WindowFormat, *, up: bool = False) -> str:
    """A moment in the source's terms, rounded down to what the form can say, or `up`."""
    unit = timedelta(milliseconds=1) if form == "epoch_ms" else timedelta(seconds=1)
    since = moment - _EPOCH
    units = -(-since // unit) if up else since // unit
    written = _WRITTEN.get(form)
    return (_EPOCH + units * unit).strftime(written) if written else str(units)
