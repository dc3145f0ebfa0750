"""Runs cases against kinds of streams, says what became of each, and prints it as a matrix."""

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from integrations_tests.faults.bench.cases import EVERY, KINDS, CannotRun, Case, Kind, NotMet
from integrations_tests.faults.bench.rig import BESIDE, SELECT, Bench, Originals, Ran, Rig, bench
from integrations_tests.faults.bench.shapes import SHAPES

_SAID = re.compile(r"^(?:failed|blocked|error): (.+)", re.MULTILINE)
TRACE = "Traceback (most recent call last)"
NOT_RUN = "not run"
"""The fate of a case that this machine does not allow."""
Opened = Callable[[], AbstractContextManager[Bench]]


@dataclass
class Cell:
    """What became of a case in a kind: `fate` is one of those of `cases`, or in capitals what is
    wrong. `lost` and `doubled` are what no sync brought right, `hole` is none of what is right."""

    case: str
    group: str
    kind: Kind
    expected: tuple[str, ...]
    fate: str = ""
    message: str = ""
    lost: int = 0
    doubled: int = 0
    secrets: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def hole(self) -> bool:
        """Anything but what is expected, without a secret seen."""
        return self.fate not in (*self.expected, NOT_RUN) or bool(self.secrets)


def run(case: Case, kind: Kind, on: Bench) -> Cell:
    """Plants the fault, syncs, lifts it, syncs again, and looks."""
    began = time.monotonic()
    cell = Cell(case.name, case.group, kind, case.expected(kind))
    with on.rig(kind) as rig:
        known = rig.keys()
        try:
            with case.plant(rig):
                ran = case.act(rig) if case.act else rig.sync()
        except CannotRun as why:
            cell.fate, cell.message = NOT_RUN, str(why)
            return cell
        except NotMet as why:
            cell.fate, cell.message = "NEVER MET ITS FAULT", str(why)
            return cell
        cell.message = said(ran)
        cell.fate = _fate(case, kind, rig, ran, known, cell)
        cell.secrets = rig.secrets_seen()
    cell.seconds = round(time.monotonic() - began, 1)
    return cell


def said(ran: Ran) -> str:
    """Why a sync failed, as a person reads it."""
    found = _SAID.search(ran.stderr)
    return found[1].strip() if found else ""


def _fate(case: Case, kind: Kind, rig: Rig, ran: Ran, known: set[str], cell: Cell) -> str:
    lost, doubled = rig.lost(), rig.doubled() - known
    red = ran.status != 0
    vanished = bool((known & rig.truth()) - rig.keys())
    if wrong := _wrong(case, kind, ran, vanished=vanished, doubled=doubled):
        cell.doubled = len(doubled)
        return wrong
    rig.goes_on()
    again = rig.sync()
    whole = again.status == 0 and not rig.lost() and not rig.doubled()
    if whole and red:
        return "red"
    if whole:
        return "recovered" if not lost and not doubled else "healed"
    if again.status != 0:
        cell.message = said(again)
        return "STAYS RED"
    return _healed(kind, rig, cell, red=red)


def _wrong(case: Case, kind: Kind, ran: Ran, *, vanished: bool, doubled: set[str]) -> str:
    """What is wrong with the sync that met the fault, "" for nothing."""
    if ran.status is None:
        return "HANGS"
    if TRACE in ran.stderr or ran.status not in (0, 1, 2, 3):
        return f"CRASHES ({ran.status})"
    if doubled:
        return "LOADS WHAT IS NOT THERE"
    message = said(ran)
    if ran.status and not (
        (case.where or SELECT[kind][0]) in message and case.quotes(kind) in message
    ):
        return "DOES NOT SAY WHAT AND WHERE"
    return "LOSES ROWS AND IS RED" if ran.status and vanished else ""


def _healed(kind: Kind, rig: Rig, cell: Cell, *, red: bool) -> str:
    """Who brings right what the next sync of the stream alone has not."""
    if not red and BESIDE[kind]:
        rig.sync(*BESIDE[kind])
        if not rig.lost() and not rig.doubled():
            return "healed"
    lost, doubled = rig.lost(), rig.doubled()
    streams = [str(stream.id) for name, stream in rig.streams.items() if name in rig.source.truth()]
    rig.sync(*streams, full=True)
    if not red and not rig.lost() and not rig.doubled():
        return "unpromised"
    cell.lost, cell.doubled = len(lost), len(doubled)
    return "LOST" if lost else "DOUBLED"


def cells(
    cases: Iterable[Case], kinds: Iterable[Kind], benches: Sequence[Bench], *, own: Opened | None
) -> Iterator[Cell]:
    """Every cell, as they are done: as many at once as there are benches. `own` opens the bench of
    the cases that need a server of their own, which run one by one beside the others; without it
    they are left out."""
    shared, alone, done = _Jobs(), _Jobs(), _Jobs()
    counts = [0, 0]
    for case in cases:
        for kind in (one for one in EVERY if one in case.kinds and one in [*kinds]):
            (alone if case.own_server else shared).put((case, kind))
            counts[case.own_server] += 1
    workers = [(shared, lambda on=on: nullcontext(on)) for on in benches]
    workers += [(alone, own)] if counts[True] and own is not None else []
    threads = [threading.Thread(target=_work, args=(*one, done), daemon=True) for one in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(sum(counts) if own is not None else counts[False]):
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        for jobs in (shared, alone):
            _forget(jobs)
        for thread in threads:
            thread.join(_LAST_CELL_S)  # `own` has to clean up behind it


_Jobs = queue.SimpleQueue
_LAST_CELL_S = 120.0


def _work(jobs: "queue.SimpleQueue[Any]", opened: Opened, done: "queue.SimpleQueue[Any]") -> None:
    """Does jobs until there are no more; what breaks is raised where the cells are taken."""
    try:
        with opened() as on, suppress(queue.Empty):
            while True:
                done.put(run(*jobs.get_nowait(), on))
    except BaseException as error:  # noqa: BLE001  # see above
        done.put(error)


def _forget(jobs: "queue.SimpleQueue[Any]") -> None:
    """Nobody does what is left of them."""
    with suppress(queue.Empty):
        while True:
            jobs.get_nowait()


def benches(server: str, folder: Path, count: int, stack: ExitStack) -> list[Bench]:
    """So many benches on one server that share what is prepared."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = Originals(server, folder)
    stack.callback(originals.close)
    return [
        stack.enter_context(bench(server, folder / f"bench{number}", originals=originals))
        for number in range(count)
    ]


@contextmanager
def own_bench(folder: Path) -> Iterator[Bench]:
    """A bench on a server that nobody else uses: some cases stop it."""
    from integrations_tests.faults.bench.world_postgres import own_server

    folder.mkdir(parents=True, exist_ok=True)
    with own_server(folder) as url, bench(url, folder / "bench") as made:
        yield made


def as_json(cell: Cell) -> str:
    return json.dumps(asdict(cell) | {"hole": cell.hole})


def table(cells: Sequence[Cell], cases: Sequence[Case]) -> str:
    """The matrix, its totals, and what the red ones said."""
    lines = _rows(cells, cases, KINDS)
    for begin in range(0, len(SHAPES), _ABREAST):
        lines += _rows(cells, cases, [*SHAPES][begin : begin + _ABREAST])
    return "\n".join([*lines, *_messages(cells), *_whys(cells, cases), "", totals(cells)])


_ABREAST = 5
_WIDE = max(map(len, (*SHAPES, "unpromised")))


def _rows(cells: Sequence[Cell], cases: Sequence[Case], kinds: Sequence[Kind]) -> list[str]:
    """The matrix of these kinds."""
    found = {(cell.case, cell.kind): cell for cell in cells}
    wide = max((len(case.name) for case in cases), default=0)
    lines, group = [], ""
    for case in cases:
        row = [found.get((case.name, kind)) for kind in kinds]
        if not any(row):
            continue
        if case.group != group:
            group = case.group
            lines += ["", f"{group:<{wide}}  " + "  ".join(f"{kind:<{_WIDE}}" for kind in kinds)]
        lines.append(
            f"{case.name:<{wide}}  " + "  ".join(f"{_word(cell):<{_WIDE}}" for cell in row).rstrip()
        )
    return lines


def _word(cell: Cell | None) -> str:
    return "-" if cell is None else cell.fate + ("" if not cell.secrets else " SECRET SEEN")


def _messages(cells: Sequence[Cell]) -> list[str]:
    told = [cell for cell in cells if cell.message and (cell.fate == "red" or cell.hole)]
    lines = ["", "What the red ones said, and where:"] if told else []
    lines += [f"  {cell.case} ({cell.kind}): {cell.message}" for cell in told]
    for cell in cells:
        if cell.hole:
            lines.append(
                f"NOT AS EXPECTED: {cell.case} ({cell.kind}) is {cell.fate}, and should be"
                f" {' or '.join(cell.expected)}; secrets seen: {cell.secrets or 'none'}"
            )
    return lines


def _whys(cells: Sequence[Cell], cases: Sequence[Case]) -> list[str]:
    untold = {cell.case for cell in cells if cell.fate in ("healed", "unpromised")}
    whys = [f"  {case.name}: {case.why}" for case in cases if case.name in untold]
    return (
        ["", "What nobody who reads a page can see, and who brings it right:", *whys]
        if whys
        else []
    )


def totals(cells: Sequence[Cell]) -> str:
    """One line."""
    fates = {fate: sum(cell.fate == fate for cell in cells) for fate in _FATES}
    counted = ", ".join(f"{count} {fate}" for fate, count in fates.items() if count)
    return (
        f"{len(cells)} cells: {counted}; lost {sum(cell.lost for cell in cells)}, "
        f"doubled {sum(cell.doubled for cell in cells)}, "
        f"secrets seen {sum(len(cell.secrets) for cell in cells)}, "
        f"holes {sum(cell.hole for cell in cells)}"
    )


_FATES = ("recovered", "red", "healed", "unpromised")
