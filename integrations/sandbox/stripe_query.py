"""What a request to the twin of Stripe asks for, and Stripe's words for what is wrong with it.

Stripe refuses parameters it does not know, which is how a connector's typing error shows.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

DOCS = "https://stripe.com/docs/error-codes/"
EQUAL = {
    "charges": ("customer", "payment_intent"),
    "refunds": ("charge", "payment_intent"),
    "balance_transactions": ("currency", "source", "type"),
    "customers": ("email",),
    "payouts": (),
    "events": (),
}
EXPANDABLE = {
    "charges": ("balance_transaction", "customer"),
    "refunds": ("balance_transaction", "charge"),
    "balance_transactions": ("source",),
    "customers": (),
    "payouts": ("balance_transaction",),
    "events": (),
}

OF_EVENTS = re.compile(r"type|types\[\d*\]|delivery_success")
MOST_TYPES = 20

Params = Sequence[tuple[str, str]]


class StripeError(Exception):
    """An answer that is an error, in Stripe's shape."""

    def __init__(self, message: str, *, status: int = 400, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        error = {"message": str(self), "type": "invalid_request_error"}
        if self.code:
            error |= {"code": self.code, "doc_url": DOCS + self.code.replace("_", "-")}
        return {"error": error | ({"param": self.param} if self.param else {})}


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """One request for a list: objects created in `[first, last]` (epoch seconds)."""

    limit: int = 10
    starting_after: str = ""
    ending_before: str = ""
    first: int = 0
    last: int = sys.maxsize
    equal: tuple[tuple[str, str], ...] = ()
    types: re.Pattern[str] | None = None
    expand: frozenset[str] = field(default_factory=frozenset)

    @property
    def cursor(self) -> str:
        """The id that the page lies beside, '' for the first page."""
        return self.starting_after or self.ending_before


def read_list(kind: str, *, params: Params) -> ListQuery:
    """The query of a list of `kind`; raises StripeError on the first thing Stripe would refuse."""
    query, params = _events_only(params) if kind == "events" else (ListQuery(), params)
    for name, value in params:
        if name == "limit":
            query = replace(query, limit=_limit(value))
        elif name == "starting_after":
            query = replace(query, starting_after=value)
        elif name == "ending_before":
            query = replace(query, ending_before=value)
        elif name in EQUAL[kind]:
            query = replace(query, equal=(*query.equal, (name, value)))
        elif found := re.fullmatch(r"created(?:\[(gt|gte|lt|lte)\])?", name):
            query = _narrow(query, found[1] or "", _integer(value, param=name))
        elif re.fullmatch(r"expand\[\d*\]", name):
            query = replace(query, expand=query.expand | {_expanded(kind, value)})
        else:
            raise unknown(name)
    if query.starting_after and query.ending_before:
        said = "You may only specify one of these parameters: ending_before, starting_after."
        raise StripeError(said, param="ending_before")
    return query


def read_one(kind: str, *, params: Params) -> frozenset[str]:
    """The fields to expand of one object."""
    for name, _ in params:
        if not re.fullmatch(r"expand\[\d*\]", name):
            raise unknown(name)
    return frozenset(_expandable(kind, value, said=value) for _, value in params)


def unknown(name: str) -> StripeError:
    said = f"Received unknown parameter: {name}"
    return StripeError(said, code="parameter_unknown", param=name)


def missing(kind: str, *, ident: str, param: str) -> StripeError:
    """No such object: 404 where it was asked for, 400 where it is a cursor."""
    noun = {"balance_transactions": "balance transaction"}.get(kind, kind[:-1])
    status = 404 if param == "id" else 400
    said = f"No such {noun}: '{ident}'"
    return StripeError(said, status=status, code="resource_missing", param=param)


def _events_only(params: Params) -> tuple[ListQuery, Params]:
    """The query of what only the list of events understands, and the parameters that are left."""
    query = ListQuery()
    own = [(name.partition("[")[0], value) for name, value in params if OF_EVENTS.fullmatch(name)]
    for value in (value for name, value in own if name == "delivery_success"):
        if value not in ("true", "false"):
            raise StripeError(f"Invalid boolean: {value}", param="delivery_success")
        if value == "false":
            # without webhooks no delivery is pending, and none has failed
            query = replace(query, last=-1)
    names = [name for name, _ in own if name != "delivery_success"]
    if len({*names}) > 1:
        said = "You may only specify one of these parameters: type, types."
        raise StripeError(said, param="types")
    if len(names) > MOST_TYPES:
        raise StripeError(f"Array must not have more than {MOST_TYPES} elements.", param="types")
    if names:
        ways = [_type(value, name=name) for name, value in own if name in names]
        query = replace(query, types=re.compile("|".join(ways)))
    return query, [(name, value) for name, value in params if not OF_EVENTS.fullmatch(name)]


def _type(value: str, *, name: str) -> str:
    """A pattern of event types: only `type` takes `*` for a group of them."""
    return re.escape(value).replace(r"\*", ".*" if name == "type" else r"\*")


def _narrow(query: ListQuery, bound: str, at: int) -> ListQuery:
    if bound in ("", "gt", "gte"):
        query = replace(query, first=max(query.first, at + (bound == "gt")))
    if bound in ("", "lt", "lte"):
        query = replace(query, last=min(query.last, at - (bound == "lt")))
    return query


def _integer(value: str, *, param: str) -> int:
    if not re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
        said = f"Invalid integer: {value}"
        raise StripeError(said, code="parameter_invalid_integer", param=param)
    return int(value)


def _limit(value: str) -> int:
    limit = _integer(value, param="limit")
    if limit < 1:
        raise StripeError("This value must be greater than or equal to 1.", param="limit")
    if limit > 100:
        said = f"This value must be less than or equal to 100 (it currently is '{limit}')."
        raise StripeError(said, param="limit")
    return limit


def _expanded(kind: str, value: str) -> str:
    if not value.startswith("data."):
        hint = f"You may want to try expanding 'data.{value}' instead."
        raise StripeError(f"This property cannot be expanded ({value}). {hint}", param="expand")
    return _expandable(kind, value.removeprefix("data."), said=value)


def _expandable(kind: str, field_name: str, *, said: str) -> str:
    if field_name not in EXPANDABLE[kind]:
        raise StripeError(f"This property cannot be expanded ({said}).", param="expand")
    return field_name
