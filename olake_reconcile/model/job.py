"""A job: source + destination + streams + schedule (design §3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.schedule import Schedule
from olake_reconcile.model.stream import Protect, Stream
from olake_reconcile.model.window import Windows


class Runtime(StrEnum):
    """Who moves the data (design §8)."""

    EMBEDDED = "embedded"
    OLAKE = "olake"
    PLATFORM = "platform"


class Retry(Model):
    """How often a failed run is tried again, and how many seconds after the first failure."""

    attempts: Annotated[int, Field(ge=0, le=100)] = 0
    backoff: Annotated[int, Field(ge=1, le=86_400)] = 60


class Job(Model):
    """A job with every default filled in. `schedule` None means by hand only; durations are seconds."""

    name: str
    source: str
    destination: str
    schedule: Schedule | None = None
    timezone: str = "UTC"
    active: bool = True
    description: str = ""
    owner: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    runtime: Runtime = Runtime.EMBEDDED
    retry: Retry | None = None
    timeout: int | None = None
    jitter: int | None = None
    protect: Protect = Protect()
    windows: Windows = Windows()
    max_staleness: int | None = None
    streams: Mapping[StreamId, Stream] = Field(default_factory=dict)


def show_job(job: Job) -> dict[str, Any]:
    """Return a job's own settings (not its streams) as JSON; settings at their default are left out."""
    shown: dict[str, Any] = {
        "source": job.source,
        "destination": job.destination,
        "schedule": job.schedule.text if job.schedule else None,
        "timezone": None if job.timezone == "UTC" else job.timezone,
        "active": None if job.active else False,
        "description": job.description or None,
        "owner": job.owner or None,
        "labels": dict(sorted(job.labels.items())) or None,
        "runtime": None if job.runtime is Runtime.EMBEDDED else job.runtime.value,
        "retry": job.retry.model_dump() if job.retry else None,
        "timeout": job.timeout,
        "jitter": job.jitter,
        "protect": {k: v for k, v in sorted(job.protect.model_dump().items()) if v} or None,
        "windows": job.windows.model_dump(mode="json", exclude_defaults=True) or None,
        "max_staleness": job.max_staleness,
    }
    return {key: value for key, value in shown.items() if value is not None}


def canonical_job(job: Job) -> dict[str, Any]:
    """Return a job's meaning as JSON: equal for jobs that differ in spelling only."""
    meaning = show_job(job)
    if job.schedule:
        meaning["schedule"] = job.schedule.canonical()
    return meaning
