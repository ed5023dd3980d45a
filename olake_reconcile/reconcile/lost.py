"""Runs whose process died: whoever looks next closes them, as often as it likes (design §7)."""

from __future__ import annotations

import shutil

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.retry import RETRYABLE
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.holder import is_dead

#: How long a run that was asked to stop gets before its process group is killed.
GRACE_SECONDS = 30

LOST = "lost: its process died"


def is_lost(run: Run) -> bool:
    """Whether the run is marked as running, and its process certainly runs no more."""
    return run.status is RunStatus.RUNNING and run.holder is not None and is_dead(run.holder)


def close_lost_runs(services: Services, job: str | None = None) -> list[Run]:
    """Close every run whose process died; return them as they ended. A clear is finished by the next apply."""
    runs = services.store.runs(job)
    return [close_lost(services, run) for run in runs if run.type is not RunType.CLEAR and is_lost(run)]


def close_lost(services: Services, run: Run) -> Run:
    """End a run of a dead process with its streams, give its lease back, remove its files.

    It is `canceled` if somebody had asked for that, else failed; a status that it has already stays.
    """
    cancelled = run.cancel_requested or run.status is RunStatus.CANCELED
    status = RunStatus.CANCELED if cancelled else RunStatus.FAILED
    why = "" if cancelled else run.error or LOST
    for outcome in run.streams:
        if outcome.status is RunStatus.RUNNING:
            ended = outcome.model_copy(update={"status": status, "error": why})
            services.store.save_outcome(run.id, ended)
    closed = services.store.end_run(
        run.id, status, services.clock.now(), why, {} if cancelled else {RETRYABLE: True}
    )
    _release(services, run)
    shutil.rmtree(services.scratch / run.id, ignore_errors=True)
    return closed


def close_dead(services: Services, order: RunOrder) -> Run | ReconcileError:
    """Return how the run of a process that has ended did end; it is closed here if the process did not do it."""
    run = services.store.run(order.run_id)
    if run is None:
        return ReconcileError(
            f"{order.job}: the run's process died before it began",
            remedy="Run it again; if that repeats itself, look for messages of the system about killed processes.",
        )
    unfinished = any(outcome.status is RunStatus.RUNNING for outcome in run.streams)
    return run if run.status.is_final and not unfinished else close_lost(services, run)


def _release(services: Services, run: Run) -> None:
    prefix = "maintenance" if run.type is RunType.MAINTENANCE else "job"
    for lease in services.store.leases():
        if lease.name == f"{prefix}:{run.job}" and lease.holder == run.holder and is_dead(lease.holder):
            services.store.release(lease)
