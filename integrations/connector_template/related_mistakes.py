"""What is wrong with requests beside a list: the details of its records, and the lists above it."""

from collections.abc import Iterator
from typing import Any

from integrations.connector_template.plain_values import Found, part, valid
from integrations.connector_template.source_file import KeyPath
from integrations.transport.paging import Paging


def above(request: dict[str, Any], streams: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The requests for the parents of a request's lists, the nearest first, as far as they can be
    found; none twice."""
    seen: list[dict[str, Any]] = []
    while parent := part(request, "parent"):
        named = streams.get(parent["stream"]) if isinstance(parent.get("stream"), str) else parent
        request = part(named, "request")
        if not request or any(request is one for one in seen):
            return
        seen.append(request)
        yield request


def related_mistakes(name: str, streams: dict[str, Any], *, routed: bool) -> Found:
    """The mistakes of a stream; `routed` says whether a feed routes to it."""
    request, sync = part(streams[name], "request"), part(streams[name], "sync")
    parent = part(request, "parent")
    if parent and sync.get("type") == "cursor":
        yield (
            ("request", "parent"),
            f"stream {name!r} is read by cursor: a position in many lists is none",
        )
    yield from _named(name, request, streams)
    if routed and (parent.get("put") or part(request, "detail").get("put") == "merge"):
        yield (
            ("request",),
            f"a feed routes to {name!r}, and its events would lack what is put into its records",
        )
    if sync.get("type") == "full" and sync.get("deletes") == "absence":
        for one in above(request, streams):
            paging = valid(Paging, one.get("paging"))
            if paging is not None and not paging.immutable:
                yield (
                    ("sync", "deletes"),
                    "`deletes: absence` cannot be had over parents that come in pages of type "
                    f"{paging.type}: one that moves between pages is passed over with its list",
                )


def _named(
    name: str, request: dict[str, Any], streams: dict[str, Any], at: KeyPath = ("request",)
) -> Found:
    """What is wrong with the streams that a request's parents name, also within its own lists."""
    parent, at = part(request, "parent"), (*at, "parent")
    to = parent.get("stream")
    if not isinstance(to, str):
        if inner := part(parent, "request"):
            yield from _named(name, inner, streams, (*at, "request"))
        return
    own = part(streams[name], "request")
    told = None
    if to not in streams:
        told = "which is no stream of `sync_handler`"
    elif not part(streams[to], "request"):
        told = "which has no request of its own"
    elif any(one is own for one in above(request, streams)):
        told = f"and the parents of that come to {name!r} again"
    if told:
        yield (*at, "stream"), f"a parent of {name!r} is {to!r}, {told}"
