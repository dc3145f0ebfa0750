"""`integrations status` and `integrations quarantine`: what the store says, as tables or JSON."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg

from integrations import console
from integrations.commands import choose
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.due import due
from integrations.errors import FixConfig
from integrations.monitoring import ledger
from integrations.settings import Settings
from integrations.storage import quarantine
from integrations.storage.quarantine import QuarantineEntry
from integrations.storage.store import open_store

STATUS = [
    ("stream", False), ("last success", False), ("rows", True), ("due", True), ("late", False),
    ("error rate", True), ("quarantine", True), ("status", False),
]  # fmt: skip
ENTRIES = [("stream", False), ("key", False), ("why", False), ("times", True), ("last", False)]


def status(select: tuple[str, ...], *, as_json: bool) -> int:
    """One line a stream: what its ledger says, and what is due of it now."""
    settings = Settings.find()
    found = choose.streams(settings)
    chosen = choose.selected(found, select) if select else found
    with closing(open_store(settings)) as connection:
        known = ledger.statuses(
            connection, entities={one.id: one.mapping.mapping.entity for one in chosen}
        )
        lines = [
            _status(stream, told, connection) for stream, told in zip(chosen, known, strict=True)
        ]
    if as_json:
        for line in lines:
            console.json_line(line)
        return 0
    keys = ("name", "last_success", "rows", "due", "late", "error_rate", "quarantine", "status")
    rows = [
        [_shown(_span(line[key]) if key == "late" else line[key]) for key in keys] for line in lines
    ]
    console.out().print(console.table("Streams", STATUS, rows))
    return 0


def _status(
    stream: BoundStream, known: ledger.StreamStatus, connection: psycopg.Connection[Any]
) -> dict[str, Any]:
    id_ = stream.id
    at = datetime.now(UTC)
    stretches = due(stream, connection, now=at)
    late = at - stretches[0][0].end if stretches and stretches[0] else None
    return {
        "name": str(id_),
        "connector": id_.connector,
        "connection": id_.connection,
        "stream": id_.stream,
        "last_success": known.last_success,
        "covered_until": known.covered_until,
        "rows": known.rows,
        "due": sum(len(stretch) or 1 for stretch in stretches),
        "late": None if late is None else round(late.total_seconds()),
        "error_rate": round(known.error_rate, 6),
        "quarantine": known.open_quarantine,
        "status": known.status or "never",
        "error": known.error,
    }


def _span(seconds: int | None) -> str | None:
    """How long ago the oldest window that is due had passed: `3 d 4 h`, `25 min`."""
    if seconds is None:
        return None
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return value


def quarantine_list(select: tuple[str, ...], *, closed: bool, limit: int, as_json: bool) -> int:
    """The records that could not pass, the latest first."""
    settings = Settings.find()
    ids = [stream.id for stream in choose.selected(choose.streams(settings), select)]
    with closing(open_store(settings)) as connection:
        found = quarantine.entries(connection, streams=ids or None, closed=closed, limit=limit)
    if as_json:
        for entry in found:
            console.json_line(_values(entry))
        return 0
    rows = [[str(e.stream), e.key, e.reason, e.times, _shown(e.last_at)] for e in found]
    console.out().print(console.table("Quarantine", ENTRIES, rows))
    if len(found) == limit:
        console.out().print(f"Only the latest {limit} are shown; --limit shows more.")
    return 0


def quarantine_show(name: str, key: str, *, as_json: bool) -> int:
    """One record with all that is known of it."""
    stream = choose.stream_id(name)
    with closing(open_store(Settings.find())) as connection:
        entry = quarantine.show(connection, stream, key=key)
    if entry is None:
        raise FixConfig(
            f"{name} has no record {key!r} in quarantine",
            todo="`integrations quarantine list --all` shows every key.",
        )
    if as_json:
        console.json_line(_values(entry) | {"raw": entry.raw.decode(errors="replace")})
        return 0
    out = console.out()
    for field, value in _values(entry).items():
        out.print(f"{field:<10} {value}", markup=False, soft_wrap=True)
    out.print(entry.raw.decode(errors="replace"), markup=False, soft_wrap=True)
    return 0


def _values(entry: QuarantineEntry) -> dict[str, Any]:
    """An entry without its bytes."""
    values: Iterable[tuple[str, Any]] = asdict(entry).items()
    return {k: v for k, v in values if k != "raw"} | {"stream": str(entry.stream)}
