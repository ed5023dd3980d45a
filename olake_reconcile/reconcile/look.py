"""Reading what `status` shows, in a handful of queries whatever the number of jobs."""

from __future__ import annotations

from collections.abc import Collection

from olake_reconcile.model.run import Run, RunQuery, RunStatus
from olake_reconcile.model.stored import Stored
from olake_reconcile.reconcile.lost import as_it_is
from olake_reconcile.reconcile.overview import History, JobOverview, overview
from olake_reconcile.reconcile.services import Services


def look(services: Services, declared: Collection[str] | None, job: str | None = None) -> list[JobOverview]:
    """Return the jobs as they are now, trouble first; only `job` if one is given."""
    return look_at(services, services.store.read(job), declared)


def look_at(services: Services, stored: Stored, declared: Collection[str] | None) -> list[JobOverview]:
    """Return the jobs of `stored`, which was read just now, trouble first."""
    return overview(stored, _history(services, stored), declared, services.clock.now())


def _history(services: Services, stored: Stored) -> History:
    store = services.store
    going_on = [as_it_is(run) for run in store.unfinished_runs()]
    lost = {run.id: run for run in going_on if run.status.is_final}
    latest = {name: lost.get(run.id, run) for name, run in store.latest_runs().items()}
    unfinished: dict[str, Run] = {}
    for run in going_on:
        if run.id in lost:
            continue
        # The one that runs comes before one that waits behind it.
        if run.job not in unfinished or unfinished[run.job].status is RunStatus.QUEUED:
            unfinished[run.job] = run
    ended = {name: run for name, run in latest.items() if run.status.is_final}
    for name in (latest.keys() & stored.jobs.keys()) - ended.keys():
        if (before := _last_ended(services, name)) is not None:
            ended[name] = before
    return History(
        latest=latest, good=store.latest_runs(RunStatus.COMPLETED), unfinished=unfinished, ended=ended
    )


def _last_ended(services: Services, job: str) -> Run | None:
    runs = services.store.find_runs(RunQuery(job=job, limit=5))
    found = next((run for run in map(as_it_is, runs) if run.status.is_final), None)
    return found.model_copy(update={"streams": ()}) if found else None
