"""What an engine tells while it works: log, store, progress bar and tests all consume these."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.model.stream import TypeClass, TypePolicy


class Level(StrEnum):
    """Levels of a run's log."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Logged(Model):
    """A line for the run's log; `stream` is None when it concerns the whole run."""

    level: Level
    message: str
    stream: StreamId | None = None


class StreamStarted(Model):
    """A stream's load begins: `rows` is the source's estimate, None if unknown; `chunks` is exact."""

    stream: StreamId
    chunks: int
    rows: int | None = None


class Progress(Model):
    """Totals of a stream so far: rows and bytes written, chunks finished. Never goes back."""

    stream: StreamId
    rows: int
    bytes: int
    chunks: int


class PolicyCount(Model):
    """So many values of a column did not fit and met their policy."""

    column: str
    kind: TypeClass
    policy: TypePolicy
    count: int


class StreamCommitted(Model):
    """A stream's data is durable and visible. `position` is what the next run goes on from, as JSON."""

    stream: StreamId
    rows: int
    bytes: int
    files: int
    seconds: float
    snapshot: str
    position: dict[str, Any] = Field(default_factory=dict)
    policies: tuple[PolicyCount, ...] = ()


class StreamCheckpoint(Model):
    """Part of a stream's load is durable and visible: killed now, the next run goes on from `position`.

    `rows` and `bytes` are this run's totals so far. Any number of checkpoints comes before a stream's last event.
    """

    stream: StreamId
    rows: int
    bytes: int
    snapshot: str
    position: dict[str, Any]


class StreamFailed(Model):
    """A stream failed: what it had committed stays, nothing else happened. The texts hold no secret.

    `retryable` tells that the same load may go well later, with nothing changed by hand. `unsure` tells that the last
    commit may have happened all the same: its answer was lost. `becomes` is the phase of a stream that cannot go on
    until somebody settles it: quarantined, or in need of a rebuild.
    """

    stream: StreamId
    summary: str
    why: str = ""
    remedy: str = ""
    retryable: bool = False
    unsure: bool = False
    becomes: StreamPhase | None = None


class StreamCancelled(Model):
    """A stream was stopped before its last commit; what it had committed stays."""

    stream: StreamId


Event = (
    Logged | StreamStarted | Progress | StreamCheckpoint | StreamCommitted | StreamFailed | StreamCancelled
)
