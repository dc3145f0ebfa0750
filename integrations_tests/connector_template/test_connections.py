"""Added connections are held to the rules of the connector's file, whenever the file is read."""

from pathlib import Path
from typing import Any

import pytest

from integrations.connector_template.connections import checked, merged
from integrations.connector_template.connector import Connector, read_connector
from integrations.connector_template.folders import SHIPPED
from integrations.errors import FixConfig
from integrations.names import StreamId
from integrations.storage.connections import Added

GOOD = {"start": "2026-03-01", "secrets": {"api_key": {"env": "SECOND_KEY"}}}


@pytest.fixture(scope="module")
def stripe() -> Connector:
    return read_connector(SHIPPED / "stripe")


def test_an_added_connection_has_every_stream_of_its_connector(stripe: Connector) -> None:
    """Beside those of the file, which stay as they are; what is added has its own start."""
    (both,), wrong = merged([stripe], [Added("stripe", "second", GOOD)])
    assert wrong == {}
    own = {stream.id for stream in stripe.streams()}
    streams = {stream.id: stream for stream in both.streams()}
    assert streams.keys() == own | {
        StreamId("stripe", "second", name) for name in stripe.config.sync_handler.streams
    }
    account = streams[StreamId("stripe", "second", "charges")].connection
    assert (account.begins_at.isoformat(), account.secrets["api_key"].name) == (
        "2026-03-01T00:00:00+00:00", "env:SECOND_KEY"
    )  # fmt: skip
    assert "second" not in stripe.config.connections


CASES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("stripe", "main", GOOD, ["there is a connection 'main' in", "it is the one that counts"]),
    ("stripe", "sandbox", {"start": "2026-03-01"}, ["'sandbox' is the name of the local twin's"]),
    ("stripe", "No Name", GOOD, ["'No Name' is no name"]),
    ("stripe", "second", {"start": "2026-03-01"}, ["lacks the secret 'api_key'"]),
    (
        "stripe", "second", GOOD | {"start": "May", "colour": 1},
        ["`connections.second.start`", "`connections.second.colour` is no setting"],
    ),
    (
        "stripe", "second", {"start": "2026-03-01", "secrets": {"api_key": "hush-hush-hush"}},
        ["`connections.second.secrets.api_key` must say where the secret is"],
    ),
    (
        "stripe", "second", {"start": "2026-03-01", "secrets": GOOD["secrets"] | {"x": {"env": "X"}}},
        ["no part of the connector uses the secret 'x'"],
    ),
    (
        "stripe", "second", GOOD | {"base_url": "https://me:hush-hush-hush@x.example"},
        ["`connections.second.base_url`: an address begins with https://"],
    ),
    ("stripe", "second", GOOD | {"base_url": "https://x.example:hush"}, ["`connections.second.base"]),
]  # fmt: skip


@pytest.mark.parametrize(("connector", "name", "config", "said"), CASES)
def test_what_does_not_fit_costs_that_connection_alone(
    stripe: Connector, connector: str, name: str, config: dict[str, Any], said: list[str]
) -> None:
    """It cannot be added; and where it was, before the file changed, its siblings work. Every
    mistake is told, and nothing that may be a secret is shown."""
    loaded, wrong = merged(
        [stripe], [Added(connector, name, config), Added("stripe", "third", GOOD)]
    )
    names = {one.id.connection for one in loaded[0].streams()}
    assert names == {*stripe.config.connections, "third"}
    assert loaded[0].config.connections["main"] == stripe.config.connections["main"]
    (error,) = wrong.values()
    assert wrong.keys() == {(connector, name)}
    with pytest.raises(FixConfig) as refused:
        checked(stripe, name, config)
    for told in (str(error), str(refused.value)):
        assert all(words in told for words in said), told
        assert "hush" not in told
    assert len(refused.value.mistakes) == max(1, len(said) if "colour" in config else 1)
    assert f"integrations connections remove {connector}/{name}" in str(error)


def test_a_connector_that_is_gone_leaves_words(stripe: Connector) -> None:
    """Its folder was removed or is broken: the others load, and what is missing is named."""
    loaded, wrong = merged([stripe], [Added("mill", "main", GOOD)])
    assert loaded == [stripe]
    assert "no connector 'mill' loads, to which mill/main was added" in str(wrong["mill", "main"])


def test_what_is_stored_is_what_was_said(stripe: Connector, tmp_path: Path) -> None:
    """References and no defaults: a default that changes later holds for it too."""
    file = str(tmp_path / "key")
    values = GOOD | {"secrets": {"api_key": {"file": file}}}
    assert checked(stripe, "second", values) == Added(
        "stripe", "second", {"start": "2026-03-01", "secrets": {"api_key": {"file": file}}}
    )
