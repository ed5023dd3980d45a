"""The counts in a snapshot's summary: of what it added and removed, and of all that the table then holds.

Rows and files are counted from the manifest list, so that no error of an earlier snapshot is carried on. A list has no
sizes: these come from the parent's summary, or from all manifests when somebody else wrote that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestFile
from pyiceberg.table.snapshots import Snapshot

if TYPE_CHECKING:
    from olake_reconcile.destinations.iceberg.snapshot import Delta

#: In the summary of every snapshot of ours: which commit made it, in which run.
COMMIT_ID: Final = "olake-reconcile.commit-id"
RUN_ID: Final = "olake-reconcile.run-id"


def summarize(io: FileIO, delta: Delta, manifests: Sequence[ManifestFile]) -> dict[str, str]:
    """Return the counts for the snapshot that consists of `manifests`."""
    removed = [e.data_file for e in delta.removed]
    changes = {**_added(delta.added), **_removed(removed)}
    totals = _totals(manifests)
    totals["total-files-size"] = _size(delta.added)
    if delta.kept or delta.carried:
        totals["total-files-size"] += _size_before(io, delta.parent) - _size(removed)
    return {k: str(v) for k, v in {**{k: v for k, v in changes.items() if v}, **totals}.items()}


def _added(files: Sequence[DataFile]) -> dict[str, int]:
    data, deletes = _apart(files)
    return {
        "added-data-files": len(data),
        "added-records": _rows(data),
        "added-delete-files": len(deletes),
        "added-position-delete-files": len(deletes),
        "added-position-deletes": _rows(deletes),
        "added-files-size": _size(files),
    }


def _removed(files: Sequence[DataFile]) -> dict[str, int]:
    data, deletes = _apart(files)
    return {
        "deleted-data-files": len(data),
        "deleted-records": _rows(data),
        "removed-delete-files": len(deletes),
        "removed-position-delete-files": len(deletes),
        "removed-position-deletes": _rows(deletes),
        "removed-files-size": _size(files),
    }


def _totals(manifests: Iterable[ManifestFile]) -> dict[str, int]:
    files, rows = {True: 0, False: 0}, {True: 0, False: 0}
    for manifest in manifests:
        data = manifest.content == ManifestContent.DATA
        files[data] += (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
        rows[data] += (manifest.added_rows_count or 0) + (manifest.existing_rows_count or 0)
    return {
        "total-data-files": files[True],
        "total-records": rows[True],
        "total-files-size": 0,
        "total-delete-files": files[False],
        "total-position-deletes": rows[False],
        "total-equality-deletes": 0,  # a table with any is refused
    }


def _size_before(io: FileIO, parent: Snapshot | None) -> int:
    if parent is None:
        return 0
    summary = parent.summary
    known = summary["total-files-size"] if summary and summary[COMMIT_ID] else None
    if known is not None and known.isdecimal():
        return int(known)
    return sum(
        e.data_file.file_size_in_bytes
        for m in parent.manifests(io)
        for e in m.fetch_manifest_entry(io, discard_deleted=True)
    )


def _apart(files: Iterable[DataFile]) -> tuple[list[DataFile], list[DataFile]]:
    data: list[DataFile] = []
    deletes: list[DataFile] = []
    for file in files:
        (data if file.content == DataFileContent.DATA else deletes).append(file)
    return data, deletes


def _rows(files: Iterable[DataFile]) -> int:
    return sum(f.record_count for f in files)


def _size(files: Iterable[DataFile]) -> int:
    return sum(f.file_size_in_bytes for f in files)
