"""`integrations sync` and `integrations demo`: runs what is wanted and shows what became of it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

from rich.markup import escape
from rich.table import Table

from integrations import console
from integrations.commands import choose
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.folders import folders
from integrations.orchestration import stack
from integrations.orchestration.code_location import build
from integrations.orchestration.resources import StoreResource, now
from integrations.orchestration.runs import any_unfinished, fail_dead_runs
from integrations.orchestration.sync import Outcome, Planned, Wanted, execute, plan
from integrations.settings import Settings
from integrations.storage import quarantine

EXIT = {"failed": 1, "blocked": 3}
TOTALS = (
    "records", "received", "inserted", "updated", "unchanged", "stale", "duplicate", "filtered",
    "quarantined", "deleted", "absent_deleted",
)  # fmt: skip
COLUMNS = [
    ("stream", False), ("windows", True), ("records", True), ("inserted", True),
    ("updated", True), ("unchanged", True), ("refused", True), ("seconds", True),
    ("status", False),
]  # fmt: skip


def demo(*, as_json: bool) -> int:
    """Syncs the sandbox connection of every shipped connector; gives the exit status."""
    settings = Settings.find(create=True, cwd=stack.root())
    every = [s for s in choose.streams(settings) if s.id.connection == SANDBOX]
    return _run(settings, every, Wanted(), as_json=as_json)


def sync(select: tuple[str, ...], wanted: Wanted, *, as_json: bool) -> int:
    """Syncs what is selected, or what is ready; gives the exit status."""
    settings = Settings.find()
    found = choose.streams(settings)
    chosen = choose.selected(found, select) if select else choose.ready(found)
    return _run(settings, chosen, wanted, as_json=as_json)


def _run(settings: Settings, chosen: list[BoundStream], wanted: Wanted, *, as_json: bool) -> int:
    """Plans, runs and shows."""
    planned = plan(chosen, wanted, StoreResource(), now=now())
    outcomes: list[Outcome] = []
    with ExitStack() as resources:
        if any(one.stretches and one.stream.id.connection == SANDBOX for one in planned):
            resources.enter_context(stack.twins(settings))
        for outcome in _outcomes(settings, planned, wanted, hidden=as_json):
            outcomes.append(outcome)
            if as_json:
                console.json_line(as_values(outcome))
    if not as_json:
        _show(outcomes)
    found = {outcome.status for outcome in outcomes}
    return next((code for status, code in EXIT.items() if status in found), 0)


def _outcomes(
    settings: Settings, planned: list[Planned], wanted: Wanted, *, hidden: bool
) -> Iterator[Outcome]:
    """Runs stream after stream; what a stream's failure leaves undone is its own."""
    if not any(one.stretches for one in planned) and not _runs_left():
        # Then Dagster need not even be loaded.
        yield from (Outcome(one.stream) for one in planned)
        return
    with (
        stack.instance() as instance,
        console.bar(sum(one.windows for one in planned), hidden=hidden) as bar,
    ):
        fail_dead_runs(instance)
        defs = build(folders(settings.connectors_path))
        for one in planned:
            bar.at(str(one.stream.id))
            outcome = execute(
                one, defs, instance, accept=wanted.accept, on_window=lambda _: bar.step()
            )
            bar.settle(one.windows)
            yield outcome


def _runs_left() -> bool:
    """Whether a run is unfinished, which may be a dead one."""
    with closing(StoreResource().connect()) as connection:
        return any_unfinished(connection)


def as_values(outcome: Outcome) -> dict[str, Any]:
    """An outcome as the JSON line of the contract."""
    id_ = outcome.stream.id
    return {
        "connector": id_.connector,
        "connection": id_.connection,
        "stream": id_.stream,
        "windows": outcome.windows,
        **{name: outcome.total(name) for name in TOTALS},
        "error_rate": round(outcome.error_rate, 6),
        "api_calls": outcome.total("api_calls"),
        "seconds": round(float(outcome.total("seconds")), 3),
        "status": outcome.status,
    }


def _show(outcomes: list[Outcome]) -> None:
    """The summary, then what was refused and why, then what failed."""
    out = console.out()
    out.print(summary(outcomes))
    if not any(outcome.windows for outcome in outcomes):
        out.print("Nothing was due: everything is loaded and up to date.")
    refused = refusals(outcomes)
    if refused is not None:
        out.print(refused)
        out.print("`integrations quarantine list` shows the records, `… show` one with its bytes.")
    for outcome in outcomes:
        for error in outcome.errors:
            out.print(f"[red]failed[/] {outcome.stream.id}: {escape(error)}")


def summary(outcomes: list[Outcome]) -> Table:
    """One row a stream, and their sum."""
    rows = [_row(str(outcome.stream.id), [outcome], outcome.status) for outcome in outcomes]
    if len(outcomes) > 1:
        rows.append(_row("total", outcomes, ""))
    return console.table("Synced", COLUMNS, rows)


def _row(name: str, outcomes: list[Outcome], status: str) -> list[object]:
    def total(field: str) -> Any:
        return sum(outcome.total(field) for outcome in outcomes)

    return [
        name,
        sum(outcome.windows for outcome in outcomes),
        *(total(name) for name in ("records", "inserted", "updated", "unchanged", "quarantined")),
        float(total("seconds")),
        status,
    ]


def refusals(outcomes: list[Outcome]) -> Table | None:
    """Why records were refused in these runs, by stream, field and rule; None where none was."""
    run_ids = [entry.run_id for outcome in outcomes for entry in outcome.entries]
    with closing(StoreResource().connect()) as connection:
        found = quarantine.summary(connection, run_ids)
    if not found:
        return None
    rows = [[str(one.stream), one.count, one.field, one.example] for one in found]
    columns = [("stream", False), ("refused", True), ("field", False), ("for example", False)]
    return console.table("Refused, kept in quarantine", columns, rows)
