"""Destination tables: where they are, whose they are, what is known of them."""

from __future__ import annotations

from typing import Any

from olake_reconcile.model.base import Model


class TablePlace(Model):
    """A table's name at its destination, after OLake's naming rule."""

    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"

    def __hash__(self) -> int:
        return hash((self.database, self.table))


class Owner(Model):
    """Whose a table is: written into its properties, read back to know our own (design §6, "Markers")."""

    project: str  # the project's uid
    environment: str
    job: str
    stream: str  # the stream's uid
    generation: int
    stream_id: str = ""  # namespace.name; tables of the first release lack it


class TableFacts(Model):
    """What a table's own metadata says. None means that the metadata does not tell."""

    rows: int | None
    bytes: int | None
    files: int | None
    owner: Owner | None  # None: not one of ours
    snapshot: str | None
    soft_deleted: int | None = None  # how many of the rows were deleted at the source
    position: dict[str, Any] | None = None  # where the last run ended, committed with its rows


class TableAbsent(Model):
    """The destination answered, and has no such table."""


class TableUnknown(Model):
    """The destination did not answer."""

    reason: str


TableStatus = TableFacts | TableAbsent | TableUnknown
