"""Positions in words. Of a position only the engine that wrote it knows all; people want the value it goes on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def position_words(position: Mapping[str, Any]) -> str:
    """Return a position on one line, empty for none: `updated_at 2026-11-24 03:32:24+00, 3 of 8 ranges loaded`."""
    if "marks" in position:
        return ", ".join(_cursor_words(position))
    return ", ".join(
        f"{key} {value}" for key, value in sorted(position.items()) if value not in (None, "", {}, [])
    )


def _cursor_words(position: Mapping[str, Any]) -> Iterator[str]:
    for mark in position["marks"]:
        top = mark.get("top", mark.get("value"))
        yield f"{mark['column']} {'none yet' if top is None else top}"
    if backfill := position.get("backfill"):
        ranges = len(backfill["cuts"]) + 1 + bool(backfill.get("nulls"))
        done = sum(end - first for first, end in backfill.get("done", ()))
        yield f"{done} of {ranges} ranges loaded"
