"""`integrations trace`: a record's life, as a timeline or as JSON."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from typing import Any

from integrations import console
from integrations.commands import choose
from integrations.commands import trace_words as words
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.statements import Statement
from integrations.connector_template.tracing import Trace, trace, trace_event
from integrations.settings import Settings
from integrations.storage.history import Row
from integrations.storage.landing import LandingZone
from integrations.storage.manifest import Manifest
from integrations.storage.store import open_store
from integrations.storage.tables import KEEP
from integrations.storage.transaction import utc_now
from integrations.transformation.transform import MASK

RANKS = ("pull", "push", "delete")


def run(name: str, key: str, *, show_personal: bool, as_json: bool) -> int:
    """Tells what is known of one record of a stream, or of one event of a feed."""
    settings = Settings.find()
    reader, feeds = _named(choose.readers(settings), name)
    zone = LandingZone(settings.landing_url)
    looked = count(1)
    status = console.err().status("looking through landings")

    def tell(manifest: Manifest) -> None:
        status.update(f"looking through landings: {next(looked)}, {manifest.at:%Y-%m-%d %H:%M}")

    with closing(open_store(settings)) as connection, status:
        if isinstance(reader, BoundFeed):
            event = trace_event(reader, key, connection=connection, zone=zone, looked=tell)
            tale, objects = words.feed_tale(event), words.feed_objects(event)
        else:
            found = trace(
                reader, key, feeds=feeds,
                connection=connection, zone=zone, clock=utc_now, looked=tell,
            )  # fmt: skip
            told = Telling(reader, show_personal=show_personal)
            tale, objects = told.tale(found), told.objects(found)
    if as_json:
        for one in objects:
            console.json_line(one)
    else:
        out = console.out()
        for line in tale:
            style = "" if line.startswith(" ") else "bold"
            out.print(words.printable(line), style=style, markup=False, soft_wrap=True)
    return 0


def _named(
    readers: Iterable[BoundStream | BoundFeed], name: str
) -> tuple[BoundStream | BoundFeed, list[BoundFeed]]:
    """The stream or feed called so, and the feeds that speak of it; raises FixConfig."""
    every = list(readers)
    reader = choose.one(every, name)
    feeds = [one for one in every if isinstance(one, BoundFeed)]
    return reader, [one for one in feeds if reader.id in {to.id for to in one.routes.values()}]


class Telling:
    """A trace in words and as objects; personal values are masked unless they are asked for."""

    def __init__(self, stream: BoundStream, *, show_personal: bool) -> None:
        columns = stream.mapping.entity.columns()
        self._names = [column.name for column in columns]
        self._hidden = {c.name for c in columns if c.personal and not show_personal}

    def tale(self, found: Trace) -> Iterator[str]:
        """The timeline, line by line, the oldest first."""
        yield f"{found.stream} {found.key}  (times are in UTC)"
        before: Row | None = None
        for one in found.statements:
            yield ""
            yield f"{words.moment(one.said_at)}  {words.how(one)}"
            if one.manifest:
                yield f"    landing {one.manifest.landing}, run {one.manifest.run_id}"
            yield from (f"    {line}" for line in self._meant(one, before))
            yield from (f"    {words.loaded(load)}" for load in one.loads)
            if not one.loads and not one.hint and one.manifest:
                yield "    landed, never loaded"
            before = self._after(one, before)
        yield ""
        yield from self._now(found)
        yield from words.quarantine_tale(found.quarantine, stream=str(found.stream))
        yield from (f"note: {note}" for note in found.notes)

    def objects(self, found: Trace) -> Iterator[dict[str, Any]]:
        """One object a statement, then one for the row, and one for quarantine."""
        before: Row | None = None
        for one in found.statements:
            yield {"kind": "statement", **words.stated(one), "changes": self._changes(one, before)}
            before = self._after(one, before)
        yield {
            "kind": "row",
            "stream": str(found.stream),
            "key": found.key,
            "row": self._row(found.row),
            "derived": self._derived(found),
            "differs": {
                name: {"derived": self._value(name, gives), "stored": self._value(name, there)}
                for name, (gives, there) in found.differs.items()
            },
            "landings": found.landings,
            "landings_gone": found.gone,
            "notes": list(found.notes),
        }
        yield words.entry_object(found.quarantine, stream=str(found.stream), key=found.key)

    def _meant(self, one: Statement, before: Row | None) -> Iterator[str]:
        """What the mapping makes of a statement."""
        if one.problem is not None:
            yield f"could not be fetched: {one.problem}"
        elif one.refused is not None:
            yield f"refused by the mapping of today: {one.refused[2]}"
        elif one.row is None:
            return
        elif one.deleted:
            yield "says that it is deleted" if one.tombstone else "its flag says that it is deleted"
        else:
            changes = self._changes(one, before)
            yield from words.wrapped(
                f"{name} {words.shown(value['old'])} → {words.shown(value['new'])}"
                if before
                else f"{name} {words.shown(value['new'])}"
                for name, value in changes.items()
            )
            if before and not changes:
                yield "says the same again"

    def _changes(self, one: Statement, before: Row | None) -> dict[str, dict[str, Any]]:
        """By column, what the statement before said and what this one says."""
        if one.row is None or one.deleted:
            return {}
        old, new = before or {}, self._after(one, before) or {}
        return {
            name: {"old": self._value(name, old.get(name)), "new": self._value(name, new[name])}
            for name in self._names
            if old.get(name) != new[name]
        }

    def _after(self, one: Statement, before: Row | None) -> Row | None:
        """What has been said when this is: what a statement keeps is as it was said before."""
        if one.row is None or one.deleted:
            return before
        kept = [name for name in self._names if one.row.get(KEEP + name)]
        return one.row | {name: before[name] for name in kept if before}

    def _value(self, name: str, value: Any) -> Any:
        if name in self._hidden and value is not None:
            return MASK
        return words.plain(value)

    def _row(self, row: Row | None) -> dict[str, Any] | None:
        return None if row is None else {n: self._value(n, value) for n, value in row.items()}

    def _derived(self, found: Trace) -> str:
        if not found.played:
            return "unknown"
        return "differs" if found.differs else "same"

    def _now(self, found: Trace) -> Iterator[str]:
        row = found.row
        if row is None:
            yield "now: there is no row"
        else:
            deleted = row["_deleted_at"]
            state = f"deleted since {words.moment(deleted)}" if deleted else "live"
            yield f"now: {state}"
            version = "none" if row["_version"] is None else row["_version"]
            yield (
                f"    said {words.moment(row['_seen_at'])}, lane {RANKS[row['_rank']]} "
                f"(rank {row['_rank']}), version {version}"
            )
            yield f"    last written {words.moment(row['_synced_at'])} by run {row['_run_id']}"
            yield from (
                f"    {line}"
                for line in words.wrapped(
                    f"{name} {words.shown(self._value(name, row[name]))}"
                    for name in self._names
                    if row.get(name) is not None
                )
            )
        yield from (f"    {line}" for line in self._compared(found))

    def _compared(self, found: Trace) -> Iterator[str]:
        if not found.played:
            return
        if not found.differs:
            yield "as the loads above give it"
            return
        yield "the loads above, with the mapping of today, give another row:"
        for name, (gives, there) in found.differs.items():
            given, stored = (words.shown(self._value(name, one)) for one in (gives, there))
            yield f"    {name}: they give {given}, there is {stored}"
        yield "the mapping was changed since, or what wrote the row is not landed any more" + (
            f" ({found.gone} loads of the stream were of landings that are gone)"
            if found.gone
            else ""
        )
