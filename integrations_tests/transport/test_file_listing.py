"""Which files are meant, which are news, and when a reading begins."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from integrations.errors import StopStream
from integrations.transport.file_listing import Entry, Known, Listed, in_order, matching
from integrations.transport.file_request import FilesRequest
from integrations.transport.files import _known

NOW = datetime(2026, 1, 31, 22, tzinfo=UTC)
CSV = {"type": "csv"}


def listed(path: str, *, size: int = 1, tag: str = "t") -> Listed:
    return Listed(path=path, size=size, tag=tag)


@pytest.mark.parametrize(
    ("pattern", "meant", "other"),
    [
        ("*.csv", ["a.csv", ".csv", "a.csv.part", "a b'é.csv"], ["a.csvx", "d/a.csv", "a.CSV", "a.csv.part.part"]),
        ("**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], ["d/a.txt"]),
        ("d/**/a?.csv", ["d/ab.csv", "d/e/ab.csv"], ["ab.csv", "d/a.csv", "d/a/.csv"]),
        ("[a].(b)+$", ["[a].(b)+$"], ["a.b", "a.bb"]),
    ],
)  # fmt: skip
def test_a_pattern_means_names(pattern: str, meant: list[str], other: list[str]) -> None:
    """`*` and `?` stay within a name, `**/` does not; all other signs are themselves."""
    found = [one.path for one in matching(map(listed, meant + other), pattern)]
    assert found == meant


def test_news_is_what_differs() -> None:
    """A size, a tag, a name; and what is to be looked at again."""
    known = Known()
    for one, again in ((listed("a"), False), (listed("b"), False), (listed("c"), True)):
        known.set(one, Entry(one.size, one.tag, "loaded", "hash", again))
    known = Known.read(known.written())
    shown = [listed("a"), listed("b", size=2), listed("b", tag="u"), listed("c"), listed("d")]
    assert [known.is_news(one) for one in shown] == [False, True, True, True, True]
    known.only([listed("a")])
    assert {*known.files} == {"a"}


def test_each_reading_has_a_moment_of_its_own() -> None:
    """Later than every one before it, in this pull and in earlier ones, whatever the clock says."""
    known = Known()
    first = [known.moment(NOW), known.moment(NOW), known.moment(NOW - timedelta(hours=1))]
    later = Known.read(known.written())
    moments = [*first, later.moment(NOW - timedelta(days=1)), later.moment(NOW + timedelta(days=1))]
    assert moments == sorted({*moments})
    assert moments[0] == NOW
    assert moments[-1] == NOW + timedelta(days=1)


def test_what_was_written_later_is_read_later() -> None:
    """By their time, then by their names."""
    files = [("b", 1), ("a", 2), ("c", 1)]
    shown = [Listed(path=p, size=1, tag="", modified_at=NOW + timedelta(hours=h)) for p, h in files]
    assert [one.path for one in in_order(shown)] == ["b", "c", "a"]


def test_a_position_that_is_none_stops_the_stream() -> None:
    """What somebody wrote by hand, or another kind of stream."""
    for position in ("17", "{}", "x", msgspec.json.encode({"at": 1, "files": []}).decode()):
        with pytest.raises(StopStream, match="position is none of a source of files"):
            _known(position)


def test_days_are_named_as_the_file_says() -> None:
    """From so many days before the last listing to where it is tomorrow; all before the first."""
    request = FilesRequest(files="**/*", format=CSV, days="y=YYYY/MM-DD", lookback_days=1)  # type: ignore[arg-type]
    assert request.folders(None, NOW) == [""]
    assert request.folders(NOW - timedelta(days=1), NOW) == [
        "y=2026/01-29/", "y=2026/01-30/", "y=2026/01-31/", "y=2026/02-01/",
    ]  # fmt: skip
    assert FilesRequest(files="*", format=CSV).folders(NOW, NOW) == [""]  # type: ignore[arg-type]
