"""What went wrong with a GraphQL call that was answered 200, in our words.

An error that is no passing one and not about the credential stops the stream, also when data came
with it: where a part is null because of an error, records would be lost or emptied in silence. Only
where all errors are about elements of a list, who has asked may know these as single records.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from integrations.errors import Barred, IntegrationError, RetryLater, StopConnection, StopStream
from integrations.redaction import redact
from integrations.transport.body import readable
from integrations.transport.faults import PERMISSION, Told, vendor_words

_WAIT = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)\s*([a-z]*)")
_UNITS = {"ms": 0.001, "millisecond": 0.001, "": 1, "s": 1, "sec": 1, "second": 1}
_UNITS |= {"m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
"""Seconds in each, in the singular."""


class _Envelope(msgspec.Struct):
    errors: list[dict[str, Any]] | None = None


_ERRORS = msgspec.json.Decoder(_Envelope)


class Throttle(BaseModel):
    """How the API says inside a 200 that it is too much: an error with one of `codes`, and at
    `wait` in it for how long, as seconds or as a text like `10 seconds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: list[int | str] = Field(min_length=1)
    wait: str | None = Field(default=None, pattern=r"^[^.]+(\.[^.]+)*$")


def raise_errors(
    body: bytes,
    *,
    call: str,
    throttle: Throttle | None,
    retry_codes: Sequence[int | str],
    secret_names: frozenset[str],
) -> Sequence[Told]:
    """Raises for an answer with `errors`: `RetryLater`, `StopConnection` or `StopStream`. Where
    each of them points at an element of a list in the data, that is what it gives."""
    if b'"errors"' not in body:
        return ()
    try:
        answer = _ERRORS.decode(readable(body))
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise StopStream(f"{call} was answered with errors of another shape: {error}") from error
    except msgspec.DecodeError as error:
        raise RetryLater(f"the answer is no JSON, or not all of it: {error}") from error
    errors = answer.errors
    if not errors:
        return ()
    remedy = _remedy(errors, call, throttle, {*map(str, retry_codes)}, secret_names)
    paths = [_path(error) for error in errors]
    if not isinstance(remedy, StopStream) or not all(any(map(_is_place, path)) for path in paths):
        raise remedy
    told = (_stopped(error, call) for error in errors)
    return [Told(path, error) for path, error in zip(paths, told, strict=True)]


def _path(error: Mapping[str, Any]) -> tuple[str | int, ...]:
    path = error.get("path")
    return tuple(path) if isinstance(path, list) else ()


def _is_place(step: object) -> bool:
    """Whether a step of a path is an element's place in a list."""
    return isinstance(step, int) and not isinstance(step, bool)


def _stopped(error: Mapping[str, Any], call: str) -> StopStream:
    what = f"{call} answered 200 with an error: {_words(error)}"
    if "FORBIDDEN" in _codes(error):
        return Barred(what, todo=PERMISSION)
    return StopStream(what)


def _remedy(
    errors: list[dict[str, Any]],
    call: str,
    throttle: Throttle | None,
    retry_codes: set[str],
    secret_names: frozenset[str],
) -> IntegrationError:
    codes = [_codes(error) for error in errors]
    stops = [_stopped(error, call) for error in errors]
    slow = {*map(str, throttle.codes)} if throttle else set()
    if throttle and (told := [e for e, of in zip(errors, codes, strict=True) if of & slow]):
        waits = [_wait(error, throttle.wait) for error in told]
        return RetryLater(
            f"{call} was throttled: {_words(told[0])}",
            retry_after=max((wait for wait in waits if wait is not None), default=None),
        )
    named = frozenset().union(*codes)
    if "UNAUTHENTICATED" in named:
        secrets = ", ".join(sorted(secret_names)) or "none is configured"
        return StopConnection(stops[0].what, todo=f"Check the credential (its secrets: {secrets}).")
    if all(of & retry_codes for of in codes):
        return RetryLater(stops[0].what)
    return next((one for one in stops if isinstance(one, Barred)), stops[0])


def _codes(error: Mapping[str, Any]) -> frozenset[str]:
    inner = error.get("extensions")
    extensions = inner if isinstance(inner, dict) else {}
    said = (error.get("code"), extensions.get("code"), extensions.get("classification"))
    return frozenset(str(code) for code in said if isinstance(code, str | int))


def _words(error: Mapping[str, Any]) -> str:
    """The vendor's message and the place that it is about, redacted."""
    words = vendor_words(msgspec.json.encode({"errors": [error]}))
    place = ".".join(map(str, _path(error)))
    return f"{words} (at {redact(place)[:200]})" if place else words


def _wait(error: Any, place: str | None) -> float | None:
    """Seconds that an error asks to wait, None without a usable one."""
    for key in place.split(".") if place else ():
        error = error.get(key) if isinstance(error, dict) else None
    if isinstance(error, bool) or not isinstance(error, int | float | str):
        return None
    found = _WAIT.fullmatch(str(error).strip().lower())
    if found is None:
        return None
    unit = found[2]
    scale = _UNITS.get(unit, _UNITS.get(unit.removesuffix("s")))
    return None if scale is None else float(found[1]) * scale
