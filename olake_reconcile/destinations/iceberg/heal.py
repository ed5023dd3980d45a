"""Writing again what others changed of our marks and properties: one commit of properties, no row and no snapshot."""

from __future__ import annotations

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, SetPropertiesUpdate

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table, open_catalog
from olake_reconcile.destinations.iceberg.owner import marks, owner_of, require_ours
from olake_reconcile.destinations.iceberg.target import PROPERTIES
from olake_reconcile.destinations.iceberg.trace import trace_of
from olake_reconcile.errors import Blocked, ReconcileError
from olake_reconcile.model.table import Owner, TablePlace


def heal(house: Lakehouse, place: TablePlace, owner: Owner) -> None:
    """Give the table at `place` the marks of `owner` and our properties again; done again it changes nothing.

    Raises `Blocked` when it bears whole marks of another or holds no commit of ours, `ReconcileError` without a table
    or when somebody else changed it at the same moment.
    """
    if not house.database.exists():
        raise _absent(place)
    with open_catalog(house) as catalog:
        table = load_table(catalog, place)
        if table is None:
            raise _absent(place)
        if owner_of(table.properties) is not None:
            require_ours(place, table.properties, owner)
        elif not trace_of(table.metadata).runs:
            raise Blocked(
                f"the table {place} has no marks of ours, and no commit",
                why="It is another table than the one that was there.",
                remedy="Find out whose it is.",
            )
        wanted = {**PROPERTIES, **marks(owner)}
        missing = {k: v for k, v in wanted.items() if table.properties.get(k) != v}
        if not missing:
            return
        head = table.metadata.current_snapshot()
        requirements = (
            AssertTableUUID(uuid=table.metadata.table_uuid),
            AssertRefSnapshotId(ref="main", snapshot_id=head.snapshot_id if head else None),
        )
        try:
            # Sent once: pyiceberg's transactions retry a conflict by themselves.
            catalog.commit_table(table, requirements, (SetPropertiesUpdate(updates=missing),))
        except CommitFailedException as error:
            raise ReconcileError(
                f"the table {place} was changed by somebody else while its marks were written",
                why=str(error),
                remedy="Find out who else writes to it.",
            ) from None


def _absent(place: TablePlace) -> ReconcileError:
    return ReconcileError(f"there is no table {place} to heal", remedy="See `olake-reconcile drift`.")
