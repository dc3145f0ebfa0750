"""What a person reads about a stream's assets: from the connector's file, so it cannot drift."""

from integrations.connector_template.connector import BoundStream
from integrations.sync_state.ages import Every
from integrations.sync_state.cursors import CursorSync
from integrations.sync_state.windows import OVERLAP, WindowSync
from integrations.transformation.describe import field_table

_OFTEN: dict[Every, str] = {"5min": "5 minutes", "hourly": "an hour", "daily": "a day"}


def raw(stream: BoundStream) -> str:
    """Where the records come from and how they are kept."""
    config, request = stream.config, stream.stream.request
    sync = stream.stream.sync
    if isinstance(sync, WindowSync):
        minutes = int(OVERLAP.total_seconds() // 60)
        when = f"One {sync.cadence} window a partition, fetched from {minutes} minutes before it."
    elif isinstance(sync, CursorSync):
        onward = (
            "Each pull reads the files that are new or changed"
            if stream.of_files
            else f"Each pull goes on where the last one ended (`{sync.position}`)"
        )
        when = f"{onward}, due again when that is older than {_OFTEN[sync.every]}."
    else:
        when = f"The whole stream each time, due again when older than one {sync.every} period."
    docs = f" [API documentation]({config.docs})" if config.docs else ""
    return (
        f"{config.title}: {stream.stream.description or stream.id.stream} as the source sent them "
        f"({request.asks}). {when}\n\nEach pull is a landing of its own (Parquet parts, then a "
        f"manifest) and is never overwritten.{docs}"
    )


def canonical(stream: BoundStream) -> str:
    """The mapping, field by field."""
    source = f"Those of `{stream.source.stream}`. " if stream.parent else ""
    return (
        f"{source}Records mapped to {stream.mapping.entity.entity_name()} and checked by pandera. "
        "What cannot pass goes to quarantine with its reason and its bytes; the others load.\n\n"
        f"{field_table(stream.mapping)}"
    )


def table(stream: BoundStream) -> str:
    """Where the rows are."""
    entity, id_, raw = stream.mapping.entity.entity_name(), stream.id, stream.source.stream
    return (
        f"Rows of canonical.{entity} with connector '{id_.connector}', connection "
        f"'{id_.connection}' and stream '{id_.stream}', one for each `source_id`. Rows, "
        "quarantine, position and ledger are committed in one transaction.\n\n"
        f"Materialize it together with `{raw}_raw` and `{id_.stream}_canonical` (Lineage, "
        "Upstream, Materialize all) to fetch, check and load. Without raw what is landed is loaded "
        "again, with what events said of it, and the source is not asked."
    )
