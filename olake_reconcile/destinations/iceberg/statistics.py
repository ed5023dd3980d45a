"""Column statistics of a data file, from its Parquet footer, as Iceberg's manifests hold them.

The bounds are made from the raw physical values and never from Python's: a date before year 1 has no Python value.
Bounds of texts and bytes are cut to 16 characters or bytes, the upper one rounded up (Iceberg table spec).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

_BOUND_LENGTH = 16
#: Bounds of the columns beyond would blow up the manifests of very wide tables (Iceberg's own default).
_BOUNDED_COLUMNS = 100
_LAST_CODE_POINT = 0x10FFFF


@dataclass(slots=True)
class FileStatistics:
    """What a manifest says of one data file, by field id."""

    rows: int
    column_sizes: dict[int, int] = field(default_factory=dict)
    value_counts: dict[int, int] = field(default_factory=dict)
    null_value_counts: dict[int, int] = field(default_factory=dict)
    lower_bounds: dict[int, bytes] = field(default_factory=dict)
    upper_bounds: dict[int, bytes] = field(default_factory=dict)
    split_offsets: list[int] = field(default_factory=list)


def file_statistics(footer: pq.FileMetaData, schema: Schema) -> FileStatistics:
    """Return the statistics of the file with this `footer`."""
    found = FileStatistics(rows=footer.num_rows)
    leaves = _leaves(schema)
    without_bounds: set[int] = set()
    bounds: dict[int, list[tuple[Any, Any]]] = {}
    for group_number in range(footer.num_row_groups):
        group = footer.row_group(group_number)
        found.split_offsets.append(_offset(group.column(0)))
        for position, (field_id, type_) in enumerate(leaves):
            column = group.column(position)
            _add(found.column_sizes, field_id, column.total_compressed_size)
            if type_ is None:
                continue
            _add(found.value_counts, field_id, column.num_values)
            statistics = column.statistics if column.is_stats_set else None
            if statistics is None or not statistics.has_null_count:
                without_bounds.add(field_id)
                continue
            _add(found.null_value_counts, field_id, statistics.null_count)
            if statistics.has_min_max:
                bounds.setdefault(field_id, []).append((statistics.min_raw, statistics.max_raw))
            elif statistics.null_count < column.num_values:
                # Values, and no bounds: too long, or NaN alone. One such row group leaves the file without.
                without_bounds.add(field_id)
    types = {field_id: type_ for field_id, type_ in leaves[:_BOUNDED_COLUMNS] if type_ is not None}
    for field_id, pairs in bounds.items():
        if field_id in types and field_id not in without_bounds:
            lower, upper = _bounds(types[field_id], pairs)
            found.lower_bounds[field_id] = lower
            if upper is not None:
                found.upper_bounds[field_id] = upper
    return found


def chunk_bounds(chunk: pq.ColumnChunkMetaData, type_: IcebergType) -> tuple[bytes, bytes | None] | None:
    """Return the bounds of one column in one row group, as a manifest would hold them; None when there are none."""
    statistics = chunk.statistics if chunk.is_stats_set else None
    if statistics is None or not statistics.has_min_max:
        return None
    return _bounds(type_, [(statistics.min_raw, statistics.max_raw)])


def _leaves(schema: Schema) -> list[tuple[int, IcebergType | None]]:
    """Return id and type of each Parquet column in order; elements of lists have no statistics worth keeping."""
    leaves: list[tuple[int, IcebergType | None]] = []
    for column in schema.fields:
        type_ = column.field_type
        leaves.append((type_.element_id, None) if isinstance(type_, ListType) else (column.field_id, type_))
    return leaves


def _add(counts: dict[int, int], key: int, more: int) -> None:
    counts[key] = counts.get(key, 0) + more


def _offset(column: Any) -> int:
    dictionary = column.dictionary_page_offset if column.has_dictionary_page else None
    return min(column.data_page_offset, dictionary) if dictionary else int(column.data_page_offset)


def _bounds(type_: IcebergType, pairs: list[tuple[Any, Any]]) -> tuple[bytes, bytes | None]:
    order, encode = _codec(type_)
    lower = min((pair[0] for pair in pairs), key=order)
    upper = max((pair[1] for pair in pairs), key=order)
    match type_:
        case StringType():
            return _cut_text(lower), _cut_text_up(upper)
        case BinaryType():
            return lower[:_BOUND_LENGTH], _cut_bytes_up(upper)
        case _:
            return encode(lower), encode(upper)


def _codec(type_: IcebergType) -> tuple[Callable[[Any], Any], Callable[[Any], bytes]]:
    def same(value: Any) -> Any:
        return value

    def packed(layout: str) -> Callable[[Any], bytes]:
        return lambda value: struct.pack(layout, value)

    match type_:
        case BooleanType():
            return same, packed("<?")
        case IntegerType() | DateType():
            return same, packed("<i")
        case LongType() | TimeType() | TimestampType() | TimestamptzType():
            return same, packed("<q")
        case FloatType():
            return same, packed("<f")
        case DoubleType():
            return same, packed("<d")
        case DecimalType():
            return _unscaled, lambda value: _shortest(_unscaled(value))
        case StringType() | BinaryType() | UUIDType():
            return same, bytes
        case _:
            raise AssertionError(f"no bounds for {type_}")


def _unscaled(value: int | bytes) -> int:
    # Parquet holds small decimals as integers, large ones as big-endian bytes.
    return value if isinstance(value, int) else int.from_bytes(value, "big", signed=True)


def _shortest(value: int) -> bytes:
    """Return the shortest two's complement, big-endian: Iceberg's single-value form of a decimal."""
    length = ((value if value >= 0 else ~value).bit_length() // 8) + 1
    return value.to_bytes(length, "big", signed=True)


def _cut_text(raw: bytes) -> bytes:
    return raw.decode("utf-8")[:_BOUND_LENGTH].encode()


def _cut_text_up(raw: bytes) -> bytes | None:
    text = raw.decode("utf-8")
    if len(text) <= _BOUND_LENGTH:
        return raw
    head = text[:_BOUND_LENGTH]
    while head:
        last = ord(head[-1])
        if last < _LAST_CODE_POINT:
            # The code points D800 to DFFF are no characters.
            following = 0xE000 if last == 0xD7FF else last + 1
            return (head[:-1] + chr(following)).encode()
        head = head[:-1]
    return None


def _cut_bytes_up(raw: bytes) -> bytes | None:
    if len(raw) <= _BOUND_LENGTH:
        return raw
    head = raw[:_BOUND_LENGTH].rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
