"""Dagster's connections when the database goes away, and ours."""

import time

import pytest
from sqlalchemy import Engine, create_engine, text

from integrations.errors import RetryLater
from integrations.orchestration import reconnecting
from integrations.orchestration.instance_storage import dagster_url
from integrations.orchestration.reconnecting import Patience
from integrations.storage.database import connect, living

END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def one(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT 1")).scalar_one())


def test_a_kept_connection_that_the_server_closed_is_not_used(database: str) -> None:
    """As after a restart: the first statement on it would fail, and with it Dagster's run."""
    engine = create_engine(dagster_url(database), pool_size=1)
    Patience().watch(engine)
    assert one(engine) == 1
    with connect(database, autocommit=True) as other:
        other.execute(END_OTHERS)
    assert one(engine) == 1
    engine.dispose()


def test_a_database_that_is_away_is_waited_for_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails speaks to Dagster's tables a dozen times, and each would wait anew."""
    monkeypatch.setattr(reconnecting, "PATIENCE_S", 0.3)
    engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    Patience().watch(engine)
    waited = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(RetryLater, match=r"cannot be reached.*Run it again"):
            one(engine)
        waited.append(time.monotonic() - began > 0.3)
    assert waited == [True, False]


def test_a_connection_is_known_to_be_closed_without_a_statement(database: str) -> None:
    with connect(database) as ours, connect(database, autocommit=True) as other:
        assert living(ours)
        other.execute(END_OTHERS)
        assert not living(ours)
        ours.close()
        assert not living(ours)
