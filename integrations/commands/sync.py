"""`integrations sync` and `integrations demo`: runs what is wanted and shows what became of it."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

from rich.table import Table

from integrations import console
from integrations.commands import CHECK_ERROR, FAILED, WRONG, choose
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed
from integrations.connector_template.folders import folders
from integrations.errors import FixConfig
from integrations.orchestration import stack
from integrations.orchestration.code_location import build
from integrations.orchestration.own_run import only
from integrations.orchestration.resources import StoreResource, now
from integrations.orchestration.runs import any_unfinished, fail_dead_runs
from integrations.orchestration.sync import Outcome, Planned, Reader, Wanted, execute, plan
from integrations.redaction import redact
from integrations.settings import Settings
from integrations.storage import quarantine

EXIT = {"failed": FAILED, "blocked": CHECK_ERROR}
ADVICE = "Set it in the environment, or try `integrations demo`, which needs no account."
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
    settings = stack.project()
    every = [one for one in choose.readers(settings) if one.id.connection == SANDBOX]
    return _run(settings, every, Wanted(), as_json=as_json)


def sync(select: tuple[str, ...], wanted: Wanted, *, as_json: bool) -> int:
    """Syncs what is selected, or what is ready; gives the exit status.

    A connection that should be synced and lacks its secrets spoils the status, not its siblings.
    """
    settings = Settings.find()
    choice = choose.choice(settings, choose.readers(settings), select)
    for account, names in choice.left_out.items():
        say(f"left out: {lacking(account, names)}")
    told = "; ".join(lacking(account, names) for account, names in choice.wrong.items())
    wrong = FixConfig(told or "no connection is ready", todo=ADVICE)
    if not choice.streams:
        raise wrong
    status = _run(settings, choice.streams, wanted, as_json=as_json)
    if not choice.wrong:
        return status
    say(f"error: {wrong}")
    return status if status == FAILED else WRONG


def lacking(account: choose.Account, names: list[str]) -> str:
    """What a connection lacks, in words."""
    return f"{'/'.join(account)} has no {', '.join(names)}"


def say(line: str, *, style: str = "") -> None:
    """A line on standard error, whatever standard output is read by."""
    console.err().print(redact(line), markup=False, style=style, soft_wrap=True)


def _run(settings: Settings, chosen: list[Reader], wanted: Wanted, *, as_json: bool) -> int:
    """Plans, runs and shows."""
    chosen = choose.in_order(choose.roots(chosen, choose.readers(settings)))
    planned = plan(chosen, wanted, StoreResource(), now=now())
    if wanted.begin or wanted.end:
        _tell_left_out(planned, wanted)
    outcomes: list[Outcome] = []
    with ExitStack() as resources:
        if any(one.stretches and one.stream.id.connection == SANDBOX for one in planned):
            resources.enter_context(stack.twins(settings))
        for outcome in _outcomes(settings, planned, wanted, hidden=as_json):
            outcomes.append(outcome)
            if as_json:
                console.json_line(as_values(outcome))
                tell_failed(outcome)
    if not as_json:
        _show(outcomes)
    found = {outcome.status for outcome in outcomes}
    return next((code for status, code in EXIT.items() if status in found), 0)


def _tell_left_out(planned: list[Planned], wanted: Wanted) -> None:
    """Says which streams cannot be asked for a stretch of time; raises when none has a window."""
    timed = [one for one in planned if one.windowed]
    for one in planned:
        if not one.windowed:
            say(f"left out: {one.stream.id} has no windows; sync it without --from and --to")
    if not any(one.stretches for one in timed):
        begin = f"{wanted.begin:%Y-%m-%d %H:%M}" if wanted.begin else "the start"
        end = f"{wanted.end:%Y-%m-%d %H:%M}" if wanted.end else "now"
        raise FixConfig(
            f"no window lies between {begin} and {end} (UTC)",
            todo="Windows begin with the connection's start, and exist once they have passed.",
        )


def _outcomes(
    settings: Settings, planned: list[Planned], wanted: Wanted, *, hidden: bool
) -> Iterator[Outcome]:
    """Runs one after the other; what a stream's failure leaves undone is its own."""
    if not any(one.stretches for one in planned) and not _runs_left():
        # Then Dagster need not even be loaded.
        for one in planned:
            yield from Outcome(one.stream).parts()
        return
    with (
        stack.instance() as instance,
        console.bar(sum(one.windows for one in planned), hidden=hidden) as bar,
    ):
        fail_dead_runs(instance)
        names = {one.stream.id.connector for one in planned}
        found, added = only(names, folders(settings.connectors_path), choose.added(settings))
        defs = build(found, added=added)
        refused: set[choose.Account] = set()
        for one in _planned_anew(planned, wanted, bar):
            bar.at(str(one.stream.id))
            account = choose.account(one.stream)
            if account in refused and one.stretches:
                outcome = Outcome.untried(one)
            else:
                outcome = execute(
                    one, defs, instance,
                    accept=wanted.accept, full=wanted.full, on_window=lambda _: bar.step(),
                )  # fmt: skip
            refused |= {account} if outcome.refused else set()
            bar.settle(one.windows)
            yield from outcome.parts()


def _planned_anew(planned: list[Planned], wanted: Wanted, bar: console.Bar) -> Iterator[Planned]:
    """What is planned up to the last feed, and what is due of the rest when that has been read."""
    feeds = [at for at, one in enumerate(planned) if isinstance(one.stream, BoundFeed)]
    first = planned[: feeds[-1] + 1] if feeds else []
    streams = planned[len(first) :]
    yield from first
    if any(planned[at].stretches for at in feeds):
        readers = [one.stream for one in streams]
        streams = plan(readers, wanted, StoreResource(), now=now())
        bar.expect(sum(one.windows for one in [*first, *streams]))
    yield from streams


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
        tell_failed(outcome)


def tell_failed(outcome: Outcome, *, command: str = "sync") -> None:
    """Why a stream failed, and what to do about one that was blocked; `command` ran it. What was
    left out of one that was loaded is a warning."""
    id_ = outcome.stream.id
    word, style = ("warning", "yellow") if outcome.status == "warn" else ("failed", "red")
    for error in outcome.errors:
        say(f"{word}: {id_}: {error}", style=style)
    blocked = [entry for entry in outcome.entries if entry.status == "blocked"]
    if blocked and all(entry.error for entry in blocked):  # which is said above
        say(
            f"blocked: {id_}: nothing of it was loaded. Where it should be all the same:"
            f" `integrations {command} {id_} --accept`.",
            style="red",
        )
    elif blocked:
        what = "what it said" if isinstance(outcome.stream, BoundFeed) else "these windows"
        say(
            f"blocked: {id_}: too many records are refused, so nothing of {what} was loaded."
            f" `integrations quarantine list {id_}` says why. Where the good ones should be loaded"
            f" all the same: `integrations {command} {id_} --accept`.",
            style="red",
        )


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
