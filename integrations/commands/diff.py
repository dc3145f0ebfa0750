"""`integrations diff`: what a replay with another mapping would change, and nothing is changed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from integrations import console
from integrations.commands import FAILED
from integrations.commands import trace_words as words
from integrations.commands.preview import chosen, looking, nothing_landed
from integrations.connector_template import candidate, diffing
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.diffing import Diff
from integrations.connector_template.run import Run
from integrations.settings import CONNECTOR_FILE, Settings
from integrations.storage.changes import Cells, Reason, Total
from integrations.storage.landing import LandingZone
from integrations.storage.store import open_store
from integrations.storage.transaction import utc_now
from integrations.transformation.transform import MASK


def run(
    name: str, *, mapping: Path | None, accept: bool, show_personal: bool, as_json: bool
) -> int:
    """Shows stream by stream what would change; 1 where some of what is landed cannot be read."""
    settings = Settings.find()
    streams = chosen(settings, name, mapping=mapping)
    zone, run_id = LandingZone(settings.landing_url), f"diff-{uuid4().hex[:12]}"
    found = []
    with closing(open_store(settings)) as connection:
        if mapping is not None:
            candidate.refuse_changed(streams, file=mapping, connection=connection)
        for stream in streams:
            with looking() as tell:
                one = diffing.diff(
                    stream, connection=connection, zone=zone,
                    run=Run(run_id, run_id, "replay", accept), clock=utc_now, looked=tell,
                )  # fmt: skip
            if one.landings or one.rows.before:
                found.append(one)
                _print(Telling(stream, one, show_personal=show_personal), as_json=as_json)
    if not found:
        raise nothing_landed(name)
    if not as_json:
        _print_end(name, found, mapping)
    return FAILED if any(one.notes for one in found) else 0


def _print(told: "Telling", *, as_json: bool) -> None:
    if as_json:
        console.json_line(told.object())
        return
    for line in told.tale():
        style = "" if line.startswith(" ") else "bold"
        console.out().print(words.printable(line), style=style, markup=False, soft_wrap=True)


def _print_end(name: str, found: Sequence[Diff], mapping: Path | None) -> None:
    say = console.out().print
    if all(one.same for one in found):
        say("No difference: a replay would leave every row as it is.", soft_wrap=True)
    elif mapping is None:
        say(f"`integrations replay {name}` applies it.", markup=False, soft_wrap=True)
    else:
        todo = f"Put {mapping} in the place of the connector's {CONNECTOR_FILE}"
        say(f"{todo}, and `integrations replay {name}` applies it.", markup=False, soft_wrap=True)


class Telling:
    """A diff in words and as an object; personal values are masked unless they are asked for."""

    def __init__(self, stream: BoundStream, found: Diff, *, show_personal: bool) -> None:
        self._found = found
        columns = stream.mapping.entity.columns()
        self._hidden = {c.name for c in columns if c.personal and not show_personal}

    def tale(self) -> Iterator[str]:
        """What would change, line by line."""
        found, rows = self._found, self._found.rows
        landings = _some(found.landings, "landing")
        yield f"{found.stream}: {_some(found.records, 'record')} of {landings}"
        yield (
            f"  rows {rows.before} → {rows.after}: {rows.changed} change, "
            f"{rows.appear} appear{_keys(rows.appearing)}, {rows.leave} leave{_keys(rows.leaving)}"
        )
        for cells in found.cells:
            yield f"    {cells.column}: {_some(cells.rows, 'row')}"
            yield from (f"      {line}" for line in self._examples(cells))
        if not found.same:
            yield from (f"  {line}" for line in _totals(found.totals))
        held = found.quarantine
        yield f"  quarantine {held.before} → {held.after}"
        for word, reasons in (("gains", held.gains), ("loses", held.loses), ("changes", held.why)):
            yield from (f"    {word} {line}" for line in map(_reason, reasons))
        if found.gone:
            yield f"  {_some(found.gone, 'window')} not landed any more: what is there stays"
        if found.blocked:
            yield from (f"  {line}" for line in self._blocked())
        yield from (f"  note: {note}" for note in found.notes)

    def object(self) -> dict[str, Any]:
        """The same as one object."""
        found = self._found
        return {
            "stream": str(found.stream),
            "landings": found.landings,
            "windows_gone": found.gone,
            "records": found.records,
            "same": found.same,
            "rows": asdict(found.rows),
            "columns": {one.column: self._cells(one) for one in found.cells},
            "totals": [_plainly(asdict(one)) for one in found.totals],
            "quarantine": asdict(found.quarantine),
            "blocked": [_blocked(one) for one in found.blocked],
            "notes": list(found.notes),
        }

    def _cells(self, cells: Cells) -> dict[str, Any]:
        shown = [asdict(one) for one in cells.examples]
        if cells.column in self._hidden:
            shown = [one | _masks(one) for one in shown]
        return {"rows": cells.rows, "examples": [_plainly(one) for one in shown]}

    def _examples(self, cells: Cells) -> Iterator[str]:
        if cells.column in self._hidden:
            yield f"{MASK} → {MASK} (personal; one is {cells.examples[0].key})"
            return
        for one in cells.examples:
            before, after = (words.shown(words.plain(value)) for value in (one.before, one.after))
            count = "" if one.rows == 1 else f"{one.rows} rows, as "
            yield f"{before} → {after} ({count}{one.key})"

    def _blocked(self) -> Iterator[str]:
        blocked = self._found.blocked
        yield (
            f"{_some(len(blocked), 'load')} would be held back, as too much is refused: nothing of "
            "it is in the above. `--accept` shows it, and `replay --accept` loads it."
        )
        for one in blocked[:5]:
            where = str(one.window or one.landing)
            yield f"  {where}: {one.error or f'{one.quarantined} of {one.received} refused'}"


def _masks(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if values[name] is None else MASK for name in ("before", "after")}


def _totals(totals: Sequence[Total]) -> Iterator[str]:
    """Those that change, then by column the others."""
    same: dict[str, list[str]] = {}
    for one in totals:
        currency = f" {one.currency}" if one.currency else ""
        before, after = words.plain(one.before), words.plain(one.after)
        if one.before == one.after:
            same.setdefault(one.column, []).append(f"{before}{currency}")
        else:
            yield f"total {one.column}: {before} → {after}{currency}"
    for column, sums in same.items():
        yield f"total {column}, as before: {', '.join(sums)}"


def _reason(one: Reason) -> str:
    return f"{one.records} for {one.field} ({one.rule}): {one.example}{_keys(one.keys)}"


def _keys(keys: Sequence[str]) -> str:
    return f" ({', '.join(keys)} …)" if keys else ""


def _blocked(line: Any) -> dict[str, Any]:
    return {
        "window": str(line.window) if line.window else None,
        "landing": line.landing,
        "received": line.received,
        "quarantined": line.quarantined,
        "error": line.error,
    }


def _plainly(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: words.plain(value) for name, value in values.items()}


def _some(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
