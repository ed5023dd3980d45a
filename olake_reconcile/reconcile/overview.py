"""The jobs page (design §7): what each job is doing, when it runs next, how old its data is. Trouble first.

Values in, values out: what `status` prints, as text or JSON, and what `explain` starts from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from olake_reconcile.model.base import Model
from olake_reconcile.model.pace import fraction
from olake_reconcile.model.run import Run, RunStatus, StreamOutcome
from olake_reconcile.model.stored import Hold, Stored, StoredJob, StoredStream, StreamPhase


class JobState(StrEnum):
    """What a job is, in one word; in the order in which somebody who is paged wants to see them."""

    FAILING = "failing"  # its last run failed
    ATTENTION = "attention"  # a stream of it waits for a rebuild or is quarantined
    HELD = "held"
    RUNNING = "running"
    QUEUED = "queued"
    UNMANAGED = "unmanaged"  # no file declares it any more; it goes on syncing
    ACTIVE = "active"
    INACTIVE = "inactive"  # its file says so


_RANK = {state: rank for rank, state in enumerate(JobState)}
_TROUBLED = frozenset({StreamPhase.NEEDS_RESYNC, StreamPhase.QUARANTINED})
_SERVED = frozenset({StreamPhase.LIVE, StreamPhase.NEEDS_RESYNC, StreamPhase.QUARANTINED, StreamPhase.HELD})


class JobOverview(Model):
    """A job as `status` shows it. `current` is the run that is queued or running, `last` the last that ended.

    `fresh_as_of` is the moment whose data the stalest of its streams shows; None when one has never been loaded.
    """

    name: str
    state: JobState
    active: bool
    unmanaged: bool
    labels: dict[str, str]
    owner: str
    source: str
    destination: str
    schedule: str | None
    timezone: str
    streams: dict[str, StreamPhase]
    current: Run | None
    last: Run | None
    last_good: Run | None
    due: datetime | None
    due_reason: str
    attempt: int
    hold: Hold | None
    fresh_as_of: datetime | None
    stalest: str

    @property
    def last_or_current(self) -> Run | None:
        """The run that people mean by the last one: the one that goes on, else the one that ended last."""
        return self.current or self.last


@dataclass(frozen=True, slots=True)
class History:
    """The runs that an overview needs, by job."""

    latest: Mapping[str, Run] = field(default_factory=dict)
    good: Mapping[str, Run] = field(default_factory=dict)
    unfinished: Mapping[str, Run] = field(default_factory=dict)
    ended: Mapping[str, Run] = field(default_factory=dict)


def overview(
    stored: Stored, history: History, declared: Iterable[str] | None, now: datetime
) -> list[JobOverview]:
    """Return every stored job, trouble first. `declared` are the jobs of the files, None when these have mistakes."""
    named = None if declared is None else frozenset(declared)
    found = [_job(job, history, named, now) for job in stored.jobs.values()]
    return sorted(found, key=lambda job: (_RANK[job.state], job.name))


def _job(job: StoredJob, history: History, declared: frozenset[str] | None, now: datetime) -> JobOverview:
    current = history.unfinished.get(job.name)
    last = history.ended.get(job.name)
    unmanaged = declared is not None and job.name not in declared
    present = [s for s in job.streams.values() if s.phase is not StreamPhase.REMOVED]
    stalest = min(present, key=_age_key, default=None)
    return JobOverview(
        name=job.name,
        state=_state(job, current, last, present, now, unmanaged=unmanaged),
        active=job.active,
        unmanaged=unmanaged,
        labels={str(k): str(v) for k, v in (job.spec.get("labels") or {}).items()},
        owner=str(job.spec.get("owner") or ""),
        source=str(job.spec.get("source")),
        destination=str(job.spec.get("destination")),
        schedule=job.spec.get("schedule"),
        timezone=str(job.spec.get("timezone") or "UTC"),
        streams={str(s.id): s.phase for s in sorted(present, key=lambda s: s.id)},
        current=current,
        last=last,
        last_good=history.good.get(job.name),
        due=job.due,
        due_reason=job.due_reason,
        attempt=job.attempt,
        hold=job.held_at(now),
        fresh_as_of=freshness(stalest) if stalest else None,
        stalest=str(stalest.id) if stalest else "",
    )


def _state(
    job: StoredJob,
    current: Run | None,
    last: Run | None,
    streams: Iterable[StoredStream],
    now: datetime,
    *,
    unmanaged: bool,
) -> JobState:
    # Whoever paused it knows of its failures: a hold and `active: false` come before them.
    if job.held_at(now):
        return JobState.HELD
    if not job.active:
        return JobState.INACTIVE
    if current and current.status is RunStatus.RUNNING:
        return JobState.RUNNING
    if last and last.status is RunStatus.FAILED:
        return JobState.FAILING
    if any(s.phase in _TROUBLED for s in streams):
        return JobState.ATTENTION
    if current:
        return JobState.QUEUED
    return JobState.UNMANAGED if unmanaged else JobState.ACTIVE


def freshness(stream: StoredStream) -> datetime | None:
    """Return the moment whose data a stream's table shows, None when it shows none."""
    return stream.synced_at if stream.phase in _SERVED else None


def _age_key(stream: StoredStream) -> tuple[bool, float, str]:
    moment = freshness(stream)
    return moment is not None, moment.timestamp() if moment else 0.0, str(stream.id)


def run_fraction(run: Run, streams: int) -> float | None:
    """Return which part of a running run is done, a stream counting as one; None while nobody can tell."""
    if not streams or run.status is not RunStatus.RUNNING:
        return None
    return min(0.99, sum(_part(outcome) for outcome in run.streams) / streams)


def _part(outcome: StreamOutcome) -> float:
    if outcome.status.is_final:
        return 1.0
    return fraction(outcome) or 0.0
