"""The table of planted bugs: what each changes in the product, and which test must notice.

The bugs are those that a person could make in good faith: a line too many, one forgotten, one a
step too early. A plant stands on the text of the product; when that moves, renew the plant.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """A bug of one class: in `file`, below `integrations/`, the text `old` becomes `new`. `caught`
    is the test, below `integrations_tests/`, that must then fail, and pass without it."""

    kind: str
    name: str
    file: str
    old: str
    new: str
    caught: str


PLANTS = (
    Plant(
        "a row dropped between pages",
        "the first record of each following page is skipped",
        "transport/rest.py",
        "yield replace(page, position=position)",
        "yield replace(page, records=page.records[number > 1 :], position=position)",
        "transport/test_rest.py::test_a_list_by_last_id_is_read_to_its_end",
    ),
    Plant(
        "a row dropped between pages",
        "a record whose detail is gone is passed over",
        "transport/rest.py",
        "            records.append(whole)\n",
        "            records += [] if whole.startswith(MARK) else [whole]\n",
        "transport/test_related.py::test_a_detail_that_is_not_there_marks_its_record",
    ),
    Plant(
        "a row dropped between pages",
        "a range that holds less than was asked for is taken for a full one",
        "transport/ranged.py",
        "if total is None or len(answer.records) < self.size:\n"
        "            return iter([Next(range=self._asked(last + 1))])",
        "if total is None:\n            return iter([Next(range=self._asked(before + self.size))])",
        "transport/test_ranged.py::test_each_record_comes_once",
    ),
    Plant(
        "a row dropped between pages",
        "a page that closes a part loses a record, and nobody counts it",
        "storage/landing.py",
        "                self._flush()\n            self._waiting.extend(records)",
        "                self._flush()\n                records = records[1:]\n"
        "                self._records -= 1\n"
        "            self._waiting.extend(records)",
        "storage/test_landing.py::test_as_it_was_sent",
    ),
    Plant(
        "a row dropped between pages",
        "an empty page ends a list that goes on",
        "transport/paging.py",
        'if found is None or found == "":\n            return None\n        if not isinstance',
        "if not found or not answer.records:\n            return None\n        if not isinstance",
        "transport/test_rest.py::test_empty_pages_with_a_next_are_gone_through",
    ),
    Plant(
        "a position moved before its rows",
        "a window's position is committed, then its rows",
        "connector_template/loading.py",
        "    prepare(stream, connection=connection)\n    found, entry",
        "    prepare(stream, connection=connection)\n"
        "    reached = positions.Reached(\n"
        "        window=manifest.window, landing=manifest.landing, run_id=run.run_id,\n"
        "        said_at=manifest.said_at,\n"
        "    )\n"
        "    positions.move(connection, stream.id, reached, pin=pin(stream))\n"
        "    connection.commit()\n"
        "    found, entry",
        "faults/test_kills.py::test_killed_and_run_again[staging-then-committing]",
    ),
    Plant(
        "a position moved before its rows",
        "a feed's position moves although its rows are held back",
        "connector_template/feed_loading.py",
        'if not any(entry.status == "blocked" for entry in entries):',
        "if entries:",
        "lanes/test_feed_refusals.py::test_a_blocked_stream_holds_back_the_landing",
    ),
    Plant(
        "a position moved before its rows",
        "a blocked window counts as committed",
        "storage/loader.py",
        'if entry.status != "blocked" and entry.cause != "replay":',
        'if entry.cause != "replay":',
        "storage/test_loader.py::test_share_of_refused[379-20-False-blocked]",
    ),
    Plant(
        "a retry without jitter",
        "the waits are the ceilings",
        "error_handling/retry.py",
        "ceiling * (_LEAST + (1 - _LEAST) * random())",
        "ceiling",
        "error_handling/test_retry.py::test_the_jitter_stays_inside_the_ceiling[0.25]",
    ),
    Plant(
        "a retry without jitter",
        "the chance that a run gives to its session is none",
        "orchestration/resources.py",
        "random=random.random,",
        "random=lambda: 0.5,",
        "orchestration/test_resources.py::test_two_runs_do_not_come_back_together",
    ),
    Plant(
        "a retry without jitter",
        "the session forgets the chance that it was given",
        "transport/rest.py",
        "random=self._random, on_retry=_tell",
        "random=lambda: 0.0, on_retry=_tell",
        "transport/test_rest.py::test_a_passing_fault_is_retried_and_logged",
    ),
    Plant(
        "a secret in an exception",
        "a vendor's words are quoted as they came",
        "transport/faults.py",
        "for char in redact(text))",
        "for char in text)",
        "transport/test_http.py::test_a_vendors_words_are_quoted_on_one_line",
    ),
    Plant(
        "a secret in an exception",
        "a key that no header can carry is quoted",
        "auth/static.py",
        'f"the secret {self.secret!r} holds characters that no header can carry"',
        'f"the secret {self.secret!r} holds characters that no header can carry: {key}"',
        "auth/test_static.py::test_a_secret_that_cannot_be_used_is_named",
    ),
    Plant(
        "a secret in an exception",
        "what is raised names the value where it meant the name",
        "secrets.py",
        "    def __repr__(self) -> str:\n        return MASK",
        "    def __repr__(self) -> str:\n        return self._value",
        "test_secrets.py::test_a_secret_inside_a_container_shows_dots",
    ),
    Plant(
        "a secret in an exception",
        "the id that a vendor gives a request is quoted as it came",
        "transport/http.py",
        "(request {redact(request_id)[:100]})",
        "(request {request_id[:100]})",
        "transport/test_http.py::test_a_vendor_that_repeats_our_headers_shows_no_secret",
    ),
    Plant(
        "a secret in an exception",
        "base64 is known where it begins with the key, and not behind a user's name",
        "redaction.py",
        "    for shift in range(3):",
        "    for shift in range(2):",
        "conformance/test_secrets_in_sinks.py::test_no_secret_is_in_any_sink",
    ),
    Plant(
        "a secret in an exception",
        "what looks like a tag is cut out of a key before it is looked for",
        "transport/faults.py",
        'text = re.sub(tags, " ", redact(text), flags=re.S | re.I)',
        'text = re.sub(tags, " ", text, flags=re.S | re.I)',
        "transport/test_http.py::test_a_vendors_words_are_quoted_on_one_line",
    ),
    Plant(
        "a per-record loop in the main path",
        "a page's records are copied one by one",
        "storage/landing.py",
        "self._waiting.extend(records)",
        "self._waiting.extend([bytes(record) for record in records])",
        "hot_path/test_per_record.py::test_no_step_of_python",
    ),
    Plant(
        "a per-record loop in the main path",
        "a batch is joined as a list of Python's bytes",
        "transformation/parse.py",
        'block: pa.Buffer = pc.binary_join(whole, b"\\n")[0].as_buffer()',
        'block: pa.Buffer = pa.py_buffer(b"\\n".join(records.to_pylist()))',
        "hot_path/test_per_record.py::test_no_object_of_python",
    ),
    Plant(
        "a per-record loop in the main path",
        "rows are looked at one by one before they go into COPY",
        "storage/copying.py",
        "    if not rows.num_rows:\n        return\n",
        "    if not rows.num_rows:\n        return\n"
        '    if any(value == "" for value in rows.column(0).to_pylist()):\n'
        '        raise ValueError("a row without a key")\n',
        "hot_path/test_per_record.py::test_no_step_of_python",
    ),
    Plant(
        "a per-record loop in the main path",
        "a rule goes through its values",
        "transformation/values.py",
        "return Coerced(pc.utf8_upper(values))",
        "return Coerced(array([v and v.upper() for v in values.to_pylist()], TEXT))",
        "hot_path/test_per_record.py::test_no_step_of_python",
    ),
    Plant(
        "memory that grows with the data",
        "all batches of a landing are kept until the last is loaded",
        "connector_template/loading.py",
        "for part in batches:",
        "for part in list(batches):",
        "hot_path/test_memory.py::test_loading_more_parts_takes_no_more_memory",
    ),
    Plant(
        "memory that grows with the data",
        "a pull gathers its pages before it lands them",
        "connector_template/pull.py",
        "            for page in pages:\n                sys.audit",
        "            for page in list(pages):\n                sys.audit",
        "hot_path/test_memory.py::test_landing_more_parts_takes_no_more_memory",
    ),
    Plant(
        "rows lost at the edge of a window",
        "the overlap is forgotten",
        "sync_state/windows.py",
        "return Window(window.start - OVERLAP, window.end)",
        "return window",
        "sync_state/test_windows.py::test_a_pull_covers_five_minutes_before_its_window",
    ),
    Plant(
        "rows lost at the edge of a window",
        "a pull from before a window's end does for it",
        "sync_state/windows.py",
        "if pulled_at is None or pulled_at < window.end:",
        "if pulled_at is None or pulled_at < window.start:",
        "sync_state/test_windows.py::test_how_long_a_pull_does_for_a_window",
    ),
    Plant(
        "refused records thrown away",
        "they are counted and not kept",
        "storage/quarantine.py",
        "    if not refused.num_rows:\n        return\n",
        "    refused = refused.slice(0, 0)\n    if not refused.num_rows:\n        return\n",
        "storage/test_loader.py::test_every_fate_at_once",
    ),
    Plant(
        "refused records thrown away",
        "a load that passes leaves none of them",
        "storage/loader.py",
        "        self._put_refused(entry, said)\n        self._merge.close_quarantine()",
        "        self._merge.close_quarantine()",
        "conformance/test_connectors.py::test_bad_records_cost_only_themselves[stripe]",
    ),
    Plant(
        "an old state over a new one",
        "a statement is applied whatever was said before",
        "storage/merge.py",
        '        text = _APPLIED + (_ABOVE_FLOOR if self.floor is not None else "")',
        '        text = "{s}._seen_at IS NOT NULL"',
        "lanes/test_feed.py::test_an_old_event_is_stale",
    ),
    Plant(
        "an old state over a new one",
        "a pull that began earlier and loads last wins",
        "storage/positions.py",
        "    return was.landing > than.landing",
        "    return False",
        "storage/test_loader.py::test_an_older_pull_that_loads_last",
    ),
    Plant(
        "an old state over a new one",
        "two readers of one cursor both move it",
        "storage/positions.py",
        "if reached.cursor is not None and (was.cursor if was else None) != reached.cursor[0]:",
        "if reached.cursor is not None and was is None and reached.cursor[0] is not None:",
        "storage/test_positions.py::test_a_cursor_moves_from_where_it_stands",
    ),
    Plant(
        "something absent wipes what is stored",
        "the brake on deletions is gone",
        "storage/loader.py",
        "if absent > BRAKE_SHARE * live and not accept:",
        "if absent > live and not accept:",
        "orchestration/test_step.py::test_a_reading_that_lacks_too_much_says_so",
    ),
    Plant(
        "something absent wipes what is stored",
        "a kept column is written over like any other",
        "storage/keeping.py",
        "[_standing(column, row, kept=column.name in keeps) for",
        "[_standing(column, row, kept=False) for",
        "storage/test_missing.py::test_the_table",
    ),
    Plant(
        "something absent wipes what is stored",
        "a field that is absent counts as null",
        "transformation/presence.py",
        "map(is_, values, repeat(msgspec.UNSET))",
        "map(is_, values, repeat(None))",
        "transformation/test_missing.py::test_records_of_any_shape",
    ),
    Plant(
        "something absent wipes what is stored",
        "of two copies in a landing the last takes nothing from the other",
        "storage/keeping.py",
        "CASE WHEN s.{keep} AND h.{keep} THEN h.{name} ELSE s.{name} END,",
        "s.{name},",
        "storage/test_missing.py::test_copies_of_a_key_in_one_landing",
    ),
    Plant(
        "something absent wipes what is stored",
        "a stale copy gives its value to the one that stays",
        "storage/keeping.py",
        "{there} AND NOT {wins}",
        "{there} AND false",
        "storage/test_merge.py::test_a_note_that_is_kept",
    ),
    Plant(
        "something absent wipes what is stored",
        "a load is not told of what its stream keeps",
        "connector_template/loading.py",
        "order=stream.order, keeps=mapping.keeps, parent=of)",
        "order=stream.order, parent=of)",
        "lanes/test_kept.py::test_in_both_lanes",
    ),
    Plant(
        "something absent wipes what is stored",
        "a rebuild reads the newest landings alone",
        "connector_template/rebuilding.py",
        "                family.lend(batch, one.id)",
        "                pass",
        "lanes/test_kept.py::test_said_by_a_reading_that_another_has_replaced",
    ),
    Plant(
        "something absent wipes what is stored",
        "a page that does not say where its records are is an empty one",
        "transport/body.py",
        '        raise StopStream(f"the answer has no {path!r}, where its records should be")',
        "        return []",
        "transport/test_paging.py::test_a_body_of_another_shape_is_no_empty_page",
    ),
    Plant(
        "success with rows missing",
        "what was fetched and what was transformed need not agree",
        "storage/loader.py",
        "        if self._records != entry.records:",
        "        if self._records > entry.records:",
        "storage/test_loader.py::test_counts_that_disagree",
    ),
    Plant(
        "success with rows missing",
        "the fates need not add up",
        "storage/ledger.py",
        "        if sum(fates.values()) != self.received:",
        "        if sum(fates.values()) > self.received:",
        "storage/test_loader.py::test_each_count_is_its_own",
    ),
    Plant(
        "success with rows missing",
        "an answer that ends in the middle is a whole one",
        "transport/faults.py",
        "    httpx.TransportError: RetryLater,  # timeouts, the network, proxies, answers cut short",
        "    httpx.TimeoutException: RetryLater,",
        "transport/test_http.py::test_a_broken_answer_is_a_passing_fault",
    ),
    Plant(
        "an event lost",
        "of two kinds of events that one stream takes the second is forgotten",
        "transformation/events.py",
        "            at = pc.indices_nonzero(pc.and_(good, pc.equal(streams, stream)))",
        "            at = pc.indices_nonzero(pc.and_(good, pc.equal(streams, stream)))[:1]",
        "lanes/test_feed.py::test_events_go_to_their_streams",
    ),
    Plant(
        "an event lost",
        "a feed goes on behind what it could not commit",
        "connector_template/feed.py",
        "        if loaded is None or loaded.blocked:",
        "        if loaded is None:",
        "lanes/test_feed_refusals.py::test_a_blocked_stream_holds_back_the_landing",
    ),
    Plant(
        "a landing that is not whole",
        "a part that was changed on the disk is read",
        "storage/landing.py",
        "        if _digest(data) != part.sha256:",
        "        if not data.size:",
        "storage/test_landing.py::test_damage_is_noticed",
    ),
    Plant(
        "a credential sent elsewhere",
        "a next link may lead to another host",
        "transport/http.py",
        "if _origin(url) != _origin(self._base) or url.userinfo:",
        "if url.userinfo:",
        "transport/test_rest.py::test_a_next_link_to_another_origin_is_refused",
    ),
    Plant(
        "two loads at once",
        "the lock of a stream is not taken",
        "storage/transaction.py",
        'connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"load {stream}"])',
        'connection.execute("SELECT hashtextextended(%s, 0)", [f"load {stream}"])',
        "storage/test_loader.py::test_loads_of_a_stream_wait_for_each_other",
    ),
    Plant(
        "money as a binary float",
        "a decimal is read as a double",
        "transformation/kinds.py",
        'DECIMAL = Kind("decimal", pa.decimal128(38, 9), Decimal)',
        'DECIMAL = Kind("decimal", pa.float64(), float)',
        "transformation/test_rules.py::test_decimals_are_exact_as_numbers_and_as_strings",
    ),
)
