"""What is wrong with feeds: where they route to, how they are read, what they cannot say."""

from typing import Any

from integrations.connector_template.plain_values import Found, part, slots, valid
from integrations.connector_template.source_file import KeyPath
from integrations.connector_template.stream_mistakes import BY_CURSOR, unfilled
from integrations.connector_template.sync_handler import Sync
from integrations.transformation.events import EventShape
from integrations.transport.paging import Paging
from integrations.transport.slots import POSITION, SINCE


def routed(feeds: dict[str, Any]) -> frozenset[str]:
    """The names that feeds route to, of streams or not."""
    targets = (to for feed in feeds.values() for to in part(feed, "routes").values())
    return frozenset(to for to in targets if isinstance(to, str))


def feed_mistakes(feeds: dict[str, Any], streams: dict[str, Any]) -> Found:
    """The mistakes of all feeds."""
    for name, feed in feeds.items():
        at = ("event_handler", "feeds", name)
        for found in (
            _name(name, streams),
            _request(part(feed, "request"), name),
            _routes(feed, name, streams),
        ):
            for below, message in found:
                yield (*at, *below), message


def _name(name: str, streams: dict[str, Any]) -> Found:
    for stream in streams:
        if name in (f"{stream}_raw", f"{stream}_canonical", stream):
            yield (), f"an asset of stream {stream!r} is called `{name}` already"


def _request(request: dict[str, Any], name: str) -> Found:
    if not request:
        return
    found, params = slots(request), part(request, "params")
    read = f"feed {name!r} is read by cursor, and its request has"
    for slot, without in (
        (POSITION, "each turn would read the same events"),
        (SINCE, "without a position it could not say from when on"),
    ):
        if slot not in found:
            yield ("request",), f"{read} no {slot}: {without}"
    yield from unfilled(found, filled=BY_CURSOR, read=read)
    for beside in ("detail", "parent"):
        if part(request, beside):
            yield ("request", beside), f"feed {name!r} reads events as they are listed"
    paging = valid(Paging, request.get("paging"))
    if paging is not None and paging.type != "id_cursor":
        at = ("request", "paging", "type")
        yield at, f"feed {name!r} takes a paging that names positions: id_cursor"
    elif paging is not None and POSITION in found and params.get(paging.newer) != POSITION:
        yield (
            ("request", "paging"),
            f"feed {name!r} has its {POSITION} elsewhere than in `{paging.newer}`, the parameter "
            "by which its paging goes on to newer events",
        )


def _routes(feed: Any, name: str, streams: dict[str, Any]) -> Found:
    shape = valid(EventShape, part(feed, "event"))
    hinted = set()
    for kind, to in part(feed, "routes").items():
        if not isinstance(to, str):
            continue
        at: KeyPath = ("routes", kind)
        stream = streams.get(to)
        if to not in streams:
            yield at, f"{kind!r} is routed to {to!r}, which is no stream of `sync_handler`"
        elif shape is not None and to not in hinted and _lacks_one(shape, stream):
            hinted.add(to)
            yield (
                at,
                f"the events of feed {name!r} are hints for stream {to!r}: their own state cannot "
                "be put in order, and each changed record is fetched by its key. Write `one` for "
                "the stream",
            )


def _lacks_one(shape: EventShape, stream: Any) -> bool:
    """Whether events are hints for the stream, and nothing says how one record is fetched."""
    sync = valid(Sync, part(stream, "sync"))
    return sync is not None and shape.is_hint(reread=sync.rereads) and not part(stream, "one")
