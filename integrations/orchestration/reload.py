"""A connection that was added or removed shows in a running Dagster, without a restart.

Dagster reads its definitions once. `integrations up` writes into the home where its UI serves, and
whoever changes a connection asks there that the code location be read again. Dagster calls it
loaded before its assets can be asked for, so we wait for our own.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from integrations.errors import FixConfig, RetryLater
from integrations.names import StreamId
from integrations.orchestration import keys
from integrations.orchestration.stack import STATE, here
from integrations.processes import living

LOCATION = "integrations"
"""As in workspace.yaml."""
PATIENCE_S = 120.0
"""Definitions of many connectors load in tens of seconds."""
_LOOK_S = 0.2
_ADVICE = f"Reload the code location {LOCATION!r} in Dagster's UI."

_RELOAD = """
mutation($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message } }
    }
    ... on Error { message }
  }
}"""
_SCHEDULES = """
{
  repositoriesOrError {
    ... on RepositoryConnection { nodes { schedules { name scheduleState { status } } } }
  }
}"""
_ASSETS = "query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { assetKey { path } } }"


def served(home: Path) -> str | None:
    """The URL of the UI that `integrations up` serves for this home; None where it does not."""
    try:
        said = json.loads((home / STATE).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or living(said) is None or not isinstance(said.get("port"), int):
        return None
    return f"http://127.0.0.1:{said['port']}"


def reload(
    url: str, streams: Iterable[StreamId], *, there: int, patience_s: float = PATIENCE_S
) -> None:
    """Has the code location read again, and returns when `there` of these streams' tables can be
    asked for: all of them after they were added, 0 after they were removed.

    Raises FixConfig when the definitions do not load, RetryLater when it takes longer than
    `patience_s` seconds.
    """
    until = time.monotonic() + patience_s
    _reload(url, until)
    wanted = [{"path": list(keys.table(stream).path)} for stream in streams]
    while len(_ask(url, until, _ASSETS, keys=wanted)["assetNodes"]) != there:
        time.sleep(_LOOK_S)
        if time.monotonic() > until:
            raise RetryLater(f"Dagster at {url} has not changed yet", todo=_ADVICE)


def stopped(url: str, readers: Iterable[StreamId], *, patience_s: float = PATIENCE_S) -> list[str]:
    """The names of these streams' and feeds' schedules that do not run there. Raises RetryLater
    where that cannot be asked."""
    names = {keys.schedule(reader) for reader in readers}
    found = _ask(url, time.monotonic() + patience_s, _SCHEDULES)["repositoriesOrError"]
    return sorted(
        one["name"]
        for repository in found.get("nodes", ())
        for one in repository["schedules"]
        if one["name"] in names and one["scheduleState"]["status"] != "RUNNING"
    )


def _reload(url: str, until: float) -> None:
    answer = _ask(url, until, _RELOAD, location=LOCATION)["reloadRepositoryLocation"]
    found = answer.get("locationOrLoadError") or answer
    if "message" in found:
        said = str(found["message"]).strip().splitlines()[:1]
        raise FixConfig(f"Dagster at {url} cannot load: {''.join(said)}", todo=_ADVICE)


def _ask(url: str, until: float, query: str, **variables: Any) -> dict[str, Any]:
    """The data of a GraphQL answer. A UI that is just starting is waited for."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(  # noqa: S310  # our own UI
        f"{url}/graphql", body, {"Content-Type": "application/json"}
    )
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise RetryLater(f"Dagster at {url} does not answer", todo=_ADVICE)
        try:
            with here(request, timeout_s=left) as answer:
                data: dict[str, Any] | None = json.load(answer).get("data")
        except urllib.error.HTTPError as error:
            error.close()
            raise RetryLater(f"Dagster at {url} answered {error.code}", todo=_ADVICE) from error
        except (OSError, ValueError):
            time.sleep(_LOOK_S)
            continue
        if data is None:
            raise RetryLater(f"Dagster at {url} understands no GraphQL", todo=_ADVICE)
        return data
