"""From the actions of a plan to the records that are stored when they are done. Pure but for new uids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from olake_reconcile.model.codec import read_job, read_stream
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.job import canonical_job
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import MODEL_VERSION, StoredJob, StoredStream, StreamPhase
from olake_reconcile.model.stream import canonical_stream
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import Action, Create, Forget, Import, Keep, Move, Rebuild, Remove, Update


def settled_job(
    name: str,
    actions: Sequence[Action],
    stored: StoredJob | None,
    new_uid: Callable[[], str],
    *,
    syncing: bool = False,
) -> StoredJob:
    """Return the job as it is stored once `actions` (its own and its streams') are done.

    `stored` is what it was; None for a new job, whose actions then hold its creation. While a sync goes on a stream
    that is removed is remembered in any case: it may be about to make its table, which would be nobody's.
    """
    job = stored
    for action in actions:
        if action.address.kind == "job" and isinstance(action, Create | Update):
            job = _with_settings(name, action.after, job, new_uid)
    if job is None:
        raise AssertionError(f"no action creates job {name}")
    streams = dict(job.streams)
    for action in actions:
        if action.address.kind == "stream":
            _settle_stream(streams, action, new_uid, syncing=syncing)
    return job.model_copy(update={"streams": streams})


def _with_settings(
    name: str, spec: dict[str, Any], stored: StoredJob | None, new_uid: Callable[[], str]
) -> StoredJob:
    settings: dict[str, Any] = {
        "spec": spec,
        "fingerprint": fingerprint(canonical_job(read_job(name, spec))),
        "model_version": MODEL_VERSION,
    }
    if stored is None:
        return StoredJob(name=name, uid=new_uid(), **settings)
    return stored.model_copy(update=settings)


def _settle_stream(
    streams: dict[StreamId, StoredStream], action: Action, new_uid: Callable[[], str], *, syncing: bool
) -> None:
    stream_id = StreamId.parse(action.address.stream)
    match action:
        case Create():
            settings = _stream_settings(stream_id, action.after)
            streams[stream_id] = StoredStream(id=stream_id, uid=new_uid(), **settings)
        case Import():
            settings = _stream_settings(stream_id, action.after)
            streams[stream_id] = StoredStream(
                id=stream_id,
                uid=action.uid,
                generation=action.generation,
                phase=StreamPhase.LIVE,
                **settings,
            )
        case Update():
            settings = _stream_settings(stream_id, action.after)
            streams[stream_id] = streams[stream_id].model_copy(update=settings)
        case Rebuild():
            settings = _stream_settings(stream_id, action.after)
            before = streams[stream_id]
            streams[stream_id] = before.model_copy(
                update={
                    **settings,
                    "generation": before.generation + 1,
                    "phase": StreamPhase.PENDING,
                    "phase_reason": "",
                    "position": {},
                }
            )
        case Remove():
            before = streams[stream_id]
            if action.erase or not (before.phase.has_data or syncing):
                # Nothing of it is left: should it come back, it is a new stream.
                del streams[stream_id]
            else:
                streams[stream_id] = before.model_copy(update={"phase": StreamPhase.REMOVED})
        case Forget():
            del streams[stream_id]
        case Move() | Keep():
            pass


def _stream_settings(stream_id: StreamId, spec: dict[str, Any]) -> dict[str, Any]:
    stream = read_stream(stream_id, spec)
    return {
        "spec": spec,
        "fingerprint": fingerprint(canonical_stream(stream)),
        "model_version": MODEL_VERSION,
        "place": TablePlace(database=stream.destination_database, table=stream.destination_table),
    }
