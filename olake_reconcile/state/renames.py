"""Renames of what was applied, each in one transaction (model/renaming.py says what they mean)."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from olake_reconcile.errors import StalePlan
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.renaming import split_off, with_endpoint
from olake_reconcile.model.stored import StoredEndpoint, StoredJob, StoredStream
from olake_reconcile.state.applied import BESIDE_RECORD, is_stream
from olake_reconcile.state.base import EndpointKind, Lease
from olake_reconcile.state.leases import check_fence
from olake_reconcile.state.sqlite import SqliteDatabase
from olake_reconcile.state.tables import endpoints, holds, jobs, runs, streams

Rename = Callable[[sa.Connection, Address, Address], None]


class RenameTables:
    """The names of what a store keeps."""

    _database: SqliteDatabase

    def rename(self, before: Address, after: Address, fence: Lease) -> None:
        """Give what is stored at `before` the name `after`; done again it changes nothing."""
        with self._database.write() as connection:
            check_fence(connection, fence)
            old, new = _is_stored(connection, before), _is_stored(connection, after)
            if new and not old:
                return
            if new or not old:
                raise StalePlan(
                    f"{before} cannot become {after}: {'both are stored' if old else 'neither is stored'}",
                    remedy="Make a new plan.",
                )
            match before.kind:
                case "source" | "destination" as kind:
                    _rename_endpoint(connection, kind, before.name, after.name)
                case "job":
                    _rename_job(connection, before.name, after.name)
                case "stream":
                    _rename_stream(connection, before, after)


def _found(address: Address) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    match address.kind:
        case "job":
            return jobs, jobs.c.name == address.name
        case "stream":
            return streams, is_stream(address.name, StreamId.parse(address.stream))
        case kind:
            return endpoints, (endpoints.c.kind == kind) & (endpoints.c.name == address.name)


def _is_stored(connection: sa.Connection, address: Address) -> bool:
    table, found = _found(address)
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(found)) != 0


def _rename_endpoint(connection: sa.Connection, kind: EndpointKind, old: str, new: str) -> None:
    found = (endpoints.c.kind == kind) & (endpoints.c.name == old)
    record = StoredEndpoint.model_validate_json(_record(connection, endpoints, found))
    text = record.model_copy(update={"name": new}).model_dump_json(exclude={"serial"})
    connection.execute(endpoints.update().where(found).values(name=new, record=text))
    for row in connection.execute(sa.select(jobs.c.name, jobs.c.record)).all():
        job = StoredJob.model_validate_json(row.record)
        if job.spec.get(kind) == old:
            text = with_endpoint(job, kind, new).model_dump_json(exclude=BESIDE_RECORD)
            connection.execute(jobs.update().where(jobs.c.name == row.name).values(record=text))


def _rename_job(connection: sa.Connection, old: str, new: str) -> None:
    found = jobs.c.name == old
    row = connection.execute(sa.select(jobs).where(found)).one()
    job = StoredJob.model_validate_json(row.record).model_copy(update={"name": new})
    text = job.model_dump_json(exclude=BESIDE_RECORD)
    # The new row first: those that refer to it must have one at every moment.
    connection.execute(jobs.insert().values({**row._mapping, "name": new, "record": text}))
    for table in (streams, holds, runs):
        connection.execute(table.update().where(table.c.job == old).values(job=new))
    connection.execute(jobs.delete().where(found))


def _rename_stream(connection: sa.Connection, before: Address, after: Address) -> None:
    old, new = StreamId.parse(before.stream), StreamId.parse(after.stream)
    if not _is_stored(connection, Address("job", after.name)):
        giver = StoredJob.model_validate_json(_record(connection, jobs, jobs.c.name == before.name))
        taker = split_off(giver, after.name)
        text = taker.model_dump_json(exclude=BESIDE_RECORD)
        row = {"name": after.name, "serial": taker.serial, "due": None, "due_reason": "", "record": text}
        connection.execute(jobs.insert().values(row))
    found = is_stream(before.name, old)
    stream = StoredStream.model_validate_json(_record(connection, streams, found))
    text = stream.model_copy(update={"id": new}).model_dump_json()
    row = {"job": after.name, "namespace": new.namespace, "name": new.name, "record": text}
    connection.execute(streams.update().where(found).values(row))


def _record(connection: sa.Connection, table: sa.Table, found: sa.ColumnElement[bool]) -> str:
    return str(connection.scalar(sa.select(table.c.record).where(found)))
