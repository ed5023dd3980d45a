"""Changing part of a table in one catalog commit: rows are added or replaced, and the position moves along with them.

    change = open_change(catalog, house, place, owner, columns, partition_by, names)
    change.position                      where the table's rows stand; None in a table that has no position yet
    DataWriter(change.io, change.format, prefix)          writes the files
    append(catalog, change, files, run_id, position)      adds them
    upsert(catalog, change, files, key, run_id, position) adds them; rows with the same key go   (merge.py)
    absent(change, batches, column)      leaves out the rows that the table holds already        (overlap.py)

Every call that commits does so once. A commit is built on the table as `open_change` found it; when somebody else
committed since, that may only have been maintenance (the same rows in other files), else `Conflict` is raised and
nothing is visible: the caller deletes its files, or opens the change anew and decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import load_file_io
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table
from olake_reconcile.destinations.iceberg.commit import Conflict, commit_position, commit_snapshot
from olake_reconcile.destinations.iceberg.evolve import IncompatibleSchema, evolve, file_schema
from olake_reconcile.destinations.iceberg.files import TableFormat, WrittenFile
from olake_reconcile.destinations.iceberg.owner import owner_of
from olake_reconcile.destinations.iceberg.partition import partition_spec
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.schema import iceberg_schema
from olake_reconcile.destinations.iceberg.snapshot import change as changed
from olake_reconcile.destinations.iceberg.snapshot import data_file
from olake_reconcile.destinations.iceberg.target import Target, checked, new_metadata, numbered
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.column_type import DestinationColumn
from olake_reconcile.model.partition import PartitionField
from olake_reconcile.model.table import Owner, TablePlace

__all__ = ["Change", "Conflict", "IncompatibleSchema", "append", "open_change"]

#: How often a commit is built anew because maintenance came first; each time the table is looked at again.
_ATTEMPTS: Final = 5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Target):
    """A change that was begun. `format` is what files of the given columns must look like."""

    position: dict[str, Any] | None
    scratch: Path | None  # where a merge that outgrows its memory spills; None: the system's temporary folder

    @property
    def evolved(self) -> bool:
        """Whether the table gets another schema by this change; worth a commit even without rows."""
        return self.existing is None or self.schema.schema_id != self.staged.current_schema_id


def open_change(
    catalog: SqlCatalog,
    house: Lakehouse,
    place: TablePlace,
    owner: Owner,
    columns: Sequence[DestinationColumn],
    partition_by: Sequence[PartitionField],
    names: Mapping[str, str],
    *,
    scratch: Path | None = None,
) -> Change:
    """Look at the table, or plan its creation, and work out schema and position. Changes nothing.

    A table that exists keeps its partitioning, whatever `partition_by` says: another one is another generation.
    Raises `Blocked` when the table belongs to another, `ReconcileError` when it is of another generation,
    `IncompatibleSchema` when the columns do not fit.
    """
    existing = load_table(catalog, place)
    known = checked(existing, place, owner)
    if known is None:
        schema = iceberg_schema(columns, None, 0)
        staged = new_metadata(house, place, owner, schema, partition_spec(partition_by, names, schema))
        schema = staged.schema()
    else:
        staged = known
        _require_generation(place, known, owner)
        partitioned_by = {f.source_id for f in known.spec().fields}
        schema = numbered(evolve(known.schema(), columns, known.last_column_id, partitioned_by, place), known)
    return Change(
        place=place,
        owner=owner,
        existing=existing,
        staged=staged,
        schema=schema,
        format=TableFormat(
            schema=file_schema(schema, columns), spec=staged.spec(), folder=f"{staged.location}/data"
        ),
        io=load_file_io(catalog.properties, staged.location),
        commit_id=uuid.uuid4().hex,
        position=position_of(staged),
        scratch=scratch,
    )


def _require_generation(place: TablePlace, metadata: TableMetadata, owner: Owner) -> None:
    found = owner_of(metadata.properties)
    if found is not None and found.generation < owner.generation:
        raise ReconcileError(
            f"the table {place} is of generation {found.generation}, this run writes generation {owner.generation}",
            why="It holds rows from before the last clear, written since by a runner that should have stopped: "
            "adding to them would mix two lives of the table.",
            remedy="Look for that runner, then run `clear` for the stream.",
        )


def append(
    catalog: SqlCatalog,
    change: Change,
    files: Sequence[WrittenFile],
    run_id: str,
    position: Mapping[str, Any],
) -> int | None:
    """Add the rows of `files` and move to `position`; return the snapshot's id, None when no snapshot was needed.

    Without files only schema and position are committed, and nothing at all when neither changed. Raises `Conflict`,
    `OutcomeUnknown` (the files may be the table's by now: keep them), or `ReconcileError` when the catalog refused.
    """
    if not files:
        move(catalog, change, position)
        return None
    added = [data_file(f) for f in files]
    return on_latest(
        catalog,
        change,
        lambda base: commit_snapshot(catalog, base, changed(base.io, base.staged, added), run_id, position),
    )


def move(catalog: SqlCatalog, change: Change, position: Mapping[str, Any]) -> None:
    """Commit schema and position without a snapshot, if either changed."""
    if change.evolved or position != change.position:
        on_latest(catalog, change, lambda base: commit_position(catalog, base, position))


def on_latest(catalog: SqlCatalog, change: Change, attempt: Callable[[Change], _T]) -> _T:
    """Run `attempt`, again with the table as it is then when only maintenance came between. Raises `Conflict`."""
    for _ in range(_ATTEMPTS):
        try:
            return attempt(change)
        except Conflict as conflict:
            change = _rebased(change, load_table(catalog, change.place), conflict)
    return attempt(change)


def _rebased(change: Change, table: Table | None, conflict: Conflict) -> Change:
    """Return `change` on top of `table`. Raises `conflict` when more than maintenance was committed since."""
    before = change.existing
    if before is None or table is None or before.metadata.table_uuid != table.metadata.table_uuid:
        raise conflict
    now = table.metadata
    checked(table, change.place, change.owner)
    same = (
        now.current_schema_id == before.metadata.current_schema_id
        and now.default_spec_id == before.metadata.default_spec_id
        and position_of(now) == change.position
        and _only_maintenance(before.metadata, now)
    )
    if not same:
        raise conflict
    return replace(change, existing=table, staged=now)


def _only_maintenance(before: TableMetadata, now: TableMetadata) -> bool:
    """Whether every snapshot since holds the same rows as the one before it."""
    base = before.current_snapshot_id
    head = now.current_snapshot()
    while head is not None and head.snapshot_id != base:
        if head.summary is None or head.summary.operation != Operation.REPLACE:
            return False
        head = now.snapshot_by_id(head.parent_snapshot_id) if head.parent_snapshot_id else None
    return head is not None or base is None
