"""When an endpoint is left alone, when one call tries it, and what becomes of that."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.error_handling.breaker import Breaker, slot
from integrations.storage.circuits import Circuit

NOW = datetime(2026, 1, 1, 3, tzinfo=UTC)
RULES = Breaker(calls=4, window_s=100, lasting_s=20, cool_s=60, cool_most_s=200)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def heard(*calls: tuple[float, str], rules: Breaker = RULES) -> Circuit:
    """A circuit after calls at these seconds: `x` failed, `.` was well."""
    circuit = Circuit()
    for at, ends in calls:
        for end in ends:
            told = {slot(later(at)): (1, int(end == "x"))}
            circuit = rules.told(circuit, told, later(at), why=f"at {at}" if end == "x" else "")
    return circuit


@pytest.mark.parametrize(
    ("calls", "shut_at"),
    [
        ([(0, "x"), (20, "xx"), (40, "x")], 40),
        ([(0, "x"), (20, "xx"), (40, ".")], None),  # the last one was no failure
        ([(0, "x"), (10, "x."), (20, ".x")], 20),  # three of five
        ([(0, "x.."), (20, "x")], 20),  # just a half
        ([(0, "x..."), (20, "x")], None),  # and less
        ([(0, "x"), (20, "xx")], None),  # too few to say anything
        ([(0, "xxxxxxxx"), (15, "xxxxx")], None),  # together, or nearly so
        ([(0, "x"), (20, "xx"), (120, "x")], None),  # long ago
        ([(0, "x"), (20, "."), (50, "x"), (90, "x")], 90),
        ([(0, "........"), (105, "x"), (110, "xx"), (125, "x")], 125),
    ],
)
def test_an_endpoint_is_left_alone(calls: list[tuple[float, str]], shut_at: float | None) -> None:
    """Half of four calls or more in the window, from a while ago on."""
    circuit = heard(*calls)
    if shut_at is None:
        assert circuit.until is None
    else:
        assert circuit == Circuit(until=later(shut_at + 60), cool_s=60, why=f"at {shut_at}")


def test_the_first_seven_tries_of_a_retry_are_left_to_it() -> None:
    """By default, at the ceilings of their waits; hurried on by chance, they get half a minute."""
    tries = (0, 1, 3, 7, 15, 31, 63, 127)
    assert heard(*((at, "x") for at in tries[:-1]), rules=Breaker()).until is None
    shut = heard(*((at, "x") for at in tries), rules=Breaker())
    assert shut.until == later(127 + 60)
    assert heard(*((at, "x") for at in range(24)), rules=Breaker()).until is None


SHUT = Circuit(until=later(60), cool_s=60, why="it is down")
CLAIMED = Circuit(until=later(60), cool_s=60, probe_until=later(90), why="it is down")


@pytest.mark.parametrize(
    ("circuit", "at", "until"),
    [
        (SHUT, 59, None),
        (SHUT, 60, 90),
        (CLAIMED, 89, None),
        (CLAIMED, 90, 120),  # who had claimed it is dead
        (Circuit(), 60, None),
    ],
)
def test_one_call_tries_it(circuit: Circuit, at: float, until: float | None) -> None:
    """When it has cooled down, and nobody else is trying."""
    claimed = RULES.claimed(circuit, later(at), claim_s=30)
    assert claimed.probe_until == (later(until) if until else circuit.probe_until)
    assert (claimed is circuit) == (until is None)


@pytest.mark.parametrize(
    ("well", "probe", "after"),
    [
        (True, 90, Circuit()),
        (True, 70, Circuit()),  # it was late, but it was answered
        (False, 90, Circuit(until=later(80 + 120), cool_s=120, why="still")),
        (False, 70, CLAIMED),
        (None, 90, SHUT),
        (None, 70, CLAIMED),
    ],
)
def test_what_becomes_of_the_one_call(well: bool | None, probe: float, after: Circuit) -> None:
    """An answer is the end of it, a failure doubles the time; one that was not made is no try."""
    found = RULES.answered(CLAIMED, later(probe), later(80), well=well, why="still")
    assert found == after


def test_the_time_doubles_up_to_a_limit() -> None:
    """60, 120, and then 200 s."""
    circuit, at, cooled = heard((0, "xx"), (20, "xx")), 20.0, []
    for _ in range(4):
        assert circuit.until is not None
        cooled.append((circuit.until - later(at)).total_seconds())
        at += cooled[-1]
        probe = RULES.claimed(circuit, later(at), claim_s=9).probe_until
        circuit = RULES.claimed(circuit, later(at), claim_s=9)
        assert probe is not None
        circuit = RULES.answered(circuit, probe, later(at), well=False)
    assert cooled == [60, 120, 200, 200]


def test_what_is_late_says_nothing() -> None:
    """Calls that were on their way when it was shut, and a try of what a person has opened."""
    assert RULES.told(SHUT, {slot(NOW): (9, 9)}, NOW, why="late") is SHUT
    opened = Circuit()
    assert RULES.answered(opened, later(90), later(80), well=False) is opened


calls = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.integers(0, 3)), max_size=8)


@settings(max_examples=60)
@given(calls)
def test_it_does_not_matter_who_tells_first(
    calls: list[tuple[int, int, int]],
) -> None:
    """Processes tell of the same seconds in any order, in pieces or at once."""
    whole = Breaker(calls=1000)  # never shut
    pieces = [{slot(later(at)): (well + ill, ill)} for at, well, ill in calls]
    told = Circuit()
    for piece in pieces:
        told = whole.told(told, piece, later(120))
    back = Circuit()
    for piece in reversed(pieces):
        back = whole.told(back, piece, later(120))
    assert back == told
    assert sum(count for count, _ in told.counts.values()) == sum(w + i for _, w, i in calls)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"window_s": 20, "lasting_s": 20}, "lasting_s should be shorter than window_s"),
        ({"cool_s": 100, "cool_most_s": 60}, "cool_most_s should be cool_s or more"),
        ({"share": 0}, "greater than 0"),
        ({"errors": 3}, "Extra inputs"),
    ],
)
def test_what_could_not_work(words: dict[str, float], said: str) -> None:
    """Is refused at load."""
    with pytest.raises(ValidationError, match=said):
        Breaker.model_validate(words)
