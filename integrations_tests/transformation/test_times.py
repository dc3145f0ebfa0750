"""Moments and days in every dress: the one that was meant, or a refusal that says what is wrong."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.transformation.formats import written
from integrations_tests.transformation.things import No, check, one

ZERO = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

NO_TIME = [
    *("", " ", "now", "null", "None", "NaN", "0", "1769860800", "2026", "2026-01", "12:00:00"),
    *("2026-W05-6", "2026-031", "20260131T120000Z", "20260131", "26-01-31", "31 Jan 2026"),
    *("Sat, 31 Jan 2026 12:00:00 GMT", "/Date(1769860800000)/", "0000-00-00", "2026/01/31"),
    *("0000-00-00 00:00:00", "2026-01-31T", "T12:00:00Z", "-2026-01-31T12:00:00Z", "\x00"),
    *(
        "2026-13-01T12:00:00Z",
        "2026-00-01T12:00:00Z",
        "2026-01-32T12:00:00Z",
        "2026-02-30T12:00:00Z",
    ),
    *(
        "2026-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2026-04-31T12:00:00Z",
        "2026-01-00T12:00:00Z",
    ),
    *(
        "2026-01-31T24:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
    ),
    *(
        "2016-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-1-31T12:00:00Z",
    ),
    *("2026-01-31T12:00:00Zx", "x2026-01-31T12:00:00Z", " 2026-01-31T12:00:00Z", "2026-01-31T12Z"),
    *("2026-01-31T12:00:00Z ", "2026-01-31T12:00:00Z\n", "\ufeff2026-01-31T12:00:00Z"),
    *(
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T1:00:00Z",
    ),
    *("\u0662\u0660\u0662\u0666-01-31T12:00:00Z", "\uff12\uff10\uff12\uff16-01-31T12:00:00Z"),
    *("2026\u201301\u201331T12:00:00Z", "2026-01-31\u00a012:00:00Z", "2026-01-31T12:00:00+2"),
    *("2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00+05:99", "2026-01-31T12:00:00+24:00"),
    *("2026-01-31T12:00:00 Europe/Amsterdam", "2026-01-31T12:00:00CET", "2026-01-31T12:00:00+"),
]
"""What no rule takes for a moment, nor for a day."""


def test_moments() -> None:
    """ISO 8601 with an offset; what is finer than a microsecond is cut off."""
    cases = [
        *(
            (f"2026-01-31{t}12:00:00{z}", NOON)
            for t in "T "
            for z in ("Z", "+00:00", "-00:00", "+00")
        ),
        *(
            (f"2026-01-31T{at}", NOON)
            for at in ("12:00Z", "14:00+02:00", "06:30-0530", "12:00:00.0Z")
        ),
        ("2026-02-01T02:00:00+14:00", NOON),
        ("2026-01-30T22:00:00-14:00", NOON),
        ("2026-01-31T12:00:00.1Z", NOON + timedelta(microseconds=100_000)),
        ("2026-01-31T11:59:59.999999999Z", NOON - timedelta(microseconds=1)),
        ("2026-01-31T12:00:00.000000999Z", NOON),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2000-02-29T00:00:00Z", datetime(2000, 2, 29, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", ZERO),
        ("9999-12-31T23:59:59.999999999Z", LAST),
        ("0001-01-01T00:00:00+00:01", No("is no ISO 8601 moment with a zone")),
        ("9999-12-31T23:59:00-00:01", No("is no ISO 8601 moment with a zone")),
        ("2026-01-31T12:00:00", No("is no ISO 8601 moment with a zone")),
        ("2026-01-31", No("is no ISO 8601 moment with a zone")),
        *((text, No("is no ISO 8601 moment with a zone")) for text in NO_TIME),
        *((value, No("expected `str | null`")) for value in (5, 1.5, True, [], {})),
        (b'"\\ud800"', No("half of a surrogate pair")),
        (None, None),
    ]
    check("moment", "v", cases)
    check("moment", "v", [case for case in cases if case[0] not in NO_TIME])


def test_days() -> None:
    """ISO 8601 days alone: a moment has a day only in a zone."""
    cases = [
        *(("2026-01-31", date(2026, 1, 31)), ("2024-02-29", date(2024, 2, 29)), (None, None)),
        *(("0001-01-01", date(1, 1, 1)), ("9999-12-31", date(9999, 12, 31))),
        *(
            (day, No("is no day as 2026-01-31"))
            for day in ("0000-01-01", "0000-12-31", "2026-02-29")
        ),
        *(
            (day, No("is no day"))
            for day in ("2026-02-30", "2026-04-31", "2026-13-01", "2026-00-10")
        ),
        *((day, No("is no day")) for day in ("2026-01-00", "2026-01-32", "2026-1-1", "31-01-2026")),
        *(
            (day, No("is no day"))
            for day in ("10000-01-01", "+2026-01-31", "2026-01-31 ", "2026-01-31Z")
        ),
        *((text, No("is no day as 2026-01-31")) for text in NO_TIME),
        *((value, No("expected `str | null`")) for value in (20260131, 1.5, False, [], {})),
    ]
    check("day", "v", cases)


@pytest.mark.parametrize(
    ("name", "each"), [("epoch_s", 1), ("epoch_ms", 1000), ("epoch_us", 1_000_000)]
)
def test_epochs(name: str, each: int) -> None:
    """Whole numbers within the years 1 to 9999, whatever they count; each unit by its own name."""
    first, last = int(ZERO.timestamp()) * each, 253402300800 * each - 1
    start, outside = (
        datetime(1970, 1, 1, tzinfo=UTC),
        No("lies outside the years 1 to 9999 in epoch"),
    )
    cases = [
        *(
            (0, start),
            (-each, start - timedelta(seconds=1)),
            (86_400 * each, datetime(1970, 1, 2, tzinfo=UTC)),
        ),
        *((first, ZERO), (1769860800 * each, NOON), (None, None), (b"-0", start)),
        (last, LAST - timedelta(microseconds=1_000_000 // each - 1)),
        *((n, outside) for n in (first - 1, last + 1, 2**63 - 1, -(2**63))),
        *((v, No("expected `int")) for v in ("0", "1769860800", 1.5, 1e3, True, [], "2026-01-31")),
        (2**63, No("at most 64 bits")),
        (b"NaN", No("no JSON")),
    ]
    check("moment", {"type": name, "from": "v"}, cases)
    check(
        "moment",
        {"type": name, "from": "v", "zero_is_null": True},
        [(0, None), (each, start + timedelta(seconds=1))],
    )
    text = [{"type": "text", "from": "v"}, {"type": "integer"}, {"type": name}]
    check("moment", text, [(str(1769860800 * each), NOON), ("", No("no whole number"))])
    exact = [{"type": "decimal", "from": "v"}, {"type": name}]
    half = NOON + timedelta(microseconds=500_000 // each)
    check(
        "moment", exact, [(f"{1769860800 * each}.5", half), ("1e28", outside), (f"{first}", ZERO)]
    )
    check("moment", exact, [(f"{last}.9999999", LAST), ("-1e28", outside), (None, None)])
    check(
        "moment",
        exact,
        [
            ("-0.000000001", start - timedelta(microseconds=1)),
            (0.5, start + timedelta(microseconds=500_000 // each)),
        ],
    )


def test_dates_of_microsoft() -> None:
    """Milliseconds of UTC in a wrapping; the offset behind them moves nothing."""
    rule, no = {"type": "microsoft_date", "from": "v"}, No("is no date as /Date(1385078400000)/")
    at = datetime(2013, 11, 22, tzinfo=UTC)
    cases = [
        *((f"/Date(1385078400000{offset})/", at) for offset in ("", "+0000", "+0100", "-1200")),
        *(("/Date(0)/", datetime(1970, 1, 1, tzinfo=UTC)), ("/Date(-62135596800000)/", ZERO)),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (b'"\\/Date(1385078400000)\\/"', at),
        *(
            (f"/Date({n})/", No("lies outside the years"))
            for n in (10**14 * 9, -(10**14) * 9, 253402300800000)
        ),
        *(
            (f"/Date({n})/", no)
            for n in ("", "x", "1e3", "1.5", "+1", " 1", "--1", "9" * 16, "NaN")
        ),
        *((f"/Date(1{offset})/", no) for offset in ("+01:00", "+1", "Z", " +0100", "+01000")),
        *(
            (text, no)
            for text in (
                "Date(0)",
                "/Date(0)",
                "Date(0)/",
                "/date(0)/",
                "/Date(0)/ ",
                "\ufeff/Date(0)/",
            )
        ),
        *(
            (text, no)
            for text in ("new Date(0)", "/Date(\u0661)/", "2013-11-22", "1385078400000", "")
        ),
        *((value, No("expected `str | null`")) for value in (1385078400000, True, {})),
        (None, None),
    ]
    check("moment", rule, cases)
    check(
        "day",
        rule,
        [
            ("/Date(1385078400000)/", date(2013, 11, 22)),
            ("/Date(-1)/", date(1969, 12, 31)),
            ("x", no),
        ],
    )
    zero = [("/Date(-62135596800000)/", None), ("/Date(0)/", datetime(1970, 1, 1, tzinfo=UTC))]
    check("moment", rule | {"zero_is_null": True}, zero)
    check("day", rule | {"zero_is_null": True}, [("/Date(-62135596800000)/", None)])


def test_zeros_are_null_where_that_is_declared() -> None:
    """The zero of proto3 and of .NET means that there is none; elsewhere it is the year 1."""
    zeros = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", "0001-01-01 00:00:00+00:00"]
    near = ("0001-01-01T00:00:00.000001Z", ZERO + timedelta(microseconds=1))
    moment = {"type": "timestamp", "from": "v", "zero_is_null": True}
    check("moment", moment, [*((zero, None) for zero in zeros), near, ("0001-01-01", No("no ISO"))])
    check("moment", "v", [*((zero, ZERO) for zero in zeros), near])
    day = {"type": "date", "from": "v", "zero_is_null": True}
    check(
        "day",
        day,
        [("0001-01-01", None), ("0001-01-02", date(1, 1, 2)), ("0000-00-00", No("no day"))],
    )


SENDCLOUD = "DD-MM-YYYY HH:mm:SS"


@pytest.mark.parametrize(
    ("format_", "taken", "against"),
    [
        (
            "DD-MM-YYYY",
            {"01-02-2018": date(2018, 2, 1), "29-02-2024": date(2024, 2, 29)},
            [
                "1-2-2018",
                "01-02-18",
                "31-02-2018",
                "2018-02-01",
                "01/02/2018",
                "01-13-2018",
                "29-02-2026",
            ],
        ),
        (
            SENDCLOUD,
            {"01-02-2018 21:45:30": date(2018, 2, 1), "31-12-9999 23:59:59": date(9999, 12, 31)},
            [
                "01-02-2018",
                "01-02-2018 24:00:00",
                "01-02-2018 21:45:60",
                "01-02-2018T21:45:30",
                "01-01-0000 00:00:00",
            ],
        ),
        (
            "D/M/YYYY",
            {"1/2/2026": date(2026, 2, 1), "01/12/2026": date(2026, 12, 1)},
            ["1/13/2026", "001/2/2026"],
        ),
        ("YYYYMMDD", {"20260131": date(2026, 1, 31)}, ["2026131", "20260230", "202601310"]),
        ("DD.MM.YYYY", {"31.01.2026": date(2026, 1, 31)}, ["31x01x2026", "31-01-2026"]),
        (
            "YYYY-MM-DD[T]",
            {"2026-01-31": date(2026, 1, 31), "2026-01-31T": date(2026, 1, 31)},
            ["2026-01-31TT"],
        ),
    ],
)
def test_days_in_other_formats(format_: str, taken: dict[str, date], against: list[str]) -> None:
    """Each part stands where the format has it."""
    rule = {"type": "date", "from": "v", "format": format_}
    check(
        "day",
        rule,
        [
            *taken.items(),
            *((text, No(f"is no day as {format_}")) for text in [*against, "", "\uff11"]),
        ],
    )


def test_moments_in_other_formats() -> None:
    """With an offset they are moments, and a part in brackets may be missing."""
    format_ = "D.M.YYYY H:mm[:SS[,F]] Z"
    at = datetime(2026, 2, 1, 9, 5, tzinfo=UTC)
    cases = [
        *((f"1.2.2026 9:05{rest} Z", at) for rest in ("", ":00", ":00,0", ":00,0000009")),
        *((f"01.02.2026 {rest}", at) for rest in ("10:05:00 +01:00", "11:05 +0200", "09:05 +00")),
        ("1.2.2026 9:05:30,25 Z", at.replace(second=30, microsecond=250_000)),
        ("1.2.2026 9:05:30,1234567 Z", at.replace(second=30, microsecond=123_456)),
        *(
            (f"1.2.2026 {rest}", No(f"is no moment as {format_}"))
            for rest in (
                "9:05",
                "9:5 Z",
                "9:05 CET",
                "9:05:30.5 Z",
                "9:05,5 Z",
                "9:60 Z",
                "24:00 Z",
                "9:05 +25:00",
                "9:05 Z ",
            )
        ),
        *(
            (text, No("is no moment"))
            for text in (
                "30.2.2026 9:05 Z",
                "1.2.26 9:05 Z",
                "1,2,2026 9:05 Z",
                "",
                "0.1.2026 9:05 Z",
                "1.2.0000 9:05 Z",
            )
        ),
    ]
    check("moment", {"type": "timestamp", "from": "v", "format": format_}, cases)


@pytest.mark.parametrize(
    ("format_", "why"),
    [
        (
            "DD-MM-YYYY HH:MM:SS",
            "the month stands twice in 'DD-MM-YYYY HH:MM:SS'; minutes are `mm`",
        ),
        ("DD-MM-YY", "a year has four digits, `YYYY`"),
        ("dd-MM-YYYY", "'dd' is no part of a format; the parts are YYYY, MM"),
        ("%d-%m-%Y", "'d' is no part of a format"),
        ("YYYY-MM-DD hh:mm", "'hh' is no part"),
        ("MMM D YYYY", "'MMM' is no part"),
        ("HH:mm:SS", "'HH:mm:SS' has no year and no month and no day"),
        ("YYYY-DD", "'YYYY-DD' has no month"),
        ("YYYY-MM-DD[ HH:mm", "the brackets of 'YYYY-MM-DD[ HH:mm' do not pair"),
        ("YYYY-MM-DD]", "do not pair"),
        ("", "has no year"),
        ("DD DD MM YYYY", "the day stands twice"),
    ],
)
def test_a_format_that_says_nothing_clear_is_a_mistake(format_: str, why: str) -> None:
    """It is one of the file, and none of the data."""
    with pytest.raises(ValidationError) as caught:
        one({"day": {"type": "date", "from": "v", "format": format_}}, {"v": ""})
    assert why in str(caught.value)


def test_an_offset_belongs_to_moments() -> None:
    """A day of a moment has a zone, and a moment its offset."""
    for type_, column, format_ in (
        ("date", "day", "YYYY-MM-DD Z"),
        ("timestamp", "moment", SENDCLOUD),
    ):
        with pytest.raises(ValidationError, match=r"local_date|local_time"):
            one({column: {"type": type_, "from": "v", "format": format_}}, {"v": ""})


def test_an_optional_part_may_stand_in_another() -> None:
    """Brackets nest, and signs of regular expressions are signs."""
    assert written("YYYY-MM-DD[ HH[:mm]]").parts == {"year", "month", "day", "hour", "minute"}
    rule = {"type": "date", "from": "v", "format": "(YYYY.MM+DD)*"}
    check("day", rule, [("(2026.01+31)*", date(2026, 1, 31)), ("2026x01+31", No("is no day"))])


MOMENTS = st.datetimes(timezones=st.just(UTC))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(
            st.datetimes(
                datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30")
            ),
            OFFSETS,
        ),
        min_size=1,
    )
)
def test_a_moment_that_was_written_is_read(values: list[tuple[datetime, Any]]) -> None:
    """In ISO 8601 and in another format, with any offset."""
    moments = [value.replace(tzinfo=offset) for value, offset in values]
    check("moment", "v", [(m.isoformat(), m.astimezone(UTC)) for m in moments])
    rule = {"type": "timestamp", "from": "v", "format": "DD/MM/YYYY HH:mm:SS.F Z"}
    told = [f"{m:%d/%m}/{m.year:04} {m:%H:%M:%S.%f %z}" for m in moments]
    check("moment", rule, [(t, m.astimezone(UTC)) for t, m in zip(told, moments, strict=True)])


@settings(max_examples=12)
@given(st.lists(MOMENTS, min_size=1))
def test_an_epoch_that_was_counted_is_read(moments: list[datetime]) -> None:
    """In seconds, milliseconds and microseconds; and its day as an ISO day."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    for name, unit in (("epoch_s", 10**6), ("epoch_ms", 1000), ("epoch_us", 1)):
        counted = [(m - start) // timedelta(microseconds=unit) for m in moments]
        cases = [(n, start + n * timedelta(microseconds=unit)) for n in counted]
        check("moment", {"type": name, "from": "v"}, cases)
    check("day", "v", [(m.date().isoformat(), m.date()) for m in moments])


@settings(max_examples=40)
@given(st.text(max_size=12) | st.text("0123456789-:TZ+. ", max_size=25))
def test_no_text_is_silently_another_moment(text: str) -> None:
    """Whatever is taken is what Python says of the same text, or nothing is."""
    found = one({"moment": "v"}, {"v": text})
    assert isinstance(found, str) or found == datetime.fromisoformat(text)
