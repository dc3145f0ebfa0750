"""What is wrong with how a stream is read: its windows, its slots, and what would go unseen."""

from typing import Any

from integrations.connector_template.plain_values import Found, part, slots, valid
from integrations.connector_template.related_mistakes import above, related_mistakes
from integrations.connector_template.sync_handler import OF_FILES, kind_of
from integrations.transport.graphql_request import GraphqlPaging
from integrations.transport.paging import Paging
from integrations.transport.slots import KEY, NOW, POSITION, SINCE, SLOTS, WINDOW

BY_CURSOR = (POSITION, SINCE)
_FILLED = {"window": WINDOW, "cursor": BY_CURSOR, "full": ()}
"""The slots that have a value, by how a stream is read."""
_READ = {"window": "by windows", "cursor": "by cursor", "full": "in full"}
_ASKS = {
    "rest": "a `path`, and no `query` or `operation`",
    "graphql": "a `query`",
    "soap": "an `operation`",
    "file": "`files`",
}
_LACKING = {"graphql": "GraphQL has", "soap": "SOAP has", "file": "files have"}
_NEEDED = {"window": WINDOW[0], "cursor": POSITION}


def stream_mistakes(
    streams: dict[str, Any],
    mappings: dict[str, Any],
    *,
    routed: frozenset[str],
    transport: Any,
) -> Found:
    """The mistakes of all streams; `routed` are those that a feed routes to."""
    for name, stream in streams.items():
        at = ("sync_handler", "streams", name)
        for found in (
            _column(part(stream, "sync"), part(mappings, name), name),
            _slots(stream, name, streams),
            _stale(part(stream, "sync"), name, routed=name in routed),
            _absence(stream),
            _order(stream),
            related_mistakes(name, streams, routed=name in routed),
            _kind(stream, transport),
            _files(stream, name),
        ):
            for below, message in found:
                yield (*at, *below), message


def _kind(stream: Any, transport: Any) -> Found:
    """Whether a request is of its transport's kind."""
    request = part(stream, "request")
    kind = "file" if transport in OF_FILES else transport
    if not request or kind not in _ASKS:
        return
    if kind_of(request) != kind:
        yield ("request",), f"a request over the transport {transport} has {_ASKS[kind]}"
    if kind != "rest" and part(stream, "one"):
        yield ("one",), f"`one` is fetched at an address of its own, which {_LACKING[kind]} not"


def _files(stream: Any, name: str) -> Found:
    """Whether what is read of files is read as files are."""
    sync, files = part(stream, "sync"), "files" in part(stream, "request")
    how = sync.get("type")
    if files and how in ("window", "full"):
        yield ("sync", "type"), "files are read by cursor: what is new or changed since"
    elif files and "position" in sync:
        yield ("sync", "position"), "the position of files is what was seen of them: leave it out"
    elif not files and how == "cursor" and "position" not in sync:
        yield ("sync",), f"`sync_handler.streams.{name}.sync.position` is missing"


def _column(sync: dict[str, Any], mapping: dict[str, Any], name: str) -> Found:
    for kind, setting, whose in (("window", "column", "the window's"), ("full", "among", "the")):
        column = sync.get(setting)
        known = not isinstance(column, str) or column in part(mapping, "fields")
        if sync.get("type") == kind and mapping and not known:
            message = f"{whose} column {column!r} is not mapped by `transformer.{name}`"
            yield ("sync", setting), message


def _slots(stream: Any, name: str, streams: dict[str, Any]) -> Found:
    how, request = part(stream, "sync").get("type"), part(stream, "request")
    if not isinstance(how, str) or how not in _FILLED or not request or "files" in request:
        return
    everything = [request, *above(request, streams)]
    found = [slot for slot in SLOTS if any(slot in slots(one) for one in everything)]
    read = f"stream {name!r} is read {_READ[how]}, and its request has"
    if how in _NEEDED and _NEEDED[how] not in found:
        yield ("request",), f"{read} no {_NEEDED[how]}"
    yield from unfilled(found, filled=_FILLED[how], read=read)


def unfilled(found: list[str], *, filled: tuple[str, ...], read: str) -> Found:
    """Slots of a request that never have a value; `read` says whose request it is, and how read."""
    if not {*WINDOW}.isdisjoint(found) and not {*BY_CURSOR}.isdisjoint(found):
        return  # the request says of itself that it cannot have both
    for slot in found:
        if slot not in (*filled, KEY, NOW):  # a request itself says where these two may stand
            yield ("request",), f"{read} {slot}, which then has no value"


def _stale(sync: dict[str, Any], name: str, *, routed: bool) -> Found:
    filtered = sync.get("type") == "window" and sync.get("filter") == "created"
    if filtered and not routed and sync.get("reread") is None:
        yield (
            ("sync", "filter"),
            f"the windows of stream {name!r} are by when a record was made: a later change would "
            "never be read, and its table go stale while all is green. Route a feed to it, or "
            "write `reread: <days>` for as long as records change",
        )


def _paging(stream: Any) -> Any:
    return valid(Paging | GraphqlPaging, part(stream, "request").get("paging"))


def _order(stream: Any) -> Found:
    """Whether a position would be taken from a list in falling order."""
    paging = _paging(stream)
    if part(stream, "sync").get("type") == "cursor" and paging is not None and paging.newest_first:
        at = "newest_first" if paging.type != "id_cursor" else "type"
        yield (
            ("request", "paging", at),
            "the position of a cursor cannot be taken from a list with the newest first: ask for "
            "it in ascending order",
        )


def _absence(stream: Any) -> Found:
    """Whether a record may be missing from a complete reading though the source holds it."""
    sync, paging = part(stream, "sync"), _paging(stream)
    wanted = sync.get("type") == "full" and sync.get("deletes") == "absence"
    if wanted and paging is not None and not paging.immutable:
        yield (
            ("sync", "deletes"),
            f"`deletes: absence` cannot be had over pages of type {paging.type}: a record that "
            "moves between pages is passed over, and would count as deleted. It takes last_id, "
            "id_cursor or single",
        )
    if sync.get("deletes") != "absence":
        for setting in ("among", "brake"):
            if setting in sync:
                yield ("sync", setting), f"`{setting}` is for `deletes: absence`"
