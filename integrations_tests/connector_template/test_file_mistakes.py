"""Mistakes in streams that are read from files: one clear line each, with its place in the file."""

from pathlib import Path

import pytest

from integrations.connector_template.connector import read_connector
from integrations.errors import FixConfig
from integrations_tests.connector_template.florist import FED, FEED, changed, write
from integrations_tests.connector_template.test_files import BOX

AUTH, STREAM, SYNC, REQUEST, FEEDS = 6, 10, 11, 12, 20
"""The lines of the file that begin these parts of it."""
ASKS = 'request: {folder: /in, files: "*.csv", format: {type: csv, separator: ";", needs: [id]}}'
CASES = [
    (("{type: cursor}", "{type: full}"), SYNC, "files are read by cursor"),
    (("{type: cursor}", "{type: cursor, position: id}"), SYNC, "leave it out"),
    ((ASKS, f'{ASKS}\n        one: {{path: "/in/{{key}}"}}'), REQUEST + 1, "which files have not"),
    (("{type: csv, sep", "{type: tsv, sep"), REQUEST, "`sync_handler.streams.orders.request.format.type` must be one of"),
    (("folder: /in", "folder: /in/../x"), REQUEST, "a folder has no '..' in it"),
    (("{type: ssh_password, username: user, password: word, host_key: host}", "{type: basic, username: user, password: word}"),
     AUTH, "the transport sftp sends no basic: it takes ssh_password or ssh_key"),
    (('{type: sftp, base_url: "sftp://box.example", settle_s: 3}', '{type: s3, base_url: "https://box.example/box"}'),
     AUTH, "the transport s3 sends no ssh_password: it takes aws_keys or aws_role or aws_default"),
    (("  transformer:\n", "      lines: {of: orders}\n  transformer:\n    lines: {entity: customer, key: [id, item.no], each: lines, fields: {name: item.x}}\n"),
     REQUEST + 1, "'lines' is a child of 'orders', which is read from files"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line", "said"), CASES)
def test_a_mistake_is_one_line(
    tmp_path: Path, change: tuple[str, str], line: int, said: str
) -> None:
    with pytest.raises(FixConfig) as raised:
        read_connector(write(tmp_path / "box", changed(change, text=BOX)))
    (found,) = raised.value.mistakes
    assert (found.line, said in str(found)) == (line, True), found


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        (changed((ASKS, "request: {path: /in, paging: {type: single}}"), text=BOX), "sftp has `files`"),
        (changed(("request: {path: /buyers, records: items, paging: {type: next_url, next: next}}", ASKS), text=FED), "rest has a `path`"),
    ],
)  # fmt: skip
def test_a_request_is_of_its_transport(tmp_path: Path, text: str, asks: str) -> None:
    """Files over HTTP, and a path over SFTP, are asked for in vain."""
    with pytest.raises(FixConfig) as raised:
        read_connector(write(tmp_path / "box", text))
    assert f"over the transport {asks}" in str(raised.value)


def test_a_credential_of_files_signs_no_requests(tmp_path: Path) -> None:
    """Over HTTP a key of SSH is good for nothing."""
    wrong = ("{type: basic, username: user, password: word}", "{type: ssh_password, username: user, password: word, host_key: word}")  # fmt: skip
    with pytest.raises(FixConfig, match="the transport rest sends no ssh_password"):
        read_connector(write(tmp_path / "florist", changed(wrong, text=FED)))


def test_no_feed_speaks_of_files(tmp_path: Path) -> None:
    """An event names a record by its key, and files have none of their own."""
    feed = FEED.replace("{order: orders, buyer: buyers}", "{order: orders}")
    text = changed(("  event_handler: none\n", feed), text=BOX)
    with pytest.raises(FixConfig, match="no feed can route to 'orders': it is read from files"):
        read_connector(write(tmp_path / "box", text))
