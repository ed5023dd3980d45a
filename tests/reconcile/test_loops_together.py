"""Loops as processes: two at once, signals, and syncs by hand beside them, on real files and the real launcher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from olake_reconcile.clock import SystemClock
from olake_reconcile.model.run import Run, RunStatus
from olake_reconcile.reconcile.presence import loops
from tests.reconcile.test_loop import a_job_file
from tests.workspaces import PROJECT_YAML, Lab, a_lab

PATIENCE = 60.0
JOBS = 4


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Four jobs by hand only, applied."""
    names = [f"job{n}" for n in range(JOBS)]
    return lab_of(tmp_path, {f"jobs/{n}.yaml": a_job_file(n) for n in names}, "{runs: 2, runs_per_source: 2}")


def lab_of(folder: Path, jobs: dict[str, str], limits: str) -> Lab:
    project = PROJECT_YAML.replace("job_defaults", f"limits: {limits}\njob_defaults")
    lab = a_lab(folder, {"olake.yaml": project, **jobs})
    lab.apply()
    return lab


@contextmanager
def a_loop(lab: Lab, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "olake_reconcile", "-C", str(lab.root), *(arguments or ("run",))],
        env={**os.environ, **lab.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(true: Callable[[], object]) -> None:
    clock, never = SystemClock(), threading.Event()
    deadline = clock.monotonic() + PATIENCE
    while not true():
        assert clock.monotonic() < deadline, "it did not happen"
        clock.wait(0.05, never)


def make_due(lab: Lab, *names: str) -> None:
    for name in names:
        lab.store.set_due(name, datetime.now(UTC) - timedelta(seconds=1), "test")


def ended(lab: Lab) -> list[Run]:
    return [run for run in lab.store.runs(limit=1000) if run.status.is_final]


def test_two_loops_and_syncs_by_hand_run_each_due_time_once_and_keep_the_limits(lab: Lab) -> None:
    names = [f"job{n}" for n in range(JOBS)]
    with a_loop(lab) as first, a_loop(lab) as second:
        until(lambda: len(loops(lab.services())) == 2)
        pids = {lease.holder.pid for lease in loops(lab.services())}
        assert pids == {first.pid, second.pid}
        dues = Counter[str]()
        for _ in range(3):
            make_due(lab, *names)
            dues.update(names)
            by_hand = lab.run("sync", "job1")
            assert by_hand.code in (0, 5), by_hand.text
            until(lambda: all(job.due is None for job in lab.store.read().jobs.values()))
            until(lambda: not lab.store.unfinished_runs())
    runs = ended(lab)
    scheduled = Counter(run.job for run in runs if run.due is not None)
    assert scheduled["job0"] == scheduled["job2"] == scheduled["job3"] == 3
    assert scheduled["job1"] <= 3, "what a sync by hand served, or met, is not run again"
    assert len({(run.job, run.due) for run in runs if run.due}) == scheduled.total()
    assert {run.status for run in runs} == {RunStatus.COMPLETED}
    of_loops = [run for run in runs if run.due is not None]
    for run in of_loops:
        beside = [r for r in of_loops if r.started <= run.started < (r.ended or r.started)]
        assert len(beside) <= 2
    for job in names:
        spans = sorted((r.started, r.ended) for r in runs if r.job == job and r.ended)
        assert all(a[1] <= b[0] for a, b in pairwise(spans)), "two at once of one job"


def test_a_loop_that_is_asked_to_stop_stops_its_runs_and_leaves_the_queue(tmp_path: Path) -> None:
    jobs = {f"jobs/{n}.yaml": a_job_file(n) for n in ("a", "b")}
    lab = lab_of(tmp_path, jobs, "{runs: 1}")
    lab.world(held_up=["public.items"])
    make_due(lab, "a", "b")
    with a_loop(lab) as loop:
        until(lambda: any(r.status is RunStatus.RUNNING for r in lab.store.runs()))
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(PATIENCE) == 0
    states = {run.job: run.status for run in lab.store.runs()}
    assert states == {"a": RunStatus.CANCELED, "b": RunStatus.QUEUED}
    assert not loops(lab.services())
    assert "its run was stopped with the loop" in lab.store.read().jobs["a"].due_reason
    lab.world(held_up=[])
    with a_loop(lab, "reconcile") as one_pass:
        assert one_pass.wait(PATIENCE) == 0
    latest = {run.job: run.status for run in reversed(lab.store.runs())}
    assert latest == {"a": RunStatus.COMPLETED, "b": RunStatus.COMPLETED}


def test_a_killed_loop_is_followed_by_another_that_closes_its_runs(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {"jobs/a.yaml": a_job_file("a")}, "{runs: 1}")
    lab.world(held_up=["public.items"])
    make_due(lab, "a")
    with a_loop(lab) as loop:
        until(lambda: any(r.status is RunStatus.RUNNING for r in lab.store.runs()))
        loop.kill()
        loop.wait(PATIENCE)
    until(lambda: not any(r.status is RunStatus.RUNNING for r in lab.store.runs()))
    lab.world(held_up=[])
    make_due(lab, "a")
    with a_loop(lab, "reconcile") as one_pass:
        assert one_pass.wait(PATIENCE) == 0
    assert lab.store.runs()[0].status is RunStatus.COMPLETED
