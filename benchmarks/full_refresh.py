"""PostgreSQL into Iceberg beside DuckDB's own `COPY (FROM postgres table) TO parquet`, from the same server.

    .venv/bin/python benchmarks/full_refresh.py [--rows 1000000 --rows 5000000] [--times 5]

The two are interleaved, each in a fresh process, and timed from after the imports (about a second, which a run of the
product inherits from its warm parent) to the end: connecting, reading, writing and, for ours, planning the chunks, guarding
every value and committing the table. The ratio is that of the medians. CPU and memory are the whole process's, imports
included; the server's CPU is not in them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent / "demo"), str(Path(__file__).parent.parent)]

THREADS = 2
TABLE = """
CREATE UNLOGGED TABLE mixed AS SELECT
  g::bigint AS id, (g::bigint * 7919 % 100003)::int AS quantity, (g % 1000)::smallint AS kind,
  ((g::bigint * 31 % 1000003)::numeric / 100)::numeric(12,2) AS price, (g::numeric * 1.2345678)::numeric(20,6) AS amount,
  g * 0.37::float8 AS weight, g % 3 = 0 AS active, 'customer ' || md5(g::text) AS name,
  date '2015-01-01' + (g % 3650)::int AS day, timestamp '2020-01-01' + g * interval '1.5 second' AS seen,
  timestamptz '2020-01-01 00:00Z' + g * interval '2.25 second' AS changed, md5(g::text)::uuid AS token,
  jsonb_build_object('k', g % 100, 't', 'x' || g) AS extra,
  CASE WHEN g % 10 <> 0 THEN ('code-' || g % 5000)::varchar(40) END AS code
FROM generate_series(1, {rows}) g;
ALTER TABLE mixed ADD PRIMARY KEY (id);
VACUUM ANALYZE mixed;
"""


def ours(server: dict[str, Any], folder: Path) -> int:
    """Load the table through the engine, exactly as a run does."""
    from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
    from olake_reconcile.engine.embedded import EmbeddedEngine
    from olake_reconcile.model.config import IcebergConfig, PostgresConfig
    from olake_reconcile.model.event import Event, StreamCommitted
    from olake_reconcile.model.names import StreamId
    from olake_reconcile.model.stream import Stream, SyncMode
    from olake_reconcile.model.table import Owner, TablePlace

    scratch = folder / "scratch"
    scratch.mkdir()
    catalog = IcebergConfig(
        catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="warehouse"
    )
    stream = Stream(
        id=StreamId("public", "mixed"),
        sync_mode=SyncMode.FULL_REFRESH,
        destination_database="lake",
        destination_table="mixed",
    )
    owner = Owner(project="benchmark", environment="", job="job", stream="mixed", generation=1)
    events: list[Event] = []
    EmbeddedEngine().sync(
        SyncRequest(
            run_id="run",
            source=OpenSource(name="shop", config=PostgresConfig.model_validate(server)),
            destination=OpenDestination(name="lake", config=catalog, base=folder),
            tasks=(StreamTask(stream=stream, place=TablePlace(database="lake", table="mixed"), owner=owner),),
            threads=THREADS,
            scratch=scratch,
        ),
        events.append,
        lambda: False,
    )
    last = events[-1]
    assert isinstance(last, StreamCommitted), last
    return last.rows


def duckdb_copy(server: dict[str, Any], folder: Path) -> int:
    """Copy the table as DuckDB does by itself: no guards, no metadata columns, no snapshot of ours, no catalog."""
    import duckdb

    from olake_reconcile.sources.postgres.extension import load_extension

    connection = duckdb.connect(config={"threads": THREADS, "memory_limit": "1GB"})
    load_extension(connection, "postgres_scanner")
    connection.execute(
        "CREATE SECRET login (TYPE postgres, HOST '{host}', PORT {port}, USER '{username}', PASSWORD '{password}', "
        "DATABASE '{database}')".format(**server)
    )
    connection.execute("ATTACH '' AS source (TYPE postgres, SECRET login, READ_ONLY)")
    row = connection.execute(
        f"COPY (FROM source.public.mixed) TO '{folder}/mixed.parquet' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchone()
    assert row is not None
    return int(row[0])


CONTENDERS: dict[str, Callable[[dict[str, Any], Path], int]] = {"ours": ours, "duckdb": duckdb_copy}


def preload() -> None:
    """Import what either needs: a run starts from a parent that has done so."""
    import duckdb  # noqa: F401

    import olake_reconcile.engine.full_refresh  # noqa: F401


def measure(contender: str) -> None:
    """Run one contender in this process and print what it took."""
    server = json.load(sys.stdin)
    with TemporaryDirectory() as folder:
        preload()
        began = time.perf_counter()
        rows = CONTENDERS[contender](server, Path(folder))
        seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "rows": rows,
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(result))


def compare(rows: int, times: int) -> None:
    """Measure both `times` times over a table of `rows`, and print a line of the table in README.md for each."""
    import psycopg
    from local_postgres import LocalPostgres

    with LocalPostgres(settings={"shared_buffers": "256MB"}) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            for statement in TABLE.format(rows=rows).strip().split(";\n"):
                connection.execute(statement.rstrip(";"))
        config = {
            "host": str(server.socket_folder),
            "port": server.port,
            "database": "postgres",
            "username": server.user,
            "password": server.password,
        }
        results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for turn in range(times + 1):
            for name in CONTENDERS:
                done = subprocess.run(
                    [sys.executable, __file__, "--measure", name],
                    input=json.dumps(config),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    sys.exit(done.stderr)
                result = json.loads(done.stdout)
                assert result["rows"] == rows
                if turn:  # the first turn warms the caches of both
                    results[name].append(result)
    report(rows, results)


def report(rows: int, results: dict[str, list[dict[str, float]]]) -> None:
    """Print medians, spread and ratio."""
    median = {name: statistics.median(r["seconds"] for r in runs) for name, runs in results.items()}
    for name, runs in results.items():
        seconds = [r["seconds"] for r in runs]
        cpu = statistics.median(r["cpu"] for r in runs)
        peak = max(r["peak_mb"] for r in runs)
        print(
            f"| {rows:,} | {name} | {median[name]:.2f} ({min(seconds):.2f}-{max(seconds):.2f}) | {rows / median[name]:,.0f} "
            f"| {median['duckdb'] / median[name]:.2f} | {peak:.0f} | {rows / cpu:,.0f} |",
            flush=True,
        )


def main() -> None:
    """Compare for each table size, or measure one contender when called by ourselves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    print("| rows | contender | seconds: median (range) | rows/s | ratio | peak MB | rows/CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for rows in options.rows or [1_000_000, 5_000_000]:
        compare(rows, options.times)


if __name__ == "__main__":
    main()
