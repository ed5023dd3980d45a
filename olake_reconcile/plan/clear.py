"""The plan of a clear by hand: the streams of one job, cleared now and loaded in full by the next run."""

from __future__ import annotations

from collections.abc import Sequence

from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.project import Project
from olake_reconcile.model.stored import Stored, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import Consent, Rebuild
from olake_reconcile.plan.blocks import not_runnable
from olake_reconcile.plan.consent import guard_clears
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.plan import Plan
from olake_reconcile.plan.radius import losses
from olake_reconcile.plan.streams import impact


def clear_plan(
    project: Project,
    stored: Stored,
    job: str,
    streams: Sequence[StreamId],
    observed: Observed,
    options: Options,
) -> Plan:
    """Return the plan that clears the given streams of a stored job; those that hold nothing are left out."""
    stored_job = stored.jobs[job]
    actions = [
        _clear(stored_job, stored_job.streams[stream], observed) for stream in clearable(stored_job, streams)
    ]
    return Plan(
        project=project.uid, new_state=not stored.exists, actions=tuple(guard_clears(actions, options))
    )


def clearable(job: StoredJob, streams: Sequence[StreamId]) -> list[StreamId]:
    """Return those of the streams (all when none are named) that the job has and that hold something."""
    wanted = set(streams)
    return sorted(
        stream_id
        for stream_id, stream in job.streams.items()
        if (not wanted or stream_id in wanted)
        and stream.phase is not StreamPhase.REMOVED
        and stream.phase.has_data
    )


def clearable_places(job: StoredJob, streams: Sequence[StreamId]) -> set[TablePlace]:
    """Return where the tables are that a clear of the streams would remove."""
    return {job.streams[stream].place for stream in clearable(job, streams)}


def _clear(job: StoredJob, stream: StoredStream, observed: Observed) -> Rebuild:
    protected = bool(stream.spec.get("protect", {}).get("rebuild"))
    action = Rebuild(
        address=Address.of_stream(job.name, stream.id),
        before=stream.spec,
        after=stream.spec,
        old=stream.place,
        new=stream.place,
        reasons=(Reason.BY_REQUEST,),
        unchanged=len(stream.spec),
        impact=impact(observed, str(job.spec.get("destination")), stream),
        consent=Consent.GUARDED if protected else Consent.DESTRUCTIVE,
        blocked=not_runnable(False, job),
        serial=job.serial,
    )
    lost = {"loses": losses(action), "soft_deleted": None}
    return action.model_copy(update={"impact": action.impact.model_copy(update=lost)})
