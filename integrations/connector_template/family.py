"""A stream and its children: one landing, several tables, one transaction.

Each has its own ledger line, quarantine and position. Where one of them is blocked nothing of any
is loaded: what the source said at one time is shown together, or not at all.
"""

import sys
from dataclasses import replace
from typing import Any

import psycopg

from integrations.connector_template import drift, loading
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.feed_loading import Part, held
from integrations.connector_template.loading import Checked, Child
from integrations.connector_template.run import Clock, Run
from integrations.errors import LedgerUnbalanced
from integrations.names import StreamId
from integrations.storage import positions
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import LedgerEntry
from integrations.storage.loader import Said
from integrations.storage.manifest import Manifest
from integrations.storage.parts import Batch
from integrations.storage.transaction import Transaction


class Family:
    """A stream's load and those of its children, in one transaction."""

    def __init__(self, stream: BoundStream, transaction: Transaction) -> None:
        self._transaction = transaction
        self.part = Part(stream, transaction)
        self._parts = [self.part, *(Part(one, transaction) for one in stream.children)]

    def add_pulled(self, batch: Batch, manifest: Manifest) -> None:
        """Stages records that were pulled."""
        for part in self._parts:
            sys.audit("integrations.transforming", str(part.stream.id))
            part.add_pulled(batch, manifest)

    def lend(self, batch: Batch, of: StreamId) -> None:
        """Stages for one of the family what a later landing has taken the place of."""
        for part in self._parts:
            if part.stream.id == of:
                part.lend(batch)

    def judged(self, draft: LedgerEntry, *, accept: bool, broken: str = "") -> list[LedgerEntry]:
        """The ledger lines, the stream's own first: what was asked of the source is its own.
        `broken` is another reason to block it."""
        first, *children = self._parts
        beside = replace(draft, api_calls=0, bytes=0, in_window=None)
        return [first.judged(draft, accept=accept, broken=broken)] + [
            part.judged(replace(beside, stream=part.stream.id), accept=accept) for part in children
        ]

    def settled(self, lines: list[LedgerEntry], *, said: Said, accept: bool) -> list[LedgerEntry]:
        """Brings all of it into the tables, or nothing: where one is blocked, or would delete too
        much, only what was refused stays in quarantine."""
        if not _blocked(lines):
            connection = self._transaction.connection
            connection.execute("SAVEPOINT family")
            done = [
                part.load.settled(line, said=said, accept=accept)
                for part, line in zip(self._parts, lines, strict=True)
            ]
            if not _blocked(done):
                connection.execute("RELEASE SAVEPOINT family")
                return done
            connection.execute("ROLLBACK TO SAVEPOINT family")
            lines = [
                after if after.status == "blocked" else before
                for before, after in zip(lines, done, strict=True)
            ]
        names = [line.stream for line in _blocked(lines)]
        return [
            part.load.blocked(held(line, names), said=said)
            for part, line in zip(self._parts, lines, strict=True)
        ]

    def move(self, lines: list[LedgerEntry], *, said: Said) -> None:
        """Brings the positions to what is loaded. A child's has no cursor."""
        for part, line in zip(self._parts, lines, strict=True):
            if part.stream.parent is not None:
                current = positions.generation(self._transaction.connection, part.stream.id)
                said = replace(said, generation=current, cursor=None)
            part.load.move(line, said=said, pin=loading.pin(part.stream))

    def written(self, lines: list[LedgerEntry]) -> LedgerEntry:
        """Adds the ledger lines; gives the stream's own. What was found knows the others; what is
        said of the source is news only where the stream's own shape is looked at."""
        found = self.part.found
        if found.shape is not None:
            for part in self._parts[1:]:
                part.found.drift = drift.of_words(part.stream, part.found.strange)
        first, *others = [
            self._transaction.write(replace(line, drift=part.found.drift.lines))
            for part, line in zip(self._parts, lines, strict=True)
        ]
        for part, line in zip(self._parts[1:], others, strict=True):
            found.children.append(Child(part.stream, part.found, line))
        return first


def load(
    stream: BoundStream,
    manifest: Manifest,
    *,
    connection: psycopg.Connection[Any],
    zone: LandingZone,
    run: Run,
    clock: Clock,
) -> tuple[Checked, LedgerEntry | None]:
    """As `loading.load`, with the stream's children."""
    loading.prepare(stream, connection=connection)
    ids = [one.id for one in stream.family]
    draft = loading.line(stream.id, manifest, run=run, clock=clock)
    with Transaction.open(connection, ids, clock=clock) as transaction:
        if run.cause != "replay" and loading.passed(stream, manifest, connection=connection):
            transaction.give_up()
            return Checked(), None
        family = Family(stream, transaction)
        shape = family.part.found.shape = None if run.cause == "replay" else drift.shape_of(stream)
        for batch in zone.batches(manifest):
            if shape is not None:
                shape.add(batch.records)
            family.add_pulled(batch, manifest)
        if family.part.units != manifest.records:
            told = f"{manifest.records} records fetched, {family.part.units} read"
            raise LedgerUnbalanced(told, where=str(stream.id))
        found, said = family.part.found, loading.said_by(stream, manifest, run)
        draft = replace(draft, in_window=found.in_window if manifest.window else None)
        broken = loading.judge(stream, manifest, found, connection=connection, run=run)
        lines = family.judged(draft, accept=run.accept, broken=broken)
        lines = family.settled(lines, said=said, accept=run.accept)
        family.move(lines, said=said)
        loading.remember(stream, found, lines[0], connection=connection)
        entry = family.written(lines)
        transaction.commit(stream.id)
    return found, entry


def _blocked(lines: list[LedgerEntry]) -> list[LedgerEntry]:
    return [line for line in lines if line.status == "blocked"]
