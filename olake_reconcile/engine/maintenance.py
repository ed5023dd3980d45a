"""Maintenance by the embedded engine: each table by itself, one after the other."""

from __future__ import annotations

import logging

from olake_reconcile.clock import Clock
from olake_reconcile.destinations.iceberg.catalog import Lakehouse, lakehouse
from olake_reconcile.destinations.iceberg.commit import Conflict
from olake_reconcile.destinations.iceberg.compact import Stopped
from olake_reconcile.destinations.iceberg.maintain import Maintained
from olake_reconcile.destinations.iceberg.maintain import maintain as maintain_table
from olake_reconcile.engine.base import Cancelled, Emit, MaintenanceRequest, MaintenanceTask
from olake_reconcile.engine.disk import is_full, out_of_space
from olake_reconcile.errors import OutcomeUnknown, ReconcileError
from olake_reconcile.model.event import Event, Level, Logged, StreamCancelled, StreamCommitted, StreamFailed

log = logging.getLogger(__name__)


def maintain(request: MaintenanceRequest, emit: Emit, cancelled: Cancelled, clock: Clock) -> None:
    """Maintain every table of `request`; each ends in exactly one event."""
    try:
        house = lakehouse(request.destination.config, request.destination.base)
    except ReconcileError as error:
        for task in request.tasks:
            emit(_failed(task, error))
        return
    for task in request.tasks:
        emit(_end(request, house, task, emit, cancelled, clock))


def _end(
    request: MaintenanceRequest,
    house: Lakehouse,
    task: MaintenanceTask,
    emit: Emit,
    cancelled: Cancelled,
    clock: Clock,
) -> Event:
    began = clock.monotonic()
    if cancelled():
        return StreamCancelled(stream=task.stream)
    try:
        done = maintain_table(
            house,
            task.place,
            task.owner,
            task.settings,
            request.run_id,
            request.scratch,
            clock.now,
            cancelled,
        )
    except Stopped:
        return StreamCancelled(stream=task.stream)
    except (Conflict, FileNotFoundError):
        return _overtaken(task)
    except ReconcileError as error:
        return _failed(task, error)
    except Exception as error:
        if is_full(error):
            return _failed(task, out_of_space(str(error)))
        # A fault of ours in one table must not keep the others of an unattended job from being maintained.
        log.exception(
            "maintenance failed unexpectedly", extra={"action": "maintenance_bug", "stream": str(task.stream)}
        )
        return StreamFailed(
            stream=task.stream,
            summary=f"unexpected {type(error).__name__}: {error}",
            remedy="This is a fault of olake-reconcile; the log has more.",
        )
    if done is not None:
        emit(Logged(level=Level.INFO, message=_words(done), stream=task.stream))
    return StreamCommitted(
        stream=task.stream,
        rows=done.compacted.rows if done else 0,
        bytes=done.compacted.bytes if done else 0,
        files=done.compacted.files_after if done else 0,
        seconds=round(clock.monotonic() - began, 3),
        snapshot=str(done.snapshot or "") if done else "",
    )


def _words(done: Maintained) -> str:
    files = done.compacted
    text = (
        f"{files.files_before} files are {files.files_after} now, {done.expired} snapshots expired, "
        f"{done.deleted} files of earlier ones deleted"
    )
    return f"{text}; more is left for the next time" if files.left else text


def _overtaken(task: MaintenanceTask) -> StreamFailed:
    """Return the end of a table that others changed, or cleared, each time: it is busy, and nothing is wrong."""
    return StreamFailed(
        stream=task.stream,
        summary=f"the table {task.place} changed again and again while it was maintained",
        why="Whoever writes rows comes first; what maintenance had committed before stays.",
        remedy="Run it again when no sync of this stream goes on.",
        retryable=True,
    )


def _failed(task: MaintenanceTask, error: ReconcileError) -> StreamFailed:
    return StreamFailed(
        stream=task.stream,
        summary=error.summary,
        why=error.why,
        remedy=error.remedy,
        retryable=error.retryable,
        unsure=isinstance(error, OutcomeUnknown),
    )
