"""What a PostgreSQL source is, and what it offers."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from olake_reconcile.model.catalogue import Catalogue, SourceColumn, SourceStream
from olake_reconcile.model.stream import SyncMode
from olake_reconcile.sources.postgres.catalog import RELATION_KINDS, Relation, relations
from olake_reconcile.sources.postgres.connection import Connection
from olake_reconcile.sources.postgres.types import rule_for


def identity(connection: Connection) -> str:
    """Return what tells this database from every other, whatever its address (design §4)."""
    try:
        row = connection.execute(
            "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        # Some hosted servers forbid it. The age of the database's own catalogue entry is the next best thing.
        row = connection.execute(
            "SELECT 'oid-' || oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        ).fetchone()
    assert row is not None
    return f"postgres:{row[0]}/{connection.info.dbname}"


def describe(connection: Connection) -> str:
    """Return the server's version and the database, for people."""
    version = connection.info.server_version
    return f"PostgreSQL {version // 10000}.{version % 10000}, database {connection.info.dbname}"


def warnings(connection: Connection) -> tuple[str, ...]:
    """Return what a user of this source should know."""
    found = []
    if connection.info.server_version < 140000:
        found.append("This server is older than PostgreSQL 14: each table is read over one connection.")
    row = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    if row and row[0]:
        found.append(
            "This server is a standby: long loads may be cancelled by replay (max_standby_streaming_delay)."
        )
    return tuple(found)


def discover(connection: Connection, schemas: Sequence[str]) -> Catalogue:
    """Return every table and view that the user may read."""
    found = {r.id: _stream(r) for r in relations(connection, schemas=schemas)}
    return Catalogue(identity=identity(connection), streams=found)


def _stream(relation: Relation) -> SourceStream:
    columns = []
    for column in relation.columns:
        rule = rule_for(column.type, {})
        columns.append(
            SourceColumn(
                name=column.name,
                type=column.type_text,
                kind=rule.type.kind if rule else None,
                nullable=column.nullable,
            )
        )
    return SourceStream(
        id=relation.id,
        relation=RELATION_KINDS[relation.kind],
        columns=tuple(columns),
        primary_key=relation.primary_key,
        sync_modes=(SyncMode.FULL_REFRESH, SyncMode.INCREMENTAL),
        rows=relation.rows,
        bytes=relation.bytes,
        indexed=relation.indexed,
    )
