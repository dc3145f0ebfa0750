"""What a person reads who wrote a connector's file wrongly: every mistake at once, with its line."""

from pathlib import Path

import pytest

from integrations.connector_template.connector import read_connector
from integrations.errors import FixConfig
from integrations.names import StreamId
from integrations.transformation.rules import TYPES
from integrations_tests.connector_template.florist import FED, FLORIST, changed, write

Change = tuple[str, str]
Line = tuple[int, str]
RULES = f"a rule is a path, or has a `type`: one of {', '.join(TYPES)}"
NAME = "it has at most 24 of a-z, 0-9 and single _, begins with a letter, ends with no _"
HIDDEN = "sk_live_4eC39HqLyjWDarjtT1"


def said(folder: Path) -> list[str]:
    """The mistakes that reading a folder reports, each as it is shown, without the folder."""
    with pytest.raises(FixConfig) as caught:
        read_connector(folder)
    assert caught.value.mistakes, str(caught.value)
    return [str(mistake).replace(f"{folder}/", "") for mistake in caught.value.mistakes]


def test_the_florist_is_right(tmp_path: Path) -> None:
    """The file that the table below breaks has no mistake."""
    connector = read_connector(write(tmp_path / "florist"))

    assert [str(stream.id) for stream in connector.streams()] == [
        "florist/main/orders",
        "florist/main/buyers",
    ]


MISTAKES: dict[str, tuple[Change, list[Line]]] = {
    "no event handler": (("  event_handler: none\n", ""), [(2, "`event_handler` is missing")]),
    "an event handler that is empty": (
        ("event_handler: none", "event_handler:"),
        [(34, "`event_handler`: it should be `none`, or hold `feeds`")],
    ),
    "no auth handler": (
        ("  auth_handler: {type: basic, username: user, password: word}\n", ""),
        [(2, "`auth_handler` is missing")],
    ),
    "an unknown auth handler": (
        ("type: basic", "type: basc"),
        [
            (
                6,
                "`auth_handler.type` must be one of 'api_key', 'basic', 'password_token', 'soap', 'none', 'ssh_password', 'ssh_key', 'aws_keys', 'aws_role', 'aws_default'",
            )
        ],
    ),
    "a setting misspelt": (
        ("password: word", "passwort: word"),
        [
            (
                6,
                "`auth_handler.passwort` is no setting; is it misspelt, or meant for another place?",
            ),
        ],
    ),
    "a title of another name": (
        ("title: Florist", "titel: Florist"),
        [
            (2, "`title` is missing"),
            (3, "`titel` is no setting; is it misspelt, or meant for another place?"),
        ],
    ),
    "another component": (
        ("integrations.orchestration.component.Connector", "dagster.Nothing"),
        [(1, "`type` must be integrations.orchestration.component.Connector")],
    ),
    "a setting outside the attributes": (
        ("attributes:\n", "owner: me\nattributes:\n"),
        [(2, "unknown setting 'owner'; the connector's settings go below attributes")],
    ),
    "an unknown sync": (
        ("{type: full}", "{type: ful}"),
        [
            (
                18,
                "`sync_handler.streams.buyers.sync.type` must be one of 'window', 'full', "
                "'cursor', not 'ful'",
            )
        ],
    ),
    "an unknown cadence": (
        ("cadence: daily", "cadence: weekly"),
        [
            (
                11,
                "`sync_handler.streams.orders.sync.cadence`: input should be 'hourly' or 'daily', "
                "not 'weekly'",
            )
        ],
    ),
    "a window without column": (
        (", column: created_at", ""),
        [(11, "`sync_handler.streams.orders.sync.column` is missing")],
    ),
    "a window column that is not mapped": (
        ("column: created_at", "column: paid_at"),
        [(11, "the window's column 'paid_at' is not mapped by `transformer.orders`")],
    ),
    "a windowed stream that asks for everything": (
        ('          params: {from: "{window.start}", to: "{window.end}"}\n', ""),
        [(12, "stream 'orders' is read by windows, and its request has no {window.start}")],
    ),
    "a full stream that asks for a window": (
        ("path: /buyers,", 'path: "/buyers/{window.start}",'),
        [
            (
                19,
                "stream 'buyers' is read in full, and its request has {window.start}, which then has no value",
            )
        ],
    ),
    "an unknown slot": (
        ('to: "{window.end}"', 'to: "{window.stop}"'),
        [
            (
                14,
                "`sync_handler.streams.orders.request.params.to`: '{window.stop}' "
                "is no slot here; there are {window.start} and {window.end} and {position} and "
                "{since} and {parent.<place>}",
            )
        ],
    ),
    "an unknown paging": (
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            "{path: /buyers, records: items, paging: {type: pages}}",
        ),
        [
            (
                19,
                "`sync_handler.streams.buyers.request.paging.type` must be one of 'last_id', "
                "'id_cursor', 'page_number', 'offset', 'range', 'sequence', 'body_token', "
                "'header_token', 'next_url', 'link_header', 'single', not 'pages'",
            )
        ],
    ),
    "a limit of no request": (
        ('example"}', 'example", quota: [{calls: 9, per_s: 1, endpoint: /order}]}'),
        [
            (
                8,
                "no request of this file is under this limit; there are GET /buyers, GET /orders",
            )
        ],
    ),
    "a limit of two measures": (
        ('example"}', 'example", quota: [{calls: 9, per_s: 1, errors: [404], cost: complexity}]}'),
        [(8, "`sync_handler.transport.quota.0`: a limit is one of errors, or one of cost")],
    ),
    "what only GraphQL tells": (
        ('example"}', 'example", quota: [{calls: 9, per_s: 1, cost: complexity}]}'),
        [(8, "only a GraphQL answer says what it has cost")],
    ),
    "a cursor over a list with the newest first": (
        (
            "{type: full}\n        request: {path: /buyers, records: items, paging: {type: next_url, next: next}}",
            '{type: cursor, position: at}\n        request: {path: /buyers, params: {after: "{position}"}, '
            "records: items, paging: {type: next_url, next: next, newest_first: true}}",
        ),
        [
            (
                19,
                "the position of a cursor cannot be taken from a list with the newest first: ask "
                "for it in ascending order",
            )
        ],
    ),
    "a range of no size": (
        (
            "paging: {type: next_url, next: next}}\n  transformer",
            "paging: {type: range}}\n  transformer",
        ),
        [(19, "`sync_handler.streams.buyers.request.paging.size` is missing")],
    ),
    "a request of another transport": (
        ("    transport: {type: rest", "    transport: {type: graphql"),
        [
            (12, "a request over the transport graphql has a `query`"),
            (19, "a request over the transport graphql has a `query`"),
        ],
    ),
    "a query over REST": (
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            '{query: "query ($after: String) { buyers(after: $after) { pageInfo { hasNextPage '
            'endCursor } edges { node { id } } } }", records: data.buyers, paging: {type: relay}}',
        ),
        [(19, "a request over the transport rest has a `path`, and no `query` or `operation`")],
    ),
    "an operation over REST": (
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            "{operation: GetBuyers, records: Buyers.Buyer, paging: {type: single}}",
        ),
        [(19, "a request over the transport rest has a `path`, and no `query` or `operation`")],
    ),
    "a login of another transport": (
        ("{type: basic, username: user, password: word}", "{type: soap, body: {A: user, B: word}}"),
        [(6, "`auth_handler` of type soap is for the transport soap")],
    ),
    "absence among what is not mapped": (
        (
            "{type: full}\n        request: {path: /buyers, records: items, paging: {type: next_url, "
            "next: next}}",
            "{type: full, deletes: absence, among: town}\n        request: {path: /buyers, "
            "records: items, paging: {type: single}}",
        ),
        [(18, "the column 'town' is not mapped by `transformer.buyers`")],
    ),
    "among what is not deleted": (
        ("{type: full}", "{type: full, among: name, brake: 0.5}"),
        [
            (18, "`among` is for `deletes: absence`"),
            (18, "`brake` is for `deletes: absence`"),
        ],
    ),
    "paging without type": (
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            "{path: /buyers, records: items, paging: {next: next}}",
        ),
        [(19, "`sync_handler.streams.buyers.request.paging.type` is missing")],
    ),
    "an address without scheme": (
        ('"https://florist.example"', "florist.example"),
        [
            (
                8,
                "`sync_handler.transport.base_url`: the base_url should begin with https:// "
                "(or http://) and name a host",
            )
        ],
    ),
    "an unknown rule": (
        ("status_raw: state", "status_raw: {type: lowr, from: state}"),
        [(28, f"`transformer.orders.fields.status_raw`: {RULES}")],
    ),
    "a rule that gives another type": (
        ("amount: total", "amount: {type: upper, from: total}"),
        [(25, "`amount` takes an exact decimal, which the rule upper does not give")],
    ),
    "a rule without its settings": (
        ("amount: total", "amount: {type: minor_units, from: total}"),
        [(25, "`transformer.orders.fields.amount.currency` is missing")],
    ),
    "a unit of another dimension": (
        ("amount: total", "amount: [total, {type: unit, is: g, to: cm}]"),
        [(25, "'g' does not become 'cm': they measure mass and length")],
    ),
    "a unit that the column does not have": (
        ("amount: total", "amount:\n        - total\n        - {type: unit, is: g, to: kg}"),
        [(25, "`amount` is in currency; the rule gives kg")],
    ),
    "a number that is not exact": (
        ("amount: total", "amount: [total, {type: divide, by: 1.21, digits: 2, rounding: up}]"),
        [
            (
                25,
                "`transformer.orders.fields.amount.1.by`: write the number in quotes, "
                '"1.21": without them it is not exact',
            )
        ],
    ),
    "a division without rounding": (
        ("amount: total", 'amount:\n        - total\n        - {type: divide, by: "1.21"}'),
        [
            (27, "`transformer.orders.fields.amount.1.digits` is missing"),
            (27, "`transformer.orders.fields.amount.1.rounding` is missing"),
        ],
    ),
    "a pattern that is none": (
        ("status_raw: state", "status_raw: [state, {type: replace, pattern: '(', with: ''}]"),
        [
            (
                28,
                "`transformer.orders.fields.status_raw.1.pattern`: the pattern is none of RE2: "
                "missing ): (",
            )
        ],
    ),
    "a rule of another type within a rule": (
        (
            "amount: total",
            "amount:\n          type: coalesce\n          of:\n          - total\n"
            "          - {type: upper, from: sum}",
        ),
        [(29, "an exact decimal is wanted, which the rule upper does not give")],
    ),
    "a rule that cannot take what comes": (
        ("amount: total", "amount:\n        - {type: text, from: total}\n        - {type: negate}"),
        [
            (
                27,
                "the rule negate takes an exact decimal, a whole number or a floating-point "
                "number; what comes is text",
            )
        ],
    ),
    "a code of another type": (
        ("amount: total", "amount: {type: table, from: total, map: {a: 1, b: x}}"),
        [(25, "'x' is not an exact decimal")],
    ),
    "a hash whose secret no connection has": (
        ("email: email", "email: {type: hash, from: email, secret: pepper}"),
        [(5, "connection 'main' lacks the secret 'pepper' that `transformer` uses")],
    ),
    "a hash whose secret is no name": (
        ("email: email", f"email: {{type: hash, from: email, secret: {HIDDEN}}}"),
        [
            (
                33,
                "`transformer.buyers.fields.email.secret`: string should have at most 24 "
                "characters",
            ),
        ],
    ),
    "a key that is hashed": (
        (
            "key: number\n      fields: {name",
            "key: {type: hash, from: number, secret: word}\n      fields: {name",
        ),
        [(32, "a key is the source's own: it takes no rule with a secret")],
    ),
    "an unknown entity": (
        ("entity: customer", "entity: custmer"),
        [(31, "no entity 'custmer'; did you mean 'customer'?")],
    ),
    "an unknown column": (
        ("status_raw: state", "statusraw: state"),
        [
            (24, "`status_raw` of payment is required, and no rule fills it"),
            (28, "payment has no column 'statusraw'; did you mean 'status_raw'?"),
        ],
    ),
    "a required column left out": (
        ("        amount: total\n", ""),
        [(24, "`amount` of payment is required, and no rule fills it")],
    ),
    "a word that the entity does not have": (
        ("open: pending", "open: waiting"),
        [
            (
                27,
                "`status` is one of pending, authorised, paid, failed, cancelled, expired, "
                "refunded, disputed; not waiting",
            )
        ],
    ),
    "a key of another type": (
        ("key: number\n      fields: {", "key: {type: decimal, from: number}\n      fields: {"),
        [(32, "a key is made of strings or whole numbers of the record")],
    ),
    "a stream without mapping, a mapping without stream": (
        ("    buyers:\n      entity", "    clients:\n      entity"),
        [
            (17, "stream 'buyers' has no mapping in `transformer`"),
            (30, "'clients' is no stream of `sync_handler`"),
        ],
    ),
    "a stream whose name is none": (
        ("      buyers:\n        sync", "      Buyers:\n        sync"),
        [
            (17, f"'Buyers' is no name: {NAME}"),
            (17, "stream 'Buyers' has no mapping in `transformer`"),
            (30, "'buyers' is no stream of `sync_handler`"),
        ],
    ),
    "a stream whose name joins two": (
        ("      buyers:\n        sync", "      buy__ers:\n        sync"),
        [
            (17, f"'buy__ers' is no name: {NAME}"),
            (17, "stream 'buy__ers' has no mapping in `transformer`"),
            (30, "'buyers' is no stream of `sync_handler`"),
        ],
    ),
    "a connection whose name is too long": (
        ("    main: {start", f"    {'m' * 25}: {{start"),
        [(5, f"{'m' * 25!r} is no name: {NAME}")],
    ),
    "a header that holds a key": (
        ('florist.example"}', 'florist.example", headers: {X-Api-Key: x}}'),
        [
            (
                8,
                "`sync_handler.transport.headers`: X-Api-Key is for auth_handler: a file names "
                "secrets, it holds none",
            )
        ],
    ),
    "a number that is none": (
        ('florist.example"}', 'florist.example", timeout_s: -1}'),
        [(8, "`sync_handler.transport.timeout_s`: input should be greater than 0, not -1")],
    ),
    "a word instead of a number": (
        ('florist.example"}', 'florist.example", timeout_s: long}'),
        [
            (
                8,
                "`sync_handler.transport.timeout_s`: input should be a valid number, unable to "
                "parse string as a number",
            )
        ],
    ),
    "a secret of another name": (
        ("word: {env: FLORIST_WORD}", "wort: {env: FLORIST_WORD}"),
        [
            (5, "connection 'main' lacks the secret 'word' that `auth_handler` uses"),
            (5, "no part of the connector uses the secret 'wort'"),
        ],
    ),
    "a secret that nothing uses": (
        ("word: {env: FLORIST_WORD}", "word: {env: FLORIST_WORD}, pepper: {env: PEPPER}"),
        [(5, "no part of the connector uses the secret 'pepper'")],
    ),
    "a secret from nowhere": (
        ("{env: FLORIST_WORD}", "{evn: FLORIST_WORD}"),
        [
            (
                5,
                "`connections.main.secrets.word` must say where the secret is: {env: NAME} or "
                "{file: PATH}",
            )
        ],
    ),
    "a secret for the sandbox": (
        ("    main: {start", "    sandbox: {start"),
        [(5, "the sandbox makes its own secrets; name none here")],
    ),
    "a function that is not there": (
        ("amount: total", "amount: {type: python, call: sum_of, reads: {total: string}}"),
        [(25, "transformer.py beside the file has no function 'sum_of'")],
    ),
    "a start that is no date": (
        ("2026-01-01", "2026-13-01"),
        [(5, "2026-13-01 is no date: month must be in 1..12")],
    ),
    "a key written twice": (
        ("amount: total", "amount: total\n        amount: sum"),
        [(26, "'amount' is written twice")],
    ),
    "a bracket left open": (
        ("amount: total", "amount: [total"),
        [(26, "expected ',' or ']', but got ':'")],
    ),
    "a tab": (
        ("      entity: customer", "\tentity: customer"),
        [(31, "found character '\\t' that cannot start any token")],
    ),
    "two documents": (
        ("attributes:\n", "---\nattributes:\n"),
        [(2, "but found another document")],
    ),
    "no attributes": (
        (FLORIST.partition("\n")[2], "attributes:\n"),
        [(2, "`attributes` must hold the five parts of the connector")],
    ),
    "a list": (
        (FLORIST, "- type\n- attributes\n"),
        [(1, "the file must hold `type:` and `attributes:`")],
    ),
    "nothing": ((FLORIST, ""), [(1, "the file must hold `type:` and `attributes:`")]),
}


@pytest.mark.parametrize(("change", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_shown_with_its_line(
    tmp_path: Path, change: Change, expected: list[Line]
) -> None:
    """A broken file is refused in these words, at these lines, and nothing else is said."""
    found = said(write(tmp_path / "florist", changed(change)))

    assert found == [f"defs.yaml:{line}: {message}" for line, message in expected]


def test_a_record_has_no_address_over_graphql(tmp_path: Path) -> None:
    """So none is fetched by its key."""
    query = "query ($after: String) { buyers(after: $after) { pageInfo { hasNextPage endCursor } edges { node { id } } } }"
    text = changed(
        ("    transport: {type: rest", "    transport: {type: graphql"),
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            f'{{query: "{query}", records: data.buyers, paging: {{type: relay}}}}\n'
            '        one: {path: "/buyers/{key}"}',
        ),
    )
    assert said(write(tmp_path / "florist", text)) == [
        "defs.yaml:12: a request over the transport graphql has a `query`",
        "defs.yaml:20: `one` is fetched at an address of its own, which GraphQL has not",
    ]


def test_a_soap_service_has_neither_feeds_nor_addresses(tmp_path: Path) -> None:
    """A feed is a list over REST, and a record has no address of its own."""
    asks = "operation: GetBuyers, records: Buyers.Buyer, paging: {type: single}"
    text = changed(
        (
            '    transport: {type: rest, base_url: "https://florist.example"}',
            '    transport: {type: soap, base_url: "https://florist.example", path: /a, wsdl: /a?wsdl}',
        ),
        (
            "{path: /buyers, records: items, paging: {type: next_url, next: next}}",
            f'{{{asks}}}\n        one: {{path: "/buyers/{{key}}"}}',
        ),
        text=FED,
    )
    assert said(write(tmp_path / "florist", text)) == [
        "defs.yaml:12: a request over the transport soap has an `operation`",
        "defs.yaml:20: `one` is fetched at an address of its own, which SOAP has not",
        "defs.yaml:36: a feed is a list over REST, which a SOAP service has not",
    ]


def test_decisions_about_missing_values(tmp_path: Path) -> None:
    """Each that a column cannot have, at its own line, and all of them at once."""
    decided = """\
      missing:
        amount: {when_absent: keep}
        status: {when_null: clear}
        currency:
          when_null: default
          default: euro
        customer_id: {when_null: reject}
        curency: {when_null: reject}
      fields:
        amount: total
"""
    text = changed(("      fields:\n        amount: total\n", decided))
    assert said(write(tmp_path / "florist", text)) == [
        "defs.yaml:25: `amount` is required: to keep it, it needs a `default` for a key never seen",
        "defs.yaml:26: `status` is required: it cannot be cleared",
        "defs.yaml:29: the `default` of `currency` does not match '^[A-Z]{3}$'",
        "defs.yaml:30: no rule fills `customer_id`: it is always missing",
        "defs.yaml:31: payment has no column 'curency'; did you mean 'currency'?",
    ]
    text = changed(("      fields:\n        amount: total\n", decided.replace("keep", "kep")))
    assert "'keep', 'clear', 'default' or 'reject', not 'kep'" in str(
        said(write(tmp_path / "other" / "florist", text))
    )


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    """Mistakes in different parts of a file do not hide one another, and come in its order."""
    text = changed(
        ("title: Florist (orders)", "titel: Florist"),
        ("{type: full}", "{type: ful}"),
        ("password: word", "password: wort"),
        ("column: created_at", "column: paid_at"),
        ("amount: total", "amount: {type: upper, from: total}"),
        ("entity: customer", "entity: custmer"),
        ("event_handler: none", "event_handler: webhook"),
    )

    assert said(write(tmp_path / "Florist", text)) == [
        f"defs.yaml:1: the folder's name 'Florist' is no name: {NAME}",
        "defs.yaml:2: `title` is missing",
        "defs.yaml:3: `titel` is no setting; is it misspelt, or meant for another place?",
        "defs.yaml:5: connection 'main' lacks the secret 'wort' that `auth_handler` uses",
        "defs.yaml:5: no part of the connector uses the secret 'word'",
        "defs.yaml:11: the window's column 'paid_at' is not mapped by `transformer.orders`",
        "defs.yaml:18: `sync_handler.streams.buyers.sync.type` must be one of 'window', 'full', "
        "'cursor', not 'ful'",
        "defs.yaml:25: `amount` takes an exact decimal, which the rule upper does not give",
        "defs.yaml:31: no entity 'custmer'; did you mean 'customer'?",
        "defs.yaml:34: `event_handler`: it should be `none`, or hold `feeds`",
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "import nowhere\n",
            "1: cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("\n\ndef half(:\n", "3: cannot be imported: SyntaxError: invalid syntax"),
        ("X = 1\nY = X / 0\n", "2: cannot be imported: ZeroDivisionError: division by zero"),
        (
            "def deep():\n    return {}['x']\n\n\ndeep()\n",
            "2: cannot be imported: KeyError: 'x'",
        ),
    ],
)
def test_a_transformer_that_cannot_be_imported(tmp_path: Path, code: str, expected: str) -> None:
    """The line of transformer.py is shown beside the file's own mistakes, and hides none of them."""
    call = "{type: python, call: sum_of, reads: {total: string}}"
    text = changed(("amount: total", f"amount: {call}"), ("title: Florist", "titel: Florist"))
    first, second, third = said(write(tmp_path / "florist", text, transformer=code))

    assert first.startswith("defs.yaml:2: ")
    assert second.startswith("defs.yaml:3: ")
    assert third.startswith(f"transformer.py:{expected}")


@pytest.mark.parametrize(
    "change",
    [
        ("{env: FLORIST_WORD}", HIDDEN),
        ("{env: FLORIST_WORD}", f"[{HIDDEN}]"),
        ("{user: {env: FLORIST_USER}, word: {env: FLORIST_WORD}}", HIDDEN),
        ("password: word", f"password: {HIDDEN}"),
        ("https://florist.example", f"https://me:{HIDDEN}@florist.example"),
        ("https://florist.example", f"https://florist.example?key={HIDDEN}"),
        ('florist.example"}', f'florist.example", headers: {{X-Api-Key: {HIDDEN}}}}}'),
        ('florist.example"}', f'florist.example", headers: [{HIDDEN}]}}'),
        ('florist.example"}', f'florist.example", headers: {HIDDEN}}}'),
        ("path: /buyers", f"path: {HIDDEN}"),
        ("path: /buyers", f"path: /buyers?key={HIDDEN}"),
        ("path: /buyers", f"params: {{api_key: {HIDDEN}}}, path: /buyers"),
        ("path: /buyers", f"params: {{k: '{HIDDEN}{{x}}'}}, path: /buyers"),
        ("path: /buyers", f"params: {HIDDEN}, path: /buyers"),
        ("type: basic, username: user, password: word", f"type: {HIDDEN}"),
        ("type: basic, username: user, password: word", f"type: api_key, secret: [{HIDDEN}]"),
        (
            "type: basic, username: user, password: word",
            f"type: api_key, secret: user, prefix: 'ä {HIDDEN}'",
        ),
        ("start: 2026-01-01", f"start: {HIDDEN}"),
    ],
)
def test_a_secret_that_was_written_is_not_repeated(tmp_path: Path, change: Change) -> None:
    """Whoever writes a secret into a file is told so, without the secret in the message."""
    found = said(write(tmp_path / "florist", changed(change)))

    assert found
    assert HIDDEN not in "\n".join(found)


@pytest.mark.parametrize("end", ["raw", "canonical"])
def test_streams_whose_assets_would_be_one(tmp_path: Path, end: str) -> None:
    """A stream is not called what another's asset is called: Dagster would load nothing at all."""
    text = FLORIST.replace("    buyers:\n", f"    orders_{end}:\n")

    found = said(write(tmp_path / "florist", text))

    assert found == [f"defs.yaml:17: an asset of stream 'orders' is called `orders_{end}` already"]


@pytest.mark.parametrize("name", ["a__b", "a_", "_a", "a" * 25, "Ab", "a\n", ""])
def test_what_is_no_name(name: str) -> None:
    """Names are joined with two underscores and get no longer than Postgres allows."""
    with pytest.raises(ValueError, match="is no name"):
        StreamId("a_b1", "a" * 24, name)


def test_a_file_that_holds_itself(tmp_path: Path) -> None:
    """An anchor inside its own node is refused, not followed for ever."""
    folder = write(tmp_path / "florist", "type: x\nattributes: &all\n  again: *all\n")

    with pytest.raises(FixConfig, match="holds itself"):
        read_connector(folder)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(FixConfig, match=r"florist/defs\.yaml: the file cannot be read"):
        read_connector(tmp_path / "florist")
