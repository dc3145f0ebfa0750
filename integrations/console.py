"""How the command line shows things: tables, a progress bar, JSON lines, and errors.

Results go to standard output and everything else to standard error, so that output can be piped.
"""

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PIPED = 160
"""Columns where the output is no terminal: a table takes what it needs of them."""

COLOURS = {
    "ok": "green",
    "up_to_date": "dim",
    "warn": "yellow",
    "blocked": "red",
    "failed": "bold red",
}


def out() -> Console:
    """Standard output; a width of its own where it is no terminal."""
    width = None if sys.stdout.isatty() else PIPED
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)


def err() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False)


def json_line(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def table(
    title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[object]]
) -> Table:
    """A table; each column is (heading, is a number). Numbers stand right, with thousands."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for heading, number in columns:
        justify: Literal["left", "right"] = "right" if number else "left"
        made.add_column(heading, justify=justify, overflow="fold", no_wrap=number)
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2f}"
    text = "–" if value is None else str(value)
    return f"[{COLOURS[text]}]{text}[/]" if text in COLOURS else text.replace("[", r"\[")


class Bar:
    """The progress of a sync: how many windows are done, and which stream is at work."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=total)
        self._settled = 0

    def at(self, name: str) -> None:
        """Says what is being worked on."""
        self._progress.update(self._task, description=name)

    def expect(self, total: int) -> None:
        """So many there are in all, as it turns out."""
        self._progress.update(self._task, total=total)

    def step(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)

    def settle(self, amount: int) -> None:
        """A stream is through: all of its windows count, also those that failed."""
        self._settled += amount
        self._progress.update(self._task, completed=self._settled)


class _Warnings(logging.Handler):
    """Shows our warnings on a terminal, and leaves them where standard error leads to meanwhile."""

    def __init__(self, console: Console, terminal: IO[str]) -> None:
        super().__init__(logging.WARNING)
        self._console, self._terminal = console, terminal

    def emit(self, record: logging.LogRecord) -> None:
        said = self.format(record)
        self._console.print(said, markup=False, soft_wrap=True, style="yellow")
        if not os.path.sameopenfile(2, self._terminal.fileno()):
            os.write(2, f"{said}\n".encode())  # a step's own file


@contextmanager
def bar(total: int, *, hidden: bool) -> Iterator[Bar]:
    """A progress bar on standard error, hidden where the caller says so, and above it our warnings:
    that a call is tried again in some minutes is why a bar stands still."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("windows"),
        TimeElapsedColumn(),
    )
    # Dagster redirects the descriptors 1 and 2 of the process while a step runs.
    with os.fdopen(os.dup(2), "w") as terminal:
        console = Console(file=terminal, highlight=False)
        with Progress(
            *columns,
            console=console,
            disable=hidden,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress:
            warnings, logger = _Warnings(console, terminal), logging.getLogger("integrations")
            logger.addHandler(warnings)
            try:
                yield Bar(progress, total)
            finally:
                logger.removeHandler(warnings)
