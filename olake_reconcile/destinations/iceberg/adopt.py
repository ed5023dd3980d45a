"""Taking a table over: our marks become properties of it, in one commit that touches no row and no snapshot."""

from __future__ import annotations

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, SetPropertiesUpdate

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, load_table, open_catalog
from olake_reconcile.destinations.iceberg.owner import marks, owner_of
from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.table import Owner, TablePlace

# Whoever else writes to the table with pyiceberg: a conflict must be looked at, not retried.
_NO_RETRY = {"commit.retry.num-retries": "0"}


def adopt(house: Lakehouse, place: TablePlace, owner: Owner) -> None:
    """Make the table at `place` that of `owner`; done again it changes nothing. Raises `ReconcileError` without one.

    The commit is built from Iceberg's own updates and sent once: pyiceberg's transactions retry a conflict by
    themselves, and who else is writing must be looked at.
    """
    if not house.database.exists():
        raise _absent(place)
    with open_catalog(house) as catalog:
        table = load_table(catalog, place)
        if table is None:
            raise _absent(place)
        if owner_of(table.properties) == owner:
            return
        head = table.metadata.current_snapshot()
        requirements = (
            AssertTableUUID(uuid=table.metadata.table_uuid),
            AssertRefSnapshotId(ref="main", snapshot_id=head.snapshot_id if head else None),
        )
        try:
            catalog.commit_table(
                table, requirements, (SetPropertiesUpdate(updates={**_NO_RETRY, **marks(owner)}),)
            )
        except CommitFailedException as error:
            raise ReconcileError(
                f"the table {place} was changed by somebody else while it was adopted",
                why=str(error),
                remedy="Find out who else writes to it, then run `apply` again.",
            ) from None


def _absent(place: TablePlace) -> ReconcileError:
    return ReconcileError(
        f"there is no table {place} to adopt",
        remedy="Make the plan again: it says what there is.",
    )
