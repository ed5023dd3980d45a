"""`windows` of the Project and of jobs: cron expressions, durations and time zones, each complaint at its place."""

from __future__ import annotations

from typing import Any

from olake_reconcile.spec.grammar import read_duration, read_schedule, read_timezone
from olake_reconcile.spec.node import Map, Seq
from olake_reconcile.spec.report import Document

_SHORTEST, _LONGEST = 60, 366 * 86_400


def read_windows(document: Document, block: Map, key: str) -> dict[str, Any] | None:
    """Return the well-shaped windows under `key` by the model's names; None after complaining."""
    found: dict[str, Any] = {}
    wrong = False
    for about, windows in block[key].items():
        read = [_window(document, w, windows.item_offset(i)) for i, w in enumerate(windows or Seq(0))]
        wrong = wrong or None in read
        found[about] = tuple(w for w in read if w is not None)
    return None if wrong else {about: windows for about, windows in found.items() if windows}


def _window(document: Document, window: Map, offset: int) -> dict[str, Any] | None:
    kinds = [kind for kind in ("allow", "deny") if window.get(kind) is not None]
    if len(kinds) != 1:
        document.error(
            offset, "bad-window", "a window has 'allow' or 'deny', and not both: the cron at which it opens"
        )
        return None
    cron = read_schedule(document, window[kinds[0]], window.value_offset(kinds[0]))
    if cron is not None and cron.every:
        message = "a window opens at the times of a cron expression, not at an interval"
        document.error(window.value_offset(kinds[0]), "bad-window", message)
        cron = None
    at = window.value_offset("duration")
    seconds = read_duration(document, window["duration"], at)
    if seconds is not None and not _SHORTEST <= seconds <= _LONGEST:
        document.error(at, "out-of-range", "'duration' is between 1m and 366d")
        seconds = None
    zone = window.get("timezone")
    if zone is not None:
        zone = read_timezone(document, zone, window.value_offset("timezone"))
        if zone is None:
            return None
    if cron is None or seconds is None:
        return None
    return {kinds[0]: window[kinds[0]], "duration": seconds} | (
        {} if zone in (None, "UTC") else {"timezone": zone}
    )
