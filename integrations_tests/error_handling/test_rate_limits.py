"""What headers say of quotas, in every dialect; garbage says nothing."""

from datetime import UTC, datetime

import pytest

from integrations.error_handling.costs import cost, remaining
from integrations.error_handling.rate_limits import Heard, heard

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
THEN = "Thu, 01 Jan 2026 12:00:00 GMT"
"""The same as an HTTP date."""
MS = int(NOW.timestamp() * 1000)
THREE = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "41"}
X = "x-ratelimit"


def says(reset: str, **more: str) -> dict[str, str]:
    return THREE | {"X-RateLimit-Reset": reset} | {k.replace("_", "-"): v for k, v in more.items()}


CASES: dict[str, tuple[dict[str, str], list[Heard]]] = {
    "nothing": ({"Content-Type": "text/plain"}, []),
    # A whole second may have been rounded down: one is added.
    "delta seconds": (says("20"), [Heard(X, 21, 41, 60)]),
    "a fraction": (says("0.5"), [Heard(X, 0.5, 41, 60)]),
    "words": (says("10 seconds"), [Heard(X, 11, 41, 60)]),
    "one second": (says("1 second"), [Heard(X, 2, 41, 60)]),
    "seconds since 1970": (says(str(MS // 1000 + 30)), [Heard(X, 31, 41, 60)]),
    "milliseconds since 1970": (says(str(MS + 1500)), [Heard(X, 1.5, 41, 60)]),
    "milliseconds, by the source's clock": (
        says(str(MS + 1500), Date="Thu, 01 Jan 2026 11:59:00 GMT"),
        [Heard(X, 61.5, 41, 60)],
    ),
    "an HTTP date": (says("Thu, 01 Jan 2026 12:01:00 GMT"), [Heard(X, 61, 41, 60)]),
    "an HTTP date, by the source's clock": (
        says("Thu, 01 Jan 2026 12:01:00 GMT", date="Thu, 01 Jan 2026 12:00:30 GMT"),
        [Heard(X, 31, 41, 60)],
    ),
    "long past": (says(str(MS - 60_000)), []),
    "a reset in a thousand years": (says("9" * 9), [Heard(X, 366 * 86400, 41, 60)]),
    "no number of them": (says("soon"), []),
    "no reset": (THREE, []),
    "no limit": (
        {"RateLimit-Remaining": "3", "RateLimit-Reset": "9"},
        [Heard("ratelimit", 10, 3)],
    ),
    "nothing remaining is no number": (says("20") | {"X-RateLimit-Remaining": "many"}, []),
    "less than nothing": (says("20") | {"X-RateLimit-Remaining": "-1"}, []),
    "the three of the older draft": (
        {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "7", "RateLimit-Reset": "50"},
        [Heard("ratelimit", 51, 7, 100, 60)],
    ),
    "a reset is in the window": (
        {"RateLimit-Limit": "100;w=60", "RateLimit-Remaining": "7", "RateLimit-Reset": "60"},
        [Heard("ratelimit", 60, 7, 100, 60)],
    ),
    "Exact": (
        {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4999",
            "X-RateLimit-Reset": str(MS + 43_200_000),
            "X-RateLimit-Minutely-Limit": "60",
            "X-RateLimit-Minutely-Remaining": "0",
            "X-RateLimit-Minutely-Reset": str(MS + 12_000),
        },
        [Heard(X, 43200, 4999, 5000), Heard(f"{X}-minutely", 12, 0, 60)],
    ),
    "The Things Stack": (
        {"X-Rate-Limit-Limit": "30", "X-Rate-Limit-Available": "29", "X-Rate-Limit-Reset": "1"},
        [Heard("x-rate-limit", 2, 29, 30)],
    ),
    "The Things Stack, spent": (
        {
            "X-Ratelimit-Limit": "30",
            "X-Ratelimit-Available": "0",
            "X-Ratelimit-Reset": "60",
            "X-Ratelimit-Retry": "2",
        },
        [Heard(X, 3, 0, 30)],
    ),
    "the draft": (
        {
            "RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
            "RateLimit": '"burst";r=50;t=30, "daily";r=900;t=40000',
        },
        [
            Heard("ratelimit burst", 31, 50, 100, 60),
            Heard("ratelimit daily", 40001, 900, 1000, 86400),
        ],
    ),
    "the draft, for one of its policies": (
        {"RateLimit-Policy": '"a";q=9;w=6,"b";q=5;w=7', "ratelimit": '"a";r=1'},
        [Heard("ratelimit a", 6, 1, 9, 6), Heard("ratelimit b", 7, None, 5, 7)],
    ),
    "the draft without policies": (
        {"RateLimit": "default;r=5;t=3"},
        [Heard("ratelimit default", 4, 5)],
    ),
    "the draft with a partition": (
        {"RateLimit": '"a";r=5;t=3;pk=:cHJk:'},
        [Heard("ratelimit a :cHJk:", 4, 5)],
    ),
    "bytes are no calls": ({"RateLimit-Policy": '"a";q=65535;w=10;qu="content-bytes"'}, []),
    "a comma in a name": ({"RateLimit": '"a,b;c";r=5;t=3'}, [Heard("ratelimit a,b;c", 4, 5)]),
    "the draft before version 8": (
        {"RateLimit": "limit=100, remaining=50, reset=5"},
        [Heard("ratelimit", 6, 50, 100)],
    ),
    "the draft cut short": ({"RateLimit": '"a";r=5;t=3, "b'}, []),
    "the draft without what is left": ({"RateLimit": '"a";t=3'}, []),
    "the draft without a time": ({"RateLimit": '"a";r=3'}, []),
    "names in any case": (
        {"x-RATELIMIT-limit": "60", "X-RateLimit-REMAINING": "1", "x-ratelimit-reset": "0"},
        [Heard(X, 1, 1, 60)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_headers_say(case: str) -> None:
    """Each dialect, as it is sent."""
    headers, expected = CASES[case]
    assert heard(headers, now=NOW) == expected


def test_what_a_call_has_cost() -> None:
    """Of each list that it asked for; nothing where the answer does not say it."""
    body = b'{"data": {"orders": {"complexity": 101, "data": [1]}, "me": {"complexity": 2}, "x": null}}'
    assert cost(body, "complexity") == 103
    for other in (b'{"data": {"orders": {"complexity": "a"}}}', b'{"data": null}', b"[", b"\xff"):
        assert cost(other, "complexity") is None


def test_what_a_throttle_says_is_left() -> None:
    """ShipHero's words for too much."""
    body = b'{"errors": [{"code": 30, "required_credits": 200, "remaining_credits": 12, "time_remaining": "4 seconds"}]}'
    assert remaining(body) == 12
    assert remaining(b'{"errors": [{"remaining_credits": "?"}]}') is None
    assert remaining(b'{"data": {}}') is None
