"""What must not be asked again in a run, noted on the run: steps are processes of their own.

A refused credential concerns every stream of its connection, and a source locks an account that
keeps trying. A command that makes one run after the other reads the same notes.
"""

import dagster as dg
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

from integrations.errors import Barred, StopConnection
from integrations.names import StreamId

_TAG = f"{HIDDEN_TAG_PREFIX}stopped/"


def note(instance: dg.DagsterInstance, run_id: str, error: Exception, of: StreamId) -> None:
    """Notes what an error of the stream says of others: of its connection, or of its windows."""
    if isinstance(error, StopConnection | Barred):
        scope = str(of) if isinstance(error, Barred) else _connection(of)
        # With the run: a run that retries another one has its tags.
        instance.add_run_tags(run_id, {_TAG + scope: run_id})


def refused(instance: dg.DagsterInstance, run_id: str, of: StreamId) -> bool:
    """Whether the run has met that the credential of the stream's connection is refused."""
    return _noted(instance, run_id, _connection(of))


def ended(instance: dg.DagsterInstance, run_id: str, of: StreamId) -> bool:
    """The same, or that the stream is refused as a whole."""
    return _noted(instance, run_id, _connection(of), str(of))


def not_asked(of: StreamId) -> StopConnection:
    """The error of a stream whose sibling has met the refusal."""
    return StopConnection(
        f"the credential of {_connection(of)} was refused to another of its streams in this run, "
        "so nothing was asked",
        where=str(of),
        todo="What that stream says tells what to do.",
    )


def _connection(of: StreamId) -> str:
    return f"{of.connector}/{of.connection}"


def _noted(instance: dg.DagsterInstance, run_id: str, *scopes: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and any(run.tags.get(_TAG + scope) == run_id for scope in scopes)
