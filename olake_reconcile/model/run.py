"""Runs: one execution of a job: a sync, a clear, or maintenance of its tables (design §7)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.event import PolicyCount
from olake_reconcile.model.names import StreamId


class RunType(StrEnum):
    """What a run does; `label` is the job type that people see."""

    SYNC = "sync"
    CLEAR = "clear"
    MAINTENANCE = "maintenance"

    @property
    def label(self) -> str:
        """OLake's words, where it has some."""
        return {"sync": "Sync", "clear": "Clear Destination"}.get(self.value, "Maintenance")


class RunStatus(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether it can no longer change."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class Trigger(StrEnum):
    """Why a run was started."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    APPLY = "apply"


class Holder(Model):
    """A process, told apart from every other one that ever was: host, boot, pid and its start time."""

    host: str
    boot: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


class StreamOutcome(Model):
    """How one stream of a run ended; `status` is running until then, and the figures are those of `told`.

    `expected` is the source's estimate of the rows, `chunks` of `chunk_count` are finished. `as_of` is the moment
    whose data the stream's table shows. `kept_rows` and `kept_bytes` are what checkpoints have committed of a running one.
    """

    stream: StreamId
    status: RunStatus
    rows: int = 0
    bytes: int = 0
    seconds: float = 0
    position_from: dict[str, Any] = Field(default_factory=dict)
    position_to: dict[str, Any] = Field(default_factory=dict)
    policies: tuple[PolicyCount, ...] = ()
    error: str = ""
    retryable: bool = False
    started: datetime | None = None
    told: datetime | None = None
    expected: int | None = None
    chunks: int = 0
    chunk_count: int = 0
    as_of: datetime | None = None
    kept_rows: int = 0
    kept_bytes: int = 0

    def stopped(self, status: RunStatus, at: datetime) -> StreamOutcome:
        """Return the outcome of a load that ended at `at` before its last commit: only what checkpoints committed counts."""
        seconds = round((at - self.started).total_seconds(), 3) if self.started else 0.0
        figures = {"rows": self.kept_rows, "bytes": self.kept_bytes, "seconds": max(seconds, 0.0)}
        return self.model_copy(update={"status": status, "told": at, **figures})


class Run(Model):
    """One execution. `error` is the run's own failure; those of streams are with the streams.

    A run that waited has `queued_at`, and `due` when it serves a due time; until it begins `started` is when it was
    queued. `attempt` counts from 1; `detail` is what else is known of it, as JSON, and small.
    """

    id: str
    job: str
    type: RunType
    trigger: Trigger
    status: RunStatus
    started: datetime
    ended: datetime | None = None
    holder: Holder | None = None
    error: str = ""
    cancel_requested: bool = False
    streams: tuple[StreamOutcome, ...] = ()
    queued_at: datetime | None = None
    due: datetime | None = None
    attempt: int = 1
    detail: dict[str, Any] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows moved by all streams."""
        return sum(s.rows for s in self.streams)

    @property
    def bytes(self) -> int:
        """Bytes moved by all streams."""
        return sum(s.bytes for s in self.streams)


class RunQuery(Model):
    """What somebody wants to see of the history; None is any."""

    job: str | None = None
    status: RunStatus | None = None
    type: RunType | None = None
    since: datetime | None = None
    limit: int = 20
