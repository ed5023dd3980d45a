"""`clear JOB [STREAM…]`: a clear by hand, under the job's own lease, so that several jobs may clear at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from olake_reconcile.errors import Interrupted, Locked, ReconcileError
from olake_reconcile.model.codec import read_destination
from olake_reconcile.model.journal import ApplyStatus
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.project import Project
from olake_reconcile.model.run import RunStatus, RunType, Trigger
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.clear import clear_plan, clearable_places
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.waiting import with_waiting
from olake_reconcile.reconcile.apply import JOB_SCOPE, new_record, refuse_blocked
from olake_reconcile.reconcile.apply_job import JobApply
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.journal import Journal, OnStep
from olake_reconcile.reconcile.leases import held, is_alive
from olake_reconcile.reconcile.runs import finish_applies, refuse_half_cleared, runnable_job
from olake_reconcile.reconcile.services import Services


def plan_clear(
    services: Services, project: Project, job: str, streams: Sequence[StreamId], options: Options
) -> Plan:
    """Return what the clear would do, with the window that it would have to wait for.

    Raises `Blocked` for a paused job, `ReconcileError` for an unknown one.
    """
    stored, now = services.store.read(job), services.clock.now()
    runnable_job(stored, job, now)
    plan = clear_plan(project, stored, job, streams, _observe(services, stored, job, streams), options)
    plan = with_waiting(plan, stored, project, now)
    # Who clears by hand need not wait for a turn among rebuilds.
    return plan.model_copy(update={"waiting": tuple(w for w in plan.waiting if w.code == "window")})


def _observe(services: Services, stored: Stored, job: str, streams: Sequence[StreamId]) -> Observed:
    name = str(stored.jobs[job].spec["destination"])
    destination = read_destination(name, stored.destinations[name].spec)
    opened = open_destination(destination, services.secrets, services.root)
    places = sorted(clearable_places(stored.jobs[job], streams), key=str)
    tables = services.engine.observe(opened, places)
    return Observed(tables={(name, place): status for place, status in tables.items()})


def clear_job(
    services: Services,
    job: str,
    make: Callable[[], Plan],
    on_step: OnStep,
    stop: Callable[[], bool],
    *,
    lock_timeout: float = 0,
) -> str:
    """Do what the plan of `make` says, under the job's lease; return the run's id.

    Raises `Locked` while a sync or another clear of the job runs, `Blocked` for protected streams. Stopped between
    two streams it raises `Interrupted`, and the rest stays journaled.
    """
    services.store.create()
    finish_applies(services, job)
    _refuse_running(services, job, lock_timeout)
    with held(services, f"job:{job}", "clear", wait=lock_timeout) as lease:
        refuse_half_cleared(services, job)
        plan = make()
        refuse_blocked(plan)
        record = new_record(services, plan, sync=False, scope=JOB_SCOPE)
        services.store.begin_apply(record, lease.lease)
        journal = Journal(services, record.id, lease, on_step)
        work = JobApply(
            services,
            journal,
            lease,
            plan.project,
            job,
            plan.changes,
            sync=False,
            trigger=Trigger.MANUAL,
            stop=stop,
        )
        try:
            work.run_stopped()
        except Interrupted:
            raise
        except ReconcileError:
            if not journal.passed_no_return([str(a.address) for a in plan.changes]):
                work.abandon()
                services.store.end_apply(
                    record.id, ApplyStatus.FAILED, services.clock.now(), "failed", lease.lease
                )
            raise
        services.store.end_apply(record.id, ApplyStatus.COMPLETED, services.clock.now(), "", lease.lease)
        return work.clear_run


def _refuse_running(services: Services, job: str, lock_timeout: float) -> None:
    """A clear by hand never cancels a sync: whoever wants that says so."""
    running = [r for r in services.store.runs(job) if r.status is RunStatus.RUNNING]
    for run in running:
        if run.type is RunType.SYNC and not lock_timeout and is_alive(services, f"job:{job}"):
            raise Locked(
                f"{job} is syncing (run {run.id}, {run.holder}, since {run.started:%Y-%m-%d %H:%M} UTC)",
                why="A clear waits for nobody unless told to, and cancels nothing by itself.",
                remedy=f"olake-reconcile cancel {job}",
            )
