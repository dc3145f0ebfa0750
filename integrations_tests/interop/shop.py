"""The SQLite file that foreign servers serve, and what is true in it."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = 23
"""With pages of 5 the last one is not full."""
PAGE = 5
_TABLES = """
CREATE TABLE orders (number TEXT PRIMARY KEY, seq INTEGER, placed_at TEXT, buyer TEXT, total TEXT);
CREATE TABLE lines (id INTEGER PRIMARY KEY, number TEXT REFERENCES orders (number), sku TEXT);
"""


def order(seq: int) -> dict[str, Any]:
    """An order. Its number has what paging tokens have to spell: commas, tildes, spaces, slashes
    and letters of no ASCII; its moment is that of another one, its buyer by times nobody."""
    return {
        "number": f"N,{seq % 7}~ö/ {seq:02}",
        "seq": seq,
        "placed_at": f"{START + timedelta(hours=5 * (seq // 2)):%Y-%m-%dT%H:%M:%SZ}",
        "buyer": None if seq % 5 == 0 else f"Zoë, {seq % 3}",
        "total": f"{seq}.10",
    }


def skus(seq: int) -> list[str]:
    """The lines of an order; of some there are more than a connection gives at once."""
    return [f"{seq}-{number}" for number in range(seq % 6)]


def write(file: Path, count: int = ORDERS) -> list[dict[str, Any]]:
    """Fills the file with so many orders and their lines; gives the orders."""
    orders = [order(seq) for seq in range(1, count + 1)]
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.executescript(_TABLES)
        for one in orders:
            add(shop, one)
    return orders


def add(shop: sqlite3.Connection, one: dict[str, Any]) -> None:
    """One more order."""
    shop.execute("INSERT INTO orders VALUES (:number, :seq, :placed_at, :buyer, :total)", one)
    lines = [(one["number"], sku) for sku in skus(one["seq"])]
    shop.executemany("INSERT INTO lines (number, sku) VALUES (?, ?)", lines)


def sorted_(records: list[dict[str, Any]]) -> list[str]:
    """Records in an order of ours, to be compared."""
    return sorted(json.dumps(one, sort_keys=True) for one in records)
