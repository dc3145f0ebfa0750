"""The records of the benchmark's source: payments, made once into a file, always the same.

Each is a JSON object of about 350 bytes with 17 fields: ids, texts of varying length (some are not
ASCII), decimals as numbers and as strings, whole numbers, booleans, moments, a null now and then
and one object inside. All are distinct. Of every hundred exactly one is dirty: its amount cannot be
read, its currency is missing, or a boolean is a text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 10_000
"""Records that are made at once. A record depends on the seed and its number, and on nothing else."""
HUNDRED = 100
DAY = "2026-03-01"
"""The day on which all of them were made (UTC)."""
LATEST = f"{DAY}T23:53:20Z"
"""All of them were made before: the overlap of the next day's window, five minutes, has none."""

_WORDS = (
    "order", "invoice", "Überweisung", "subscription", "café", "deposit", "Żółć", "gift", "naïve",
    "spare part", "東京", "annual", "renewal", "piñata", "return", "express", "smörgås", "monthly",
    "bulk", "sample", "10 €", "priority", "north", "warehouse", "second half", "advance",
)  # fmt: skip
_METHODS = ("card", "ideal", "sepa_debit", "bancontact", "paypal", "bank_transfer")
_CURRENCIES = ("EUR", "EUR", "EUR", "USD", "GBP", "SEK", "PLN")
_COUNTRIES = ("NL", "DE", "BE", "FR", "SE", "PL", "GB", "US")
_STATUSES = ("open", "done", "done", "done", "done", "broken", "returned")
_FAILURES = ("insufficient_funds", "expired_card", "fraud_suspected", "do_not_honour")


@dataclass(frozen=True)
class Variant:
    """Which form of the records: `changed` has one of a hundred with another amount and a higher
    revision, `clean` has no dirty ones."""

    changed: bool = False
    clean: bool = False

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"records{'-changed' * self.changed}{'-clean' * self.clean}"


@dataclass(frozen=True)
class Written:
    """Records in a file, a comma after each: record `n` is at `offsets[n]:offsets[n + 1] - 1`."""

    path: Path
    offsets: "np.ndarray[Any, np.dtype[np.int64]]"


def written(folder: Path, count: int, *, seed: int, variant: Variant) -> Written:
    """The first `count` records; made at the first time, 2 million in about 20 seconds."""
    path = folder / f"{variant.name}-{seed}-{count}.json"
    index = path.with_suffix(".npy")
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        ends = [np.zeros(1, np.int64)]
        with path.open("wb") as file:
            for block in blocks(count, seed=seed, variant=variant):
                lengths = np.fromiter(map(len, block), np.int64, len(block)) + 1
                ends.append(np.cumsum(lengths) + ends[-1][-1])
                file.write(b",".join(block) + b",")
        np.save(index, np.concatenate(ends))
    return Written(path, np.load(index))


def blocks(count: int, *, seed: int, variant: Variant) -> Iterator[list[bytes]]:
    """The first `count` records, some thousand at a time."""
    for number in range(-(-count // BLOCK)):
        yield _block(number, seed=seed, variant=variant)[: count - number * BLOCK]


def _block(number: int, *, seed: int, variant: Variant) -> list[bytes]:
    random = np.random.default_rng([seed, number])
    dirty = random.integers(0, HUNDRED, BLOCK // HUNDRED)
    # Never the dirty one.
    changed = (dirty + random.integers(1, HUNDRED, BLOCK // HUNDRED)) % HUNDRED
    texts = [_text(row) for row in zip(*_columns(number, random), strict=True)]
    for nth in range(BLOCK // HUNDRED):
        first = nth * HUNDRED
        if variant.changed:
            at = first + int(changed[nth])
            texts[at] = _later(texts[at])
        if not variant.clean:
            at = first + int(dirty[nth])
            texts[at] = _spoilt(texts[at], nth % 3)
    return [text.encode() for text in texts]


def _columns(number: int, random: np.random.Generator) -> Iterator[list[Any]]:
    """The values that a block's records are made of, one list a value."""
    yield list(range(number * BLOCK, (number + 1) * BLOCK))
    made = random.integers(0, 86_000_000, BLOCK)
    for moments in (made, made + random.integers(1_000, 300_000, BLOCK)):
        day = np.datetime64(DAY, "ms")
        yield np.datetime_as_string(day + moments.astype("timedelta64[ms]"), unit="ms").tolist()
    yield random.integers(100, 5_000_000, BLOCK).tolist()
    yield random.integers(0, 1 << 40, BLOCK).tolist()
    yield random.integers(0, 1 << 40, BLOCK).tolist()
    yield [_words(picks) for picks in random.integers(0, 1 << 40, BLOCK).tolist()]


def _words(picks: int) -> str:
    """One to five words, told by the digits of a number."""
    words = []
    for _ in range(1 + picks % 5):
        picks, pick = divmod(picks, len(_WORDS))
        words.append(_WORDS[pick])
    return " ".join(words)


def _text(row: tuple[Any, ...]) -> str:
    number, made, paid, cents, more, customer, words = row
    status = _STATUSES[more % 7]
    fee, back = cents // 70, cents if status == "returned" else 0
    paid = "null" if status == "open" else f'"{paid}Z"'
    failure = f'"{_FAILURES[more % 4]}"' if status == "broken" else "null"
    return (
        f'{{"id":"pay_{number:09}","revision":1,"created":"{made}Z",'
        f'"paid":{paid},"amount":{cents // 100}.{cents % 100:02},'
        f'"currency":"{_CURRENCIES[more % 11 % 7]}",'
        f'"refunded":"{back // 100}.{back % 100:02}",'
        f'"fee":{fee // 100}.{fee % 100:02},'
        f'"net":"{(cents - fee) // 100}.{(cents - fee) % 100:02}",'
        f'"status":"{status}","method":"{_METHODS[more % 6]}",'
        f'"customer":{{"id":"cus_{customer % 3_999_999_979:08x}","country":"{_COUNTRIES[more % 8]}"}},'
        f'"ref":"{more % 8_999_993:x}","note":"{words}","failure":{failure},'
        f'"captured":{"false" if status in ("open", "broken") else "true"},"live":true}}'
    )


def _later(text: str) -> str:
    """The record as it is after a change: a cent more for a thousand, and a revision more."""
    before, _, rest = text.partition('"amount":')
    amount, _, rest = rest.partition(".")
    before = before.replace('"revision":1', '"revision":2')
    return f'{before}"amount":{int(amount) + 1000}.{rest}'


def _spoilt(text: str, kind: int) -> str:
    """The record, as no entity can take it."""
    before, _, rest = text.partition('"amount":')
    if kind == 0:
        return f'{before}"amount":"n/a",{rest.partition(",")[2]}'
    if kind == 1:
        before, _, rest = text.partition('"currency":')
        return before + rest.partition(",")[2]
    before, _, rest = text.partition('"captured":')
    return f'{before}"captured":"yes",{rest.partition(",")[2]}'
