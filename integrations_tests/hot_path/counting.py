"""Counts of work that do not depend on the machine: steps of the interpreter, objects, bytes.

Time says the same only on an idle machine and for many records. A step here is one bytecode; a loop
over records in Python costs at least three of them a record, whatever it does, and a call into C
that makes an object a record (`to_pylist()`, `list(map(…))`) shows as a burst of new objects.
"""

import gc
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dis import opmap
from functools import cache
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

import pyarrow as pa

import integrations
from integrations.transport.http import HttpClient

_OURS = str(Path(integrations.__file__).parent)
_FETCHING = HttpClient.fetch.__code__
"""What it costs to fetch an answer depends on its bytes and on the network, not on its records:
nobody has split it yet."""
_SERVING = ThreadingMixIn.process_request_thread.__code__
_CALLS = {
    number for name, number in opmap.items() if name.startswith(("CALL", "LIST_", "SET_", "DICT_"))
}

Tracer = Callable[[FrameType, str, Any], Any]
Place = tuple[CodeType, int]
"""A line of a function."""


def steps_of(work: Callable[[], object]) -> Counter[Place]:
    """Does the work and counts every bytecode, also in the libraries."""
    done, fetching = Counter[Place](), set[int]()

    def tracer(frame: FrameType, event: str, _: Any) -> Tracer | None:
        if frame.f_code is _FETCHING:
            fetching.add(get_ident())
            frame.f_trace_lines = False
            return fetched
        if get_ident() in fetching:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return stepped

    def stepped(frame: FrameType, event: str, _: Any) -> Tracer:
        if event == "opcode":
            done[frame.f_code, frame.f_lineno] += 1
        return stepped

    def fetched(frame: FrameType, event: str, _: Any) -> Tracer:
        if event == "return":
            fetching.discard(get_ident())
        return fetched

    with _traced(tracer):
        work()
    return done


def objects_of(work: Callable[[], object]) -> Counter[Place]:
    """Does the work and notes, for each line of ours, the most objects that came into being between
    one of its bytecodes and the next: what a call out of our code has made and not yet let go."""
    done = Counter[Place]()
    before, where, called = sys.getallocatedblocks(), (_FETCHING, 0), False

    def tracer(frame: FrameType, event: str, _: Any) -> Tracer | None:
        if frame.f_code is _FETCHING or not frame.f_code.co_filename.startswith(_OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return stepped

    def stepped(frame: FrameType, event: str, _: Any) -> Tracer:
        nonlocal before, where, called
        if called:  # what lies between two calls makes no more than a few objects
            now = sys.getallocatedblocks()
            done[where] = max(done[where], now - before)
            before = now
        called = event == "opcode" and _code(frame.f_code)[frame.f_lasti] in _CALLS
        where = frame.f_code, frame.f_lineno
        return stepped

    gc.disable()
    try:
        with _traced(tracer):
            work()
    finally:
        gc.enable()
    return done


@dataclass(frozen=True)
class Memory:
    """The most bytes that Python and that Arrow held, beyond what they held before."""

    python: int
    arrow: int


def memory_of(work: Callable[[], object]) -> Memory:
    """Does the work; Arrow is asked at every line of ours that this thread comes to. Garbage is
    looked for as often as it is by default: definitions make that rarer in a whole process."""
    threshold = gc.get_threshold()
    begun, most, asking = pa.total_allocated_bytes(), 0, get_ident()

    def lines(frame: FrameType, event: str, _: Any) -> Tracer | None:
        nonlocal most
        if get_ident() != asking or not frame.f_code.co_filename.startswith(_OURS):
            return None
        most = max(most, pa.total_allocated_bytes())
        return lines

    gc.collect()
    gc.set_threshold(700, 10, 10)
    tracemalloc.start()
    try:
        with _traced(lines):
            before = tracemalloc.get_traced_memory()[0]
            work()
        return Memory(tracemalloc.get_traced_memory()[1] - before, most - begun)
    finally:
        tracemalloc.stop()
        gc.set_threshold(*threshold)


def grown(few: Counter[Place], many: Counter[Place], *, records: int) -> dict[str, float]:
    """By function, how much more there was for each of `records` more records, where it is a tenth
    or more; and under "" how much in all."""
    found: dict[str, float] = {"": round((many.total() - few.total()) / records, 3)}
    for place in many:
        more = round((many[place] - few[place]) / records, 3)
        if more >= 0.1:
            name = place[0].co_qualname
            found[name] = found.get(name, 0.0) + more
    return found


@cache
def _code(code: CodeType) -> bytes:
    return code.co_code  # which is made anew each time


@contextmanager
def _traced(tracer: Tracer) -> Iterator[None]:
    """Traces this thread and those that it starts, but for those of the test's server."""

    def without_server(frame: FrameType, event: str, argument: Any) -> Tracer | None:
        if frame.f_code is _SERVING:
            sys.settrace(None)
            return None
        return tracer(frame, event, argument)

    before = sys.gettrace(), threading.gettrace()
    threading.settrace(without_server)
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])  # type: ignore[arg-type]  # None is what it was
