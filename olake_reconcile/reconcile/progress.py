"""What a run's events mean for the state: outcomes, stream phases, the log.

While it runs its outcomes are refreshed every few seconds, so that another shell sees how far it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.event import (
    Event,
    Level,
    Logged,
    Progress,
    StreamCancelled,
    StreamCheckpoint,
    StreamCommitted,
    StreamFailed,
    StreamStarted,
)
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.pace import pace
from olake_reconcile.model.run import Run, RunStatus, StreamOutcome
from olake_reconcile.model.stored import LastLoad, StoredJob, StreamPhase
from olake_reconcile.reconcile.leases import HeldLease
from olake_reconcile.reconcile.runlog import RunLog
from olake_reconcile.reconcile.services import Services

# How often what runs is written down for others to see: a write is a few milliseconds of disk.
REFRESH_SECONDS = 2.0
# How often the log tells how far a stream is.
LOG_SECONDS = 60.0


class RunProgress:
    """Takes a run's events, from any thread. The destination has committed before the state is told."""

    def __init__(self, services: Services, job: StoredJob, run: Run, lease: HeldLease, log: RunLog) -> None:
        self._services = services
        self._job = job
        self._run = run
        self._lease = lease
        self._log = log
        self._lock = threading.Lock()
        self._outcomes: dict[StreamId, StreamOutcome] = {}
        self._first: set[StreamId] = set()
        self._untold: set[StreamId] = set()
        self._told = services.clock.monotonic()
        self._logged: dict[StreamId, float] = {}

    def any(self, status: RunStatus) -> bool:
        """Whether a stream ended so."""
        return any(o.status is status for o in self._outcomes.values())

    def take(self, event: Event) -> None:
        """Store and log what the event tells."""
        with self._lock:
            match event:
                case Logged():
                    stream = str(event.stream) if event.stream else None
                    self._log.write(event.level, "engine", event.message, stream=stream)
                case StreamStarted():
                    self._started(event)
                case Progress():
                    self._moved(event)
                case StreamCheckpoint():
                    self._checkpoint(event)
                case StreamCommitted():
                    self._committed(event)
                case StreamFailed():
                    self._failed(event)
                case StreamCancelled():
                    self._write(Level.WARNING, "stream_cancelled", event.stream, "stopped before its commit")
                    self._not_begun(event.stream)
                    self._save(self._stopped(event.stream, RunStatus.CANCELED))

    def _started(self, event: StreamStarted) -> None:
        estimate = f", about {event.rows:,} rows" if event.rows is not None else ""
        chunks = "1 chunk" if event.chunks == 1 else f"{event.chunks} chunks"
        self._write(Level.INFO, "stream_started", event.stream, f"loading {chunks}{estimate}")
        if self._job.streams[event.stream].phase is StreamPhase.PENDING:
            # Killed from here on, nobody knows whether there is a table: an edit must clear it.
            self._first.add(event.stream)
            self._phase(event.stream, StreamPhase.LOADING)
        now = self._services.clock.now()
        self._save(
            StreamOutcome(
                stream=event.stream,
                status=RunStatus.RUNNING,
                started=now,
                told=now,
                expected=event.rows,
                chunk_count=event.chunks,
                position_from=self._job.streams[event.stream].position,
            )
        )

    def _moved(self, event: Progress) -> None:
        """Keep the figures, and write all that changed down now and then: a run of 200 streams is one writer."""
        self._outcomes[event.stream] = self._so_far(
            event.stream,
            told=self._services.clock.now(),
            rows=event.rows,
            bytes=event.bytes,
            chunks=event.chunks,
        )
        self._untold.add(event.stream)
        moment = self._services.clock.monotonic()
        if moment - self._told >= REFRESH_SECONDS:
            self._told = moment
            self._refresh(sorted(self._untold))
        if moment - self._logged.setdefault(event.stream, moment) >= LOG_SECONDS:
            self._logged[event.stream] = moment
            text = pace(self._outcomes[event.stream]).words()
            self._write(Level.INFO, "stream_progress", event.stream, text)

    def _refresh(self, streams: Iterable[StreamId]) -> None:
        """Tell others how far the streams are. A store that is busy is told next time: nothing depends on it."""
        try:
            for stream in streams:
                self._services.store.save_outcome(self._run.id, self._outcomes[stream])
                self._untold.discard(stream)
        except ReconcileError as error:
            self._log.write(
                Level.WARNING, "progress_not_stored", self._services.secrets.redact(error.summary)
            )

    def _not_begun(self, stream: StreamId) -> None:
        """A first load that ended without a commit has left nothing to clear."""
        if stream in self._first:
            self._phase(stream, StreamPhase.PENDING)

    def _phase(self, stream: StreamId, phase: StreamPhase) -> None:
        self._services.store.save_progress(
            self._job.name,
            stream,
            generation=self._job.streams[stream].generation,
            phase=phase,
            position={},
            fence=self._lease.lease,
        )

    def _cannot_go_on(self, stream: StreamId, phase: StreamPhase, reason: str) -> None:
        before = self._job.streams[stream]
        self._services.store.save_progress(
            self._job.name,
            stream,
            generation=before.generation,
            phase=phase,
            phase_reason=reason,
            position=self._so_far(stream).position_to or before.position,
            fence=self._lease.lease,
        )

    def _checkpoint(self, event: StreamCheckpoint) -> None:
        # There is a table from now on: whatever happens next, an edit has something to clear.
        self._first.discard(event.stream)
        stream = self._job.streams[event.stream]
        self._services.store.save_progress(
            self._job.name,
            event.stream,
            generation=stream.generation,
            phase=StreamPhase.LIVE if stream.phase is StreamPhase.LIVE else StreamPhase.LOADING,
            position=event.position,
            fence=self._lease.lease,
        )
        text = f"checkpoint: {event.rows:,} rows, {event.bytes:,} bytes so far"
        self._write(Level.INFO, "stream_checkpoint", event.stream, text)
        self._save(
            self._so_far(
                event.stream,
                told=self._services.clock.now(),
                rows=event.rows,
                bytes=event.bytes,
                kept_rows=event.rows,
                kept_bytes=event.bytes,
                position_from=stream.position,
                position_to=event.position,
            )
        )

    def _committed(self, event: StreamCommitted) -> None:
        stream = self._job.streams[event.stream]
        load: LastLoad | None = LastLoad(rows=event.rows, bytes=event.bytes, seconds=event.seconds)
        if stream.position and stream.last_load and event.rows < stream.last_load.rows:
            load = None  # going on from a position, it read a few changes: they do not tell how fast a rebuild is
        self._services.store.save_progress(
            self._job.name,
            event.stream,
            generation=stream.generation,
            phase=StreamPhase.LIVE,
            position=event.position,
            last_load=load,
            synced_at=self._as_of,
            fence=self._lease.lease,
        )
        for policy in event.policies:
            text = f"{policy.column}: {policy.count:,} values did not fit ({policy.kind}): {policy.policy}"
            self._write(Level.WARNING, "policy_applied", event.stream, text)
        text = f"committed {event.rows:,} rows, {event.bytes:,} bytes in {event.files} files, {event.seconds:.1f} s"
        self._write(Level.INFO, "stream_committed", event.stream, text)
        known = self._so_far(event.stream)
        self._save(
            known.model_copy(
                update={
                    "status": RunStatus.COMPLETED,
                    "rows": event.rows,
                    "bytes": event.bytes,
                    "seconds": event.seconds,
                    "position_from": stream.position,
                    "position_to": event.position,
                    "policies": event.policies,
                    "told": self._services.clock.now(),
                    "chunks": known.chunk_count,
                    "as_of": self._as_of,
                }
            )
        )

    def _failed(self, event: StreamFailed) -> None:
        parts = (event.summary, event.why, event.remedy)
        text = self._services.secrets.redact("\n".join(p for p in parts if p))
        self._write(Level.ERROR, "stream_failed", event.stream, text)
        if not event.unsure:  # else there may be a table, which an edit must clear
            self._not_begun(event.stream)
        if event.becomes is not None:
            self._cannot_go_on(event.stream, event.becomes, self._services.secrets.redact(event.summary))
        outcome = self._stopped(event.stream, RunStatus.FAILED)
        self._save(outcome.model_copy(update={"error": text, "retryable": event.retryable}))

    def _stopped(self, stream: StreamId, status: RunStatus) -> StreamOutcome:
        return self._so_far(stream).stopped(status, self._services.clock.now())

    def _so_far(self, stream: StreamId, **end: Any) -> StreamOutcome:
        known = self._outcomes.get(stream) or StreamOutcome(stream=stream, status=RunStatus.RUNNING)
        return known.model_copy(update=end)

    def end(self, status: RunStatus, error: str, detail: Mapping[str, Any] | None = None) -> Run:
        """Close the run; whoever named a final status first has named it."""
        run = self._services.store.end_run(self._run.id, status, self._services.clock.now(), error, detail)
        level = Level.INFO if run.status is RunStatus.COMPLETED else Level.ERROR
        self._log.write(level, "run_ended", f"{self._job.name}: {run.status.value}, {run.rows:,} rows")
        return run

    @property
    def _as_of(self) -> datetime:
        """The moment whose data a committed table certainly shows: snapshots are taken after the run's start."""
        return self._run.started

    def _save(self, outcome: StreamOutcome) -> None:
        self._outcomes[outcome.stream] = outcome
        self._untold.discard(outcome.stream)
        self._services.store.save_outcome(self._run.id, outcome)

    def _write(self, level: Level, action: str, stream: StreamId, message: str) -> None:
        self._log.write(level, action, message, stream=str(stream))
