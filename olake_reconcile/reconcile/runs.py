"""Running a job with its stored settings, under its lease (design §7)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
from olake_reconcile.errors import Blocked, Locked, ReconcileError
from olake_reconcile.model.codec import read_destination, read_job, read_source, read_stream
from olake_reconcile.model.event import Event, Level
from olake_reconcile.model.journal import ApplyStatus, StepKind, StepStatus
from olake_reconcile.model.names import parse_pattern
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.model.stored import Stored, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.table import Owner
from olake_reconcile.reconcile.apply import recover, unfinished
from olake_reconcile.reconcile.due import reschedule
from olake_reconcile.reconcile.endpoints import open_destination, open_source
from olake_reconcile.reconcile.identity import confirm_identities
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.leases import SYNC, HeldLease, held
from olake_reconcile.reconcile.progress import RunProgress
from olake_reconcile.reconcile.runlog import RunLog
from olake_reconcile.reconcile.services import Services
from olake_reconcile.state.base import APPLY_LOCK

OnEvent = Callable[[Event], None]

_SYNCED = frozenset(StreamPhase) - {StreamPhase.REMOVED, StreamPhase.HELD, StreamPhase.QUARANTINED}


def sync_job(
    services: Services,
    project: str,
    name: str,
    trigger: Trigger,
    on_event: OnEvent,
    stop: Callable[[], bool],
    *,
    lock_timeout: float = 0,
) -> Run:
    """Run the job now with its stored settings; return the run as it ended.

    Raises `Locked` when it runs already, `Blocked` when it is paused, `ReconcileError` when it is unknown.
    """
    services.store.create()
    finish_applies(services, name)
    with held(services, f"job:{name}", SYNC, wait=lock_timeout) as lease:
        refuse_half_cleared(services, name)
        stored = services.store.read(name)
        job = runnable_job(stored, name, services.clock.now())
        _mark_lost_runs(services, name)
        run = Run(
            id=run_id(services.clock.now()),
            job=name,
            type=RunType.SYNC,
            trigger=trigger,
            status=RunStatus.RUNNING,
            started=services.clock.now(),
            holder=services.holder,
        )
        services.store.begin_run(run)
        try:
            return _run(services, project, stored, job, run, lease, on_event, stop)
        finally:
            reschedule(services, name)


def finish_applies(services: Services, job: str = "") -> Mapping[str, ReconcileError]:
    """Roll forward what a killed apply left half done: nothing may sync in between.

    Returns the jobs that could not be finished, with why; raises that for `job`. The others are not kept waiting.
    An apply that is going on is left alone: it holds the lease of each job that it clears.
    """
    if not unfinished(services):
        return {}
    try:
        with held(services, APPLY_LOCK, "finish an interrupted apply") as lock:
            failed = recover(services, lock, lambda step: None)
    except Locked:
        return {}
    if job in failed:
        raise failed[job]
    return failed


def refuse_half_cleared(services: Services, name: str) -> None:
    """Raise `Locked` when a killed apply's clear of the job waits to be finished by whoever holds the apply lock.

    The caller holds the job's lease. What it loaded now would be of the old settings, and never be cleared.
    """
    for record in services.store.applies(ApplyStatus.RUNNING):
        steps = [s for s in services.store.journal(record.id) if parse_pattern(s.subject)[0] == name]
        begun = any(s.kind is StepKind.STREAM_CLEARED for s in steps)
        stored = any(s.kind is StepKind.SETTINGS_STORED and s.status is StepStatus.DONE for s in steps)
        if begun and not stored:
            raise Locked(
                f"{name} is half cleared by apply {record.id}, which another process is finishing now",
                why="What is loaded before it is finished would be of the old settings.",
                remedy="Try again in a moment.",
            )


def runnable_job(stored: Stored, name: str, now: datetime) -> StoredJob:
    """Return the job if it may run at `now`. Raises `ReconcileError` or `Blocked`."""
    job = stored.jobs.get(name)
    if job is None:
        raise ReconcileError(
            f"no job called '{name}' was applied",
            remedy="Run `olake-reconcile apply` first, or look its name up with `olake-reconcile status`.",
        )
    if hold := job.held_at(now):
        raise Blocked(
            f"{name} is held by {hold.who}{f' ({hold.why})' if hold.why else ''}",
            why=f"until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else "",
            remedy=f"olake-reconcile resume {name}",
        )
    if not job.active:
        raise Blocked(
            f"{name} is paused: its file says `active: false`",
            remedy=f"Set `active: true` in job {name} and run `olake-reconcile apply`.",
        )
    return job


def _mark_lost_runs(services: Services, name: str) -> None:
    """We hold the lease, so a run that is still marked as running has died."""
    for run in services.store.runs(name):
        if run.status is RunStatus.RUNNING and run.type is RunType.SYNC:
            services.store.end_run(run.id, RunStatus.FAILED, services.clock.now(), "lost: its process died")


def _run(
    services: Services,
    project: str,
    stored: Stored,
    job: StoredJob,
    run: Run,
    lease: HeldLease,
    on_event: OnEvent,
    stop: Callable[[], bool],
) -> Run:
    with RunLog(services, run.id) as log, _Scratch() as scratch:
        log.write(Level.INFO, "run_started", f"{job.name}: sync started by {run.trigger.value}", job=job.name)
        record = RunProgress(services, job, run, lease, log)

        def cancelled() -> bool:
            return stop() or lease.lost.is_set() or services.store.cancel_requested(run.id)

        def emit(event: Event) -> None:
            record.take(event)
            on_event(event)

        error = ""
        try:
            request = _request(services, project, stored, job, run, scratch)
            confirm_identities(services, stored, request.source, request.destination, lease)
            services.engine.sync(request, emit, cancelled)
        except ReconcileError as failure:
            error = services.secrets.redact(str(failure))
            log.write(Level.ERROR, "run_failed", error)
        except BaseException as failure:
            # Ctrl-C, or a bug: the record must not say "running" for ever. It is raised on.
            record.end(RunStatus.FAILED, f"stopped by {type(failure).__name__}")
            raise
        return record.end(_status(record, error, stop=stop() or lease.lost.is_set()), error)


def _status(record: RunProgress, error: str, *, stop: bool) -> RunStatus:
    if error or record.any(RunStatus.FAILED):
        return RunStatus.FAILED
    if stop or record.any(RunStatus.CANCELED):
        return RunStatus.CANCELED if record.any(RunStatus.CANCELED) else RunStatus.COMPLETED
    return RunStatus.COMPLETED


def _request(
    services: Services, project: str, stored: Stored, job: StoredJob, run: Run, scratch: Path
) -> SyncRequest:
    source, destination = open_endpoints(services, stored, job)
    tasks = tuple(
        _task(services, project, job, stream)
        for _, stream in sorted(job.streams.items())
        if stream.phase in _SYNCED
    )
    return SyncRequest(
        run_id=run.id,
        source=source,
        destination=destination,
        tasks=tasks,
        threads=source.config.max_threads,
        scratch=scratch,
    )


def open_endpoints(services: Services, stored: Stored, job: StoredJob) -> tuple[OpenSource, OpenDestination]:
    """Return the job's endpoints, as applied, with their references resolved."""
    settings = read_job(job.name, job.spec)
    source = read_source(settings.source, stored.sources[settings.source].spec)
    destination = read_destination(settings.destination, stored.destinations[settings.destination].spec)
    return (
        open_source(source, services.secrets),
        open_destination(destination, services.secrets, services.root),
    )


def _task(services: Services, project: str, job: StoredJob, stream: StoredStream) -> StreamTask:
    owner = Owner(
        project=project,
        environment=services.environment,
        job=job.name,
        stream=stream.uid,
        stream_id=str(stream.id),
        generation=stream.generation,
    )
    settings = read_stream(stream.id, stream.spec)
    return StreamTask(stream=settings, place=stream.place, owner=owner, position=stream.position)


class _Scratch:
    """A folder for temporary files that goes with the run."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="olake-reconcile-"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
