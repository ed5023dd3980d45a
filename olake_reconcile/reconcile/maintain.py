"""Maintaining a job's tables: a run of its own in the history, beside the job's syncs (design §7).

It has a lease of its own: a sync of the job, and of every other, goes on meanwhile and is never kept waiting; at the table
whoever commits first wins. Positions and phases of the streams are none of its business.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from olake_reconcile.engine.base import MaintenanceRequest, MaintenanceTask
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.codec import read_destination, read_stream
from olake_reconcile.model.event import Event, Level, Logged, StreamCancelled, StreamCommitted, StreamFailed
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.run import Run, RunStatus, RunType, StreamOutcome, Trigger
from olake_reconcile.model.stored import Stored, StoredJob, StreamPhase
from olake_reconcile.model.table import Owner
from olake_reconcile.reconcile.brakes import Brakes
from olake_reconcile.reconcile.endpoints import open_destination
from olake_reconcile.reconcile.ids import run_id
from olake_reconcile.reconcile.leases import held
from olake_reconcile.reconcile.lost import close_lost_runs
from olake_reconcile.reconcile.runlog import RunLog
from olake_reconcile.reconcile.runs import OnEvent, refuse_half_cleared, runnable_job
from olake_reconcile.reconcile.services import Services

_WITHOUT_A_TABLE = frozenset({StreamPhase.PENDING, StreamPhase.REMOVED})


def maintain_job(
    services: Services,
    project: str,
    name: str,
    streams: Collection[StreamId],
    on_event: OnEvent,
    stop: Callable[[], bool],
    *,
    lock_timeout: float = 0,
) -> Run:
    """Maintain the tables of `streams`, of all with none given, in this process; return the run as it ended.

    Raises `Locked` when the job's tables are maintained already, or the job is half cleared, `Blocked` when it is paused.
    """
    services.store.create()
    with held(services, f"maintenance:{name}", "maintenance", wait=lock_timeout) as lease:
        refuse_half_cleared(services, name)
        stored = services.store.read(name)
        job = runnable_job(stored, name, services.clock.now())
        close_lost_runs(services, name)
        run = Run(
            id=run_id(services.clock.now()),
            job=name,
            type=RunType.MAINTENANCE,
            trigger=Trigger.MANUAL,
            status=RunStatus.RUNNING,
            started=services.clock.now(),
            holder=services.holder,
        )
        brakes = Brakes(services, run.id, lease, stop, lambda: False, None)
        services.store.begin_run(run)
        with RunLog(services, run.id) as log, _scratch(services, run.id) as scratch:
            record = _Record(services, run, log, on_event)
            log.write(Level.INFO, "run_started", f"{name}: maintenance started by hand", job=name)
            try:
                request = _request(services, project, stored, job, run, streams, scratch)
                services.engine.maintain(request, record.take, brakes)
            except ReconcileError as failure:
                return record.end(RunStatus.FAILED, services.secrets.redact(str(failure)))
            except BaseException as failure:
                # Ctrl-C, or a bug: the record must not say "running" for ever. It is raised on.
                record.end(RunStatus.FAILED, f"stopped by {type(failure).__name__}")
                raise
            if RunStatus.CANCELED in record.ends:
                return record.end(*brakes.verdict)
            failed = RunStatus.FAILED in record.ends
            return record.end(RunStatus.FAILED if failed else RunStatus.COMPLETED)


def _request(
    services: Services,
    project: str,
    stored: Stored,
    job: StoredJob,
    run: Run,
    streams: Collection[StreamId],
    scratch: Path,
) -> MaintenanceRequest:
    name = str(job.spec["destination"])
    destination = read_destination(name, stored.destinations[name].spec)
    tasks = tuple(
        MaintenanceTask(
            stream=stream.id,
            place=stream.place,
            owner=Owner(
                project=project,
                environment=services.environment,
                job=job.name,
                stream=stream.uid,
                stream_id=str(stream.id),
                generation=stream.generation,
            ),
            settings=read_stream(stream.id, stream.spec).maintenance,
        )
        for id_, stream in sorted(job.streams.items())
        if stream.phase not in _WITHOUT_A_TABLE and (not streams or id_ in streams)
    )
    return MaintenanceRequest(
        run_id=run.id,
        destination=open_destination(destination, services.secrets, services.root),
        tasks=tasks,
        scratch=scratch,
    )


class _Record:
    """Takes the events of a maintenance run: log, history, and whoever watches."""

    def __init__(self, services: Services, run: Run, log: RunLog, on_event: OnEvent) -> None:
        self._services = services
        self._run = run
        self._log = log
        self._on_event = on_event
        self.ends: set[RunStatus] = set()

    def take(self, event: Event) -> None:
        """Store and log what the event tells."""
        match event:
            case Logged():
                stream = str(event.stream) if event.stream else None
                self._log.write(event.level, "maintained", event.message, stream=stream)
            case StreamCommitted():
                self._ended(event.stream, RunStatus.COMPLETED, "", event)
            case StreamFailed():
                parts = (event.summary, event.why, event.remedy)
                text = self._services.secrets.redact("\n".join(p for p in parts if p))
                self._log.write(Level.ERROR, "maintenance_failed", text, stream=str(event.stream))
                self._ended(event.stream, RunStatus.FAILED, text)
            case StreamCancelled():
                self._ended(event.stream, RunStatus.CANCELED, "")
            case _:
                pass  # maintenance tells of nothing else
        self._on_event(event)

    def _ended(
        self, stream: StreamId, status: RunStatus, error: str, done: StreamCommitted | None = None
    ) -> None:
        self.ends.add(status)
        figures = {"rows": done.rows, "bytes": done.bytes, "seconds": done.seconds} if done else {}
        outcome = StreamOutcome(stream=stream, status=status, error=error)
        self._services.store.save_outcome(self._run.id, outcome.model_copy(update=figures))

    def end(self, status: RunStatus, error: str = "") -> Run:
        """Close the run; whoever named a final status first has named it."""
        run = self._services.store.end_run(self._run.id, status, self._services.clock.now(), error)
        level = Level.INFO if run.status is RunStatus.COMPLETED else Level.ERROR
        self._log.write(level, "run_ended", f"{self._run.job}: maintenance {run.status.value}")
        return run


@contextmanager
def _scratch(services: Services, run_id: str) -> Iterator[Path]:
    path = services.scratch / run_id
    path.mkdir(parents=True, mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
