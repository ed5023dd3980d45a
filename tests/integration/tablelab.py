"""A warehouse and one table of it, written without any source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFileContent, ManifestEntry
from pyiceberg.table import Table

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, lakehouse, open_catalog
from olake_reconcile.destinations.iceberg.change import Change, append, open_change
from olake_reconcile.destinations.iceberg.files import DataWriter, WrittenFile
from olake_reconcile.destinations.iceberg.maintain import Maintained, maintain
from olake_reconcile.destinations.iceberg.merge import merge
from olake_reconcile.model.catalogue import Kind
from olake_reconcile.model.column_type import ColumnType, DestinationColumn
from olake_reconcile.model.config import IcebergConfig
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.partition import parse_partition
from olake_reconcile.model.stream import DeleteMode
from olake_reconcile.model.table import Owner, TablePlace
from olake_reconcile.sources.postgres.extension import load_extension

PLACE = TablePlace(database="lake", table="t")
OWNER = Owner(project="p1", environment="test", job="job", stream="uid-t", generation=1)

#: Keeps nothing that is not needed now.
SHORT = Maintenance(keep_days=0, keep_snapshots=1, grace_hours=0)

Columns = Mapping[str, Kind | ColumnType]
Row = Mapping[str, Any]


def columns_of(columns: Columns) -> list[DestinationColumn]:
    return [
        DestinationColumn(n, t if isinstance(t, ColumnType) else ColumnType(t)) for n, t in columns.items()
    ]


@dataclass
class TableLab:
    folder: Path
    columns: Columns = field(default_factory=lambda: {"id": Kind.LONG, "v": Kind.STRING})
    partition_by: Sequence[str] = ()

    @property
    def house(self) -> Lakehouse:
        config = IcebergConfig(
            catalog_type="jdbc", jdbc_url="jdbc:sqlite:catalog.db", iceberg_s3_path="warehouse"
        )
        return lakehouse(config, self.folder)

    @contextmanager
    def change(self, **settings: Any) -> Iterator[tuple[SqlCatalog, Change]]:
        """A change of the table as it is now."""
        with open_catalog(self.house) as catalog:
            change = open_change(
                catalog,
                self.house,
                PLACE,
                settings.pop("owner", OWNER),
                columns_of(self.columns),
                [parse_partition(p) for p in self.partition_by],
                {n: n for n in self.columns},
                scratch=self.folder,
                **settings,
            )
            yield catalog, change

    def batch(self, change: Change, rows: Sequence[Row]) -> pa.RecordBatch:
        """`rows` as the table's files hold them."""
        arrow = change.format.arrow()
        return pa.RecordBatch.from_arrays(
            [pa.array([row.get(f.name) for row in rows], f.type) for f in arrow],
            schema=arrow,
        )

    def write(self, change: Change, rows: Sequence[Row], name: str = "f") -> list[WrittenFile]:
        """Data files of `rows`; none for no rows."""
        writer = DataWriter(change.io, change.format, f"{name}-{change.commit_id[:8]}")
        if rows:
            writer.write(self.batch(change, rows))
        return writer.finish()

    def append(
        self, rows: Sequence[Row], position: Mapping[str, Any] | None = None, **settings: Any
    ) -> int | None:
        with self.change(**settings) as (catalog, change):
            return append(catalog, change, self.write(change, rows), "run", position or {})

    def merge(
        self,
        rows: Sequence[Row],
        deletes: Sequence[Row] = (),
        *,
        key: Sequence[str] = ("id",),
        mode: DeleteMode = DeleteMode.HARD,
        position: Mapping[str, Any] | None = None,
        tombstones: bool = False,
    ) -> int | None:
        with self.change() as (catalog, change):
            gone = None
            if deletes:
                arrow = change.format.arrow()
                gone = pa.table(
                    {n: pa.array([d[n] for d in deletes], arrow.field(n).type) for n in deletes[0]}
                )
            files = self.write(change, rows)
            return merge(
                catalog,
                change,
                files,
                key,
                "run",
                position or {},
                deletes=gone,
                mode=mode,
                tombstones=tombstones,
            )

    def maintain(
        self, settings: Maintenance = SHORT, later: timedelta = timedelta(), run_id: str = "maintenance"
    ) -> Maintained | None:
        """Maintain the table as if it were `later`."""
        now = datetime.now(UTC) + timedelta(seconds=1) + later
        return maintain(self.house, PLACE, OWNER, settings, run_id, self.folder, lambda: now, lambda: False)

    # -- what is there ---------------------------------------------------------------------------

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def files(self) -> set[str]:
        return {str(p) for p in self.warehouse.rglob("*") if p.is_file()}

    def reachable(self) -> set[str]:
        """Every file that the table's metadata leads to."""
        table = self.table()
        found = {table.metadata_location, *(e.metadata_file for e in table.metadata.metadata_log)}
        for snapshot in table.metadata.snapshots:
            found.add(snapshot.manifest_list)
            for manifest in snapshot.manifests(table.io):
                found.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                found |= {e.data_file.file_path for e in entries}
        return {f.removeprefix("file://") for f in found}

    def table(self) -> Table:
        with open_catalog(self.house) as catalog:
            return catalog.load_table((PLACE.database, PLACE.table))

    def summary(self) -> dict[str, str]:
        head = self.table().metadata.current_snapshot()
        assert head is not None
        assert head.summary is not None
        return dict(head.summary.additional_properties)

    def entries(self) -> list[ManifestEntry]:
        """The live entries of the head, data and deletes."""
        table = self.table()
        head = table.metadata.current_snapshot()
        manifests = head.manifests(table.io) if head else []
        return [e for m in manifests for e in m.fetch_manifest_entry(table.io, discard_deleted=True)]

    def read(self, order: str = "id") -> list[dict[str, Any]]:
        """The table's rows, which DuckDB and pyiceberg must agree on; its summary must count them right."""
        ours = self.table().scan().to_arrow()
        names = ours.column_names
        found = sorted(ours.to_pylist(), key=lambda r: _orderable(r, order))
        theirs = sorted(self.duck().select(names).to_pylist(), key=lambda r: _orderable(r, order))
        assert repr(found) == repr(theirs)  # NaN equals NaN here
        self.check_summary(len(found))
        self.check_deletes()
        return found

    def duck(self, query: str = "SELECT * FROM t") -> pa.Table:
        location = self.table().metadata_location
        with duckdb.connect(config={"arrow_lossless_conversion": "true"}) as connection:
            for extension in ("avro", "icu", "iceberg"):
                load_extension(connection, extension)
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"CREATE VIEW t AS SELECT * FROM iceberg_scan('{location}')")
            return connection.execute(query).to_arrow_table()

    def check_deletes(self) -> None:
        """Each delete file has the spec and the partition of every data file that it names, and names live rows once."""
        table = self.table()
        homes = {}
        rows = {}
        named: set[tuple[str, int]] = set()
        entries = self.entries()
        for entry in entries:
            if entry.data_file.content == DataFileContent.DATA:
                homes[entry.data_file.file_path] = (entry.data_file.spec_id, str(entry.data_file.partition))
                rows[entry.data_file.file_path] = entry.data_file.record_count
        for entry in entries:
            if entry.data_file.content == DataFileContent.DATA:
                continue
            file = entry.data_file
            assert file.content == DataFileContent.POSITION_DELETES
            with table.io.new_input(file.file_path).open() as stream:
                found = pq.read_table(stream)
            assert found.num_rows == file.record_count > 0
            pairs = list(zip(*(c.to_pylist() for c in found.columns), strict=True))
            assert pairs == sorted(set(pairs))
            assert not named & set(pairs)
            named |= set(pairs)
            for path, position in pairs:
                assert homes[path] == (file.spec_id, str(file.partition))
                assert 0 <= position < rows[path]

    def check_summary(self, rows: int) -> None:
        """The summary's totals are what the manifests and the rows say."""
        if self.table().metadata.current_snapshot() is None:
            assert rows == 0
            return
        entries, found = self.entries(), self.summary()
        data = [e.data_file for e in entries if e.data_file.content == DataFileContent.DATA]
        deletes = [e.data_file for e in entries if e.data_file.content != DataFileContent.DATA]
        assert int(found["total-records"]) - int(found["total-position-deletes"]) == rows
        assert int(found["total-records"]) == sum(f.record_count for f in data)
        assert int(found["total-position-deletes"]) == sum(f.record_count for f in deletes)
        assert int(found["total-data-files"]) == len(data)
        assert int(found["total-delete-files"]) == len(deletes)
        assert int(found["total-files-size"]) == sum(f.file_size_in_bytes for f in [*data, *deletes])


def _orderable(row: Mapping[str, Any], order: str) -> tuple[str, ...]:
    return (str(row[order]), *(str(v) for v in row.values()))
