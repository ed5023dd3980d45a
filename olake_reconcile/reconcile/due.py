"""When a job runs next: kept in the store, so that a restart neither skips nor bursts (design §7).

A due time is moved on when it is served, to the first one after that moment: those that passed coalesce into the run
that is queued. So the end of a run moves nothing, but for one by hand, which serves what was owed when it began.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

from olake_reconcile.model.codec import read_job
from olake_reconcile.model.job import Job
from olake_reconcile.model.queue import Serving
from olake_reconcile.model.run import Run
from olake_reconcile.model.schedule import due_times, jittered, next_due
from olake_reconcile.model.stored import StoredJob
from olake_reconcile.reconcile.services import Services

SCHEDULED = "schedule"
STOPPED = "its run was stopped with the loop"
FOR_WINDOW = "its windows let it sync then"
BY_APPLY = "apply"  # a rebuilt job is due at once


def next_run(job: Job, uid: str, after: datetime) -> datetime | None:
    """Return the first moment after `after` at which the job's schedule, jitter included, lets it run; None for never."""
    if not job.active or job.schedule is None:
        return None
    zone = ZoneInfo(job.timezone)
    if not job.jitter:
        return next_due(job.schedule, after, zone)
    dues = due_times(job.schedule, after - timedelta(seconds=job.jitter), zone)
    for due, following in pairwise(chain(dues, (None,))):
        if due is not None and (moved := jittered(due, following, job.jitter, uid)) > after:
            return moved
    return None


def next_run_of(stored: StoredJob, after: datetime) -> datetime | None:
    """Return the first moment after `after` at which the stored job's schedule lets it run; None for never."""
    return next_run(read_job(stored.name, stored.spec), stored.uid, after)


def reschedule(services: Services, name: str) -> None:
    """Set the job's next run by its schedule, counted from now: its settings are new.

    None when it is inactive or by hand only.
    """
    stored = services.store.read(name).jobs.get(name)
    if stored is None:
        return
    due = next_run_of(stored, services.clock.now())
    services.store.set_due(name, due, SCHEDULED if due else "")


def pass_served(services: Services, run: Run) -> None:
    """Move the job's due time on if it had come when `run` began: that run served it, whoever started it."""
    stored = services.store.read(run.job).jobs.get(run.job)
    if stored is None or stored.due is None or stored.due > run.started:
        return
    then = next_run_of(stored, run.started)
    services.store.serve([Serving(job=run.job, due=stored.due, then=then, reason=SCHEDULED if then else "")])
