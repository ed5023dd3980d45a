"""Partitioning: Iceberg's transforms over whole columns, and batches cut apart by their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa
from pyiceberg.partitioning import PartitionField as IcebergField
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.transforms import Transform as IcebergTransform

from olake_reconcile.errors import ReconcileError
from olake_reconcile.model.partition import PartitionField, Transform

#: The values of one partition, in the order of the spec, as Iceberg stores them: days, microseconds, bytes of a uuid.
Key = tuple[Any, ...]
_FIRST_FIELD_ID = 1000


def partition_spec(
    fields: Sequence[PartitionField],
    names: Mapping[str, str],
    schema: Schema,
    known: Sequence[PartitionSpec] = (),
) -> PartitionSpec:
    """Return the spec of `fields`; `names` maps source columns to the table's. Ids of equal fields in `known` stay."""
    old = {(f.source_id, str(f.transform)): f.field_id for spec in known for f in spec.fields}
    fresh = count(max((_FIRST_FIELD_ID - 1, *old.values())) + 1)
    made: list[IcebergField] = []
    taken = {field.name for field in schema.fields}
    for field in fields:
        if field.column not in names:
            raise ReconcileError(
                f"partition_by uses {field.column}, which is not among the replicated columns",
                remedy="Add it to columns.include, or take it out of columns.exclude or partition_by.",
            )
        source = schema.find_field(names[field.column], case_sensitive=True)
        transform = _transform(field)
        if not transform.can_transform(source.field_type):
            raise ReconcileError(
                f"{field} is not possible: {field.column} is {source.field_type} at the destination",
                remedy="Use another transform or column in partition_by.",
            )
        field_id = old.get((source.field_id, str(transform)))
        made.append(
            IcebergField(
                source_id=source.field_id,
                field_id=next(fresh) if field_id is None else field_id,
                transform=transform,
                name=_name(field, source.name, taken),
            )
        )
    same = next((spec for spec in known if spec.fields == tuple(made)), None)
    next_spec = max((spec.spec_id for spec in known), default=-1) + 1
    return PartitionSpec(*made, spec_id=same.spec_id if same else next_spec)


def _name(field: PartitionField, column: str, taken: set[str]) -> str:
    suffix = {Transform.IDENTITY: "", Transform.TRUNCATE: "_trunc"}.get(
        field.transform, f"_{field.transform}"
    )
    # An identity field bears its column's name; every other must not bear any column's (Iceberg table spec).
    name = column + suffix
    while suffix and name in taken:
        name += "_"
    taken.add(name)
    return name


def _transform(field: PartitionField) -> IcebergTransform[Any, Any]:
    match field.transform:
        case Transform.IDENTITY:
            return IdentityTransform()
        case Transform.YEAR:
            return YearTransform()
        case Transform.MONTH:
            return MonthTransform()
        case Transform.DAY:
            return DayTransform()
        case Transform.HOUR:
            return HourTransform()
        case Transform.BUCKET:
            return BucketTransform(field.width or 0)
        case Transform.TRUNCATE:
            return TruncateTransform(field.width or 0)


@dataclass(frozen=True, slots=True)
class _Computed:
    position: int
    compute: Callable[[pa.Array], pa.Array]


class Splitter:
    """Cuts batches into one part per partition."""

    def __init__(self, spec: PartitionSpec, schema: Schema) -> None:
        places = {field.field_id: i for i, field in enumerate(schema.fields)}
        # A column that the files lack is NULL in every row, and so is its partition.
        self._fields = [
            _Computed(places[f.source_id], f.transform.pyarrow_transform(schema.find_type(f.source_id)))
            if f.source_id in places
            else None
            for f in spec.fields
        ]

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Give every partition that `batch` has rows of, with these rows."""
        if not self._fields:
            yield (), batch
            return
        results = [
            _stored(f.compute(_computable(batch.column(f.position)))) if f else pa.nulls(batch.num_rows)
            for f in self._fields
        ]
        names = [str(i) for i in range(len(results))]
        rows = pa.arange(0, batch.num_rows)
        keyed = pa.table([*results, rows], names=[*names, "row"])
        groups = keyed.group_by(names, use_threads=False).aggregate([("row", "list")])
        members = groups.column("row_list").combine_chunks()
        keys = [groups.column(name).to_pylist() for name in names]
        for position, key in enumerate(zip(*keys, strict=True)):
            yield key, batch.take(members[position].values)


def _computable(array: pa.Array) -> pa.Array:
    """Return what pyiceberg's transforms take: plain arrays with small offsets."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_large_string(array.type):
        return array.cast(pa.string())
    if pa.types.is_large_binary(array.type):
        return array.cast(pa.binary())
    return array


def _stored(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return partition values as Iceberg stores them; dates of any year pass as numbers."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_date32(array.type):
        return array.cast(pa.int32())
    if pa.types.is_timestamp(array.type) or pa.types.is_time64(array.type):
        return array.cast(pa.int64())
    return array
