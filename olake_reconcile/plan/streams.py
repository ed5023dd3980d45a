"""One stream: create, keep, update in place, rebuild, remove (design §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from olake_reconcile.model.codec import place_of, read_stream
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import Job
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import MODEL_VERSION, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.stream import Stream, SyncMode, canonical_stream, show_stream
from olake_reconcile.model.table import TableAbsent, TableFacts, TablePlace
from olake_reconcile.plan.actions import (
    Action,
    Block,
    Consent,
    Create,
    Impact,
    Keep,
    Rebuild,
    SettingChange,
    Update,
)
from olake_reconcile.plan.blocks import moved_onto, not_ours, not_runnable, taken
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.diff import complete, differing_settings, leaves
from olake_reconcile.plan.effects import JOB_EFFECTS, STREAM_EFFECTS, Effect, Reason, stream_reason
from olake_reconcile.plan.imports import adoption
from olake_reconcile.plan.words import counted


def stream_action(
    context: Context, job: Job, stored_job: StoredJob | None, stream: Stream, job_reasons: tuple[Reason, ...]
) -> Action | None:
    """Decide what happens to a declared stream; None when nothing does and nobody asked for unchanged ones.

    `job_reasons` are those that rebuild every stream of the job.
    """
    stored = stored_job.streams.get(stream.id) if stored_job else None
    same = stored is not None and _is_calm(stored) and _same(stored, stream)
    # Another server is nothing to a stream that never synced: there is nothing to clear.
    same = same and not (job_reasons and stored is not None and stored.phase.has_data)
    lost = stored_job is not None and stored is not None and _has_lost_its_table(context, stored_job, stored)
    same = same and not lost
    # Nearly every stream of nearly every plan ends here: what follows is 20 times as dear.
    if same and not context.options.show_all:
        return None
    address = Address.of_stream(job.name, stream.id)
    after = show_stream(stream)
    place = context.desired.origins.place(address)
    if stored is None or stored_job is None:
        adopted = adoption(context, job, stored_job, stream)
        if adopted is not None:
            return adopted
        return Create(
            address=address,
            after=after,
            place=place,
            serial=stored_job.serial if stored_job else 0,
            blocked=taken(context, job.destination, place_of(stream), None, address),
            notes=_size_note(context, job, stream.id),
        )
    if same:
        return Keep(address=address, after=after, serial=stored_job.serial, place=place)
    changes = _changes(context, address, stored, stream)
    reasons = _reasons(stored, stream, changes, job_reasons, lost=lost)
    if not reasons or not stored.phase.has_data:
        return Update(
            address=address,
            before=stored.spec,
            after=after,
            changes=changes
            if stored.phase.has_data
            else tuple(c.model_copy(update={"forces": False}) for c in changes),
            unchanged=_unchanged(stored.spec, after),
            serial=stored_job.serial,
            place=place,
            notes=_in_place_notes(changes, stored),
            blocked=moved_onto(context, job.destination, stored, stream),
        )
    return _rebuild(context, job, stored_job, stored, stream, changes, reasons)


def _has_lost_its_table(context: Context, stored_job: StoredJob, stored: StoredStream) -> bool:
    """Whether somebody looked, and the table that the stream's position relies on is gone."""
    if stored_job.name not in context.observed.bereft or not stored.relies_on_its_table:
        return False
    seen = context.observed.tables.get((str(stored_job.spec.get("destination")), stored.place))
    return isinstance(seen, TableAbsent)


def _is_calm(stored: StoredStream) -> bool:
    return stored.phase not in (StreamPhase.REMOVED, StreamPhase.NEEDS_RESYNC)


def _same(stored: StoredStream, stream: Stream) -> bool:
    if stored.model_version == MODEL_VERSION:
        return stored.fingerprint == fingerprint(canonical_stream(stream))
    return canonical_stream(read_stream(stored.id, stored.spec)) == canonical_stream(stream)


def _changes(
    context: Context, address: Address, stored: StoredStream, stream: Stream
) -> tuple[SettingChange, ...]:
    old = read_stream(stored.id, stored.spec)
    before, after = show_stream(old), show_stream(stream)
    incremental = stream.sync_mode is SyncMode.INCREMENTAL
    found = []
    for setting in differing_settings(canonical_stream(old), canonical_stream(stream)):
        forces = stream_reason(setting, incremental=incremental) is not None
        found += [
            SettingChange(
                setting=path,
                before=b,
                after=a,
                forces=forces,
                note=_change_note(setting, stream, forces=forces),
                place=context.desired.origins.place(address, setting),
            )
            for path, b, a in leaves(
                setting, complete(Stream, before, setting), complete(Stream, after, setting)
            )
        ]
    return tuple(found)


def _change_note(setting: str, stream: Stream, *, forces: bool) -> str:
    if STREAM_EFFECTS[setting] is Effect.REBUILD_IF_INCREMENTAL and not forces:
        return f"not used by {stream.sync_mode.value}"
    if setting == "columns" and stream.sync_mode is not SyncMode.FULL_REFRESH:
        return "older rows stay NULL in a new column, and keep the values of an excluded one"
    return ""


def _reasons(
    stored: StoredStream,
    stream: Stream,
    changes: tuple[SettingChange, ...],
    job_reasons: tuple[Reason, ...],
    *,
    lost: bool,
) -> tuple[Reason, ...]:
    found: list[Reason] = []
    if stored.phase is StreamPhase.REMOVED:
        found.append(Reason.REENABLED)
    if lost or stored.phase is StreamPhase.NEEDS_RESYNC:
        found.append(Reason.NEEDS_RESYNC)
    found += job_reasons
    incremental = stream.sync_mode is SyncMode.INCREMENTAL
    for change in changes:
        reason = stream_reason(change.setting.split(".")[0], incremental=incremental)
        if reason is not None:
            found.append(reason)
    return tuple(dict.fromkeys(found))


def _unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    return sum(k in before and before[k] == v for k, v in after.items())


def _in_place_notes(changes: tuple[SettingChange, ...], stored: StoredStream) -> tuple[str, ...]:
    if not stored.phase.has_data and any(c.forces for c in changes):
        return ("never synced: there is nothing to clear",)
    return ()


def _rebuild(
    context: Context,
    job: Job,
    stored_job: StoredJob,
    stored: StoredStream,
    stream: Stream,
    changes: tuple[SettingChange, ...],
    reasons: tuple[Reason, ...],
) -> Rebuild:
    address = Address.of_stream(job.name, stream.id)
    old, new = stored.place, place_of(stream)
    left = Reason.DESTINATION_IDENTITY in reasons
    blocked: tuple[Block, ...] = ()
    if left or old != new:
        blocked = taken(context, job.destination, new, stored.uid)
    destination = str(stored_job.spec.get("destination"))
    if not left:
        blocked = (*blocked, *not_ours(context, destination, stored))
    notes = [f"table {old} at the old destination is left as it is"] if left else []
    if reasons == (Reason.DESTINATION_MOVED,):
        notes += _moved_notes(context, address, old, new)
    cost = impact(context.observed, destination, stored)
    if not job.active:
        # No sync will run: a time for it would be a lie.
        cost = cost.model_copy(update={"seconds": None})
        notes.append(f"{job.name} will be inactive: the table stays empty until it is active again")
    return Rebuild(
        address=address,
        before=stored.spec,
        after=show_stream(stream),
        old=old,
        new=new,
        leaves_old=left,
        changes=changes,
        reasons=reasons,
        unchanged=_unchanged(stored.spec, show_stream(stream)),
        notes=tuple(notes),
        impact=cost,
        consent=_rebuild_consent(stored, stream, reasons),
        blocked=(*blocked, *not_runnable(job.active, stored_job)),
        serial=stored_job.serial,
        place=context.desired.origins.place(address),
    )


def _moved_notes(context: Context, address: Address, old: TablePlace, new: TablePlace) -> list[str]:
    """Say how to keep the table of a stream whose new name gave it another table."""
    if old == new or (origin := context.moved.get(address)) is None:
        return []
    pins = [f"destination_table: {old.table}"] if old.table != new.table else []
    pins += [f"destination_database: {old.database}"] if old.database != new.database else []
    return [
        f"it was {origin.short}, and its table is named after it: to keep {old} and its data, "
        f"set {' and '.join(pins)}"
    ]


def _rebuild_consent(stored: StoredStream, stream: Stream, reasons: tuple[Reason, ...]) -> Consent:
    # Taking a protection away counts for later plans only: the stored one still holds now.
    protected = stream.protect.rebuild or bool(stored.spec.get("protect", {}).get("rebuild"))
    moved = Reason.SOURCE_IDENTITY in reasons or Reason.DESTINATION_IDENTITY in reasons
    return Consent.GUARDED if protected or moved else Consent.DESTRUCTIVE


def impact(observed: Observed, destination: str, stored: StoredStream) -> Impact:
    """Return what a clear of the stream's table costs, from the destination's metadata and the last load."""
    status = observed.tables.get((destination, stored.place))
    rows = size = None
    if isinstance(status, TableFacts):
        rows, size = status.rows, status.bytes
    load = stored.last_load
    rate = round(load.rows / load.seconds) if load and load.rows and load.seconds > 0 else None
    seconds = max(1, round(rows / rate)) if rows is not None and rate else None
    return Impact(rows=rows, bytes=size, seconds=seconds, rate=rate)


def _size_note(context: Context, job: Job, stream: StreamId) -> tuple[str, ...]:
    seen = context.observed.streams.get((job.source, stream))
    if seen is None or seen.rows is None:
        return ()
    return (f"about {counted(seen.rows, 'row')} to load",)


def rebuilds_every_stream(setting: str) -> bool:
    """Whether a change of a job's setting concerns the tables of all its streams."""
    return JOB_EFFECTS[setting] in (Effect.ENDPOINT, Effect.REBUILD)
