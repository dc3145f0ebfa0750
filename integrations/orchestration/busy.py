"""Whether a stream, a feed or a whole connection is being read by a run."""

from collections.abc import Callable

import dagster as dg

from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.runs import UNFINISHED, fail_dead_runs


def runs_of(instance: dg.DagsterInstance, reader: StreamId) -> list[str]:
    """The ids of the runs of a stream or feed that have not ended, waiting ones too.

    Those whose process died do not count: they are ended first.
    """
    assets = keys.trio(reader)
    job = keys.job(reader.connector, reader.connection)
    return _unfinished(instance, job, lambda key: key in assets)


def runs_of_connection(instance: dg.DagsterInstance, connector: str, name: str) -> list[str]:
    """The same for all that a connection has."""
    job = keys.job(connector, name)
    return _unfinished(instance, job, lambda key: list(key.path[:2]) == [connector, name])


def _unfinished(
    instance: dg.DagsterInstance, job: str, matches: Callable[[dg.AssetKey], bool]
) -> list[str]:
    """Those that work on an asset that matches: chosen by asset, by the job, or as one of all."""
    fail_dead_runs(instance)
    statuses = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
    return [
        run.run_id
        for run in instance.get_runs(dg.RunsFilter(statuses=statuses))
        if (
            any(map(matches, run.asset_selection))
            if run.asset_selection
            else run.job_name in (job, _EVERYTHING)
        )
    ]


_EVERYTHING = "__ASSET_JOB"
"""Dagster's own job of all assets."""
