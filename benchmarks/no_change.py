"""What a sync of one incremental stream costs that finds nothing new: from the shell, and in the warm loop.

    .venv/bin/python benchmarks/no_change.py [--times 9] [--rows 100000]

A real PostgreSQL, a real Iceberg table, the real state store. *shell* is `olake-reconcile sync` from the start of its
process to its end. *loop* is what the daemon waits for: from the launch out of its nursery until the run's process has
ended. Printed are medians and ranges, the first run of each left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parent.parent / "demo"), str(Path(__file__).parent.parent)]

WORKSPACE = """\
kind: Project
name: bench
uid: 7f3c0d9e
---
kind: Source
name: shop
type: postgres
config: {{host: "{host}", port: {port}, database: postgres, username: {user}, password: "${{env:BENCH_PASSWORD}}"}}
---
kind: Destination
name: lake
type: iceberg
config: {{catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}}
"""
JOB = """\
kind: Job
name: daily
source: shop
destination: lake
streams:
  public.t: {sync_mode: incremental, cursor: at, destination_database: lake}
"""
TABLE = """
CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO t SELECT g, now() - g * interval '1 second', 'row ' || g FROM generate_series(1, {rows}) g;
CREATE INDEX ON t (at); ANALYZE t
"""


def from_the_shell(folder: Path, *arguments: str) -> float:
    """Run a command line; return the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "olake_reconcile", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began


def in_the_loop(folder: Path, times: int) -> list[float]:
    """Launch runs as the daemon does; return the seconds from each launch to its end."""
    from olake_reconcile.model.run import RunStatus, Trigger
    from olake_reconcile.reconcile.runs import new_order
    from olake_reconcile.wiring import read_offline, services_for, system_secrets, warm_launcher

    secrets = system_secrets(folder)
    project = read_offline(folder, secrets).project
    assert project is not None
    services = services_for(folder, project, secrets)
    found = []
    with closing(warm_launcher(folder, project)) as launcher:
        for _ in range(times):
            order = new_order(services, "daily", Trigger.SCHEDULE)
            began = time.perf_counter()
            launched = launcher.start(order)
            while not launched.ended():
                launched.wait(1)
                launched.events()
            found.append(time.perf_counter() - began)
            run = services.store.run(order.run_id)
            assert run is not None
            assert (run.status, run.rows) == (RunStatus.COMPLETED, 0), run
    return found


def show(what: str, seconds: list[float]) -> None:
    """Print one line of the table; the first of `seconds` warmed the caches."""
    kept = sorted(seconds[1:])
    print(f"| {what} | {statistics.median(kept):.2f} ({kept[0]:.2f}-{kept[-1]:.2f}) |", flush=True)


def main() -> None:
    """Load a table, then measure runs without news."""
    import psycopg
    from local_postgres import LocalPostgres

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with LocalPostgres() as server, TemporaryDirectory() as name:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            for statement in TABLE.format(rows=options.rows).strip().split(";"):
                connection.execute(statement)
        folder = Path(name)
        os.environ["BENCH_PASSWORD"] = server.password or "none"
        workspace = WORKSPACE.format(host=server.socket_folder, port=server.port, user=server.user)
        (folder / "olake.yaml").write_text(workspace)
        (folder / "jobs").mkdir()
        (folder / "jobs" / "daily.yaml").write_text(JOB)
        from_the_shell(folder, "apply", "--auto-approve", "--no-sync")
        from_the_shell(folder, "sync", "daily")
        print("| a sync without news | seconds: median (range) |\n| --- | --- |")
        show("from the shell", [from_the_shell(folder, "sync", "daily") for _ in range(options.times)])
        show("in the loop", in_the_loop(folder, options.times))


if __name__ == "__main__":
    main()
