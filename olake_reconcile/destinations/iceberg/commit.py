"""The one way a table changes: schema, partitioning, marks and snapshot in one catalog commit, sent once.

Order of events, and what a crash leaves: data files (unreferenced) → manifests, manifest list (unreferenced) →
metadata file (unreferenced) → the catalog's row, which makes all of it current at once. So a crash leaves files that
nothing refers to, in a folder of this table's generation alone, and never a broken table.

pyiceberg's transactions are not used: they retry a conflict by themselves, and a stale writer would double its rows or
replace newer ones. The commit is built from Iceberg's own updates and requirements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
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

from olake_reconcile.destinations.iceberg.catalog import load_table
from olake_reconcile.destinations.iceberg.files import delete_files
from olake_reconcile.destinations.iceberg.owner import marks
from olake_reconcile.destinations.iceberg.position import (
    POSITION,
    position_property,
    position_text,
)
from olake_reconcile.destinations.iceberg.snapshot import Delta, SnapshotFiles, write_snapshot
from olake_reconcile.destinations.iceberg.summary import COMMIT_ID, RUN_ID
from olake_reconcile.destinations.iceberg.target import PROPERTIES, Target
from olake_reconcile.errors import OutcomeUnknown, ReconcileError
from olake_reconcile.model.table import TablePlace

_MAIN = "main"


class Conflict(ReconcileError):
    """Somebody else changed the table meanwhile; nothing was committed."""


def commit_snapshot(
    catalog: SqlCatalog,
    target: Target,
    delta: Delta,
    run_id: str,
    position: Mapping[str, Any] | None = None,
) -> int:
    """Make the head of `target`, changed by `delta`, the table's new head; return the snapshot's id.

    Raises `Conflict` when the table is not the one that `target` found, `OutcomeUnknown` when the catalog's answer was
    lost and cannot be found out, `ReconcileError` when it refused. After `Conflict` and a refusal the snapshot's
    metadata files are gone, and nothing refers to its data files.
    """
    summary = {RUN_ID: run_id, COMMIT_ID: target.commit_id}
    if position is not None:
        summary[POSITION] = position_text(position)
    written = write_snapshot(target.io, target.staged, target.schema, target.format.spec, delta, summary)
    _send(catalog, target, written, position)
    return written.snapshot.snapshot_id


def commit_position(catalog: SqlCatalog, target: Target, position: Mapping[str, Any]) -> None:
    """Commit the schema of `target` and `position`, and leave the rows as they are. Raises as `commit_snapshot`."""
    _send(catalog, target, None, position)


def _send(
    catalog: SqlCatalog, target: Target, written: SnapshotFiles | None, position: Mapping[str, Any] | None
) -> None:
    head = written.snapshot if written else target.staged.current_snapshot()
    properties = {**PROPERTIES, **marks(target.owner), COMMIT_ID: target.commit_id}
    if position is not None:
        properties[POSITION] = position_property(position, head.snapshot_id if head else None)
    requirements, updates = _first(target) if target.existing is None else _next(target)
    updates += (SetPropertiesUpdate(updates=properties),)
    if written is not None:
        updates += (
            AddSnapshotUpdate(snapshot=written.snapshot),
            _main_is(written.snapshot.snapshot_id),
        )
    try:
        _create_namespace(catalog, target.place)
        done = catalog.commit_table(target.table(catalog), requirements, updates)
    except (CommitFailedException, TableAlreadyExistsError, NoSuchTableError) as error:
        _discard(target, written)
        raise Conflict(
            f"the table {target.place} was changed by somebody else during the load",
            why=f"{error}. Its newer content was kept; nothing of this load is visible.",
            remedy="Find out who else writes to it, then run the sync again.",
        ) from None
    except (SQLAlchemyError, OSError) as error:
        _find_out(catalog, target, written, error)
    else:
        delete_files(target.io, _forgotten(target.staged, done.metadata))


def _forgotten(before: TableMetadata, now: TableMetadata) -> list[str]:
    """Return the metadata files that fell off the end of the log (the last hundred stay): nothing leads to them now."""
    kept = {entry.metadata_file for entry in now.metadata_log}
    return [e.metadata_file for e in before.metadata_log if e.metadata_file not in kept]


def _find_out(catalog: SqlCatalog, target: Target, written: SnapshotFiles | None, error: Exception) -> None:
    """Return when the commit did happen; raise what fits when it did not, or when nobody can say."""
    try:
        table = load_table(catalog, target.place)
    except (SQLAlchemyError, OSError):
        raise OutcomeUnknown(
            f"nobody knows whether the table {target.place} was changed",
            why=f"The catalog failed during the commit ({_first_line(error)}) and does not answer now.",
            remedy="When it answers again, run the sync again: it looks first, and repeats nothing.",
        ) from error
    if table is not None and _is_in(table, target, written):
        return
    _discard(target, written)
    raise ReconcileError(
        f"the catalog refused to change the table {target.place}",
        why=f"{_first_line(error)}. The old table is untouched.",
        remedy="Check the destination, then run the sync again.",
    ) from error


def _is_in(table: Table, target: Target, written: SnapshotFiles | None) -> bool:
    if written is None:
        return table.properties.get(COMMIT_ID) == target.commit_id
    return any(s.snapshot_id == written.snapshot.snapshot_id for s in table.metadata.snapshots)


def _discard(target: Target, written: SnapshotFiles | None) -> None:
    if written is not None:
        delete_files(target.io, written.locations)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


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


_Parts = tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]


def _first(target: Target) -> _Parts:
    metadata = target.staged
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


def _next(target: Target) -> _Parts:
    metadata, schema, spec = target.staged, target.schema, target.format.spec
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
    return requirements, updates
