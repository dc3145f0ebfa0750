"""Local times: which moment a clock on a wall showed, with the hours that never were or were twice."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations_tests.transformation.test_times import NO_TIME, SENDCLOUD
from integrations_tests.transformation.things import No, check, one, transform

AMSTERDAM = {"type": "local_time", "from": "v", "zone": "Europe/Amsterdam"}
BY_ROW = {"type": "local_time", "from": "v", "zone_from": "z"}
NEVER, TWICE = (
    No("never was: the clock was put forward"),
    No("came twice, for the clock was put back"),
)
NO_LOCAL = No("is no local time as 2026-01-31T12:00:00")
ZONES = ["Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_local_times() -> None:
    """Winter and summer, and the two nights between which the clock is moved."""
    cases = [
        *(
            ("2026-01-31T12:00:00", utc(2026, 1, 31, 11)),
            ("2026-07-31 12:00", utc(2026, 7, 31, 10)),
        ),
        ("2026-01-31T12:00:00.1234567", utc(2026, 1, 31, 11, 0, 0, 123456)),
        *(
            ("2026-03-29T01:59:59.999999", utc(2026, 3, 29, 0, 59, 59, 999999)),
            ("2026-03-29T03:00", utc(2026, 3, 29, 1)),
        ),
        *((f"2026-03-29T02:{at}", NEVER) for at in ("00", "00:00", "30", "59:59.999999")),
        *(
            ("2026-10-25T01:59:59", utc(2026, 10, 24, 23, 59, 59)),
            ("2026-10-25T03:00", utc(2026, 10, 25, 2)),
        ),
        *((f"2026-10-25T02:{at}", TWICE) for at in ("00", "00:00", "30", "59:59.999999")),
        *(("2099-07-01T12:00:00", utc(2099, 7, 1, 10)),),
        # A year that Python's calendar reaches in another cycle: the clock moves on the same days.
        *(("2999-03-30T12:00", utc(2999, 3, 30, 11)), ("2999-03-31T02:30", NEVER)),
        *(("2999-03-31T12:00", utc(2999, 3, 31, 10)), ("2999-10-26T12:00", utc(2999, 10, 26, 10))),
        *(("2999-10-27T02:30", TWICE), ("2999-10-27T12:00", utc(2999, 10, 27, 11))),
        *(("9999-12-31T23:59:59", utc(9999, 12, 31, 22, 59, 59)), (None, None)),
        ("0001-01-01T00:00:00", No("lies outside the years 1 to 9999")),
        ("0000-06-01T00:00:00", NO_LOCAL),
        *(
            (f"2026-01-31T12:00:00{zone}", NO_LOCAL)
            for zone in ("Z", "+01:00", " CET", "[Europe/Paris]")
        ),
        *((text, NO_LOCAL) for text in NO_TIME),
        *((value, No("expected `str | null`")) for value in (5, True, [], {})),
    ]
    check("moment", AMSTERDAM, cases)


def test_a_fold_is_read_as_declared() -> None:
    """The hour that came twice is the earlier or the later, where the file says which."""
    both = {"earlier": utc(2026, 10, 25, 0, 30), "later": utc(2026, 10, 25, 1, 30)}
    for fold, moment in both.items():
        cases = [("2026-10-25T02:30", moment), ("2026-10-25T03:00", utc(2026, 10, 25, 2))]
        check("moment", AMSTERDAM | {"fold": fold}, [*cases, ("2026-03-29T02:30", NEVER)])


def test_a_gap_is_read_as_declared() -> None:
    """As if the clock had not been put forward: 02:30 is 03:30."""
    cases = [
        *(("2026-03-29T02:00", utc(2026, 3, 29, 1)), ("2026-03-29T02:30", utc(2026, 3, 29, 1, 30))),
        ("2026-03-29T02:59:59.999999", utc(2026, 3, 29, 1, 59, 59, 999999)),
        *(("2026-03-29T03:30", utc(2026, 3, 29, 1, 30)), ("2026-10-25T02:30", TWICE), (None, None)),
    ]
    check("moment", AMSTERDAM | {"gap": "forward"}, cases)


def test_a_clock_may_be_moved_by_half_an_hour() -> None:
    """And by whole days: where the date line was crossed a day never was."""
    island = {"type": "local_time", "from": "v", "zone": "Australia/Lord_Howe"}
    check(
        "moment",
        island,
        [
            ("2026-10-04T02:15", NEVER),
            ("2026-10-04T02:45", utc(2026, 10, 3, 15, 45)),
            ("2026-04-05T01:45", TWICE),
        ],
    )
    samoa = {"type": "local_time", "from": "v", "zone": "Pacific/Apia", "gap": "forward"}
    check(
        "moment",
        samoa,
        [("2011-12-30T12:00", utc(2011, 12, 30, 22)), ("2011-12-29T12:00", utc(2011, 12, 29, 22))],
    )


def test_a_zone_for_each_record() -> None:
    """By its name in the IANA database, or by the source's own name for it."""
    rule = BY_ROW | {"zones": {"CEST": "Europe/Amsterdam", "PDT": "America/Los_Angeles"}}
    noon = "2026-07-01T12:00:00"
    records: list[tuple[Any, Any, Any]] = [
        *(
            (noon, "Europe/Amsterdam", utc(2026, 7, 1, 10)),
            (noon, "Asia/Kolkata", utc(2026, 7, 1, 6, 30)),
        ),
        *((noon, "CEST", utc(2026, 7, 1, 10)), (noon, "PDT", utc(2026, 7, 1, 19))),
        *((noon, "UTC", utc(2026, 7, 1, 12)), (noon, "Europe/Amsterdam", utc(2026, 7, 1, 10))),
        *((None, "Europe/Amsterdam", None), (None, "nowhere", None), (None, None, None)),
        *(
            (noon, "America/New_York", utc(2026, 7, 1, 16)),
            ("2026-10-25T02:30", "Asia/Tokyo", utc(2026, 10, 24, 17, 30)),
        ),
    ]
    found = transform(
        {"moment": rule}, *({"id": str(n), "v": v, "z": z} for n, (v, z, _) in enumerate(records))
    )
    assert found.rows["moment"].to_pylist() == [becomes for *_, becomes in records]
    for zone in (
        "XX",
        "",
        "EST5PDT",
        "+01:00",
        "europe/amsterdam",
        "Europe/Amsterdam ",
        "right/UTC",
        "localtime",
        "Factory",
        "../etc/passwd",
        None,
    ):
        told = one({"moment": rule}, {"v": noon, "z": zone})
        assert (
            told
            == f"moment: `v` {noon!r}, `z` {'null' if zone is None else repr(zone)} has no time zone of the IANA database"
        )
    mixed = [
        {"id": str(n), "v": v, "z": z}
        for n, (v, z) in enumerate(
            [(noon, "XX"), (noon, "UTC"), ("2026-03-29T02:30", "Europe/Amsterdam"), ("x", "UTC")]
        )
    ]
    done = transform({"moment": rule}, *mixed)
    assert done.rows["source_id"].to_pylist() == ["1"]
    assert [r.rpartition("' ")[2] for r in done.refused["reason"].to_pylist()] == [
        "has no time zone of the IANA database",
        str(NEVER),
        str(NO_LOCAL),
    ]


def test_zeros_of_dotnet() -> None:
    """A zero that a zone would move out of the calendar is null where that is declared."""
    zeros = [(f"0001-01-01T00:00:00{rest}", None) for rest in ("", ".0", ".0000000")]
    check(
        "moment",
        AMSTERDAM | {"zero_is_null": True},
        zeros,
    )
    for zone in (None, "nowhere", "Asia/Tokyo"):
        check("moment", BY_ROW | {"zero_is_null": True}, zeros, z=zone)


def test_summer_comes_every_year() -> None:
    """Also after 2037, where pyarrow has none."""
    for year in (2036, 2037, 2038, 2099, 2400, 9998):
        cases: list[tuple[str, Any]] = [
            (f"{year}-07-01T12:00:00", utc(year, 7, 1, 10)),
            (f"{year}-01-01T12:00:00", utc(year, 1, 1, 11)),
        ]
        check("moment", AMSTERDAM, [*cases, (None, None)])
        rule = {"type": "local_date", "from": "v", "zone": "Europe/Amsterdam"}
        check(
            "day",
            rule,
            [
                (f"{year}-07-01T22:30:00Z", date(year, 7, 2)),
                (f"{year}-01-01T22:30:00Z", date(year, 1, 1)),
            ],
        )
    check("moment", AMSTERDAM, [("2099-03-29T02:30:00", NEVER), ("2099-10-25T02:30:00", TWICE)])
    check(
        "moment",
        AMSTERDAM | {"fold": "later", "gap": "forward"},
        [
            ("2099-03-29T02:30:00", utc(2099, 3, 29, 1, 30)),
            ("2099-10-25T02:30:00", utc(2099, 10, 25, 1, 30)),
        ],
    )
    check(
        "moment",
        AMSTERDAM | {"zone": "America/New_York"},
        [("9999-12-31T23:59:59", No("lies outside"))],
    )


def test_local_times_in_other_formats() -> None:
    """As Sendcloud writes them."""
    cases = [
        *(
            ("01-01-2018 21:45:30", utc(2018, 1, 1, 20, 45, 30)),
            ("01-07-2018 00:00:00", utc(2018, 6, 30, 22)),
        ),
        *(("25-10-2026 02:30:00", TWICE), ("29-03-2026 02:30:00", NEVER), (None, None)),
        *(
            (t, No(f"is no local time as {SENDCLOUD}"))
            for t in (
                "2018-01-01 21:45:30",
                "1-1-2018 21:45:30",
                "",
                "01-01-2018 21:45",
                "31-02-2018 21:45:30",
                "01-01-2018 24:00:00",
            )
        ),
    ]
    check("moment", AMSTERDAM | {"format": SENDCLOUD}, cases)


@pytest.mark.parametrize(
    ("settings_", "why"),
    [
        ({"zone": "Europe/Amsterdamm"}, "'Europe/Amsterdamm' is no time zone of the IANA database"),
        ({"zone": "CEST"}, "'CEST' is no time zone"),
        ({"zone": "+01:00"}, "'+01:00' is no time zone"),
        ({"zone": ""}, "'' is no time zone"),
        ({}, "either `zone` names the time zone, or `zone_from` says where it stands"),
        ({"zone": "UTC", "zone_from": "z"}, "either `zone` names the time zone"),
        ({"zone": "UTC", "zones": {"A": "UTC"}}, "`zones` are the names that stand at `zone_from`"),
        ({"zone_from": "z", "zones": {"CEST": "CEST"}}, "'CEST' is no time zone"),
        ({"zone": "UTC", "fold": "guess"}, "should be 'refuse', 'earlier' or 'later'"),
        ({"zone": "UTC", "format": "DD-MM-YYYY HH:mm Z"}, "local_date"),
    ],
)
def test_a_mistake_of_the_file(settings_: dict[str, Any], why: str) -> None:
    """An unknown zone is one, long before any data."""
    with pytest.raises(ValidationError) as caught:
        one({"moment": {"type": "local_time", "from": "v"} | settings_}, {"v": None})
    assert why in str(caught.value)


def test_days_of_moments() -> None:
    """The day that it was there, alone and behind other rules."""
    late = date(2026, 6, 2)
    cases = [
        *(("2026-06-01T21:59:59Z", date(2026, 6, 1)), ("2026-06-01T22:00:00Z", late), (None, None)),
        *(("2026-12-31T23:00:00Z", date(2027, 1, 1)), ("2026-06-02T00:30:00+02:00", late)),
        ("9999-12-31T23:30:00Z", No("lies outside the years 1 to 9999")),
        ("0001-01-01T00:00:00Z", date(1, 1, 1)),
        *((text, No("is no ISO 8601 moment with a zone")) for text in NO_TIME),
    ]
    rule = {"type": "local_date", "zone": "Europe/Amsterdam"}
    check("day", rule | {"from": "v"}, cases)
    check("day", ["v", rule], cases)
    check("day", [{"type": "epoch_ms", "from": "v"}, rule], [(1780351200000, late), (None, None)])
    check(
        "day",
        ["v", {"type": "local_date", "zone_from": "z"}],
        [("2026-06-01T15:30:00Z", late)],
        z="Asia/Tokyo",
    )
    check(
        "day",
        ["v", {"type": "local_date", "zone_from": "z"}],
        [("2026-06-01T15:30:00Z", No("no time zone"))],
        z="X",
    )
    west = {"type": "local_date", "from": "v", "zone": "America/New_York"}
    check("day", west, [("0001-01-01T00:00:00Z", No("lies outside"))])


@settings(max_examples=12)
@given(
    st.lists(
        st.datetimes(datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-29"))
        | st.datetimes(datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2050-01-01")),
        min_size=1,
    ),
    st.sampled_from(ZONES),
)
def test_a_local_time_is_what_python_says(values: list[datetime], name: str) -> None:
    """Whole years of hours: neither moved, nor one of a gap or a fold taken without a word."""
    zone = ZoneInfo(name)
    cases = []
    for value in values:
        moments = [value.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        shown = [m.astimezone(zone).replace(tzinfo=None, fold=0) for m in moments]
        becomes: Any = moments[0]
        if moments[0] != moments[1]:
            becomes = TWICE if shown == [value, value] else NEVER
        cases.append((value.isoformat(), becomes))
    check("moment", AMSTERDAM | {"zone": name}, cases)


def test_every_hour_of_two_nights() -> None:
    """Quarter by quarter through the nights of 2026 in five zones, each record with its own."""
    records, becomes = [], []
    for start in (
        datetime.fromisoformat("2026-03-28T20:00"),
        datetime.fromisoformat("2026-10-24T20:00"),
        datetime.fromisoformat("2026-04-04T20:00"),
    ):
        for quarter in range(60):
            for name in ZONES:
                value = start + timedelta(minutes=15 * quarter)
                records.append({"id": str(len(records)), "v": value.isoformat(), "z": name})
                # Python reads a gap and a fold by the offset before it, as these two settings do.
                becomes.append(value.replace(tzinfo=ZoneInfo(name)).astimezone(UTC))
    rule = BY_ROW | {"fold": "earlier", "gap": "forward"}
    assert transform({"moment": rule}, *records).rows["moment"].to_pylist() == becomes
