"""What leaves: streams that a job no longer has, and jobs that no file declares (design §4, job-level-features §7)."""

from __future__ import annotations

from olake_reconcile.model.desired import Removed
from olake_reconcile.model.names import Address
from olake_reconcile.model.stored import StoredJob, StoredStream, StreamPhase
from olake_reconcile.plan.actions import Action, Block, Consent, Forget, Remove
from olake_reconcile.plan.blocks import held, not_ours, not_runnable
from olake_reconcile.plan.context import Context, Verdict
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.streams import impact


def leaving_jobs(context: Context) -> list[Action]:
    """Return what happens to the stored jobs that no file declares: nothing, unless it is asked for.

    A `Removed` document lets one go, prune lets all go. The others are unmanaged, and go on syncing.
    """
    actions: list[Action] = []
    for name, job in sorted(context.stored.jobs.items()):
        if name in context.desired.jobs:
            continue
        removal = removal_of(context, Address("job", name))
        if removal is not None or context.prunes:
            actions += _job(context, job, removal)
        else:
            actions += leaving_streams(context, job, wanted_active=False)
    return actions


def leaves(context: Context, job: str) -> bool:
    """Whether a stored job leaves by this plan."""
    return job not in context.desired.jobs and (
        context.prunes or removal_of(context, Address("job", job)) is not None
    )


def leaving_streams(context: Context, job: StoredJob, *, wanted_active: bool) -> list[Action]:
    """Return what happens to the stored streams of a job that the files do not have.

    Of an unmanaged job those alone that a `Removed` document names; of a declared one, all that did not leave before.
    """
    declared = context.desired.jobs.get(job.name)
    actions: list[Action] = []
    for stream_id, stream in sorted(job.streams.items()):
        if declared is not None and stream_id in declared.streams:
            continue
        removal = removal_of(context, Address.of_stream(job.name, stream_id))
        if removal is None and (declared is None or stream.phase is StreamPhase.REMOVED):
            continue
        if removal is not None and removal.data == "keep":
            actions.append(_forgotten(context, job, stream, removal))
            continue
        erase = _erases(context, job, stream, removal)
        blocked = not_runnable(wanted_active, job) if erase else ()
        actions.append(_removed(context, job, stream, removal, erase=erase, blocked=blocked))
    return actions


def removal_of(context: Context, address: Address) -> Removed | None:
    """Return the document that lets the resource go."""
    return next((r for r in context.desired.removals if r.address == address), None)


def _job(context: Context, job: StoredJob, removal: Removed | None) -> list[Action]:
    """A job leaves with its streams. An inactive one may be erased: unlike after a clear, nothing is to load it again."""
    address = Address("job", job.name)
    blocked = held(job, "is not deleted")
    place = removal.place if removal else None
    if removal is not None and removal.data == "keep":
        own: Action = Forget(
            address=address,
            before=job.spec,
            reasons=(Reason.NOT_IN_CONFIG,),
            notes=_job_notes(context, job),
            serial=job.serial,
            blocked=blocked,
            place=place,
        )
        return [own, *(_forgotten(context, job, s, removal) for _, s in sorted(job.streams.items()))]
    protected = bool(job.spec.get("protect", {}).get("delete"))
    own = Remove(
        address=address,
        before=job.spec,
        reasons=(Reason.NOT_IN_CONFIG,),
        notes=_job_notes(context, job),
        consent=Consent.GUARDED if protected else Consent.SAFE,
        serial=job.serial,
        blocked=blocked,
        place=place,
    )
    streams = [
        _removed(context, job, stream, removal, erase=_erases(context, job, stream, removal), blocked=())
        for _, stream in sorted(job.streams.items())
    ]
    return [own, *streams]


def _job_notes(context: Context, job: StoredJob) -> tuple[str, ...]:
    return ("its running sync will be cancelled",) if job.name in context.observed.running else ()


def _erases(context: Context, job: StoredJob, stream: StoredStream, removal: Removed | None) -> bool:
    wanted = removal.data == "erase" if removal else stream.spec.get("on_remove") == "clear"
    # What left before and was kept then is kept, unless a document says otherwise.
    gone = stream.phase is StreamPhase.REMOVED and removal is None
    return wanted and stream.phase.has_data and not gone and not _is_out_of_reach(context, job)


def _is_out_of_reach(context: Context, job: StoredJob) -> bool:
    """Whether the job's tables are at a destination that the files replace by another one under its name (design §4)."""
    destination = Address("destination", str(job.spec.get("destination")))
    return context.verdicts.get(destination) is Verdict.OTHER


def _kept_notes(context: Context, job: StoredJob, stream: StoredStream) -> tuple[str, ...]:
    if not stream.phase.has_data:
        return ()
    if _is_out_of_reach(context, job):
        return (f"table {stream.place} at the old destination is left as it is",)
    return (f"table {stream.place} is kept",)


def _forgotten(context: Context, job: StoredJob, stream: StoredStream, removal: Removed) -> Forget:
    return Forget(
        address=Address.of_stream(job.name, stream.id),
        before=stream.spec,
        reasons=(Reason.NOT_IN_CONFIG,),
        notes=_kept_notes(context, job, stream),
        serial=job.serial,
        place=removal.place,
    )


def _removed(
    context: Context,
    job: StoredJob,
    stream: StoredStream,
    removal: Removed | None,
    *,
    erase: bool,
    blocked: tuple[Block, ...],
) -> Remove:
    protected = bool(stream.spec.get("protect", {}).get("delete"))
    destination = str(job.spec.get("destination"))
    if erase:
        blocked = (*blocked, *not_ours(context, destination, stream))
    return Remove(
        address=Address.of_stream(job.name, stream.id),
        before=stream.spec,
        old=stream.place,
        erase=erase,
        reasons=(Reason.NOT_IN_CONFIG,),
        notes=() if erase else _kept_notes(context, job, stream),
        impact=impact(context.observed, destination, stream),
        consent=Consent.GUARDED if protected else Consent.DESTRUCTIVE if erase else Consent.SAFE,
        blocked=blocked,
        serial=job.serial,
        place=removal.place if removal else None,
    )
