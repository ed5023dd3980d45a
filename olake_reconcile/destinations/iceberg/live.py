"""The files that a table consists of, and which rows of them are deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry
from pyiceberg.table.metadata import TableMetadata

from olake_reconcile.destinations.iceberg.partition import Key
from olake_reconcile.destinations.iceberg.snapshot import live
from olake_reconcile.errors import ReconcileError

#: Field ids of a position delete file (Iceberg table spec, "Position Delete Files").
PATH_ID: Final = 2147483546
POSITION_ID: Final = 2147483545
#: What `delete_rows` gives.
DELETE_ROWS: Final = pa.schema([("file_path", pa.string()), ("pos", pa.int64())])
#: A spec and the partition in it: what a delete file has in common with the files that it deletes from.
Home = tuple[int, Key]


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file of the table, and the manifest that lists it."""

    manifest: str
    entry: ManifestEntry

    @property
    def file(self) -> DataFile:
        """What the manifest says of it."""
        return self.entry.data_file

    @property
    def path(self) -> str:
        """Where it is."""
        return self.entry.data_file.file_path

    @property
    def home(self) -> Home:
        """Its spec and partition."""
        partition = self.file.partition
        return self.file.spec_id, tuple(partition[i] for i in range(len(partition)))


@dataclass(slots=True)
class LiveFiles:
    """All files of a snapshot."""

    data: list[LiveFile] = field(default_factory=list)
    deletes: dict[Home, list[LiveFile]] = field(default_factory=dict)

    def deleted(self, io: FileIO, file: LiveFile) -> pa.Int64Array:
        """Return the positions in `file` whose rows are deleted, in order."""
        found = [
            _positions(io, delete.path, file.path)
            for delete in self.deletes.get(file.home, ())
            if _applies(delete, file)
        ]
        positions = pc.unique(pa.chunked_array(found, pa.int64()).combine_chunks())
        return positions.take(pc.sort_indices(positions))


def live_files(io: FileIO, metadata: TableMetadata) -> LiveFiles:
    """Return the files of the head. Raises `ReconcileError` when rows are deleted in a way that we do not read."""
    found = LiveFiles()
    head = metadata.current_snapshot()
    for manifest in head.manifests(io) if head else ():
        if not (manifest.has_added_files() or manifest.has_existing_files()):
            continue
        for entry in live(io, manifest):
            file = LiveFile(manifest.manifest_path, entry)
            if file.file.content == DataFileContent.DATA:
                found.data.append(file)
            else:
                found.deletes.setdefault(_readable(file).home, []).append(file)
    return found


def _readable(delete: LiveFile) -> LiveFile:
    is_positions = delete.file.content == DataFileContent.POSITION_DELETES
    if is_positions and delete.file.file_format == FileFormat.PARQUET:
        return delete
    raise ReconcileError(
        "somebody else deleted rows of this table by equality deletes or deletion vectors",
        why="Which rows are left can only be told by the program that did so.",
        remedy="Compact the table with it (Spark: CALL system.rewrite_data_files), then run the sync again.",
    )


def _applies(delete: LiveFile, file: LiveFile) -> bool:
    if (delete.entry.sequence_number or 0) < (file.entry.sequence_number or 0):
        return False
    lower = (delete.file.lower_bounds or {}).get(PATH_ID)
    upper = (delete.file.upper_bounds or {}).get(PATH_ID)
    path = file.path.encode()
    # Somebody else's bounds may be cut short.
    return not ((lower and path < lower) or (upper and path[: len(upper)] > upper))


def _positions(io: FileIO, delete: str, path: str) -> pa.Int64Array:
    with io.new_input(delete).open() as stream:
        table = pq.read_table(stream, columns=["pos"], filters=[("file_path", "=", path)])
    return table.column("pos").combine_chunks()


def delete_rows(io: FileIO, deletes: Iterable[LiveFile]) -> Iterator[pa.RecordBatch]:
    """Give the rows of delete files: `file_path` and `pos`."""
    for delete in deletes:
        with io.new_input(delete.path).open() as stream:
            for batch in pq.ParquetFile(stream).iter_batches(columns=["file_path", "pos"]):
                yield batch.cast(DELETE_ROWS)
