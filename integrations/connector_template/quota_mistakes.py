"""What is wrong with the limits that a file declares: those that hold nothing back."""

from collections.abc import Iterator
from typing import Any

from integrations.connector_template.plain_values import Found, part, valid
from integrations.error_handling.limits import Limit


def quota_mistakes(transport: dict[str, Any], streams: dict[str, Any], feeds: Any) -> Found:
    """The mistakes of a transport's `quota`."""
    limits = transport.get("quota")
    endpoints = [*_endpoints(streams), *_endpoints(feeds)]
    for number, given in enumerate(limits if isinstance(limits, list) else ()):
        limit = valid(Limit, given)
        if limit is None:
            continue
        at = ("sync_handler", "transport", "quota", number)
        if limit.cost and transport.get("type") != "graphql":
            yield at, "only a GraphQL answer says what it has cost"
        if endpoints and not any(map(limit.applies, endpoints)):
            known = ", ".join(sorted(set(endpoints)))
            yield at, f"no request of this file is under this limit; there are {known}"


def _endpoints(readers: Any) -> Iterator[str]:
    """What guards know the requests of streams or feeds by."""
    for reader in readers.values() if isinstance(readers, dict) else ():
        request = part(reader, "request")
        path, records = request.get("path"), request.get("records")
        if "query" in request:
            yield str(records)
            nested = part(request, "nested")
            yield from (str(part(nested, place).get("connection")) for place in nested)
        elif "operation" in request:
            yield str(request["operation"])
        elif "files" in request:
            asks = f"{str(request.get('folder', '')).rstrip('/')}/{request['files']}"
            yield from (f"LIST {asks}", f"GET {asks}")
        elif path:
            yield f"{request.get('method', 'GET')} {path}"
        if alone := part(reader, "one").get("path"):
            yield f"GET {alone}"
