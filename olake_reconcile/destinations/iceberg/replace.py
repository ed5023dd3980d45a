"""Replacing all of a table in one catalog commit: schema, partitioning, rows, marks.

A reader sees the old table or the new one, never a mixture and never an empty one. The new snapshot lists the new files
alone; what the old one listed is recorded as deleted. The first load creates the table in the same commit as its rows.

Order of events, and what a crash leaves: data files (unreferenced) → manifests, manifest list (unreferenced) →
metadata file (unreferenced) → the catalog's row, which makes all of it current at once. So a crash leaves files that
nothing refers to, in a folder of this table's generation alone, and never a broken table.

pyiceberg's transactions are not used: they retry a conflict by themselves, and a stale writer would replace newer
rows. The commit is built from Iceberg's own updates and requirements, and sent once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    TableAlreadyExistsError,
)
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSnapshotUpdate,
    AddSortOrderUpdate,
    AssertCreate,
    AssertRefSnapshotId,
    AssertTableUUID,
    AssignUUIDUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetLocationUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
    UpgradeFormatVersionUpdate,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table
from olake_reconcile.destinations.iceberg.files import TableFormat, WrittenFile, delete_files
from olake_reconcile.destinations.iceberg.owner import marks, require_ours
from olake_reconcile.destinations.iceberg.partition import partition_spec
from olake_reconcile.destinations.iceberg.schema import iceberg_schema
from olake_reconcile.destinations.iceberg.snapshot import SnapshotFiles, write_snapshot
from olake_reconcile.errors import OutcomeUnknown, ReconcileError
from olake_reconcile.model.column_type import DestinationColumn
from olake_reconcile.model.naming import reformat
from olake_reconcile.model.partition import PartitionField
from olake_reconcile.model.table import Owner, TablePlace

_MAIN = "main"
COMMIT_ID = "olake-reconcile.commit-id"
RUN_ID = "olake-reconcile.run-id"
#: Whoever else writes to the table with pyiceberg: a conflict must be looked at, not retried.
_PROPERTIES = {"commit.retry.num-retries": "0", "write.parquet.compression-codec": "zstd"}


class Conflict(ReconcileError):
    """Somebody else changed the table during the load; nothing was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A replacement that was begun: what the files must look like, and what the table was then."""

    place: TablePlace
    owner: Owner
    existing: Table | None
    staged: TableMetadata  # with the schema and spec that are to come
    format: TableFormat
    io: FileIO
    commit_id: str


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
    known = _checked(existing, place, owner)
    schema = iceberg_schema(columns, known.schema() if known else None, known.last_column_id if known else 0)
    specs = known.partition_specs if known else []
    spec = partition_spec(partition_by, names, schema, specs)
    if known is None:
        staged = _new_metadata(house, place, owner, schema, spec)
        schema, spec = staged.schema(), staged.spec()
    else:
        staged = known
        schema = _numbered(schema, known)
    return Replacement(
        place=place,
        owner=owner,
        existing=existing,
        staged=staged,
        format=TableFormat(
            columns=tuple(columns), schema=schema, spec=spec, folder=f"{staged.location}/data"
        ),
        io=load_file_io(catalog.properties, staged.location),
        commit_id=uuid.uuid4().hex,
    )


def _checked(existing: Table | None, place: TablePlace, owner: Owner) -> TableMetadata | None:
    if existing is None:
        return None
    found = require_ours(place, existing.properties, owner)
    if found.generation > owner.generation:
        raise ReconcileError(
            f"the table {place} is of generation {found.generation}, this run writes generation {owner.generation}",
            why="The table was rebuilt since these settings were stored; writing now would undo that.",
            remedy="Look for a second state store or an old runner of this project, then run `plan`.",
        )
    return existing.metadata


def _new_metadata(
    house: Lakehouse, place: TablePlace, owner: Owner, schema: Schema, spec: PartitionSpec
) -> TableMetadata:
    # Each generation has a folder of its own: after a clear nothing can mix with the next table of that name.
    folder = f"{reformat(place.table)[:100]}-g{owner.generation}-{uuid.uuid4().hex[:12]}"
    return new_table_metadata(
        schema=schema,
        partition_spec=spec,
        sort_order=UNSORTED_SORT_ORDER,
        location=f"{house.warehouse}/{reformat(place.database)[:100]}/{folder}",
        properties={**_PROPERTIES, **marks(owner), "format-version": "2"},
    )


def _numbered(schema: Schema, known: TableMetadata) -> Schema:
    """Give `schema` the number of an equal one of the table, else the next."""
    same = next((s.schema_id for s in known.schemas if s.fields == schema.fields), None)
    number = max(s.schema_id for s in known.schemas) + 1 if same is None else same
    return Schema(*schema.fields, schema_id=number)


def commit(catalog: SqlCatalog, replacement: Replacement, files: Sequence[WrittenFile], run_id: str) -> int:
    """Make `files` the whole content of the table; return the id of the snapshot.

    Raises `Conflict` when the table changed since `begin`, `OutcomeUnknown` when the catalog's answer was lost and
    cannot be found out. After `Conflict` nothing refers to `files`.
    """
    metadata = replacement.staged
    written = write_snapshot(
        replacement.io,
        metadata,
        replacement.format,
        files,
        {RUN_ID: run_id, COMMIT_ID: replacement.commit_id},
    )
    table = replacement.existing or _staged_table(catalog, replacement)
    requirements, updates = _first(replacement) if replacement.existing is None else _next(replacement)
    updates += (
        AddSnapshotUpdate(snapshot=written.snapshot),
        _main_is(written.snapshot.snapshot_id),
    )
    try:
        _create_namespace(catalog, replacement.place)
        catalog.commit_table(table, requirements, updates)
    except (CommitFailedException, TableAlreadyExistsError) as error:
        delete_files(replacement.io, written.locations)
        raise Conflict(
            f"the table {replacement.place} was changed by somebody else during the load",
            why=f"{error}. Its newer content was kept; nothing of this load is visible.",
            remedy="Find out who else writes to it, then run the sync again.",
        ) from None
    except (SQLAlchemyError, OSError) as error:
        _find_out(catalog, replacement, written, error)
    return written.snapshot.snapshot_id


def _find_out(
    catalog: SqlCatalog, replacement: Replacement, written: SnapshotFiles, error: Exception
) -> None:
    """Return when the commit did happen; raise what fits when it did not, or when nobody can say."""
    try:
        table = load_table(catalog, replacement.place)
    except (SQLAlchemyError, OSError):
        raise OutcomeUnknown(
            f"nobody knows whether the table {replacement.place} was replaced",
            why=f"The catalog failed during the commit ({_first_line(error)}) and does not answer now.",
            remedy="When it answers again, run the sync again: it replaces the table whatever happened.",
        ) from error
    snapshots = table.metadata.snapshots if table else []
    if any(s.snapshot_id == written.snapshot.snapshot_id for s in snapshots):
        return
    delete_files(replacement.io, written.locations)
    raise ReconcileError(
        f"the catalog refused to replace the table {replacement.place}",
        why=f"{_first_line(error)}. The old table is untouched.",
        remedy="Check the destination, then run the sync again.",
    ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _staged_table(catalog: SqlCatalog, replacement: Replacement) -> StagedTable:
    place = replacement.place
    return StagedTable(
        identifier=(place.database, place.table),
        metadata=replacement.staged,
        metadata_location="",
        io=replacement.io,
        catalog=catalog,
    )


def _create_namespace(catalog: SqlCatalog, place: TablePlace) -> None:
    if not catalog.namespace_exists((place.database,)):
        try:
            catalog.create_namespace((place.database,))
        except (NamespaceAlreadyExistsError, IntegrityError):
            return


def _main_is(snapshot_id: int) -> SetSnapshotRefUpdate:
    return SetSnapshotRefUpdate(
        ref_name=_MAIN,
        type=SnapshotRefType.BRANCH,
        snapshot_id=snapshot_id,
        max_ref_age_ms=None,
        max_snapshot_age_ms=None,
        min_snapshots_to_keep=None,
    )


Change = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]


def _first(replacement: Replacement) -> Change:
    metadata = replacement.staged
    return (AssertCreate(),), (
        AssignUUIDUpdate(uuid=metadata.table_uuid),
        UpgradeFormatVersionUpdate(format_version=2),
        AddSchemaUpdate(schema_=metadata.schema()),
        SetCurrentSchemaUpdate(schema_id=-1),
        AddPartitionSpecUpdate(spec=metadata.spec()),
        SetDefaultSpecUpdate(spec_id=-1),
        AddSortOrderUpdate(sort_order=UNSORTED_SORT_ORDER),
        SetDefaultSortOrderUpdate(sort_order_id=-1),
        SetLocationUpdate(location=metadata.location),
        SetPropertiesUpdate(updates=metadata.properties),
    )


def _next(replacement: Replacement) -> Change:
    metadata = replacement.staged
    schema, spec = replacement.format.schema, replacement.format.spec
    head = metadata.current_snapshot()
    requirements = (
        AssertTableUUID(uuid=metadata.table_uuid),
        AssertRefSnapshotId(ref=_MAIN, snapshot_id=head.snapshot_id if head else None),
    )
    updates: tuple[TableUpdate, ...] = ()
    if all(s.schema_id != schema.schema_id for s in metadata.schemas):
        updates += (AddSchemaUpdate(schema_=schema),)
    updates += (SetCurrentSchemaUpdate(schema_id=schema.schema_id),)
    if all(s.spec_id != spec.spec_id for s in metadata.partition_specs):
        updates += (AddPartitionSpecUpdate(spec=spec),)
    updates += (SetDefaultSpecUpdate(spec_id=spec.spec_id),)
    updates += (SetPropertiesUpdate(updates={**_PROPERTIES, **marks(replacement.owner)}),)
    return requirements, updates
