"""Destination tables: where they are, whose they are, what is known of them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

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


class TableTrace(Model):
    """What tells whether others touched a table since our last commit, from its metadata alone.

    `settings` are the properties of ours that differ, as (what we set, what is there; None: nothing). Columns and
    partition fields bear their destination names. `schema_edits` and `foreign` are words, one for each edit or commit.
    """

    runs: tuple[str, ...] = ()  # whose commits are behind it, the newest first; none: no commit of ours is
    settings: dict[str, tuple[str, str | None]] = Field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)  # without those that the source has no more
    schema_edits: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    rolled_back: bool = False  # our newest commit is not behind the table's head


class TableFacts(Model):
    """What a table's own metadata says. None means that the metadata does not tell."""

    rows: int | None
    bytes: int | None
    files: int | None
    owner: Owner | None  # None: not one of ours
    snapshot: str | None
    soft_deleted: int | None = None  # how many of the rows were deleted at the source
    position: dict[str, Any] | None = None  # where the last run ended, committed with its rows
    trace: TableTrace | None = None


class TableAbsent(Model):
    """The destination answered, and has no such table."""


class TableUnknown(Model):
    """The destination did not answer."""

    reason: str


TableStatus = TableFacts | TableAbsent | TableUnknown
