"""What an answer's headers say of quotas, in every dialect that is met: what is left, until when.

Known are the IETF draft's two structured fields (`RateLimit`, `RateLimit-Policy`, and the form that
its versions before 8 had), the three headers of older ones, and their many spellings
(`X-RateLimit-Minutely-Remaining`, `X-Rate-Limit-Available`). A field that cannot be read is
ignored, as the draft wants it; so is one that does not say when there will be more.
"""

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_THREE = re.compile(
    r"(?P<name>(?:x-)?rate-?limit(?:-(?!limit|remaining|available|reset|retry)[a-z0-9-]+?)?)"
    r"-(?P<part>limit|remaining|available|reset|retry)"
)
_POLICY = "ratelimit-policy"
_DRAFT = "ratelimit"

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = (
    r'"(?:[^"\\]|\\.)*"|:[A-Za-z0-9+/=]*:|-?[0-9]+(?:\.[0-9]+)?'
    r"|[A-Za-z*][!#$%&'*+.^_`|~:/A-Za-z0-9-]*"
)
_PARAMETER = re.compile(rf"\s*;\s*({_KEY})(?:=({_BARE}))?")
_MEMBER = re.compile(rf"\s*(?:({_KEY})=)?({_BARE})((?:{_PARAMETER.pattern})*)\s*(?:,|$)")
"""A member of a structured list or dictionary (RFC 9651), with its parameters."""

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]+)?)\s*(?:s|sec|secs|seconds?)?")
_EPOCH_S, _EPOCH_MS = 1e9, 1e11
"""From these on a number is no delta (30 years), but seconds or milliseconds since 1970."""
_ROUNDED_S = 1.0
"""A reset in whole seconds may have been rounded down."""
_LONGEST_S = 366 * 86_400.0


@dataclass(frozen=True)
class Heard:
    """What an answer says of one quota of the source.

    `left` calls may still be made in the next `resets_in` seconds; None: it does not say how many.
    `limit` is how many there are in a whole window, `window_s` how long that is, where it says so.
    """

    name: str
    resets_in: float
    left: float | None = None
    limit: float | None = None
    window_s: float | None = None


def heard(headers: Mapping[str, str], *, now: datetime) -> list[Heard]:
    """What these headers say, whatever the case of their names. `now` (UTC) is for times, where the
    answer has no `Date` to measure them by."""
    named = {name.lower(): value for name, value in headers.items()}
    told = {name: value for name, value in named.items() if "rate" in name and "limit" in name}
    if not told:
        return []
    date = named.get("date", "")
    at = http_date(date) or now
    return [*_draft(told, at), *_three(told, at)]


def http_date(text: str) -> datetime | None:
    """The moment of an HTTP date; None for a text that is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _three(told: Mapping[str, str], at: datetime) -> list[Heard]:
    """Limit, remaining and reset in headers of their own; one family for each beginning."""
    families: dict[str, dict[str, str]] = {}
    for name, value in told.items():
        if found := _THREE.fullmatch(name):
            families.setdefault(found["name"], {})[found["part"]] = value
    found_ = []
    for name, parts in families.items():
        left = _count(parts.get("remaining", parts.get("available", "")))
        # TTS's own: when one more is allowed. With calls left it says nothing.
        retry = parts.get("retry") if left == 0 else None
        resets_in = _resets_in(retry or parts.get("reset", ""), at)
        limit, window_s = _limit(parts.get("limit", ""))
        if left is not None and resets_in is not None:
            found_.append(_capped(Heard(name, resets_in, left, limit, window_s)))
    return found_


def _draft(told: Mapping[str, str], at: datetime) -> list[Heard]:
    """The draft's two fields, joined by the names of their policies."""
    policies = {
        name: (_number(given.get("q", value)), _number(given.get("w", "")))
        for name, value, given in _members(told.get(_POLICY, ""))
        if given.get("qu", '"requests"') == '"requests"'
    }
    members = _members(told.get(_DRAFT, ""))
    flat = {key: value for key, value, _ in members}
    if {"remaining", "reset"} <= flat.keys():  # `limit=100, remaining=50, reset=5`, to version 7
        given = {"r": flat["remaining"], "t": flat["reset"]}
        policies = {"": (_number(flat.get("limit", "")), None)}
        members = [("", "", given)]
    found, spoken = [], set()
    for name, _, given in members:
        limit, window_s = policies.get(name, (None, None))
        left, resets_in = _number(given.get("r", "")), _resets_in(given.get("t", ""), at)
        resets_in = window_s if resets_in is None else resets_in
        if left is not None and resets_in is not None:
            spoken.add(name)
            words = " ".join(filter(None, ["ratelimit", name, given.get("pk")]))
            found.append(_capped(Heard(words, resets_in, left, limit, window_s)))
    for name, (limit, window_s) in policies.items():
        if name not in spoken and limit and window_s:
            found.append(Heard(f"ratelimit {name}".strip(), window_s, None, limit, window_s))
    return found


def _capped(said: Heard) -> Heard:
    """The same with a reset that is no longer than the window."""
    if said.window_s is None or said.resets_in <= said.window_s:
        return said
    return Heard(said.name, said.window_s, said.left, said.limit, said.window_s)


def _members(field: str) -> list[tuple[str, str, dict[str, str]]]:
    """The members of a structured field: key or name, bare value, parameters; none of one that
    cannot be read to its end."""
    found, place = [], 0
    while place < len(field.rstrip()):
        member = _MEMBER.match(field, place)
        if member is None:
            return []
        given = {key: value or "?1" for key, value in _PARAMETER.findall(member[3])}
        found.append((member[1] or member[2].strip('"'), member[2], given))
        place = member.end()
    return found


def _limit(text: str) -> tuple[float | None, float | None]:
    """`100`, or `100, 100;w=60` as older drafts have it: the limit, and its window."""
    first, *rest = text.split(",")
    limit = _count(first.partition(";")[0])
    for policy in [first, *rest]:
        count, _, given = policy.partition(";")
        window = re.search(r"\bw=([0-9]+)\b", given)
        if window and _count(count) == limit:
            return limit, float(window[1]) or None
    return limit, None


def _count(text: str) -> float | None:
    return float(text.strip()) if re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]+)?\s*", text) else None


def _number(text: str) -> float | None:
    return _count(text)


def _resets_in(text: str, at: datetime) -> float | None:
    """Seconds until a reset: a number of them, `10 seconds`, seconds or milliseconds since 1970, or
    an HTTP date. None for what is none of these, or long past."""
    text = text.strip().lower()
    found = _DURATION.fullmatch(text)
    if found is None:
        moment = http_date(text)
        return None if moment is None else _bounded((moment - at).total_seconds() + _ROUNDED_S)
    number, whole = float(found[1]), "." not in found[1]
    if number >= _EPOCH_MS:
        return _bounded(number / 1000 - at.timestamp())
    if number >= _EPOCH_S:
        number -= at.timestamp()
    return _bounded(number + (_ROUNDED_S if whole else 0))


def _bounded(seconds: float) -> float | None:
    return min(seconds, _LONGEST_S) if seconds >= 0 else None
