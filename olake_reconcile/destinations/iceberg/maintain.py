"""Maintenance of one table: compaction, expiry, deletion of what nothing reaches any more, in this order.

Each part commits by itself and may be the last that happens. Runs may write to the table meanwhile: whoever commits first
wins, and nothing of the other's is visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from olake_reconcile.destinations.iceberg.catalog import Lakehouse, open_catalog
from olake_reconcile.destinations.iceberg.compact import Compacted, Stopped, compact, found
from olake_reconcile.destinations.iceberg.expire import delete_expired, expire
from olake_reconcile.destinations.iceberg.target import Target
from olake_reconcile.model.maintenance import Maintenance
from olake_reconcile.model.table import Owner, TablePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained:
    """What was done to a table. `snapshot` is its head then; None without a table, or without rows ever."""

    compacted: Compacted
    expired: int = 0
    deleted: int = 0
    snapshot: int | None = None


def maintain(
    house: Lakehouse,
    place: TablePlace,
    owner: Owner,
    settings: Maintenance,
    run_id: str,
    scratch: Path | None,
    now: Callable[[], datetime],
    cancelled: Callable[[], bool],
) -> Maintained | None:
    """Maintain the table at `place`; return None when there is none. Done again it finds little to do.

    Raises `Stopped`, `Blocked` when it belongs to another, `Conflict` when writers were quicker again and again.
    """
    if not house.database.exists():
        return None
    with open_catalog(house) as catalog:

        def table() -> Target | None:
            if cancelled():
                raise Stopped
            return found(catalog, place, owner)

        if table() is None:
            return None
        target_bytes = settings.target_file_size << 20
        compacted = compact(catalog, place, owner, target_bytes, run_id, scratch, cancelled)
        expired = deleted = 0
        if (target := table()) is not None:
            expired = expire(catalog, target, settings, now())
        if (target := table()) is not None:
            deleted = delete_expired(catalog, target, timedelta(hours=settings.grace_hours), now())
        head = target.staged.current_snapshot_id if target is not None else None
        return Maintained(compacted=compacted, expired=expired, deleted=deleted, snapshot=head)
