"""The redactor: no secret that this process knows appears in a text that it writes.

It is the net under the rope: code shows a secret to the wire only, but a foreign library's error,
a vendor's answer or a traceback may repeat it, in a spelling of its own.
"""

import base64
import html.entities
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

MASK = "•••"
SHORTEST = 6
"""Characters. A shorter value is not looked for in texts: masking every `abc` would destroy logs,
and whoever can read them could guess it anyway."""

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_%"
"""Base64's characters in both alphabets, and the sign with which a URL writes some of them."""
_ENTITIES = {
    ord(char): [
        name for name, meant in html.entities.html5.items() if meant == char and name[-1] == ";"
    ]
    for char in "&<>\"'+/=-_.:,;!?#$%@*()[]{}|\\^`~ \n\t"
}
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a"}


def utf8(text: str) -> bytes:
    """The text's bytes, whatever it holds."""
    # Environment variables that are no UTF-8 arrive with lone surrogates.
    return text.encode("utf-8", "surrogatepass")


def _ways(char: str) -> str:
    """A pattern for one character however it is escaped: URL, JSON, Python, HTML, also nested.

    One pattern per character instead of a list of whole spellings, because every library has its
    own set of characters that it leaves alone.
    """
    if char.isascii() and char.isalnum():
        return char
    code, octets, utf16 = ord(char), utf8(char), char.encode("utf-16-be", "surrogatepass")
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    ways = [
        rf"\\*{re.escape(char)}",
        "".join(rf"%(?:25)*{octet:02x}" for octet in octets),
        "".join(rf"\\+x{octet:02x}" for octet in octets),
        "".join(rf"\\+u{unit}" for unit in units),
        rf"\\+U{code:08x}",
        rf"&(?:amp;)*#(?:0*{code}|x0*{code:x});",
        *(rf"&(?:amp;)*{re.escape(name)}" for name in _ENTITIES.get(code, ())),
    ]
    if code < 256:
        ways.append(rf"\\+x{code:02x}")
    if char in _LETTERS:
        ways.append(rf"\\+{_LETTERS[char]}")
    if char == " ":
        ways.append(r"\+")
    return f"(?i:{'|'.join(ways)})"


@dataclass(frozen=True)
class _Form:
    """One form of one secret: `anchor` is a part that no escaping changes, cheap to look for."""

    anchor: str
    pattern: re.Pattern[str]
    base64: bool

    @classmethod
    def of(cls, text: str, *, base64: bool = False) -> "_Form":
        anchor = max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="")
        return cls(anchor, re.compile("".join(map(_ways, text))), base64)

    def mask(self, text: str) -> str:
        if self.anchor not in text:
            return text
        return self._mask_tokens(text) if self.base64 else self.pattern.sub(MASK, text)

    def _mask_tokens(self, text: str) -> str:
        """Masks the whole base64 word around a hit: its edges hold the secret's edges."""
        while hit := self.pattern.search(text):
            head = text[: hit.start()].rstrip(_BASE64)
            text = head + MASK + text[hit.end() :].lstrip(_BASE64).lstrip("=")
        return text


def _base64_cores(value: bytes) -> Iterator[str]:
    """What base64 of any text that holds the value must hold, for each of the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + value).decode().rstrip("=")
        whole = (shift + len(value)) * 8 // 6  # characters that what follows cannot change
        core = encoded[-(-shift * 8 // 6) : whole]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))


class _Redactor:
    """The values known in this process. Reading takes no lock: `_forms` is replaced whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, list[_Form]] = {}
        self._forms: tuple[_Form, ...] = ()

    def learn(self, value: str) -> None:
        if len(value) < SHORTEST or value in self._known:
            return
        octets = utf8(value)
        plain = [value, octets.hex(), octets.hex().upper()]
        forms = [_Form.of(text) for text in dict.fromkeys(plain)]
        forms += [_Form.of(core, base64=True) for core in dict.fromkeys(_base64_cores(octets))]
        with self._lock:
            self._known[value] = forms
            # Longest first: of two secrets one may hold the other.
            values = sorted(self._known, key=len, reverse=True)
            self._forms = tuple(form for each in values for form in self._known[each])

    def mask(self, text: str) -> str:
        for form in self._forms:
            text = form.mask(text)
        return text


_redactor = _Redactor()


def learn(value: str) -> None:
    """Makes a value known, for the life of the process; its surrounding white space is no part."""
    _redactor.learn(value.strip())


def redact(text: str) -> str:
    """The text with `•••` for every secret known in this process.

    Found as it is, percent-encoded, escaped as in JSON, Python or HTML (also nested), in hex, and
    inside any base64, whatever stands before it (`user:…`). Secrets under 6 characters are not.
    """
    return _redactor.mask(text)


def redacted(error: BaseException) -> str:
    """The error's traceback with its causes and notes, as Python prints it, redacted."""
    return redact("".join(traceback.format_exception(error)))


Error = TypeVar("Error", bound=BaseException)


def scrub(error: Error) -> Error:
    """Redacts, in place, the texts of an error and of its causes, and returns it.

    For errors that leave our hands for a system that keeps their texts, as an orchestrator does.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        todo += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        _scrub_one(each)
    return error


def _scrub_one(error: BaseException) -> None:
    error.args = tuple(_clean(arg) for arg in error.args)
    # OSError tells its message from these, not from args.
    for name in {*getattr(error, "__dict__", ()), "strerror", "filename", "filename2"}:
        value = getattr(error, name, None)
        clean = _clean(value)
        if clean is not value:
            with suppress(AttributeError, TypeError):
                setattr(error, name, clean)


def _clean(value: Any) -> Any:
    """The value itself where its text holds no secret; else the redacted text."""
    if isinstance(value, list | tuple):
        parts = [_clean(part) for part in value]
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else type(value)(parts) if type(value) in (list, tuple) else parts
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001  # an object that cannot be printed is in no message either
        return value
    clean = redact(text)
    return value if clean == text else clean


def install_redactor() -> None:
    """Puts the redactor on every log record, and on errors that end the process or a thread.

    Works for loggers made before and after, and may be called any number of times. What a caller
    adds by `extra=` joins a record after this point and is not seen.
    """
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RecordFactory):
        logging.setLogRecordFactory(_RecordFactory(factory))
    if not isinstance(sys.excepthook, _ExceptHook):
        sys.excepthook = _ExceptHook(sys.excepthook)
    if not isinstance(threading.excepthook, _ThreadHook):
        threading.excepthook = _ThreadHook(threading.excepthook)


class _RecordFactory:
    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._previous(*args, **kwargs)
        _redact_message(record)
        _redact_traceback(record)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return record


def _redact_message(record: logging.LogRecord) -> None:
    message = _message(record)
    clean = redact(message)
    if clean == message:
        return
    # Formatters such as uvicorn's read the args, so they stay wherever they can.
    arguments = record.args
    if isinstance(arguments, dict):
        record.args = {key: _clean(value) for key, value in arguments.items()}
    elif isinstance(arguments, tuple):
        record.args = tuple(_clean(value) for value in arguments)
    record.msg = redact(str(record.msg))
    if _message(record) != clean:
        record.msg, record.args = clean, ()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a message that does not fit its args is logging's to report, not ours
        return f"{record.msg} {record.args}"


def _redact_traceback(record: logging.LogRecord) -> None:
    if not isinstance(record.exc_info, tuple) or record.exc_info[1] is None:
        return
    text = "".join(traceback.format_exception(record.exc_info[1]))
    clean = redact(text)
    if clean != text:
        # Handlers of others print exc_info themselves; the standard one prints exc_text.
        record.exc_text, record.exc_info = clean.rstrip("\n"), None


class _ExceptHook:
    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def __call__(
        self, kind: type[BaseException], error: BaseException, place: TracebackType | None
    ) -> None:
        text = "".join(traceback.format_exception(kind, error, place))
        clean = redact(text)
        if clean == text:
            self._previous(kind, error, place)
        else:
            sys.stderr.write(clean)


class _ThreadHook:
    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        text = "".join(
            traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        )
        clean = redact(text)
        if clean == text or args.exc_type is SystemExit:
            self._previous(args)
        else:
            name = args.thread.name if args.thread else "?"
            sys.stderr.write(f"Exception in thread {redact(name)}:\n{clean}")
