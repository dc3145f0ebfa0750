"""The words and objects of a trace: moments, values, fates, and an entry of quarantine."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.connector_template.feed_events import FeedEvent
from integrations.connector_template.statements import Loaded, Statement
from integrations.connector_template.tracing import FeedTrace
from integrations.storage.quarantine import QuarantinedRecord

_SHOWN = 100
"""Characters of a value."""


def how(one: Statement) -> str:
    """By which way a statement came."""
    if one.event is not None:
        kind = f" {one.event.type}" if one.event.type else ""
        hint = ": a hint, its key was asked for" if one.hint else ""
        return f"event {one.event.id or 'without id'}{kind} of {one.event.feed}{hint}"
    if one.how == "fetched":
        gone = ": the source has no such record" if one.deleted else ""
        return f"fetched by its key{gone}"
    if one.how == "absent":
        return "not in a complete reading any more"
    if one.how == "retried":
        return "tried again out of quarantine"
    window = one.manifest.window if one.manifest else None
    return f"pulled{f' in window {window}' if window else ''}"


def loaded(load: Loaded) -> str:
    """When a statement was loaded, what became of it, and on whose behalf."""
    line = load.line
    fate = load.fate or ("nothing loaded" if line.status == "blocked" else "loaded")
    withdrew = ", and its row was withdrawn" if load.withdrew else ""
    status = "" if line.status == "ok" else f", {line.status}"
    return (
        f"{moment(line.ended_at)}  {fate.replace('_', ' ')}{withdrew} "
        f"({line.cause} by run {line.run_id}{status})"
    )


def quarantine_tale(entry: QuarantinedRecord | None, *, stream: str) -> Iterator[str]:
    """An entry in a few lines."""
    if entry is None:
        return
    how = entry.resolution or "closed"
    state = f"{how} at {moment(entry.closed_at)}" if entry.closed_at else "open"
    yield f"quarantine: {state}"
    yield f"    {entry.reason}"
    yield (f"    {entry.kind}, {_times(entry)} by run {entry.run_id}")
    yield f"    landing {entry.landing or '–'}{f', feed {entry.feed}' if entry.feed else ''}"
    yield f"    its bytes: `integrations quarantine show {stream} {entry.key}`"


def _times(entry: QuarantinedRecord) -> str:
    last = moment(entry.last_at)
    if entry.times == 1:
        return f"refused at {last}"
    return f"refused {entry.times} times since {moment(entry.first_at)}, last at {last}"


def stated(one: Statement) -> dict[str, Any]:
    """A statement as an object."""
    manifest = one.manifest
    return {
        "how": one.how,
        "said_at": one.said_at,
        "event": None if one.event is None else asdict(one.event),
        "window": str(manifest.window) if manifest and manifest.window else None,
        "landing": manifest.landing if manifest else None,
        "run_id": manifest.run_id if manifest else None,
        "deleted": one.deleted,
        "refused": refusal(one.refused),
        "problem": one.problem,
        "loads": [load_object(load) for load in one.loads],
    }


def load_object(one: Loaded) -> dict[str, Any]:
    """A load as an object."""
    line = one.line
    return {
        "line": line.number,
        "cause": line.cause,
        "status": line.status,
        "run_id": line.run_id,
        "committed_at": line.ended_at,
        "fate": one.fate,
        "withdrew": one.withdrew,
    }


def refusal(refused: tuple[str | None, str | None, str] | None) -> dict[str, Any] | None:
    """Why something was refused, as an object."""
    return None if refused is None else dict(zip(("field", "rule", "reason"), refused, strict=True))


def entry_object(entry: QuarantinedRecord | None, *, stream: str, key: str) -> dict[str, Any]:
    """An entry as an object, without its bytes; of no entry the state is null."""
    told: Mapping[str, Any] = {} if entry is None else asdict(entry)
    rest = {name: value for name, value in told.items() if name not in ("raw", "stream", "kind")}
    return {
        "kind": "quarantine",
        "stream": stream,
        "key": key,
        "state": None if entry is None else "closed" if entry.closed_at else "open",
        "refusal": told.get("kind"),
        **rest,
    }


def plain(value: Any) -> Any:
    """A value as people write it: no more zeros than it has, times in UTC."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value


def shown(value: Any) -> str:
    """A value on a line, cut where it is long."""
    if value is None:
        return "–"
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def printable(line: str) -> str:
    """A line that no value of a source makes a terminal do anything with."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)


def moment(at: datetime) -> str:
    """A time in UTC, to the millisecond where it has any."""
    at = at.astimezone(UTC)
    part = f".{at.microsecond // 1000:03}" if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{part}"


def wrapped(parts: Iterable[str], *, width: int = 92) -> Iterator[str]:
    """Parts side by side, as many as fit on a line."""
    line = ""
    for part in parts:
        if line and len(line) + len(part) + 3 > width:
            yield line
            line = part
        else:
            line = f"{line} · {part}" if line else part
    if line:
        yield line


def feed_tale(found: FeedTrace) -> Iterator[str]:
    """An event's timeline, line by line."""
    yield f"{found.feed} {found.key}  (times are in UTC)"
    for one in found.events:
        yield ""
        yield f"{moment(one.said_at)}  event {one.event.type or ''}".rstrip()
        yield f"    landing {one.manifest.landing}, run {one.manifest.run_id}"
        yield f"    {routed(found, one)}"
        yield from (f"    {loaded(load)}" for load in one.loads)
        if not one.loads:
            yield "    landed, never loaded"
    yield ""
    yield from quarantine_tale(found.quarantine, stream=str(found.feed))
    yield from (f"note: {note}" for note in found.notes)


def feed_objects(found: FeedTrace) -> Iterator[dict[str, Any]]:
    """One object for each place where the event is landed, and one for quarantine."""
    for one in found.events:
        yield {
            "kind": "event",
            "said_at": one.said_at,
            **asdict(one.event),
            "landing": one.manifest.landing,
            "run_id": one.manifest.run_id,
            "stream": one.stream,
            "key": one.key,
            "refused": refusal(one.refused),
            "loads": [load_object(load) for load in one.loads],
        }
    yield entry_object(found.quarantine, stream=str(found.feed), key=found.key)


def routed(found: FeedTrace, one: FeedEvent) -> str:
    """Where an event belongs."""
    if one.refused is not None:
        return f"cannot be read: {one.refused[2]}"
    if one.stream is None:
        return "of a kind without a route: filtered"
    stream = f"{found.feed.connector}/{found.feed.connection}/{one.stream}"
    hint = ", as a hint: its record was fetched" if one.event.hint else ""
    return f"goes to {stream}{hint}: `integrations trace {stream} {one.key or 'ID'}`"
