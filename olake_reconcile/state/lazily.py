"""Stored streams, read from their records when somebody asks for one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

import orjson

from olake_reconcile.model.deferred import Deferred, digest_of
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import MODEL_VERSION, StoredStream, StreamPhase
from olake_reconcile.model.table import TablePlace

Records = Sequence[tuple[StreamId, str]]


def stored_streams(
    records: Records, errors: Callable[[], AbstractContextManager[None]]
) -> Deferred[StoredStream]:
    """Return the streams of a job; what is wrong with a record shows when it is read, as `errors` says it."""

    def make() -> Mapping[StreamId, StoredStream]:
        with errors():
            read = (StoredStream.model_validate_json(record) for _, record in records)
            return {stream.id: stream for stream in read}

    def relied_on() -> Collection[TablePlace]:
        # Nearly every stream without a cursor ends here, and is not made.
        if all('"position":{}' in record for _, record in records):
            return ()
        return [s.place for s in streams.values() if s.relies_on_its_table]

    streams = Deferred(len(records), make, lambda: _digest(records), lambda: _present(records), relied_on)
    return streams


def _digest(records: Records) -> str | None:
    """Return what the streams that are still wanted mean together; None when one of them needs a closer look."""
    marks = []
    for stream, record in records:
        try:
            known = orjson.loads(record)
            phase, mark, version = known["phase"], known["fingerprint"], known["model_version"]
        except (ValueError, KeyError, TypeError):
            return None
        if phase == StreamPhase.REMOVED:
            continue
        if phase == StreamPhase.NEEDS_RESYNC or version != MODEL_VERSION:
            return None
        marks.append((stream, mark))
    return digest_of(marks)


def _present(records: Records) -> int:
    removed = f'"phase":"{StreamPhase.REMOVED}"'
    return sum(
        removed not in record or orjson.loads(record).get("phase") != "removed" for _, record in records
    )
