"""What must hold of an account's books, whatever happened: asked of the database itself.

Every state of an object at a `Chronicle` has a number, which its record carries along. A trigger
writes down each state that a table ever shows, so that not only the end can be judged.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from integrations.connector_template import loading
from integrations.storage.ledger import FATES
from integrations_tests.lanes.lanes import Lanes, mapped
from integrations_tests.lanes.life import EVENTS, Life
from integrations_tests.lanes.life_objects import Object

_MINE = "(connector, connection) = ('stripe', %s)"
_LOADED = f"SELECT * FROM integrations.ledger WHERE {_MINE} AND status IN ('ok', 'warn')"


class Chronicle(Life):
    """A life whose objects carry the number of their state, and which remembers them all."""

    def __init__(self, **given: Any) -> None:
        self._moments: list[datetime] = []
        self._states: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._deaths: dict[tuple[str, str], list[int]] = defaultdict(list)
        super().__init__(**given)

    def delete(self, kind: str, ident: str, *, event: bool = True) -> None:
        with self._lock:
            super().delete(kind, ident, event=event)
            self._deaths[kind, ident].append(self._next())

    def first_death(self, kind: str, ident: str) -> int:
        """The number under which it was first deleted."""
        return self._deaths[kind, ident][0]

    def began(self, state: int) -> datetime:
        return self._moments[state]

    def ended(self, kind: str, ident: str, state: int) -> datetime:
        """When the state was no longer the object's."""
        changes = sorted(self._states[kind, ident] + self._deaths[kind, ident])
        after = [change for change in changes if change > state]
        return self._moments[after[0]] if after else self.now + timedelta(days=1)

    @property
    def now(self) -> datetime:
        return self._clock()

    def _next(self) -> int:
        self._moments.append(self.now)
        return len(self._moments) - 1

    def _set(self, kind: str, one: Object) -> None:
        if kind != EVENTS:
            state = self._next()
            self._states[kind, one["id"]].append(state)
            one = {**one, "metadata": {**(one["metadata"] or {}), "state": str(state)}}
        super()._set(kind, one)


def watch(lanes: Lanes, name: str) -> None:
    """From now on what the stream's leaf shows is written down."""
    stream = lanes.stream(name)
    loading.prepare(stream, connection=lanes.connection)
    leaf = stream.mapping.entity.table().leaf("stripe")
    lanes.connection.execute(
        "CREATE TABLE IF NOT EXISTS public.shown (nth bigint GENERATED ALWAYS AS IDENTITY,"
        " account text, stream text, key text, how text, deleted boolean, state integer);"
        "CREATE OR REPLACE FUNCTION public.show() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.shown (account, stream, key, how, deleted, state)"
        " VALUES (NEW.connection, NEW.stream, NEW.source_id, TG_OP, NEW._deleted_at IS NOT NULL,"
        " (NEW.metadata->>'state')::integer); RETURN NULL; END $$"
    )
    lanes.connection.execute(
        sql.SQL(
            "CREATE OR REPLACE TRIGGER show AFTER INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE FUNCTION public.show()"
        ).format(leaf)
    )
    lanes.connection.commit()


def assert_never_regressed(lanes: Lanes, life: Chronicle, name: str, *, within_s: float) -> None:
    """Nothing that was long over came back after something newer, and nothing from before a
    deletion after the deletion."""
    slack = timedelta(seconds=within_s)
    newest: dict[str, int] = {}
    dead: set[str] = set()
    shown = "SELECT key, deleted, state FROM public.shown WHERE (account, stream) = (%s, %s)"
    for key, deleted, state in lanes.fetch(f"{shown} ORDER BY nth", lanes.account, name):
        if deleted:
            dead.add(key)
            continue
        assert key not in dead or state > life.first_death(name, key), f"{key} was resurrected"
        best = newest.get(key, state)
        over = life.ended(name, key, state)
        assert over >= life.began(best) - slack, f"{key} regressed from {best} to {state}"
        newest[key] = max(best, state)


def assert_counted(lanes: Lanes, name: str) -> None:
    """The ledger's inserted are the inserts that happened, each of another key, and with those
    that were deleted before anybody had seen them they are the rows."""
    (inserted,) = lanes.fetch(
        f"SELECT coalesce(sum(inserted), 0) FROM ({_LOADED}) _ WHERE stream = %s",
        lanes.account, name,
    )[0]  # fmt: skip
    made = lanes.fetch(
        "SELECT key, deleted FROM public.shown"
        " WHERE (account, stream, how) = (%s, %s, 'INSERT')",
        lanes.account, name,
    )  # fmt: skip
    rows = lanes.rows(name)
    assert sorted(key for key, _ in made) == sorted(rows)
    assert inserted == sum(not deleted for _, deleted in made)


def assert_balanced(lanes: Lanes) -> None:
    """Every line adds up, all events of a landing are in the lines of one load, and there is no
    second load of it."""
    fates = " + ".join(FATES)
    assert not lanes.fetch(f"SELECT * FROM ({_LOADED}) _ WHERE received <> {fates}", lanes.account)
    assert not lanes.fetch(
        f"WITH loaded AS ({_LOADED}) SELECT f.landing, f.records, f.received, sum(s.received)"
        " FROM loaded f LEFT JOIN loaded s ON s.cause = 'push' AND s.stream <> 'events'"
        " AND (s.landing, s.run_id) = (f.landing, f.run_id) WHERE f.stream = 'events'"
        " GROUP BY f.id, f.landing, f.records, f.received"
        " HAVING f.records <> f.received + coalesce(sum(s.received), 0)",
        lanes.account,
    )
    assert not lanes.fetch(
        f"SELECT landing FROM ({_LOADED}) _ WHERE stream = 'events'"
        " GROUP BY landing HAVING count(*) > 1",
        lanes.account,
    )


def differences(lanes: Lanes, life: Life, name: str) -> dict[str, set[str]]:
    """How a table differs from its source: keys that are lost, resurrected, or told wrongly."""
    truth = mapped(lanes.stream(name), life.truth(name))
    table = lanes.table(name)
    found = {
        "lost": truth.keys() - table.keys(),
        "resurrected": table.keys() - truth.keys(),
        "wrong": {key for key in truth.keys() & table.keys() if truth[key] != table[key]},
    }
    return {what: keys for what, keys in found.items() if keys}
