"""The ways in which a secret may stand in a text, and how it is found in each.

It is looked for by undoing what programs do to texts, and not as the product's redactor does: two
searches that share a mistake would agree about it.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, unquote

Spell = Callable[[str], str]


def _base64(text: str, *, before: str = "") -> str:
    return base64.b64encode(f"{before}{text} and more".encode()).decode()


def _escaped(text: str) -> str:
    """All but letters and digits as code points, as encoders for scripts write them."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"\\u{ord(found[0]):04x}", text)


SPELLINGS: Mapping[str, Spell] = {
    "as it is": str,
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON": lambda text: json.dumps({"key": text}),
    "JSON in code points": _escaped,
    "HTML": html.escape,
    "repr of bytes": lambda text: repr(text.encode()),
    "base64": _base64,
    "base64 of Basic": lambda text: f"Basic {_base64(text, before='user:')}",  # shifted by two
    "base64 shifted by one": lambda text: _base64(text, before="user"),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
}
"""What each makes of a secret; some for a key whose characters are spelled otherwise there."""

_CODE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/]))")
_LEVELS = 3
"""How often a text may have been escaped: an event's text is JSON in JSON."""


class Text:
    """A place's text, undone in every way once, in which any number of secrets can be looked for."""

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8", "backslashreplace")
        self._views = list(dict.fromkeys(_views(text)))
        self._text, self._lower = text, text.lower()

    def holds(self, secret: str) -> bool:
        """Whether the secret stands in it, in any spelling."""
        if any(secret in view for view in self._views):
            return True
        if secret.encode().hex() in self._lower:
            return True
        return any(core in self._text for core in _cores(secret))


def _views(text: str) -> Iterator[str]:
    """The text as it is, and as it was before it was escaped, in one way within another."""
    for _ in range(1 + _LEVELS):
        yield text
        if "%" in text:
            yield (once := unquote(text))
            yield unquote(once)
        if "&" in text:
            yield html.unescape(text)
        if "\\" not in text:
            return
        text = _CODE.sub(_meant, text)
        # Python shows the bytes of UTF-8 one by one.
        yield text.encode("latin-1", "replace").decode("utf-8", "replace")


def _meant(found: "re.Match[str]") -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else found[3]


def _cores(secret: str) -> Iterator[str]:
    """What base64 of any text that holds the secret must hold, for each way of aligning it."""
    octets = secret.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + octets).decode()
        core = encoded[4 if shift else 0 : -4]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))
