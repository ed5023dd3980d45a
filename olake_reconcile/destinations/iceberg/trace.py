"""What others did to a table since our last commit, read from its metadata: no file of data or manifest is opened.

Our commits bear their id in the snapshot's summary, and a snapshot names the schema that it was committed with. So what
differs from our newest one is the work of somebody else, and nothing has to be remembered beside the table.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot

from olake_reconcile.destinations.iceberg.evolve import GONE
from olake_reconcile.destinations.iceberg.summary import COMMIT_ID, RUN_ID
from olake_reconcile.destinations.iceberg.target import PROPERTIES
from olake_reconcile.model.partition import PartitionField, Transform
from olake_reconcile.model.table import TableTrace

_MOST_RUNS = 20
_MOST_NAMED = 20


def trace_of(metadata: TableMetadata) -> TableTrace:
    """Return what tells whether somebody else touched the table."""
    behind = list(_ancestors(metadata))
    ours = [s for s in behind if _is_ours(s)]
    newest = max(filter(_is_ours, metadata.snapshots), key=lambda s: s.sequence_number or 0, default=None)
    since = behind[: behind.index(ours[0])] if ours else behind
    schema = metadata.schema()
    foreign = [s for s in since if not _is_maintenance(s)] if newest else []
    return TableTrace(
        runs=tuple(str(s.summary[RUN_ID]) for s in ours[:_MOST_RUNS] if s.summary and s.summary[RUN_ID]),
        settings={
            name: (value, metadata.properties.get(name))
            for name, value in PROPERTIES.items()
            if newest and metadata.properties.get(name) != value
        },
        partition_by=_partition_by(metadata.spec(), schema),
        columns={f.name: str(f.field_type) for f in schema.fields if f.doc != GONE},
        schema_edits=_edits(metadata, newest),
        foreign=tuple(_words(s) for s in foreign[:_MOST_NAMED]),
        rolled_back=newest is not None and newest not in behind,
    )


def _ancestors(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots behind the head, from it down to the oldest that was not expired."""
    known = {s.snapshot_id: s for s in metadata.snapshots}
    place = metadata.current_snapshot_id
    while place is not None and (snapshot := known.get(place)) is not None:
        yield snapshot
        place = snapshot.parent_snapshot_id


def _is_ours(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary[COMMIT_ID] is not None


def _is_maintenance(snapshot: Snapshot) -> bool:
    """Compaction: other files, the same rows. That is nobody's quarrel."""
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def _words(snapshot: Snapshot) -> str:
    summary = snapshot.summary
    if summary is None:
        return f"snapshot {snapshot.snapshot_id}"
    counts = [
        f"{int(text):,} {words}"
        for name, words in (("added-records", "rows added"), ("deleted-records", "rows removed"))
        if (text := summary[name]) is not None and text.isdecimal() and int(text)
    ]
    return ", ".join([f"snapshot {snapshot.snapshot_id} by {summary.operation.value}", *counts])


def _edits(metadata: TableMetadata, newest: Snapshot | None) -> tuple[str, ...]:
    """Return how the schema differs from that of our newest commit. Fields are known by their ids."""
    if newest is None or newest.schema_id in (None, metadata.current_schema_id):
        return ()
    before = next((s for s in metadata.schemas if s.schema_id == newest.schema_id), None)
    if before is None:
        return ()
    old, new = ({f.field_id: f for f in s.fields} for s in (before, metadata.schema()))
    found = [f"column {old[i].name} dropped" for i in old.keys() - new.keys()]
    found += [f"column {new[i].name} added" for i in new.keys() - old.keys()]
    for i in old.keys() & new.keys():
        if old[i].name != new[i].name:
            found.append(f"column {old[i].name} renamed to {new[i].name}")
        if old[i].field_type != new[i].field_type:
            found.append(f"column {new[i].name} made {new[i].field_type}, was {old[i].field_type}")
        if old[i].required != new[i].required:
            found.append(f"column {new[i].name} made {'required' if new[i].required else 'optional'}")
    return tuple(sorted(found)[:_MOST_NAMED])


def _partition_by(spec: PartitionSpec, schema: Schema) -> tuple[str, ...]:
    """Return the spec in the words of our files; a field that they cannot say stands there as Iceberg says it."""
    names = {f.field_id: f.name for f in schema.fields}
    found = []
    for field in spec.fields:
        name, _, width = str(field.transform).rstrip("]").partition("[")
        column = names.get(field.source_id, f"#{field.source_id}")
        if name in list(Transform):
            found.append(str(PartitionField(Transform(name), column, int(width) if width else None)))
        else:
            found.append(f"{field.transform}({column})")
    return tuple(found)
