"""A job's own settings, and the order of what happens to its streams."""

from __future__ import annotations

from olake_reconcile.model.codec import read_job
from olake_reconcile.model.deferred import equal_digests
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job, canonical_job, show_job
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.stored import MODEL_VERSION, StoredJob
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import Action, Block, Create, Keep, Rebuild, Remove, SettingChange, Update
from olake_reconcile.plan.context import Context, Verdict
from olake_reconcile.plan.diff import complete, differing_settings, leaves
from olake_reconcile.plan.effects import JOB_REASONS, Reason
from olake_reconcile.plan.leaving import leaving_streams
from olake_reconcile.plan.streams import rebuilds_every_stream, stream_action


def job_actions(context: Context, job: Job) -> list[Action]:
    """Return what happens to a declared job and to each of its streams, the job first, streams by name."""
    stored = context.stored.jobs.get(job.name)
    reasons = _reasons_for_all(context, job, stored) if stored else ()
    own = _job_action(context, job, stored)
    if stored and not reasons and own is None and _streams_are_as_stored(context, job, stored):
        return []
    actions: list[Action] = [own] if own else []
    found = (
        stream_action(
            context, job, stored, stream, (*reasons, *_asked_for(context, stored, job.name, stream.id))
        )
        for stream in job.streams.values()
    )
    streams = [action for action in found if action is not None]
    if stored:
        streams += leaving_streams(context, stored, wanted_active=job.active)
        if stored.spec.get("destination") == job.destination:
            streams = _with_freed_places(streams)
    streams.sort(key=lambda a: a.address)
    return actions + streams


def _streams_are_as_stored(context: Context, job: Job, stored: StoredJob) -> bool:
    """Whether nothing happens to any stream, as far as that can be told without a look at each: nearly always it can."""
    if context.options.show_all or context.options.replace or context.desired.removals:
        return False
    if stored.name in context.observed.bereft:
        return False
    return equal_digests(job.streams, stored.streams)


def _asked_for(context: Context, stored: StoredJob | None, job: str, stream: StreamId) -> tuple[Reason, ...]:
    """Return the reason to rebuild a stream that `--replace` names; one without data has nothing to replace."""
    if not context.options.replace or stored is None or stream not in stored.streams:
        return ()
    asked = stored.streams[stream].phase.has_data and context.options.replaces(Address.of_stream(job, stream))
    return (Reason.BY_REQUEST,) if asked else ()


def _with_freed_places(actions: list[Action]) -> list[Action]:
    """Lift the blocks of tables that the same job clears in the same apply: all its clears come before anything is built.

    So two streams may swap their tables, and a new one may take the place of one that is erased.
    """
    freed = {place for a in actions if (place := freed_place(a)) is not None}
    return [
        a.model_copy(
            update={
                "blocked": tuple(b for b in a.blocked if b.code != "table-exists"),
                "notes": (
                    *a.notes,
                    f"table {built_place(a)}, which is another stream's now, is cleared first",
                ),
            }
        )
        if any(b.code == "table-exists" for b in a.blocked) and built_place(a) in freed
        else a
        for a in actions
    ]


def freed_place(action: Action) -> TablePlace | None:
    """Return the table that the action clears for good, so that another stream may have it."""
    match action:
        case Rebuild(leaves_old=False) if action.old != action.new:
            return action.old
        case Remove(erase=True):
            return action.old
        case _:
            return None


def built_place(action: Action) -> TablePlace | None:
    """Return the table that the next run builds because of the action."""
    match action:
        case Rebuild():
            return action.new
        case Create() | Update():
            spec = action.after
            return TablePlace(database=spec["destination_database"], table=spec["destination_table"])
        case _:
            return None


def _job_action(context: Context, job: Job, stored: StoredJob | None) -> Create | Update | Keep | None:
    """Decide what happens to the job itself; None when nothing does and nobody asked for unchanged ones."""
    changes = _changes(context, job, stored) if stored else ()
    if stored and not changes and not context.options.show_all:
        return None
    address = Address("job", job.name)
    place = context.desired.origins.place(address)
    after = show_job(job)
    if stored is None:
        return Create(address=address, after=after, place=place)
    if not changes:
        return Keep(address=address, after=after, serial=stored.serial, place=place)
    return Update(
        address=address,
        before=stored.spec,
        after=after,
        changes=changes,
        unchanged=sum(stored.spec.get(k) == v for k, v in after.items()),
        notes=_notes(changes),
        blocked=_unknown_endpoints(context, job, stored),
        serial=stored.serial,
        place=place,
    )


def _changes(context: Context, job: Job, stored: StoredJob) -> tuple[SettingChange, ...]:
    if stored.model_version == MODEL_VERSION and stored.fingerprint == fingerprint(canonical_job(job)):
        return ()
    old = read_job(job.name, stored.spec)
    before, after = show_job(old), show_job(job)
    address = Address("job", job.name)
    return tuple(
        SettingChange(
            setting=path,
            before=b,
            after=a,
            place=context.desired.origins.place(address, setting),
        )
        for setting in differing_settings(canonical_job(old), canonical_job(job))
        for path, b, a in leaves(setting, complete(Job, before, setting), complete(Job, after, setting))
    )


def _notes(changes: tuple[SettingChange, ...]) -> tuple[str, ...]:
    for change in changes:
        if change.setting == "active":
            return ("will be paused",) if change.after is False else ("will be resumed",)
    return ()


def _reasons_for_all(context: Context, job: Job, stored: StoredJob) -> tuple[Reason, ...]:
    """Return why every stream of the job must be rebuilt: another source, destination or runtime."""
    found = []
    before, after = stored.spec, show_job(job)
    for setting, reason in JOB_REASONS.items():
        if not rebuilds_every_stream(setting):
            continue
        named_anew = before.get(setting) != after.get(setting)
        if setting == "runtime":
            other = named_anew
        elif named_anew:
            other = not _same_server(context, setting, str(before.get(setting)), str(after.get(setting)))
        else:
            other = context.verdicts.get(_endpoint(setting, str(after[setting]))) is Verdict.OTHER
        if other:
            found.append(reason)
    return tuple(found)


def _unknown_endpoints(context: Context, job: Job, stored: StoredJob) -> tuple[Block, ...]:
    """Block the change to an endpoint of another name, of which nobody could ask whether it is the same server."""
    if not any(s.phase.has_data for s in stored.streams.values()):
        return ()
    pairs = [
        (kind, str(stored.spec.get(kind)), str(getattr(job, kind))) for kind in ("source", "destination")
    ]
    return tuple(
        Block(
            code="identity-unknown",
            message=f"nobody could ask whether {kind}.{new} is the server that {kind}.{old} is, "
            f"so the tables of {job.name} may not fit it",
            remedy="Plan again without --no-refresh while the server can be reached.",
        )
        for kind, old, new in pairs
        if old != new and _cannot_be_told(context, kind, old, new)
    )


def _cannot_be_told(context: Context, setting: str, old: str, new: str) -> bool:
    before, after = _identities(context, setting, old, new)
    known = context.stored.sources if setting == "source" else context.stored.destinations
    declared = context.desired.sources if setting == "source" else context.desired.destinations
    # One of another type is another one, whatever it says; and where nothing was recorded nothing will ever tell.
    alike = old in known and known[old].spec.get("type") == declared[new].type
    return alike and before is not None and after is None


def _endpoint(setting: str, name: str) -> Address:
    return Address("source" if setting == "source" else "destination", name)


def _same_server(context: Context, setting: str, old: str, new: str) -> bool:
    """Whether two differently named endpoints are one server. Only what servers said can tell."""
    before, after = _identities(context, setting, old, new)
    return before is not None and before == after


def _identities(context: Context, setting: str, old: str, new: str) -> tuple[str | None, str | None]:
    """Return what was recorded of the old endpoint, and what is known of the new one."""
    endpoints = context.stored.sources if setting == "source" else context.stored.destinations
    before = endpoints[old].identity if old in endpoints else None
    seen = context.observed.identities.get(_endpoint(setting, new))
    return before, seen or (endpoints[new].identity if new in endpoints else None)
