"""Old runs go with their logs; what people still need stays (retention in olake.yaml)."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from olake_reconcile.clock import ManualClock
from olake_reconcile.model.project import Retention
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.reconcile.retention import EVERY, prune, prune_when_due
from olake_reconcile.reconcile.runlog import log_path
from olake_reconcile.reconcile.services import Services
from tests.workspaces import PROJECT_YAML, Lab

START = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.fixture
def services(lab: Lab) -> Services:
    lab.apply()
    found: Services = lab.services(clock=ManualClock(START))
    return found


def ran(services: Services, days: float, *, status: RunStatus = RunStatus.COMPLETED) -> str:
    run = Run(
        id=f"{days:05.1f}",
        job="daily",
        type=RunType.SYNC,
        trigger=Trigger.SCHEDULE,
        status=RunStatus.RUNNING,
        started=START - timedelta(days=days),
    )
    services.store.begin_run(run)
    services.store.end_run(run.id, status, run.started)
    log(services, run.id, days)
    return run.id


def log(services: Services, run_id: str, days: float) -> Path:
    path = log_path(services.logs, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}\n")
    moment = (START - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def logs(services: Services) -> set[str]:
    return {path.stem for path in services.logs.glob("*.jsonl")}


def test_runs_older_than_the_days_and_past_the_count_go_with_their_logs(services: Services) -> None:
    ids = [ran(services, days) for days in range(8)]
    assert prune(services, Retention(runs=2, days=4)) == 3
    assert {run.id for run in services.store.runs("daily")} == set(ids[:5]) == logs(services)
    assert prune(services, Retention(runs=2, days=4)) == 0


def test_the_last_good_run_stays_however_old(services: Services) -> None:
    good = ran(services, 300)
    failures = [ran(services, days, status=RunStatus.FAILED) for days in range(20, 25)]
    prune(services, Retention(runs=1, days=1))
    assert {run.id for run in services.store.runs("daily")} == {good, failures[0]}


def test_a_log_without_a_run_goes_after_a_day_of_grace(services: Services) -> None:
    known = ran(services, 3)
    log(services, "stray", 3)
    log(services, "young", 0.5)
    prune(services, Retention())
    assert logs(services) == {known, "young"}


def test_what_a_killed_pass_left_is_finished_by_the_next(services: Services) -> None:
    ids = [ran(services, days) for days in (1, 30, 31)]
    services.store.prune_runs(START - timedelta(days=14), 1)  # killed here: before the logs
    assert logs(services) == set(ids)
    prune(services, Retention())
    assert logs(services) == {ids[0]}


def test_pruning_is_done_now_and_then_by_whoever_passes(services: Services) -> None:
    ran(services, 1)
    keep_one = Retention(runs=1, days=14)
    for _ in range(2):
        ran(services, 20 + len(services.store.runs("daily")))
    assert prune_when_due(services, keep_one) == 2
    ran(services, 40)
    assert prune_when_due(services, keep_one) == 0
    assert isinstance(services.clock, ManualClock)
    services.clock.advance(EVERY)
    assert prune_when_due(services, keep_one) == 1


def test_a_history_that_cannot_be_pruned_now_stops_nobody(lab: Lab, services: Services) -> None:
    ran(services, 1)
    ran(services, 100)
    (lab.root / ".olake/state.db").write_bytes(b"damaged" * 1000)
    assert prune_when_due(services, Retention(runs=1)) == 0


def test_retention_is_a_setting_of_the_project(lab: Lab) -> None:
    lab.write({"olake.yaml": PROJECT_YAML.replace("job_defaults", "retention: {runs: 0}\njob_defaults", 1)})
    refused = lab.run("validate")
    assert refused.code == 1
    assert "runs" in refused.err
    lab.write({"olake.yaml": PROJECT_YAML.replace("job_defaults", "retention: {runs: 7}\njob_defaults", 1)})
    lab.ok("validate")
