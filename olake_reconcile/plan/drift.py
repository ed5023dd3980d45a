"""Drift: what was observed to have moved without us (design §2), beside the plan and never part of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from olake_reconcile.model.base import Model
from olake_reconcile.model.names import StreamId, parse_address


class DriftKind(StrEnum):
    """What moved. The values are a contract with programs."""

    TABLE_GONE = "table_gone"
    TABLE_REPLACED = "table_replaced"
    TABLE_TAKEN = "table_taken"
    MARKS_LOST = "marks_lost"
    SETTINGS_CHANGED = "settings_changed"
    PARTITION_CHANGED = "partition_changed"
    SCHEMA_CHANGED = "schema_changed"
    ROLLED_BACK = "rolled_back"
    FOREIGN_COMMITS = "foreign_commits"
    SOURCE_TABLE_GONE = "source_table_gone"
    SOURCE_COLUMN_GONE = "source_column_gone"
    SOURCE_TYPE_CHANGED = "source_type_changed"
    SLOT_LOST = "slot_lost"  # for cdc: no runtime observes slots yet
    HELD = "held"


#: What the loop puts right by itself with `safety.self_heal`: properties of the table, no row is touched.
HEALED = frozenset({DriftKind.MARKS_LOST, DriftKind.SETTINGS_CHANGED})
#: After so many rounds somebody else wants it otherwise: healing it ends, and a person decides.
MOST_ROUNDS = 3

Healing = Literal["automatic", "stopped", "by_hand", "none"]


class Drift(Model):
    """One thing that moved without us. `expected` and `found` are JSON; `remedy` says what to do.

    `healing` tells who puts it right: the loop (`automatic`), nobody any more (`stopped`: it came back three times), a
    person (`by_hand`), or nobody has to (`none`).
    """

    address: str
    kind: DriftKind
    message: str
    expected: Any = None
    found: Any = None
    remedy: str = ""
    healing: Healing = "by_hand"

    @property
    def key(self) -> str:
        """What tells one drift from others, whatever its details."""
        return f"{self.address} {self.kind}"

    @property
    def is_difference(self) -> bool:
        """Whether somebody should look: a hold is somebody's wish."""
        return self.kind is not DriftKind.HELD


class DriftReport(Model):
    """What moved, and what was looked at: tables at destinations, and streams in catalogues of sources."""

    found: tuple[Drift, ...] = ()
    tables: int = 0
    tables_unseen: int = 0
    streams: int = 0
    streams_unseen: int = 0

    @property
    def differences(self) -> tuple[Drift, ...]:
        """What somebody should look at."""
        return tuple(d for d in self.found if d.is_difference)


def stream_of(drift: Drift) -> tuple[str, StreamId]:
    """Return the job and stream that a drift of a stream is about."""
    address = parse_address(drift.address)
    return address.name, StreamId.parse(address.stream)
