"""Snapshot expiry: old snapshots leave the table, and after a grace time the files that nothing else reaches.

Two steps, each of which may be killed anywhere and done again:

1. One commit takes the snapshots out of the metadata and writes their manifest lists, with the time, into a property.
2. Once the grace is over, what these lists reach and no snapshot of the table does is deleted: data, then manifests, then
   lists, so that whatever is left can still be found. Then the property forgets them.

No folder is listed. A reader who had begun on an expired snapshot has the grace time; nobody can begin on it any more,
and no rollback can bring it back, so what is out of reach once stays so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotsUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)

from olake_reconcile.destinations.iceberg.commit import Conflict
from olake_reconcile.destinations.iceberg.files import delete_files
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.target import Target
from olake_reconcile.model.maintenance import Maintenance

#: The property: a JSON list of `{"at": milliseconds, "lists": [manifest list, …]}`.
EXPIRED: Final = "olake-reconcile.expired"
#: Snapshots that one commit takes out; the property holds a path of each.
_AT_ONCE: Final = 200


def expire(catalog: SqlCatalog, target: Target, settings: Maintenance, now: datetime) -> int:
    """Take old snapshots out of the table; return how many. Raises `Conflict` when somebody committed meanwhile."""
    metadata = target.staged
    # The property must not grow: first the files of those go that have left.
    going = _old(metadata, settings, now)[: max(0, _AT_ONCE - len(expired_lists(metadata.properties)))]
    if not going:
        return 0
    lists = [s.manifest_list for s in metadata.snapshots if s.snapshot_id in going]
    notes = [*_noted(metadata.properties), {"at": _millis(now), "lists": lists}]
    updates = (
        SetPropertiesUpdate(updates={EXPIRED: _text(notes)}),
        RemoveSnapshotsUpdate(snapshot_ids=going),
    )
    _commit(catalog, target, updates)
    return len(going)


def delete_expired(catalog: SqlCatalog, target: Target, grace: timedelta, now: datetime) -> int:
    """Delete the files of snapshots that expired `grace` ago, as far as no snapshot reaches them; return how many."""
    metadata = target.staged
    until = _millis(now - grace)
    notes = _noted(metadata.properties)
    over = [note for note in notes if note["at"] <= until]
    if not over:
        return 0
    reached = _Reached(target.io, metadata)
    lists = [path for note in over for path in note["lists"] if path not in reached.lists]
    manifests = {m.manifest_path: m for m in manifests_of(target.io, lists)}
    manifests = {path: m for path, m in manifests.items() if path not in reached.manifests}
    data = {path for m in manifests.values() for path in _files(target.io, m)}
    groups = (data - reached.data if data else set(), set(manifests), set(lists))
    for group in groups:
        delete_files(target.io, sorted(group))
    left = [note for note in notes if note not in over]
    _commit(catalog, target, (SetPropertiesUpdate(updates={EXPIRED: _text(left)}),))
    return sum(map(len, groups))


def expired_lists(properties: Mapping[str, str]) -> list[str]:
    """Return the manifest lists of expired snapshots whose files may still be there."""
    return [path for note in _noted(properties) for path in note["lists"]]


def manifests_of(io: FileIO, lists: Iterable[str]) -> Iterator[ManifestFile]:
    """Give the manifests that manifest lists name; a list that is gone went after all that it named."""
    for path in lists:
        with suppress(FileNotFoundError):
            yield from read_manifest_list(io.new_input(path))


class _Reached:
    """What the snapshots of a table reach; data files are looked up only when somebody asks."""

    def __init__(self, io: FileIO, metadata: TableMetadata) -> None:
        self._io = io
        self._manifests = {m.manifest_path: m for s in metadata.snapshots for m in s.manifests(io)}
        self.lists = {s.manifest_list for s in metadata.snapshots}

    @property
    def manifests(self) -> set[str]:
        return set(self._manifests)

    @property
    def data(self) -> set[str]:
        # A missing manifest is an error here: what it lists must not be taken for out of reach.
        return {
            e.data_file.file_path
            for m in self._manifests.values()
            for e in m.fetch_manifest_entry(self._io, discard_deleted=True)
        }


def _old(metadata: TableMetadata, settings: Maintenance, now: datetime) -> list[int]:
    """Return the snapshots that nobody needs any more, the oldest first.

    What stays of the head's ancestors is an unbroken chain, which reaches the one that the position is tied to.
    """
    known = {s.snapshot_id: s for s in metadata.snapshots}
    head = metadata.current_snapshot()
    if head is None:
        return []
    chain = []
    while head is not None:
        chain.append(head)
        head = known.get(head.parent_snapshot_id) if head.parent_snapshot_id else None
    since = _millis(now - timedelta(days=settings.keep_days))
    count = sum(1 for n, s in enumerate(chain) if n < settings.keep_snapshots or s.timestamp_ms > since)
    position = position_of(metadata)
    while position is not None and count < len(chain):
        if position_of(_without(metadata, {s.snapshot_id for s in chain[count:]})) == position:
            break
        count += 1
    kept = {s.snapshot_id for s in chain[:count]}
    for ref in metadata.refs.values():
        place: int | None = ref.snapshot_id
        while ref.snapshot_id != metadata.current_snapshot_id and place in known and place not in kept:
            kept.add(place)
            # A tag is one snapshot, a branch a history of its own.
            place = known[place].parent_snapshot_id if ref.snapshot_ref_type == "branch" else None
    # Others may have abandoned some by a rollback: they go by their age alone.
    going = [s for s in metadata.snapshots if s.snapshot_id not in kept and s.timestamp_ms <= since]
    if position_of(_without(metadata, {s.snapshot_id for s in going})) != position:
        return []
    return [s.snapshot_id for s in sorted(going, key=lambda s: (s.timestamp_ms, s.snapshot_id))]


def _without(metadata: TableMetadata, going: set[int]) -> TableMetadata:
    """Return the metadata as it will be, as far as the position goes: the next of a removed snapshot has no parent."""
    snapshots = [
        s.model_copy(update={"parent_snapshot_id": None}) if s.parent_snapshot_id in going else s
        for s in metadata.snapshots
        if s.snapshot_id not in going
    ]
    return metadata.model_copy(update={"snapshots": snapshots})


def _files(io: FileIO, manifest: ManifestFile) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for entry in manifest.fetch_manifest_entry(io, discard_deleted=False):
            yield entry.data_file.file_path


def _commit(catalog: SqlCatalog, target: Target, updates: tuple[TableUpdate, ...]) -> None:
    assert target.existing is not None
    metadata = target.staged
    requirements: tuple[TableRequirement, ...] = (
        AssertTableUUID(uuid=metadata.table_uuid),
        *(AssertRefSnapshotId(ref=name, snapshot_id=ref.snapshot_id) for name, ref in metadata.refs.items()),
    )
    try:
        done = catalog.commit_table(target.existing, requirements, updates)
    except CommitFailedException as error:
        raise Conflict(f"the table {target.place} was changed meanwhile", why=str(error)) from None
    kept = {entry.metadata_file for entry in done.metadata.metadata_log}
    delete_files(target.io, [e.metadata_file for e in metadata.metadata_log if e.metadata_file not in kept])


def _noted(properties: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        found = json.loads(properties.get(EXPIRED) or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _text(notes: list[dict[str, Any]]) -> str:
    return json.dumps(notes, separators=(",", ":"))


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
