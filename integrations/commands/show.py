"""`integrations status`: what the store says of each stream and feed, as a table or JSON."""

from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from msgspec import to_builtins

from integrations import console
from integrations.commands import choose
from integrations.connector_template.circuits import Shut, keeping
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.due import due, feed_due
from integrations.connector_template.gaps import open_gap
from integrations.error_handling import shared_budget
from integrations.monitoring import ledger
from integrations.redaction import redact
from integrations.settings import Settings
from integrations.storage import files, positions
from integrations.storage.store import open_store

Reader = BoundStream | BoundFeed
STATUS = [
    ("stream", False), ("last success", False), ("rows", True), ("due", True), ("late", False),
    ("error rate", True), ("quota left", True), ("quarantine", True), ("circuit", False),
    ("status", False),
]  # fmt: skip

MOST_FILES = 10
"""Files that are not loaded and named; `--json` names all."""


def status(select: tuple[str, ...], *, as_json: bool) -> int:
    """One line a stream or feed: what its ledger says, and what is due of it now."""
    settings = Settings.find()
    found = choose.readers(settings)
    chosen = choose.selected(found, select) if select else found
    with closing(open_store(settings)) as connection:
        known = ledger.statuses(connection, entities={one.id: _entity(one) for one in chosen})
        lines = [_line(one, told, connection) for one, told in zip(chosen, known, strict=True)]
        _add_quotas(lines, connection)
        shut = keeping(connection, chosen)
    lines = [
        line | {"circuit": _circuit(shut.get(one.id))}
        for one, line in zip(chosen, lines, strict=True)
    ]
    if as_json:
        for line in lines:
            console.json_line(line)
        return 0
    keys = (
        "name", "last_success", "rows", "due", "late", "error_rate", "quota", "quarantine",
        "circuit", "status",
    )  # fmt: skip
    rows = [[_cell(key, line[key]) for key in keys] for line in lines]
    console.out().print(console.table("Streams", STATUS, rows))
    for told in filter(None, map(_why, lines)):
        console.out().print(told, markup=False, highlight=False, soft_wrap=True)
    return 0


def _why(line: dict[str, Any]) -> str | None:
    """Why a stream or feed needs a look, in words, and how many files it has; None where there is
    nothing to say."""
    name, error, gap = line["name"], line["error"], line["gap"]
    if line["status"] == "blocked" and not error:
        error = f"too many records were refused; `integrations quarantine list {name}` says why"
    told = []
    if line["status"] in ("failed", "blocked"):
        told.append(f"{name}: {line['status']}: {redact(error or 'for no known reason')}")
    if gap:
        told.append(f"{name}: {gap}")
    if any((line["files"] or {}).values()):
        counts = ", ".join(f"{count} {state}" for state, count in line["files"].items())
        told.append(f"{name}: files: {counts}")
        told += [f"  {redact(one)}" for one in line["not_loaded"][:MOST_FILES]]
        if (more := len(line["not_loaded"]) - MOST_FILES) > 0:
            told.append(f"  and {more} more")
    if line["circuit"]:
        account = f"{line['connector']}/{line['connection']}"
        told.append(
            f"{name}: {Shut(**line['circuit'])}. `integrations connections close-circuits"
            f" {account}` has it asked at once."
        )
    return "\n".join(told) or None


def _add_quotas(lines: list[dict[str, Any]], connection: psycopg.Connection[Any]) -> None:
    """What is left of the quotas of each line's connection; none where nothing is known."""
    accounts = {(line["connector"], line["connection"]) for line in lines}
    found = {one: shared_budget.uses(connection, *one) for one in accounts}
    for line in lines:
        line["quota"] = [to_builtins(use) for use in found[line["connector"], line["connection"]]]


def _least(quotas: list[dict[str, Any]]) -> str | None:
    """The quota of which the least part is left, as `41 of 100`."""
    if not quotas:
        return None
    least = min(quotas, key=lambda one: one["left"] / one["units"])
    return f"{least['left']:.0f} of {least['units']:.0f}"


def _entity(reader: Reader) -> str | None:
    return None if isinstance(reader, BoundFeed) else reader.mapping.entity.entity_name()


def _line(
    reader: Reader, known: ledger.StreamStatus, connection: psycopg.Connection[Any]
) -> dict[str, Any]:
    if isinstance(reader, BoundFeed):
        return _feed(reader, known, connection)
    at = datetime.now(UTC)
    stretches = due(reader, connection, now=at)
    late = at - stretches[0][0].end if stretches and stretches[0] else None
    line = _values(known, due=sum(len(stretch) or 1 for stretch in stretches), late=late)
    if reader.of_files:
        line["files"] = files.counts(connection, reader.id)
        line["not_loaded"] = [*map(" ".join, files.not_loaded(connection, reader.id))]
    return line


def _feed(
    feed: BoundFeed, known: ledger.StreamStatus, connection: psycopg.Connection[Any]
) -> dict[str, Any]:
    """A feed's line. That there was nothing new is in no ledger, but in the position: a failure
    before that is over. A gap is open until the streams that it made due are read."""
    at = datetime.now(UTC)
    position = positions.at(connection, feed.id)
    checked = position.checked_at if position else None
    if checked is not None and (known.last_attempt is None or checked > known.last_attempt):
        known = replace(known, last_success=checked, status=_over(known.status), error=None)
    overdue = feed_due(feed, connection, now=at)
    late = at - checked if overdue and checked else None
    gap = open_gap(feed, connection=connection)
    return _values(known, due=int(overdue), late=late, gap=gap)


def _over(status: str | None) -> str:
    return "ok" if status in (None, "failed", "blocked") else status


def _values(
    known: ledger.StreamStatus, *, due: int, late: timedelta | None, gap: str | None = None
) -> dict[str, Any]:
    id_ = known.stream
    status = known.status or "never"
    if gap and status not in ("failed", "blocked"):
        status = "gap"
    return {
        "name": str(id_),
        "connector": id_.connector,
        "connection": id_.connection,
        "stream": id_.stream,
        "last_success": known.last_success,
        "covered_until": known.covered_until,
        "rows": known.rows,
        "due": due,
        "late": None if late is None else round(late.total_seconds()),
        "error_rate": round(known.error_rate, 6),
        "quarantine": known.open_quarantine,
        "status": status,
        "error": known.error,
        "gap": gap,
        "files": None,
        "not_loaded": [],
    }


def _span(seconds: int | None) -> str | None:
    """How long ago the oldest window that is due had passed, or a feed that is due was read:
    `3 d 4 h`, `25 min`."""
    if seconds is None:
        return None
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _circuit(shut: Shut | None) -> dict[str, Any] | None:
    return None if shut is None else asdict(shut)


def _cell(key: str, value: Any) -> object:
    if key == "late":
        return _span(value)
    if key == "quota":
        return _least(value)
    if key == "circuit" and value is not None:
        cooled = value["until"] <= datetime.now(UTC)
        return "to be tried" if cooled else f"open until {value['until']:%H:%M:%S}"
    return _shown(value)


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return value
