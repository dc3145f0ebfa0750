"""What Dagster keeps of a failed run: words for people, without secrets, and what of them is new.

A command that has run the run in its own process reads the ledger for what failed; what no line of
it says stands in the failure's metadata.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource

from integrations.redaction import redact, redacted

UNTOLD = "beyond the ledger"
"""The metadata of a run's failure that holds what of it no ledger line says, one a line."""


def failure(
    description: str, error: Exception | None = None, *, untold: Sequence[str] | None = None
) -> dg.Failure:
    """What Dagster keeps of an error: its words and its trace without the secrets in it. `untold`
    is what of the words is in no ledger line, None for all of them."""
    metadata: dict[str, dg.MetadataValue] = {}
    if error is not None:
        metadata["trace"] = dg.MetadataValue.md(f"```\n{redacted(error)}\n```")
    if untold is not None:
        metadata[UNTOLD] = dg.MetadataValue.text(redact("\n".join(untold)))
    return dg.Failure(redact(description), metadata=metadata, allow_retries=False)


def unexplained(result: dg.ExecuteInProcessResult) -> str:
    """What a run that failed says beyond its ledger lines; nothing when these say it all.

    Raises KeyboardInterrupt when it was interrupted: Dagster makes a failure of that.
    """
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.error_source is ErrorSource.INTERRUPT:
                raise KeyboardInterrupt
            told = data.user_failure_data
            if told and UNTOLD in told.metadata:
                return str(told.metadata[UNTOLD].value)
            error = data.error and (data.error.cause or data.error)
            return (told and told.description) or (error.message.strip() if error else "")
    return "its run failed outside of its step; the Dagster UI says why"
