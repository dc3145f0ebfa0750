"""A record's trace says what its loads said, and its row is what they give."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from integrations.cli import main
from integrations.commands.trace import Telling
from integrations.commands.trace_words import feed_objects, feed_tale
from integrations.connector_template import retrying, statements, tracing
from integrations.connector_template.connector import BoundStream
from integrations.connector_template.tracing import FeedTrace, Trace
from integrations.errors import FixConfig
from integrations.storage import quarantine, undo
from integrations.storage.database import connect
from integrations.storage.landing import LandingZone
from integrations.storage.ledger import FATES
from integrations_tests.conftest import make_settings
from integrations_tests.lanes.lanes import Clock, Lanes
from integrations_tests.lanes.life import Life

GOLDEN = Path(__file__).parent.parent / "golden"
STRANGE: Mapping[str, Any] = {"status": "strange"}
"""What no mapping knows."""


def traced(lanes: Lanes, name: str, key: str, *, stream: BoundStream | None = None) -> Trace:
    return tracing.trace(
        stream or lanes.stream(name),
        key,
        feeds=[lanes.events],
        connection=lanes.connection,
        zone=lanes.zone,
        clock=lanes.clock,
    )


def event(lanes: Lanes, key: str) -> FeedTrace:
    return tracing.trace_event(lanes.events, key, connection=lanes.connection, zone=lanes.zone)


def life_of(found: Trace) -> list[tuple[str, list[str | None]]]:
    """How each statement came, and its fates."""
    return [(one.how, [load.fate for load in one.loads]) for one in found.statements]


def test_the_timeline(lanes: Lanes, life: Life, clock: Clock, tmp_path: Path) -> None:
    """A charge that was paid, refunded in a way that nobody knows, and put right, in words."""
    numbers = count(1)
    url = (tmp_path / "zone").as_uri()
    lanes.zone = LandingZone(url, clock=clock, token=lambda: f"{next(numbers):08}")
    lanes.turn()
    ident = life.create("charges", description="Boeket voor Anna")
    clock.goes(seconds=90)
    lanes.sync("charges", today(lanes))
    for change in (STRANGE, {"status": "succeeded", "amount_refunded": 1_200}):
        clock.goes(minutes=10)
        life.change("charges", ident, **change)
        clock.goes(seconds=2.5)
        lanes.turn()
    clock.goes(hours=1)
    lanes.replay("charges", lanes.windows("charges"))
    found = traced(lanes, "charges", ident)
    assert found.row is not None
    assert found.quarantine is not None
    found.row["_synced_at"] = clock()
    entry = replace(found.quarantine, first_at=clock(), last_at=clock(), closed_at=clock())
    found = replace(found, quarantine=entry)
    told = Telling(lanes.stream("charges"), show_personal=False)
    text = "\n".join(told.tale(found)).replace(lanes.account, "main") + "\n"
    assert text == (GOLDEN / "trace.txt").read_text()
    assert "Anna" not in text + str(list(told.objects(found)))
    shown = Telling(lanes.stream("charges"), show_personal=True)
    assert "description Boeket voor Anna" in "\n".join(shown.tale(found))


def today(lanes: Lanes) -> Any:
    return lanes.windows("charges")[-1]


def test_a_charge_in_both_lanes(lanes: Lanes, life: Life, clock: Clock) -> None:
    """A pull inserts, a hint fetches and updates, a pull again and a replay change nothing."""
    lanes.turn()
    ident = life.create("charges")
    lanes.sync("charges", today(lanes))
    clock.goes(minutes=10)
    life.change("charges", ident, amount_refunded=1_200)
    lanes.turn()
    clock.goes(minutes=10)
    lanes.sync("charges", today(lanes))
    lanes.replay("charges", lanes.windows("charges"))
    found = traced(lanes, "charges", ident)
    assert (found.played, found.differs, found.quarantine) == (True, {}, None)
    assert life_of(found) == [
        ("pulled", ["inserted"]),
        ("event", []),
        ("event", []),
        ("fetched", ["updated", "stale"]),
        ("pulled", ["unchanged", "unchanged"]),
    ]
    types = [one.event.type for one in found.statements if one.event]
    assert types == ["charge.succeeded", "charge.updated"]
    causes = [load.line.cause for load in found.statements[-2].loads]
    assert causes == ["push", "replay"]


def test_what_is_landed_and_was_never_loaded(lanes: Lanes, life: Life) -> None:
    """A statement without a load is shown, and is not in the row."""
    ident = life.create("charges")
    lanes.land(lanes.stream("charges"), today(lanes), lanes.run())
    found = traced(lanes, "charges", ident)
    assert (life_of(found), found.row, found.played) == ([("pulled", [])], None, False)


def test_a_customer_that_is_gone_and_comes_back(lanes: Lanes, life: Life, clock: Clock) -> None:
    """Tombstone, absence and revival: each is a statement with its fate."""
    first, second = life.create("customers"), life.create("customers")
    lanes.sync("customers")
    lanes.turn()
    clock.goes(minutes=10)
    life.delete("customers", first)
    life.delete("customers", second, event=False)
    lanes.turn()
    clock.goes(minutes=10)
    lanes.sync("customers", accept=True)
    clock.goes(minutes=10)
    life.revive("customers", second)
    lanes.turn()
    gone, back = (traced(lanes, "customers", one) for one in (first, second))
    assert life_of(gone)[-1] == ("event", ["deleted"])
    assert gone.row is not None
    assert gone.row["_deleted_at"] is not None
    assert life_of(back)[-2:] == [("absent", ["absent_deleted"]), ("event", ["updated"])]
    assert (gone.differs, back.differs) == ({}, {})


def test_several_statements_in_one_landing(lanes: Lanes, life: Life, clock: Clock) -> None:
    """The one that stands for all has the fate, the others are duplicates."""
    lanes.turn()
    ident = life.create("customers")
    for act in (life.delete, life.revive):  # within the slack: the deletion stands
        clock.goes(seconds=5)
        act("customers", ident)
    lanes.turn()
    found = traced(lanes, "customers", ident)
    assert [fates for _, fates in life_of(found)] == [["duplicate"], ["deleted"], ["duplicate"]]
    assert found.differs == {}


def test_a_landing_that_was_blocked(lanes: Lanes, life: Life) -> None:
    """Nothing of it is loaded; what was refused is in quarantine all the same."""
    strange = [life.create("charges", **STRANGE) for _ in range(25)]
    good = life.create("charges")
    assert lanes.sync("charges", today(lanes)).status == "blocked"
    assert life_of(traced(lanes, "charges", strange[0])) == [("pulled", ["quarantined"])]
    found = traced(lanes, "charges", good)
    assert (life_of(found), found.row, found.differs) == ([("pulled", [None])], None, {})


def test_a_refused_record_and_its_retry(lanes: Lanes, life: Life) -> None:
    """What was refused then and passes now is told as it was: quarantined, then inserted."""
    ident = life.create("charges", **STRANGE)
    lanes.sync("charges", today(lanes))
    found = traced(lanes, "charges", ident)
    assert life_of(found) == [("pulled", ["quarantined"])]
    assert found.quarantine is not None
    assert (found.row, found.quarantine.closed_at) == (None, None)
    kinder = kind_to_strange(lanes.stream("charges"))
    entries = quarantine.open_records(lanes.connection, kinder.id)
    lanes.connection.rollback()
    retried = retrying.retry(
        kinder, entries,
        connection=lanes.connection, session=None, run=lanes.run("retry"), clock=lanes.clock,
    )  # fmt: skip
    assert retried.passed == (ident,)
    found = traced(lanes, "charges", ident, stream=kinder)
    assert life_of(found) == [("pulled", ["quarantined", "inserted"])]
    assert found.differs == {}
    assert found.quarantine is not None
    assert found.quarantine.resolution == "passed"


def kind_to_strange(stream: BoundStream, *, value: str = "paid") -> BoundStream:
    """The stream with a mapping that takes any status."""
    mapping = stream.mapping.mapping
    fields = mapping.fields | {"status": type(mapping).model_validate(
        {"entity": "payment", "key": "id", "fields": {"status": {"type": "constant", "value": value}}}
    ).fields["status"]}  # fmt: skip
    bound = mapping.model_copy(update={"fields": fields}).bind(stream.mapping.entity)
    return replace(stream, mapping=bound)


def test_all_traces_together_are_the_ledger(lanes: Lanes, life: Life, clock: Clock) -> None:
    """Over a random life, the fates of all records add up to every line; every row is derived."""
    compare_with_ledger(lanes, life, clock, seed=2, rounds=5)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_all_traces_together_are_the_ledger_for_long(
    lanes: Lanes, life: Life, clock: Clock, seed: int
) -> None:
    """The same over longer lives."""
    compare_with_ledger(lanes, life, clock, seed=seed, rounds=8)


def compare_with_ledger(lanes: Lanes, life: Life, clock: Clock, *, seed: int, rounds: int) -> None:
    rng, names = Random(seed), ("charges", "customers")
    lanes.turn()
    for _ in range(rounds):
        life.live(rng, 4, kinds=names, deletes=("customers",), back_s=86_400)
        clock.goes(seconds=rng.choice([1, 30, 90, 4_000]))
        verb = rng.randrange(5)
        if verb == 0:
            lanes.sync("customers", accept=True)
        elif verb == 1:
            lanes.sync("charges", rng.choice(lanes.windows("charges")))
        elif verb == 2:
            name = rng.choice(names)
            lanes.replay(name, lanes.windows(name) if name == "charges" else (None,))
        else:
            lanes.turn()
    for name in names:
        found = [traced(lanes, name, key) for key in lanes.rows(name)]
        assert [one.differs for one in found if one.differs] == []
        assert told(found) == booked(lanes, name)


def told(found: list[Trace]) -> Counter[tuple[int, str]]:
    """By ledger line and fate, how many statements have it; events that only repeat one are
    duplicates."""
    fates = Counter(
        (load.line.number, load.fate or "")
        for trace in found
        for one in trace.statements
        for load in one.loads
    )
    for trace in found:
        asked = Counter(one.manifest for one in trace.statements if one.hint)
        for one in trace.statements:
            if one.how == "fetched":
                again = asked[one.manifest] - 1
                fates.update({(load.line.number, "duplicate"): again for load in one.loads})
    return +fates


def booked(lanes: Lanes, name: str) -> Counter[tuple[int, str]]:
    """The same as the ledger has it."""
    terms = (*FATES, "absent_deleted")
    rows = lanes.fetch(
        f"SELECT id, {', '.join(terms)} FROM integrations.ledger"
        " WHERE (connection, stream) = (%s, %s)",
        lanes.account, name,
    )  # fmt: skip
    return +Counter(
        {(line, term): n for line, *counts in rows for term, n in zip(terms, counts, strict=True)}
    )


def test_an_event_that_cannot_be_read(lanes: Lanes, life: Life) -> None:
    """It is found by its own id, with the feed's entry; another one says where it went."""
    lanes.turn()
    ident = life.create("customers")
    (told,) = life.truth("events")
    strange = life.create("customers")
    (odd,) = life.truth("events").keys() - {told}
    broken = life.truth("events")[odd] | {"created": "soon"}
    life._objects["events"][odd] = broken  # no source says such a thing on purpose
    lanes.turn()
    found = event(lanes, odd)
    assert [[load.fate for load in one.loads] for one in found.events] == [["quarantined"]]
    assert found.quarantine is not None
    assert found.events[0].refused is not None
    assert any("cannot be read" in line for line in feed_tale(found))
    (good,) = event(lanes, told).events
    assert (good.stream, good.key, good.refused) == ("customers", ident, None)
    assert [one["kind"] for one in feed_objects(event(lanes, told))] == ["event", "quarantine"]
    with pytest.raises(FixConfig, match="nothing is known"):
        traced(lanes, "customers", strange)


def test_a_record_without_a_key_is_found_by_its_hash(lanes: Lanes, life: Life) -> None:
    """What quarantine knows by a hash is traced by it."""
    ident = life.create("customers")
    life._objects["customers"][ident] |= {"id": " "}
    lanes.sync("customers")
    ((key,),) = lanes.fetch(
        "SELECT key FROM integrations.quarantine WHERE connection = %s", lanes.account
    )
    found = traced(lanes, "customers", key)
    assert key.startswith("sha256:")
    assert life_of(found) == [("pulled", ["quarantined"])]
    assert found.row is None


def test_rows_that_the_landings_do_not_explain(lanes: Lanes, life: Life, tmp_path: Path) -> None:
    """A changed mapping, or landings that are gone, are told as a difference."""
    ident = life.create("charges")
    lanes.sync("charges", today(lanes))
    stream = kind_to_strange(lanes.stream("charges"), value="failed")
    changed = traced(lanes, "charges", ident, stream=stream)
    assert changed.differs == {"status": ("failed", "paid")}
    text = "\n".join(Telling(stream, show_personal=False).tale(changed))
    assert "status: they give failed, there is paid" in text
    lanes.zone = LandingZone((tmp_path / "other").as_uri())
    gone = traced(lanes, "charges", ident)
    assert (gone.landings, gone.gone, gone.played, life_of(gone)) == (0, 1, False, [])


def test_a_trace_changes_nothing(lanes: Lanes, life: Life, clock: Clock) -> None:
    """Tables, quarantine, positions and ledger are as they were, to the last stamp."""
    ident = life.create("charges", **STRANGE)
    lanes.sync("charges", today(lanes))
    life.change("charges", ident, status="succeeded")
    lanes.turn()
    tables = ("ledger", "quarantine", "positions", "streams")
    queries = [f"SELECT * FROM integrations.{name} ORDER BY 1, 2, 3, 4" for name in tables]
    queries.append("SELECT * FROM canonical.payment ORDER BY connection, source_id")
    before = [lanes.fetch(query) for query in queries]
    assert traced(lanes, "charges", ident).played
    lanes.connection.commit()  # whatever it may have left open
    assert [lanes.fetch(query) for query in queries] == before


def test_a_row_that_was_brought_back(lanes: Lanes, life: Life, clock: Clock) -> None:
    """What a person has done is in no landing; it is told, and who did it."""
    ident = life.create("customers")
    lanes.sync("customers")
    clock.goes(hours=1)
    life.delete("customers", ident, event=False)
    lanes.sync("customers", accept=True)
    spec, stream = lanes.stream("customers").mapping.entity.table(), lanes.id("customers")
    (done,) = undo.deletions(lanes.connection, spec, stream)
    lanes.connection.rollback()
    undo.undelete(
        lanes.connection, spec, stream, deleted_by=done.run_id, run_id="byhand", clock=clock
    )
    found = traced(lanes, "customers", ident)
    assert life_of(found) == [("pulled", ["inserted"]), ("absent", ["absent_deleted"])]
    assert ["byhand" in note for note in found.notes] == [True]
    assert found.differs.keys() == {"_rank", "_deleted_at"}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b'{"id": "a/1"}', True),
        (b'{"id": "a\\/1"}', True),
        (b'{"id": "\\u0061/1"}', True),
        (b'{"id": "a/2", "of": "a/1"}', True),
        (b'{"id": "a/2"}', False),
    ],
)
def test_no_spelling_of_a_key_is_missed(record: bytes, *, found: bool) -> None:
    """What may hold the key is read, however JSON spells it; what cannot is not."""
    may = statements.Needle("a/1", parts=["a/1"]).may(pa.array([record], pa.binary()))
    assert len(may) == int(found)


def test_the_command(
    life: Life,
    lanes: Lanes,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It tells what is known as JSON too, and what nobody knows is a mistake of the caller."""
    settings = make_settings(tmp_path / "home", database_url=database)
    monkeypatch.setenv("INTEGRATIONS_HOME", str(settings.home))
    monkeypatch.setenv("INTEGRATIONS_DATABASE_URL", database)
    ident = life.create("charges")
    with connect(database) as connection:
        zone = LandingZone(settings.landing_url, clock=lanes.clock)
        own = replace(lanes, account="sandbox", connection=connection, zone=zone)
        own.sync("charges", today(own))
    said = CliRunner().invoke(main, ["trace", "stripe/sandbox/charges", ident, "--json"])
    assert said.exit_code == 0, said.output
    kinds = [json.loads(line)["kind"] for line in said.stdout.splitlines()]
    assert kinds == ["statement", "row", "quarantine"]
    said = CliRunner().invoke(main, ["trace", "stripe/sandbox/charges", "ch_nobody"])
    assert said.exit_code == 2
    assert "nothing is known of 'ch_nobody'" in said.stderr
    assert "1 landing since 2026-10-20" in said.stderr
