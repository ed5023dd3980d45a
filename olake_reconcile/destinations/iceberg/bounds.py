"""Which files and row groups may hold a value: statistics compared with typed values, never with texts of them."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.types import DoubleType, FloatType, ListType, NestedField

from olake_reconcile.destinations.iceberg.statistics import chunk_bounds

_HUGE_BYTES: Final = 1 << 20


class Values:
    """The values that are looked for in one column: whether any of them may be in a file or in a row group.

    `values` are in their comparable form (`comparable`). Text bounds may be cut short, the upper one rounded up, which
    only ever lets too much through. Bounds of floats say nothing of NaN, and are not used.
    """

    def __init__(self, field: NestedField, values: pa.Array) -> None:
        self._field = field
        self._useless: bool = isinstance(field.field_type, (FloatType, DoubleType, ListType))
        self.nulls: bool = values.null_count > 0
        self._sorted = _Sorted(pc.sort_indices(values.drop_null()), values.drop_null())

    def in_file(self, file: DataFile) -> bool:
        """Whether the manifest leaves room for one of the values in `file`."""
        field_id = self._field.field_id
        if self.nulls and (file.null_value_counts or {}).get(field_id) != 0:
            return True
        lower, upper = ((b or {}).get(field_id) for b in (file.lower_bounds, file.upper_bounds))
        if lower is None and _all_null(file, field_id):
            return False
        return self._between(lower, upper)

    def in_group(self, group: pq.RowGroupMetaData, leaves: Mapping[int, int]) -> bool:
        """Whether the footer leaves room for one of the values in `group`."""
        place = leaves.get(self._field.field_id)
        if place is None:
            return self.nulls
        chunk = group.column(place)
        if self._useless or not chunk.is_stats_set or self.nulls:
            return True
        found = chunk_bounds(chunk, self._field.field_type)
        return self._between(*(found or (None, None)))

    def _between(self, lower: bytes | None, upper: bytes | None) -> bool:
        if self._useless or not len(self._sorted):
            return self._useless
        if lower is None and upper is None:
            return True
        first = 0 if lower is None else bisect_left(self._sorted, self._value(lower))
        if first == len(self._sorted):
            return False
        return upper is None or bool(self._sorted[first] <= self._value(upper))

    def _value(self, raw: bytes) -> Any:
        return from_bytes(self._field.field_type, raw)  # type: ignore[arg-type]


class _Sorted(Sequence[Any]):
    """An Arrow array in order, one Python value at a time."""

    def __init__(self, order: pa.Array, values: pa.Array) -> None:
        self._order = order
        self._values = values

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        return self._values[self._order[index].as_py()].as_py()


def _all_null(file: DataFile, field_id: int) -> bool:
    nulls = (file.null_value_counts or {}).get(field_id)
    return nulls is not None and nulls == file.record_count


def comparable(array: pa.Array, *, exact: bool) -> pa.Array:
    """Return `array` as plain values whose equality is that of the source: times as numbers, uuids as bytes.

    `exact` tells 0.0 from -0.0, as a value that changed; without it they are one key, as in the source. It also puts a
    digest in place of a huge value, which is to be compared and not to be kept.
    """
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return comparable(array.storage, exact=exact)
    if pa.types.is_large_list(type_):
        values = comparable(array.values, exact=exact)
        mask = array.is_null() if array.null_count else None
        return pa.LargeListArray.from_arrays(array.offsets, values, mask=mask)
    if pa.types.is_date32(type_):
        return array.view(pa.int32())
    if pa.types.is_timestamp(type_) or pa.types.is_time64(type_):
        return array.view(pa.int64())
    if exact and (pa.types.is_large_string(type_) or pa.types.is_large_binary(type_)):
        return _digested(array)
    if exact and pa.types.is_floating(type_):
        return array.view(pa.int64() if pa.types.is_float64(type_) else pa.int32())
    return array


def _digested(array: pa.Array) -> pa.Array:
    huge = pc.greater(pc.binary_length(array), _HUGE_BYTES)
    if not pc.any(huge).as_py():
        return array
    digests = [
        f"sha256:{hashlib.sha256(array[i.as_py()].as_buffer()).hexdigest()}" for i in pc.indices_nonzero(huge)
    ]
    return pc.replace_with_mask(array, pc.fill_null(huge, False), pa.array(digests).cast(array.type))
