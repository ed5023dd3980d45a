"""The first load of a stream read by a cursor beside a full refresh of the same table, and runs that find nothing new.

    .venv/bin/python benchmarks/incremental.py [--rows 1000000 --rows 5000000] [--times 3]

Both loads are interleaved, each in a fresh process, timed from after the imports. A run without news is timed in the
process that loaded the table before it, as in the warm loop: connecting, snapshot, looking at the table, reading.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent / "demo"), str(Path(__file__).parent.parent)]

THREADS = 2
INDEX = "CREATE INDEX ON mixed (changed); ANALYZE mixed"
MODES = ("full_refresh", "incremental")


def measure(mode: str) -> None:
    """Load the table in this process, then twice run again without news; print the seconds of each."""
    import olake_reconcile.engine.full_refresh
    import olake_reconcile.engine.incremental  # noqa: F401
    from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
    from olake_reconcile.engine.embedded import EmbeddedEngine
    from olake_reconcile.model.config import IcebergConfig, PostgresConfig
    from olake_reconcile.model.event import Event, StreamCheckpoint, StreamCommitted
    from olake_reconcile.model.names import StreamId
    from olake_reconcile.model.stream import Stream, SyncMode
    from olake_reconcile.model.table import Owner, TablePlace

    server = json.load(sys.stdin)
    catalog = IcebergConfig(
        catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="warehouse"
    )
    stream = Stream(
        id=StreamId("public", "mixed"),
        sync_mode=SyncMode(mode),
        cursor="changed" if mode == "incremental" else None,
        destination_database="lake",
        destination_table="mixed",
    )
    owner = Owner(project="benchmark", environment="", job="job", stream="mixed", generation=1)
    place = TablePlace(database="lake", table="mixed")
    seconds: list[float] = []
    position: dict[str, Any] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(3 if mode == "incremental" else 1):
            scratch = folder / f"scratch{turn}"
            scratch.mkdir()
            events: list[Event] = []
            request = SyncRequest(
                run_id=f"run{turn}",
                source=OpenSource(name="shop", config=PostgresConfig.model_validate(server)),
                destination=OpenDestination(name="lake", config=catalog, base=folder),
                tasks=(StreamTask(stream=stream, place=place, owner=owner, position=position),),
                threads=THREADS,
                scratch=scratch,
            )
            began = time.perf_counter()
            EmbeddedEngine().sync(request, events.append, lambda: False)
            seconds.append(time.perf_counter() - began)
            last = events[-1]
            assert isinstance(last, StreamCommitted), last
            assert turn == 0 or last.files == 0
            position = last.position
            if turn == 0:
                rows, checkpoints = last.rows, sum(isinstance(e, StreamCheckpoint) for e in events)
    print(json.dumps({"rows": rows, "load": seconds[0], "again": seconds[1:], "checkpoints": checkpoints}))


def compare(rows: int, times: int) -> None:
    """Measure both modes `times` times over a table of `rows`; print one line."""
    import psycopg
    from local_postgres import LocalPostgres

    from benchmarks.full_refresh import TABLE

    with LocalPostgres(settings={"shared_buffers": "256MB"}) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            for statement in f"{TABLE.format(rows=rows)}{INDEX}".strip().split(";"):
                if statement.strip():
                    connection.execute(statement)
        config = {
            "host": str(server.socket_folder),
            "port": server.port,
            "database": "postgres",
            "username": server.user,
            "password": server.password,
        }
        found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
        for turn in range(times + 1):
            for mode in MODES:
                done = subprocess.run(
                    [sys.executable, __file__, "--measure", mode],
                    input=json.dumps(config),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    sys.exit(done.stderr)
                if turn:  # the first turn warms the caches of both
                    found[mode].append(json.loads(done.stdout))
    full, first = (statistics.median(r["load"] for r in found[mode]) for mode in MODES)
    again = statistics.median(second for r in found["incremental"] for second in r["again"])
    checkpoints = found["incremental"][0]["checkpoints"]
    print(
        f"| {rows:,} | {full:.2f} | {first:.2f} | {full / first:.2f} | {checkpoints} | {again:.2f} |",
        flush=True,
    )


def main() -> None:
    """Compare for each table size, or measure one mode when called by ourselves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    print("| rows | full refresh, s | first load by cursor, s | ratio | checkpoints | no news, s |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for rows in options.rows or [1_000_000, 5_000_000]:
        compare(rows, options.times)


if __name__ == "__main__":
    main()
