"""What a person reads whose feed, cursor or deletes could not work, or would leave a table stale."""

from pathlib import Path

import pytest

from integrations.connector_template.connector import read_connector
from integrations_tests.connector_template.florist import FED, changed, write
from integrations_tests.connector_template.test_mistakes import Change, Line, said

ORDERS = "{type: window, cadence: daily, column: created_at, filter: created}"
WINDOWS = '{from: "{window.start}", to: "{window.end}"}'
BUYERS = "{path: /buyers, records: items, paging: {type: next_url, next: next}}"
ROUTES = "{order: orders, buyer: buyers}"
HINTS = (
    "the events of feed 'news' are hints for stream 'orders': their own state cannot be put in "
    "order, and each changed record is fetched by its key. Write `one` for the stream"
)
STALE = (
    "the windows of stream 'orders' are by when a record was made: a later change would never be "
    "read, and its table go stale while all is green. Route a feed to it, or write `reread: <days>`"
    " for as long as records change"
)
NO_VALUE = "which then has no value"

SECOND_FEED = FED[FED.index("      news:") :].replace("news:", "more_news:")

MISTAKES: dict[str, tuple[list[Change], list[Line]]] = {
    "windows by making that nothing follows up": (
        [(ROUTES, "{buyer: buyers}")],
        [(11, STALE)],
    ),
    "windows by something else": (
        [("filter: created", "filter: updated")],
        [
            (
                11,
                "`sync_handler.streams.orders.sync.filter`: input should be 'modified', 'created' "
                "or 'immutable', not 'updated'",
            )
        ],
    ),
    "windows by nobody knows what": (
        [(", filter: created", "")],
        [(11, "`sync_handler.streams.orders.sync.filter` is missing")],
    ),
    "re-read for no days": (
        [("filter: created", "filter: created, reread: 0")],
        [
            (
                11,
                "`sync_handler.streams.orders.sync.reread`: input should be greater than or equal "
                "to 1, not 0",
            )
        ],
    ),
    "a window that asks for a position": (
        [('to: "{window.end}"', 'to: "{window.end}", after: "{position}"')],
        [
            (
                12,
                "`sync_handler.streams.orders.request`: it has slots for a window and for a "
                "cursor: a stream is read by one of them",
            )
        ],
    ),
    "a windowed stream that asks for a moment only": (
        [(WINDOWS, '{from: "{since}"}')],
        [
            (12, "stream 'orders' is read by windows, and its request has no {window.start}"),
            (12, f"stream 'orders' is read by windows, and its request has {{since}}, {NO_VALUE}"),
        ],
    ),
    "a full stream that asks for a position": (
        [("{path: /buyers,", '{path: /buyers, params: {after: "{position}"},')],
        [(19, f"stream 'buyers' is read in full, and its request has {{position}}, {NO_VALUE}")],
    ),
    "a cursor stream that begins anew each time": (
        [("{type: full}", "{type: cursor, position: seq}")],
        [(19, "stream 'buyers' is read by cursor, and its request has no {position}")],
    ),
    "a cursor stream that asks for a window": (
        [(ORDERS, "{type: cursor, position: seq}")],
        [
            (12, "stream 'orders' is read by cursor, and its request has no {position}"),
            (
                12,
                f"stream 'orders' is read by cursor, and its request has {{window.end}}, {NO_VALUE}",
            ),
            (
                12,
                "stream 'orders' is read by cursor, and its request has {window.start}, "
                f"{NO_VALUE}",
            ),
        ],
    ),
    "a cursor stream without the place of its position": (
        [
            ("{type: full}", "{type: cursor}"),
            ("{path: /buyers,", '{path: /buyers, params: {after: "{position}"},'),
        ],
        [(18, "`sync_handler.streams.buyers.sync.position` is missing")],
    ),
    "absence over pages that shift": (
        [("{type: full}", "{type: full, deletes: absence}")],
        [
            (
                18,
                "`deletes: absence` cannot be had over pages of type next_url: a record that moves "
                "between pages is passed over, and would count as deleted. It takes last_id, "
                "id_cursor or single",
            )
        ],
    ),
    "one record of no key": (
        [(BUYERS, f'{BUYERS}\n        one: {{path: "/buyers"}}')],
        [
            (
                20,
                "`sync_handler.streams.buyers.one.path`: it should have {key} where the record's "
                "key goes: '/v1/charges/{key}'",
            )
        ],
    ),
    "a route to nowhere": (
        [(ROUTES, "{order: orders, buyer: clients}")],
        [(52, "'buyer' is routed to 'clients', which is no stream of `sync_handler`")],
    ),
    "a feed without routes": (
        [(ROUTES, "{}")],
        [
            (11, STALE),
            (
                52,
                "`event_handler.feeds.news.routes`: dictionary should have at least 1 item after "
                "validation, not 0",
            ),
        ],
    ),
    "a feed called as a stream": (
        [("      news:\n", "      orders:\n")],
        [(36, "an asset of stream 'orders' is called `orders` already")],
    ),
    "a feed called as a stream's asset": (
        [("      news:\n", "      buyers_raw:\n")],
        [(36, "an asset of stream 'buyers' is called `buyers_raw` already")],
    ),
    "a feed that reads the same again and again": (
        [('before: "{position}", ', "")],
        [
            (
                39,
                "feed 'news' is read by cursor, and its request has no {position}: each turn "
                "would read the same events",
            )
        ],
    ),
    "a feed that does not know where to begin": (
        [(', from: "{since}"', "")],
        [
            (
                39,
                "feed 'news' is read by cursor, and its request has no {since}: without a "
                "position it could not say from when on",
            )
        ],
    ),
    "a feed by windows": (
        [('before: "{position}", from: "{since}"', 'from: "{window.start}"')],
        [
            (
                39,
                "feed 'news' is read by cursor, and its request has no {position}: each turn "
                "would read the same events",
            ),
            (
                39,
                "feed 'news' is read by cursor, and its request has no {since}: without a "
                "position it could not say from when on",
            ),
            (
                39,
                f"feed 'news' is read by cursor, and its request has {{window.start}}, {NO_VALUE}",
            ),
        ],
    ),
    "a feed whose pages name no position": (
        [("type: id_cursor, older: after, newer: before, id: id, more: more", "type: single")],
        [(43, "feed 'news' takes a paging that names positions: id_cursor")],
    ),
    "a feed with details": (
        [
            (
                "          records: items\n          paging: {type: id_cursor",
                "          records: items\n          detail: {path: '/n/{key}'}\n          paging: {type: id_cursor",
            )
        ],
        [(43, "feed 'news' reads events as they are listed")],
    ),
    "a feed for records that something is put into": (
        [
            (
                "request: {path: /buyers,",
                "request: {path: /buyers, detail: {path: '/b/{key}', put: merge},",
            )
        ],
        [(19, "a feed routes to 'buyers', and its events would lack what is put into its records")],
    ),
    "a feed that would go back in time": (
        [("newer: before", "newer: ending_before")],
        [
            (
                43,
                "feed 'news' has its {position} elsewhere than in `ending_before`, the parameter "
                "by which its paging goes on to newer events",
            )
        ],
    ),
    "hints by whole seconds": ([("precision: exact", "precision: seconds")], [(52, HINTS)]),
    "hints for one stream under two kinds": (
        [
            ("precision: exact", "precision: seconds"),
            (ROUTES, "{order: orders, basket: orders, buyer: buyers}"),
        ],
        [(52, HINTS)],
    ),
    "a stream and a feed called as the job": (
        [
            ("      buyers:\n        sync", "      sync:\n        sync"),
            ("    buyers:\n      entity", "    sync:\n      entity"),
            ("      news:\n", "      sync:\n"),
            (ROUTES, "{order: orders}"),
        ],
        [
            (17, "the job of each connection is called `sync` already"),
            (36, "an asset of stream 'sync' is called `sync` already"),
            (36, "the job of each connection is called `sync` already"),
        ],
    ),
    "events of no known kind": (
        [("type: change_feed", "type: webhook")],
        [
            (
                37,
                "`event_handler.feeds.news.type`: input should be 'change_feed', not 'webhook'",
            )
        ],
    ),
    "a feed that is always read": (
        [("retention_days: 30", "retention_days: 30\n        every: minute")],
        [
            (
                39,
                "`event_handler.feeds.news.every`: input should be '5min', 'hourly' or 'daily', "
                "not 'minute'",
            )
        ],
    ),
    "a source that forgets at once": (
        [("retention_days: 30", "retention_days: 0")],
        [
            (
                38,
                "`event_handler.feeds.news.retention_days`: input should be greater than or equal "
                "to 1, not 0",
            )
        ],
    ),
    "no feeds at all": (
        [(FED[FED.index("    feeds:") :], "    none: true\n")],
        [
            (11, STALE),
            (34, "`event_handler.feeds` is missing"),
            (
                35,
                "`event_handler.none` is no setting; is it misspelt, or meant for another place?",
            ),
        ],
    ),
    "clocks that are further apart than ever": (
        [("{start: 2026-01-01,", "{start: 2026-01-01, slack_s: -1,")],
        [
            (
                5,
                "`connections.main.slack_s`: input should be greater than or equal to 0, not -1",
            )
        ],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_shown_with_its_line(
    tmp_path: Path, changes: list[Change], expected: list[Line]
) -> None:
    """A broken file is refused in these words, at these lines, and nothing else is said."""
    found = said(write(tmp_path / "florist", changed(*changes, text=FED)))

    assert found == [f"defs.yaml:{line}: {message}" for line, message in expected]


RIGHT: dict[str, list[Change]] = {
    "a feed": [],
    "no feed, and windows that are re-read": [
        (ROUTES, "{buyer: buyers}"),
        ("filter: created", "filter: created, reread: 30"),
    ],
    "no feed, and windows by change": [
        (ROUTES, "{buyer: buyers}"),
        ("filter: created", "filter: modified"),
    ],
    "no feed, and records that never change": [
        (ROUTES, "{buyer: buyers}"),
        ("filter: created", "filter: immutable"),
    ],
    "two kinds of one stream": [(ROUTES, "{order: orders, basket: orders, buyer: buyers}")],
    "two feeds of one stream": [(ROUTES + "\n", ROUTES + "\n" + SECOND_FEED)],
    "hints, and how one record is fetched": [
        ("precision: exact", "precision: seconds"),
        (
            "          paging: {type: next_url, next: next}\n      buyers",
            "          paging: {type: next_url, next: next}\n"
            '        one: {path: "/orders/{key}"}\n      buyers',
        ),
    ],
    "whole seconds, and windows that are re-read": [
        ("precision: exact", "precision: seconds"),
        ("filter: created", "filter: created, reread: 7"),
    ],
    "absence over one page": [
        ("{type: full}", "{type: full, deletes: absence}"),
        (BUYERS, "{path: /buyers, records: items, paging: {type: single}}"),
    ],
    "a cursor stream": [
        ("{type: full}", "{type: cursor, every: 5min, position: row.version}"),
        ("{path: /buyers,", '{path: /buyers, params: {after: "{position}"},'),
    ],
}


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT)
def test_what_is_no_mistake(tmp_path: Path, changes: list[Change]) -> None:
    """What can work is not refused."""
    connector = read_connector(write(tmp_path / "florist", changed(*changes, text=FED)))

    assert {feed.id.stream for feed in connector.feeds()} >= {"news"}


def test_mistakes_do_not_hide_each_other(tmp_path: Path) -> None:
    """A feed that no model accepts, a stream that nothing follows up, a slot without a value."""
    text = changed(
        ("retention_days: 30", "retention: 30"),
        (ROUTES, "{order: 7, buyer: clients}"),
        ("{type: full}", "[full]"),
        ('before: "{position}", ', ""),
        text=FED,
    )

    found = said(write(tmp_path / "florist", text))

    assert [int(one.split(":")[1]) for one in found] == [11, 18, 36, 38, 39, 52, 52]
