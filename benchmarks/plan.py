"""Time `apply` and `plan` over 500 jobs × 40 streams, beside octoDNS's dry run of 500 zones × 40 records.

Whole processes, interpreter start included; medians of `--times` interleaved rounds. octoDNS is left out when it is not
installed. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

PROJECT = """\
kind: Project
name: big
uid: 7f3c0d9e
job_defaults: {source: shop, destination: lake}
---
kind: Source
name: shop
type: postgres
config: {host: 127.0.0.1, database: shop, username: olake, password: "${env:SHOP_PASSWORD}"}
---
kind: Destination
name: lake
type: iceberg
config: {catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}
"""
CONFIG = """\
providers:
  config: {class: octodns.provider.yaml.YamlProvider, directory: ./zones}
  target: {class: octodns.provider.yaml.YamlProvider, directory: ./target}
zones:
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.jobs, options.streams, options.times)
    print("| what | seconds: median (range) | peak MB |\n| --- | --- | --- |")
    for what, runs in found.items():
        seconds = [s for s, _ in runs]
        peak = max(m for _, m in runs)
        print(
            f"| {what} | {statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f}) | {peak:.0f} |"
        )


def measure(folder: Path, jobs: int, streams: int, times: int) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    lay_out(folder / "ours", jobs, streams)
    ours = [sys.executable, "-m", "olake_reconcile", "-C", str(folder / "ours")]
    (folder / "world").mkdir()
    environment = {"OLAKE_RECONCILE_SCRIPTED_WORLD": str(folder / "world"), "SHOP_PASSWORD": "benchmark"}
    has_octodns = importlib.util.find_spec("octodns") is not None
    if has_octodns:
        lay_out_zones(folder / "octodns", jobs, streams)
    found["first apply"].append(
        timed([*ours, "apply", "--auto-approve", "--no-refresh"], folder, environment)
    )
    touched = folder / "ours" / "jobs" / "job_0007.yaml"
    before = touched.read_text()
    for number in range(times):
        found["validate"].append(timed([*ours, "validate"], folder, environment))
        found["plan, nothing changed"].append(timed([*ours, "plan", "--no-refresh"], folder, environment))
        shutil.rmtree(folder / "ours" / ".olake" / "cache")
        found["plan, cold: nothing is remembered"].append(
            timed([*ours, "plan", "--no-refresh"], folder, environment)
        )
        touched.write_text(before.replace("day(", "month(" if number % 2 else "year("))
        found["plan, one file touched"].append(timed([*ours, "plan", "--no-refresh"], folder, environment))
        touched.write_text(before)
        if has_octodns:
            command = [sys.executable, "-m", "octodns.cmds.sync", "--config-file", "config.yaml"]
            found["octoDNS dry run"].append(timed(command, folder / "octodns", {}))
    return found


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run the command; return its seconds and its own peak memory in MB."""
    errors = folder / "stderr"
    started = time.perf_counter()
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{command[-3:]} failed: {errors.read_text()[-2000:]}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def lay_out(root: Path, jobs: int, streams: int) -> None:
    (root / "jobs").mkdir(parents=True)
    (root / "olake.yaml").write_text(PROJECT)
    for job in range(jobs):
        lines = [
            f'kind: Job\nname: job_{job:04d}\nschedule: "@hourly"\n'
            f"stream_defaults: {{sync_mode: full_refresh, destination_database: db_{job}}}\nstreams:\n"
        ]
        lines += [
            f"  public.t_{job}_{stream}:\n    partition_by: [day(created_at)]\n"
            f"    filter: status != 'draft' and region in ('a', 'b{stream}')\n"
            f"    columns: {{exclude: [secret_{stream}]}}\n"
            for stream in range(streams)
        ]
        (root / "jobs" / f"job_{job:04d}.yaml").write_text("".join(lines))


def lay_out_zones(root: Path, zones: int, records: int) -> None:
    for folder in ("zones", "target"):
        (root / folder).mkdir(parents=True)
        for zone in range(zones):
            lines = [f"r{n:03d}:\n  type: A\n  value: 10.0.{zone % 250}.{n + 1}\n" for n in range(records)]
            (root / folder / f"z{zone}.example.yaml").write_text("---\n" + "".join(lines))
    names = "".join(
        f"  z{zone}.example.: {{sources: [config], targets: [target]}}\n" for zone in range(zones)
    )
    (root / "config.yaml").write_text(CONFIG + names)


if __name__ == "__main__":
    main()
