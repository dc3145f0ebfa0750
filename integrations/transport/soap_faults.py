"""What a SOAP fault means: the class of our error is its remedy.

A fault comes with status 500, or 400 in SOAP 1.2, or with 200 from servers that know no better;
what it says counts, not the status.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

from lxml import etree
from pydantic import BaseModel, ConfigDict, model_validator

from integrations.errors import IntegrationError, RetryLater, StopConnection, StopStream
from integrations.transport.faults import vendor_words
from integrations.transport.soap_record import parsed

Means = Literal["transient", "permanent", "credential"]

_STANDARD: dict[str, Means] = {
    "Server": "transient",
    "Receiver": "transient",
    # OASIS WSS: SOAP Message Security 1.1, section 12
    "FailedAuthentication": "credential",
    "InvalidSecurityToken": "credential",
    "InvalidSecurity": "credential",
    "FailedCheck": "credential",
}
"""By the codes of the standards; of several the last, which is the most exact one, is looked at
first. What is not named is permanent."""
_READ = (400, 500)


class FaultRule(BaseModel):
    """Which faults mean what: those whose `code` (or a subcode of it), whose typed `detail` and
    whose `text` are these; names without namespace, of the text a part is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str | None = None
    detail: str | None = None
    text: str | None = None
    means: Means

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.code is None and self.detail is None and not self.text:
            raise ValueError("it should say which faults: by code, detail or text")
        return self

    def fits(self, fault: "Fault") -> bool:
        """Whether it is about this fault."""
        return (
            (self.code is None or self.code in fault.codes)
            and (self.detail is None or self.detail == fault.detail)
            and (self.text is None or self.text in fault.text)
        )


class Fault(BaseModel):
    """A fault, read: its `codes` from the general to the exact, what it says, the name of its typed
    `detail` ("" for none), and that in words."""

    codes: tuple[str, ...]
    text: str
    detail: str = ""
    more: str = ""

    @classmethod
    def of(cls, element: Any) -> Self:
        """The fault in an element, of SOAP 1.1 or 1.2."""
        codes = [_last(one.text) for one in _found(element, "faultcode", "Code//Value")]
        text = " ".join(one.text or "" for one in _found(element, "faultstring", "Reason/Text"))
        details = [one for at in _found(element, "detail", "Detail") for one in at]
        return cls(
            codes=tuple(filter(None, codes)),
            text=" ".join(text.split()),
            detail=etree.QName(details[0]).localname if details else "",
            more=" ".join(" ".join(details[0].itertext()).split()) if details else "",
        )

    def error(
        self, rules: Sequence[FaultRule], *, call: str, secret_names: frozenset[str]
    ) -> IntegrationError:
        """Our error for it."""
        named = f" ({self.detail}: {self.more})" if self.detail else ""
        words = vendor_words(f"{': '.join([*self.codes, self.text])}{named}".encode())
        what = f"{call} was answered with a fault: {words}"
        means = self._means(rules)
        if means == "transient":
            return RetryLater(what)
        if means == "credential":
            told = ", ".join(sorted(secret_names)) or "none is configured"
            return StopConnection(what, todo=f"Check the credential (its secrets: {told}).")
        return StopStream(what)

    def _means(self, rules: Sequence[FaultRule]) -> Means:
        for rule in rules:
            if rule.fits(self):
                return rule.means
        standard = (_STANDARD[code] for code in reversed(self.codes) if code in _STANDARD)
        return next(standard, "permanent")


def in_refusal(status: int, body: bytes) -> Fault | None:
    """The fault in an answer with an error's status; None where that says all there is."""
    if status not in _READ or b"Fault" not in body.replace(b"\0", b""):
        return None
    if b"<!DOCTYPE" in body.replace(b"\0", b""):
        return None
    try:
        root = parsed(body)
    except etree.XMLSyntaxError:
        return None
    found = root.find("{*}Body/{*}Fault")
    return None if found is None else Fault.of(found)


def _found(element: Any, *paths: str) -> list[Any]:
    """The elements at the paths, whatever their namespace."""
    found = []
    for path in paths:
        steps = [f"{{*}}{step}" if step else "" for step in path.split("/")]
        found += element.findall("/".join(steps))
    return found


def _last(code: str | None) -> str:
    return (code or "").strip().rpartition(":")[2]
