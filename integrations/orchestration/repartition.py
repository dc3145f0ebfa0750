"""What Dagster shows of a stream whose time is cut anew: just the windows that are proven.

Dagster knows partitions by their keys alone. The key of an old window may be that of a new one, and
one committed hour would show a whole day green. Its storage for PostgreSQL cannot wipe single
partitions, so the history of the stream's assets goes, and the proven windows are reported for it,
without a run. A wipe empties Dagster's cache of partitions too, and events before it do not count.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from integrations.connector_template.repartition import Proven, Repartition
from integrations.names import StreamId
from integrations.orchestration import checks, keys
from integrations.orchestration.partitions import partitions


def show(instance: dg.DagsterInstance, made: Repartition) -> None:
    """Makes the green partitions of the stream's assets those that are proven: of canonical and
    table all of them, of raw those of which there is a landing of their own. Of children nobody has
    proven any; a replay makes them.

    Called again it ends alike.
    """
    stream = made.stream
    instance.wipe_assets(keys.of_stream(stream))
    definition = partitions(stream)
    if definition is None:
        return
    for one in made.proven:
        window = one.position.window
        assert window is not None, "what is proven is a window"
        partition = window.start.strftime(definition.fmt)
        for event in _events(stream.id, one, partition, was=made.was.windows):
            instance.report_runless_asset_event(event)
        for evaluation in _evaluations(stream.id, one, partition):
            instance.report_runless_asset_event(checks.targeted(evaluation, instance))


def _events(
    stream: StreamId, one: Proven, partition: str, *, was: str
) -> Iterator[dg.AssetMaterialization]:
    raw, canonical, table = keys.trio(stream)
    for key in (raw, canonical, table) if one.landed else (canonical, table):
        metadata = {"repartitioned": f"proven by the ledger; its windows were {was}"}
        yield dg.AssetMaterialization(key, partition=partition, metadata=metadata)


def _evaluations(
    stream: StreamId, one: Proven, partition: str
) -> Iterable[dg.AssetCheckEvaluation]:
    for name in (checks.STRUCTURE, checks.ERROR_SHARE, checks.BALANCE, checks.DRIFT):
        warned = name == checks.ERROR_SHARE and one.warned
        yield checks.evaluation(name, stream, passed=not warned, warn=warned, partition=partition)
