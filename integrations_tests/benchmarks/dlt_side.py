"""dlt on the same source, into the same server, as its documentation says that it is fastest:
`python -m integrations_tests.benchmarks.dlt_side`, which is told what to do as `worker.py` is.

The rest_api source, parquet as the loader's file format (which needs the package
adbc-driver-postgresql: without it dlt says nothing and loads INSERT statements, so the files' format
is told with the counts), typed hints for every column, `merge` by the key. It needs dlt and nothing of ours: it may run in an
interpreter of its own. What is fair to dlt: it gets the same pages, but without dirty records,
since a load with one fails as a whole; amounts are decimals, as ours are; nothing is kept that
could be replayed; telemetry is off.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.rest_api import rest_api_source

from integrations_tests.benchmarks.meter import Meter, memory_mb

PROTOCOL = os.dup(1)
DECIMALS = ("amount", "refunded", "fee", "net")
TEXTS = (
    "currency",
    "status",
    "method",
    "ref",
    "note",
    "failure",
    "customer__id",
    "customer__country",
)
COLUMNS: dict[str, Any] = {
    "id": {"data_type": "text", "nullable": False},
    "revision": {"data_type": "bigint"},
    "created": {"data_type": "timestamp"},
    "paid": {"data_type": "timestamp"},
    **{name: {"data_type": "decimal", "precision": 38, "scale": 9} for name in DECIMALS},
    **{name: {"data_type": "text"} for name in TEXTS},
    "captured": {"data_type": "bool"},
    "live": {"data_type": "bool"},
}  # fmt: skip
STRATEGY = os.environ.get("BENCHMARK_DLT_STRATEGY", "delete-insert")
"""Of the two that dlt has for Postgres, the one that costs it less."""


def source(url: str, day: str, end: str) -> Any:
    """The source, as dlt is told of it; the paging is as in our connector's file."""
    return rest_api_source(
        {
            "client": {
                "base_url": url,
                "paginator": {"type": "json_link", "next_url_path": "next"},
            },
            "resources": [
                {
                    "name": "payments",
                    "primary_key": "id",
                    "write_disposition": {"disposition": "merge", "strategy": STRATEGY},
                    "columns": COLUMNS,
                    "endpoint": {
                        "path": "payments",
                        "params": {"from": day, "to": end, "size": 1000},
                        "data_selector": "data",
                    },
                }
            ],
        },
        max_table_nesting=0,
    )


def done(job: dict[str, Any], folder: str) -> dict[str, Any]:
    """Loads what the source has; the counts and the cost."""
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=str(Path(folder) / job["database"].partition("/run_")[2][:8]),
        # dlt asks for a host; libpq takes the socket's folder, which the query names, instead.
        destination=dlt.destinations.postgres(job["database"].replace("@/", "@localhost:5432/")),
        dataset_name="payments",
    )
    meter = Meter()
    found = source(os.environ["BENCHMARK_SOURCE"], "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    info = pipeline.run(found, loader_file_format="parquet")
    cost = meter.cost()
    info.raise_on_failed_jobs()
    rows = pipeline.last_trace.last_normalize_info.row_counts["payments"]
    return {
        "status": 0,
        "counts": {"records": rows, **_formats(info)},
        "cost": asdict(cost),
        "stages": {},
        "after_mb": memory_mb(),
    }


def _formats(info: Any) -> dict[str, int]:
    """How many files of the stream were loaded, by their format."""
    files = [
        job.job_file_info
        for package in info.load_packages
        for job in package.jobs["completed_jobs"]
    ]
    return dict(
        Counter(f"{one.file_format} files" for one in files if one.table_name == "payments")
    )


def main() -> None:
    os.dup2(2, 1)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "WARNING"
    os.write(PROTOCOL, json.dumps({"ready": time.process_time()}).encode() + b"\n")
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            said = done(json.loads(line), folder)
            os.write(PROTOCOL, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    main()
