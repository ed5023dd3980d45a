"""What a table's own metadata says of it: rows, bytes, files, owner. Reads no data and creates nothing."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.snapshots import Snapshot

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table, open_catalog
from olake_reconcile.destinations.iceberg.owner import owner_of
from olake_reconcile.destinations.iceberg.position import position_of
from olake_reconcile.destinations.iceberg.trace import trace_of
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.table import TableAbsent, TableFacts, TablePlace, TableStatus, TableUnknown


def observe(house: Lakehouse, places: Sequence[TablePlace]) -> dict[TablePlace, TableStatus]:
    """Return the status of each place; a table that cannot be read is unknown, and not an error."""
    if not house.database.exists():
        # A plan must not create a catalog only to find it empty.
        return {place: TableAbsent() for place in places}
    try:
        with open_catalog(house) as catalog:
            return {place: _status(catalog, place) for place in places}
    except ReconcileError as error:
        return {place: TableUnknown(reason=f"{error.summary}: {error.why}") for place in places}


def missing(house: Lakehouse, places: Sequence[TablePlace]) -> frozenset[TablePlace]:
    """Return those of `places` that the catalog does not list; no table's metadata is read."""
    if not house.database.exists():
        return frozenset(places)
    with open_catalog(house) as catalog:
        listed = {
            identifier
            for database in {place.database for place in places}
            if catalog.namespace_exists((database,))
            for identifier in catalog.list_tables((database,))
        }
    return frozenset(place for place in places if (place.database, place.table) not in listed)


def _status(catalog: SqlCatalog, place: TablePlace) -> TableStatus:
    try:
        table = load_table(catalog, place)
    except ReconcileError as error:
        return TableUnknown(reason=f"{error.summary}: {error.why}")
    if table is None:
        return TableAbsent()
    head = table.metadata.current_snapshot()
    return TableFacts(
        rows=_rows(head),
        bytes=_number(head, "total-files-size"),
        files=_number(head, "total-data-files"),
        owner=owner_of(table.properties),
        snapshot=str(head.snapshot_id) if head else None,
        position=position_of(table.metadata),
        trace=trace_of(table.metadata),
    )


def _rows(head: Snapshot | None) -> int | None:
    """Return how many rows a reader sees; unknown when somebody deleted by equality."""
    records, deleted = _number(head, "total-records"), _number(head, "total-position-deletes")
    if records is None or _number(head, "total-equality-deletes"):
        return None
    return records - (deleted or 0)


def _number(head: Snapshot | None, name: str) -> int | None:
    if head is None:
        return 0
    text = head.summary[name] if head.summary else None
    return int(text) if text is not None and text.isdecimal() else None
