"""Replacing all of a table in one catalog commit: schema, partitioning, rows, marks.

A reader sees the old table or the new one, never a mixture and never an empty one. The new snapshot lists the new files
alone; what the old one listed is recorded as deleted. The first load creates the table in the same commit as its rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import load_file_io

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table
from olake_reconcile.destinations.iceberg.commit import Conflict, commit_snapshot
from olake_reconcile.destinations.iceberg.files import TableFormat, WrittenFile
from olake_reconcile.destinations.iceberg.partition import partition_spec
from olake_reconcile.destinations.iceberg.schema import iceberg_schema
from olake_reconcile.destinations.iceberg.snapshot import data_file, replacement
from olake_reconcile.destinations.iceberg.summary import COMMIT_ID, RUN_ID
from olake_reconcile.destinations.iceberg.target import Target, checked, new_metadata, numbered
from olake_reconcile.model.column_type import DestinationColumn
from olake_reconcile.model.partition import PartitionField
from olake_reconcile.model.table import Owner, TablePlace

__all__ = ["COMMIT_ID", "RUN_ID", "Conflict", "Replacement", "begin", "commit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement(Target):
    """A replacement that was begun: what the files must look like, and what the table was then."""


def begin(
    catalog: SqlCatalog,
    house: Lakehouse,
    place: TablePlace,
    owner: Owner,
    columns: Sequence[DestinationColumn],
    partition_by: Sequence[PartitionField],
    names: Mapping[str, str],
) -> Replacement:
    """Look at the table and work out what the load has to write. Changes nothing.

    Raises `Blocked` when a table is there that belongs to another, `ReconcileError` when it is of a later generation.
    """
    existing = load_table(catalog, place)
    known = checked(existing, place, owner)
    schema = iceberg_schema(columns, known.schema() if known else None, known.last_column_id if known else 0)
    specs = known.partition_specs if known else []
    spec = partition_spec(partition_by, names, schema, specs)
    if known is None:
        staged = new_metadata(house, place, owner, schema, spec)
        schema, spec = staged.schema(), staged.spec()
    else:
        staged = known
        schema = numbered(schema, known)
    return Replacement(
        place=place,
        owner=owner,
        existing=existing,
        staged=staged,
        schema=schema,
        format=TableFormat(schema=schema, spec=spec, folder=f"{staged.location}/data"),
        io=load_file_io(catalog.properties, staged.location),
        commit_id=uuid.uuid4().hex,
    )


def commit(
    catalog: SqlCatalog,
    target: Replacement,
    files: Sequence[WrittenFile],
    run_id: str,
    position: Mapping[str, Any] | None = None,
) -> int:
    """Make `files` the whole content of the table, which stands at `position` then; return the id of the snapshot.

    Raises `Conflict` when the table changed since `begin`, `OutcomeUnknown` when the catalog's answer was lost and
    cannot be found out. After `Conflict` nothing refers to `files`.
    """
    added = [data_file(f) for f in files]
    delta = replacement(target.io, target.staged, target.schema, added)
    return commit_snapshot(catalog, target, delta, run_id, position)
