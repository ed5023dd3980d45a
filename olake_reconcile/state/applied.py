"""What was applied: endpoints, jobs with their streams, holds and due times."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from olake_reconcile.errors import Blocked, ReconcileError, StalePlan
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.stored import (
    Hold,
    LastLoad,
    Stored,
    StoredEndpoint,
    StoredJob,
    StoredStream,
    StreamPhase,
)
from olake_reconcile.state.base import EndpointKind, Lease
from olake_reconcile.state.format import set_value, value
from olake_reconcile.state.lazily import stored_streams
from olake_reconcile.state.leases import check_fence
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import endpoints, holds, jobs, streams

# What has a column or a table of its own is not in the record.
BESIDE_RECORD = {"streams", "due", "due_reason", "attempt", "hold", "serial"}
_APPLIED = "applied"


class AppliedTables:
    """What was applied, as one store keeps it."""

    _database: SqliteDatabase

    def read(self, job: str | None = None) -> Stored:
        """Return everything that was applied, in one consistent view; with `job`, of the jobs only that one."""
        with self._database.read() as connection, _uncollected():
            if connection is None:
                return Stored()
            return Stored(
                exists=value(connection, _APPLIED) is not None,
                sources=_read_endpoints(connection, "source"),
                destinations=_read_endpoints(connection, "destination"),
                jobs=_read_jobs(self._database, connection, job),
            )

    def key(self) -> bytes | None:
        """Return the project's own key for fingerprints of secrets, None before the first write."""
        with self._database.read() as connection:
            text = value(connection, "key") if connection is not None else None
            return bytes.fromhex(text) if text else None

    def save_endpoint(self, kind: EndpointKind, endpoint: StoredEndpoint, fence: Lease) -> None:
        """Insert or replace; `StalePlan` unless the stored serial is the endpoint's."""
        row = {"kind": kind, "name": endpoint.name, "record": endpoint.model_dump_json(exclude={"serial"})}
        found = (endpoints.c.kind == kind) & (endpoints.c.name == endpoint.name)
        with self._database.write() as connection:
            check_fence(connection, fence)
            _compare_and_set(connection, endpoints, found, row, endpoint.serial, f"{kind}.{endpoint.name}")
            set_value(connection, _APPLIED, "1")

    def record_identity(
        self, kind: EndpointKind, name: str, identity: str, fence: Lease, *, before: str | None = None
    ) -> None:
        """Store what the server says it is, where `before` was recorded; the serial stays."""
        found = (endpoints.c.kind == kind) & (endpoints.c.name == name)
        with self._database.write() as connection:
            check_fence(connection, fence)
            record = connection.scalar(sa.select(endpoints.c.record).where(found))
            endpoint = StoredEndpoint.model_validate_json(record) if record is not None else None
            if endpoint is None or endpoint.identity != before:
                return
            known = endpoint.model_copy(update={"identity": identity})
            row = {"record": known.model_dump_json(exclude={"serial"})}
            connection.execute(endpoints.update().where(found).values(row))

    def remove_endpoint(self, kind: EndpointKind, name: str, fence: Lease) -> None:
        """Remove it; absent is fine. Raises `Blocked` while a stored job uses it."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            users = sorted(
                n for n, j in _read_jobs(self._database, connection, None).items() if j.spec.get(kind) == name
            )
            if users:
                raise Blocked(f"{kind}.{name} is used by {', '.join(users[:5])}", remedy="Remove them first.")
            connection.execute(endpoints.delete().where(endpoints.c.kind == kind, endpoints.c.name == name))

    def save_job(self, job: StoredJob, fence: Lease) -> None:
        """Insert or replace the job and its streams at once; `StalePlan` unless the stored serial is the job's."""
        row = {"name": job.name, "record": job.model_dump_json(exclude=BESIDE_RECORD)}
        if not job.serial:
            row["due_reason"] = ""
        with self._database.write() as connection:
            check_fence(connection, fence)
            _compare_and_set(connection, jobs, jobs.c.name == job.name, row, job.serial, f"job.{job.name}")
            _save_streams(connection, job)
            set_value(connection, _APPLIED, "1")

    def remove_job(self, name: str, fence: Lease) -> None:
        """Remove a job, its streams and its hold; its runs stay in the history. Absent is fine."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            connection.execute(jobs.delete().where(jobs.c.name == name))

    def save_progress(
        self,
        job: str,
        stream: StreamId,
        *,
        generation: int,
        phase: StreamPhase,
        position: Mapping[str, Any],
        phase_reason: str = "",
        last_load: LastLoad | None = None,
        synced_at: datetime | None = None,
        fence: Lease,
    ) -> bool:
        """Store how far a stream is; one of another generation, removed or unknown, is left alone."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            record = connection.scalar(sa.select(streams.c.record).where(is_stream(job, stream)))
            stored = StoredStream.model_validate_json(record) if record is not None else None
            if stored is None or stored.generation != generation or stored.phase is StreamPhase.REMOVED:
                return False
            progress: dict[str, Any] = {
                "phase": phase,
                "phase_reason": phase_reason,
                "position": dict(position),
            }
            if last_load is not None:
                progress["last_load"] = last_load
            if synced_at is not None:
                progress["synced_at"] = synced_at
            record = stored.model_copy(update=progress).model_dump_json()
            connection.execute(streams.update().where(is_stream(job, stream)).values(record=record))
            return True

    def set_due(
        self, job: str, due: datetime | None, reason: str, *, sooner: bool = False, attempt: int = 0
    ) -> None:
        """Set when the job runs next; with `sooner` only if that is earlier than what is stored."""
        if (sooner and due is None) or not self._database.exists():
            return
        change = jobs.update().where(jobs.c.name == job).values(due=due, due_reason=reason, attempt=attempt)
        if sooner:
            change = change.where(jobs.c.due.is_(None) | (jobs.c.due > due))
        with self._database.write() as connection:
            connection.execute(change)

    def set_hold(self, job: str, hold: Hold | None) -> None:
        """Set or lift a hold. Raises `ReconcileError` for a job that is not stored: it would hold nothing."""
        if hold is None and not self._database.exists():
            return
        with self._database.write() as connection:
            connection.execute(holds.delete().where(holds.c.job == job))
            if hold is None:
                return
            if connection.scalar(sa.select(jobs.c.name).where(jobs.c.name == job)) is None:
                raise ReconcileError(f"There is no stored job '{job}' to pause", remedy="Apply it first.")
            connection.execute(holds.insert().values(job=job, **hold.model_dump()))


def _compare_and_set(
    connection: sa.Connection,
    table: sa.Table,
    found: sa.ColumnElement[bool],
    row: dict[str, Any],
    serial: int,
    address: str,
) -> None:
    stored = connection.scalar(sa.select(table.c.serial).where(found)) or 0
    if stored != serial:
        raise StalePlan(
            f"{address} is no longer what the plan was made from",
            why=f"Its stored version is {stored or 'gone'}, the plan was made from {serial or 'none'}.",
            remedy="Make a new plan.",
        )
    row = row | {"serial": serial + 1}
    connection.execute(table.update().where(found).values(row) if stored else table.insert().values(row))


def _save_streams(connection: sa.Connection, job: StoredJob) -> None:
    """Write the streams that differ from what is stored, and drop those that the job no longer has."""
    known = {
        StreamId(row.namespace, row.name): row.record
        for row in connection.execute(sa.select(streams).where(streams.c.job == job.name))
    }
    rows = {id_: _with_progress(stream, known.get(id_)) for id_, stream in job.streams.items()}
    new = [_stream_row(job.name, id_, rows[id_]) for id_ in rows if id_ not in known]
    if new:
        connection.execute(streams.insert(), new)
    for id_ in rows.keys() & known.keys():
        if rows[id_] != known[id_]:
            connection.execute(streams.update().where(is_stream(job.name, id_)).values(record=rows[id_]))
    for id_ in known.keys() - rows.keys():
        connection.execute(streams.delete().where(is_stream(job.name, id_)))


def _with_progress(stream: StoredStream, record: str | None) -> str:
    """Return the record to store: progress that a run saved since the caller read it is kept."""
    stored = StoredStream.model_validate_json(record) if record is not None else stream
    if stored.generation == stream.generation:
        kept: dict[str, Any] = {
            "position": stored.position,
            "last_load": stored.last_load,
            "synced_at": stored.synced_at,
        }
        if stored.phase is StreamPhase.QUARANTINED and stored.fingerprint != stream.fingerprint:
            kept |= {"phase": StreamPhase.LIVE, "phase_reason": ""}  # with other settings it may go on
        elif StreamPhase.REMOVED not in (stored.phase, stream.phase):
            kept |= {"phase": stored.phase, "phase_reason": stored.phase_reason}
        stream = stream.model_copy(update=kept)
    return stream.model_dump_json()


def _stream_row(job: str, id_: StreamId, record: str) -> dict[str, str]:
    return {"job": job, "namespace": id_.namespace, "name": id_.name, "record": record}


def is_stream(job: str, id_: StreamId) -> sa.ColumnElement[bool]:
    """Return what finds one stream's row."""
    return (streams.c.job == job) & (streams.c.namespace == id_.namespace) & (streams.c.name == id_.name)


def _read_endpoints(connection: sa.Connection, kind: EndpointKind) -> dict[str, StoredEndpoint]:
    rows = connection.execute(sa.select(endpoints).where(endpoints.c.kind == kind).order_by(endpoints.c.name))
    return {
        row.name: StoredEndpoint.model_validate_json(row.record).model_copy(update={"serial": row.serial})
        for row in rows
    }


def _read_jobs(database: SqliteDatabase, connection: sa.Connection, only: str | None) -> dict[str, StoredJob]:
    found = sa.select(jobs).order_by(jobs.c.name)
    if only is not None:
        found = found.where(jobs.c.name == only)
    held = {row.job: _hold(row) for row in connection.execute(sa.select(holds))}
    by_job = _read_records(connection, only)
    return {
        row.name: StoredJob.model_validate_json(row.record).model_copy(
            update={
                "serial": row.serial,
                "due": row.due,
                "due_reason": row.due_reason,
                "attempt": row.attempt,
                "hold": held.get(row.name),
                "streams": stored_streams(by_job.get(row.name, []), database.errors),
            }
        )
        for row in connection.execute(found)
    }


def _read_records(connection: sa.Connection, only: str | None) -> dict[str, list[tuple[StreamId, str]]]:
    found = sa.select(streams.c.job, streams.c.namespace, streams.c.name, streams.c.record)
    if only is not None:
        found = found.where(streams.c.job == only)
    by_job: dict[str, list[tuple[StreamId, str]]] = {}
    ordered = found.order_by(streams.c.job, streams.c.namespace, streams.c.name)
    for job, namespace, name, record in connection.execute(ordered):
        by_job.setdefault(job, []).append((StreamId(namespace, name), record))
    return by_job


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection: with 20,000 new streams and no garbage it takes three times as long as reading."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _hold(row: sa.Row[Any]) -> Hold:
    return Hold(who=row.who, why=row.why, since=row.since, until=row.until)
