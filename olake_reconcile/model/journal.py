"""The journal of an apply: the consented plan, and each step before it starts and after it ends (design §6).

The steps of a job, in this order, are the format that recovery is built on:
`schedule_stopped → run_cancelled → stream_cleared (one per stream) → table_adopted (one per stream) → settings_stored → schedule_restored →
made_due`. Steps that a job does not need are not written. Renames come first as `resource_moved`, then endpoints as
`endpoint_stored`; removals of endpoints are last as `endpoint_removed`. Past its first `stream_cleared` that has started, a job is rolled forward;
before it, abandoned.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.run import Holder

JOURNAL_VERSION = 1


class StepKind(StrEnum):
    """What a step does. The values are stored: never rename one."""

    RESOURCE_MOVED = "resource_moved"
    ENDPOINT_STORED = "endpoint_stored"
    SCHEDULE_STOPPED = "schedule_stopped"
    RUN_CANCELLED = "run_cancelled"
    STREAM_CLEARED = "stream_cleared"
    TABLE_ADOPTED = "table_adopted"
    SETTINGS_STORED = "settings_stored"
    SCHEDULE_RESTORED = "schedule_restored"
    MADE_DUE = "made_due"
    JOB_REMOVED = "job_removed"
    ENDPOINT_REMOVED = "endpoint_removed"

    @property
    def is_destructive(self) -> bool:
        """Whether there is no way back once it has started."""
        return self is StepKind.STREAM_CLEARED


class StepStatus(StrEnum):
    """A step is written as started before it acts, and as done after."""

    STARTED = "started"
    DONE = "done"


class JournalStep(Model):
    """One step. `subject` is the address of the resource it acts on; `detail` what resuming it needs."""

    apply_id: str
    seq: int
    kind: StepKind
    subject: str
    status: StepStatus
    at: datetime
    detail: dict[str, Any] = Field(default_factory=dict)


class ApplyStatus(StrEnum):
    """How an apply ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTLY = "partly"
    FAILED = "failed"
    ABANDONED = "abandoned"


class ApplyRecord(Model):
    """One apply: who applied which plan, and how it ended. `plan` holds references only, never a secret.

    `detail` is what else is known of it, as JSON, and small.
    """

    id: str
    version: int = JOURNAL_VERSION
    plan: dict[str, Any]
    plan_hash: str
    who: str
    holder: Holder
    status: ApplyStatus
    started: datetime
    ended: datetime | None = None
    error: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)
