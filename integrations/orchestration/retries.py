"""Which runs a run takes up, whose landings it need not fetch again."""

import dagster as dg
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, PARENT_RUN_ID_TAG, RESUME_RETRY_TAG

_UNSUCCESSFUL = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def retried(run: dg.DagsterRun, instance: dg.DagsterInstance) -> frozenset[str]:
    """The ids of the failed runs that `run` retries from their failure, one after the other.

    "Re-execute all" asks for everything anew, and so does whoever runs a green run again.
    """
    found: set[str] = set()
    while _resumes(run):
        parent = instance.get_run_by_id(run.tags[PARENT_RUN_ID_TAG])
        if parent is None or parent.status not in _UNSUCCESSFUL or parent.run_id in found:
            break
        found.add(parent.run_id)
        run = parent
    return frozenset(found)


def _resumes(run: dg.DagsterRun) -> bool:
    resumed = (run.tags.get(RESUME_RETRY_TAG), run.tags.get(ASSET_RESUME_RETRY_TAG))
    return PARENT_RUN_ID_TAG in run.tags and "true" in resumed
