"""Whether a stream, or a feed, is being read by a run."""

import dagster as dg

from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.runs import UNFINISHED, fail_dead_runs


def runs_of(instance: dg.DagsterInstance, reader: StreamId) -> list[str]:
    """The ids of the runs of a stream or feed that have not ended, waiting ones too.

    Those whose process died do not count: they are ended first.
    """
    fail_dead_runs(instance)
    statuses = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
    jobs = (keys.job(reader.connector, reader.connection), _EVERYTHING)
    return [
        run.run_id
        for run in instance.get_runs(dg.RunsFilter(statuses=statuses))
        if (
            not run.asset_selection.isdisjoint(keys.trio(reader))
            if run.asset_selection
            else run.job_name in jobs
        )
    ]


_EVERYTHING = "__ASSET_JOB"
"""Dagster's own job of all assets."""
