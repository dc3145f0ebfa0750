"""What is wrong with child streams, and with feeds that speak of streams that are taken apart."""

from typing import Any

from integrations.connector_template.plain_values import Found, part


def parents(streams: dict[str, Any]) -> dict[str, str]:
    """The names of child streams with those of their parents, as far as these can be."""
    said = _said(streams)
    return {name: of for name, of in said.items() if of in streams and of not in said}


def child_mistakes(
    streams: dict[str, Any], mappings: dict[str, Any], *, routed: frozenset[str]
) -> Found:
    """The mistakes of all child streams; `routed` are the streams that a feed routes to."""
    said = _said(streams)
    for name, of in said.items():
        at = ("sync_handler", "streams", name, "of")
        if of not in streams:
            yield at, f"{name!r} is a child of {of!r}, which is no stream of `sync_handler`"
        elif of in said:
            yield at, f"{name!r} is a child of {of!r}, which is a child stream itself"
        elif "files" in part(streams[of], "request"):
            yield at, f"{name!r} is a child of {of!r}, which is read from files: these have none"
    for name in sorted(routed & streams.keys()):
        reasons = {
            "it is a child stream": name in said,
            "it has child streams, which an event alone would not keep in step": (
                name in said.values()
            ),
            "it is read from files, which tell of no events": (
                "files" in part(streams[name], "request")
            ),
            "its mapping has `each`, and the key of an event is none of its rows'": (
                part(mappings, name).get("each") is not None
            ),
        }
        for why in [reason for reason, holds in reasons.items() if holds][:1]:
            yield ("sync_handler", "streams", name), f"no feed can route to {name!r}: {why}"


def _said(streams: dict[str, Any]) -> dict[str, str]:
    """Whose children streams say that they are."""
    found = {name: part(one).get("of") for name, one in streams.items()}
    return {name: of for name, of in found.items() if isinstance(of, str)}
