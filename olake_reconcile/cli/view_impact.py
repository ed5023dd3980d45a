"""What a destructive action costs, in words."""

from __future__ import annotations

from collections.abc import Iterable

from olake_reconcile.plan.actions import Impact, Rebuild, Remove
from olake_reconcile.plan.words import counted


def impact_words(action: Rebuild | Remove) -> str:
    """Return what a clear loses, and for how long the table is empty."""
    impact = action.impact
    size = f"{row_words(impact.rows)}, {_bytes(impact.bytes)}"
    if impact.rows is None and impact.bytes is None:
        size = "rows and size unknown"
    if isinstance(action, Remove):
        return f"{size}; erased for good"
    if impact.seconds is None or impact.rate is None:
        return f"{size}; table empty from apply until the next sync has loaded it"
    until = f"about {_duration(impact.seconds)} later ({impact.rate:,} rows/s last time)"
    return f"{size}; table empty from apply until {until}"


def row_words(rows: int | None) -> str:
    """Return `1,200 rows`, or that nobody knows."""
    return "unknown rows" if rows is None else counted(rows, "row")


def _bytes(size: int | None) -> str:
    if size is None:
        return "unknown size"
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def _duration(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def total_rows(impacts: Iterable[Impact]) -> int | None:
    """Return the rows of all, None as soon as one is unknown."""
    total = 0
    for impact in impacts:
        if impact.rows is None:
            return None
        total += impact.rows
    return total
