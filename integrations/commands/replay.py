"""`integrations replay`: rows made again from what is landed, without a call to the source."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from integrations import console
from integrations.commands import WRONG, choose
from integrations.commands.asking import agreed
from integrations.commands.sync import EXIT, as_values, refusals, say, tell_failed
from integrations.connector_template import replaying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.folders import folders
from integrations.errors import FixConfig
from integrations.names import Window
from integrations.orchestration import stack
from integrations.orchestration.code_location import build
from integrations.orchestration.own_run import only
from integrations.orchestration.resources import StoreResource, now
from integrations.orchestration.runs import fail_dead_runs
from integrations.orchestration.sync import Outcome, Planned, execute
from integrations.settings import Settings
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.store import open_store
from integrations.sync_state.windows import WindowSync, stretches

COLUMNS = [
    ("stream", False), ("windows", True), ("records", True), ("updated", True),
    ("unchanged", True), ("withdrawn", True), ("refused", True), ("seconds", True),
    ("status", False),
]  # fmt: skip
COUNTS = ("records", "updated", "unchanged", "withdrawn", "quarantined")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of the streams is replayed: the windows that touch `[begin, end)` (aware), or all.
    `yes`: a rebuild is not asked for again."""

    begin: datetime | None = None
    end: datetime | None = None
    rebuild: bool = False
    accept: bool = False
    yes: bool = False

    def touches(self, window: Window) -> bool:
        """Whether the window is asked for."""
        after = self.begin is None or window.end > self.begin
        return after and (self.end is None or window.start < self.end)

    @property
    def timed(self) -> bool:
        """Whether only a stretch of time is asked for."""
        return self.begin is not None or self.end is not None

    @property
    def command(self) -> str:
        """How it is called again."""
        return "replay --rebuild" if self.rebuild else "replay"


def replay(select: tuple[str, ...], asked: Asked, *, as_json: bool) -> int:
    """Replays what is selected, as far as it is landed; gives the exit status."""
    settings = Settings.find()
    streams = _streams(settings, select)
    with closing(open_store(settings)) as connection:
        zone = StoreResource().zone()
        planned = [_planned(one, asked, connection, zone) for one in streams]
    if not any(one.stretches for one in planned):
        raise FixConfig(
            "nothing is landed that could be replayed",
            where=", ".join(select),
            todo="`integrations sync` fetches it.",
        )
    if asked.rebuild and not _wanted(planned, yes=asked.yes):
        say("Nothing was changed.")
        return WRONG
    outcomes = []
    for outcome in _outcomes(settings, planned, asked, hidden=as_json):
        outcomes.append(outcome)
        if as_json:
            console.json_line(as_values(outcome) | {"withdrawn": outcome.total("withdrawn")})
            tell_failed(outcome, command=asked.command)
    if not as_json:
        _show(outcomes, asked)
    found = {outcome.status for outcome in outcomes}
    return next((code for status, code in EXIT.items() if status in found), 0)


def _streams(settings: Settings, select: tuple[str, ...]) -> list[BoundStream]:
    """The streams that are meant; no secret is needed for what asks the source nothing."""
    chosen = choose.selected(choose.readers(settings), select)
    for name in select:
        for one in chosen:
            if isinstance(one, BoundFeed) and name.rstrip("/") == str(one.id):
                routed = sorted({str(to.id) for to in one.routes.values()})
                raise FixConfig(
                    "a feed is replayed with the streams that it speaks of",
                    where=name,
                    todo=f"Replay {', '.join(routed)}.",
                )
    streams = [one for one in chosen if isinstance(one, BoundStream)]
    return choose.roots(streams, choose.streams(settings))


def _planned(
    stream: BoundStream, asked: Asked, connection: psycopg.Connection[Any], zone: LandingZone
) -> Planned:
    """What of the stream can be replayed; says what cannot."""
    sync = stream.stream.sync
    committed = positions.committed(connection, stream.id)
    connection.rollback()
    if not isinstance(sync, WindowSync):
        if asked.timed:
            say(f"left out: {stream.id} has no windows; replay it without --from and --to")
            return Planned(stream, [])
        landed = bool(replaying.pulled(stream, [None], zone=zone))
        if committed and not landed:
            say(f"left out: {stream.id} is not landed any more; `integrations sync` fetches it")
        return Planned(stream, [[]] if landed or (asked.rebuild and committed) else [])
    gone = [
        window
        for window in replaying.missing(stream, connection=connection, zone=zone)
        if asked.touches(window)
    ]
    if gone:
        say(
            f"{stream.id}: {len(gone)} windows are not landed any more; `integrations sync "
            f"{stream.id} --from {gone[0].start:%Y-%m-%dT%H:%MZ} "
            f"--to {gone[-1].end:%Y-%m-%dT%H:%MZ}` fetches them"
        )
    every = [w for w in sync.windows(stream.connection.begins_at, now()) if asked.touches(w)]
    if asked.rebuild:
        # One run over all of it: the old rows go in the transaction in which the new ones come.
        known = sorted(one.window for one in committed.values() if one.window)
        span = [w for w in every if known and known[0] <= w <= known[-1]]
        return Planned(stream, [span] if span else [])
    there = {manifest.window for manifest in zone.every(stream.id)}
    return Planned(stream, stretches([window for window in every if window in there]))


def _outcomes(
    settings: Settings, planned: list[Planned], asked: Asked, *, hidden: bool
) -> Iterator[Outcome]:
    """Runs one after the other."""
    with (
        stack.instance() as instance,
        console.bar(sum(one.windows for one in planned), hidden=hidden) as bar,
    ):
        fail_dead_runs(instance)
        names = {one.stream.id.connector for one in planned}
        found, added = only(names, folders(settings.connectors_path), choose.added(settings))
        defs = build(found, added=added)
        for one in planned:
            bar.at(str(one.stream.id))
            outcome = execute(
                one, defs, instance,
                accept=asked.accept, replay=True, rebuild=asked.rebuild,
                on_window=lambda _: bar.step(),
            )  # fmt: skip
            yield from outcome.parts()
            bar.settle(one.windows)


def _wanted(planned: list[Planned], *, yes: bool) -> bool:
    """Whether a person wants the rows made anew, of which those of the old key are gone then."""
    names = ", ".join(str(one.stream.id) for one in planned if one.stretches)
    say(f"All rows of {names} are deleted and made anew from what is landed, under today's key.")
    streams = [one.stream for one in planned if one.stretches]
    keeping = [one for one in streams if isinstance(one, BoundStream) and one.mapping.keeps]
    if kept := [str(one.id) for one in keeping]:
        say(f"What {', '.join(kept)} keeps, and is not landed any more, is lost.")
    return agreed(f"Rebuild {names}?", yes=yes)


def _show(outcomes: list[Outcome], asked: Asked) -> None:
    """The summary, then what is refused now and why, then what failed."""
    out = console.out()
    rows = [
        [
            str(one.stream.id),
            one.windows,
            *(one.total(name) for name in COUNTS),
            float(one.total("seconds")),
            one.status,
        ]
        for one in outcomes
    ]
    out.print(console.table("Replayed", COLUMNS, rows))
    refused = refusals(outcomes)
    if refused is not None:
        out.print(refused)
    for outcome in outcomes:
        tell_failed(outcome, command=asked.command)
