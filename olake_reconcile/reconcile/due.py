"""When a job runs next: kept in the store, so that a restart neither skips nor bursts (design §7)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from olake_reconcile.model.codec import read_job
from olake_reconcile.model.schedule import next_due
from olake_reconcile.reconcile.services import Services


def reschedule(services: Services, name: str) -> None:
    """Set the job's next run by its schedule, counted from now: missed runs coalesce into none.

    None when it is inactive or by hand only.
    """
    stored = services.store.read(name).jobs.get(name)
    if stored is None:
        return
    job = read_job(name, stored.spec)
    due = None
    if job.active and job.schedule:
        due = next_due(job.schedule, services.clock.now(), ZoneInfo(job.timezone))
    services.store.set_due(name, due, "schedule" if due else "")
