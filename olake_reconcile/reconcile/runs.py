"""Running a job with its stored settings, under its lease (design §7)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from olake_reconcile.engine.base import OpenDestination, OpenSource, StreamTask, SyncRequest
from olake_reconcile.errors import Blocked, Locked, ReconcileError
from olake_reconcile.model.codec import read_destination, read_job, read_source, read_stream
from olake_reconcile.model.event import Event, Level, Logged
from olake_reconcile.model.journal import ApplyStatus, StepKind, StepStatus
from olake_reconcile.model.names import parse_pattern
from olake_reconcile.model.retry import RETRYABLE
from olake_reconcile.model.run import Run, RunStatus, RunType, Trigger
from olake_reconcile.model.stored import Stored, StoredJob, StoredStream
from olake_reconcile.model.table import Owner
from olake_reconcile.reconcile.apply import recover, unfinished
from olake_reconcile.reconcile.brakes import Brakes
from olake_reconcile.reconcile.due import pass_served
from olake_reconcile.reconcile.endpoints import open_destination, open_source
from olake_reconcile.reconcile.identity import confirm_identities
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.launch import RunOrder
from olake_reconcile.reconcile.leases import SYNC, HeldLease, held, in_the_way
from olake_reconcile.reconcile.lost import close_lost_runs
from olake_reconcile.reconcile.progress import RunProgress
from olake_reconcile.reconcile.runlog import RunLog
from olake_reconcile.reconcile.services import Services
from olake_reconcile.reconcile.taking import taken
from olake_reconcile.state.base import APPLY_LOCK

OnEvent = Callable[[Event], None]


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
    """Run the job now, in this process; see `make_run`."""
    order = new_order(services, name, trigger, lock_timeout=lock_timeout)
    return make_run(services, project, order, on_event, stop)


def new_order(
    services: Services, job: str, trigger: Trigger, *, attempt: int = 1, lock_timeout: float = 0
) -> RunOrder:
    """Return the order for a run of `job` that begins now."""
    return RunOrder(
        run_id=run_id(services.clock.now()),
        job=job,
        trigger=trigger,
        attempt=attempt,
        lock_timeout=lock_timeout,
    )


def queue_run(services: Services, job: str) -> tuple[Run, bool]:
    """Queue a run of `job` for the loop, unless one waits already; return the run that waits, and whether it is new.

    Raises `Blocked` when the job is paused, `ReconcileError` when it is unknown.
    """
    now = services.clock.now()
    runnable_job(services.store.read(job), job, now)
    for waiting in services.store.unfinished_runs():
        if waiting.job == job and waiting.status is RunStatus.QUEUED:
            return waiting, False
    run = Run(
        id=run_id(now),
        job=job,
        type=RunType.SYNC,
        trigger=Trigger.MANUAL,
        status=RunStatus.QUEUED,
        started=now,
        queued_at=now,
    )
    services.store.begin_run(run)
    return run, True


def make_run(
    services: Services,
    project: str,
    order: RunOrder,
    on_event: OnEvent,
    stop: Callable[[], bool],
    *,
    orphaned: Callable[[], bool] = lambda: False,
    last_resort: Callable[[], None] | None = None,
) -> Run:
    """Make a run of a job with its stored settings, in this process; return the run as it ended.

    `stop` and `orphaned` are asked often, and end it at its next safe point; `last_resort` ends this process when that
    does not come within the grace. Raises `Locked` when the job runs already, `Blocked` when it is paused,
    `Interrupted` when the run was cancelled while it was queued, `ReconcileError` when the job is unknown.
    """
    name = order.job
    services.store.create()
    finish_applies(services, name)
    if order.lock_timeout and (found := in_the_way(services, f"job:{name}")):
        text = f"waits for {found}, {order.lock_timeout:.0f} s at most"
        on_event(Logged(level=Level.WARNING, message=text))
    with held(services, f"job:{name}", SYNC, wait=order.lock_timeout) as lease:
        refuse_half_cleared(services, name)
        stored = services.store.read(name)
        job = runnable_job(stored, name, services.clock.now())
        close_lost_runs(services, name)
        run = Run(
            id=order.run_id,
            job=name,
            type=RunType.SYNC,
            trigger=order.trigger,
            status=RunStatus.RUNNING,
            started=services.clock.now(),
            holder=services.holder,
            attempt=order.attempt,
        )
        timeout = read_job(name, job.spec).timeout
        brakes = Brakes(services, run.id, lease, stop, orphaned, timeout)
        services.store.begin_run(run)
        try:
            with brakes.enforced(last_resort):
                return _run(services, project, stored, job, run, lease, on_event, brakes)
        finally:
            pass_served(services, run)


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


def _run(
    services: Services,
    project: str,
    stored: Stored,
    job: StoredJob,
    run: Run,
    lease: HeldLease,
    on_event: OnEvent,
    brakes: Brakes,
) -> Run:
    with RunLog(services, run.id) as log, _scratch(services, run.id) as scratch:
        log.write(Level.INFO, "run_started", f"{job.name}: sync started by {run.trigger.value}", job=job.name)
        record = RunProgress(services, job, run, lease, log)

        def emit(event: Event) -> None:
            record.take(event)
            on_event(event)

        try:
            request = _request(services, project, stored, job, run, scratch)
            if not request.tasks:
                log.write(Level.WARNING, "nothing_to_do", f"{job.name}: no stream of it is to be synced")
            confirm_identities(services, stored, request.source, request.destination, lease)
            services.engine.sync(request, emit, brakes)
        except ReconcileError as failure:
            error = services.secrets.redact(str(failure))
            log.write(Level.ERROR, "run_failed", error)
            return record.end(RunStatus.FAILED, error, _again(failure.retryable))
        except BaseException as failure:
            # Ctrl-C, or a bug: the record must not say "running" for ever. It is raised on.
            record.end(RunStatus.FAILED, f"stopped by {type(failure).__name__}")
            raise
        if record.any(RunStatus.CANCELED):
            status, error = brakes.verdict
            return record.end(status, error, _again(status is RunStatus.FAILED))
        failed = record.any(RunStatus.FAILED)
        return record.end(RunStatus.FAILED if failed else RunStatus.COMPLETED, "")


def _again(retryable: bool) -> dict[str, bool]:
    """What a run's `detail` says of trying it again."""
    return {RETRYABLE: True} if retryable else {}


def _request(
    services: Services, project: str, stored: Stored, job: StoredJob, run: Run, scratch: Path
) -> SyncRequest:
    source, destination = open_endpoints(services, stored, job)
    tasks = tuple(_task(services, project, job, stream) for stream in taken(services, job, run))
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


@contextmanager
def _scratch(services: Services, run_id: str) -> Iterator[Path]:
    """A folder for temporary files that goes with the run; of a killed one, whoever closes it removes it."""
    path = services.scratch / run_id
    path.mkdir(parents=True, mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
