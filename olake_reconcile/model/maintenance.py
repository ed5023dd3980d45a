"""How a stream's table is kept in order: how large its files are to be, how long its history is kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from olake_reconcile.model.base import Model


class Maintenance(Model):
    """Settings of one stream. A snapshot is kept while either `keep_days` or `keep_snapshots` wants it."""

    keep_days: Annotated[int, Field(ge=0, le=3650)] = 7
    keep_snapshots: Annotated[int, Field(ge=1, le=10_000)] = 10
    #: Files of an expired snapshot stay so long for readers who have begun on it.
    grace_hours: Annotated[int, Field(ge=0, le=8760)] = 24
    target_file_size: Annotated[int, Field(ge=1, le=4096)] = 256  # MB


def show_maintenance(settings: Maintenance) -> dict[str, Any] | None:
    """Return what differs from the defaults, in the file's words; None when nothing does."""
    return settings.model_dump(exclude_defaults=True) or None
