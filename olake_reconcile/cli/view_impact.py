"""What a destructive action costs, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from olake_reconcile.plan.actions import Impact, Loss, Rebuild, Remove
from olake_reconcile.plan.radius import Cost, is_long
from olake_reconcile.plan.words import counted


def impact_lines(action: Rebuild | Remove, now: datetime | None = None) -> Iterator[str]:
    """Yield what a clear loses, for how long the table is empty, and whom it touches.

    With `now` (local time), also when the table would be full again if this were applied now.
    """
    impact = action.impact
    yield _size_and_time(action, now)
    if impact.loses:
        yield f"the source cannot give back: {'; '.join(_lost(loss, impact) for loss in impact.loses)}"
    if impact.shared_with:
        yield f"shared with {_some(impact.shared_with)}"
    if isinstance(action, Rebuild) and is_long(impact):
        yield (
            f"warning: the load holds a snapshot of the source for about {duration(impact.seconds or 0)}, "
            "and the source cannot clean up old rows meanwhile"
        )


def _lost(loss: Loss, impact: Impact) -> str:
    if loss is not Loss.SOFT_DELETED:
        return loss.words
    number = "an unknown number of" if impact.soft_deleted is None else f"{impact.soft_deleted:,}"
    return f"{number} {loss.words}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f", and {len(names) - 5:,} more" if len(names) > 5 else "")


def _size_and_time(action: Rebuild | Remove, now: datetime | None) -> str:
    impact = action.impact
    size = f"{row_words(impact.rows)}, {size_words(impact.bytes)}"
    if impact.rows is None and impact.bytes is None:
        size = "rows and size unknown"
    if isinstance(action, Remove):
        return f"{size}; erased for good"
    if impact.seconds is None or impact.rate is None:
        return f"{size}; table empty from apply until the next sync has loaded it"
    until = f"about {duration(impact.seconds)} later ({impact.rate:,} rows/s last time)"
    return f"{size}; table empty from apply until {until}{_clock(impact.seconds, now)}"


def _clock(seconds: int, now: datetime | None) -> str:
    if now is None:
        return ""
    end = now + timedelta(seconds=seconds)
    form = "%H:%M" if end.date() == now.date() else "%a %d %b %H:%M"
    return f"; until about {end.strftime(form)} if applied now"


def cost_words(cost: Cost) -> str:
    """Return what all clears cost together: tables, rows, bytes, and when the last table is full again."""
    parts = [
        counted(cost.tables, "table"),
        _sum(counted(cost.rows, "row"), cost.rows_unknown),
        _sum(size_words(cost.bytes), cost.bytes_unknown),
    ]
    line = f"{', '.join(parts)} cleared at once"
    if cost.seconds:
        line += f"; the last is full about {duration(cost.seconds)} later, "
        line += f"{counted(cost.rebuilds_at_once, 'load')} at a time"
    if cost.seconds_unknown:
        line += f"; time unknown for {counted(cost.seconds_unknown, 'table')}"
    if cost.long_loads:
        line += f"; {counted(cost.long_loads, 'load')} of over an hour"
    return line


def _sum(known: str, unknown: int) -> str:
    return f"{known} (unknown for {unknown:,})" if unknown else known


def row_words(rows: int | None) -> str:
    """Return `1,200 rows`, or that nobody knows."""
    return "unknown rows" if rows is None else counted(rows, "row")


def size_words(size: int | None) -> str:
    """Return `4.1 GB`, or that nobody knows."""
    if size is None:
        return "unknown size"
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: int) -> str:
    """Return `52 min`: a length of time as people say it."""
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
