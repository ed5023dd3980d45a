"""Cancelling a job's sync from any shell that reaches the state (design §7).

The flag in the store is seen by the run itself and by whoever watches it. Should the run hang and its watcher be
gone, the canceller ends the run's process group, if that is on this host.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

from olake_reconcile.errors import Blocked, ReconcileError
from olake_reconcile.model.run import Run, RunStatus, RunType
from olake_reconcile.reconcile.lost import GRACE_SECONDS, close_lost, close_lost_runs, is_lost
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.holder import is_dead, this_process

# A minute at most (design §7); then the caller is told instead of kept waiting.
PATIENCE_SECONDS = 60
_POLL_SECONDS = 0.1


def cancel_job(services: Services, job: str) -> Run | None:
    """Ask the job's sync to stop, and wait until it has; return how it ended, None when nothing ran.

    One that waits in the queue never begins. Whichever of finishing and cancelling comes first names the status.
    Raises `Blocked` for a running clear.
    """
    close_lost_runs(services, job)
    runs = [run for run in services.store.unfinished_runs() if run.job == job]
    for run in runs:
        if run.type is RunType.CLEAR:
            raise Blocked(
                f"{job} is clearing its destination (run {run.id}), and a clear cannot be cancelled",
                why="A table that is half cleared would be neither the old one nor an empty one.",
                remedy="Wait until it is done: it is followed by `olake-reconcile history`.",
            )
    # First those that wait: the next of them begins as soon as the running one has ended.
    waiting = [_take_from_queue(services, run) for run in runs if run.status is RunStatus.QUEUED]
    running = [run for run in runs if run.status is RunStatus.RUNNING]
    running += [run for run in waiting if not run.status.is_final]  # they began meanwhile
    ended = [_stop(services, run) for run in running]
    return next(iter(ended + waiting), None)


def _take_from_queue(services: Services, run: Run) -> Run:
    services.store.request_cancel(run.id)
    now = services.store.run(run.id)
    if now is not None and now.status is RunStatus.QUEUED:
        return services.store.end_run(run.id, RunStatus.CANCELED, services.clock.now())
    return now or run


def _stop(services: Services, run: Run) -> Run:
    services.store.request_cancel(run.id)
    asked = services.clock.monotonic()
    while True:
        now = services.store.run(run.id)
        if now is None or now.status.is_final:
            return now or run
        if is_lost(now):
            return close_lost(services, now)
        waited = services.clock.monotonic() - asked
        if waited > GRACE_SECONDS:
            kill_group(now)
        if waited > PATIENCE_SECONDS:
            raise ReconcileError(
                f"run {run.id} was asked to stop and has not stopped after {PATIENCE_SECONDS} s",
                why=f"It belongs to {now.holder}, which cannot be ended from here.",
                remedy="It stops at its next safe point; look again with `olake-reconcile status`.",
            )
        services.clock.wait(_POLL_SECONDS, threading.Event())


def kill_group(run: Run) -> None:
    """End the process group of a run on this host at once; its process is told by more than its pid.

    A run that another user, another host or container has is left alone.
    """
    holder, here = run.holder, this_process()
    if holder is None or (holder.host, holder.boot) != (here.host, here.boot) or is_dead(holder):
        return
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(holder.pid) == holder.pid:
            os.killpg(holder.pid, signal.SIGKILL)
