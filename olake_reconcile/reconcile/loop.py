"""The loop in its simplest form: due jobs, one after the other, oldest first (design §7)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import schedule

from olake_reconcile.errors import Blocked, Locked, ReconcileError
from olake_reconcile.model.run import Run, RunStatus, Trigger
from olake_reconcile.model.stored import Stored, StoredJob
from olake_reconcile.reconcile.runs import OnEvent, finish_applies, sync_job
from olake_reconcile.reconcile.services import Services

TICK_SECONDS = 1

OnRun = Callable[[str, Run | ReconcileError], None]


def due_jobs(services: Services, stored: Stored) -> list[StoredJob]:
    """Return the jobs that are due and may run, the longest overdue first."""
    now = services.clock.now()
    due = [
        (job.due, name, job)
        for name, job in stored.jobs.items()
        if job.due is not None and job.due <= now and job.active and not job.held_at(now)
    ]
    return [job for _, _, job in sorted(due, key=lambda d: d[:2])]


def reconcile_once(
    services: Services, project: str, on_event: OnEvent, on_run: OnRun, stop: Callable[[], bool]
) -> bool:
    """Run what is due; tell whether everything went well. A job that is running already is left alone."""
    unfinished = finish_applies(services)
    for name, error in unfinished.items():
        on_run(name, error)
    fine = not unfinished
    for job in due_jobs(services, services.store.read()):
        if stop():
            break
        if job.name in unfinished:
            continue
        try:
            run = sync_job(services, project, job.name, Trigger.SCHEDULE, on_event, stop)
        except Locked as busy:
            on_run(job.name, busy)  # an overlap is skipped: its own run plans the next one
        except (Blocked, ReconcileError) as error:
            on_run(job.name, error)
            _try_later(services, job)
            fine = False
        else:
            on_run(job.name, run)
            fine = fine and run.status is RunStatus.COMPLETED
    return fine


def _try_later(services: Services, job: StoredJob) -> None:
    """A job that cannot even start must not spin: it is due again in a minute."""
    services.store.set_due(job.name, services.clock.now() + timedelta(minutes=1), "retry")


def run_forever(
    services: Services, project: str, on_event: OnEvent, on_run: OnRun, stop: threading.Event
) -> None:
    """Make a pass every second until `stop` is set; an error of one pass does not end the loop."""
    ticker = schedule.Scheduler()

    def tick() -> None:
        try:
            reconcile_once(services, project, on_event, on_run, stop.is_set)
        except ReconcileError as error:  # `schedule` would end its pass on an exception
            on_run("", error)

    ticker.every(TICK_SECONDS).seconds.do(tick)
    tick()
    while not stop.is_set():
        ticker.run_pending()
        services.clock.wait(TICK_SECONDS / 4, stop)
