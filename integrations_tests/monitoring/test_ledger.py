"""What the ledger says about each stream."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from integrations.monitoring.ledger import StreamStatus, statuses
from integrations.names import StreamId
from integrations.storage import ledger
from integrations.storage.tables import ensure_leaf
from integrations_tests.storage.loads import DAY, SPEC, STREAM, Said, draft, load, refused

LATER = datetime(2100, 1, 1, tzinfo=UTC)
NEVER = StreamId("shop", "main", "never")


def test_one_for_each_stream(connection: psycopg.Connection[Any]) -> None:
    """Rows of the table, the share of the newest run, the last success and what stopped it since;
    a stream that never ran is there too."""
    ensure_leaf(connection, SPEC, connector="shop")
    load(connection, [Said(str(n)) for n in range(8)], changes={"run_id": "old"})
    load(connection, [], refused=refused(["0"]), changes={"run_id": "old"})
    good = load(connection, [Said("0", None, at=1, rank=2), Said("8")], refused=refused(["x", "y"]))
    failed = replace(draft(0), status="failed", error="503", ended_at=LATER)
    ledger.write(connection, failed)
    connection.commit()
    found = statuses(connection, entities={NEVER: "sale", STREAM: "sale"})
    assert found == [
        StreamStatus(stream=NEVER, entity="sale"),
        StreamStatus(
            stream=STREAM, entity="sale", status="failed", last_success=good.ended_at,
            last_attempt=LATER, rows=8, received=4, quarantined=2, error="503", open_quarantine=2,
            covered_until=DAY.end,
        ),
    ]  # fmt: skip
    assert [status.error_rate for status in found] == [0, 0.5]


@pytest.mark.parametrize(
    ("lines", "status", "error"),
    [
        ([("old", "failed"), ("new", "ok")], "ok", None),
        ([("new", "failed"), ("new", "ok")], "failed", "failed 0"),
        ([("new", "failed"), ("new", "blocked"), ("new", "failed")], "failed", "failed 2"),
        ([("new", "warn"), ("new", "ok")], "warn", None),
        ([("old", "ok"), ("new", "warn"), ("new", "blocked"), ("new", "ok")], "blocked", None),
    ],
)
def test_the_worst_line_of_the_newest_run(
    connection: psycopg.Connection[Any],
    lines: list[tuple[str, Any]],
    status: str,
    error: str | None,
) -> None:
    """A window that failed is not hidden by a later one of the same run that went well."""
    for number, (run, said) in enumerate(lines):
        why = f"failed {number}" if said == "failed" else None
        line = replace(draft(0), run_id=run, status=said, error=why, ended_at=LATER)
        ledger.write(connection, line)
    (found,) = statuses(connection, entities={STREAM: "sale"})
    assert (found.status, found.error) == (status, error)


def test_before_anything_was_made(connection: psycopg.Connection[Any]) -> None:
    """Without tables there are no rows, and no error."""
    assert statuses(connection, entities={NEVER: "sale"}) == [
        StreamStatus(stream=NEVER, entity="sale")
    ]
