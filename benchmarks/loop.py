"""What the scheduler itself costs: idle, and with 300 jobs due in the same minute.

python benchmarks/loop.py [--jobs 300] [--streams 40]

The runs are simulated (they take 6 to 10 seconds of the clock and move nothing), the state store is the real one. Printed
is the processor time of the loop's own process, as a share of the time that passes: a turn a second, as the daemon makes.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from olake_reconcile.clock import ManualClock
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.project import Limits
from olake_reconcile.model.run import RunStatus
from olake_reconcile.model.stored import StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.table import TablePlace
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.notice import Notice
from olake_reconcile.reconcile.presence import Presence
from olake_reconcile.reconcile.scheduler import Scheduler
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.watched_files import WatchedFiles
from olake_reconcile.state.base import APPLY_LOCK
from olake_reconcile.state.holder import this_process
from olake_reconcile.state.store import SqlStore
from tests.schedule.launching import SimulatedLauncher

START = datetime(2026, 3, 1, 12, 59, 30, tzinfo=UTC)
LIMITS = Limits(runs=16, runs_per_source=8)
TICKS = 5  # looks at the runs that go on, for each turn


def fate(order: RunOrder, now: datetime) -> tuple[timedelta, RunStatus]:
    return timedelta(seconds=6 + int(order.job[3:]) % 5), RunStatus.COMPLETED


def a_world(folder: Path, jobs: int, streams: int) -> Services:
    """Return the ports of a workspace whose jobs are all due at the full hour."""
    store = SqlStore("sqlite:///.olake/state.db", folder)
    lease = store.acquire(APPLY_LOCK, this_process(), "benchmark", START)
    (folder / "jobs").mkdir()
    for number in range(jobs):
        name = f"job{number:03}"
        (folder / "jobs" / f"{name}.yaml").write_text(f"kind: Job\nname: {name}\n" * 50)
        spec = {
            "source": f"source{number % 10}",
            "destination": "lake",
            "schedule": "@hourly",
            "labels": {"tier": "gold"},
        }
        of_job = {}
        for table in range(streams):
            id_ = StreamId("public", f"table{table:02}")
            of_job[id_] = StoredStream(
                id=id_,
                uid=f"{number:04x}{table:04x}",
                spec={"sync_mode": "incremental", "cursor": "updated_at"},
                fingerprint="f" * 32,
                place=TablePlace(database="sales", table=f"{name}_{table}"),
                phase=StreamPhase.LIVE,
                position={"cursor": "2026-03-01T11:59:59.123456"},
            )
        store.save_job(StoredJob(name=name, uid=name, spec=spec, fingerprint="f" * 32, streams=of_job), lease)
        store.set_due(name, START.replace(hour=13, minute=0, second=0), "schedule")
    store.release(lease)
    secrets: Any = mock.Mock()
    return Services(
        root=folder,
        clock=ManualClock(START),
        secrets=secrets,
        store=store,
        engine=secrets,
        holder=this_process(),
        who="benchmark",
    )


class Meter:
    """Processor seconds of the loop's own work, not of what the simulation does for the runs."""

    def __init__(self) -> None:
        self.busy = 0.0
        self.longest = 0.0

    def __enter__(self) -> Meter:
        self._begun = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        took = time.process_time() - self._begun
        self.busy += took
        self.longest = max(self.longest, took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--streams", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        services = a_world(Path(folder), options.jobs, options.streams)
        clock = services.clock
        assert isinstance(clock, ManualClock)
        notices: list[Notice] = []
        launcher = SimulatedLauncher(replace(services), fate)
        scheduler = Scheduler(services, launcher, lambda: LIMITS, notices.append)
        presence, files = Presence(services, "loop"), WatchedFiles(services.root)
        files.take()
        gc.collect()

        def second(meter: Meter) -> None:
            """What the daemon does in a second."""
            with meter:
                presence.tell()
                scheduler.turn()
            for tick in range(TICKS):
                with meter:
                    ended = scheduler.watch()
                    if ended:
                        scheduler.turn()
                    if tick == 0 and clock.now().second % 2:
                        files.changed()
                clock.advance(timedelta(seconds=1 / TICKS))

        def measured(name: str, seconds: int) -> None:
            meter = Meter()
            for _ in range(seconds):
                second(meter)
            print(
                f"{name:30} {100 * meter.busy / seconds:5.2f} % of a core over {seconds} s, "
                f"longest piece {1000 * meter.longest:.0f} ms"
            )

        for _ in range(5):
            second(Meter())  # statements are compiled once
        measured("idle", 20)
        clock.advance(START.replace(hour=13, minute=0, second=0) - clock.now())
        meter, begun = Meter(), clock.now()
        while sum(n.action == "run_ended" for n in notices) < options.jobs:
            second(meter)
        took = (clock.now() - begun).total_seconds()
        print(
            f"{f'{options.jobs} jobs due at once':30} {100 * meter.busy / took:5.2f} % of a core over {took:.0f} s, "
            f"longest piece {1000 * meter.longest:.0f} ms, {1000 * meter.busy / options.jobs:.1f} ms per run; "
            f"at most {launcher.most} at once"
        )
        order = [n.run.started for n in notices if n.run is not None]
        print(
            f"{'runs by end':30} {Counter(n.action for n in notices)}; first began {min(order):%H:%M:%S}, last {max(order):%H:%M:%S}"
        )


if __name__ == "__main__":
    main()
