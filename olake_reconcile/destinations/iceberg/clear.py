"""Removing a table with all its files, so that a clear killed anywhere can be finished.

The table leaves the catalog first: from then on no reader can meet a half-deleted one. Then its files go, in an order
in which whatever is left can still be found: data files, manifests, manifest lists, older metadata, and last the metadata
file that the ticket names. Only files reachable from that table's metadata are deleted; no folder is ever listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import FileIO, load_file_io
from pyiceberg.manifest import ManifestFile
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table, open_catalog
from olake_reconcile.destinations.iceberg.expire import expired_lists, manifests_of
from olake_reconcile.destinations.iceberg.files import delete_files, remove_empty_folders
from olake_reconcile.destinations.iceberg.owner import require_ours
from olake_reconcile.model.table import Owner, TablePlace


def find(house: Lakehouse, place: TablePlace, owner: Owner) -> str | None:
    """Return where the metadata of the table at `place` is, or None. Raises `Blocked` when it is another's."""
    if not house.database.exists():
        return None
    with open_catalog(house) as catalog:
        table = load_table(catalog, place)
        if table is None:
            return None
        require_ours(place, table.properties, owner)
        return table.metadata_location


def clear(house: Lakehouse, place: TablePlace, metadata_location: str) -> None:
    """Remove the table whose metadata was at `metadata_location`; done again it finishes what is left."""
    io = load_file_io({}, metadata_location)
    metadata = _read(io, metadata_location)
    if house.database.exists():
        with open_catalog(house) as catalog:
            latest = _drop(catalog, place, metadata)
            if latest is not None and latest[0] != metadata_location:
                # Committed to after the ticket was made: the newer metadata reaches everything.
                _delete_all(io, *latest, keep={metadata_location})
    if metadata is not None:
        _delete_all(io, metadata_location, metadata)


def _read(io: FileIO, location: str) -> TableMetadata | None:
    try:
        return FromInputFile.table_metadata(io.new_input(location))
    except FileNotFoundError:
        return None


def _drop(
    catalog: SqlCatalog, place: TablePlace, metadata: TableMetadata | None
) -> tuple[str, TableMetadata] | None:
    """Take our table out of the catalog; leave any other that stands in its place."""
    table = load_table(catalog, place)
    if table is None or metadata is None or table.metadata.table_uuid != metadata.table_uuid:
        return None
    with suppress(NoSuchTableError):
        catalog.drop_table((place.database, place.table))
    return table.metadata_location, table.metadata


def _delete_all(io: FileIO, location: str, metadata: TableMetadata, keep: Iterable[str] = ()) -> None:
    kept = set(keep)
    manifests = {m.manifest_path: m for m in _manifests(io, metadata)}
    data = {path for m in manifests.values() for path in _data_files(io, m)}
    lists = {s.manifest_list for s in metadata.snapshots if s.manifest_list}
    lists |= set(expired_lists(metadata.properties))
    statistics = {s.statistics_path for s in (*metadata.statistics, *metadata.partition_statistics)}
    older = {entry.metadata_file for entry in metadata.metadata_log} - kept - {location}
    for group in (data, statistics, set(manifests), lists, older, {location}):
        delete_files(io, sorted(group))
    remove_empty_folders(metadata.location)


def _manifests(io: FileIO, metadata: TableMetadata) -> Iterator[ManifestFile]:
    for snapshot in metadata.snapshots:
        # A list that is gone went after its manifests, and these after their data: nothing is left of it.
        with suppress(FileNotFoundError):
            yield from snapshot.manifests(io)
    yield from manifests_of(io, expired_lists(metadata.properties))


def _data_files(io: FileIO, manifest: ManifestFile) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for entry in manifest.fetch_manifest_entry(io, discard_deleted=False):
            yield entry.data_file.file_path
