"""A block of stream settings (a stream, `stream_defaults`) as values of the model.

Each block is read by itself and once; a stream is then its own block laid over those of its defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from olake_reconcile.model.partition import BadPartition, PartitionField, parse_olake_regex, parse_partition
from olake_reconcile.model.stream import (
    Columns,
    DeleteMode,
    NullCursor,
    OnRebuild,
    OnRemove,
    SyncMode,
    TypeClass,
    TypePolicy,
    WriteMode,
)
from olake_reconcile.spec import supported
from olake_reconcile.spec.grammar import read_database, read_filter, read_table
from olake_reconcile.spec.node import Map, offset_at
from olake_reconcile.spec.report import Document, quoted
from olake_reconcile.spec.spelling import SPELLINGS, BadSpelling, filter_text, split_cursor


@dataclass(frozen=True, slots=True)
class Settings:
    """What a block says, by the model's field names. None takes a default back; `broken` was given, but wrong."""

    values: Mapping[str, Any] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()

    def over(self, outer: Settings) -> Settings:
        """Return these settings laid over those of `outer`; maps that add up (`protect`) are merged."""
        if not self.values and not self.broken:
            return outer
        values = {**outer.values, **self.values}
        for key in _ADDING & self.values.keys():
            if self.values[key] is not None:
                values[key] = {**(outer.values.get(key) or {}), **self.values[key]}
        return Settings(values, (outer.broken - self.values.keys()) | self.broken)


_ADDING = frozenset({"protect", "maintenance"})


def read_settings(document: Document, block: Map, broken: Iterable[str] = ()) -> Settings:
    """Return what a well-shaped block says; `broken` are keys of it that had no right shape."""
    reader = _Reader(document, block, set(broken))
    for key, value in block.items():
        if value is None:
            reader.reset(key)
        else:
            _READERS[key](reader, key, value)
    supported.refuse(document, block, supported.STREAM)
    return Settings(reader.values, frozenset(reader.broken))


class _Reader:
    def __init__(self, document: Document, block: Map, broken: set[str]) -> None:
        self.document = document
        self.block = block
        self.values: dict[str, Any] = {}
        self.broken = {field for key in broken for field in SPELLINGS.get(key, (key,))}

    def offset(self, key: str) -> int:
        return self.block.value_offset(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value; None means that it was complained about."""
        if value is None:
            self.broken.add(key)
        else:
            self.values[key] = value

    def reset(self, key: str) -> None:
        for name in self._ours(key):
            self.values.setdefault(name, None)

    def _ours(self, key: str) -> tuple[str, ...]:
        """Return our names of OLake's `key`; complain when the block uses both spellings."""
        ours = SPELLINGS.get(key)
        if ours is None:
            return (key,)
        for other in ours:
            if other in self.block:
                message = f"{quoted(key)} and {quoted(other)} say the same: give one of them"
                self.document.error(self.block.key_offset(key), "two-spellings", message)
                return ()
        return ours

    # One method per way of reading.

    def plain(self, key: str, value: Any) -> None:
        self.put(key, value)

    def column(self, key: str, value: str) -> None:
        if not value:
            self.document.error(self.offset(key), "bad-column", f"{quoted(key)} needs the name of a column")
        self.put(key, value or None)

    def table(self, key: str, value: str) -> None:
        self.put(key, read_table(self.document, value, self.offset(key)))

    def database(self, key: str, value: str) -> None:
        self.put(key, read_database(self.document, value, self.offset(key)))

    def filter(self, key: str, value: str) -> None:
        self.put(key, read_filter(self.document, value, self.offset(key)))

    def partition_by(self, key: str, value: Any) -> None:
        fields: list[PartitionField] = []
        for index, text in enumerate(value):
            try:
                fields.append(_partition(text))
            except BadPartition as error:
                self.document.error(value.item_offset(index), "bad-partition", str(error))
        self._partitions(key, fields if len(fields) == len(value) else None)

    def _partitions(self, key: str, fields: Iterable[PartitionField] | None) -> None:
        self.put("partition_by", None if fields is None else tuple(fields))
        seen: set[PartitionField] = set()
        for one in fields or ():
            if one in seen:
                self.document.error(self.offset(key), "bad-partition", f"{quoted(one)} is given twice")
            seen.add(one)

    def columns(self, key: str, value: Map) -> None:
        include, exclude = value.get("include"), value.get("exclude")
        if include is not None and exclude is not None:
            message = "'include' and 'exclude' exclude each other: give one of them"
            self.document.error(value.key_offset("exclude"), "two-lists", message)
            return self.put(key, None)
        if include is not None and not include:
            self.document.error(value.value_offset("include"), "no-columns", "'include' names no column")
            return self.put(key, None)
        self._check_new(value, "sync_new", listed=include is not None)
        return self.put(
            key,
            Columns(
                include=None if include is None else tuple(include),
                exclude=None if exclude is None else tuple(exclude),
            ),
        )

    def _check_new(self, value: Map, key: str, *, listed: bool) -> None:
        if (wanted := value.get(key)) is listed:
            self.document.error(value.value_offset(key), supported.CODE, supported.NEW_COLUMNS[wanted])

    def type_policies(self, key: str, value: Map) -> None:
        self.put(key, {TypeClass(k): TypePolicy(v) for k, v in value.items() if v is not None})

    def protect(self, key: str, value: Map) -> None:
        self.put(key, {k: bool(v) for k, v in value.items()})

    def maintenance(self, key: str, value: Map) -> None:
        self.put(key, {k: v for k, v in value.items() if v is not None})

    # OLake's spellings.

    def partition_regex(self, key: str, value: str) -> None:
        if not self._ours(key):
            return
        if not value:
            self.values["partition_by"] = None
            return
        try:
            self._partitions(key, parse_olake_regex(value))
        except BadPartition as error:
            self.document.error(self.offset(key), "bad-partition", str(error))
            self.broken.add("partition_by")

    def cursor_field(self, key: str, value: str) -> None:
        if not self._ours(key):
            return
        try:
            self.values["cursor"], self.values["fallback_cursor"] = split_cursor(value)
        except BadSpelling as error:
            self.document.error(self.offset(key), "bad-column", str(error))
            self.broken |= {"cursor", "fallback_cursor"}

    def append_mode(self, key: str, value: bool) -> None:
        if self._ours(key):
            self.values["write_mode"] = WriteMode.APPEND if value else WriteMode.UPSERT

    def filter_config(self, key: str, value: Map) -> None:
        if not self._ours(key):
            return
        try:
            text = filter_text(value)
        except BadSpelling as error:
            self.document.error(offset_at(value, error.path), "bad-filter", f"bad filter: {error}")
            self.broken.add("filter")
            return
        if text is None:
            self.values["filter"] = None
        else:
            self.put("filter", read_filter(self.document, text, self.offset(key)))

    def selected_columns(self, key: str, value: Map) -> None:
        if not self._ours(key):
            return
        columns = value.get("columns")
        self._check_new(value, "sync_new_columns", listed=bool(columns))
        self.values["columns"] = Columns(include=tuple(columns)) if columns else None


# The same few fields stand in most streams of a workspace.
_partition = lru_cache(maxsize=10_000)(parse_partition)


def _enum(kind: Callable[[str], Any]) -> Callable[[_Reader, str, Any], None]:
    def read(reader: _Reader, key: str, value: str) -> None:
        reader.put(key, kind(value))

    return read


_READERS: dict[str, Callable[[_Reader, str, Any], None]] = {
    "sync_mode": _enum(SyncMode),
    "cursor": _Reader.column,
    "fallback_cursor": _Reader.column,
    "write_mode": _enum(WriteMode),
    "normalization": _Reader.plain,
    "filter": _Reader.filter,
    "partition_by": _Reader.partition_by,
    "use_source_column_names": _Reader.plain,
    "destination_database": _Reader.database,
    "destination_table": _Reader.table,
    "columns": _Reader.columns,
    "delete_mode": _enum(DeleteMode),
    "null_cursor": _enum(NullCursor),
    "type_policies": _Reader.type_policies,
    "on_rebuild": _enum(OnRebuild),
    "on_remove": _enum(OnRemove),
    "chunk_column": _Reader.column,
    "threads": _Reader.plain,
    "protect": _Reader.protect,
    "maintenance": _Reader.maintenance,
    "partition_regex": _Reader.partition_regex,
    "cursor_field": _Reader.cursor_field,
    "append_mode": _Reader.append_mode,
    "filter_config": _Reader.filter_config,
    "selected_columns": _Reader.selected_columns,
}
