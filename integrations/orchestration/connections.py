"""What Dagster knows of a connection: runs that are under way, and the history of its assets."""

import dagster as dg

from integrations.orchestration import keys
from integrations.orchestration.runs import UNFINISHED, fail_dead_runs


def under_way(instance: dg.DagsterInstance, connector: str, name: str) -> list[str]:
    """The ids of the runs of a connection that have not ended, waiting ones too.

    Those whose process died do not count: they are ended first.
    """
    fail_dead_runs(instance)
    statuses = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
    job = keys.job(connector, name)
    return [
        run.run_id
        for run in instance.get_runs(dg.RunsFilter(statuses=statuses))
        if any(list(key.path[:2]) == [connector, name] for key in run.asset_selection or ())
        or (not run.asset_selection and run.job_name in (job, _EVERYTHING))
    ]


def forget(instance: dg.DagsterInstance, connector: str, name: str) -> None:
    """Wipes the history of a connection's assets: a window that was green then would stay so, and
    a connection that is added again under the name starts from nothing."""
    found = [key for key in instance.all_asset_keys() if list(key.path[:2]) == [connector, name]]
    if found:
        instance.wipe_assets(found)


_EVERYTHING = "__ASSET_JOB"
"""Dagster's own job of all assets."""
