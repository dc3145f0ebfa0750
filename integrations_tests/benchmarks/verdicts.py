"""What the samples say: medians, slopes, and which of the promises are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from integrations_tests.benchmarks.modes import LOADS, Sample

MILLION = 1_000_000
SLOPE_LIMITS = {"fresh": 15.0, "unchanged": 15.0, "replay": 18.0}
"""CPU-seconds per million records, of the client and PostgreSQL together, on a machine on which dlt
needs `DLT_SLOPE`."""
DLT_SLOPE = 62.0
"""What a million records more cost dlt where the limits were set. Where dlt is measured in the same
rounds, the limits are raised or lowered by what this machine makes of it: one that is half as fast,
or busy, is so for both."""
PEAK_LIMIT_MB = 120.0
"""Above the idle worker."""
GROWTH_LIMIT = 1.05
"""The peak at the largest size, in terms of that at the smallest."""
NOTHING_LIMIT_S = 0.3
SPEED_LIMIT = 2.5
SOURCE, SOURCE_LIMIT = "source", 500_000
"""How many records a second a client must get that drops them: what is slower would be measured."""
ONE, MANY = "50 ms, one at a time", "50 ms, 4 at once"

Key = tuple[str, str, int]
"""Mode, whose, records."""


@dataclass(frozen=True)
class Medians:
    """The middle of all rounds; times in seconds, memory in MB."""

    seconds: float
    client_cpu: float
    postgres_cpu: float
    peak_mb: float
    above_mb: float

    @property
    def cpu(self) -> float:
        """CPU-seconds of the client and PostgreSQL together."""
        return self.client_cpu + self.postgres_cpu


@dataclass(frozen=True)
class Slope:
    """What a million records more cost: seconds and CPU-seconds."""

    seconds: float
    client_cpu: float
    postgres_cpu: float

    @property
    def cpu(self) -> float:
        """CPU-seconds of the client and PostgreSQL together."""
        return self.client_cpu + self.postgres_cpu


@dataclass(frozen=True)
class Verdict:
    """A figure and its limit: at most that, or, where `at_least`, no less."""

    name: str
    figure: float
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


def medians(samples: Iterable[Sample]) -> dict[Key, Medians]:
    """The median of each figure by itself, in the order in which the samples came."""
    grouped: dict[Key, list[Sample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.mode, sample.whose, sample.records].append(sample)
    return {
        key: Medians(
            *(
                median(getattr(sample, name) for sample in group)
                for name in ("seconds", "client_cpu", "postgres_cpu", "peak_mb", "above_mb")
            )
        )
        for key, group in grouped.items()
    }


def slopes(found: Mapping[Key, Medians]) -> dict[tuple[str, str], Slope]:
    """By mode and whose: from the smallest size to the largest, where there are two."""
    made = {}
    for mode, whose in dict.fromkeys((mode, whose) for mode, whose, _ in found if mode in LOADS):
        sizes = sorted(n for m, w, n in found if (m, w) == (mode, whose))
        small, large = found[mode, whose, sizes[0]], found[mode, whose, sizes[-1]]
        millions = (sizes[-1] - sizes[0]) / MILLION
        if millions:
            made[mode, whose] = Slope(
                (large.seconds - small.seconds) / millions,
                (large.client_cpu - small.client_cpu) / millions,
                (large.postgres_cpu - small.postgres_cpu) / millions,
            )
    return made


def verdicts(found: Mapping[Key, Medians]) -> list[Verdict]:
    """The promises of which there is a figure."""
    told = list(_slopes(slopes(found)))
    peaks: dict[str, list[tuple[int, Medians]]] = defaultdict(list)
    for (mode, whose, records), one in found.items():
        if whose == "ours" and mode in LOADS:
            peaks[mode].append((records, one))
    for mode, sized in peaks.items():
        (_, small), (_, large) = min(sized, key=_size), max(sized, key=_size)
        highest = max(one.above_mb for _, one in sized)
        told.append(Verdict(f"{mode}: peak MB above idle", highest, PEAK_LIMIT_MB))
        if len(sized) > 1:
            ratio = large.peak_mb / small.peak_mb
            told.append(Verdict(f"{mode}: peak, largest to smallest", ratio, GROWTH_LIMIT))
    told += [
        Verdict("source: records/s", records / one.seconds, SOURCE_LIMIT, at_least=True)
        for (mode, _, records), one in found.items()
        if mode == SOURCE
    ]
    scale, named = _scale(slopes(found), "nothing")
    if one := found.get(("nothing", "ours", 0)):
        name = f"nothing new: CPU-s{named}"
        told.append(Verdict(name, one.client_cpu, NOTHING_LIMIT_S * scale))
    return told + _others({mode: one for (mode, _, _), one in found.items()})


def _slopes(found: Mapping[tuple[str, str], Slope]) -> Iterator[Verdict]:
    for mode, limit in SLOPE_LIMITS.items():
        if (mode, "ours") not in found:
            continue
        scale, named = _scale(found, mode)
        name = f"{mode}: CPU-s per million{named}"
        yield Verdict(name, found[mode, "ours"].cpu, limit * scale)


def _scale(found: Mapping[tuple[str, str], Slope], mode: str) -> tuple[float, str]:
    """How much slower this machine is than that of the limits, and how a figure says so. dlt keeps
    no landing that it could replay: what it cannot do is held against its fresh load."""
    dlt = found.get((mode, "dlt")) or found.get(("fresh", "dlt"))
    return (dlt.cpu / DLT_SLOPE, ", scaled by dlt") if dlt else (1.0, "")


def _others(found: Mapping[str, Medians]) -> list[Verdict]:
    told = []
    if ONE in found and MANY in found:
        speed = found[ONE].seconds / found[MANY].seconds
        told.append(Verdict("50 ms: 4 at once to one", speed, SPEED_LIMIT, at_least=True))
    return told


def _size(sized: tuple[int, Medians]) -> int:
    return sized[0]
