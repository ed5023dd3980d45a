"""Runs whose process died: whoever looks next closes them, as often as it likes (design §7)."""

from __future__ import annotations

import shutil
from datetime import datetime

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.retry import RETRYABLE
from olake_reconcile.model.run import Run, RunStatus, RunType, StreamOutcome
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.taking import taken
from olake_reconcile.state.holder import is_dead

#: How long a run that was asked to stop gets before its process group is killed.
GRACE_SECONDS = 30

LOST = "lost: its process died"
NOT_BEGUN = "not begun: the run's process died before"


def is_lost(run: Run) -> bool:
    """Whether the run is marked as running, and its process certainly runs no more."""
    return run.status is RunStatus.RUNNING and run.holder is not None and is_dead(run.holder)


def close_lost_runs(services: Services, job: str | None = None) -> list[Run]:
    """Close every run whose process died; return them as they ended. A clear is finished by the next apply."""
    runs = services.store.runs(job)
    return [close_lost(services, run) for run in runs if run.type is not RunType.CLEAR and is_lost(run)]


def close_lost(services: Services, run: Run, ended: datetime | None = None) -> Run:
    """End a run of a dead process with its streams, give its lease back, remove its files.

    It ended at its last sign of life, unless somebody saw it end.

    It is `canceled` if somebody had asked for that, else failed; a status that it has already stays.
    """
    cancelled = run.cancel_requested or run.status is RunStatus.CANCELED
    status = RunStatus.CANCELED if cancelled else RunStatus.FAILED
    why = "" if cancelled else run.error or LOST
    for outcome in run.streams:
        if outcome.status is RunStatus.RUNNING:
            services.store.save_outcome(run.id, _lost(outcome, status, why))
    for stream in _not_begun(services, run):
        untouched = StreamOutcome(stream=stream, status=status, error="" if cancelled else NOT_BEGUN)
        services.store.save_outcome(run.id, untouched)
    closed = services.store.end_run(
        run.id, status, ended or _last_sign(run), why, {} if cancelled else {RETRYABLE: True}
    )
    _release(services, run)
    shutil.rmtree(services.scratch / run.id, ignore_errors=True)
    return closed


def as_it_is(run: Run) -> Run:
    """Return the run as people should see it: one whose process died has failed, though nobody has closed it yet."""
    if not is_lost(run):
        return run
    status, why = (RunStatus.CANCELED, "") if run.cancel_requested else (RunStatus.FAILED, LOST)
    streams = tuple(_lost(o, status, why) if o.status is RunStatus.RUNNING else o for o in run.streams)
    update = {"status": status, "error": why, "streams": streams, "ended": _last_sign(run)}
    return run.model_copy(update=update)


def _last_sign(run: Run) -> datetime:
    return max((o.told for o in run.streams if o.told), default=run.started)


def _lost(outcome: StreamOutcome, status: RunStatus, why: str) -> StreamOutcome:
    """When its process died nobody knows: what it told last is the latest moment that is certain."""
    at = outcome.told or outcome.started
    ended = outcome.stopped(status, at) if at else outcome.model_copy(update={"status": status})
    return ended.model_copy(update={"error": why})


def _not_begun(services: Services, run: Run) -> list[StreamId]:
    """Return the streams that the run would have come to."""
    job = services.store.read(run.job).jobs.get(run.job)
    if job is None or run.type is not RunType.SYNC:
        return []
    told = {outcome.stream for outcome in run.streams}
    return [stream.id for stream in taken(services, job, run) if stream.id not in told]


def close_dead(services: Services, order: RunOrder) -> Run | ReconcileError:
    """Return how the run of a process that has ended did end; it is closed here if the process did not do it."""
    run = services.store.run(order.run_id)
    if run is None:
        return ReconcileError(
            f"{order.job}: the run's process died before it began",
            remedy="Run it again; if that repeats itself, look for messages of the system about killed processes.",
        )
    unfinished = any(outcome.status is RunStatus.RUNNING for outcome in run.streams)
    return run if run.status.is_final and not unfinished else close_lost(services, run, services.clock.now())


def _release(services: Services, run: Run) -> None:
    prefix = "maintenance" if run.type is RunType.MAINTENANCE else "job"
    for lease in services.store.leases():
        if lease.name == f"{prefix}:{run.job}" and lease.holder == run.holder and is_dead(lease.holder):
            services.store.release(lease)
