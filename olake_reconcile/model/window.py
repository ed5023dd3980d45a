"""Change windows: when a job may clear and rebuild, and when it may sync.

A window opens at each time of a cron expression, read in its time zone, and lasts its duration, in real seconds: where clocks
change it ends an hour earlier or later by the wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.schedule import Schedule, due_times, parse_schedule

_MOST_STEPS = 2000  # changes of windows that are looked at to find the next opening
_HORIZON = timedelta(days=400)


class Window(Model):
    """One window: exactly one of `allow` and `deny` is set, to the cron at which it opens; `duration` is seconds."""

    allow: str | None = None
    deny: str | None = None
    duration: Annotated[int, Field(ge=60, le=366 * 86_400)]
    timezone: str = "UTC"

    def start(self, now: datetime) -> datetime | None:
        """Return when the window that is open at `now` opened, the earliest of overlapping ones; None when it is closed."""
        found = self.opens(now - timedelta(seconds=self.duration))
        return found if found is not None and found <= now else None

    def opens(self, after: datetime) -> datetime | None:
        """Return when it next opens after a moment; None when never again."""
        schedule = _schedule(self.allow or self.deny or "")
        return next(due_times(schedule, after, ZoneInfo(self.timezone)), None)


class Windows(Model):
    """The windows of a job, or of all jobs: `rebuilds` are about what clears data, `syncs` about runs."""

    rebuilds: tuple[Window, ...] = ()
    syncs: tuple[Window, ...] = ()


class Closed(Model):
    """Why something may not be done now; `until` is when it may, None when no window opens within a year."""

    reason: str
    until: datetime | None = None


@lru_cache(maxsize=1000)
def _schedule(cron: str) -> Schedule:
    return parse_schedule(cron)


def closed(levels: Sequence[Sequence[Window]], now: datetime) -> Closed | None:
    """Return why the windows do not let it be done at `now`, None when they do.

    Each level (the project's windows, a job's) must let it. One without any `allow` lets everything that nothing denies.
    """
    return _closed(tuple(tuple(windows) for windows in levels), now)


@lru_cache(maxsize=256)  # hundreds of jobs have the same few windows
def _closed(levels: tuple[tuple[Window, ...], ...], now: datetime) -> Closed | None:
    obstacle = _obstacle(levels, now)
    if obstacle is None:
        return None
    reason, over = obstacle
    for _ in range(_MOST_STEPS):
        if over is None or over > now + _HORIZON:
            break
        again = _obstacle(levels, over)
        if again is None:
            return Closed(reason=reason, until=over)
        over = again[1]
    return Closed(reason=reason)


def _obstacle(levels: tuple[tuple[Window, ...], ...], now: datetime) -> tuple[str, datetime | None] | None:
    """Return what stands in the way at `now`, and the first moment at which it may not any more."""
    for window in (w for windows in levels for w in windows if w.deny):
        if begun := window.start(now):
            ends = begun + timedelta(seconds=window.duration)
            return f"denied by the window '{window.deny}' ({window.timezone})", ends
    for windows in levels:
        allowing = [w for w in windows if w.allow]
        if allowing and not any(w.start(now) for w in allowing):
            names = ", ".join(f"'{w.allow}' ({w.timezone})" for w in allowing)
            opens = min((m for w in allowing if (m := w.opens(now)) is not None), default=None)
            return f"outside the window{'s' if len(allowing) > 1 else ''} {names}", opens
    return None
