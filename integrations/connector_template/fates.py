"""Fates: what every load made of one record's statements, asked of the loader itself.

The loads are played again in the order of their ledger lines (`storage.rehearsal`). Mapped they are
as the mapping is today; only what quarantine still holds is known to have been refused before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from integrations.connector_template.connector import BoundFeed, BoundStream
from integrations.connector_template.feed_loading import HINT
from integrations.connector_template.statements import Finder, Loaded, Statement
from integrations.storage.history import Line, Row
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said
from integrations.storage.manifest import Manifest
from integrations.storage.merge import DELETE
from integrations.storage.quarantine import REFUSED, QuarantinedRecord
from integrations.storage.rehearsal import Act, Rehearsal
from integrations.sync_state.windows import FullSync
from integrations.transformation.transform import PULL, PUSH

ABSENT = "absent_deleted"
_WRITTEN = ("inserted", "updated", "unchanged", "stale", "deleted", "filtered")


@dataclass(frozen=True, kw_only=True)
class Landed:
    """All that is landed of a stream and of the feeds that speak of it, in the order of saying."""

    pulls: list[Manifest]
    pushes: list[tuple[BoundFeed, Manifest]]

    @property
    def landings(self) -> set[str]:
        return {one.landing for one in self.pulls} | {one.landing for _, one in self.pushes}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a record beside its statements: its row, and its entry in quarantine."""

    landed: Landed
    row: Row | None
    entry: QuarantinedRecord | None


class Fates:
    """Plays a record's loads, and notes in its statements what became of them."""

    def __init__(
        self,
        stream: BoundStream,
        known: Known,
        statements: list[Statement],
        *,
        lines: list[Line],
        rehearsal: Rehearsal,
        finder: Finder,
    ) -> None:
        self.statements = statements
        self.notes: list[str] = []
        self._stream, self._lines = stream, lines
        self._row, self._entry = known.row, known.entry
        landed, entry = known.landed, known.entry
        self._rehearsal, self._finder = rehearsal, finder
        self._pulls = {one.landing: one for one in landed.pulls}
        self._feeds = {one.landing: feed for feed, one in landed.pushes}
        self._pushes = [one for _, one in landed.pushes]
        self._replayed: dict[tuple[str, str], int] = {}
        refusing = [one.number for one in lines if entry and one.run_id == entry.run_id]
        self._refused_until = max(refusing, default=-1)

    def play(self) -> None:
        """Every load that may have been about the record, in the order of the commits."""
        for line in self._lines:
            if line.status == "failed":
                continue
            if line.cause == "reconcile":
                self._reconciled(line)
            elif line.cause == "retry":
                self._retried(line)
            elif line.cause == "replay" and self._rebuilds(line):
                if line.status != "blocked":  # which leaves everything as it was
                    self._load(line, self._all_before(line), anew=True)
            elif line.landing in self._feeds:
                self._load(line, self._of(self._pushed(line)))
            elif line.landing in self._pulls:
                self._load(line, self._of({line.landing}), pull=self._pulls[line.landing])

    def _of(self, landings: set[str]) -> list[Statement]:
        return [one for one in self.statements if one.manifest and one.manifest.landing in landings]

    def _rebuilds(self, line: Line) -> bool:
        """A replay takes one pull as it is, and the feed's apart; a rebuild takes all at once."""
        pull = self._pulls.get(line.landing or "")
        return line.landing is None or (pull is not None and pull.records != line.records)

    def _all_before(self, line: Line) -> list[Statement]:
        newest: dict[object, str] = {}
        for pull in self._pulls.values():
            if pull.ended_at <= line.began_at:
                newest[pull.landing if pull.cursor else pull.window] = pull.landing
        pushes = {one.landing for one in self._pushes if one.ended_at <= line.began_at}
        return self._of(set(newest.values()) | pushes)

    def _pushed(self, line: Line) -> set[str]:
        """The feed's landings of a load: a replay takes many at once, and is called by the last."""
        assert line.landing is not None, "it is a landing of a feed"
        if line.cause != "replay":
            return {line.landing}
        feed = self._feeds[line.landing]
        mine = [one for one in self._pushes if self._feeds[one.landing] is feed]
        (end,) = (at for at, one in enumerate(mine) if one.landing == line.landing)
        begin = self._replayed.get((line.run_id, feed.id.stream), 0)
        self._replayed[line.run_id, feed.id.stream] = end + 1
        return {one.landing for one in mine[begin : end + 1] if one.ended_at <= line.ended_at}

    def _load(
        self,
        line: Line,
        told: list[Statement],
        *,
        pull: Manifest | None = None,
        anew: bool = False,
    ) -> None:
        complete = pull is not None and self._complete(line, pull)
        if not told and not complete and not anew:
            return
        speaking = [one for one in told if one.result is not None]
        passing = [one for one in speaking if self._passes(one, line)]
        refused = [one for one in speaking if one not in passing]
        feed = self._feeds.get(line.landing or "")
        act = Act(
            entry=_entry(self._stream, line, pull),
            results=[one.result.rows for one in passing if one.result],
            refused=[self._refusal(one) for one in refused],
            repeated=sum(one.hint for one in told) - sum(one.how == "fetched" for one in told),
            said=Said(
                at=pull.said_at if pull else None,
                complete=complete,
                feed=feed.id.stream if feed else None,
            ),
            positioned=pull is not None and not anew,
            blocked=line.status == "blocked",
            anew=anew,
        )
        done, stands = self._rehearsal.play(act)
        for at, one in enumerate(passing):
            fate = None if act.blocked else _written(done) if at == stands else "duplicate"
            one.loads.append(Loaded(line=line, fate=fate))
        for one in refused:
            withdrew = bool(done.withdrawn)
            one.loads.append(Loaded(line=line, fate="quarantined", withdrew=withdrew))
        if done.absent_deleted and pull is not None:
            absent = Statement(how="absent", said_at=pull.at, manifest=pull)
            absent.loads.append(Loaded(line=line, fate=ABSENT))
            self.statements.append(absent)

    def _complete(self, line: Line, pull: Manifest) -> bool:
        """Whether who is not in the reading was deleted by its load. One that speaks of a part of
        the rows is believed to have meant this one where its row says so still."""
        sync = self._stream.stream.sync
        absence = isinstance(sync, FullSync) and sync.deletes == "absence"
        if isinstance(sync, FullSync) and sync.among is not None:
            row = self._row or {}
            absence = row.get("_rank") == DELETE and row.get("_deleted_at") == pull.said_at
        done = line.status in ("ok", "warn") and line.error is None
        return absence and done and line.cause != "replay"

    def _passes(self, one: Statement, line: Line) -> bool:
        return one.refused is None and not self._was_refused(one, line)

    def _was_refused(self, one: Statement, line: Line) -> bool:
        """Whether quarantine knows that the load refused what the mapping takes today."""
        return self._is_entrys(one) and line.number <= self._refused_until

    def _is_entrys(self, one: Statement) -> bool:
        entry = self._entry
        return (
            entry is not None
            and one.manifest is not None
            and one.manifest.landing == entry.landing
            and one.record == entry.raw
        )

    def _refusal(self, one: Statement) -> pa.Table:
        if one.refused is not None and one.result is not None:
            return one.result.refused
        entry = self._entry
        assert entry is not None, "it was refused by what quarantine says"
        told = {name: getattr(entry, name) for name in ("key", "field", "rule", "reason", "kind")}
        row: dict[str, Any] = told | {"record": entry.raw, "seen_at": one.said_at}
        return pa.Table.from_pylist([row], schema=REFUSED)

    def _reconciled(self, line: Line) -> None:
        self._rehearsal.forget_floor()
        if self._row and self._row["_run_id"] == line.run_id:
            self.notes.append(
                f"its row was deleted, and brought back by hand (run {line.run_id}, "
                f"{line.ended_at:%Y-%m-%d %H:%M:%S} UTC)"
            )

    def _retried(self, line: Line) -> None:
        """Of a retry the ledger does not say whose it was: row and quarantine name its run."""
        entry = self._entry
        wrote = self._row is not None and self._row["_run_id"] == line.run_id
        if entry is None or not (wrote or entry.run_id == line.run_id):
            return
        if entry.rule == HINT:
            if wrote:
                self.notes.append(
                    f"its row was written by a retry (run {line.run_id}) that asked the source for "
                    "it; such an answer is not landed"
                )
            return
        mine = next(filter(self._is_entrys, self.statements), None)
        if mine is None:
            rank = PUSH if entry.feed else PULL
            mine = self._finder.retried(
                entry.raw, said_at=entry.said_at, rank=rank, rule=entry.rule
            )
            self.statements.append(mine)
        self._load(line, [mine])


def _entry(stream: BoundStream, line: Line, pull: Manifest | None) -> LedgerEntry:
    return LedgerEntry(
        stream=stream.id,
        cause=line.cause,
        run_id=line.run_id,
        began_at=line.began_at,
        window=pull.window if pull else None,
        landing=line.landing,
    )


def _written(entry: LedgerEntry) -> str:
    (fate,) = (fate for fate in _WRITTEN if getattr(entry, fate))
    return fate


def ordered(statements: Iterable[Statement]) -> list[Statement]:
    """The order of saying; what was said at one time, by the order in which it was found."""
    return sorted(statements, key=lambda one: one.said_at)
