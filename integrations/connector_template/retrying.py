"""Quarantine again: records that could not pass, tried by their own bytes.

A record whose fault was in the mapping passes when that is corrected. One of kind `transient` could
not be fetched: the next syncs try it again, a few times and more and more rarely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pyarrow as pa

from integrations.connector_template import loading, lookups
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.feed_loading import HINT, answered
from integrations.connector_template.hints import MOST_AWAY, fetch_one, unasked
from integrations.connector_template.run import Clock, Run
from integrations.errors import Barred, CircuitOpen, RetryLater, StopStream
from integrations.storage import fetched, quarantine
from integrations.storage.fetched import Fetched
from integrations.storage.ledger import BLOCK_LEAST, LedgerEntry
from integrations.storage.loader import BRAKE_SHARE, Said
from integrations.storage.quarantine import TRANSIENT, QuarantinedRecord
from integrations.storage.transaction import Transaction
from integrations.transformation.arrow import array
from integrations.transformation.explode import EACH
from integrations.transformation.rule import TIMESTAMP
from integrations.transformation.transform import PULL, PUSH, Transformer
from integrations.transformation.transformed import Transformed
from integrations.transport import Session
from integrations.transport.listing import Listing

AT_ONCE = 200
"""Entries that a sync tries by the way: each may have to be waited for."""
_LACKS = "not at the source, like many others: is `one` right?"


@dataclass(frozen=True)
class Retried:
    """The ledger line of a retry (None: there was nothing to try), and the keys that pass now."""

    entry: LedgerEntry | None
    passed: tuple[str, ...] = ()


def due_again(
    stream: BoundStream,
    *,
    connection: psycopg.Connection[Any],
    session: Session[Listing] | None,
    run: Run,
    clock: Clock,
) -> Retried:
    """Tries some of what could not be fetched and is due again. Raises as `retry` does."""
    entries = quarantine.open_records(connection, stream.id, kind=TRANSIENT, limit=AT_ONCE)
    connection.rollback()
    return retry(stream, entries, connection=connection, session=session, run=run, clock=clock)


def retry(
    stream: BoundStream,
    entries: Sequence[QuarantinedRecord],
    *,
    connection: psycopg.Connection[Any],
    session: Session[Listing] | None,
    run: Run,
    clock: Clock,
) -> Retried:
    """Loads what passes now of these entries, in one transaction; the others count one try more.

    Entries that wait to be fetched are left alone without a session. Raises as `Load.open` does,
    and StopConnection when the source refuses the credential.
    """
    hints = [one for one in entries if one.rule == HINT]
    told = [one for one in entries if one.rule != HINT]
    began_at = clock()
    answers = _asked(stream, hints, session=session, clock=clock) if session else []
    lacking = [one for one in answers if one.record is None and one.problem is None]
    if _braked(len(lacking), of=len(answers)) and not run.accept:
        answers = [replace(one, problem=_LACKS) if one in lacking else one for one in answers]
    tried = len(told) + len(answers)
    if not tried:
        return Retried(None)
    loading.prepare(stream, connection=connection)
    line = LedgerEntry(
        stream=stream.id,
        cause="retry",
        run_id=run.run_id,
        began_at=began_at,
        records=tried,
        api_calls=len(answers),
    )
    with Transaction.open(connection, [stream.id], clock=clock) as transaction:
        line = retry_in(transaction, stream, line, told, answers)
        keys = [one.key for one in entries]
        still = {one.key for one in quarantine.open_records(connection, stream.id, keys=keys)}
        transaction.commit(stream.id)
    return Retried(line, tuple(key for key in keys if key not in still))


def retry_in(
    transaction: Transaction,
    stream: BoundStream,
    line: LedgerEntry,
    told: Sequence[QuarantinedRecord],
    answers: Sequence[Fetched] = (),
) -> LedgerEntry:
    """Loads entries by their own bytes, and what was fetched for others, in a transaction that is
    open; gives the ledger line as written. The caller commits."""
    load = loading.opened(stream, transaction)
    transformer = lookups.transformer(stream, connection=transaction.connection)
    for result in _results(transformer, told, answers):
        loading.staged(load, result)
    # A person, or the clock, has asked for just these: their share says nothing.
    line = load.settled(load.judged(line, accept=True), said=Said())
    return transaction.write(replace(line, status="warn" if line.quarantined else "ok"))


def _results(
    transformer: Transformer, told: Sequence[QuarantinedRecord], answers: Sequence[Fetched]
) -> list[Transformed]:
    results = []
    # An entry's bytes are a unit, unless it is of a record that could not be taken apart.
    for units in (False, True):
        entries = [one for one in told if (one.rule != EACH) == units]
        if not entries:
            continue
        records = array([one.raw for one in entries], pa.binary())
        said_at = array([one.said_at for one in entries], TIMESTAMP)
        ranks = array([PUSH if one.feed else PULL for one in entries], pa.int16())
        results.append(transformer.run(records, seen_at=said_at, rank=ranks, units=units))
    if answers:
        results += answered(transformer, fetched.table(answers))
    return results


def _asked(
    stream: BoundStream,
    entries: Sequence[QuarantinedRecord],
    *,
    session: Session[Listing],
    clock: Clock,
) -> list[Fetched]:
    """What the source says of these keys; those after some for which it does not answer are left
    as they are, or an hour without it would use up all their tries."""
    answers: list[Fetched] = []
    away = 0
    for entry in entries:
        key = entry.raw.decode()
        try:
            answers.append(fetch_one(stream, key, session=session, clock=clock))
            away = 0
        except CircuitOpen:
            break
        except (RetryLater, StopStream) as error:
            answers.append(unasked(stream.id.stream, key, error, session=session, clock=clock))
            away = away + 1 if isinstance(error, RetryLater | Barred) else 0
            if away >= MOST_AWAY:
                break
    return answers


def _braked(lacking: int, *, of: int) -> bool:
    """Whether so many are not at the source that they are more likely asked for where they are
    not: then nothing is deleted, unless a person accepts it."""
    return lacking >= BLOCK_LEAST and lacking > BRAKE_SHARE * of
