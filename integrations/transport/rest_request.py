"""What one stream asks of a REST connection, with the window in the source's terms.

Read from a connector's file, so every field refuses what could not work, at load.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from integrations.errors import FixConfig
from integrations.names import Window
from integrations.transport.http import Params
from integrations.transport.paging import FIELD_PATH, Paging

_WORD = re.compile(r"[A-Z]*[a-z]+|[A-Z]+")
_CREDENTIAL = re.compile(r"(?i)(?:key|token|secret|auth|password|passwd|credential)s?$")
_SLOT = re.compile(r"\{[^{}]*\}|[{}]")
_SLOTS = ("{window.start}", "{window.end}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_credential(name: str) -> bool:
    """Whether a header or a parameter of this name is there to carry a secret: `X-Api-Key`."""
    return any(map(_CREDENTIAL.search, _WORD.findall(name)))


def _no_credentials(params: "Params") -> "Params":
    for name, value in params.items():
        if not isinstance(value, bool) and is_credential(name):
            raise ValueError(f"{name} is for auth_handler: a file names secrets, it holds none")
    return params


def _slots_known(value: str) -> str:
    for slot in _SLOT.findall(value):
        if slot not in _SLOTS:
            raise ValueError(f"{slot!r} is no slot; there are {' and '.join(_SLOTS)}")
    return value


def _is_path(value: str) -> str:
    if not value.startswith("/") or re.search(r"[?#\s]", value) or "://" in value:
        raise ValueError(
            "it should be a path like '/v1/charges'; what follows a '?' goes into params"
        )
    return value


Slotted = Annotated[str, AfterValidator(_slots_known)]
"""Text with the fixed slots `{window.start}` and `{window.end}`, and no other braces."""
ParamName = Annotated[str, Field(min_length=1, pattern=r"^[^{}]*$")]
"""A parameter's name: slots are for values."""


class RestRequest(BaseModel):
    """What one stream asks for: `records` is the list's place in the body, "" the body itself.

    The slots take the window's bounds in UTC as `window_format` says: whole seconds or
    milliseconds since 1970, or `2026-01-01T00:00:00Z`; the start rounded down, the end up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[Slotted, AfterValidator(_is_path)]
    params: Annotated[dict[ParamName, Slotted | bool | int], AfterValidator(_no_credentials)] = {}
    records: str = Field(default="", pattern=rf"^$|{FIELD_PATH}")
    paging: Paging
    window_format: Literal["epoch_s", "epoch_ms", "iso"] = "iso"

    @property
    def uses_window(self) -> bool:
        """Whether a slot for the window stands in the path or a parameter."""
        values = [self.path, *self.params.values()]
        return any(slot in value for value in values if isinstance(value, str) for slot in _SLOTS)

    def first(self, window: Window | None) -> tuple[str, Params]:
        """Path and parameters with the slots filled. Raises `FixConfig` without a needed window."""
        if self.uses_window and window is None:
            raise FixConfig(
                f"the request {self.path} has a slot for a window, and the stream has none",
                todo="Give the stream windows, or take the slot out.",
            )
        filled = {key: self._filled(value, window) for key, value in self.params.items()}
        return str(self._filled(self.path, window)), filled

    def _filled(self, value: str | int | bool, window: Window | None) -> str | int | bool:
        if window is None or not isinstance(value, str):
            return value
        start = self._bound(window.start, up=False)
        return value.replace(_SLOTS[0], start).replace(_SLOTS[1], self._bound(window.end, up=True))

    def _bound(self, moment: datetime, *, up: bool) -> str:
        unit = (
            timedelta(milliseconds=1) if self.window_format == "epoch_ms" else timedelta(seconds=1)
        )
        since = moment - _EPOCH
        units = -(-since // unit) if up else since // unit
        if self.window_format == "iso":
            return (_EPOCH + units * unit).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(units)
