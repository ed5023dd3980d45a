"""Why a job runs or does not, when it does next, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.figures import ago, ahead, runtime, span, wall
from olake_reconcile.model.names import Address
from olake_reconcile.model.pace import pace
from olake_reconcile.model.project import Limits
from olake_reconcile.model.run import RunQuery, RunStatus
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.plan.words import counted
from olake_reconcile.reconcile.explain_run import failures, queued, why_it_ran
from olake_reconcile.reconcile.explain_schedule import next_run
from olake_reconcile.reconcile.explanation import (
    Explanation,
    Statement,
    Topic,
    place_of_setting,
    said_of_files,
    sentence,
)
from olake_reconcile.reconcile.look import look
from olake_reconcile.reconcile.lost import as_it_is
from olake_reconcile.reconcile.overview import JobOverview
from olake_reconcile.reconcile.presence import loops
from olake_reconcile.reconcile.services import Services


def explain_job(services: Services, desired: Desired | None, address: Address) -> Explanation | None:
    """Return what there is to say of a job; None when nobody knows it."""
    declared = None if desired is None else desired.jobs.keys()
    found = look(services, declared, address.name)
    place = place_of_setting(desired, address)
    if not found:
        if desired is None or address.name not in desired.jobs:
            return None
        statement = Statement(
            topic=Topic.FILES,
            text="It is in the files and was never applied.",
            at=place,
            remedy="olake-reconcile apply",
        )
        headline = f"{address.name} does not run: it was never applied."
        return Explanation(address=str(address), kind="job", headline=headline, statements=(statement,))
    job, now, stored = found[0], services.clock.now(), services.store.read(address.name)
    statements = [
        *_now(services, desired, job, now),
        *_stopped(desired, job, now),
        *next_run(desired, job, now),
        *_loop(services, job),
        *_last(services, job, now),
        *_data(job, now),
        *_waiting_streams(job),
        *(_unmanaged(job) if job.unmanaged else said_of_files(desired, stored, address, place=place)),
        *_leases(services, job.name, now),
    ]
    return Explanation(
        address=str(address), kind="job", headline=_headline(job, now), statements=tuple(statements)
    )


def _headline(job: JobOverview, now: datetime) -> str:
    zone = ZoneInfo(job.timezone)
    ran = f"{job.name} has never run"
    if job.current and job.current.status is RunStatus.RUNNING:
        ran = f"{job.name} has been running for {span(now - job.current.started)}"
    elif job.current:
        ran = f"{job.name} has waited for its turn for {span(now - job.current.started)}"
    elif job.last:
        ran = f"{job.name} {job.last.status.value} {ago(job.last.ended or job.last.started, now)}"
    if job.hold:
        until = f" until {wall(_minute(job.hold.until), zone, now)}" if job.hold.until else ""
        return f"{ran}, and is held{until}: nothing starts it."
    if not job.active:
        return f"{ran}, and is inactive: nothing starts it."
    if job.due is None:
        return f"{ran}; it runs by hand only."
    if job.due <= now:
        return f"{ran}; a run is due since {wall(job.due, zone, now)}."
    return f"{ran}; it runs next {ahead(job.due, now)}, at {wall(job.due, zone, now)}."


def _now(services: Services, desired: Desired | None, job: JobOverview, now: datetime) -> Iterator[Statement]:
    run = job.current
    if run is None:
        return
    if run.status is RunStatus.QUEUED:
        yield queued(services, desired.project.limits if desired else Limits(), job, run, now)
        return
    streams = [f"{o.stream}: {pace(o).words()}" for o in run.streams if o.status is RunStatus.RUNNING]
    done = sum(o.status.is_final for o in run.streams)
    text = f"Run {run.id} ({run.type.label}, {why_it_ran(run)}) began {ago(run.started, now)}; {done} of {counted(len(job.streams), 'stream')} done"
    facts = {"run": run.id, "rows": run.rows, "streams_done": done}
    if run.cancel_requested:
        text += "; it was asked to stop"
    yield Statement(topic=Topic.NOW, text=sentence("; ".join([text, *streams])), facts=facts)


def _stopped(desired: Desired | None, job: JobOverview, now: datetime) -> Iterator[Statement]:
    zone = ZoneInfo(job.timezone)
    if job.hold:
        until = (
            f", until {wall(_minute(job.hold.until), zone, now)}"
            if job.hold.until
            else ", until somebody lifts it"
        )
        why = f": {job.hold.why}" if job.hold.why else ""
        text = f"Paused by {job.hold.who} {ago(job.hold.since, now)}{until}{why}"
        remedy = f"olake-reconcile resume {job.name}"
        yield Statement(
            topic=Topic.HOLD, text=sentence(text), remedy=remedy, facts=job.hold.model_dump(mode="json")
        )
    if not job.active:
        at = place_of_setting(desired, Address("job", job.name), "active")
        text = "It was applied with `active: false`, so nothing starts it."
        yield Statement(
            topic=Topic.INACTIVE,
            text=text,
            at=at,
            remedy="Set `active: true` there, then: olake-reconcile apply",
        )


def _loop(services: Services, job: JobOverview) -> Iterator[Statement]:
    if job.due is None or job.hold or not job.active or loops(services):
        return
    text = (
        "No loop was seen on this state: what is due starts when `olake-reconcile run` or `reconcile` does."
    )
    yield Statement(topic=Topic.LOOP, text=text, remedy="olake-reconcile run")


def _last(services: Services, job: JobOverview, now: datetime) -> Iterator[Statement]:
    run = job.last
    if run is None:
        return
    took = f" after {runtime(run.ended - run.started)}" if run.ended else ""
    text = f"{run.type.label} {run.id}, {why_it_ran(run)}, {run.status.value} {ago(run.ended or run.started, now)}{took}"
    if run.status is not RunStatus.COMPLETED:
        good = (
            f"the last one that completed ended {ago(job.last_good.ended or job.last_good.started, now)}"
            if job.last_good
            else "none has completed yet"
        )
        text += f"; {good}"
    facts = {
        "run": run.id,
        "status": run.status.value,
        "last_good": job.last_good.id if job.last_good else None,
    }
    yield Statement(topic=Topic.LAST, text=sentence(text), facts=facts)
    if run.status is RunStatus.FAILED:
        found = services.store.find_runs(RunQuery(job=job.name, limit=5))
        yield from failures(as_it_is(next((r for r in found if r.id == run.id), run)))


def _data(job: JobOverview, now: datetime) -> Iterator[Statement]:
    if job.fresh_as_of is not None:
        text = f"Every stream shows the source as it was {ago(job.fresh_as_of, now)} or later; the stalest is {job.stalest}."
        yield Statement(
            topic=Topic.FRESH, text=text, facts={"as_of": job.fresh_as_of.isoformat(), "stalest": job.stalest}
        )
    elif job.streams:
        yield Statement(
            topic=Topic.FRESH, text=f"{job.stalest} has no data that is known to be complete yet."
        )


def _waiting_streams(job: JobOverview) -> Iterator[Statement]:
    for phase, words, remedy in (
        (StreamPhase.PENDING, "wait for their first load", ""),
        (StreamPhase.LOADING, "are being loaded for the first time", ""),
        (StreamPhase.NEEDS_RESYNC, "cannot go on and need a rebuild", "olake-reconcile plan"),
        (
            StreamPhase.QUARANTINED,
            "are quarantined: they failed for good and are left out",
            "olake-reconcile plan",
        ),
        (StreamPhase.HELD, "are held", ""),
    ):
        names = [name for name, its in job.streams.items() if its is phase]
        if names:
            listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            yield Statement(
                topic=Topic.PHASE,
                text=f"{len(names)} of {counted(len(job.streams), 'stream')} {words}: {listed}.",
                remedy=remedy,
            )


def _unmanaged(job: JobOverview) -> Iterator[Statement]:
    text = "No file declares it any more; it goes on syncing with what was applied."
    remedy = f"commit {{kind: Removed, address: {job.name}, data: keep}}, then: olake-reconcile apply"
    yield Statement(topic=Topic.FILES, text=text, remedy=remedy)


def _leases(services: Services, name: str, now: datetime) -> Iterator[Statement]:
    for lease in services.store.leases():
        if lease.name == f"job:{name}":
            lapsed = (
                " (its heartbeat has stopped: whoever comes next takes it over)"
                if lease.expires <= now
                else ""
            )
            text = (
                f"{lease.holder} holds the job for {lease.purpose} since {span(now - lease.since)}{lapsed}."
            )
            yield Statement(
                topic=Topic.LEASE, text=text, facts={"holder": str(lease.holder), "purpose": lease.purpose}
            )


def _minute(moment: datetime) -> datetime:
    """A hold is given in hours: its seconds are noise."""
    return moment.replace(second=0)
