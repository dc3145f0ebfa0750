"""A small connector that is right, for tests to break."""

from pathlib import Path

FLORIST = """\
type: integrations.orchestration.component.Connector
attributes:
  title: Florist (orders)
  connections:
    main: {start: 2026-01-01, secrets: {user: {env: FLORIST_USER}, word: {env: FLORIST_WORD}}}
  auth_handler: {type: basic, username: user, password: word}
  sync_handler:
    transport: {type: rest, base_url: "https://florist.example"}
    streams:
      orders:
        sync: {type: window, cadence: daily, column: created_at, filter: modified}
        request:
          path: /orders
          params: {from: "{window.start}", to: "{window.end}"}
          records: items
          paging: {type: next_url, next: next}
      buyers:
        sync: {type: full}
        request: {path: /buyers, records: items, paging: {type: next_url, next: next}}
  transformer:
    orders:
      entity: payment
      key: number
      fields:
        amount: total
        currency: currency
        status: {type: enumeration, from: state, map: {open: pending, done: paid}}
        status_raw: state
        created_at: ordered_at
    buyers:
      entity: customer
      key: number
      fields: {name: name, email: email}
  event_handler: none
"""

FEED = """\
  event_handler:
    feeds:
      news:
        type: change_feed
        retention_days: 30
        request:
          path: /news
          params: {before: "{position}", from: "{since}"}
          records: items
          paging: {type: id_cursor, older: after, newer: before, id: id, more: more}
        event:
          key: object.number
          at: {type: timestamp, from: at}
          precision: exact
          record: object
          kind: kind
          type: type
          representation: at_creation
        routes: {order: orders, buyer: buyers}
"""


def write(folder: Path, text: str = FLORIST, *, transformer: str | None = None) -> Path:
    """A connector's folder with this file, and a transformer.py where one is given."""
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(text)
    if transformer is not None:
        (folder / "transformer.py").write_text(transformer)
    return folder


def changed(*changes: tuple[str, str], text: str = FLORIST) -> str:
    """The text with each part replaced, which must stand in it once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
        text = text.replace(old, new)
    return text


FED = changed(("  event_handler: none\n", FEED), ("filter: modified", "filter: created"))
"""The florist with a feed of changes; an order's window is by when it was made."""

LOOKING = changed(
    ("status: {type: enumeration, from: state, map: {open: pending, done: paid}}", (
        "status: {type: lookup, from: state, file: states.csv, key: state, value: ours}"
    )),
    ("        status_raw: state\n", """\
        status_raw: state
        description: {type: lookup, from: buyer, stream: buyers, value: code}
        failure_code:
        - {type: integer, from: shop.number}
        - {type: lookup, stream: buyers, key: phone, value: email, when_missing: keep_key}
        - {type: upper}
        method: {type: lookup, from: paid.by, table: shop.methods, key: code, value: name, when_missing: null}
"""),
    ("fields: {name: name, email: email}", "fields: {name: name, email: email, code: code, phone: phone, blocked: blocked}"),
)  # fmt: skip
"""The florist whose orders are enriched: from a file, from the stream of buyers, alone and within a
chain, and from a table of the user's."""

STATES = "state,ours\nopen,pending\ndone,paid\nlost,failed\n"
"""What states.csv holds."""


def write_looking(folder: Path, *changes: tuple[str, str], states: str = STATES) -> Path:
    """That florist's folder, with its file of states; each part of it replaced."""
    write(folder, changed(*changes, text=LOOKING))
    (folder / "states.csv").write_text(states)
    return folder
