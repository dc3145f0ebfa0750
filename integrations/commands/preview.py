"""`integrations preview`: what a mapping makes of records that are landed, loading nothing."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from integrations import console
from integrations.commands import choose
from integrations.commands import trace_words as words
from integrations.connector_template import candidate, lookups, previewing
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.previewing import Preview, RowView
from integrations.errors import FixConfig
from integrations.settings import Settings
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.storage.store import open_store
from integrations.transformation.transform import MASK

_WIDEST = 48
"""Characters of a cell; what is longer is cut."""


def run(
    name: str,
    *,
    limit: int,
    key: str | None,
    mapping: Path | None,
    show_personal: bool,
    as_json: bool,
) -> int:
    """Shows the newest records of what is selected, or the one of a key."""
    settings = Settings.find()
    streams = chosen(settings, name, mapping=mapping)
    if key is not None and len(streams) > 1:
        raise FixConfig(
            "an id is one of a stream", where=name, todo="Write connector/connection/stream."
        )
    zone, shown = LandingZone(settings.landing_url), False
    with closing(open_store(settings)) as connection:
        for stream in streams:
            transformer = lookups.transformer(stream, connection=connection)
            connection.rollback()
            with looking() as tell:
                by: Any = {"zone": zone, "show_personal": show_personal, "looked": tell}
                found = (
                    previewing.preview(stream, transformer, limit=limit, **by)
                    if key is None
                    else previewing.preview_key(stream, key, transformer, **by)
                )
            shown |= bool(found.found.received)
            _print(stream, found, as_json=as_json)
    if not shown:
        raise nothing_landed(name)
    return 0


def nothing_landed(name: str) -> FixConfig:
    """Of what is selected nothing is landed."""
    return FixConfig("nothing is landed", where=name, todo="`integrations sync` fetches it.")


def chosen(settings: Settings, name: str, *, mapping: Path | None) -> list[BoundStream]:
    """The streams that NAME means, as another file would have them where one is named."""
    connectors = choose.connectors(settings)
    every = [stream for connector in connectors for stream in connector.streams()]
    streams = choose.selected(every, (name,))
    if mapping is None:
        return streams
    (connector,) = [one for one in connectors if one.name == streams[0].id.connector]
    other = candidate.candidate(connector, mapping, added=choose.added(settings))
    pairs = candidate.matched(streams, other.streams(), file=mapping)
    return [becomes for _, becomes in pairs]


@contextmanager
def looking() -> Iterator[previewing.Looked]:
    """While landings are looked through: says at which it is, on standard error."""
    looked = count(1)
    with console.err().status("looking through landings") as status:

        def tell(manifest: Manifest) -> None:
            at = f"{manifest.at:%Y-%m-%d %H:%M}"
            status.update(f"looking through landings: {next(looked)}, {at}")

        yield tell


def _print(stream: BoundStream, found: Preview, *, as_json: bool) -> None:
    if as_json:
        for one in objects(str(stream.id), found):
            console.json_line(one)
    elif found.found.received:
        landings = "1 landing" if found.landings == 1 else f"{found.landings} landings"
        counts = f"{found.found.received} records of {landings}, {found.found.refused} refused"
        out = console.out()
        out.print(f"{stream.id}: {counts}", style="bold", markup=False, soft_wrap=True)
        for line in tale(found):
            out.print(line, markup=False, soft_wrap=True)


def tale(found: Preview) -> Iterator[str]:
    """The rows field by field, then what is refused and why."""
    for row in found.rows:
        landed = f", landing {row.landing}" if row.landing else ""
        yield f"  {words.printable(row.key)}  (said {words.moment(row.said_at)} UTC{landed})"
        if row.deleted:
            yield "    says that it is deleted"
        yield from (f"    {line}" for line in _aligned(list(_cells(row))))
    yield from refused(found)


def refused(found: Preview) -> Iterator[str]:
    """Why records are refused, the most frequent reason first, and the first of them."""
    reasons = sorted(found.found.reasons.items(), key=lambda one: -one[1][0])
    for (field, rule), (records, _) in reasons:
        yield f"  refused for {field} ({rule}): {records}"
    for one in found.refused:
        yield words.printable(f"  refused {one.key}: {one.reason}")


def _cells(row: RowView) -> Iterator[tuple[str, str, str, str]]:
    for field in row.fields:
        sources = ", ".join(f"{path} {_shown(value)}" for path, value in field.sources.items())
        value = words.shown(words.plain(field.value))
        yield field.column, sources, f"→ {value}", words.shown(field.rule)


def _shown(value: Any) -> str:
    """A value as its source has it."""
    if value == MASK or isinstance(value, previewing.Missing | Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns under each other; the last is as long as it is."""
    cut = [[*(_cut(cell) for cell in most), last] for *most, last in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)][:-1]
    for *most, last in cut:
        cells = (cell.ljust(width) for cell, width in zip(most, widths, strict=True))
        yield words.printable("  ".join([*cells, last]))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def objects(stream: str, found: Preview) -> Iterator[dict[str, Any]]:
    """One object a row, then one a refused record that is shown, then the counts."""
    for row in found.rows:
        yield {
            "kind": "row",
            "stream": stream,
            "key": row.key,
            "said_at": row.said_at,
            "landing": row.landing,
            "deleted": row.deleted,
            "fields": {
                one.column: {
                    "from": {
                        path: value
                        for path, value in one.sources.items()
                        if not isinstance(value, previewing.Missing)
                    },
                    "absent": [
                        path
                        for path, value in one.sources.items()
                        if isinstance(value, previewing.Missing)
                    ],
                    "rule": one.rule,
                    "value": words.plain(one.value),
                }
                for one in row.fields
            },
        }
    for refusal in found.refused:
        yield {
            "kind": "refused",
            "stream": stream,
            "key": refusal.key,
            "field": refusal.field,
            "rule": refusal.rule,
            "reason": refusal.reason,
        }
    yield {
        "kind": "counts",
        "stream": stream,
        "landings": found.landings,
        "records": found.found.received,
        "refused": found.found.refused,
        "reasons": [
            {"field": field, "rule": rule, "records": records, "example": example}
            for (field, rule), (records, example) in found.found.reasons.items()
        ],
    }
