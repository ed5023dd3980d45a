"""Where a table stands: the source's position, committed with the rows that it stands for.

It is in the summary of the snapshot, and in a property of the table beside that snapshot's id. Compaction by others
leaves it to be found among the ancestors, expiry of these leaves the property, and a rollback by hand is seen: the
property's snapshot is then no ancestor of the head, and an older position counts again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

POSITION: Final = "olake-reconcile.position"


def position_text(position: Mapping[str, Any]) -> str:
    """Return `position` as a summary holds it."""
    return json.dumps(position, sort_keys=True, separators=(",", ":"))


def position_property(position: Mapping[str, Any], snapshot_id: int | None) -> str:
    """Return the value of the table's property: `position` and the snapshot that it belongs to."""
    return json.dumps({"snapshot": snapshot_id, "position": position}, sort_keys=True, separators=(",", ":"))


def position_of(metadata: TableMetadata) -> dict[str, Any] | None:
    """Return the position of the table's rows, or None when no commit of ours is behind them."""
    snapshot_id, kept = _kept(metadata.properties)
    known = {s.snapshot_id: s for s in metadata.snapshots}
    head = metadata.current_snapshot()
    if head is None:
        return kept if snapshot_id is None else None
    place: int | None = head.snapshot_id
    while place is not None:
        if kept is not None and place == snapshot_id:
            return (
                kept  # a move of the position alone makes no snapshot, so this may be newer than the summary
            )
        snapshot = known.get(place)
        if snapshot is None:
            # Expired. The property's snapshot may have gone with it; one that is still there is on another branch.
            return None if snapshot_id in known else kept
        if (found := _summary(snapshot)) is not None:
            return found
        place = snapshot.parent_snapshot_id
    return None


def _summary(snapshot: Snapshot) -> dict[str, Any] | None:
    return _read(snapshot.summary[POSITION]) if snapshot.summary else None


def _kept(properties: Mapping[str, str]) -> tuple[int | None, dict[str, Any] | None]:
    found = _read(properties.get(POSITION))
    if found is None or not isinstance(found.get("position"), dict):
        return None, None
    return found.get("snapshot"), found["position"]


def _read(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
