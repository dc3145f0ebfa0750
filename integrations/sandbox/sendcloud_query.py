"""What a request to the twin of Sendcloud asks for, and Sendcloud's words for what is wrong.

It filters by what the contract names, and like the real thing takes no notice of other parameters.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from integrations.sandbox.sendcloud_depot import Fact, Shipment
from integrations.sandbox.sendcloud_dialects import micros
from integrations.sandbox.sendcloud_names import STATUSES

Params = Mapping[str, str]
Fits = Callable[[Fact, int], bool]
"""Whether a fact passes a filter, as it looks at a moment."""


class SendcloudError(Exception):
    """An answer that is an error; v2 and v3 write it differently."""

    def __init__(self, detail: str, *, status: int, code: str, pointer: str = "/data") -> None:
        super().__init__(detail)
        self.status, self.code, self.pointer = status, code, pointer

    def body(self, path: str) -> dict[str, Any]:
        if path.startswith("/api/v2"):
            said = {"code": self.status, "request": path.strip("/"), "message": str(self)}
            return {"error": said}
        # v3 says of an invalid filter with status 400 that its status is 404
        said_status = "404" if self.code == "validation_error" else str(self.status)
        source = {"pointer": self.pointer}
        error = {"detail": str(self), "status": said_status, "source": source, "code": self.code}
        return {"errors": [error]}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One page of a list that has the newest first: `size` of what lies beyond `place`.

    Backwards that is what is newer, else what is older; None for the first page.
    """

    size: int
    place: int | None
    backwards: bool
    filters: tuple[Fits, ...]

    def fits(self, fact: Fact, now: int) -> bool:
        return fact.created <= now and all(passes(fact, now) for passes in self.filters)


def shipments(params: Params) -> Asked:
    """Of `GET /api/v3/shipments`."""
    filters = [_named(name, params[name]) for name in _BY_NAME if name in params]
    for name in ("updated_after", "updated_before", "announced_after", "announced_before"):
        if name in params:
            filters.append(_bounded(name, _iso(name, params[name])))
    place, backwards = _cursor(params)
    return Asked(
        size=_size(params, most=100), place=place, backwards=backwards, filters=tuple(filters)
    )


def parcels(params: Params) -> Asked:
    """Of `GET /api/v2/parcels`, whose cursor is a number, negative for the way back."""
    filters = [_named(name, params[name]) for name in _BY_NAME if name in params]
    for name in ("updated_after", "announced_after"):
        if name in params:
            filters.append(_bounded(name, _iso(name, params[name])))
    cursor = params.get("cursor", "")
    if cursor and not re.fullmatch(r"-?\d{1,15}", cursor, re.ASCII):
        raise SendcloudError("Invalid cursor", status=404, code="not_found")
    place = abs(int(cursor)) if cursor else None
    return Asked(size=100, place=place, backwards=cursor.startswith("-"), filters=tuple(filters))


def returns(params: Params) -> Asked:
    """Of `GET /api/v3/returns`, which wants both dates, on every page too."""
    bounds = [_naive(name, params.get(name)) for name in ("from_date", "to_date")]

    def within(fact: Fact, now: int) -> bool:
        return bounds[0] <= fact.created <= bounds[1]

    place, backwards = _cursor(params)
    return Asked(size=_size(params, most=40), place=place, backwards=backwards, filters=(within,))


def cursor_of(place: int, *, backwards: bool) -> str:
    """Of v3: position and direction in base64, as the reference explains it."""
    said = f"r=1&p={place}" if backwards else f"p={place}"
    return base64.b64encode(said.encode()).decode()


def _cursor(params: Params) -> tuple[int | None, bool]:
    if not params.get("cursor"):
        return None, False
    try:
        said = parse_qs(base64.b64decode(params["cursor"], validate=True).decode())
        return int(said["p"][0]), said.get("r") == ["1"]
    except (binascii.Error, UnicodeDecodeError, KeyError, ValueError):
        raise SendcloudError("Invalid cursor", status=404, code="not_found") from None


def _size(params: Params, *, most: int) -> int:
    """What is no number is not looked at, and what is too much is cut down."""
    given = params.get("page_size", "")
    asked = int(given) if re.fullmatch(r"[1-9]\d{0,8}", given, re.ASCII) else 40
    return min(asked, most)


def _named(name: str, value: str) -> Fits:
    words = frozenset(value.split(","))

    def passes(fact: Fact, now: int) -> bool:
        return not words.isdisjoint(_BY_NAME[name](fact, now))

    return passes


def _bounded(name: str, at: int) -> Fits:
    """A time that the contract calls after or before the given one: neither holds it itself."""
    what, _, way = name.partition("_")

    def passes(fact: Fact, now: int) -> bool:
        told = fact.past(now)[-1][0] if what == "updated" else fact.at("ANNOUNCED", now=now)
        return told is not None and (told > at if way == "after" else told < at)

    return passes


def _statuses(fact: Fact, now: int) -> tuple[str, str]:
    status = STATUSES[fact.past(now)[-1][1]]
    return status.code, str(status.id)


def _parcel_ids(fact: Fact, now: int) -> list[str]:
    boxes: tuple[Fact, ...] = fact.parcels if isinstance(fact, Shipment) else (fact,)
    return [str(box.place) for box in boxes]


_BY_NAME: Mapping[str, Callable[[Fact, int], "list[str] | tuple[str, ...]"]] = {
    "order_number": lambda fact, now: (fact.order_number,),
    "parcel_status": _statuses,
    "ids": _parcel_ids,
    "shipment_uuids": lambda fact, now: (fact.id,) if isinstance(fact, Shipment) else (),
}


def _iso(name: str, value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise SendcloudError(
            f"Validation failed, {name} is not a datetime",
            status=400,
            code="validation_error",
            pointer="/list_shipments/filters",
        ) from None
    return micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _naive(name: str, value: str | None) -> int:
    pointer = f"/data/attributes/{name}"
    if value is None:
        said = "This field is required."
        raise SendcloudError(said, status=400, code="required", pointer=pointer)
    try:
        return micros(datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC))
    except ValueError:
        said = f"{value} is no valid datetime"
        raise SendcloudError(said, status=400, code="invalid", pointer=pointer) from None
