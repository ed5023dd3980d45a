"""A day of the loop, compressed: syncs that find nothing new, and a loop that stays as small as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median

import pytest
from lab import PLACE_DATABASE, Lab

from olake_reconcile.clock import SystemClock
from olake_reconcile.model.run import RunStatus
from olake_reconcile.state.store import SqlStore

DAY = 24 * 60  # a run a minute
WARM = 60
SAMPLE = 20  # runs between two looks

PROJECT = """\
kind: Project
name: soak
uid: 7f3c0d9e
limits: {{runs: 2, runs_per_source: 2}}
retention: {{runs: 100}}
---
kind: Source
name: shop
type: postgres
config: {{host: "{host}", port: {port}, database: {database}, username: {user}, password: "${{env:SOAK_PASSWORD}}"}}
---
kind: Destination
name: lake
type: iceberg
config: {{catalog_type: jdbc, jdbc_url: "jdbc:sqlite:warehouse/catalog.db", iceberg_s3_path: warehouse}}
"""
JOB = """\
---
kind: Job
name: job{number}
source: shop
destination: lake
schedule: every 1s
streams:
  public.t{number}: {{sync_mode: incremental, cursor: id, destination_database: {place}}}
"""


def sizes(pid: int) -> tuple[int, int]:
    """Return the resident KiB and the open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))


def nursery(pid: int) -> int:
    """Return the process from which the loop's runs are forked."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if "forkserver" in Path(f"/proc/{child}/cmdline").read_text():
            return int(child)
    raise AssertionError("the loop has no nursery")


@pytest.mark.soak
def test_a_day_of_syncs_that_find_nothing_leaves_the_loop_and_the_tables_as_they_were(lab: Lab) -> None:
    project = PROJECT.format(
        host=lab.server.host, port=lab.server.port, database=lab.database, user=lab.server.user
    )
    if "retention" not in Path("docs/reference/workspace.md").read_text():
        project = project.replace("retention: {runs: 100}\n", "")
    (lab.folder / "jobs").mkdir()
    for number in range(3):
        lab.sql(
            f"CREATE TABLE t{number} (id bigint PRIMARY KEY, v text)",
            f"INSERT INTO t{number} SELECT n, 'v' || n FROM generate_series(1, 1000) n",
        )
    (lab.folder / "olake.yaml").write_text(project)
    jobs = "".join(JOB.format(number=n, place=PLACE_DATABASE) for n in range(3))
    (lab.folder / "jobs" / "all.yaml").write_text(jobs)
    environment = {**os.environ, "SOAK_PASSWORD": lab.server.password or "none"}
    store = SqlStore("sqlite:///.olake/state.db", lab.folder)
    with (lab.folder / "loop.log").open("w") as log:
        loop = subprocess.Popen(
            [sys.executable, "-m", "olake_reconcile", "-C", str(lab.folder), "run"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            samples = watch(lab, loop)
        finally:
            loop.send_signal(signal.SIGTERM)
            code = loop.wait(120)
    assert code == 0
    ended = [run for run in store.runs(limit=100) if run.status.is_final]
    assert {run.status for run in ended[5:]} == {RunStatus.COMPLETED}
    assert len(lab.table("t0").snapshots()) == 1
    third = len(samples) // 3
    for which, slack in (("loop", (4_000, 3)), ("nursery", (4_000, 3))):
        for index, unit in enumerate(("KiB", "files")):
            early = median(s[which][index] for s in samples[:third])
            late = median(s[which][index] for s in samples[-third:])
            print(f"{which}: {early:,.0f} -> {late:,.0f} {unit}")
            assert late <= early + slack[index], f"{which} grows: {early:,.0f} -> {late:,.0f} {unit}"


def watch(lab: Lab, loop: subprocess.Popen[bytes]) -> list[dict[str, tuple[int, int]]]:
    """Let the loop make a day's runs; return what it and its nursery took up meanwhile."""
    clock, never = SystemClock(), threading.Event()
    deadline = clock.monotonic() + 3000
    log = lab.folder / "loop.log"
    samples: list[dict[str, tuple[int, int]]] = []
    runs = 0
    while runs < int(os.environ.get("SOAK_RUNS", DAY)):
        assert loop.poll() is None, log.read_text()
        assert clock.monotonic() < deadline, log.read_text()
        clock.wait(1, never)
        before, runs = runs, log.read_text().count("completed")
        if runs > WARM and runs // SAMPLE > before // SAMPLE:
            samples.append({"loop": sizes(loop.pid), "nursery": sizes(nursery(loop.pid))})
    return samples
