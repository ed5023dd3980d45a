"""Writing the metadata of one snapshot: manifests, manifest list, summary.

The summary's totals of rows and files are counted from the manifests themselves. pyiceberg's and Java's carry them on
from the previous snapshot, and so carry on every error ever made.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
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
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.typedef import Record

from olake_reconcile.destinations.iceberg.files import WrittenFile, delete_files
from olake_reconcile.destinations.iceberg.summary import summarize

#: DuckDB reads deflate and no other compression of manifests.
_AVRO_COMPRESSION: Final = "deflate"
_FORMAT_VERSION: Final = 2
#: Entries of a manifest; those with fewer are merged when there are many of them.
_MANIFEST_ENTRIES: Final = 2000
#: So many manifests of the same order of magnitude become one: a table of n files has about 7 · log8(n) of them.
_MERGED_TOGETHER: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What a snapshot changes: files that come, entries that go, and what of the head stays as it is.

    `parent` is the head that it changes; None begins a history. With `same_rows` other files hold what the removed ones
    held, which maintenance says and nobody else. `kept` are manifests of the head that go on unchanged, `carried` live entries of all its other manifests. Data files
    and delete files are told apart by their own content.
    """

    parent: Snapshot | None
    added: Sequence[DataFile] = ()
    removed: Sequence[ManifestEntry] = ()
    kept: Sequence[ManifestFile] = ()
    carried: Sequence[ManifestEntry] = ()
    same_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFiles:
    """A snapshot that is written and not yet committed, and the metadata files that it consists of."""

    snapshot: Snapshot
    locations: tuple[str, ...]


def replacement(io: FileIO, metadata: TableMetadata, schema: Schema, added: Sequence[DataFile]) -> Delta:
    """Return the delta after which the table consists of `added` and nothing else."""
    head = metadata.current_snapshot()
    manifests = head.manifests(io) if head else []
    removed = [e for m in manifests if m.content == ManifestContent.DATA for e in live(io, m)]
    if not all(
        _binds(metadata.specs()[spec_id], schema) for spec_id in {e.data_file.spec_id for e in removed}
    ):
        # A partition column is gone, or is of another type now, which makes it another column. DuckDB cannot read a
        # manifest of its spec any more, not even to skip it: history begins anew, as in Iceberg's own table replacement.
        return Delta(parent=None, added=added)
    return Delta(parent=head, added=added, removed=removed)


def change(
    io: FileIO,
    metadata: TableMetadata,
    added: Sequence[DataFile],
    removed: Mapping[str, Sequence[ManifestEntry]] | None = None,
) -> Delta:
    """Return the delta that adds files to the head of `metadata` and takes entries out of it, given by manifest."""
    head = metadata.current_snapshot()
    manifests = [
        m for m in (head.manifests(io) if head else ()) if m.has_added_files() or m.has_existing_files()
    ]
    removed = removed or {}
    rewritten = _to_merge(manifests) | set(removed)
    gone = {e.data_file.file_path for entries in removed.values() for e in entries}
    return Delta(
        parent=head,
        added=added,
        removed=[e for entries in removed.values() for e in entries],
        kept=[m for m in manifests if m.manifest_path not in rewritten],
        carried=[
            entry
            for manifest in manifests
            if manifest.manifest_path in rewritten
            for entry in live(io, manifest)
            if entry.data_file.file_path not in gone
        ],
    )


def live(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
    """Return the entries of files that the table consists of."""
    return manifest.fetch_manifest_entry(io, discard_deleted=True)


def write_snapshot(
    io: FileIO,
    metadata: TableMetadata,
    schema: Schema,
    spec: PartitionSpec,
    delta: Delta,
    properties: Mapping[str, str],
) -> SnapshotFiles:
    """Write the metadata of the snapshot that is `delta.parent` changed by `delta`; a failure leaves no file.

    `schema` and `spec` are those that the table has after the commit.
    """
    snapshot_id = metadata.new_snapshot_id()
    commit = uuid.uuid4()
    parent = delta.parent.snapshot_id if delta.parent else None
    specs = {**metadata.specs(), spec.spec_id: spec}
    writer = _Manifests(io, f"{metadata.location}/metadata/{commit}", snapshot_id, schema, specs)
    location = f"{metadata.location}/metadata/snap-{snapshot_id}-0-{commit}.avro"
    sequence_number = metadata.next_sequence_number()
    try:
        manifests = writer.write(delta)
        with write_manifest_list(
            format_version=_FORMAT_VERSION,
            output_file=io.new_output(location),
            snapshot_id=snapshot_id,
            parent_snapshot_id=parent,
            sequence_number=sequence_number,
            avro_compression=_AVRO_COMPRESSION,
        ) as list_writer:
            list_writer.add_manifests([*manifests, *delta.kept])
        summary = summarize(io, delta, [*manifests, *delta.kept])
    except BaseException:
        delete_files(io, [*writer.locations, location])
        raise
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=parent,
        sequence_number=sequence_number,
        manifest_list=location,
        summary=Summary(_operation(delta), **summary, **properties),
        schema_id=schema.schema_id,
    )
    return SnapshotFiles(snapshot=snapshot, locations=(*writer.locations, location))


class _Manifests:
    """Writes manifests: one for each content and spec, more when there are very many entries."""

    def __init__(
        self, io: FileIO, prefix: str, snapshot_id: int, schema: Schema, specs: Mapping[int, PartitionSpec]
    ) -> None:
        self._io = io
        self._prefix = prefix
        self._snapshot_id = snapshot_id
        self._schema = schema
        self._specs = specs
        self.locations: list[str] = []

    def write(self, delta: Delta) -> list[ManifestFile]:
        """Write the entries of `delta`, what comes in manifests of its own."""
        added = [self._entry(ManifestEntryStatus.ADDED, f) for f in delta.added]
        others = [
            *(self._entry(ManifestEntryStatus.EXISTING, e.data_file, e) for e in delta.carried),
            *(self._entry(ManifestEntryStatus.DELETED, e.data_file, e) for e in delta.removed),
        ]
        return [
            self._write_one(deletes, self._specs[spec_id], part)
            for entries in (added, others)
            for (deletes, spec_id), group in groupby(sorted(entries, key=_kind), key=_kind)
            for part in _parts(list(group))
        ]

    def _write_one(
        self, deletes: bool, spec: PartitionSpec, entries: Sequence[ManifestEntry]
    ) -> ManifestFile:
        location = f"{self._prefix}-m{len(self.locations)}.avro"
        self.locations.append(location)
        kind = _DeleteManifestWriter if deletes else ManifestWriterV2
        output = self._io.new_output(location)
        with kind(spec, self._schema, output, self._snapshot_id, _AVRO_COMPRESSION) as writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()

    def _entry(
        self, status: ManifestEntryStatus, file: DataFile, before: ManifestEntry | None = None
    ) -> ManifestEntry:
        staying = before is not None and status == ManifestEntryStatus.EXISTING
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=before.snapshot_id if before and staying else self._snapshot_id,
            sequence_number=before.sequence_number if before else None,
            file_sequence_number=before.file_sequence_number if before else None,
            data_file=file,
        )


class _DeleteManifestWriter(ManifestWriterV2):
    """pyiceberg reads delete manifests and writes none."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def data_file(file: WrittenFile) -> DataFile:
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
    made.spec_id = file.spec_id
    return made


def _kind(entry: ManifestEntry) -> tuple[bool, int]:
    return entry.data_file.content != DataFileContent.DATA, entry.data_file.spec_id


def _parts(entries: list[ManifestEntry]) -> list[list[ManifestEntry]]:
    return [entries[i : i + _MANIFEST_ENTRIES] for i in range(0, len(entries), _MANIFEST_ENTRIES)]


def _to_merge(manifests: Sequence[ManifestFile]) -> set[str]:
    """Choose the manifests to write as one: enough of one order of magnitude, as a log-structured merge does."""
    groups: dict[tuple[ManifestContent, int, int], list[str]] = {}
    for manifest in manifests:
        entries = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
        if entries < _MANIFEST_ENTRIES:
            magnitude = (entries.bit_length() - 1) // 3
            group = (manifest.content, manifest.partition_spec_id, magnitude)
            groups.setdefault(group, []).append(manifest.manifest_path)
    return {path for group in groups.values() if len(group) >= _MERGED_TOGETHER for path in group}


def _binds(spec: PartitionSpec, schema: Schema) -> bool:
    return all(f.source_id in schema.field_ids for f in spec.fields)


def _operation(delta: Delta) -> Operation:
    if delta.same_rows:
        return Operation.REPLACE
    if delta.parent is None or not (
        delta.removed or any(f.content != DataFileContent.DATA for f in delta.added)
    ):
        # A history that begins has nothing to overwrite, and the replacement of an empty table neither.
        return Operation.APPEND
    return Operation.OVERWRITE
