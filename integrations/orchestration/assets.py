"""A stream's three assets, in one step.

With three separate steps a run over thirty windows whose seventeenth fetch fails would load
nothing; in one step each window lands, is checked and is loaded before the next begins.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle

from integrations.connector_template.connector import BoundStream
from integrations.orchestration import checks, columns, descriptions, keys, lookups
from integrations.orchestration.partitions import partitions
from integrations.orchestration.step import SyncConfig, sync_stream
from integrations.transformation.describe import mapping_hash

_CONFIG = SyncConfig.to_fields_dict()
"""Made once: to make it for each of hundreds of streams takes a tenth of their loading."""


def stream_assets(stream: BoundStream) -> dg.AssetsDefinition:
    """The multi-asset of a stream: raw, canonical and table, and the latter two of its children;
    each skippable and selectable."""
    definition = partitions(stream)
    resource = keys.connection(stream.id.connector, stream.id.connection)

    @dg.multi_asset(
        name=keys.op(stream.id),
        specs=_specs(stream),
        check_specs=[
            spec for one in stream.family for spec in checks.check_specs(one.id, definition)
        ],
        partitions_def=definition,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        pool=resource,
        required_resource_keys={resource, keys.STORE},
        config_schema=_CONFIG,
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.DagsterEvent]:
        config = SyncConfig(**context.op_execution_context.op_config)
        # Materializations are logged window by window, so that what is loaded shows at once.
        sync_stream(stream, context, config)
        yield from outputs(context)

    return step


def outputs(context: dg.AssetExecutionContext) -> Iterator[dg.DagsterEvent]:
    """The step's outputs, without a value and without a second materialization of all windows.

    An asset of the user's in the same run, downstream of ours, would be skipped without them, in a
    run that ends green.
    """
    step = context.get_step_execution_context()
    for name in sorted(context.op_execution_context.selected_output_names):
        handle = StepOutputHandle(step_key=step.step.key, output_name=name)
        yield dg.DagsterEvent.step_output_event(step, StepOutputData(handle))


def _specs(stream: BoundStream) -> list[dg.AssetSpec]:
    """The specs of the step, with all that the UI shows of them before their first run."""
    transport = stream.config.sync_handler.transport.type
    raw = dg.AssetSpec(
        keys.raw(stream.id),
        kinds={transport, "parquet"},
        description=descriptions.raw(stream),
        metadata=columns.raw(stream),
        **_shared(stream),
    )
    return [raw, *(spec for one in stream.family for spec in _made(one, raw.key))]


def _made(stream: BoundStream, raw: dg.AssetKey) -> list[dg.AssetSpec]:
    """What is made of a landing: canonical and table of a stream, or of a child of it."""
    shared = _shared(stream)
    canonical, table = keys.pair(stream.id)
    return [
        dg.AssetSpec(
            canonical,
            deps=[raw, *lookups.deps(stream)],
            kinds={"pandera", "arrow"},
            description=descriptions.canonical(stream),
            metadata=columns.canonical(stream),
            code_version=mapping_hash(stream.mapping),
            **shared,
        ),
        dg.AssetSpec(
            table,
            deps=[canonical],
            kinds={"postgres", "table"},
            description=descriptions.table(stream),
            metadata={
                "dagster/table_name": f"canonical.{stream.mapping.entity.entity_name()}",
                **columns.table(stream),
            },
            **shared,
        ),
    ]


def _shared(stream: BoundStream) -> dict[str, Any]:
    id_ = stream.id
    return {
        "skippable": True,
        "group_name": keys.connection(id_.connector, id_.connection),
        "owners": list(stream.config.owners),
        "tags": {
            "integrations/connector": id_.connector,
            "integrations/connection": id_.connection,
            "integrations/entity": stream.mapping.entity.entity_name(),
        },
        "partitions_def": partitions(stream),
    }
