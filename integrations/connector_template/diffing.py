"""What a replay would change, with a mapping that is not in force yet: all of it, and no more.

The replay is made, by the code of every replay and over all that is landed of both lanes, on copies
of the stream's rows and of its quarantine that nobody else sees. So the order of statements, what
is withdrawn and what would be blocked are the loader's own answers; and rows whose landings are not
kept any more stay in it as they are, as they would.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from integrations.connector_template import loading, replaying, retrying
from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.feed_loading import HINT
from integrations.connector_template.loading import Checked
from integrations.connector_template.run import Clock, Run
from integrations.errors import StopStream
from integrations.names import StreamId, Window
from integrations.storage import quarantine
from integrations.storage.changes import Cells, Changes, Quarantine, Rows, Total
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.manifest import Manifest
from integrations.storage.trial import Trial, trying
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import LENGTH, WindowSync
from integrations.transformation.rule import MONEY

Looked = Callable[[Manifest], None]
"""Is told of each landing before it is gone through."""


@dataclass(frozen=True, kw_only=True)
class Diff:
    """What would be of a stream after a replay. `lines` are the ledger lines that it would write,
    `gone` windows are not landed any more and keep their rows, `notes` say what would fail."""

    stream: StreamId
    landings: int
    gone: int
    lines: Sequence[LedgerEntry]
    rows: Rows
    cells: Sequence[Cells]
    totals: Sequence[Total]
    quarantine: Quarantine
    notes: Sequence[str]

    @property
    def records(self) -> int:
        """How many were gone through, events included."""
        return sum(one.records for one in self.lines)

    @property
    def blocked(self) -> list[LedgerEntry]:
        """The loads that would be held back, since too much of them is refused."""
        return [one for one in self.lines if one.status == "blocked"]

    @property
    def same(self) -> bool:
        """Whether nothing that anybody sees would change."""
        rows, held = self.rows, self.quarantine
        moved = rows.changed or rows.appear or rows.leave or held.gains or held.loses or held.why
        return not moved


def diff(
    stream: BoundStream,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
    looked: Looked = lambda _: None,
) -> Diff:
    """What a replay of all that is landed would change; `run.accept` as for a replay, `run.cause`
    is `replay`.

    The connection must be idle, and is so afterwards. Raises FixConfig where the stream has other
    keys or windows than its rows, RetryLater when the database or the landing zone is away.
    """
    loading.refuse_changed(stream, connection=connection)
    gone = len(replaying.missing(stream, connection=connection, zone=zone))
    entity, notes = stream.mapping.entity, dict[str, None]()
    replay = _Replay(stream, zone=zone, run=run, clock=clock, looked=looked)
    with trying(connection, entity.table(), stream.id, clock=clock) as trial:
        lines = list(replay.play(trial, notes))
        changes = Changes(connection, tuple(column.name for column in entity.columns()))
        rows, counts = changes.rows()
        return Diff(
            stream=stream.id,
            landings=replay.landings,
            gone=gone,
            lines=lines,
            rows=rows,
            cells=tuple(changes.cells(counts)),
            totals=tuple(changes.totals(_currencies(stream))),
            quarantine=changes.quarantine(),
            notes=tuple(notes),
        )


class _Replay:
    """A replay of all that is landed of a stream, load by load."""

    def __init__(
        self, stream: BoundStream, *, zone: LandingZone, run: Run, clock: Clock, looked: Looked
    ) -> None:
        self.landings = 0
        self._stream, self._zone, self._run, self._clock = stream, zone, run, clock
        self._looked = looked

    def play(self, trial: Trial, notes: dict[str, None]) -> Iterator[LedgerEntry]:
        """Each load as a ledger line; what of it fails is noted, as a replay does."""
        for do in self._loads(trial):
            try:
                line = do()
            except StopStream as error:
                notes[str(error)] = None
            else:
                if line is not None:
                    yield line

    def _loads(self, trial: Trial) -> Iterator[Callable[[], LedgerEntry | None]]:
        pulled = replaying.pulled(self._stream, self._windows(), zone=self._zone)
        cursor = isinstance(self._stream.stream.sync, CursorSync)
        for group in replaying.gathered(pulled) if cursor else [[one] for one in pulled]:
            self._tell(group)
            yield partial(self._several if cursor else self._one, trial, group)
        for feed in replaying.feeds(self._stream):
            for group in replaying.gathered(replaying.pushed(feed, zone=self._zone)):
                self._tell(group)
                yield partial(self._pushed, trial, feed, group)
        yield partial(self._quarantined, trial)

    def _windows(self) -> list[Window | None]:
        """The windows that are landed, as the file cuts time."""
        sync = self._stream.stream.sync
        if not isinstance(sync, WindowSync):
            return [None]
        until = self._clock() + LENGTH[sync.cadence]
        landed = {one.window for one in self._zone.every(self._stream.source)}
        every = sync.windows(self._stream.connection.begins_at, until)
        return [window for window in every if window in landed]

    def _tell(self, group: list[Manifest]) -> None:
        self.landings += len(group)
        self._looked(group[-1])

    def _one(self, trial: Trial, group: list[Manifest]) -> LedgerEntry:
        (manifest,) = group
        line = loading.line(self._stream.id, manifest, run=self._run, clock=self._clock)
        with trial.transaction() as transaction:
            return loading.load_in(
                transaction, self._stream, manifest, line,
                zone=self._zone, run=self._run, found=Checked(),
            )  # fmt: skip

    def _several(self, trial: Trial, group: list[Manifest]) -> LedgerEntry:
        with trial.transaction() as transaction:
            return replaying.pulled_in(
                transaction, self._stream, group, zone=self._zone, run=self._run, clock=self._clock
            )[1]

    def _pushed(self, trial: Trial, feed: BoundFeed, group: list[Manifest]) -> LedgerEntry | None:
        with trial.transaction() as transaction:
            loaded = replaying.pushed_in(
                transaction, self._stream, feed, group,
                zone=self._zone, run=self._run, clock=self._clock,
            )  # fmt: skip
        return loaded[1] if loaded else None

    def _quarantined(self, trial: Trial) -> LedgerEntry | None:
        """What none of these landings holds any more, by its own bytes."""
        with trial.transaction() as transaction:
            every = quarantine.open_records(
                trial.connection, self._stream.id, kind="data", besides=self._run.run_id,
                table=transaction.quarantine,
            )  # fmt: skip
            left = [one for one in every if one.rule != HINT]
            line = None
            if left:
                line = retrying.retry_in(transaction, self._stream, self._line(len(left)), left)
            transaction.commit(self._stream.id)
        return line

    def _line(self, records: int) -> LedgerEntry:
        return LedgerEntry(
            stream=self._stream.id,
            cause="retry",
            run_id=self._run.run_id,
            began_at=self._clock(),
            records=records,
        )


def _currencies(stream: BoundStream) -> dict[str, str | None]:
    """The entity's exact decimals, each with the column that says in which currency it is: the
    one that its unit names."""
    columns = stream.mapping.entity.columns()
    names = {column.name for column in columns}
    return {
        column.name: column.unit if column.unit in names else None
        for column in columns
        if column.type == MONEY
    }
