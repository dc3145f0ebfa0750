"""The twin of an archive of sensors' messages: a bucket into which a platform writes what it has
heard, in the three layouts that such archives have.

    uplinks/dt=2026-10-01/hr=08/part-….jsonl.gz        JSON lines in folders as Hive has them
    firehose/2026/10/01/08/uplinks-1-2026-10-01-…      JSON without a break, as Firehose writes it
    readings/dt=2026-10-01/part-0000.parquet           values that were taken apart already

Beside them lie `_SUCCESS` markers and a folder of errors. Some objects come days late into the
folder of their own day. All of it is a function of the seed and the clock alone.
"""

import gzip
import io
import json
import random
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Clock, Fault, Faults, Gate
from integrations.sandbox.s3_server import Bucket, Thing, s3_app
from integrations.sandbox.server import running

EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
BUCKET = "iot-archive"
BUSY_DAYS = 54
"""So many days bring messages every six hours; one day each month follows."""
_HOURS = (2, 8, 14, 20)
_DEVICES = tuple(f"eui-70b3d57ed00{n:05x}" for n in range(6))


class S3FilesTwin:
    """A local archive over S3; `serve` it.

    `clock` gives the time, aware UTC; an object is there once its time has come. `messages` are
    those of an object. What a test adds is in `added`, what was read in `opened`.
    """

    def __init__(
        self, seed: int, *, clock: Clock, epoch: datetime = EPOCH, messages: int = 10
    ) -> None:
        self._seed, self._clock, self._epoch, self._messages = seed, clock, epoch, messages
        self._made: dict[str, Thing] = {}
        self._day = epoch
        self.added: dict[str, Thing] = {}
        self.opened: list[str] = []
        self.secrets: Mapping[str, str] = MappingProxyType(
            {"access_key_id": f"AK{token_hex(9).upper()}", "secret_access_key": token_hex(20)}
        )
        bucket = Bucket(
            BUCKET, self.things, self.secrets["access_key_id"], self.secrets["secret_access_key"],
            opened=self.opened.append, most=100,
        )  # fmt: skip
        self._gate = Gate(s3_app(bucket), clock=clock)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serves for as long as the block runs; gives the bucket's address."""
        with running(self) as url:
            yield f"{url}/{BUCKET}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)

    @property
    def faults(self) -> Faults:
        return self._gate.faults

    @property
    def requests(self) -> int:
        return self._gate.requests

    def break_at(self, place: int) -> None:
        """Ends the connection once, so many bytes into the next object."""
        self.faults.append(Fault(path=f"/{BUCKET}/?*", cut=place))

    def things(self) -> Mapping[str, Thing]:
        """The objects that are there now."""
        now = self._clock()
        while self._day <= now:
            self._made |= {key: Thing(data, at) for key, data, at in self._of_day(self._day)}
            busy = self._day < self._epoch + timedelta(days=BUSY_DAYS)
            self._day += timedelta(days=1 if busy else 30)
        return {key: one for key, one in self._made.items() if one.at <= now} | self.added

    def _of_day(self, day: datetime) -> Iterator[tuple[str, bytes, datetime]]:
        chance = random.Random(f"{self._seed} {day}")  # noqa: S311
        for hour in _HOURS:
            at = day + timedelta(hours=hour)
            # One in ten comes days late, into the folder of its own day.
            late = timedelta(days=2) if chance.random() < 0.1 else timedelta()
            name = uuid.UUID(int=chance.getrandbits(128), version=4)
            there = at + timedelta(hours=1) + late
            lines = [_uplink(chance, at, n, self._messages) for n in range(self._messages)]
            data = gzip.compress(b"\n".join(lines) + b"\n", mtime=0)
            yield f"uplinks/dt={day:%Y-%m-%d}/hr={hour:02}/part-{name}.jsonl.gz", data, there
            lines = [_uplink(chance, at, n, self._messages) for n in range(self._messages)]
            stream = f"uplinks-1-{at:%Y-%m-%d-%H-%M-%S}-{name}"
            yield f"firehose/{at:%Y/%m/%d/%H}/{stream}", b"".join(lines), there
        evening = day + timedelta(hours=23)
        folder = f"readings/dt={day:%Y-%m-%d}"
        yield f"{folder}/part-0000.parquet", _parquet(chance, day, self._messages), evening
        yield f"{folder}/_SUCCESS", b"", evening
        if day == self._epoch:
            yield f"uplinks/dt={day:%Y-%m-%d}/hr=08/_SUCCESS", b"", evening
            yield f"uplinks/dt={day:%Y-%m-%d}/hr=08/part-0.jsonl.gz.crc", b"crc", evening
            yield f"firehose/errors/{at:%Y/%m/%d/%H}/failed", b"not json", evening
            half = gzip.compress(b"".join(lines), mtime=0)[:-9]
            yield f"uplinks/dt={day:%Y-%m-%d}/hr=08/part-half.jsonl.gz", half, evening


def _uplink(chance: random.Random, at: datetime, number: int, of: int) -> bytes:
    """A message, as The Things Stack writes it to an archive."""
    heard = at + timedelta(seconds=number * 3600 // of, microseconds=chance.randrange(1_000_000))
    payload: dict[str, Any] = {
        "temperature": round(chance.uniform(2, 28), 2),
        "humidity": chance.randrange(40, 99),
        "battery_v": round(chance.uniform(2.9, 3.6), 3),
    }
    message = {
        "end_device_ids": {"device_id": _DEVICES[number % len(_DEVICES)]},
        "received_at": f"{heard:%Y-%m-%dT%H:%M:%S.%f}Z",
        "uplink_message": {
            "f_port": 2,
            "f_cnt": int(at.timestamp()) // 3600 * of + number,
            "decoded_payload": payload,
            "rx_metadata": [
                {"gateway_ids": {"gateway_id": "greenhouse-7"}, "rssi": -87, "snr": 7.5}
            ],
            # A text that looks like the place between two messages.
            "note": "}{" if number % 4 == 0 else "ok",
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _parquet(chance: random.Random, day: datetime, rows: int) -> bytes:
    moments = [day + timedelta(minutes=7 * n) for n in range(rows)]
    table = pa.table(
        {
            "device": [_DEVICES[n % len(_DEVICES)] for n in range(rows)],
            "metric": ["soil_moisture"] * rows,
            "value": [round(chance.uniform(5, 60), 1) for _ in range(rows)],
            "unit": ["%"] * rows,
            "measured_at": pa.array(moments, pa.timestamp("us", "UTC")),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
