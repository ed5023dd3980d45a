"""A stream: one table or collection of the source, and how it is replicated (design §3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from olake_reconcile.model.base import Model
from olake_reconcile.model.filter import Filter
from olake_reconcile.model.maintenance import Maintenance, show_maintenance
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.partition import PartitionField


class SyncMode(StrEnum):
    """How a stream is read."""

    FULL_REFRESH = "full_refresh"
    INCREMENTAL = "incremental"
    CDC = "cdc"
    STRICT_CDC = "strict_cdc"


class WriteMode(StrEnum):
    """Append keeps every version of a row; upsert keeps the last per key."""

    APPEND = "append"
    UPSERT = "upsert"


class DeleteMode(StrEnum):
    """Soft keeps the row with `_op_type = 'd'`; hard removes it."""

    SOFT = "soft"
    HARD = "hard"


class NullCursor(StrEnum):
    """What happens to rows whose cursor is NULL after the first load (hazard H-6)."""

    RELOAD = "reload"
    IGNORE = "ignore"
    FAIL = "fail"


class OnRebuild(StrEnum):
    """Clear empties the table first; swap builds the new one beside the old one."""

    CLEAR = "clear"
    SWAP = "swap"


class OnRemove(StrEnum):
    """What happens to a removed stream's table."""

    KEEP = "keep"
    CLEAR = "clear"


class TypePolicy(StrEnum):
    """What happens to a value that the destination type cannot hold; never another value in silence."""

    NULL = "null"
    FAIL = "fail"
    TEXT = "text"


class TypeClass(StrEnum):
    """The kinds of value that may not fit; each has its policy (docs/types.md)."""

    NUMERIC_SPECIAL = "numeric_special"  # NaN and infinities in a decimal column
    TEMPORAL_RANGE = "temporal_range"  # infinite or too late dates and timestamps, 24:00:00
    ARRAY_SHAPE = "array_shape"  # arrays of several dimensions, or not counted from 1


class Protect(Model):
    """What needs an `--allow-…` of its own, whatever else was agreed to."""

    rebuild: bool = False
    delete: bool = False


class Columns(Model):
    """Which columns are replicated; at most one of the lists is given. Neither means all."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    sync_new: bool = True

    def selects(self, column: str) -> bool:
        """Whether `column` is replicated."""
        if self.include is not None:
            return column in self.include
        return self.exclude is None or column not in self.exclude


class Stream(Model):
    """A stream with every default filled in; nothing in it is guessed later."""

    id: StreamId
    sync_mode: SyncMode
    destination_database: str
    destination_table: str
    cursor: str | None = None
    fallback_cursor: str | None = None
    write_mode: WriteMode = WriteMode.UPSERT
    normalization: bool = True
    filter: Filter | None = None
    partition_by: tuple[PartitionField, ...] = ()
    use_source_column_names: bool = False
    columns: Columns = Columns()
    delete_mode: DeleteMode = DeleteMode.SOFT
    null_cursor: NullCursor = NullCursor.RELOAD
    type_policies: dict[TypeClass, TypePolicy] = Field(default_factory=dict)
    on_rebuild: OnRebuild = OnRebuild.CLEAR
    on_remove: OnRemove = OnRemove.KEEP
    chunk_column: str | None = None
    threads: Annotated[int, Field(ge=1, le=64)] | None = None
    protect: Protect = Protect()
    maintenance: Maintenance = Maintenance()

    def policy(self, kind: TypeClass) -> TypePolicy:
        """Return the policy for values of `kind`; NULL unless the file says otherwise."""
        return self.type_policies.get(kind, TypePolicy.NULL)


def show_stream(stream: Stream) -> dict[str, Any]:
    """Return a stream's settings as JSON in the file's words; settings at their default are left out."""
    shown: dict[str, Any] = {
        "sync_mode": stream.sync_mode.value,
        "cursor": stream.cursor,
        "fallback_cursor": stream.fallback_cursor,
        "write_mode": None if stream.write_mode is WriteMode.UPSERT else stream.write_mode.value,
        "normalization": None if stream.normalization else False,
        "filter": stream.filter.text if stream.filter else None,
        "partition_by": [str(f) for f in stream.partition_by] or None,
        "use_source_column_names": True if stream.use_source_column_names else None,
        "destination_database": stream.destination_database,
        "destination_table": stream.destination_table,
        "columns": _show_columns(stream.columns),
        "delete_mode": None if stream.delete_mode is DeleteMode.SOFT else stream.delete_mode.value,
        "null_cursor": None if stream.null_cursor is NullCursor.RELOAD else stream.null_cursor.value,
        "type_policies": _show_policies(stream.type_policies),
        "on_rebuild": None if stream.on_rebuild is OnRebuild.CLEAR else stream.on_rebuild.value,
        "on_remove": None if stream.on_remove is OnRemove.KEEP else stream.on_remove.value,
        "chunk_column": stream.chunk_column,
        "threads": stream.threads,
        "protect": _show_protect(stream.protect),
        "maintenance": show_maintenance(stream.maintenance),
    }
    return {key: value for key, value in shown.items() if value is not None}


def _show_columns(columns: Columns) -> dict[str, Any] | None:
    shown: dict[str, Any] = {}
    if columns.include is not None:
        shown["include"] = sorted(set(columns.include))
    if columns.exclude:
        shown["exclude"] = sorted(set(columns.exclude))
    if not columns.sync_new:
        shown["sync_new"] = False
    return shown or None


def _show_policies(policies: dict[TypeClass, TypePolicy]) -> dict[str, str] | None:
    shown = {k.value: v.value for k, v in policies.items() if v is not TypePolicy.NULL}
    return dict(sorted(shown.items())) or None


def _show_protect(protect: Protect) -> dict[str, bool] | None:
    shown = {k: True for k, v in (("delete", protect.delete), ("rebuild", protect.rebuild)) if v}
    return shown or None


def canonical_stream(stream: Stream) -> dict[str, Any]:
    """Return a stream's meaning as JSON: equal for streams that differ in spelling only.

    Settings at their default are left out, so that a release which brings a new setting changes no
    fingerprint of what is stored already (design §4).
    """
    meaning = show_stream(stream)
    if stream.filter:
        meaning["filter"] = stream.filter.canonical()
    return meaning
