"""Connectors on Dagster: other people's systems in, checked tables out.

The layers, from the top; imports point down, and a test says so:

    definitions  cli  commands                  what Dagster loads; what a person types
    orchestration                               all that imports Dagster
    connector_template  monitoring              the five parts and their pipeline; the numbers
    sync_state  error_handling  transport  transformation
    auth  canonical                             credentials that do no I/O; one model an entity
    storage                                     PostgreSQL, landings, the loader, quarantine
    errors  names  redaction  secrets  settings

`connectors` hold files and a few functions on columns, `sandbox` the local twins of the systems.

One word per idea:

    connector    the kind of system            connection  one account at it
    stream       one kind of record            entity      what it becomes
    window       half-open [start, end), UTC   overlap     5 minutes before it, fetched again
    page         one answer of the source      record      as the source sent it
    batch        records in memory             landing     what one pull wrote, never overwritten
    feed         a stream of changes           event       a change, routed to the stream it is of
    hint         an event that names a record  tombstone   a statement that a record is deleted
    position     what is committed             fate        what became of a record
    quarantine   records that could not pass, with reason and bytes
    ledger       the counts of every sync, which must balance
    twin         our local stand-in of an external system
"""

import os

# pyarrow reads it when it is first imported. A sync takes 80 MB beside an idle worker; with
# pyarrow's own default, which keeps what a batch needed for the next one, 150 MB, in as much CPU.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
