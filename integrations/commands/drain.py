"""`integrations drain`: feeds read again and again, without runs, until it is stopped."""

import os
import signal
from contextlib import ExitStack
from typing import Any

from integrations import console
from integrations.commands import CHECK_ERROR, FAILED, choose
from integrations.commands.sync import as_values, lacking, say
from integrations.connector_template.config_schema import SANDBOX
from integrations.connector_template.connector import BoundFeed
from integrations.errors import FixConfig
from integrations.orchestration import stack
from integrations.orchestration.drain import Drains, Tools
from integrations.orchestration.feed_report import Said
from integrations.orchestration.resources import StoreResource, now
from integrations.orchestration.sync import Outcome
from integrations.settings import Settings

SHOWN = ("inserted", "updated", "deleted", "unchanged", "stale", "duplicate", "quarantined")


def drain(
    select: tuple[str, ...], *, every_s: float, for_s: float | None, as_json: bool
) -> int:  # fmt: skip
    """Drains the feeds that are selected, or those of every connection that is ready; gives the
    exit status."""
    settings = Settings.find()
    feeds = _feeds(settings, select)
    with ExitStack() as open_:
        if any(feed.id.connection == SANDBOX for feed in feeds):
            open_.enter_context(stack.twins(settings))
        instance = open_.enter_context(stack.instance())
        said = _json if as_json else _line
        drains = Drains(feeds, Tools(StoreResource(), instance, every_s, said, say))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: drains.end())
        open_.enter_context(stack.announced(settings.home / f"drain-{os.getpid()}.json"))
        say(f"Draining {', '.join(str(feed.id) for feed in feeds)}. Ctrl-C stops it.")
        with drains:
            drains.wait(for_s)
    if any(one.error is not None for one in drains.all):
        return FAILED
    return CHECK_ERROR if any(one.held for one in drains.all) else 0


def _feeds(settings: Settings, select: tuple[str, ...]) -> list[BoundFeed]:
    """What is drained. Raises FixConfig where that is nothing, or a secret is missing of it."""
    found = [one for one in choose.readers(settings) if isinstance(one, BoundFeed)]
    choice = choose.choice(settings, found, select)
    for account, names in choice.left_out.items():
        say(f"left out: {lacking(account, names)}")
    if choice.wrong:
        raise FixConfig("; ".join(lacking(*one) for one in choice.wrong.items()))
    feeds = [one for one in choice.streams if isinstance(one, BoundFeed)]
    if not feeds:
        raise FixConfig("no connection with a feed is ready")
    return feeds


def _values(feed: BoundFeed, said: Said) -> dict[str, Any]:
    return as_values(Outcome(feed, windows=1, entries=said.entries))


def _json(feed: BoundFeed, said: Said) -> None:
    console.json_line(_values(feed, said))


def _line(feed: BoundFeed, said: Said) -> None:
    values = _values(feed, said)
    counts = [f"{values[name]} {name}" for name in SHOWN if values[name]]
    told = f"{now():%H:%M:%S} {feed.id}: {values['records']} events"
    console.out().print(f"{told}: {', '.join(counts)}" if counts else told, soft_wrap=True)
