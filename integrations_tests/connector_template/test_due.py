"""What of a stream is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from integrations.connector_template import pipeline
from integrations.connector_template.due import due
from integrations.connector_template.folders import SHIPPED, read
from integrations.storage import positions


@pytest.mark.parametrize(("hours", "expected"), [(None, [[]]), (23, []), (25, [[]])])
def test_a_full_stream_is_as_old_as_its_pull(
    connection: psycopg.Connection[Any], hours: int | None, expected: list[Any]
) -> None:
    """A day after it was read it is due, however late that reading was committed."""
    (connector,), _ = read([SHIPPED / "stripe"])
    stream = next(s for s in connector.streams() if str(s.id) == "stripe/sandbox/customers")
    now = datetime.now(UTC)
    if hours is not None:
        landing = f"{now - timedelta(hours=hours):%Y%m%dT%H%M%S.%fZ}-0"
        pin = pipeline.pin(stream)
        positions.move(connection, stream.id, window=None, pin=pin, landing=landing, run_id="r")
    assert due(stream, connection, now=now) == expected
