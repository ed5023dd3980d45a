"""Writing the metadata of one snapshot: manifests, manifest list, summary.

The summary's totals are computed from the files themselves. pyiceberg's and Java's carry them on from the previous
snapshot, and so carry on every error ever made.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.typedef import Record

from olake_reconcile.destinations.iceberg.files import TableFormat, WrittenFile, delete_files

#: DuckDB reads deflate and no other compression of manifests.
_AVRO_COMPRESSION: Final = "deflate"
_FORMAT_VERSION: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFiles:
    """A snapshot that is written and not yet committed, and the metadata files that it consists of."""

    snapshot: Snapshot
    locations: tuple[str, ...]


def write_snapshot(
    io: FileIO,
    metadata: TableMetadata,
    format_: TableFormat,
    files: Sequence[WrittenFile],
    properties: Mapping[str, str],
) -> SnapshotFiles:
    """Write a snapshot whose content is `files` and nothing else."""
    snapshot_id = metadata.new_snapshot_id()
    commit = uuid.uuid4()
    head = metadata.current_snapshot()
    replaced = list(_live(io, metadata, head)) if head else []
    if not all(
        _binds(metadata.specs()[spec_id], format_.schema) for spec_id in {_spec_of(e) for e in replaced}
    ):
        # A partition column is gone, or is of another type now, which makes it another column. DuckDB cannot read a
        # manifest of its spec any more, not even to skip it: history begins anew, as in Iceberg's own table replacement.
        head, replaced = None, []
    writer = _Manifests(io, f"{metadata.location}/metadata/{commit}", snapshot_id)
    location = f"{metadata.location}/metadata/snap-{snapshot_id}-0-{commit}.avro"
    sequence_number = metadata.next_sequence_number()
    added = [data_file(file, format_.spec) for file in files]
    try:
        manifests = _write_manifests(writer, metadata, format_, added, replaced)
        with write_manifest_list(
            format_version=_FORMAT_VERSION,
            output_file=io.new_output(location),
            snapshot_id=snapshot_id,
            parent_snapshot_id=head.snapshot_id if head else None,
            sequence_number=sequence_number,
            avro_compression=_AVRO_COMPRESSION,
        ) as list_writer:
            list_writer.add_manifests(manifests)
    except BaseException:
        delete_files(io, [*writer.locations, location])
        raise
    operation = Operation.OVERWRITE if head else Operation.APPEND
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=head.snapshot_id if head else None,
        sequence_number=sequence_number,
        manifest_list=location,
        summary=Summary(operation, **_totals(added, replaced), **properties),
        schema_id=format_.schema.schema_id,
    )
    return SnapshotFiles(snapshot=snapshot, locations=(*writer.locations, location))


def _write_manifests(
    writer: _Manifests,
    metadata: TableMetadata,
    format_: TableFormat,
    added: Sequence[DataFile],
    replaced: Sequence[ManifestEntry],
) -> list[ManifestFile]:
    manifests = []
    if added:
        entries = [_added(f, writer.snapshot_id) for f in added]
        manifests.append(writer.write(format_.spec, format_.schema, entries))
    for spec_id, group in groupby(sorted(replaced, key=_spec_of), key=_spec_of):
        entries = [_deleted(e, writer.snapshot_id) for e in group]
        manifests.append(writer.write(metadata.specs()[spec_id], format_.schema, entries))
    return manifests


class _Manifests:
    def __init__(self, io: FileIO, prefix: str, snapshot_id: int) -> None:
        self._io = io
        self._prefix = prefix
        self.snapshot_id = snapshot_id
        self.locations: list[str] = []

    def write(self, spec: PartitionSpec, schema: Schema, entries: Sequence[ManifestEntry]) -> ManifestFile:
        location = f"{self._prefix}-m{len(self.locations)}.avro"
        self.locations.append(location)
        with write_manifest(
            format_version=_FORMAT_VERSION,
            spec=spec,
            schema=schema,
            output_file=self._io.new_output(location),
            snapshot_id=self.snapshot_id,
            avro_compression=_AVRO_COMPRESSION,
        ) as writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()


def data_file(file: WrittenFile, spec: PartitionSpec) -> DataFile:
    """Return what a manifest says of `file`."""
    statistics = file.statistics
    made = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=file.location,
        file_format=FileFormat.PARQUET,
        partition=Record(*file.key),
        record_count=statistics.rows,
        file_size_in_bytes=file.size,
        column_sizes=statistics.column_sizes,
        value_counts=statistics.value_counts,
        null_value_counts=statistics.null_value_counts,
        nan_value_counts=None,
        lower_bounds=statistics.lower_bounds,
        upper_bounds=statistics.upper_bounds,
        split_offsets=statistics.split_offsets,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
    )
    made.spec_id = spec.spec_id
    return made


def _live(io: FileIO, metadata: TableMetadata, head: Snapshot) -> Iterator[ManifestEntry]:
    for manifest in head.manifests(io):
        if manifest.content == ManifestContent.DATA:
            yield from manifest.fetch_manifest_entry(io, discard_deleted=True)


def _binds(spec: PartitionSpec, schema: Schema) -> bool:
    return all(f.source_id in schema.field_ids for f in spec.fields)


def _spec_of(entry: ManifestEntry) -> int:
    return entry.data_file.spec_id


def _added(file: DataFile, snapshot_id: int) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED,
        snapshot_id=snapshot_id,
        sequence_number=None,
        file_sequence_number=None,
        data_file=file,
    )


def _deleted(entry: ManifestEntry, snapshot_id: int) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.DELETED,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )


def _totals(added: Sequence[DataFile], replaced: Sequence[ManifestEntry]) -> dict[str, str]:
    rows = sum(f.record_count for f in added)
    size = sum(f.file_size_in_bytes for f in added)
    counts = {
        "added-data-files": len(added),
        "added-records": rows,
        "added-files-size": size,
        "deleted-data-files": len(replaced),
        "deleted-records": sum(e.data_file.record_count for e in replaced),
        "removed-files-size": sum(e.data_file.file_size_in_bytes for e in replaced),
    }
    always = {
        "total-data-files": len(added),
        "total-records": rows,
        "total-files-size": size,
        "total-delete-files": 0,
        "total-position-deletes": 0,
        "total-equality-deletes": 0,
    }
    return {k: str(v) for k, v in {**{k: v for k, v in counts.items() if v}, **always}.items()}
