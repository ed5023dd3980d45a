"""Cancelling a job's running sync from any shell that reaches the state (design §7)."""

from __future__ import annotations

import threading

from olake_reconcile.errors import Blocked, ReconcileError
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.leases import is_alive
from olake_reconcile.reconcile.services import Services

# 10 s normally, a minute at most; then the caller is told instead of kept waiting.
PATIENCE_SECONDS = 90
_POLL_SECONDS = 0.1


def cancel_job(services: Services, job: str) -> Run | None:
    """Ask the job's running sync to stop, and wait until it has; return how it ended, None when nothing ran.

    Whichever of finishing and cancelling comes first names the status. Raises `Blocked` for a running clear.
    """
    running = [r for r in services.store.runs(job) if r.status is RunStatus.RUNNING]
    for run in running:
        if run.type is RunType.CLEAR:
            raise Blocked(
                f"{job} is clearing its destination (run {run.id}), and a clear cannot be cancelled",
                why="A table that is half cleared would be neither the old one nor an empty one.",
                remedy="Wait until it is done: it is followed by `olake-reconcile history`.",
            )
    if not running:
        return None
    run = running[0]
    services.store.request_cancel(run.id)
    return _wait(services, run)


def _wait(services: Services, run: Run) -> Run:
    deadline = services.clock.monotonic() + PATIENCE_SECONDS
    while True:
        now = services.store.run(run.id)
        if now is None or now.status.is_final:
            return now or run
        if not is_alive(services, f"job:{run.job}"):
            lost = "lost: its process died"
            return services.store.end_run(run.id, RunStatus.FAILED, services.clock.now(), lost)
        if services.clock.monotonic() > deadline:
            raise ReconcileError(
                f"run {run.id} was asked to stop and has not stopped after {PATIENCE_SECONDS} s",
                remedy="It stops at its next safe point; look again with `olake-reconcile status`.",
            )
        services.clock.wait(_POLL_SECONDS, threading.Event())
