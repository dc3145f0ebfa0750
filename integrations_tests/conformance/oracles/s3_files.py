"""What must be in the tables of what an archive holds, told from its layouts by the plainest means."""

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

Record = dict[str, Any]
UNITS = {"temperature": "Cel", "humidity": "%", "battery_v": "V"}


def stream_of(key: str) -> str | None:
    """The stream that an object is of; None for markers, checksums and errors."""
    name = key.rpartition("/")[2]
    if key.startswith("firehose/"):
        return "firehose_uplinks" if name.startswith("uplinks-") else None
    if name.startswith("part-") and name.endswith((".gz", ".parquet")):
        return key.partition("/")[0]
    return None


def state(key: str, data: bytes) -> str:
    """What must become of an object."""
    return "refused" if "part-half" in key else "loaded"


def another(path: str) -> str:
    """A name that another file beside it could have."""
    return path.replace("part-", "part-9")


def rows(stream: str, key: str, data: bytes) -> Mapping[str, Record]:
    """The rows of an object that is loaded, by their id."""
    if stream == "readings":
        return dict(_readings(data))
    text = (gzip.decompress(data) if stream == "uplinks" else data).decode()
    return dict(row for message in _messages(text) for row in _values(message))


def _messages(text: str) -> Iterator[Record]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        message, at = decoder.raw_decode(text, at)
        yield message
        at += len(text[at:]) - len(text[at:].lstrip())


def _values(message: Record) -> Iterator[tuple[str, Record]]:
    device, at = message["end_device_ids"]["device_id"], message["received_at"]
    for metric, value in message["uplink_message"]["decoded_payload"].items():
        yield (
            f"{device}/{at}/{metric}",
            {
                "device_id": device,
                "metric": metric,
                "value": float(value),
                "unit": UNITS[metric],
                "measured_at": datetime.fromisoformat(at),
                "received_at": datetime.fromisoformat(at),
                "frame_counter": message["uplink_message"]["f_cnt"],
                "port": message["uplink_message"]["f_port"],
            },
        )


def _readings(data: bytes) -> Iterator[tuple[str, Record]]:
    for row in pq.read_table(io.BytesIO(data)).to_pylist():
        at = row["measured_at"]
        yield (
            f"{row['device']}/{at:%Y-%m-%dT%H:%M:%S.%f}Z/{row['metric']}",
            {
                "device_id": row["device"],
                "metric": row["metric"],
                "value": row["value"],
                "unit": row["unit"],
                "measured_at": at,
            },
        )
