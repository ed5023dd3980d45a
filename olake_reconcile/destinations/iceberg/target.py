"""What a commit starts from: the table as it was found, and what it is to become."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

from olake_reconcile.destinations.iceberg.catalog import Lakehouse
from olake_reconcile.destinations.iceberg.files import TableFormat
from olake_reconcile.destinations.iceberg.owner import marks, require_ours
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.naming import reformat
from olake_reconcile.model.table import Owner, TablePlace

#: Whoever else writes to the table with pyiceberg: a conflict must be looked at, not retried.
PROPERTIES = {"commit.retry.num-retries": "0", "write.parquet.compression-codec": "zstd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that is about to be written: how it was found, how its files must look, which commit it will be."""

    place: TablePlace
    owner: Owner
    existing: Table | None
    staged: TableMetadata  # as found; without a table, as it will be created
    schema: Schema  # the table's after the commit
    format: TableFormat
    io: FileIO
    commit_id: str

    def table(self, catalog: SqlCatalog) -> Table:
        """Return what the catalog takes for the table, also before there is one."""
        return self.existing or StagedTable(
            identifier=(self.place.database, self.place.table),
            metadata=self.staged,
            metadata_location="",
            io=self.io,
            catalog=catalog,
        )


def checked(existing: Table | None, place: TablePlace, owner: Owner) -> TableMetadata | None:
    """Return the metadata of `existing`.

    Raises `Blocked` when it belongs to another, `ReconcileError` when it is of a later generation.
    """
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


def new_metadata(
    house: Lakehouse, place: TablePlace, owner: Owner, schema: Schema, spec: PartitionSpec
) -> TableMetadata:
    """Return the metadata of a table that is to be created; its ids are assigned afresh."""
    # Each generation has a folder of its own: after a clear nothing can mix with the next table of that name.
    folder = f"{reformat(place.table)[:100]}-g{owner.generation}-{uuid.uuid4().hex[:12]}"
    return new_table_metadata(
        schema=schema,
        partition_spec=spec,
        sort_order=UNSORTED_SORT_ORDER,
        location=f"{house.warehouse}/{reformat(place.database)[:100]}/{folder}",
        properties={**PROPERTIES, **marks(owner), "format-version": "2"},
    )


def numbered(schema: Schema, known: TableMetadata) -> Schema:
    """Give `schema` the number of an equal one of the table, else the next."""
    same = next((s.schema_id for s in known.schemas if s.fields == schema.fields), None)
    number = max(s.schema_id for s in known.schemas) + 1 if same is None else same
    return Schema(*schema.fields, schema_id=number)
