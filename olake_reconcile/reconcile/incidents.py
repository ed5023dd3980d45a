"""What is wrong now, as far as somebody would want to be told: looked up in what is stored, so that no event is missed.

Words are made of names and times. Errors of servers are left to the logs: they may quote rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from olake_reconcile.model.alert import AlertKind
from olake_reconcile.model.figures import span
from olake_reconcile.model.incident import Incident
from olake_reconcile.model.names import parse_address
from olake_reconcile.model.run import RunStatus
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.reconcile.look import look_at
from olake_reconcile.reconcile.overview import JobOverview
from olake_reconcile.reconcile.pending import read_pending
from olake_reconcile.reconcile.services import Services

_PHASES = {
    StreamPhase.NEEDS_RESYNC: (AlertKind.NEEDS_RESYNC, "what its position relied on is gone, it has to be rebuilt"),
    StreamPhase.QUARANTINED: (AlertKind.QUARANTINED, "it is quarantined until somebody settles it"),
}  # fmt: skip


@dataclass(slots=True)
class Troubles:
    """What is wrong. What is `waiting` counts when it is told of already, and is not begun to be told.

    Of jobs that are `quiet` (held, inactive) nothing is told at all, and of `unknown` kinds nothing is known.
    """

    found: dict[tuple[AlertKind, str], Incident] = field(default_factory=dict)
    waiting: set[tuple[AlertKind, str]] = field(default_factory=set)
    quiet: set[str] = field(default_factory=set)
    unknown: set[AlertKind] = field(default_factory=set)


def troubles(services: Services, apply_trouble: str | None) -> Troubles:
    """Return what is wrong now. `apply_trouble` is what keeps files from being applied, None when nobody knows."""
    now = services.clock.now()
    stored = services.store.read()
    jobs = {job.name: job for job in look_at(services, stored, None)}
    result = Troubles()
    for name, job in jobs.items():
        if job.hold or not job.active:
            result.quiet.add(name)
            continue
        if _is_retried(job):
            result.waiting.add((AlertKind.FAILED_RUN, name))
        for incident in _of_job(job, stored.jobs[name].spec.get("max_staleness"), now):
            result.found[incident.key] = incident
    for incident in _of_changes(services, jobs, now):
        result.found[incident.key] = incident
    if apply_trouble is None:
        result.unknown.add(AlertKind.FAILED_APPLY)
    elif apply_trouble:
        kind, remedy = AlertKind.FAILED_APPLY, "olake-reconcile plan"
        result.found[kind, "project"] = Incident(
            kind=kind, address="project", since=now, text=apply_trouble, remedy=remedy
        )
    return result


def _is_retried(job: JobOverview) -> bool:
    return job.attempt > 0 or (job.current is not None and job.current.attempt > 1)


def _of_job(job: JobOverview, bar: int | None, now: datetime) -> Iterator[Incident]:
    def incident(kind: AlertKind, address: str, since: datetime, text: str, remedy: str) -> Incident:
        line = f"olake-reconcile {remedy}"
        return Incident(
            kind=kind,
            address=address,
            job=job.name,
            labels=job.labels,
            since=since,
            text=text,
            remedy=line,
        )

    if job.last and job.last.status is RunStatus.FAILED:
        text = f"run {job.last.id} ({job.last.type.label}) failed"
        since = job.last.ended or job.last.started
        yield incident(AlertKind.FAILED_RUN, job.name, since, text, f"logs {job.last.id}")
    for stream, phase in job.streams.items():
        if phase in _PHASES:
            kind, text = _PHASES[phase]
            yield incident(kind, f"{job.name}/{stream}", now, text, f"explain {job.name}")
    if bar is not None and job.fresh_as_of is not None and (now - job.fresh_as_of).total_seconds() > bar:
        text = f"its data is older than {span(bar)}, the stalest stream's ({job.stalest})"
        yield incident(AlertKind.STALE, job.name, job.fresh_as_of, text, f"explain {job.name}")


def _of_changes(services: Services, jobs: dict[str, JobOverview], now: datetime) -> Iterator[Incident]:
    pending = read_pending(services)
    for text in pending.addresses if pending else ():
        address = parse_address(text)
        job = jobs.get(address.name) if address.kind in ("job", "stream") else None
        yield Incident(
            kind=AlertKind.BLOCKED_PLAN,
            address=address.short,
            job=job.name if job else "",
            labels=job.labels if job else {},
            since=pending.since if pending else now,
            text="a change waits for consent, and goes on as applied",
            remedy="olake-reconcile plan",
        )
