"""Runs as `integrations up` makes them: what a tick of a schedule asks for, each executed by a
process that the run launcher starts, which is this one.

Not `dagster dev` itself, which takes tens of seconds to begin and knows no clock but the machine's.
"""

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from integrations.commands import choose
from integrations.commands import sync as command
from integrations.connector_template.connector import BoundFeed
from integrations.orchestration import keys, resources, schedules, stack
from integrations.orchestration.resources import StoreResource

LAUNCHED = "launched"
"""The command line of such a process begins with this word; a stream's or feed's name follows."""


def launched(name: str) -> int:
    """Runs what is due of a stream or feed; gives 1 where a run is called anything but well
    ended, by itself or by others, or nothing is due."""
    (reader,) = [one for one in choose.readers(None) if str(one.id) == name]  # type: ignore[arg-type]  # its stand-in needs no settings
    asked = schedules.feed_requests if isinstance(reader, BoundFeed) else schedules.requests
    requests = [*asked(reader, StoreResource(), resources.now())]
    job = command.build([]).resolve_job_def(keys.job(reader.id.connector, reader.id.connection))
    with stack.instance() as instance:
        ended = [one for one in requests if _ends_well(one, job, instance)]
    return int(len(ended) < len(requests) or not ended)


def _ends_well(
    request: dg.RunRequest | dg.SkipReason, job: dg.JobDefinition, instance: dg.DagsterInstance
) -> bool:
    if not isinstance(request, dg.RunRequest):
        return False
    chosen = set(request.asset_selection or ())
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=chosen),
        tags=request.tags,
        asset_selection=chosen,
        status=dg.DagsterRunStatus.STARTING,
    )
    for _ in execute_run_iterator(InMemoryJob(job), run, instance):
        pass  # it executes as it is asked for events
    known = instance.get_run_by_id(run.run_id)
    # A command beside it that takes it for dead ends it; its own end would hide that.
    called_dead = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return known is not None and known.is_success and not called_dead
